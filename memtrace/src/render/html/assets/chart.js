// A chart of series over time, as SVG: areas and lines, a scale of bytes and one of time.

const CHART = { height: 150, left: 74, right: 12, top: 10, bottom: 22 };

/** A step that gives a handful of round ticks up to `most`. */
function byteStep(most) {
  let step = 1;
  while (most / step > 4) {
    step *= 2;
  }
  return step;
}

/** A round step of time in nanoseconds. */
function timeStep(all, ticks) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const seconds = steps.find((step) => all / 1e9 / step <= ticks);
  return (seconds ?? Math.ceil(all / 1e9 / ticks / 86400) * 86400) * 1e9;
}

/** Draws series, each `{name, kind: 'area' | 'line', points: [[at, value]]}`; gives the chart and its scales. */
function chart(series, { width, last }) {
  const { height, left, right, top, bottom } = CHART;
  const most = Math.max(1, ...series.flatMap(({ points }) => points.map(([, value]) => value)));
  const x = (at) => left + (last > 0 ? at / last : 0) * (width - left - right);
  const y = (value) => height - bottom - (value / most) * (height - top - bottom);
  const drawing = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, class: 'chart', 'aria-hidden': 'true' });
  const step = byteStep(most);
  for (let value = 0; value <= most; value += step) {
    drawing.append(
      svg('line', { class: 'grid', x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      svg('text', { class: 'tick', x: left - 8, y: y(value) + 4, 'text-anchor': 'end', text: bytes(value) }),
    );
  }
  const times = timeStep(last, Math.max(2, (width - left - right) / 110));
  for (let at = 0; at <= last && last > 0; at += times) {
    const anchor = x(at) > width - 60 ? 'end' : 'middle';
    drawing.append(svg('text', { class: 'tick', x: x(at), y: height - 5, 'text-anchor': anchor, text: duration(at) }));
  }
  for (const { name, kind, points } of series) {
    if (points.length === 0) {
      continue;
    }
    const path = points.map(([at, value], index) => `${index === 0 ? 'M' : 'L'}${x(at).toFixed(1)},${y(value).toFixed(1)}`).join('');
    if (kind === 'area') {
      const [from, to] = [x(points[0][0]), x(points[points.length - 1][0])];
      drawing.append(svg('path', { class: `fill ${name}`, d: `${path}L${to},${y(0)}L${from},${y(0)}Z` }));
    }
    drawing.append(svg('path', { class: `stroke ${name}`, d: path }));
  }
  return { drawing, x, left, right: width - right, top, bottom: height - bottom };
}

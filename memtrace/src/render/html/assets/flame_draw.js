// Draws the rows of a flame graph that can be seen.

const ROW = 19;
const FONT = '12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
// Narrower boxes have no name: three letters say nothing.
const NAMED = 32;

/** Draws boxes on a canvas of `width` and `height` pixels of the page; `top` is how far it is scrolled. */
function drawRows(canvas, rows, look, { width, height, top, total }) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.textBaseline = 'middle';
  rows.forEach((row, depth) => {
    const y = rowTop(depth, total, look.rootAtTop) - top;
    if (y + ROW >= 0 && y <= height) {
      row.forEach((box) => drawBox(context, box, y, look));
    }
  });
}

/** Where a row begins: the root is above or below all. */
function rowTop(depth, total, rootAtTop) {
  return (rootAtTop ? depth : total - 1 - depth) * ROW;
}

function drawBox(context, box, y, look) {
  const { fill, faint } = look.paint(box);
  // A gap parts neighbours, as long as there is room for it.
  const wide = box.width > 2 ? box.width - 1 : Math.max(box.width, NARROW);
  context.globalAlpha = box.above ? 0.55 : faint ? 0.3 : 1;
  context.fillStyle = fill;
  context.fillRect(box.x, y, wide, ROW - 1);
  context.globalAlpha = 1;
  if (look.selected && look.selected(box)) {
    context.strokeStyle = look.focus;
    context.lineWidth = 2;
    context.strokeRect(box.x + 1, y + 1, Math.max(wide - 2, 1), ROW - 3);
  }
  if (box.width < NAMED) {
    return;
  }
  context.save();
  context.beginPath();
  context.rect(box.x, y, wide - 3, ROW);
  context.clip();
  context.fillStyle = faint || box.above ? look.faintInk : look.ink;
  context.fillText(fitting(context, look.name(box), wide - 8), box.x + 4, y + ROW / 2);
  context.restore();
}

/** A name that fits a width, cut off at its end. */
function fitting(context, name, width) {
  if (context.measureText(name).width <= width) {
    return name;
  }
  let [low, high] = [0, Math.min(name.length, Math.ceil(width / 3))];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${name.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return low < 2 ? '' : `${name.slice(0, low)}…`;
}

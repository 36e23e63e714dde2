// Heaps of JavaScript: what the summary says of each thread, objects over time, and who has allocated them.

/** Fills the panel. */
function showJavaScript(app, panel) {
  const { javascript } = app.report.document;
  for (const heap of javascript.heaps) {
    const box = el('section', { class: 'js-heap' }, el('h2', { text: heap.heading }));
    panel.append(box);
    if (heap.objects.at.length >= 2) {
      showObjects(heap, box);
    }
    if (heap.kinds.length > 0) {
      box.append(collectionTable(heap.kinds));
    }
    box.append(...heap.sentences.map((text) => el('p', { text })));
    if (heap.sample) {
      showAllocators(heap, box);
    }
  }
  if (javascript.rest) {
    panel.append(el('p', { class: 'soft', text: javascript.rest }));
  }
}

/** Bytes in objects from collection to collection, and what full ones leave. */
function showObjects({ objects, full }, place) {
  const points = ({ at, bytes: values }) => at.map((time, index) => [time, values[index]]);
  const series = [
    { name: 'live', words: 'in objects, before and after each collection: garbage is in it', kind: 'area', points: points(objects) },
    { name: 'resident', words: 'after full collections', kind: 'line', points: points(full) },
  ].filter((one) => one.points.length > 0);
  const legend = series.map(({ name, words }) => el('li', {}, el('span', { class: `swatch ${name}` }), words));
  const area = el('div', { class: 'chart-box' });
  place.append(el('ul', { class: 'legend' }, ...legend), el('div', { class: 'chart-area' }, area));
  const last = Math.max(...objects.at);
  const draw = () => {
    if (area.clientWidth > 0) {
      area.replaceChildren(chart(series, { width: area.clientWidth, last }).drawing);
    }
  };
  new ResizeObserver(draw).observe(area);
}

/** Collections by their kind. */
function collectionTable(kinds) {
  const head = ['collections', 'count', 'paused', 'longest'].map((text, index) => el('th', { scope: 'col', class: index === 0 ? 'wide' : 'number', text }));
  const cell = (text) => el('td', { class: 'number', text });
  const row = ({ name, count: many, paused, longest }) => el('tr', {}, el('th', { scope: 'row', text: name }), cell(count(many)), cell(paused), cell(longest));
  return el('div', { class: 'table-box' }, el('table', { class: 'ledger narrow' }, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...kinds.map(row))));
}

/** Functions by what they have allocated, by the sample. */
function showAllocators({ sample }, place) {
  const { functions } = sample;
  place.append(el('p', { text: sample.introduction }));
  shareTable(place, functions, 'Functions by what they allocated', 'share', ['samples']);
  if (sample.missed) {
    place.append(el('p', { text: sample.missed }));
  }
  if (sample.young) {
    place.append(el('p', { text: sample.young.introduction }));
    shareTable(place, sample.young.functions, 'Functions by what of their young objects became old', 'to old', ['survived', 'followed']);
  }
}

/** Functions with a part that each has, its range, what it comes to in bytes, and counts. */
function shareTable(place, functions, caption, share, counts) {
  const column = (name, of, text, more) => ({ name, value: (row) => of(functions[row]), text: (row) => text(of(functions[row])), ...more });
  new Table(place, {
    size: functions.length,
    caption,
    columns: [
      column(share, (one) => one.share, percent),
      column('from', ({ low }) => low, percent),
      column('to', ({ high }) => high, percent),
      column('about', ({ about }) => about, bytes, { exact: (row) => exact(functions[row].about, 'bytes') }),
      ...counts.map((name) => column(name, (one) => one[name], count, { extra: true })),
      column('function', ({ name }) => name, (text) => text, { wide: true }),
    ],
  }).update();
}

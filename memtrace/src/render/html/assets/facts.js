// Sums, processes, resident memory and health: what the summary says, in its words.

/** The tiles at the top, and the program below them. */
function showSums(report, place) {
  const { words } = report.document;
  if (report.isDiff) {
    place.append(factList([['before', words.sides[0]], ['after', words.sides[1]]]));
    place.append(...words.notes.map((text) => el('p', { class: 'note', text })), changeTable(report));
    return;
  }
  const tile = ([name, value]) => {
    // The first amount is what one looks for, the rest explains it.
    const [, amount, rest] = /^((?:at least )?[\d.,]+ [A-Za-z]*)(.*)$/su.exec(value) ?? ['', value, ''];
    return el('div', { class: 'tile' }, el('span', { class: 'tile-name', text: name }), el('strong', { text: amount }), el('span', { class: 'soft', text: rest.replace(/^[,:] /, '') }));
  };
  const { resident } = report.document;
  const facts = [...words.sums];
  if (resident) {
    const last = resident.at.length - 1;
    facts.push(['resident', `${bytes(resident.rss[last])}, at ${duration(resident.at[last])}`]);
  }
  facts.push(...words.verdicts);
  place.append(el('div', { class: 'tiles' }, ...facts.map(tile)), factList(words.program));
}

/** The sums of both sides of a comparison. */
function changeTable(report) {
  const { measures, seconds, rates } = report.document;
  const head = ['all memory', 'before', 'after', 'change'];
  const rows = measures.filter((measure) => !measure.unknown).flatMap((measure) => ['bytes', 'count'].map((unit) => {
    const bySecond = rates && measure.cumulative;
    const [before, after] = [report.before, report.after].map((side, index) => sum(side[measure.key][unit]) / (bySecond ? seconds[index] : 1));
    const texts = [quantity(before, unit, bySecond), quantity(after, unit, bySecond), signedQuantity(after - before, unit, bySecond)];
    const titles = [before, after, Math.abs(after - before)].map((value) => (bySecond ? '' : exact(value, unit)));
    const name = unit === 'bytes' ? measure.bytes : measure.count;
    return el('tr', {}, el('th', { scope: 'row', text: name }), ...texts.map((text, index) => el('td', { class: 'number', text, title: titles[index] })));
  }));
  const heads = head.map((text, index) => el('th', { scope: 'col', class: index === 0 ? 'wide' : 'number', text }));
  return el('div', { class: 'table-box' }, el('table', { class: 'ledger narrow' }, el('thead', {}, el('tr', {}, ...heads)), el('tbody', {}, ...rows)));
}

/** The table of processes. */
function showProcesses(app, panel) {
  const { processes, words } = app.report.document;
  const amount = (name, of) => ({
    name,
    value: (row) => of(processes[row]),
    text: (row) => bytes(of(processes[row])),
    exact: (row) => exact(of(processes[row]), 'bytes'),
  });
  const table = new Table(panel, {
    size: processes.length,
    caption: 'Processes that were observed',
    columns: [
      amount('live', (process) => process.live.bytes),
      amount('allocated', (process) => process.allocated.bytes),
      amount('peak', (process) => process.peak),
      { name: 'inherited', value: (row) => processes[row].inherited, text: (row) => processes[row].inherited },
      {
        name: 'process',
        wide: true,
        value: (row) => processes[row].name,
        text: (row) => `${processes[row].name} (pid ${processes[row].pid})`,
        exact: (row) => processes[row].executable,
      },
      { name: 'details', wide: true, value: (row) => processes[row].details, text: (row) => processes[row].details },
    ],
  });
  table.update();
  panel.append(...words.processes.map((text) => el('p', { class: 'soft', text })));
}

/** What resident memory is made of, at the first and the last reading; the parts sum to what the kernel counts. */
function showResident(app, panel) {
  const { resident } = app.report.document;
  const last = resident.at.length - 1;
  const head = ['part', ...[0, last].map((index) => `at ${duration(resident.at[index])}`), 'change', ''];
  const most = Math.max(1, ...resident.parts.map((part) => part.bytes[last]));
  const cell = (value, text = bytes(value)) => el('td', { class: 'number', text, title: exact(Math.abs(value), 'bytes') });
  const row = (name, was, is, bar) => {
    const filled = el('span', { class: 'bar' });
    filled.style.width = `${(100 * is) / most}%`;
    const cells = [cell(was), cell(is), cell(is - was, signedQuantity(is - was, 'bytes')), el('td', { class: 'bar-cell' }, bar ? filled : '')];
    return el('tr', {}, el('th', { scope: 'row', text: name }), ...cells);
  };
  const parts = resident.parts.filter((part) => part.bytes[0] > 0 || part.bytes[last] > 0);
  const body = parts.map((part) => row(part.name, part.bytes[0], part.bytes[last], true));
  const total = row('resident, as the kernel counts it', resident.rss[0], resident.rss[last], false);
  total.className = 'total';
  panel.append(
    el('p', {}, el('strong', { text: resident.heading })),
    el(
      'div',
      { class: 'table-box' },
      el('table', { class: 'ledger' }, el('thead', {}, el('tr', {}, ...head.map((text, index) => el('th', { scope: 'col', class: index === 0 ? 'wide' : 'number', text })))), el('tbody', {}, ...body, total)),
    ),
    ...(resident.spaces ? spacesTable(resident.spaces, [0, last].map((index) => duration(resident.at[index]))) : []),
    ...resident.sentences.map((text) => el('p', { text })),
  );
}

/** The heaps of V8 by space: pages and what is resident of them, at the first and the last reading. */
function spacesTable(spaces, times) {
  const head = ['space', ...times.flatMap((time) => [`pages at ${time}`, `resident at ${time}`]), 'size'];
  const number = (text, title) => el('td', { class: 'number', text, title });
  const count = (value) => number(String(value), '');
  const size = (value) => number(bytes(value), exact(value, 'bytes'));
  const row = ({ name, pages, resident, size: whole }) =>
    el('tr', {}, el('th', { scope: 'row', text: name }), count(pages[0]), size(resident[0]), count(pages[1]), size(resident[1]), size(whole));
  const columns = head.map((text, index) => el('th', { scope: 'col', class: index === 0 ? 'wide' : 'number', text }));
  const table = el('table', { class: 'ledger' }, el('thead', {}, el('tr', {}, ...columns)), el('tbody', {}, ...spaces.rows.map(row)));
  return [el('p', {}, el('strong', { text: spaces.heading })), el('div', { class: 'table-box' }, table)];
}

/** How far the numbers can be trusted, and what they cost. */
function showHealth(app, panel) {
  const { words } = app.report.document;
  panel.append(el('p', {}, el('strong', { text: words.accuracy })), factList(words.health));
}

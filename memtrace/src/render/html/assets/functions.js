// Tables by function and by module: what each allocates itself, and what comes through it.

/** A table of what sites have in common; `keyOf(function)` says which row a function is of, `nameOf(row)` names it. */
class Functions {
  constructor(app, panel, { rows, keyOf, nameOf, placeOf, head, caption }) {
    Object.assign(this, { app, panel, rows, keyOf, nameOf, placeOf, head, caption });
  }

  update() {
    const { values, search } = this.app;
    const { own, through } = this.#sums();
    const { total } = values.now();
    const share = (value) => percent(total > 0 ? value / total : 0);
    const column = (name, title, sums) => [
      { name, title, value: (row) => sums[row], text: (row) => values.text(sums[row]), exact: (row) => values.exact(sums[row]) },
      { name: 'share', value: (row) => sums[row], text: (row) => share(sums[row]) },
    ];
    this.panel.replaceChildren();
    this.table = new Table(this.panel, {
      size: this.rows,
      caption: this.caption,
      sortBy: 0,
      columns: [
        ...column(`own ${values.name()}`, 'Of sites whose first frame above the allocator it is', own),
        ...column('with callees', 'Of all sites with it anywhere in their stack, each once', through),
        { name: this.head, wide: true, value: this.nameOf, text: (row) => [this.nameOf(row), this.placeOf(row)].filter(Boolean).join(' — ') },
      ],
    });
    const found = search.matches && new Set(Array.from(search.matches, (hit, of) => (hit ? this.keyOf(of) : -1)));
    this.table.update((row) => through[row] > 0 && (!found || found.has(row)));
  }

  /** Sums by row. A stack that comes through a row twice counts once. */
  #sums() {
    const { report, stacks, values } = this.app;
    const { values: shown } = values.now();
    const { above } = report.nodes;
    const [own, through] = [new Float64Array(this.rows), new Float64Array(this.rows)];
    const last = new Int32Array(this.rows).fill(-1);
    for (let site = 0; site < shown.length; site += 1) {
      if (shown[site] === 0) {
        continue;
      }
      const calling = stacks.calling(site);
      own[this.keyOf(stacks.functionAt(calling))] += shown[site];
      // As in all tables, the allocator below it is no part, and neither is the group above all.
      for (let at = calling; at >= 0 && !stacks.isGroup(at); at = above[at]) {
        const row = this.keyOf(stacks.functionAt(at));
        if (last[row] !== site) {
          last[row] = site;
          through[row] += shown[site];
        }
      }
    }
    return { own, through };
  }
}

/** The table by function. */
function functionTable(app, panel) {
  const { names, modules } = app.stacks;
  return new Functions(app, panel, {
    rows: names.length,
    keyOf: (of) => of,
    nameOf: (row) => names[row],
    placeOf: (row) => (names[row].startsWith(`${modules[row]}+0x`) ? '' : modules[row]),
    head: 'function',
    caption: 'What each function allocates itself, and with what it calls',
  });
}

/** The table by module. */
function moduleTable(app, panel) {
  const rows = new Map();
  const row = app.stacks.modules.map((module, of) => {
    // What is no frame is in no module: of a lost stack it is said why.
    const name = module || app.stacks.names[of];
    rows.set(name, rows.get(name) ?? rows.size);
    return rows.get(name);
  });
  const names = [...rows.keys()];
  return new Functions(app, panel, {
    rows: names.length,
    keyOf: (of) => row[of],
    nameOf: (index) => names[index],
    placeOf: () => '',
    head: 'module',
    caption: 'What each module allocates itself, and with what it calls',
  });
}

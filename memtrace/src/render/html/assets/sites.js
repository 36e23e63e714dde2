// The table of sites: each call stack with what it holds.

/** The table of all sites in a panel. */
class Sites {
  constructor(app, panel) {
    this.app = app;
    this.panel = panel;
    this.key = '';
  }

  /** Fills the table, anew where its columns are others. */
  update() {
    const { state, values, report, search } = this.app;
    const changes = values.isChange();
    const key = [changes, values.unit(), values.bySecond(), state.measure, state.range].join(' ');
    if (key !== this.key) {
      this.key = key;
      this.panel.replaceChildren();
      this.table = new Table(this.panel, {
        columns: changes ? this.#changeColumns() : this.#columns(),
        size: report.memory,
        caption: 'Sites: call stacks with what they hold',
        detail: (site) => this.#detail(site),
      });
      showOthers(this.app, this.panel);
    }
    const matching = search.matches === null ? null : search.under(this.app.flame.calleeTree());
    const { ends } = this.app.flame.calleeTree();
    const shown = values.now().values;
    const all = changes && (state.side === 'grown' || state.side === 'shrunk');
    this.table.update((site) => (!matching || matching[ends[site]] === 1) && (!all || shown[site] > 0));
  }

  #columns() {
    const { report, values } = this.app;
    const { sites } = report.document;
    const { values: shown, total } = values.now();
    const { live, allocated } = report.amounts;
    const columns = [
      { name: values.name(), value: (site) => shown[site], text: (site) => values.text(shown[site]), exact: (site) => values.exact(shown[site]) },
      { name: 'share', value: (site) => shown[site], text: (site) => percent(total > 0 ? shown[site] / total : 0) },
    ];
    if (report.document.sampled) {
      const errors = this.app.state.measure === 'live' ? sites.live_error : sites.allocated_error;
      const about = this.app.state.unit === 'bytes' && ['live', 'allocated'].includes(this.app.state.measure);
      const error = (site) => (about ? errors[site] : null);
      columns.push({
        name: '±',
        title: 'Half the error bar of an estimate: the true value lies within it 19 times of 20. Empty where the sum is exact.',
        value: error,
        text: (site) => (error(site) > 0 ? `± ${bytes(error(site))}` : ''),
        exact: (site) => (error(site) > 0 ? exact(error(site), 'bytes') : ''),
      });
    }
    columns.push(
      { name: 'live blocks', extra: true, value: (site) => live.count[site], text: (site) => count(live.count[site]), exact: (site) => `${bytes(live.bytes[site])} live in ${plural(live.count[site], 'block')}` },
      { name: 'allocations', extra: true, value: (site) => allocated.count[site], text: (site) => count(allocated.count[site]), exact: (site) => `${bytes(allocated.bytes[site])} in ${plural(allocated.count[site], 'allocation')}` },
      { name: 'oldest', extra: true, title: 'Age of the oldest live block', value: (site) => sites.oldest[site], text: (site) => (sites.oldest[site] < 0 ? '-' : duration(sites.oldest[site] * 1e6)) },
      { name: 'growth', title: 'Change of live bytes per second, by least squares', value: (site) => sites.growth[site], text: (site) => (sites.growth[site] === null ? '-' : rate(sites.growth[site])) },
      this.#name(),
    );
    return columns;
  }

  #changeColumns() {
    const { values, report, state } = this.app;
    const { before, after } = values.pair();
    const text = (value) => quantity(value, values.unit(), values.bySecond());
    const change = (site) => after[site] - before[site];
    const names = report.isDiff ? ['before', 'after'] : state.range.map((index) => `at ${duration(report.histories.moments[index])}`);
    return [
      {
        name: 'change',
        value: (site) => Math.abs(change(site)),
        text: (site) => signedQuantity(change(site), values.unit(), values.bySecond()),
        exact: (site) => values.exact(Math.abs(change(site))),
      },
      { name: names[0], value: (site) => before[site], text: (site) => text(before[site]), exact: (site) => values.exact(before[site]) },
      { name: names[1], value: (site) => after[site], text: (site) => text(after[site]), exact: (site) => values.exact(after[site]) },
      { name: 'what', value: (site) => kindOf(before[site], after[site]), text: (site) => kindOf(before[site], after[site]) },
      this.#name(),
    ];
  }

  #name() {
    const { stacks, report } = this.app;
    const node = (site) => stacks.calling(site);
    const name = (site) => stacks.names[stacks.functionAt(node(site))];
    return {
      name: 'function that allocates',
      wide: true,
      value: name,
      text: name,
      more: (site) => stacks.place(report.nodes.frame[node(site)]),
    };
  }

  #detail(site) {
    const { report, stacks } = this.app;
    const { sites } = report.document;
    const group = sites.group[site] < 0 ? '' : `, of ${report.strings[sites.group[site]]}`;
    const box = el('div', { class: 'detail-box' }, el('p', { class: 'soft', text: `by ${report.strings[sites.op[site]]}${group}` }));
    if (!report.isDiff) {
      const { live, allocated, temporary, peak } = report.amounts;
      const amount = (column) => `${bytes(column.bytes[site])} in ${plural(column.count[site], 'block')} (${exact(column.bytes[site], 'bytes')})`;
      const unknown = (key) => report.document.measures.find((measure) => measure.key === key).unknown;
      const facts = [['live', amount(live)], ['allocated', amount(allocated)]];
      if (!unknown('temporary')) facts.push(['temporary', amount(temporary)]);
      if (!unknown('peak')) facts.push(['at the peak', amount(peak)]);
      box.append(factList(facts));
    }
    box.append(stacks.list(site));
    return box;
  }
}

/** What has become of a site, as the text of a comparison calls it. */
function kindOf(before, after) {
  if (before === 0 && after > 0) return 'new';
  if (before > 0 && after === 0) return 'gone';
  return after > before ? 'grown' : after < before ? 'shrunk' : 'the same';
}

// The flame graph: its tree, what is zoomed into, and how boxes look.

/** The flame graph in a panel. */
class Flame {
  constructor(app, panel) {
    this.app = app;
    this.trees = {};
    this.zoom = ROOT;
    this.before = [];
    this.selected = null;
    this.words = el('p', { class: 'flame-words', role: 'status' });
    this.canvas = el('canvas', {
      tabindex: '0',
      role: 'application',
      'aria-roledescription': 'flame graph',
      'aria-describedby': 'flame-line',
    });
    this.spacer = el('div', { class: 'spacer' }, this.canvas);
    this.view = el('div', { class: 'flame', onscroll: () => this.draw() }, this.spacer);
    this.line = el('p', { id: 'flame-line', class: 'flame-line', 'aria-live': 'polite' });
    this.legend = el('ul', { class: 'legend', 'aria-label': 'Colours' });
    panel.append(this.words, this.view, this.line, this.legend);
    this.draw = beforeNextFrame(() => this.#draw());
    new ResizeObserver(() => this.draw()).observe(panel);
    listenToFlame(this);
  }

  /** The tree as it is turned. */
  tree() {
    const { report, stacks, state } = this.app;
    if (!state.inverted) {
      return this.calleeTree();
    }
    this.trees.callers ??= callerTree(report, stacks);
    return this.trees.callers;
  }

  /** The tree from the root down, however the graph is turned: search and tables are by it. */
  calleeTree() {
    this.trees.callees ??= calleeTree(this.app.report);
    return this.trees.callees;
  }

  /** Reads the choices again. */
  update(names) {
    if (names.has('inverted')) {
      this.zoom = ROOT;
      this.before = [];
      this.selected = null;
    }
    if (changesValues(names) || names.has('inverted') || !this.totals) {
      this.totals = this.tree().totals(this.app.values.now().values);
      this.order = new Order(this.tree(), this.totals);
      this.change = this.#changes();
      if (this.totals[this.zoom] === 0) {
        this.zoom = ROOT;
        this.before = [];
      }
    }
    this.#legend();
    this.#say();
    if (names.has('rootAtTop') && !this.app.state.rootAtTop) {
      requestAnimationFrame(() => (this.view.scrollTop = this.view.scrollHeight));
    }
    this.draw();
  }

  /** Zooms into a node, or back to all. */
  zoomTo(node) {
    if (node !== this.zoom) {
      this.before.push(this.zoom);
      this.zoom = node;
      this.#say();
      this.draw();
    }
  }

  /** Goes back to where it was zoomed before; whether there was anything. */
  back() {
    if (this.before.length === 0) {
      return false;
    }
    this.zoom = this.before.pop();
    this.#say();
    this.draw();
    return true;
  }

  /** What a box stands for. */
  name(box) {
    if (box.merged > 0) {
      return `${count(box.merged)} more`;
    }
    return box.node === ROOT ? 'all' : this.app.stacks.names[this.tree().function[box.node]];
  }

  /** The value of a box, and what part of all it is. */
  amount(box) {
    const value = box.merged > 0 ? box.value : this.totals[box.node];
    const all = this.totals[ROOT];
    return { value, share: all > 0 ? value / all : 0 };
  }

  /** Of a comparison that shows one side: how much more or less each node has than on the other, from -1 to 1. */
  #changes() {
    const { state, values, report } = this.app;
    if (!report.isDiff || state.side === 'grown' || state.side === 'shrunk') {
      return null;
    }
    const { before, after } = values.pair();
    const [was, is] = [this.tree().totals(before), this.tree().totals(after)];
    return is.map((value, node) => (value - was[node]) / Math.max(value, was[node], Number.MIN_VALUE));
  }

  #paint(box) {
    const { search, report } = this.app;
    if (box.merged > 0) {
      return { fill: this.colours.merged, faint: search.matches !== null };
    }
    if (box.node === ROOT) {
      return { fill: this.colours.root, faint: false };
    }
    const of = this.tree().function[box.node];
    const fill = this.change ? changeColour(this.change[box.node]) : rgb(report.functions.colour[of]);
    return { fill, faint: search.matches !== null && !search.has(of) };
  }

  #draw() {
    if (!this.totals || this.view.clientWidth === 0) {
      return;
    }
    this.colours = {
      merged: styleOf('--merged'),
      root: styleOf('--root'),
      focus: styleOf('--focus'),
      faint: styleOf('--ink-soft'),
    };
    const width = this.view.clientWidth;
    this.rows = layOut(this.tree(), this.totals, this.order, this.zoom, width);
    const needed = this.rows.length * ROW;
    this.view.style.height = `${Math.min(needed, Math.max(240, window.innerHeight * 0.7))}px`;
    this.spacer.style.height = `${needed}px`;
    const height = this.view.clientHeight;
    const look = {
      paint: (box) => this.#paint(box),
      name: (box) => this.name(box),
      selected: (box) => this.selected !== null && box.merged === 0 && box.node === this.selected,
      rootAtTop: this.app.state.rootAtTop,
      focus: this.colours.focus,
      faintInk: this.colours.faint,
      ink: '#14161a',
    };
    drawRows(this.canvas, this.rows, look, { width, height, top: this.view.scrollTop, total: this.rows.length });
    this.canvas.setAttribute('aria-label', this.words.textContent);
  }

  #say() {
    const { values, state } = this.app;
    const { total } = values.now();
    const words = [`${values.text(total)} ${values.name()}`];
    if (this.zoom !== ROOT) {
      const { value, share } = this.amount({ node: this.zoom, merged: 0 });
      words.push(`zoomed into ${this.name({ node: this.zoom, merged: 0 })}: ${values.text(value)}, ${percent(share)}`);
    }
    words.push(state.inverted ? 'from what allocates to its callers' : 'from the start of threads to the allocator');
    this.words.textContent = total > 0 ? words.join(' · ') : `Nothing to draw: 0 ${values.name()}.`;
    this.words.title = values.exact(total);
  }

  #legend() {
    const { document } = this.app.report;
    const item = (colour, name) => {
      const swatch = el('span', { class: 'swatch' });
      swatch.style.background = colour;
      return el('li', {}, swatch, name);
    };
    if (this.change) {
      this.legend.replaceChildren(
        item(changeColour(1), 'more after than before'),
        item(changeColour(0), 'as much'),
        item(changeColour(-1), 'less after than before'),
      );
      return;
    }
    this.used ??= new Set(this.app.report.functions.code);
    this.legend.replaceChildren(
      ...document.codes.filter((_, index) => this.used.has(index)).map(({ name, colour }) => item(rgb(colour), name)),
    );
  }
}

/** Vermilion for more, blue for less, of Okabe and Ito's colours; almost white for as much. */
function changeColour(change) {
  const ends = change > 0 ? [213, 94, 0] : [0, 114, 178];
  const part = 0.1 + 0.75 * Math.min(Math.abs(change), 1);
  const channel = (end) => Math.round(240 + (end - 240) * (change === 0 ? 0 : part));
  return `rgb(${ends.map(channel).join(',')})`;
}

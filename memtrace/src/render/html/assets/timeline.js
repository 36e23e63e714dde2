// Memory over time, and the brush that selects a range: the rest of the page then shows the change of live bytes in it.

/** The timeline with its brush. */
class Timeline {
  constructor(app, place) {
    this.app = app;
    const { timeline } = app.report.document;
    this.moments = app.report.histories.moments;
    this.series = this.#series(timeline);
    this.last = Math.max(0, ...timeline.at, ...this.moments);
    if (timeline.at.length < 2 && this.moments.length < 2) {
      place.append(el('p', { class: 'soft', text: 'There are fewer than two moments: observe longer to see memory over time.' }));
      return;
    }
    this.chart = el('div', { class: 'chart-box' });
    this.brush = el('div', {
      class: 'brush',
      tabindex: '0',
      role: 'slider',
      'aria-label': 'Range of time. Arrow keys move it, with shift they make it longer or shorter, Escape clears it',
      'aria-valuemin': '0',
      'aria-valuemax': String(this.moments.length - 1),
    });
    this.mark = el('div', { class: 'mark' });
    this.brush.append(this.mark);
    // One moment is no range.
    this.brush.hidden = this.moments.length < 2;
    const names = this.series.map(({ name, words }) => el('li', {}, el('span', { class: `swatch ${name}` }), words));
    place.append(
      el('div', { class: 'timeline-head' }, el('h2', { text: 'Memory over time' }), el('ul', { class: 'legend' }, ...names)),
      el('div', { class: 'chart-area' }, this.chart, this.brush),
    );
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(place);
  }

  #series(timeline) {
    const points = (values) => timeline.at.map((at, index) => [at, values[index]]).filter(([, value]) => value !== null);
    const found = [{ name: 'live', words: 'live bytes', kind: 'area', points: points(timeline.live) }];
    if (timeline.at.length === 0 && this.moments.length > 0) {
      const { values } = this.app;
      found[0].points = Array.from(this.moments, (at, index) => [at, sum(values.liveAt(index))]);
      found[0].words = 'live bytes, summed up from the histories of the sites';
    }
    const resident = points(timeline.resident);
    if (resident.length > 0) {
      found.push({ name: 'resident', words: 'resident memory', kind: 'line', points: resident });
    }
    return found;
  }

  draw() {
    const width = this.chart?.clientWidth ?? 0;
    if (width === 0) {
      return;
    }
    this.scale = chart(this.series, { width, last: this.last });
    this.chart.replaceChildren(this.scale.drawing);
    this.update();
  }

  /** Shows the range that is chosen. */
  update() {
    const { range } = this.app.state;
    byId('range').replaceChildren(...this.#words(range));
    if (!this.scale) {
      return;
    }
    const { x, left, right, top, bottom } = this.scale;
    Object.assign(this.brush.style, { left: `${left}px`, width: `${right - left}px`, top: `${top}px`, height: `${bottom - top}px` });
    this.mark.hidden = !range;
    this.brush.setAttribute('aria-valuenow', String(range ? range[1] : 0));
    this.brush.setAttribute('aria-valuetext', range ? this.#between(range) : 'no range');
    if (range) {
      const [from, to] = range.map((index) => x(this.moments[index]) - left);
      Object.assign(this.mark.style, { left: `${from}px`, width: `${Math.max(to - from, 2)}px` });
    }
  }

  #between([from, to]) {
    return `from ${duration(this.moments[from])} to ${duration(this.moments[to])}`;
  }

  /** What the page shows instead of everything, in words. */
  #words(range) {
    if (!range) {
      return this.brush && !this.brush.hidden
        ? [el('span', { class: 'soft', text: 'Drag over the chart, or move the range with the arrow keys, to see what changed in a part of the time.' })]
        : [];
    }
    const { values } = this.app;
    const [before, after] = [values.liveAt(range[0]), values.liveAt(range[1])];
    let [grown, shrunk] = [0, 0];
    for (let site = 0; site < before.length; site += 1) {
      grown += Math.max(after[site] - before[site], 0);
      shrunk += Math.max(before[site] - after[site], 0);
    }
    const words =
      `Change of live bytes ${this.#between(range)}: ${signedQuantity(grown - shrunk, 'bytes')} ` +
      `(${bytes(grown)} more in sites that grew, ${bytes(shrunk)} less in sites that shrank). ` +
      `Histories of sites are kept at ${count(this.moments.length)} moments, and the range begins and ends at two of them. `;
    const clear = el('button', { type: 'button', class: 'small', text: 'Clear range', onclick: () => this.app.state.set({ range: null }) });
    return [el('strong', { text: words }), clear];
  }

  /** The moment nearest to a place on the brush. */
  #nearest(clientX) {
    const part = (clientX - this.brush.getBoundingClientRect().left) / Math.max(this.brush.clientWidth, 1);
    const at = part * this.last;
    let best = 0;
    this.moments.forEach((moment, index) => {
      if (Math.abs(moment - at) < Math.abs(this.moments[best] - at)) {
        best = index;
      }
    });
    return best;
  }

  #listen() {
    let from = null;
    const choose = (event) => {
      const to = this.#nearest(event.clientX);
      if (to !== from) {
        this.#set([Math.min(from, to), Math.max(from, to)]);
      }
    };
    this.brush.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) {
        return;
      }
      from = this.#nearest(event.clientX);
      this.brush.setPointerCapture(event.pointerId);
    });
    this.brush.addEventListener('pointermove', (event) => from !== null && choose(event));
    this.brush.addEventListener('pointerup', (event) => {
      // It may have been pressed elsewhere.
      if (from !== null) {
        choose(event);
        from = null;
      }
    });
    this.brush.addEventListener('pointercancel', () => (from = null));
    this.brush.addEventListener('keydown', (event) => {
      if (this.#key(event)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
  }

  #key(event) {
    const { state } = this.app;
    const last = this.moments.length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
    if (event.key === 'Escape' && state.range) {
      state.set({ range: null });
    } else if (event.key === 'Home' || event.key === 'End') {
      const length = state.range ? state.range[1] - state.range[0] : 1;
      this.#set(event.key === 'Home' ? [0, length] : [last - length, last]);
    } else if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) {
      return false;
    } else if (!state.range) {
      this.#set(step > 0 ? [0, 1] : [last - 1, last]);
    } else {
      const [from, to] = state.range;
      this.#set(event.shiftKey ? [from, to + step] : [from + step, to + step]);
    }
    return true;
  }

  /** Chooses a range if it is one. */
  #set([from, to]) {
    if (from >= 0 && to < this.moments.length && from < to) {
      const { state } = this.app;
      const side = state.side === 'shrunk' ? 'shrunk' : 'grown';
      if (state.range?.[0] !== from || state.range?.[1] !== to) {
        state.set({ range: [from, to], side });
      }
    }
  }
}

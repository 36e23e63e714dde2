// What is shown of each site under the reader's choices: one number, and the words for it.

/** Values of sites. */
class Values {
  constructor(report, state) {
    this.report = report;
    this.state = state;
    this.known = new Map();
    this.moments = new Map();
  }

  /** The measure that is chosen. */
  measure() {
    return this.report.document.measures.find((measure) => measure.key === this.state.measure);
  }

  /** Whether values are changes, of which one direction is shown. */
  isChange() {
    return this.report.isDiff || this.state.range !== null;
  }

  /** Whether values are by the second: the observations that are compared are not equally long. */
  bySecond() {
    return this.report.isDiff && this.report.document.rates && this.measure().cumulative;
  }

  /** Bytes or blocks; histories are of bytes alone. */
  unit() {
    return this.state.range ? 'bytes' : this.state.unit;
  }

  /** Values of all sites of memory as they are now chosen, with their sum. */
  now() {
    const { measure, side, range } = this.state;
    const key = [measure, this.unit(), side, range ? range.join('-') : ''].join(' ');
    if (!this.known.has(key)) {
      // Others are quickly made again.
      if (this.known.size > 8) {
        this.known.clear();
      }
      this.known.set(key, this.#make());
    }
    return this.known.get(key);
  }

  #make() {
    const { before, after } = this.pair();
    const values = new Float64Array(this.report.memory);
    const side = this.isChange() ? this.state.side : 'after';
    for (let site = 0; site < values.length; site += 1) {
      const change = after[site] - (before ? before[site] : 0);
      if (side === 'after') values[site] = after[site];
      else if (side === 'before') values[site] = before[site];
      else if (side === 'grown') values[site] = Math.max(change, 0);
      else values[site] = Math.max(-change, 0);
    }
    return { values, total: sum(values) };
  }

  /** What is compared: of a comparison both profiles, of a range both ends, else nothing before. */
  pair() {
    const { measure, range } = this.state;
    const { report } = this;
    const unit = this.unit();
    if (range) {
      return { before: this.liveAt(range[0]), after: this.liveAt(range[1]) };
    }
    if (!report.isDiff) {
      return { before: null, after: report.amounts[measure][unit] };
    }
    const [before, after] = [report.before[measure][unit], report.after[measure][unit]];
    if (!this.bySecond()) {
      return { before, after };
    }
    const { seconds } = report.document;
    const scaled = (values, length) => values.map((value) => value / Math.max(length, Number.MIN_VALUE));
    return { before: scaled(before, seconds[0]), after: scaled(after, seconds[1]) };
  }

  /** Live bytes of each site at a moment: what its history says last, up to then. */
  liveAt(index) {
    if (!this.moments.has(index)) {
      if (this.moments.size > 6) {
        this.moments.clear();
      }
      const { start, moment, value } = this.report.histories;
      const found = new Float64Array(this.report.memory);
      for (let site = 0; site < found.length; site += 1) {
        for (let at = start[site]; at < start[site + 1] && moment[at] <= index; at += 1) {
          found[site] = value[at];
        }
      }
      this.moments.set(index, found);
    }
    return this.moments.get(index);
  }

  /** A value in words. */
  text(value) {
    return quantity(value, this.unit(), this.bySecond());
  }

  /** The same to the last digit. */
  exact(value) {
    return this.bySecond() ? `about ${exact(Math.round(value), this.unit())} a second` : exact(value, this.unit());
  }

  /** What is measured, in words. */
  name() {
    if (this.state.range) {
      return this.state.side === 'grown' ? 'more live bytes' : 'less live bytes';
    }
    const measure = this.measure();
    const words = this.state.unit === 'count' ? measure.count : measure.bytes;
    if (!this.report.isDiff) {
      return words;
    }
    return { grown: `more ${words}`, shrunk: `less ${words}`, after: `${words} after`, before: `${words} before` }[this.state.side];
  }
}

function sum(values) {
  let total = 0;
  for (const value of values) {
    total += value;
  }
  return total;
}

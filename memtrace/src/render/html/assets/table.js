// A table that can be sorted by each column. It shows a part of its rows, and more when it is asked for.

const ROWS_AT_ONCE = 100;

/** How a column's cells look: `extra` ones are left out where there is little room. */
function cellClass({ wide, extra }) {
  return `${wide ? 'wide' : 'number'}${extra ? ' extra' : ''}`;
}

/** A table of rows `0..size`. Columns: `{name, title, value, text, exact, wide, extra}`; `detail(row)` is what opens below a row. */
class Table {
  constructor(place, { columns, size, detail, caption, sortBy = 0 }) {
    Object.assign(this, { columns, size, detail, sortBy, down: true });
    this.shown = ROWS_AT_ONCE;
    this.keep = null;
    this.body = el('tbody');
    this.heads = columns.map((column, index) => this.#head(column, index));
    this.more = el('button', { type: 'button', onclick: () => this.#showMore() });
    this.foot = el('p', { class: 'table-foot', role: 'status' });
    const head = el('thead', {}, el('tr', {}, el('th', { scope: 'col', class: 'number', text: '#' }), ...this.heads));
    this.table = el('table', {}, el('caption', { class: 'offscreen', text: caption }), head, this.body);
    place.append(el('div', { class: 'table-box' }, this.table), el('p', { class: 'table-more' }, this.foot, this.more));
  }

  #head(column, index) {
    const sort = () => {
      this.down = this.sortBy === index ? !this.down : !column.wide;
      this.sortBy = index;
      this.update();
    };
    const button = el('button', { type: 'button', text: column.name, title: column.title ?? '', onclick: sort });
    return el('th', { scope: 'col', class: cellClass(column) }, button);
  }

  /** Fills it again. `keep(row)` says which rows there are. */
  update(keep = this.keep) {
    this.keep = keep;
    const order = [];
    for (let row = 0; row < this.size; row += 1) {
      if (!keep || keep(row)) {
        order.push(row);
      }
    }
    const { value } = this.columns[this.sortBy];
    const keys = new Array(this.size);
    for (const row of order) {
      keys[row] = value(row);
    }
    const compare = (one, other) => (one === other ? 0 : one === null ? -1 : other === null ? 1 : one < other ? -1 : 1);
    order.sort((one, other) => (this.down ? -1 : 1) * compare(keys[one], keys[other]) || one - other);
    this.order = order;
    this.shown = ROWS_AT_ONCE;
    this.heads.forEach((head, index) => {
      const sorted = index === this.sortBy;
      head.setAttribute('aria-sort', sorted ? (this.down ? 'descending' : 'ascending') : 'none');
    });
    this.body.replaceChildren();
    this.#fill(0);
  }

  #showMore() {
    const from = Math.min(this.shown, this.order.length);
    this.shown += ROWS_AT_ONCE;
    this.#fill(from);
  }

  #fill(from) {
    const rows = this.order.slice(from, this.shown);
    this.body.append(...rows.map((row, index) => this.#row(row, from + index + 1)));
    const hidden = this.order.length - Math.min(this.shown, this.order.length);
    this.more.hidden = hidden === 0;
    this.more.textContent = `Show ${count(Math.min(hidden, ROWS_AT_ONCE))} more`;
    const shown = count(this.order.length - hidden);
    this.foot.textContent = hidden > 0 ? `${shown} of ${plural(this.order.length, 'row')} are shown.` : `${plural(this.order.length, 'row')}.`;
  }

  #row(row, number) {
    const cells = this.columns.map((column) => {
      const text = column.text(row);
      const cell = el('td', { class: cellClass(column), title: column.exact?.(row) });
      if (column.wide && this.detail) {
        cell.append(this.#opener(row, text, column));
      } else {
        cell.textContent = text;
      }
      return cell;
    });
    return el('tr', {}, el('td', { class: 'number soft', text: count(number) }), ...cells);
  }

  /** The button that opens what is below a row. */
  #opener(row, text, column) {
    const button = el('button', { type: 'button', class: 'opener', 'aria-expanded': 'false' }, el('span', { class: 'name', text }));
    if (column.more) {
      button.append(' ', el('span', { class: 'place', text: column.more(row) }));
    }
    let opened = null;
    button.addEventListener('click', () => {
      if (opened) {
        opened.remove();
        opened = null;
      } else {
        opened = el('tr', { class: 'detail' }, el('td', { colspan: this.columns.length + 1 }, this.detail(row)));
        button.closest('tr').after(opened);
      }
      button.setAttribute('aria-expanded', String(opened !== null));
    });
    return button;
  }
}

// What the reader has chosen. Parts of the page are told what has changed and read the rest from here.

/** The choices, and who wants to know of them. */
class State {
  constructor(report) {
    const { measures, first } = report.document;
    const known = measures.filter((measure) => !measure.unknown);
    const start = known.find((measure) => measure.key === first) ?? known[0] ?? measures[0];
    /** Column that is shown, and whether its bytes or its blocks. */
    this.measure = start.key;
    this.unit = report.document.unit;
    /** Of changes: those that `grown`, those that `shrunk`; of a comparison also all that is `after` or `before`. */
    this.side = 'grown';
    /** Two indices of moments, or nothing. */
    this.range = null;
    this.inverted = false;
    this.rootAtTop = true;
    this.query = '';
    this.tab = 'flame';
    this.listeners = [];
  }

  /** Calls `listener` with the names of what has changed. */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** Makes changes and tells of them. */
  set(changes) {
    const names = Object.keys(changes).filter((name) => this[name] !== changes[name]);
    Object.assign(this, changes);
    if (names.length > 0) {
      for (const listener of this.listeners) {
        listener(new Set(names));
      }
    }
  }
}

/** What changes the values of sites. */
const VALUE_CHOICES = ['measure', 'unit', 'side', 'range'];

function changesValues(names) {
  return VALUE_CHOICES.some((name) => names.has(name));
}

/** Says something to who listens instead of looking, and shows it for a moment. */
function announce(text) {
  const said = byId('said') ?? document.body.appendChild(el('div', { id: 'said', class: 'said', role: 'status' }));
  said.textContent = text;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (said.textContent = ''), 4000);
}

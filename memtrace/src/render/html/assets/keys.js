// Keys that work everywhere, and the list of all.

const KEYS = [
  ['?', 'this list'],
  ['/', 'search; Escape empties the field'],
  ['1 … 8', 'the views'],
  ['m', 'the next measure'],
  ['u', 'bytes or blocks'],
  ['i', 'turn the stacks around: start at what allocates'],
  ['f', 'root of the flame graph at the top or at the bottom'],
  ['r', 'go to the range of time: arrows move it, with shift they make it longer or shorter, Escape clears it'],
  ['g', 'go to the flame graph: arrows go from frame to frame, Enter zooms in, Backspace or Escape goes back, c copies the stack'],
  ['Escape', 'back: out of the zoom, then out of the range'],
  ['t', 'light, dark, or as the system has it'],
  ['Tab', 'every control, one after the other'],
];

/** Listens to keys, and fills their list. */
function listenToKeys(app) {
  const dialog = byId('keys');
  const rows = KEYS.map(([key, words]) => [el('dt', {}, el('kbd', { text: key })), el('dd', { text: words })]).flat();
  const close = el('button', { type: 'button', text: 'Close', onclick: () => dialog.close() });
  dialog.append(el('h2', { id: 'keys-title', text: 'Keys' }), el('dl', { class: 'facts' }, ...rows), close);
  const list = () => (dialog.open ? dialog.close() : dialog.showModal());
  byId('help').addEventListener('click', list);
  document.addEventListener('keydown', (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (typing || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) {
      return;
    }
    if (event.key === '?') {
      list();
    } else if (dialog.open || !globalKey(app, event.key)) {
      return;
    }
    event.preventDefault();
  });
}

/** Does what a key asks for; whether it is one. */
function globalKey(app, key) {
  const { state, report, tabs, flame } = app;
  const measures = report.document.measures.filter((measure) => !measure.unknown).map((measure) => measure.key);
  const actions = {
    '/': () => app.controls.input.focus(),
    m: () => state.set({ measure: measures[(measures.indexOf(state.measure) + 1) % measures.length] ?? state.measure }),
    u: () => state.set({ unit: state.unit === 'bytes' ? 'count' : 'bytes' }),
    i: () => state.set({ inverted: !state.inverted }),
    f: () => state.set({ rootAtTop: !state.rootAtTop }),
    r: () => app.timeline?.brush?.focus(),
    g: () => {
      state.set({ tab: 'flame' });
      // It is hidden until then.
      requestAnimationFrame(() => requestAnimationFrame(() => flame.canvas.focus({ focusVisible: true })));
    },
    t: () => byId('theme').click(),
    Escape: () => (state.tab === 'flame' && flame.back()) || state.set({ range: null }),
    Backspace: () => flame.back(),
  };
  const view = tabs.views[Number(key) - 1];
  if (view && /^[1-9]$/.test(key)) {
    state.set({ tab: view.name });
    return true;
  }
  actions[key]?.();
  return key in actions;
}

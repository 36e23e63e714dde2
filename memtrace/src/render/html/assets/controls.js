// What is shown and how: measure, unit, direction of a change, orientation, search.

/** The row of controls. */
class Controls {
  constructor(app, place) {
    this.app = app;
    const { report, state } = app;
    this.groups = [];
    const measures = report.document.measures.map(({ key, bytes: name, unknown }) => ({ value: key, name, why: unknown }));
    place.append(this.#group('Measure', 'measure', measures));
    place.append(this.#group('Unit', 'unit', [{ value: 'bytes', name: 'bytes' }, { value: 'count', name: 'blocks' }]));
    const sides = [
      { value: 'grown', name: 'more' },
      { value: 'shrunk', name: 'less' },
    ];
    if (report.isDiff) {
      sides.push({ value: 'after', name: 'all after' }, { value: 'before', name: 'all before' });
    }
    this.side = this.#group('Change', 'side', sides);
    this.turned = this.#group('Start at', 'inverted', [{ value: false, name: 'threads' }, { value: true, name: 'what allocates' }]);
    this.root = this.#group('Root', 'rootAtTop', [{ value: true, name: 'top' }, { value: false, name: 'bottom' }]);
    this.input = el('input', {
      id: 'search',
      type: 'search',
      placeholder: 'Search functions (/)',
      'aria-label': 'Search functions and modules by a regular expression',
      title: 'A regular expression. Small letters match large ones too, unless there is a large one in it.',
      'aria-describedby': 'found',
      spellcheck: 'false',
      oninput: () => state.set({ query: this.input.value }),
      onkeydown: (event) => this.#searchKey(event),
    });
    this.found = el('span', { id: 'found', class: 'found', role: 'status', 'aria-live': 'polite' });
    place.append(this.side, this.turned, this.root, el('div', { class: 'search' }, this.input, this.found));
    this.update();
  }

  /** A group of which one is chosen. What cannot be says why. */
  #group(name, key, choices) {
    const { state } = this.app;
    const group = el('div', { class: 'choice', role: 'radiogroup', 'aria-label': name }, el('span', { class: 'choice-name', text: name }));
    const buttons = choices.map(({ value, name: text, why }) => {
      const button = el('button', { type: 'button', role: 'radio', text, title: why ?? '', 'aria-disabled': why ? 'true' : 'false' });
      button.addEventListener('click', () => (why ? announce(`${text} cannot be shown: ${why}.`) : state.set({ [key]: value })));
      group.append(button);
      return { button, value, why };
    });
    group.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const open = buttons.filter(({ why }) => !why);
      const at = open.findIndex(({ button }) => button === document.activeElement);
      if (step && at >= 0) {
        const { button, value } = open[(at + step + open.length) % open.length];
        state.set({ [key]: value });
        button.focus();
        event.preventDefault();
      }
    });
    this.groups.push({ key, buttons, group });
    return group;
  }

  #searchKey(event) {
    if (event.key === 'Escape') {
      // First out of what was typed, then out of the field, so that keys are the page's again.
      if (this.input.value === '') {
        this.input.blur();
      }
      this.input.value = '';
      this.app.state.set({ query: '' });
      event.stopPropagation();
      event.preventDefault();
    }
  }

  /** Shows what is chosen. */
  update() {
    const { state, values, report } = this.app;
    for (const { key, buttons } of this.groups) {
      for (const { button, value } of buttons) {
        button.setAttribute('aria-checked', String(state[key] === value));
      }
    }
    const ranged = state.range !== null;
    for (const { key, group } of this.groups) {
      // Histories are of live bytes alone.
      group.classList.toggle('off', ranged && (key === 'measure' || key === 'unit'));
    }
    this.side.hidden = !values.isChange();
    this.turned.hidden = state.tab !== 'flame';
    this.root.hidden = state.tab !== 'flame';
    byId('controls').hidden = !['flame', 'sites', 'functions', 'modules'].includes(state.tab);
    this.#say(report);
  }

  /** How much is found. */
  #say() {
    const { search, values, flame } = this.app;
    this.input.setAttribute('aria-invalid', String(search.problem !== ''));
    this.found.classList.toggle('problem', search.problem !== '');
    if (search.matches === null) {
      this.found.textContent = search.problem;
      return;
    }
    const { values: shown, total } = values.now();
    const { value, sites, functions } = search.share(flame.calleeTree(), shown);
    const what = functions > 0 || sites === 0 ? `${plural(functions, 'function')} in ` : '';
    this.found.textContent = `${what}${plural(sites, 'site')}: ${values.text(value)}, ${percent(total > 0 ? value / total : 0)}`;
  }
}

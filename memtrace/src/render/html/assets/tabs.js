// The views, of which one is seen. A view is filled when it is first seen.

/** The list of tabs and their panels. */
class Tabs {
  constructor(app, views) {
    this.app = app;
    this.views = views.map((view) => this.#view(view));
    // What has changed of each since it was seen, by the names of the choices.
    this.stale = new Map(views.map(({ name }) => [name, new Set()]));
  }

  #view({ name, title, show, update }) {
    const panel = el('section', { id: `panel-${name}`, class: 'panel', role: 'tabpanel', 'aria-labelledby': `tab-${name}`, hidden: true });
    const tab = el('button', {
      type: 'button',
      id: `tab-${name}`,
      role: 'tab',
      'aria-controls': panel.id,
      text: title,
      onclick: () => this.app.state.set({ tab: name }),
      onkeydown: (event) => this.#key(event),
    });
    byId('tabs').append(tab);
    byId('panels').append(panel);
    return { name, tab, panel, show, update };
  }

  #key(event) {
    const { state } = this.app;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = this.views.findIndex(({ name }) => name === state.tab);
    const next = { Home: 0, End: this.views.length - 1 }[event.key] ?? (step && (at + step + this.views.length) % this.views.length);
    if (next !== undefined) {
      state.set({ tab: this.views[next].name });
      this.views[next].tab.focus();
      event.preventDefault();
    }
  }

  /** Shows the tab that is chosen, filled anew where something has changed that it shows. */
  update(names) {
    for (const { name, update } of this.views) {
      if (update && (changesValues(names) || names.has('query') || (name === 'flame' && (names.has('inverted') || names.has('rootAtTop'))))) {
        this.stale.set(name, new Set([...(this.stale.get(name) ?? []), ...names]));
      }
    }
    for (const { name, tab, panel, show, update } of this.views) {
      const chosen = name === this.app.state.tab;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panel.hidden = !chosen;
      const changed = this.stale.get(name);
      if (chosen && changed) {
        this.stale.delete(name);
        show?.(panel);
        update?.(changed);
      }
    }
  }
}

// Puts the page together.

/** The parts of the page, which know each other by this. */
class App {
  constructor(report) {
    this.report = report;
    this.stacks = new Stacks(report);
    this.state = new State(report);
    this.values = new Values(report, this.state);
    this.search = new Search(this.stacks);
  }

  start() {
    const { report, state } = this;
    const { words } = report.document;
    document.title = `${words.title} - memtrace`;
    byId('title').textContent = words.title;
    // What the title says is not said again.
    byId('subject').textContent = words.subject?.startsWith(words.title) ? words.subject.slice(words.title.length).replace(/^[,:] /, '') : words.subject ?? '';
    const badge = byId('accuracy');
    badge.hidden = false;
    badge.textContent = words.accuracy;
    badge.classList.add(words.exact ? 'good' : 'doubt');
    byId('status').hidden = true;
    byId('page').hidden = false;
    showSums(report, byId('sums'));
    this.tabs = new Tabs(this, this.#views());
    this.flame = new Flame(this, byId('panel-flame'));
    this.timeline = report.isDiff ? null : new Timeline(this, byId('timeline'));
    byId('timeline').hidden = report.isDiff;
    byId('range').hidden = report.isDiff;
    this.controls = new Controls(this, byId('controls'));
    listenToKeys(this);
    listenToTheme(() => {
      this.timeline?.draw();
      this.flame.draw();
    });
    this.update = beforeNextFrame(() => this.#update());
    this.changed = new Set();
    state.listen((names) => {
      names.forEach((name) => this.changed.add(name));
      this.update();
    });
    this.tabs.update(new Set(VALUE_CHOICES));
    this.timeline?.update();
  }

  /** What has changed since the last frame is shown. */
  #update() {
    const names = this.changed;
    this.changed = new Set();
    if (names.has('query')) {
      this.search.set(this.state.query);
    }
    if (names.has('range')) {
      this.timeline.update();
    }
    this.tabs.update(names);
    this.controls.update();
  }

  #views() {
    const { report } = this;
    const { leaks, processes, resident, javascript } = report.document;
    const table = (make) => {
      let made = null;
      return { show: (panel) => (made ??= make(this, panel)), update: () => made.update() };
    };
    const views = [
      { name: 'flame', title: 'Flame graph', update: (names) => this.flame.update(names) },
      { name: 'sites', title: 'Sites', ...table((app, panel) => new Sites(app, panel)) },
      { name: 'functions', title: 'Functions', ...table(functionTable) },
      { name: 'modules', title: 'Modules', ...table(moduleTable) },
    ];
    if (report.isDiff) {
      return views;
    }
    views.push({ name: 'leaks', title: leaks.length > 0 ? `Leaks (${count(leaks.length)})` : 'Leaks', show: (panel) => showLeaks(this, panel) });
    if (processes.length > 1) {
      views.push({ name: 'processes', title: `Processes (${count(processes.length)})`, show: (panel) => showProcesses(this, panel) });
    }
    if (resident) {
      views.push({ name: 'resident', title: 'Resident memory', show: (panel) => showResident(this, panel) });
    }
    if (javascript) {
      views.push({ name: 'javascript', title: 'JavaScript heap', show: (panel) => showJavaScript(this, panel) });
    }
    views.push({ name: 'health', title: 'Health', show: (panel) => showHealth(this, panel) });
    return views;
  }
}

async function main() {
  try {
    new App(prepare(await readDocument())).start();
  } catch (error) {
    byId('status').hidden = false;
    byId('status').classList.add('problem');
    byId('status').textContent = `The report cannot be shown: ${error.message} The same report is in summary.txt.`;
    throw error;
  }
}

await main();

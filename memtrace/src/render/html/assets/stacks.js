// Names of frames, and stacks of sites.

const NO_FILE = -1;

/** Names and stacks of a report. */
class Stacks {
  constructor(report) {
    this.report = report;
    const { functions, strings } = report;
    this.names = functions.name.map((index) => strings[index]);
    this.modules = functions.module.map((index) => strings[index]);
    this.codes = functions.code;
    const { group } = report.document.sites;
    const below = Int32Array.from(report.document.sites.below);
    this.callings = report.node.map((end, site) => this.#above(end, below[site]));
    // Stacks of groups begin with the group, which is no frame.
    this.groups = new Set(Array.from(report.node, (end, site) => (group[site] < 0 ? -1 : this.#root(end))));
  }

  #above(end, levels) {
    let node = end;
    for (let level = 0; level < levels; level += 1) {
      node = this.report.nodes.above[node];
    }
    return node;
  }

  #root(end) {
    const { above } = this.report.nodes;
    let node = end;
    while (above[node] >= 0) {
      node = above[node];
    }
    return node;
  }

  /** The frames of a node, from the root down. */
  frames(node) {
    const { above, frame } = this.report.nodes;
    const found = [];
    for (let at = node; at >= 0; at = above[at]) {
      found.push(frame[at]);
    }
    return found.reverse();
  }

  /** The node of what allocates, without the allocator and what only passes a request on; of a lost stack, why it was lost. */
  calling(site) {
    return this.callings[site];
  }

  /** Whether a node is above all frames: what sites are kept apart by. */
  isGroup(node) {
    return this.groups.has(node);
  }

  /** Whether a function is one, and not what stands where there is none: a group, an operation, the loss of a stack. */
  isFunction(of) {
    return this.modules[of] !== '';
  }

  /** The function that a node is of. */
  functionAt(node) {
    return this.report.nodes.function[node];
  }

  /** `file:line` with the folder it is in, else the module. */
  place(frame) {
    const { file, line, function: functions } = this.report.frames;
    if (file[frame] === NO_FILE) {
      const module = this.modules[functions[frame]];
      return this.names[functions[frame]].startsWith(`${module}+0x`) ? '' : module;
    }
    const short = this.report.strings[file[frame]].split('/').slice(-2).join('/');
    return line[frame] > 0 ? `${short}:${line[frame]}` : short;
  }

  /** The same with all that is known. */
  fullPlace(frame) {
    const { file, line, inlined, function: functions } = this.report.frames;
    const parts = [this.modules[functions[frame]]];
    if (file[frame] !== NO_FILE) {
      parts.push(`${this.report.strings[file[frame]]}${line[frame] > 0 ? `:${line[frame]}` : ''}`);
    }
    if (inlined[frame]) {
      parts.push('inlined into its caller');
    }
    return parts.filter(Boolean).join(', ');
  }

  /** `function (file:line)`. */
  label(frame) {
    const place = this.place(frame);
    const name = this.names[this.report.frames.function[frame]];
    return place ? `${name} (${place})` : name;
  }

  /** A stack as lines of text, leaf first. */
  text(node) {
    return this.frames(node)
      .reverse()
      .map((frame) => this.label(frame))
      .join('\n');
  }

  /** The stack of a site as a list, from the calling function on; what lies below can be seen too. */
  list(site) {
    const node = this.report.node[site];
    const calling = this.frames(this.calling(site)).length;
    const frames = this.frames(node);
    const list = el('ol', { class: 'stack' });
    for (let index = frames.length - 1; index >= 0; index -= 1) {
      const frame = frames[index];
      const code = this.report.document.codes[this.codes[this.report.frames.function[frame]]];
      const mark = el('span', { class: 'swatch', title: code.name });
      mark.style.background = rgb(code.colour);
      const name = el('span', { class: 'name', text: this.names[this.report.frames.function[frame]] });
      const place = el('span', { class: 'place', text: this.place(frame), title: this.fullPlace(frame) });
      list.append(el('li', { class: index >= calling ? 'below' : '' }, mark, name, ' ', place));
    }
    const copy = el('button', { type: 'button', class: 'small', text: 'Copy stack', onclick: () => copyText(this.text(node)) });
    return el('div', { class: 'stack-box' }, list, copy);
  }
}

/** `#rrggbb` of a number. */
function rgb(colour) {
  return `#${colour.toString(16).padStart(6, '0')}`;
}

/** Puts text on the clipboard, and says so. A page from a file may not be allowed to by the newer way. */
async function copyText(text) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    const area = el('textarea', { class: 'offscreen', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand('copy');
    area.remove();
  }
  announce(done ? 'The stack is on the clipboard.' : 'The browser did not let the page copy.');
}

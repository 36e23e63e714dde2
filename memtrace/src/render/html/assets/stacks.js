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
    this.allocator = report.document.codes.findIndex((code) => code.name === 'allocator');
    this.base = report.document.codes.findIndex((code) => code.name === 'group or call');
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

  /** The node of what allocates: without the allocator and what only passes a request on, unless there is nothing else. */
  calling(node) {
    const { above, function: functions } = this.report.nodes;
    const code = (at) => this.codes[functions[at]];
    for (let at = node; at >= 0; at = above[at]) {
      if (code(at) === this.base && at !== node) {
        return node;
      }
      if (code(at) !== this.allocator) {
        return at;
      }
    }
    return node;
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

  /** A stack as a list, from the calling function on; what lies below can be seen too. */
  list(node) {
    const calling = this.frames(this.calling(node)).length;
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

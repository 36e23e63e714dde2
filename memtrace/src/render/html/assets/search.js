// Which functions the reader looks for, and how much comes through them.

/** The functions that match a regular expression; small letters match large ones too. */
class Search {
  constructor(stacks) {
    this.stacks = stacks;
    this.clear();
  }

  clear() {
    this.matches = null;
    this.problem = '';
    this.query = '';
  }

  /** Looks for a pattern; an empty one for nothing. */
  set(query) {
    this.clear();
    this.query = query;
    if (query === '') {
      return;
    }
    let pattern;
    try {
      pattern = new RegExp(query, query === query.toLowerCase() ? 'iu' : 'u');
    } catch (error) {
      this.problem = `This is no regular expression: ${String(error.message).split(': ').pop()}. A \\ before a sign takes it as it is.`;
      return;
    }
    const { names, modules } = this.stacks;
    this.matches = Uint8Array.from(names, (name, index) => (pattern.test(name) || pattern.test(modules[index]) ? 1 : 0));
  }

  /** Whether a function matches. */
  has(of) {
    return this.matches !== null && this.matches[of] === 1;
  }

  /** Which nodes of a tree have a match at or above them. */
  under(tree) {
    const found = new Uint8Array(tree.above.length);
    for (let node = 1; node < found.length; node += 1) {
      found[node] = found[tree.above[node]] || this.matches[tree.function[node]];
    }
    return found;
  }

  /** How much of the values has a match in its stack, in how many sites. */
  share(tree, values) {
    const under = this.under(tree);
    let [value, sites] = [0, 0];
    for (let site = 0; site < values.length; site += 1) {
      if (under[tree.ends[site]]) {
        value += values[site];
        sites += values[site] > 0 ? 1 : 0;
      }
    }
    return { value, sites, functions: sum(this.matches.filter((hit, of) => hit === 1 && this.stacks.isFunction(of))) };
  }
}

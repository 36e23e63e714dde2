// Stacks as a tree of functions: a node is a function below its caller, or above what it calls when it is turned around.

const ROOT = 0;

/** A tree; node 0 is everything, and every other one comes after the one above it. */
class Tree {
  constructor() {
    this.above = [-1];
    this.function = [-1];
    this.known = new Pairs();
  }

  /** The node of a function below another. */
  below(node, of) {
    const next = this.above.length;
    const found = this.known.getOrPut(node, of, next);
    if (found === next) {
      this.above.push(node);
      this.function.push(of);
    }
    return found;
  }

  /** Makes it ready to be added up: where each site ends, and who lies below whom. */
  finish(ends) {
    this.known = null;
    this.ends = ends;
    this.above = Int32Array.from(this.above);
    this.function = Int32Array.from(this.function);
    this.first = new Int32Array(this.above.length).fill(-1);
    this.next = new Int32Array(this.above.length).fill(-1);
    for (let node = this.above.length - 1; node > ROOT; node -= 1) {
      this.next[node] = this.first[this.above[node]];
      this.first[this.above[node]] = node;
    }
    return this;
  }

  /** The sum of each node over the sites that come through it. */
  totals(values) {
    const totals = new Float64Array(this.above.length);
    for (let site = 0; site < values.length; site += 1) {
      totals[this.ends[site]] += values[site];
    }
    for (let node = totals.length - 1; node > ROOT; node -= 1) {
      totals[this.above[node]] += totals[node];
    }
    return totals;
  }

  /** The nodes from the root to this one. */
  path(node) {
    const found = [];
    for (let at = node; at >= ROOT; at = this.above[at]) {
      found.push(at);
    }
    return found.reverse();
  }
}

/** Who calls whom, from the start of threads down to the allocator. */
function calleeTree(report) {
  const { above, function: functions } = report.nodes;
  const tree = new Tree();
  const merged = new Int32Array(above.length);
  for (let node = 0; node < above.length; node += 1) {
    const parent = above[node] < 0 ? ROOT : merged[above[node]];
    merged[node] = tree.below(parent, functions[node]);
  }
  return tree.finish(report.node.subarray(0, report.memory).map((node) => merged[node]));
}

/** Who is behind what allocates: from the calling function up to the start of threads. */
function callerTree(report, stacks) {
  const { above, function: functions } = report.nodes;
  const tree = new Tree();
  const known = new Map();
  const ends = new Int32Array(report.memory);
  for (let site = 0; site < report.memory; site += 1) {
    const node = stacks.calling(site);
    if (!known.has(node)) {
      let end = ROOT;
      for (let at = node; at >= 0; at = above[at]) {
        end = tree.below(end, functions[at]);
      }
      known.set(node, end);
    }
    ends[site] = known.get(node);
  }
  return tree.finish(ends);
}

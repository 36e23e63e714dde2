// Where the boxes of a flame graph lie. What is narrower than half a pixel is drawn as one with its neighbours.

const NARROW = 0.5;

/** The children of nodes with most first, remembered while the values stay. */
class Order {
  constructor(tree, totals) {
    this.tree = tree;
    this.totals = totals;
    this.known = new Map();
  }

  children(node, least) {
    let found = this.known.get(node);
    if (!found || found.least > least) {
      const children = [];
      for (let child = this.tree.first[node]; child >= 0; child = this.tree.next[child]) {
        // Those that are too narrow need no order: they are one box.
        if (this.totals[child] > 0 && this.totals[child] >= least) {
          children.push(child);
        }
      }
      children.sort((one, other) => this.totals[other] - this.totals[one] || one - other);
      found = { children, least };
      this.known.set(node, found);
    }
    return found.children;
  }
}

/** Boxes in rows: those above `zoom` as wide as all, it and what lies below it by their values. */
function layOut(tree, totals, order, zoom, width) {
  const rows = [];
  const put = (depth, box) => {
    while (rows.length <= depth) {
      rows.push([]);
    }
    rows[depth].push(box);
  };
  const path = tree.path(zoom);
  path.slice(0, -1).forEach((node, depth) => put(depth, { node, x: 0, width, merged: 0, above: true }));
  const all = totals[zoom];
  if (all <= 0) {
    put(path.length - 1, { node: zoom, x: 0, width, merged: 0, above: false });
    return rows;
  }
  const scale = width / all;
  const open = [{ node: zoom, x: 0, depth: path.length - 1 }];
  while (open.length > 0) {
    const { node, x, depth } = open.pop();
    put(depth, { node, x, width: totals[node] * scale, merged: 0, above: false });
    let at = x;
    for (const child of order.children(node, NARROW / scale)) {
      const wide = totals[child] * scale;
      if (wide < NARROW) {
        continue;
      }
      open.push({ node: child, x: at, depth: depth + 1 });
      at += wide;
    }
    const rest = restBelow(tree, totals, node, NARROW / scale);
    if (rest.count > 0 && rest.value * scale >= NARROW) {
      put(depth + 1, { node, x: at, width: rest.value * scale, merged: rest.count, value: rest.value, above: false });
    }
  }
  for (const row of rows) {
    row.sort((one, other) => one.x - other.x);
  }
  return rows;
}

/** What lies below a node in boxes that are too narrow: how many, and how much together. */
function restBelow(tree, totals, node, least) {
  const rest = { count: 0, value: 0 };
  for (let child = tree.first[node]; child >= 0; child = tree.next[child]) {
    if (totals[child] > 0 && totals[child] < least) {
      rest.count += 1;
      rest.value += totals[child];
    }
  }
  return rest;
}

/** The box of a row at a place, or nothing. */
function boxAt(row, x) {
  let [low, high] = [0, row ? row.length - 1 : -1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const box = row[middle];
    if (x < box.x) high = middle - 1;
    else if (x >= box.x + box.width) low = middle + 1;
    else return box;
  }
  return null;
}

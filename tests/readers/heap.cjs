// A program with many kinds of objects, which writes heap snapshots of itself: heap.cjs FIRST SECOND [OBJECTS]
'use strict';
const v8 = require('v8');
const [first, second, bulk] = process.argv.slice(2);

class Leaf {
  constructor(i) {
    this.i = i;
    this.text = 'leaf number ' + i;
  }
}
class Holder {
  constructor() {
    this.list = [];
  }
}
const many = (count, make) => Array.from({ length: count }, (_, i) => make(i));

globalThis.holder = new Holder();
globalThis.weak = new WeakMap();
globalThis.keys = [];
// In a function of its own, so that no variable keeps the last one.
(() => {
  for (let i = 0; i < 2000; i++) {
    const leaf = new Leaf(i);
    globalThis.holder.list.push(leaf);
    if (i % 3 === 0) {
      globalThis.weak.set(leaf, { weak: true, back: leaf, i });
      globalThis.keys.push(leaf);
    }
  }
})();
// A pair that only holds itself.
globalThis.lonely = new WeakMap();
(() => {
  const key = {};
  globalThis.lonely.set(key, { key, self: 1 });
  globalThis.reference = new WeakRef(key);
})();
// Plain objects of several kinds; properties whose names have to be quoted.
globalThis.plain = many(500, i => (i % 2 ? { a: i, b: 'x' + i } : { b: i, a: 2, 'c,d': 1 }));
globalThis.deep = many(200, i => ({ id: i, inner: { 'it\'s': i, 'say "so"': { b: i, a: 2, more: 3 } } }));
globalThis.buffers = many(10, () => Buffer.alloc(1 << 16));
globalThis.closures = many(100, i => () => i);
globalThis.joined = many(50, i => 'prefix of some length ' + i + ' and more of it ' + process.pid);
globalThis.others = [/abc/g, Symbol('symbolic'), 12345678901234567890n, 1.5, new Date(), new Proxy({}, {})];
globalThis.map = new Map(globalThis.plain.map(one => [one.a, one]));
// Another class with the name of one above.
{
  class Leaf {
    constructor() {
      this.other = {};
    }
  }
  globalThis.same = many(20, () => new Leaf());
}
// Deeper than any stack of calls.
globalThis.link = null;
for (let i = 0; i < 30000; i++) globalThis.link = { next: globalThis.link };
if (bulk) globalThis.bulk = many(Number(bulk), i => ({ id: i, name: 'name ' + i, tags: [i, i + 1], leaf: new Leaf(i) }));

v8.writeHeapSnapshot(first);
if (second) {
  globalThis.holder.list.length = 1500;
  globalThis.more = many(300, i => new Leaf(-i));
  globalThis.closures.length = 10;
  v8.writeHeapSnapshot(second);
}

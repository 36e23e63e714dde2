// A table of pairs of numbers: a Map needs one key, and takes several times as long for millions of them.

const WORDS = 4;

/** Numbers by pairs of numbers from 0 on. */
class Pairs {
  constructor() {
    this.size = 0;
    this.#make(1 << 16);
  }

  #make(capacity) {
    this.mask = capacity - 1;
    // Of each slot the pair and one more than its number, so that what is empty is 0; four words, to lie in one line of the cache.
    this.slots = new Int32Array(capacity * WORDS);
  }

  /** The number of a pair; `otherwise`, which it then has, where it had none. */
  getOrPut(first, second, otherwise) {
    const at = this.#find(first, second);
    const found = this.slots[at + 2];
    if (found !== 0) {
      return found - 1;
    }
    this.#fill(at, first, second, otherwise + 1);
    this.size += 1;
    if (this.size * 2 > this.mask) {
      this.#grow();
    }
    return otherwise;
  }

  /** Where a pair is, or would be: the next free slot from the one that its bits say (mixed as MurmurHash3 ends). */
  #find(first, second) {
    const { slots, mask } = this;
    let mixed = Math.imul(first, 0x9e3779b1) + Math.imul(second, 0x7feb352d);
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    let slot = (mixed ^ (mixed >>> 16)) & mask;
    while (slots[slot * WORDS + 2] !== 0 && (slots[slot * WORDS] !== first || slots[slot * WORDS + 1] !== second)) {
      slot = (slot + 1) & mask;
    }
    return slot * WORDS;
  }

  #fill(at, first, second, value) {
    this.slots[at] = first;
    this.slots[at + 1] = second;
    this.slots[at + 2] = value;
  }

  #grow() {
    const before = this.slots;
    this.#make((this.mask + 1) * 2);
    for (let at = 0; at < before.length; at += WORDS) {
      if (before[at + 2] !== 0) {
        this.#fill(this.#find(before[at], before[at + 1]), before[at], before[at + 1], before[at + 2]);
      }
    }
  }
}

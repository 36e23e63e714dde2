// A table of pairs of numbers: a Map needs one key, and takes ten times as long for millions of them.

/** Numbers by pairs of numbers from 0 on. */
class Pairs {
  constructor() {
    this.#make(1 << 16);
    this.size = 0;
  }

  #make(capacity) {
    this.mask = capacity - 1;
    this.first = new Int32Array(capacity);
    this.second = new Int32Array(capacity);
    // One more than the number, so that what is empty is 0.
    this.value = new Int32Array(capacity);
  }

  /** The number of a pair; `otherwise`, which it then has, where it had none. */
  getOrPut(first, second, otherwise) {
    const slot = this.#slot(first, second);
    if (this.value[slot] !== 0) {
      return this.value[slot] - 1;
    }
    this.#fill(slot, first, second, otherwise + 1);
    this.size += 1;
    if (this.size * 2 > this.mask) {
      this.#grow();
    }
    return otherwise;
  }

  /** Where a pair is, or would be: the next free place from the one that its bits say. */
  #slot(first, second) {
    let mixed = Math.imul(first, 0x9e3779b1) ^ Math.imul(second + 1, 0x85ebca6b);
    mixed ^= mixed >>> 15;
    let slot = mixed & this.mask;
    while (this.value[slot] !== 0 && (this.first[slot] !== first || this.second[slot] !== second)) {
      slot = (slot + 1) & this.mask;
    }
    return slot;
  }

  #fill(slot, first, second, value) {
    this.first[slot] = first;
    this.second[slot] = second;
    this.value[slot] = value;
  }

  #grow() {
    const { first, second, value } = this;
    this.#make((this.mask + 1) * 2);
    for (let slot = 0; slot < value.length; slot += 1) {
      if (value[slot] !== 0) {
        this.#fill(this.#slot(first[slot], second[slot]), first[slot], second[slot], value[slot]);
      }
    }
  }
}

// What javascript_module.mjs imports.
const kept = [];

export function keep(more) {
  kept.push(Buffer.alloc(150_000 + more)); // allocates
}

export default class Store {
  add(more) {
    keep(more); // passes on
  }
}

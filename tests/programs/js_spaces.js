// Allocates objects in known spaces of V8's heap: node --expose-gc FLAGS js_spaces.js. No collection may come into the work, so flags have to make
// the young generation larger than what is taken of it. What the work takes in each space is what V8's own statistics grow by.
'use strict';
const fs = require('node:fs');
const v8 = require('node:v8');

function say(line) {
  fs.writeSync(1, `${line}\n`);
}

// All of it stays.
const kept = [];

// Some time without an allocation: what is taken at once cannot be sampled.
function spin(turns) {
  let sum = 0;
  for (let turn = 0; turn < turns; turn += 1) sum = (sum + turn) | 0;
  return sum;
}

// V8 keeps what it makes of source text where it expects it to stay: with old objects, and code for its interpreter in 12.4 and later with trusted ones.
function compiled(rounds) {
  for (let round = 0; round < rounds; round += 1) {
    const numbers = Array.from({ length: 400 }, (_, index) => index + round + 0.5);
    const make = (0, eval)(`(function made${round}() { return [${numbers.join(',')}]; })`);
    make();
    kept.push(make);
    spin(20000);
  }
}

// Every object has a description of its own, which V8 10.2 keeps in a space of their own.
function shaped(rounds) {
  for (let round = 0; round < rounds; round += 1) {
    const object = {};
    for (let of = 0; of < 20; of += 1) object[`of${round % 1000}x${of}y${round}`] = of;
    kept.push(object);
    spin(5000);
  }
}

function short(rounds) {
  for (let round = 0; round < rounds; round += 1) {
    kept.push([round, { round }, round + 1, round + 2, round + 3]);
    spin(100);
  }
}

function large(rounds) {
  for (let round = 0; round < rounds; round += 1) {
    kept.push(new Array(40000).fill(round));
    spin(20000);
  }
}

// Used bytes by what spaces are for, in the words of reports.
function used() {
  const values = { young: 0, old: 0, code: 0, map: 0, shared: 0, trusted: 0, large: 0 };
  for (const { space_name: name, space_used_size: bytes } of v8.getHeapSpaceStatistics()) {
    let space = name.replace(/^shared_(?=.*trusted)/, '').replace(/_space$/, '').replace('new', 'young');
    if (name.endsWith('large_object_space')) space = 'large';
    if (space in values) values[space] += bytes;
  }
  return values;
}

say(`ready ${process.pid}`);
process.stdin.once('data', () => {
  const before = used();
  compiled(1200);
  shaped(1000);
  short(50000);
  large(50);
  const values = used();
  for (const space of Object.keys(values)) values[space] = Math.max(0, values[space] - before[space]);
  say(`truth ${JSON.stringify({ sites: {}, values })}`);
  say('hold');
});
process.stdin.on('end', () => process.exit(0));

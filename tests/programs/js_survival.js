// Allocates objects whose lives are known: node FLAGS js_survival.js KIND ROUNDS. KIND is `main`, or `worker` (a thread of its own works).
// `leak` keeps all that it makes, `ring` keeps each object while some 2 MiB are allocated, `short` keeps one. So flags that make each half of young space 4 MiB
// large make the truth: what leaks becomes old, about half of what is in the ring survives one collection, and next to nothing of it two.
'use strict';
const fs = require('node:fs');
const v8 = require('node:v8');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

function say(line) {
  fs.writeSync(1, `${line}\n`);
}

const kept = [];
const live = new Array(3000).fill(null);
let next = 0;
let last = null;

function leak(n) {
  kept.push([n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1]);
}

function ring(n) {
  live[next] = [n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1];
  next = next === 2999 ? 0 : next + 1;
}

function short(n) {
  last = [n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1];
}

const functions = [leak, ring, short];
// Of 32 calls, how many are of each.
const order = [];
[3, 8, 21].forEach((calls, index) => order.push(...new Array(calls).fill(index)));
const calls = new Float64Array(functions.length);

let random = 12345;

function draw() {
  random = (Math.imul(random, 1103515245) + 12345) | 0;
  return (random >>> 16) & 31;
}

// Some microseconds without an allocation: what is taken at once cannot be sampled.
function spin() {
  let sum = 0;
  for (let turn = 0; turn < 1500; turn += 1) sum = (sum + turn) | 0;
  return sum;
}

function work(rounds) {
  for (let round = 0; round < rounds; round += 1) {
    for (let call = 0; call < 512; call += 1) {
      const index = order[draw()];
      calls[index] += 1;
      functions[index](call);
      spin();
    }
  }
}

// Bytes that a call takes, by V8's statistics: the middle of some measurements, because a collection may come into one.
function measured() {
  const all = [];
  for (let round = 0; round < 15; round += 1) {
    const before = v8.getHeapStatistics().used_heap_size;
    for (let call = 0; call < 400; call += 1) short(call);
    all.push((v8.getHeapStatistics().used_heap_size - before) / 400);
  }
  return all.sort((one, other) => one - other)[7];
}

function truth() {
  const values = {};
  const done = calls.slice();
  functions.forEach((of, index) => {
    values[of.name] = Math.round(done[index] * measured());
  });
  return values;
}

function tell(values) {
  say(`truth ${JSON.stringify({ sites: {}, values })}`);
  say('hold');
}

function begin(then) {
  say(`ready ${process.pid}`);
  process.stdin.once('data', then);
  process.stdin.on('end', () => process.exit(0));
}

if (!isMainThread) {
  parentPort.once('message', () => {
    work(workerData);
    parentPort.postMessage(truth());
  });
  parentPort.postMessage('ready');
} else if (process.argv[2] === 'worker') {
  const worker = new Worker(__filename, { workerData: Number(process.argv[3]) });
  worker.once('message', () => {
    begin(() => {
      worker.once('message', tell);
      worker.postMessage('go');
    });
  });
} else {
  begin(() => {
    work(Number(process.argv[3]));
    tell(truth());
  });
}

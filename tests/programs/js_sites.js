// Allocates objects in functions whose parts of all bytes are known: node js_sites.js KIND ROUNDS. KIND is `random` (any function may be next),
// `periodic` (the same work again and again, as a server has it), `workers` (two threads, of which one works `random`) or `endless` (as
// `random`, until it is told to stop). A round takes some 75 KiB. What a call takes is measured by V8's own statistics of the heap, so the truth is not that of a table in this file.
'use strict';
const fs = require('node:fs');
const v8 = require('node:v8');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

function say(line) {
  fs.writeSync(1, `${line}\n`);
}

// What was allocated last, so that nothing is left out as unused.
const kept = new Array(64).fill(null);
let next = 0;

function keep(object) {
  kept[next] = object;
  next = (next + 1) & 63;
}

function small(n) {
  keep([n, n + 1]);
}

function middle(n) {
  keep([n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1, n, n + 1]);
}

function closures(n) {
  keep(() => n);
  keep((m) => n + m);
}

function objects(n) {
  keep({ n, of: { n, list: [n, n], and: { n } }, or: { m: n } });
}

function wide(n) {
  keep([
    n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
    n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
  ]);
}

function rare(n) {
  keep([n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n]);
}

// Six of them at one place in the code are not compiled into their caller.
const functions = [small, middle, closures, objects, wide, rare];
// Of 32 calls, how many are of each.
const order = [];
[8, 8, 6, 5, 4, 1].forEach((calls, index) => order.push(...new Array(calls).fill(index)));
const calls = new Float64Array(functions.length);

let random = 12345;

function draw() {
  random = (Math.imul(random, 1103515245) + 12345) | 0;
  return (random >>> 16) & 31;
}

// Some microseconds without an allocation: a program that does nothing but allocate takes an area before anybody can look at it.
function spin() {
  let sum = 0;
  for (let turn = 0; turn < 1500; turn += 1) sum = (sum + turn) | 0;
  return sum;
}

function turn(index, n) {
  calls[index] += 1;
  functions[index](n);
  spin();
}

function round(kind) {
  for (let call = 0; call < 512; call += 1) turn(order[kind === 'periodic' ? call & 31 : draw()], call);
}

function work(kind, rounds) {
  for (let done = 0; done < rounds; done += 1) round(kind);
}

// Hears what it is told between two rounds.
function endless() {
  let stopped = false;
  process.stdin.once('data', () => {
    stopped = true;
  });
  const next = () => {
    if (stopped) return tell(truth());
    round('random');
    return setImmediate(next);
  };
  next();
}

// Bytes that a call takes: the middle of some measurements, because a collection may come into one.
function measured(index) {
  const all = [];
  for (let round = 0; round < 15; round += 1) {
    const before = v8.getHeapStatistics().used_heap_size;
    for (let call = 0; call < 400; call += 1) functions[index](call);
    all.push((v8.getHeapStatistics().used_heap_size - before) / 400);
  }
  return all.sort((one, other) => one - other)[7];
}

function truth() {
  const values = {};
  const done = calls.slice();
  functions.forEach((of, index) => {
    values[of.name] = Math.round(done[index] * measured(index));
  });
  return values;
}

function tell(values) {
  say(`truth ${JSON.stringify({ sites: {}, values })}`);
  say('hold');
}

function main() {
  const [kind, rounds] = [process.argv[2], Number(process.argv[3])];
  const begin = (then) => {
    process.stdin.once('data', then);
    process.stdin.on('end', () => process.exit(0));
  };
  if (kind !== 'workers') {
    say(`ready ${process.pid}`);
    begin(() => {
      if (kind === 'endless') return endless();
      work(kind, rounds);
      return tell(truth());
    });
    return;
  }
  const worker = new Worker(__filename, { workerData: rounds });
  worker.once('message', () => {
    say(`ready ${process.pid}`);
    begin(() => {
      worker.once('message', (values) => tell(values));
      worker.postMessage('go');
    });
  });
}

if (isMainThread) {
  main();
} else {
  parentPort.once('message', () => {
    work('random', workerData);
    parentPort.postMessage(truth());
  });
  parentPort.postMessage('ready');
}

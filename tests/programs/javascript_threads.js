// Threads that wait in all kinds of JavaScript code, and one that computes. The first argument is a folder for pipes.
//
//     stacks {TID: [NAME, [[FUNCTION, FILE, LINE], ...]], ...}     innermost frame first, of all threads
//     ready PID                     then it waits for a line in JavaScript code, which lets all of them go on
//     done NAMES                    what has come to its end as it should
//
// Each says where it is in the line in which it waits.

'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const child = require('child_process');
const fs = require('fs');
const path = require('path');
const vm = require('vm');

Error.stackTraceLimit = 10_000;

// What is built in has no file.
function call(site) {
  const file = site.isEval() ? `eval at ${__filename}` : site.getFileName();
  return [site.getFunctionName() || '', file || '', site.getLineNumber() || 0];
}

function stack() {
  const before = Error.prepareStackTrace;
  // What was awaited is on no stack.
  Error.prepareStackTrace = (_, sites) => sites.filter((site) => !site.isAsync() && !site.isPromiseAll()).map(call);
  const frames = new Error().stack.slice(2);
  Error.prepareStackTrace = before;
  return frames;
}

const thread = () => Number(path.basename(fs.readlinkSync('/proc/thread-self')));

// A word that is 1 when all is to end.
let control = new Int32Array(new SharedArrayBuffer(4));
let folder = process.argv[2];

// What V8 is to compile is done many times, without waiting: at 3 almost nothing is done, at 1 and 2 all of it but telling, so that the code stays
// good when it is done at 0.
const mode = new Int32Array(1);
const sinks = [(frames) => parentPort.postMessage([thread(), frames]), () => 1, () => 2];

function say() {
  if (mode[0] === 3) {
    return;
  }
  sinks[mode[0]](stack());
}

function waits() {
  return say(), Atomics.wait(control, 0, mode[0]), 7;
}

function reads() {
  const pipe = fs.openSync(path.join(folder, 'reads'), 'r+');
  const bytes = Buffer.alloc(1);
  return say(), fs.readSync(pipe, bytes), bytes[0] - 58;
}

function spawns() {
  const found = (say(), child.spawnSync('head', ['-c', '1', path.join(folder, 'spawns')]));
  return found.stdout[0] - 58;
}

function computes() {
  let turns = 0;
  function leaf(number) {
    return (number * 31) % 1009;
  }
  say();
  while (Atomics.load(control, 0) === 0) {
    turns = leaf(turns + 1);
  }
  return turns < 1009 ? 7 : 0;
}

function deep(depth) {
  return depth > 0 ? deep(depth - 1) : waits();
}

class Größe {
  #hidden = (number) => [number].map(() => waits())[0];
  get größe() {
    return this.#hidden(1);
  }
  *функция() {
    yield this.größe;
  }
}

function named() {
  for (const found of new Größe().функция()) {
    return found;
  }
}

function evaluated() {
  const within = vm.runInThisContext('\n\n(call) =>\n  call()', '/nicht da/ünï\u{1f600}.js');
  return within(() => eval('\n\nwaits()'));
}

async function awaited() {
  await null;
  const later = async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return waits();
  };
  return await later();
}

function inner(number) {
  return waits() + 0 * number;
}

function middle(number) {
  const found = inner(number);
  return found + 0;
}

function compiled() {
  const outer = (number) => {
    let sum = middle(number);
    return sum;
  };
  for (let turn = 0; turn < 20_000; turn++) {
    mode[0] = turn % 20 === 0 ? 1 + (turn / 20) % 2 : 3;
    outer(turn);
  }
  mode[0] = 0;
  return outer(1);
}

const WORK = { waits, reads, spawns, computes, deep: () => deep(2_000), named, evaluated, awaited, compiled };

function begin(name) {
  return new Promise((resolve) => {
    const worker = new Worker(__filename, { workerData: { control, folder, name }, resourceLimits: { stackSizeMb: 16 } });
    worker.once('message', ([tid, frames]) => resolve({ worker, name, tid, frames }));
  });
}

async function main() {
  for (const pipe of ['reads', 'spawns']) {
    child.execFileSync('mkfifo', [path.join(folder, pipe)]);
  }
  const all = [];
  for (const name in WORK) {
    all.push(await begin(name));
  }
  const results = all.map(({ worker, name }) => new Promise((resolve) =>
    worker.once('message', (result) => resolve(result === 7 ? name : `${name}: ${result}`))));
  hold(all);
  Atomics.store(control, 0, 1);
  Atomics.notify(control, 0);
  const pipes = ['reads', 'spawns'].map((pipe) => fs.openSync(path.join(folder, pipe), 'r+'));
  pipes.forEach((pipe) => fs.writeSync(pipe, 'A'));
  const done = await Promise.all(results);
  print(`done ${done.join(' ')}\n`);
  process.exit(0);
}

// The pipe may be full, and not wait.
function print(text) {
  for (let rest = Buffer.from(text); rest.length > 0;) {
    try {
      rest = rest.subarray(fs.writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') {
        throw error;
      }
    }
  }
}

function hold(all) {
  const line = Buffer.alloc(1);
  const said = Object.fromEntries(all.map(({ tid, name, frames }) => [tid, [name, frames]]));
  const own = () => (said[process.pid] = ['hold', stack()], `stacks ${JSON.stringify(said)}\nready ${process.pid}\n`);
  print(own()), fs.readSync(0, line);
}

if (isMainThread) {
  main();
} else {
  ({ control, folder } = workerData);
  Promise.resolve(WORK[workerData.name]()).then((result) => parentPort.postMessage(result));
}

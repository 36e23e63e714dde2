// Allocates blocks of sizes that occur once, each from another kind of JavaScript code, and says what V8 says of the stack there:
//
//     ready PID                     then it waits for a line
//     stacks [[SIZE, [[FUNCTION, FILE, LINE], ...]], ...]     innermost frame first; one line from each thread
//     hold                          then it waits for the end of its input
//
// The block and the stack are made in one line. With the argument `warm` everything is done many times before that, so that V8 has compiled it: now
// and then as it is done afterwards, so that the code stays good.

'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const fs = require('fs');

Error.stackTraceLimit = 200;
const LEAST = 100_003;
const STEP = 1_024;
let next = isMainThread ? LEAST : workerData;
let kept = [];
let stacks = [];
const quick = new Uint8Array(1);

// What is built in has no file.
function call(site) {
  const file = site.isEval() ? `eval at ${__filename}` : site.getFileName();
  return [site.getFunctionName() || '', file || '', site.getLineNumber() || 0];
}

function note(size) {
  if (quick[0] === 1) {
    return 1;
  }
  const before = Error.prepareStackTrace;
  // What was awaited is on no stack.
  Error.prepareStackTrace = (_, sites) => sites.filter((site) => !site.isAsync() && !site.isPromiseAll()).map(call);
  const frames = new Error().stack.slice(1);
  Error.prepareStackTrace = before;
  stacks.push([size, frames]);
  return 1;
}

function size() {
  return quick[0] === 1 ? 64 : (next += STEP);
}

function plain() {
  const bytes = size();
  return kept.push(new ArrayBuffer(bytes)), note(bytes);
}

function größe() {
  const bytes = size();
  return kept.push(new ArrayBuffer(bytes)), note(bytes);
}

function функция() {
  const bytes = size(); return kept.push(new ArrayBuffer(bytes)), note(bytes);
}

const arrow = () => {
  const bytes = size();
  return kept.push(new ArrayBuffer(bytes)), note(bytes);
};

class Base {
  #secret = 1;
  static made = 0;
  constructor() {
    const bytes = size();
    kept.push(new ArrayBuffer(bytes)), note(bytes);
  }
  method(depth) {
    if (depth > 0) {
      return this.method(depth - 1) + this.#secret;
    }
    return plain();
  }
  get property() {
    return plain() + arrow();
  }
  set property(value) {
    const bytes = size();
    kept.push(new ArrayBuffer(bytes)), note(bytes + 0 * value);
  }
  static made_here() {
    return plain();
  }
  *items() {
    const bytes = size();
    kept.push(new ArrayBuffer(bytes)), note(bytes);
    yield 1;
    yield plain();
  }
  async later() {
    plain();
    await null;
    const bytes = size();
    kept.push(new ArrayBuffer(bytes)), note(bytes);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return plain();
  }
}

class Derived extends Base {
  field = plain();
  constructor() {
    super();
    plain();
  }
  method(depth) {
    return super.method(depth);
  }
}

function closure(step) {
  let local = step;
  return function inner() {
    local += plain();
    return () => {
      const bytes = size();
      return kept.push(new ArrayBuffer(bytes)), note(bytes) + local;
    };
  };
}

function* generator() {
  plain();
  yield 1;
  const bytes = size();
  kept.push(new ArrayBuffer(bytes)), note(bytes);
  yield* new Base().items();
}

async function* streamed() {
  yield plain();
  await null;
  yield plain();
}

function recursive(depth) {
  if (depth === 0) {
    return plain();
  }
  return recursive(depth - 1) + 1;
}

function many_locals(one, two, three) {
  let a = one, b = two, c = three, d = a + b, e = b + c, f = c + d, g = () => a + b + c + d + e + f;
  try {
    const bytes = size();
    kept.push(new ArrayBuffer(bytes)), note(bytes);
    throw new Error('thrown');
  } catch (error) {
    return g() + plain();
  } finally {
    plain();
  }
}

function callbacks() {
  [3, 1, 2].sort((left, right) => (left === 3 ? plain() : 0) + left - right);
  [1].map(plain);
  [1].forEach((item) => arrow(item));
  [1].reduce((sum, item) => sum + plain(), 0);
  new Map([[1, 2]]).forEach(() => plain());
  Array.from([1], () => plain());
  'text'.replace(/x/, () => (plain(), 'y'));
  JSON.stringify({ toJSON: () => plain() });
  JSON.parse('[1]', function reviver(key, value) {
    return key === '' ? plain() : value;
  });
  Reflect.apply(plain, null, []);
  plain.call(null);
  plain.apply(null, [1]);
  plain.bind(null)();
  new Proxy({}, { get: () => plain() }).anything;
  `${{ toString: () => 'x' + plain() }}`;
  const { a = plain() } = {};
  (function named() {
    return plain();
  })();
  (function () {
    return plain();
  })();
  return a;
}

function evaluated() {
  eval('plain()');
  eval('(function within() {\n\n  return plain();\n})()');
  new Function('plain', 'return plain()')(plain);
  require('vm').runInThisContext('(plain) => {\n  return plain();\n}', 'named-by-hand.js')(plain);
}

function everything() {
  plain();
  größe();
  функция();
  arrow();
  new Base();
  new Derived().method(2);
  new Derived().property;
  new Derived().property = 1;
  Base.made_here();
  closure(1)()();
  for (const item of generator()) {
    kept.length += 0 * item;
  }
  recursive(12);
  many_locals(1, 2, 3);
  callbacks();
}

async function asynchronous() {
  plain();
  await new Base().later();
  for await (const item of streamed()) {
    kept.length += 0 * item;
  }
  await new Promise((resolve) => setTimeout(() => resolve(plain()), 1));
  await new Promise((resolve) => setImmediate(() => resolve(plain())));
  await new Promise((resolve) => process.nextTick(() => resolve(plain())));
  queueMicrotask(() => plain());
  await Promise.all([1, 2].map(async () => {
    await null;
    plain();
  }));
  await Promise.resolve().then(() => plain());
  await new Promise((resolve) => fs.stat('/', () => resolve(plain())));
}

function warm() {
  const first = next;
  for (let turn = 0; turn < 4000; turn++) {
    quick[0] = turn % 20 === 0 ? 0 : 1;
    everything();
    kept = [];
    stacks = [];
    next = first;
  }
  quick[0] = 0;
}

async function all() {
  everything();
  evaluated();
  await asynchronous();
}

function say() {
  fs.writeSync(1, `stacks ${JSON.stringify(stacks)}\n`);
}

function go(worker) {
  process.stdin.once('data', async () => {
    await all();
    say();
    if (worker) {
      worker.postMessage('go');
      await new Promise((resolve) => worker.once('exit', resolve));
    }
    fs.writeSync(1, 'hold\n');
    process.stdin.once('end', () => process.exit(0));
  });
  fs.writeSync(1, `ready ${process.pid}\n`);
}

if (!isMainThread) {
  parentPort.once('message', () => {
    everything();
    say();
    parentPort.unref();
  });
  parentPort.postMessage('ready');
} else {
  if (process.argv.includes('warm')) {
    warm();
  }
  if (process.argv.includes('worker')) {
    const worker = new Worker(__filename, { workerData: LEAST + 5_000 * STEP });
    worker.once('message', () => go(worker));
  } else {
    go();
  }
}

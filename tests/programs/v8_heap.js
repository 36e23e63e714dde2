// Works on the heap of JavaScript's objects in ways that its collector tells of: node --expose-gc [--trace-gc] v8_heap.js KIND AMOUNT.
// The work lies between a collection that is asked for and two that are asked for at its end. Each thread that works tells its number.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

const MIB = 1 << 20;

function say(line) {
  fs.writeSync(1, `${line}\n`);
}

// Short-lived objects of many kinds, some that stay, and some that are too large for a page.
function json(rounds) {
  const kept = [];
  for (let round = 0; round < rounds; round += 1) {
    const text = JSON.stringify({ round, list: [1, 2, 3], text: 'x'.repeat(100), of: { a: round * 1.5, b: [`${round}`] } });
    const read = JSON.parse(text);
    if (round % 100 === 0) kept.push(read);
    if (round % 2000 === 0) kept[kept.length - 1].large = new Array(40000).fill(round);
  }
  return kept;
}

// A server and its clients, in one thread.
async function served(requests) {
  const server = http.createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ url: request.url, headers: request.headers, list: new Array(200).fill(request.url) }));
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const get = (path) =>
    new Promise((done, failed) => {
      const options = { port: server.address().port, host: '127.0.0.1', path, agent };
      http.get(options, (response) => {
        let text = '';
        response.on('data', (piece) => (text += piece));
        response.on('end', () => done(JSON.parse(text).list.length));
      }).on('error', failed);
    });
  for (let sent = 0; sent < requests; sent += 8) {
    const read = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((of) => get(`/${sent + of}`)));
    if (read.some((length) => length !== 200)) throw new Error(`what was read is wrong: ${read}`);
    if (sent % 160 === 0) say(`round ${sent / 8}`);
  }
  agent.destroy();
  server.close();
}

// What stays grows by a MiB from one full collection to the next.
function leak(rounds) {
  const kept = [];
  for (let round = 0; round < rounds; round += 1) {
    for (let count = 0; count < MIB / 64; count += 1) kept.push([round, count, count * 2, count * 3]);
    gc();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
  return kept;
}

async function work(kind, amount) {
  gc();
  let result;
  if (kind === 'json') result = json(amount);
  if (kind === 'http') await served(amount);
  if (kind === 'leak') result = leak(amount);
  gc();
  gc();
  return result;
}

function go(then) {
  process.stdin.once('data', then);
  process.stdin.on('end', () => process.exit(0));
}

async function main() {
  const [kind, amount] = [process.argv[2], Number(process.argv[3])];
  if (kind === 'workers') {
    const workers = [amount, 2 * amount].map((workerAmount) => new Worker(__filename, { workerData: workerAmount }));
    await Promise.all(workers.map((worker) => new Promise((ready) => worker.once('message', ready))));
    say(`ready ${process.pid}`);
    go(async () => {
      for (const worker of workers) {
        await new Promise((done) => {
          worker.once('message', done);
          worker.postMessage('go');
        });
      }
      say('truth {"sites": {}, "values": {}}');
      say('hold');
    });
    return;
  }
  say(`ready ${process.pid}`);
  go(async () => {
    await work(kind, amount);
    say('truth {"sites": {}, "values": {}}');
    say('hold');
  });
}

if (isMainThread) {
  main();
} else {
  parentPort.once('message', async () => {
    await work('json', workerData);
    parentPort.postMessage('done');
  });
  parentPort.postMessage('ready');
}

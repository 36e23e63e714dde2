// Works the same again and again, while V8's own sampler is the judge of who allocates: node js_sampled.js KIND AMOUNT. KIND is `http` (a server;
// its clients are in another thread) or `json`. The work is done while V8 samples, between `ready` and `worked`, and while V8 samples
// again. The values of `truth` are what V8 has charged to each function in both, in bytes.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const { Session } = require('node:inspector');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

function say(line) {
  fs.writeSync(1, `${line}\n`);
}

// Bytes between two samples of V8's, on average.
const samplingInterval = 8192;
const session = new Session();

function asked(method, parameters) {
  return new Promise((done, failed) => {
    session.post(method, parameters, (error, result) => (error ? failed(error) : done(result)));
  });
}

// What each function has allocated itself, by V8's account.
async function sampled(work, charged) {
  await asked('HeapProfiler.startSampling', {
    samplingInterval,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  await work();
  const { profile } = await asked('HeapProfiler.stopSampling');
  const add = ({ callFrame, selfSize, children }) => {
    const name = `${callFrame.functionName} ${callFrame.url}`;
    charged[name] = (charged[name] || 0) + selfSize;
    children.forEach(add);
  };
  add(profile.head);
}

class Item {
  constructor(of, text) {
    this.of = of;
    this.text = text;
    this.tags = [`tag ${of}`, text.toUpperCase()];
    this.price = of * 1.5;
  }
}

function parsed(text) {
  return JSON.parse(text);
}

function written(value) {
  return JSON.stringify(value);
}

function items(from) {
  return Array.from({ length: 20 }, (_, of) => new Item(from + of, `item ${from + of}`));
}

function words(text) {
  return text.split(' ').map((word) => word.toUpperCase());
}

function indexed(list) {
  const index = new Map();
  for (const item of list) index.set(item.text, item);
  return index;
}

function json(rounds) {
  let text = written({ round: 0, list: items(0) });
  let found = 0;
  for (let round = 0; round < rounds; round += 1) {
    const read = parsed(text);
    found += indexed(read.list).size + words(read.list[7].text).length;
    text = written({ round, list: items(round), of: { name: `round ${round}`, parts: [1.5 * round, { a: round }] } });
  }
  return found;
}

function answer(request, response) {
  response.setHeader('content-type', 'application/json');
  response.end(written({ url: request.url, headers: request.headers, list: items(3) }));
}

// A server, and what asks it for an amount of answers.
async function served() {
  const server = http.createServer(answer);
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const clients = new Worker(__filename, { workerData: server.address().port });
  clients.unref();
  server.unref();
  return (amount) =>
    new Promise((done) => {
      clients.once('message', done);
      clients.postMessage(amount);
    });
}

function asking(port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const get = () =>
    new Promise((done, failed) => {
      http.get({ port, host: '127.0.0.1', path: '/items?of=1', agent }, (response) => {
        response.resume();
        response.on('end', done);
      }).on('error', failed);
    });
  parentPort.on('message', async (amount) => {
    for (let asked = 0; asked < amount; asked += 8) await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(get));
    parentPort.postMessage('done');
  });
}

async function main() {
  const [kind, amount] = [process.argv[2], Number(process.argv[3])];
  const work = kind === 'http' ? await served() : json;
  const charged = {};
  session.connect();
  // V8 compiles what is called often, and who is compiled into a caller is a part of it from then on.
  await work(amount / 2);
  await sampled(() => work(amount / 8), charged);
  say(`ready ${process.pid}`);
  process.stdin.on('end', () => process.exit(0));
  process.stdin.once('data', async () => {
    await work(amount);
    say('worked');
    process.stdin.once('data', async () => {
      await sampled(() => work(amount / 8), charged);
      say(`truth ${JSON.stringify({ sites: {}, values: charged })}`);
      say('hold');
    });
  });
}

if (isMainThread) {
  main();
} else {
  asking(workerData);
}

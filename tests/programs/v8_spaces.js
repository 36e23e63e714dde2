// A program whose heaps have pages in most spaces: many objects, large ones, hidden classes, compiled functions, and a worker. It does what its input
// says, line by line, and says so. V8's own count of its spaces is printed when it has stood still.
'use strict';

const fs = require('fs');
const v8 = require('v8');
const { Worker, isMainThread, parentPort } = require('worker_threads');

const kept = [];
const large = [];
const functions = [];
const map = new Map();

const verbs = {
  objects: (count) => { for (let i = 0; i < count; i++) kept.push({ number: i, pair: [i, i + 1] }); },
  // A page of its own each.
  large: (count) => { for (let i = 0; i < count; i++) large.push(new Array(100_000).fill(i + 0.5)); },
  entries: (count) => { for (let i = 0; i < count; i++) map.set(`key ${map.size}`, { i }); },
  // Different functions, each with code of its own (--always-sparkplug compiles them when they are called first).
  compile: (count) => {
    for (let i = 0; i < count; i++) {
      const made = new Function('limit', `let sum = ${functions.length}; for (let j = 0; j < limit; j++) sum = (sum * 31 + j % ${i + 7}) | 0; return sum;`);
      made(3);
      functions.push(made);
    }
  },
};

const counted = () => v8.getHeapSpaceStatistics().map((space) => [space.space_name, space.space_size, space.space_used_size]);

// Collections finish beside the program: what was counted is the same again and again when they are done.
function settled(then, last = '', same = 0) {
  const now = counted();
  const text = JSON.stringify(now.map(([name, size]) => [name, size]));
  if (text === last && same === 4) then(now);
  else setTimeout(settled, 60, then, text, text === last ? same + 1 : 0);
}

function collect(then) {
  for (let i = 0; i < 3; i++) globalThis.gc();
  settled(then);
}

if (isMainThread) {
  const worker = new Worker(__filename);
  const said = (line) => fs.writeSync(1, `did ${line}\n`);
  worker.once('message', () => {
    require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const [verb, count] = line.split(' ');
      const tell = (spaces) => {
        worker.once('message', (others) => {
          fs.writeSync(1, `counted ${JSON.stringify([...spaces, ...others])}\n`);
          said(line);
        });
        worker.postMessage('count');
      };
      if (verb === 'count') {
        worker.once('message', () => collect(tell));
        worker.postMessage('collect');
      } else if (verb === 'recount') {
        // What is there, before a collection gives any of it back.
        tell(counted());
      } else {
        verbs[verb](Number(count));
        said(line);
      }
    }).on('close', () => process.exit(0));
    console.log(`ready ${process.pid}`);
  });
} else {
  verbs.objects(50_000);
  verbs.large(2);
  const answers = { count: () => parentPort.postMessage(counted()), collect: () => collect(() => parentPort.postMessage('collected')) };
  parentPort.on('message', (verb) => answers[verb]());
  parentPort.postMessage('ready');
}

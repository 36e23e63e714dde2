// A program whose heap is asked about while it runs. It does what its input says, line by line, and says so.
'use strict';

class Kept { constructor(number) { this.number = number; } }
class Fresh { constructor(number) { this.number = number; } }

const KEPT = 4321;
const kept = [];
for (let i = 0; i < KEPT; i++) kept.push(new Kept(i));

const fresh = [];
const leaked = [];
const buffers = [];

// What it allocates stays.
function leak(count) {
  for (let i = 0; i < count; i++) leaked.push(new Array(1000).fill(i));
}

// What it allocates does not.
function churn(count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += new Array(1000).fill(i).length;
  return sum;
}

const verbs = {
  // What nothing refers to would be collected.
  answer: () => kept.length,
  allocate: (count) => { for (let i = 0; i < count; i++) fresh.push(new Fresh(i)); },
  forget: () => { fresh.length = 0; },
  leak,
  churn,
  grow: (count) => { for (let i = 0; i < count; i++) fresh.push({ number: i, pair: [i, i + 1] }); },
  buffers: (count) => { for (let i = 0; i < count; i++) buffers.push(Buffer.alloc(100000, 1)); },
  native: (count) => addon.exports.leak(count),
  end: () => process.exit(7),
};

if (process.argv[2] === 'listen') {
  require('net').createServer((socket) => socket.end('no inspector\n')).listen(9229, '127.0.0.1');
}
if (process.argv[2] === 'handler') process.on('SIGUSR1', () => console.log('handled'));

// A library whose memory V8 knows nothing of.
const addon = { exports: {} };
if (process.argv[2] === 'native') process.dlopen(addon, process.argv[3]);

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, count] = line.split(' ');
  verbs[verb](Number(count));
  console.log(`did ${line}`);
}).on('close', () => process.exit(0));

console.log(`ready kept ${KEPT}`);

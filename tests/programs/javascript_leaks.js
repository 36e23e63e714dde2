// Leaks of several kinds beside what only looks like them, a round of each every ten milliseconds:
//
//     ready PID                     then it waits for a line
//     round N                       every 100 rounds, until its input ends
//
// A function that keeps memory for ever has a comment `leak KIND` in the line where it begins, one that does not `no leak KIND`; the line that allocates has `keeps KIND` where that is
// seen from outside of V8's heap. The argument is a library for node that leaks.
'use strict';

const { EventEmitter } = require('events');

const cache = new Map();
const emitter = new EventEmitter().setMaxListeners(0);
const closures = [];
const buffers = [];
const recent = [];
const addon = { exports: {} };
process.dlopen(addon, process.argv[2]);

function keepInCache(key) { // leak map
  cache.set(key, new Array(250).fill(key));
}

function keepListening(number) { // leak listener
  const seen = new Array(250).fill(number);
  emitter.on('never', () => seen.length);
}

function keepInClosure(number) { // leak closure
  const held = new Array(250).fill(number);
  closures.push(() => held);
}

function keepTimer(number) { // leak timer
  const wanted = new Array(250).fill(number);
  setInterval(() => wanted.length, 1 << 30);
}

function keepBuffer() { // leak buffer
  buffers.push(Buffer.alloc(20000)); // keeps buffer
}

function keepNative() { // leak native
  addon.exports.leak(1); // keeps native
}

function keepForAWhile(number) { // no leak while
  recent.push(new Array(250).fill(number), Buffer.alloc(20000));
  if (recent.length > 100) recent.splice(0, 2);
}

function useForAMoment(number) { // no leak moment
  return new Array(2500).fill(number).length + Buffer.alloc(30000).length;
}

let round = 0;
function turn() {
  round += 1;
  keepInCache(round);
  keepListening(round);
  keepInClosure(round);
  keepTimer(round);
  keepBuffer();
  if (round % 4 === 0) keepNative();
  keepForAWhile(round);
  useForAMoment(round);
  if (round % 100 === 0) console.log(`round ${round}`);
}

process.stdin.on('end', () => process.exit(closures.length === round && cache.size === round ? 0 : 1));
process.stdin.once('data', () => setInterval(turn, 10));
console.log(`ready ${process.pid}`);

// Fills a heap of JavaScript until there is no more room: node [--max-old-space-size=MIB] out_of_heap.js main | worker MIB | parse.
// A worker tells the number of its thread, and the main thread how it ended, and lives on. What is parsed is text that was made before, whose
// syntax tree takes memory that is not in the heap.
'use strict';
const fs = require('node:fs');
const vm = require('node:vm');
const { Worker, isMainThread } = require('node:worker_threads');

const kept = [];

function say(line) {
  fs.writeSync(1, `${line}\n`);
}

function keep(rounds) {
  const list = [];
  for (let round = 0; round < rounds; round += 1) {
    list.push({ round, text: `${round}`, list: [round, round + 1] });
  }
  kept.push(list);
}

function serve() {
  for (;;) {
    keep(1000); // the call
  }
}

function parse(text) {
  return new vm.Script(text); // the parser
}

function main() {
  const [kind, limit] = [process.argv[2], Number(process.argv[3])];
  const text = kind === 'parse' ? `([${'{ a: 1, b: [1, 2, 3], c: () => 1 },'.repeat(400000)}])` : '';
  say(`ready ${process.pid}`);
  process.stdin.on('end', () => process.exit(0));
  process.stdin.once('data', () => {
    if (kind === 'main') serve();
    if (kind === 'parse') parse(text);
    const worker = new Worker(__filename, { resourceLimits: { maxOldGenerationSizeMb: limit } });
    worker.once('error', (error) => {
      say(`error ${error.code}`);
      say('truth {"sites": {}, "values": {}}');
      say('hold');
    });
  });
}

if (isMainThread) {
  main();
} else {
  say(`thread ${fs.readlinkSync('/proc/thread-self').split('/').pop()}`);
  serve();
}

// A loop that V8 compiles while it runs, which allocates at one place:
//
//     ready PID                     then it waits for a line
//     line LINE                     the line at which V8 says that the loop has called, at the end
//     hold                          then it waits for the end of its input
//
// Where the line is `wait`, it waits in the last of these calls instead, for good.

'use strict';
const fs = require('fs');

const TURNS = 3_000_000;
const EVERY = 1_000;
const SIZE = 100_000;
const cell = new Int32Array(new SharedArrayBuffer(4));
let kept = [];
let longest = 0;

// The last call does the same as all others: for anything new V8 would go back to the interpreter.
function allocate(turn) {
  kept.push(new ArrayBuffer(SIZE));
  Atomics.wait(cell, 0, 0, longest * Math.floor(turn / (TURNS - EVERY)));
  return new Error().stack.split('\n')[2];
}

function loop() {
  let sum = 0;
  let said = '';
  for (let turn = 0; turn < TURNS; turn++) {
    sum += turn % 7;
    if (turn % EVERY === 0) {
      said = allocate(turn); // calls
      kept = [];
    }
    sum ^= 1;
  }
  return said;
}

process.stdin.once('data', (line) => {
  longest = String(line).trim() === 'wait' ? 1e8 : 0;
  const said = loop();
  fs.writeSync(1, `line ${/:(\d+):\d+\)?$/.exec(said)[1]}\nhold\n`);
  process.stdin.once('end', () => process.exit(0));
});
fs.writeSync(1, `ready ${process.pid}\n`);

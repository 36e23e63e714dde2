// A server of node's own http module, with a client beside it, spoken to as serve.h says; what a run measures is requests a second.
//
// The client is a process of its own: it is not of the process that is traced.
'use strict';
const http = require('node:http');
const readline = require('node:readline');
const { spawn } = require('node:child_process');

const CONNECTIONS = 8;

// Asks for documents, on several connections at once, as long as it is told to; says how many a second it got.
async function client(port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const get = (path) =>
    new Promise((done, failed) => {
      const request = http.get({ host: '127.0.0.1', port, path, agent }, (response) => {
        const pieces = [];
        response.on('data', (piece) => pieces.push(piece));
        response.on('end', () => {
          const read = JSON.parse(Buffer.concat(pieces));
          if (read.orders.length !== 30) failed(new Error(`the server answered ${JSON.stringify(read)}`));
          done();
        });
      });
      request.on('error', failed);
    });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const start = process.hrtime.bigint();
    const end = start + BigInt(line) * 1000000n;
    let count = 0;
    const ask = async () => {
      for (; process.hrtime.bigint() < end; count += 1) await get(`/orders/${count % 50}?page=${count % 7}`);
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, ask));
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    process.stdout.write(`${(count / seconds).toFixed(2)}\n`);
  }
  agent.destroy();
}

function serve() {
  const recent = new Map();
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const page = Number(url.searchParams.get('page'));
    const orders = Array.from({ length: 30 }, (_, number) => ({ number, text: `thing ${number * page}`, price: number * 1.5 }));
    const body = Buffer.from(JSON.stringify({ customer: url.pathname, orders }));
    // What was asked for last is kept, as caches do.
    recent.set(url.pathname, body);
    response.setHeader('content-type', 'application/json');
    response.end(body);
  });
  server.listen(0, '127.0.0.1', async () => {
    // What traces this program by a library that is loaded first is not to trace the client.
    const { LD_PRELOAD, ...env } = process.env;
    const other = spawn(process.execPath, [__filename, 'client', server.address().port], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const results = readline.createInterface({ input: other.stdout })[Symbol.asyncIterator]();
    const run = async (milliseconds) => {
      other.stdin.write(`${milliseconds}\n`);
      return (await results.next()).value;
    };
    // In the first requests functions are compiled.
    await run(2000);
    console.log('ready');
    for await (const line of readline.createInterface({ input: process.stdin })) {
      if (line.startsWith('run ')) console.log(await run(line.split(' ')[1]));
    }
    other.stdin.end();
    server.close();
    server.closeAllConnections?.();
  });
}

if (process.argv[2] === 'client') client(Number(process.argv[3]));
else serve();

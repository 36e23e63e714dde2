// Reads files with speedscope's own importer and prints what it has read, a line of JSON for each file:
//   node speedscope.cjs FOLDER_OF_THE_PACKAGE FILE...
//
// The package is made for browsers and offers nothing to import. Its bundle is run here with a page on which nothing is drawn, up to
// where it would begin to draw, and the function is taken that it reads base64 with.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, ...files] = process.argv.slice(2);
const release = path.join(folder, 'dist', 'release');
const bundle = fs.readdirSync(release).find((name) => /^speedscope-.*\.js$/.test(name));
let source = fs.readFileSync(path.join(release, bundle), 'utf8');
const importer = /loadFileFromBase64:\((\w+),(\w+)\)=>\{this\.loadProfile\(\(\)=>([\w$]+)\(\1,\2\)\)/.exec(source);
const start = source.lastIndexOf('console.log(`speedscope v');
if (!importer || start < 0) {
  throw new Error(`${bundle} is not of the version that this was written for`);
}
source = `${source.slice(0, start)}globalThis.importFile=${importer[3]};return;${source.slice(start)}`;

const anything = new Proxy(function () {}, {
  get: (_, key) => (key === Symbol.toPrimitive ? () => '' : key === 'length' ? 0 : anything),
  apply: () => anything,
  construct: () => anything,
  set: () => true,
});
Object.assign(globalThis, {
  window: globalThis,
  self: globalThis,
  document: anything,
  location: { hash: '', protocol: 'file:' },
  matchMedia: () => anything,
  requestAnimationFrame: () => 0,
});
console.log = () => {};
vm.runInThisContext(source);

// The samples of a list: the stack, root first, and what is at its end.
function samples(profile) {
  const found = [];
  const open = [];
  profile.forEachCallGrouped(
    (node) => {
      const { name, file, line } = node.frame;
      open.push({ name, file: file ?? null, line: line ?? null });
      if (node.getSelfWeight() > 0) {
        found.push({ stack: open.slice(), weight: node.getSelfWeight() });
      }
    },
    () => open.pop(),
  );
  return found;
}

(async () => {
  for (const file of files) {
    const group = await globalThis.importFile(path.basename(file), fs.readFileSync(file).toString('base64'));
    const lists = group.profiles.map((profile) => ({
      name: profile.getName(),
      total: profile.getTotalWeight(),
      samples: samples(profile),
    }));
    process.stdout.write(`${JSON.stringify({ name: group.name, lists })}\n`);
  }
})();

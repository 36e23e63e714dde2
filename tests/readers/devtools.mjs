// Reads heap snapshots with the sources of Chrome's DevTools and prints what these make of them: devtools.mjs PACKAGE all FIRST SECOND, or
// devtools.mjs PACKAGE time FILE, which prints no more than shows that all of it was worked out.
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { createReadStream, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [root, mode, ...files] = process.argv.slice(2);
const base = pathToFileURL(root + '/front_end/');
const module = text => 'data:text/javascript,' + encodeURIComponent(text);
// What needs a browser is not needed here.
const replaced = [
  [/\/i18n\/i18n\.js$/, () => module('export const i18n = { serializeUIString: text => text };')],
  [/\/ContentData\.js$/, () => module('export class ContentData {}')],
  [/\/HeapSnapshotProxy\.js$/, () => module('export {};')],
  [/\/text_utils\/text_utils\.js$/, () =>
    module(`import * as TextUtils from '${new URL('core/text_utils/TextUtils.ts', base)}'; export { TextUtils };`)],
];
registerHooks({
  resolve(name, context, next) {
    for (const [pattern, url] of replaced) {
      if (pattern.test(name)) return { url: url(), shortCircuit: true };
    }
    // The sources import each other by the names that they have once compiled.
    try {
      return next(name, context);
    } catch (error) {
      if (!name.endsWith('.js')) throw error;
      return next(name.replace(/\.js$/, '.ts'), context);
    }
  },
  // node does not do this itself for what is in a folder of packages.
  load(url, context, next) {
    if (!url.endsWith('.ts')) return next(url, context);
    const source = stripTypeScriptTypes(readFileSync(fileURLToPath(url), 'utf8'), { mode: 'transform' });
    return { format: 'module', source, shortCircuit: true };
  },
});
const worker = name => import(new URL(`entrypoints/heap_snapshot_worker/${name}.ts`, base));
const { HeapSnapshotLoader } = await worker('HeapSnapshotLoader');
const { SecondaryInitManager } = await worker('HeapSnapshot');
console.warn = () => {};

async function read(file) {
  const loader = new HeapSnapshotLoader({ sendEvent() {} });
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 20 })) {
    loader.write(chunk);
    // Pieces are taken one by one.
    await new Promise(setImmediate);
  }
  loader.close();
  await loader.parsingComplete;
  const channel = new MessageChannel();
  new SecondaryInitManager(channel.port2);
  const snapshot = await loader.buildSnapshot(channel.port1);
  channel.port1.close();
  channel.port2.close();
  return snapshot;
}

const classes = snapshot =>
  Object.entries(snapshot.getAggregatesByClassKey(false, 'allObjects')).map(([key, one]) => [
    key, one.count, one.self, one.maxRet,
  ]);

function nodes(snapshot) {
  const [node, dominator] = [snapshot.createNode(0), snapshot.createNode(0)];
  return Array.from({ length: snapshot.nodeCount }, (_, i) => {
    node.nodeIndex = i * snapshot.nodeFieldCount;
    dominator.nodeIndex = node.dominatorIndex();
    return [
      node.id(), node.selfSize(), node.retainedSize(), node.distance(), dominator.id(), node.detachedness(), node.className(),
    ];
  });
}

const before = await read(files[0]);
if (mode === 'time') {
  console.log(JSON.stringify({ total: before.totalSize, classes: classes(before).length }));
} else {
  const after = await read(files[1]);
  const changes = after.calculateSnapshotDiff(1, before.aggregatesForDiff(after.interfaceDefinitions()));
  console.log(JSON.stringify({
    total: before.totalSize,
    statistics: before.getStatistics(),
    // Kinds of plain objects were those of the later snapshot, for the comparison.
    classes: classes(before),
    nodes: nodes(before),
    changes: Object.entries(changes).map(([key, one]) =>
      [key, one.addedCount, one.addedSize, one.removedCount, one.removedSize]),
  }));
}

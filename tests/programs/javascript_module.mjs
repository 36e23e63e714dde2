// A module that allocates by another one, imported at its begin and while it runs: node javascript_module.mjs.
import Store from './javascript_part.mjs';

const store = new Store();

process.stdin.once('data', async () => {
  store.add(7); // asks
  const { keep } = await import('./javascript_part.mjs');
  keep(9); // asks later
  console.log('hold');
});
console.log(`ready ${process.pid}`);

// Opens reports in headless Chromium, does what a reader would do, and prints what was seen, a line of JSON for each file:
//   node page.cjs FOLDER_OF_PLAYWRIGHT CHROMIUM FOLDER_OF_SCREENSHOTS FILE...
'use strict';
const fs = require('fs');
const path = require('path');
const url = require('url');

const [folder, chromium, shots, ...files] = process.argv.slice(2);
const playwright = require(folder);
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The texts of all elements that match. */
const texts = (page, selector) => page.$$eval(selector, (found) => found.map((element) => element.textContent));

/** After the page has drawn what was asked for. */
const settled = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** Milliseconds of an action until it is drawn, the frame that is waited for included. */
async function timed(page, action) {
  const began = performance.now();
  await action();
  await settled(page);
  return Math.round(performance.now() - began);
}

/** What the flame graph says of itself. */
const flame = (page) =>
  page.$eval('.flame-words', (element) => ({ words: element.textContent, exact: element.title }));

/** The first table of a panel: each row's texts and titles. */
const table = (page, panel) =>
  page.$eval(`#panel-${panel}`, (element) =>
    [...(element.querySelector('tbody')?.rows ?? [])]
      .slice(0, 20)
      .map((row) => [...row.children].map((cell) => ({ text: cell.textContent, exact: cell.title }))),
  );

async function measures(page) {
  const seen = {};
  for (const unit of ['bytes', 'blocks']) {
    await page.click(`[aria-label="Unit"] >> text="${unit}"`);
    for (const button of await page.$$('[aria-label="Measure"] button')) {
      const [name, off] = [await button.textContent(), await button.getAttribute('aria-disabled')];
      await button.click();
      await settled(page);
      seen[`${name} ${unit}`] = off === 'true' ? { unknown: await button.getAttribute('title') } : await flame(page);
    }
  }
  await page.click('[aria-label="Unit"] >> text="bytes"');
  await page.click('[aria-label="Measure"] button >> nth=0');
  return seen;
}

/** Another measure is chosen while the flame graph is not seen: what it says of itself, and of its root, when it is seen again. */
async function elsewhere(page) {
  const keys = ['2', 'm', '1', 'g', 'Home'];
  for (const key of keys) {
    await page.keyboard.press(key);
    await settled(page);
  }
  const seen = { ...(await flame(page)), root: await page.textContent('.flame-line') };
  await page.click('[aria-label="Measure"] button >> nth=0');
  await settled(page);
  return seen;
}

async function zoom(page) {
  const canvas = page.locator('.flame canvas');
  const box = await canvas.boundingBox();
  const before = await flame(page);
  const time = await timed(page, () => page.mouse.click(box.x + box.width * 0.1, box.y + 19 * 2.5));
  const inside = await flame(page);
  await page.mouse.move(box.x + box.width * 0.1, box.y + 19 * 2.5);
  const tip = await texts(page, '#tip > *');
  await page.keyboard.press('Backspace');
  await settled(page);
  const back = await flame(page);
  await canvas.focus();
  for (const key of ['Home', 'ArrowDown', 'ArrowDown', 'Enter']) {
    await page.keyboard.press(key);
  }
  await settled(page);
  const byKey = { ...(await flame(page)), line: await page.textContent('#flame-line') };
  await page.keyboard.press('Escape');
  await settled(page);
  return { before, inside, tip, back, byKey, after: await flame(page), time };
}

async function search(page, query) {
  await page.fill('#search', '(');
  await settled(page);
  const wrong = await page.textContent('#found');
  const time = await timed(page, () => page.fill('#search', query));
  const found = await page.textContent('#found');
  await page.screenshot({ path: path.join(shots, 'search.png') });
  await page.press('#search', 'Escape');
  await settled(page);
  await page.press('#search', 'Escape');
  return { wrong, found, none: await page.textContent('#found'), time };
}

async function brush(page) {
  const place = page.locator('.brush');
  if ((await place.count()) === 0) {
    return null;
  }
  const box = await place.boundingBox();
  const y = box.y + box.height / 2;
  const time = await timed(page, async () => {
    await page.mouse.move(box.x + box.width * 0.26, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, y);
    await page.mouse.move(box.x + box.width * 0.74, y);
    await page.mouse.up();
  });
  const byMouse = { range: await place.getAttribute('aria-valuetext'), words: await page.textContent('#range'), flame: await flame(page) };
  if (byMouse.range === 'no range') {
    return { byMouse };
  }
  await page.click('[aria-label="Change"] >> text="less"');
  await settled(page);
  byMouse.less = await flame(page);
  await page.click('[aria-label="Change"] >> text="more"');
  await page.keyboard.press('2');
  await settled(page);
  byMouse.rows = await table(page, 'sites');
  await page.screenshot({ path: path.join(shots, 'range-sites.png') });
  await page.keyboard.press('1');
  await settled(page);
  await page.screenshot({ path: path.join(shots, 'range.png') });
  await place.focus();
  await page.keyboard.press('Escape');
  await settled(page);
  const cleared = { range: await place.getAttribute('aria-valuetext'), flame: await flame(page) };
  const byKeys = [];
  for (const key of ['ArrowRight', 'Shift+ArrowRight', 'Shift+ArrowRight', 'ArrowRight', 'Shift+ArrowLeft', 'Escape']) {
    await page.keyboard.press(key);
    await settled(page);
    byKeys.push(await place.getAttribute('aria-valuetext'));
  }
  return { byMouse, cleared, byKeys, time };
}

/** Every element that Tab comes to, in words, until it is where it began. */
async function tabbed(page) {
  await page.evaluate(() => document.activeElement?.blur());
  const seen = [];
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press('Tab');
    const name = await page.evaluate(() => {
      const element = document.activeElement;
      return element === document.body ? '' : element.id || element.getAttribute('aria-label') || element.className || element.textContent;
    });
    if (name === '' && seen.length > 0) {
      break;
    }
    seen.push(name);
  }
  return seen;
}

/** Each view with its name, opened by its key, and a picture of it. */
async function views(page, name) {
  const seen = {};
  const tabs = await texts(page, '[role=tab]');
  for (let index = 0; index < tabs.length; index += 1) {
    const time = await timed(page, () => page.keyboard.press(String(index + 1)));
    const id = await page.getAttribute('[role=tab][aria-selected=true]', 'id');
    const view = id.replace('tab-', '');
    seen[view] = { time, text: (await page.innerText(`#panel-${view}`)).slice(0, 20000), rows: await table(page, view) };
    await page.screenshot({ path: path.join(shots, `${name}-${view}.png`), fullPage: view === 'leaks' });
  }
  return seen;
}

/** What a browser says that cannot unpack the page, and one that runs no script. */
async function lacking(browser, context, file) {
  const page = await context.newPage();
  await page.addInitScript('delete globalThis.DecompressionStream');
  await page.goto(url.pathToFileURL(file).href);
  await page.waitForSelector('#status.problem');
  const old = await page.textContent('#status');
  await page.close();
  const without = await browser.newContext({ javaScriptEnabled: false });
  const plain = await without.newPage();
  await plain.goto(url.pathToFileURL(file).href);
  const script = await plain.innerText('body');
  await without.close();
  return { old, script };
}

async function look(context, file) {
  const name = path.basename(file, '.html');
  const page = await context.newPage();
  const seen = { name, errors: [], requests: [], dialogs: [] };
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && seen.errors.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('dialog', (dialog) => {
    seen.dialogs.push(dialog.message());
    return dialog.dismiss();
  });
  const address = url.pathToFileURL(file).href;
  await page.setViewportSize({ width: 1280, height: 800 });
  const began = performance.now();
  await page.goto(address);
  await page.waitForSelector('#page:not([hidden]), #status.problem', { timeout: 60000 });
  await settled(page);
  seen.loaded = Math.round(performance.now() - began);
  seen.status = (await page.isVisible('#status')) ? await page.textContent('#status') : null;
  seen.title = await page.title();
  seen.head = await page.innerText('.top');
  seen.tiles = await texts(page, '.tile');
  await page.screenshot({ path: path.join(shots, `${name}.png`) });
  seen.tabbed = await tabbed(page);
  seen.measures = await measures(page);
  seen.zoom = await zoom(page);
  seen.search = await search(page, 'cache|worker');
  seen.brush = await brush(page);
  seen.elsewhere = await elsewhere(page);
  seen.inverted = await timed(page, () => page.keyboard.press('i'));
  seen.callers = await flame(page);
  await page.screenshot({ path: path.join(shots, `${name}-callers.png`) });
  await page.keyboard.press('i');
  await page.keyboard.press('f');
  await settled(page);
  await page.keyboard.press('f');
  seen.views = await views(page, name);
  await page.keyboard.press('2');
  await settled(page);
  const opener = page.locator('#panel-sites .opener').first();
  if ((await opener.count()) > 0) {
    await opener.click();
    seen.below = await texts(page, '#panel-sites .stack li.below .name');
    seen.stack = await texts(page, '#panel-sites .stack li .name');
    await page.screenshot({ path: path.join(shots, `${name}-stack.png`) });
  }
  await page.keyboard.press('?');
  seen.keys = await page.isVisible('dialog[open]');
  await page.keyboard.press('Escape');
  await page.keyboard.press('1');
  await page.click('#theme');
  await page.click('#theme');
  await settled(page);
  seen.theme = await page.getAttribute('html', 'data-theme');
  await page.screenshot({ path: path.join(shots, `${name}-dark.png`) });
  await page.setViewportSize({ width: 480, height: 900 });
  await settled(page);
  seen.overflow = {};
  for (const tab of await page.$$('[role=tab]')) {
    await tab.click();
    await settled(page);
    const id = await tab.getAttribute('id');
    seen.overflow[id] = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    await page.screenshot({ path: path.join(shots, `${name}-480-${id}.png`) });
  }
  // Markup of the target would be elements that the page never makes.
  seen.foreign = await page.evaluate(() => document.querySelectorAll('b, img, iframe, object, embed, link, base, form').length);
  seen.scripts = await page.evaluate(() => document.scripts.length);
  seen.requests = seen.requests.filter((request) => request !== address);
  await page.close();
  return seen;
}

(async () => {
  // It has a folder of its own for the user's data, which it takes away.
  const browser = await playwright.chromium.launch({ executablePath: chromium, headless: true, args: FLAGS });
  try {
    const context = await browser.newContext();
    for (const file of files) {
      const seen = await look(context, file);
      seen.lacking = await lacking(browser, context, file);
      process.stdout.write(`${JSON.stringify(seen)}\n`);
    }
  } finally {
    await browser.close();
  }
})();

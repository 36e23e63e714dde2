// What is suspected of leaking: verdict, score, reasons and stack of each site, as in the leak report.

const LEAKS_AT_ONCE = 50;

/** Fills the panel of leaks. */
function showLeaks(app, panel) {
  const { words, leaks } = app.report.document;
  if (words.nothing) {
    panel.append(el('p', { text: words.nothing }));
  }
  panel.append(factList([...words.verdicts, ...words.outcomes]));
  const list = el('ol', { class: 'leaks' });
  const more = el('button', { type: 'button' });
  let shown = 0;
  const show = () => {
    const next = leaks.slice(shown, shown + LEAKS_AT_ONCE);
    list.append(...next.map((leak, index) => leakCard(app, leak, shown + index === 0)));
    shown += next.length;
    more.hidden = shown === leaks.length;
    more.textContent = `Show ${count(Math.min(LEAKS_AT_ONCE, leaks.length - shown))} more of ${count(leaks.length)}`;
  };
  more.addEventListener('click', show);
  show();
  panel.append(list, more, el('p', { class: 'soft', text: words.rule }));
  if (words.suppressions) {
    panel.append(el('pre', { text: words.suppressions }));
  }
}

/** One suspected site. */
function leakCard(app, leak, open) {
  const { report, stacks } = app;
  const calling = stacks.calling(leak.site);
  const group = report.document.sites.group[leak.site];
  const name = el('span', { class: 'name', text: stacks.names[stacks.functionAt(calling)] });
  const place = el('span', { class: 'place', text: stacks.place(report.nodes.frame[calling]) });
  const verdict = el('span', { class: `verdict ${leak.verdict.replace(' ', '-')}`, text: leak.verdict });
  const meter = el('meter', { min: 0, max: 100, value: leak.score, 'aria-label': `score ${leak.score} of 100` });
  const summary = el('summary', {}, verdict, ' ', name, ' ', place, el('span', { class: 'headline', text: leak.headline, title: exact(leak.bytes, 'bytes') }));
  const reasons = el('ul', {}, ...leak.reasons.map((text) => el('li', { text })));
  const card = el('details', { open }, summary, el('p', { class: 'score' }, meter, ' ', leak.evidence));
  if (group >= 0) {
    card.append(el('p', { text: `of ${report.strings[group]}` }));
  }
  card.append(reasons);
  // The stack is made when it is first seen: there may be thousands.
  const fill = () => card.open && !card.querySelector('.stack') && card.append(stacks.list(leak.site));
  card.addEventListener('toggle', fill);
  fill();
  return el('li', {}, card);
}

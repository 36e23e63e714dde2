// Sites that are no part of the sums: mapped files, reserved address space, pages of which it is not known whose they are.

/** A table of them, closed until it is asked for. */
function showOthers(app, panel) {
  const { report, stacks } = app;
  const { sites, classes } = report.document;
  const size = report.count - report.memory;
  if (report.isDiff || size === 0) {
    return;
  }
  const { live } = report.amounts;
  const calling = (row) => stacks.calling(report.memory + row);
  const name = (row) => stacks.names[stacks.functionAt(calling(row))];
  const kind = (row) => classes[sites.class[report.memory + row]].name;
  const bytesOf = (row) => live.bytes[report.memory + row];
  const box = el('details', { class: 'others' }, el('summary', { text: `${plural(size, 'site')} of mappings that are no part of live memory` }));
  panel.append(box);
  new Table(box, {
    size,
    caption: 'Mapped files, reserved address space and pages',
    columns: [
      { name: 'mapped', value: bytesOf, text: (row) => bytes(bytesOf(row)), exact: (row) => exact(bytesOf(row), 'bytes') },
      { name: 'class', value: kind, text: kind },
      { name: 'function', wide: true, value: name, text: name, more: (row) => stacks.place(report.nodes.frame[calling(row)]) },
    ],
    detail: (row) => el('div', { class: 'detail-box' }, stacks.list(report.memory + row)),
  }).update();
}

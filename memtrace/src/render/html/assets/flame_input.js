// Mouse and keyboard on the flame graph.

/** Listens to what is done on the flame graph. */
function listenToFlame(flame) {
  const { canvas } = flame;
  const at = (event) => {
    const place = canvas.getBoundingClientRect();
    const y = event.clientY - place.top + flame.view.scrollTop;
    const row = Math.floor(y / ROW);
    const total = flame.rows?.length ?? 0;
    return boxAt(flame.rows?.[flame.app.state.rootAtTop ? row : total - 1 - row], event.clientX - place.left);
  };
  canvas.addEventListener('mousemove', (event) => {
    const box = at(event);
    canvas.style.cursor = box ? 'pointer' : 'default';
    showTip(box ? describe(flame, box) : null, event);
  });
  canvas.addEventListener('mouseleave', () => showTip(null));
  canvas.addEventListener('click', (event) => {
    const box = at(event);
    if (box) {
      select(flame, box.node);
      flame.zoomTo(box.node);
    }
  });
  canvas.addEventListener('focus', () => {
    // A click selects what is under it, and must not be scrolled away from there.
    if (canvas.matches(':focus-visible')) {
      select(flame, flame.selected ?? flame.zoom);
    }
  });
  canvas.addEventListener('keydown', (event) => {
    if (flameKey(flame, event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
}

/** Does what a key asks for; whether it is one of the graph's. */
function flameKey(flame, event) {
  if (event.ctrlKey || event.altKey || event.metaKey) {
    return false;
  }
  const { rootAtTop } = flame.app.state;
  const tree = flame.tree();
  const node = flame.selected ?? flame.zoom;
  const parent = tree.above[node];
  const siblings = parent >= 0 ? flame.order.children(parent, 0) : [];
  const beside = (step) => siblings[siblings.indexOf(node) + step] ?? node;
  const towards = { ArrowUp: rootAtTop ? 'root' : 'leaf', ArrowDown: rootAtTop ? 'leaf' : 'root' }[event.key];
  if (towards === 'root') select(flame, parent >= 0 ? parent : node);
  else if (towards === 'leaf') select(flame, flame.order.children(node, 0)[0] ?? node);
  else if (event.key === 'ArrowLeft') select(flame, beside(-1));
  else if (event.key === 'ArrowRight') select(flame, beside(1));
  else if (event.key === 'Home') select(flame, ROOT);
  else if (event.key === 'Enter' || event.key === ' ') flame.zoomTo(node);
  else if (event.key === 'Backspace' || event.key === 'Escape') return flame.back();
  else if (event.key === 'c') copyText(pathText(flame, node));
  else return false;
  return true;
}

/** Makes a node the one that keys are about, and says what it is. */
function select(flame, node) {
  flame.selected = node;
  const box = { node, merged: 0 };
  const [name, ...rest] = describe(flame, box);
  flame.line.textContent = [name, ...rest].join(' · ');
  flame.line.append(
    ' ',
    el('button', { type: 'button', class: 'small', text: 'Copy stack', onclick: () => copyText(pathText(flame, node)) }),
  );
  showRow(flame, node);
  flame.draw();
}

/** Scrolls to the row of a node. */
function showRow(flame, node) {
  const depth = flame.tree().path(node).length - 1;
  const y = rowTop(depth, flame.rows?.length ?? 0, flame.app.state.rootAtTop);
  if (y < flame.view.scrollTop) {
    flame.view.scrollTop = y;
  } else if (y + ROW > flame.view.scrollTop + flame.view.clientHeight) {
    flame.view.scrollTop = y + ROW - flame.view.clientHeight;
  }
}

/** What is told of a box, a line each. */
function describe(flame, box) {
  const { stacks, values, report } = flame.app;
  const { value, share } = flame.amount(box);
  const lines = [flame.name(box), `${values.text(value)} (${values.exact(value)}), ${percent(share)} of ${values.name()}`];
  if (box.merged > 0) {
    lines[0] = `${plural(box.merged, 'function')} too narrow to be drawn; zoom in to see them`;
  } else if (box.node !== ROOT) {
    const of = flame.tree().function[box.node];
    const module = stacks.modules[of];
    lines.push(`${report.document.codes[stacks.codes[of]].name}${module ? `, in ${module}` : ''}`);
    if (flame.change) {
      lines.push(`${flame.change[box.node] > 0 ? '+' : ''}${(flame.change[box.node] * 100).toFixed(1)}% against the larger side`);
    }
  }
  return lines;
}

/** The functions from a node to the root, as text. */
function pathText(flame, node) {
  const names = flame.tree().path(node).slice(1).map((at) => flame.app.stacks.names[flame.tree().function[at]]);
  // Leaf first, whichever end is the top.
  return (flame.app.state.inverted ? names : names.reverse()).join('\n');
}

/** Shows lines beside the mouse, or hides them. */
function showTip(lines, event) {
  const tip = byId('tip');
  tip.hidden = lines === null;
  if (lines === null) {
    return;
  }
  tip.replaceChildren(...lines.map((text, index) => el(index === 0 ? 'strong' : 'span', { text })));
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
}

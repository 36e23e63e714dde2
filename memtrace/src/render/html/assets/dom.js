// Elements. Text is only ever set as text: nothing of the target is parsed as markup.

/** The element of the page with this id. */
function byId(id) {
  return document.getElementById(id);
}

/** A new element: attributes (`on...` are listeners, `text` its text), then children. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** The same of an SVG element. */
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') {
      element.textContent = value;
    } else if (name.startsWith('on')) {
      element.addEventListener(name.slice(2), value);
    } else if (typeof value === 'boolean') {
      element.toggleAttribute(name, value);
    } else if (value !== undefined && value !== null) {
      element.setAttribute(name, value);
    }
  }
}

/** A list of facts: names in a column of their own. */
function factList(facts) {
  const list = el('dl', { class: 'facts' });
  let before = '';
  for (const [name, value] of facts) {
    list.append(el('dt', { text: name === before ? '' : name }), el('dd', { text: value }));
    before = name;
  }
  return list;
}

/** What a style variable is now; canvases have no style of their own. */
function styleOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Calls a function once before the next frame is shown, however often it is asked for. */
function beforeNextFrame(work) {
  let waiting = false;
  return () => {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        work();
      });
    }
  };
}

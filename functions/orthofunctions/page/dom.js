// Elements from words. Text only ever becomes a text node: what a product or a message is called cannot be markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on` has listeners by event; true and false set and leave attributes; children are nodes or text. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Text that is only touched where it changed, so that readers and selections are left in peace. */
export function setText(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Show a sentence, or nothing. */
export function note(node, text, isBad = true) {
  setText(node, text ?? "");
  node.hidden = !text;
  node.classList.toggle("bad", isBad);
}

/** Make children of a list match items, by key and in order; a part that stays keeps its focus and state. */
export function match(parent, items, keyOf, make) {
  const parts = (parent.parts ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, part] of parts) {
    if (!wanted.has(key)) {
      part.node.remove();
      parts.delete(key);
    }
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let part = parts.get(key);
    if (!part) {
      part = make(item);
      parts.set(key, part);
    }
    part.update?.(item);
    if (part.node === place) place = place.nextElementSibling;
    else parent.insertBefore(part.node, place);
  }
}

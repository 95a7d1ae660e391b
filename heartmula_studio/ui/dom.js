// What the scripts of the page build elements with; put in front of each.

/** Build an element. Attributes that begin with "on" are listeners; children are elements or texts. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** "1 track", or "2 tracks". */
function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

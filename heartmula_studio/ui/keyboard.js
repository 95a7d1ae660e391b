// Keeps the place of a keyboard where what has the focus is drawn anew or taken away, and tells who does not see the page
// what has come of it.

// But lists to choose from, which open as soon as they have the focus.
const FOCUSABLE = "a[href], button, input:not([type=hidden], [role=listbox]), textarea, select, summary, [tabindex='0']";
const STATES = ".badge, .notice";
const MAX_TOLD = 5;
const LOOK_MS = 150; // the page changes many times a second, and each look makes the browser lay it out

const announcer = make("div", { class: "sr-only", role: "log" });
const announced = new WeakMap();
let focused = null; // what had the focus last
let isLooking = false, hasOpened = false;

function canBeUsed(node) {
  return node.isConnected && !node.disabled && node.checkVisibility({ visibilityProperty: true });
}

function nameOf(node) {
  return node.getAttribute("aria-label") ?? node.innerText ?? "";
}

function centre(node) {
  const { x, y, width, height } = node.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
}

function note({ target }) {
  const panels = [];
  for (let panel = target.closest("[role=tabpanel]"); panel; panel = panel.parentElement.closest("[role=tabpanel]")) {
    panels.push(panel);
  }
  focused = { node: target, name: nameOf(target), place: centre(target), panels };
}

/** What is used next by who used a control that is gone: the open tab, else one of its name, else the nearest. */
function heir({ name, place, panels }) {
  if (panels.some((panel) => panel.isConnected && !canBeUsed(panel))) {
    return [...document.querySelectorAll("[role=tab][aria-selected=true]")].filter(canBeUsed).at(-1);
  }
  const around = panels.find((panel) => panel.isConnected) ?? document;
  const distance = (node) => Math.hypot(...centre(node).map((value, axis) => value - place[axis]));
  const others = [...around.querySelectorAll(FOCUSABLE)].filter(canBeUsed).map((node) => [node, distance(node)]);
  others.sort(([one, near], [other, far]) => (nameOf(other) === name) - (nameOf(one) === name) || near - far);
  return others[0]?.[0];
}

function keepFocus() {
  const now = document.activeElement;
  if (!focused || canBeUsed(focused.node) || (now !== document.body && now !== focused.node)) return;
  heir(focused)?.focus({ preventScroll: true });
}

/** All that a place says; while something progresses there, which is many words a second, its states alone. */
function stateOf(place) {
  const parts = place.querySelector(".progress") ? [...place.querySelectorAll(STATES)] : [place];
  return parts.flatMap(textsOf).join(" ");
}

/** But what is a mere ornament. */
function textsOf(part) {
  const texts = [], walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (data.trim() && !parentElement.closest("[aria-hidden=true]")) texts.push(data.trim());
  }
  return texts;
}

/** But what the page says as it opens. */
function announce() {
  const isOpening = !hasOpened;
  hasOpened = true;
  for (const place of document.getElementsByClassName("announced")) {
    if (place.parentElement.closest(".announced")) continue; // Gradio gives a component's class to two elements of it
    const text = place.checkVisibility() ? stateOf(place) : "";
    if (!text || announced.get(place) === text) continue;
    announced.set(place, text);
    if (isOpening) continue;
    announcer.append(make("p", {}, text));
    if (announcer.childElementCount > MAX_TOLD) announcer.firstElementChild.remove();
  }
}

function look() {
  isLooking = false;
  keepFocus();
  announce();
}

document.querySelector(".gradio-container .contain").append(announcer);
document.addEventListener("focusin", note);
document.addEventListener("pointerdown", () => (focused = null), true);
new MutationObserver(() => {
  if (!isLooking) isLooking = setTimeout(look, LOOK_MS) > 0;
}).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "style", "disabled"] });

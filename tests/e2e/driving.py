"""What browser tests do with a page."""

from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.studio_server import Server

MAIN_BUTTON = "Generate"

BROKEN_WORDS = """() => [...document.querySelectorAll("button")].filter(button => button.checkVisibility())
  .flatMap(button => {
    const texts = document.createTreeWalker(button, NodeFilter.SHOW_TEXT), found = [];
    while (texts.nextNode()) for (const word of texts.currentNode.data.matchAll(/\\p{L}\\S*/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      const edges = button.getBoundingClientRect(), lines = [...range.getClientRects()];
      const isOutside = lines.some(line => line.left < edges.left - 1 || line.right > edges.right + 1);
      if (isOutside || new Set(lines.map(line => Math.round(line.top))).size > 1) found.push(word[0]);
    }
    return found;
  })"""


TEXTS = """const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const holder = walker.currentNode.parentElement, range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    if (!walker.currentNode.data.trim() || holder.closest(".sr-only, svg, .log")) continue;
    if (!holder.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const lines = [...range.getClientRects()].filter(line => line.width > 1);
    if (lines.length) texts.push({ words: walker.currentNode.data.trim().slice(0, 60), holder, lines });
  }"""

CUT_TEXTS = f"""() => {{
  {TEXTS}
  const isOutside = (line, edges, {{ overflowX, overflowY }}) =>
    overflowX !== "visible" && (line.left < edges.left - 1 || line.right > edges.right + 1) ||
    overflowY !== "visible" && (line.top < edges.top - 3 || line.bottom > edges.bottom + 3);
  const isCut = ({{ holder, lines }}) => {{
    for (let box = holder; box !== document.body; box = box.parentElement) {{
      const style = getComputedStyle(box), edges = box.getBoundingClientRect();
      if (/auto|scroll/.test(style.overflow)) return false;
      if (lines.some(line => isOutside(line, edges, style))) return true;
    }}
    return false;
  }};
  return texts.filter(isCut).map(text => text.words);
}}"""

OVERLAPPING_TEXTS = f"""() => {{
  {TEXTS}
  const meet = (one, other) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 3 &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4;
  return texts.flatMap((text, place) => texts.slice(place + 1)
    .filter(other => text.lines.some(one => other.lines.some(line => meet(one, line))))
    .map(other => `${{text.words}} / ${{other.words}}`));
}}"""

SCROLLBARS = """() => [...document.querySelectorAll("body *:not(textarea, .log, .cards)")].filter(element => {
  if (!element.checkVisibility()) return false;
  const { overflowX, overflowY } = getComputedStyle(element), scrolls = overflow => /auto|scroll/.test(overflow);
  return scrolls(overflowY) && element.scrollHeight > element.clientHeight ||
    scrolls(overflowX) && element.scrollWidth > element.clientWidth;
}).map(element => element.className)"""


def open_page(page: Page, server: Server, theme: str = "light") -> None:
    """Open the studio in a theme ("light" or "dark") and wait until it can be used."""
    page.goto(f"{server.url}/?__theme={theme}", wait_until="commit")
    page.get_by_role("button", name=MAIN_BUTTON, exact=True).wait_for()


def violations(page: Page) -> list[str]:
    """What axe finds by any of its rules, one line for each element."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{violation['impact']} {violation['id']}: {violation['help']}, at {' '.join(map(str, node['target']))}: "
        f"{' '.join(node['failureSummary'].split())}"
        for violation in found
        for node in violation["nodes"]
    ]


def scrolls_sideways(page: Page) -> bool:
    """Whether anything is wider than the window."""
    return page.evaluate(
        "[document.documentElement, document.body].some(element => element.scrollWidth > window.innerWidth)"
    )


def broken_words(page: Page) -> list[str]:
    """Words on buttons that go on in the next line, or that their button does not hold."""
    return page.evaluate(BROKEN_WORDS)


def misplaced_texts(page: Page) -> list[str]:
    """Texts that their box cuts off, and pairs of which one lies on the other."""
    return page.evaluate(CUT_TEXTS) + page.evaluate(OVERLAPPING_TEXTS)


def stray_scrollbars(page: Page) -> list[str]:
    """What scrolls although it is no list: a person expects that of texts, logs and rows of cards alone."""
    return page.evaluate(SCROLLBARS)


def drawn(page: Page) -> None:
    """Wait until the browser has drawn twice: what answers a change of the window's size has had its turn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def is_of_this_machine(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1"

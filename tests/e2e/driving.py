"""What browser tests do with a page."""

from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.studio_server import Server

MAIN_BUTTON = "Generate"
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}, "resultTypes": ["violations"]}
SERIOUS = ("serious", "critical")

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


def open_page(page: Page, server: Server, theme: str = "light") -> None:
    """Open the studio in a theme ("light" or "dark") and wait until it can be used."""
    page.goto(f"{server.url}/?__theme={theme}", wait_until="commit")
    page.get_by_role("button", name=MAIN_BUTTON, exact=True).wait_for()


def serious_violations(page: Page) -> list[str]:
    """What axe finds that keeps people out, one line for each element."""
    found = Axe().run(page, options=WCAG).response["violations"]
    return [
        f"{violation['impact']} {violation['id']}: {violation['help']}, at {' '.join(map(str, node['target']))}: "
        f"{' '.join(node['failureSummary'].split())}"
        for violation in found
        if violation["impact"] in SERIOUS
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


def drawn(page: Page) -> None:
    """Wait until the browser has drawn twice: what answers a change of the window's size has had its turn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def is_of_this_machine(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1"

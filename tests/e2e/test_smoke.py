"""The page opens, says what it is, fits a telephone, asks nobody but this machine, and comes to rest."""

from playwright.sync_api import Page

from tests.e2e.driving import is_of_this_machine, open_page, scrolls_sideways

NOTE_COVERS = """() => {
  const look = () => {
    const covers = [...document.querySelectorAll(".main > .wrap.full")].filter(cover => cover.checkVisibility());
    if (covers.length && document.querySelector(".hero")) window.wasCovered = true;
    requestAnimationFrame(look);
  };
  look();
}"""
COUNT_FRAMES = """() => {
  const ask = window.requestAnimationFrame;
  window.framesAsked = 0;
  window.requestAnimationFrame = draw => { window.framesAsked++; return ask.call(window, draw); };
}"""
LOOKS, LOOK_MS = 100, 500  # two cores may be busy with other tests
TELEPHONE = {"width": 390, "height": 844}


def test_the_page_opens_phones_nobody_and_comes_to_rest(page, studio, seen):
    page.add_init_script(f"({COUNT_FRAMES})()")
    open_page(page, studio)
    assert page.title() == "HeartMuLa Training Studio"
    assert seen.console_errors == []
    assert [url for url in seen.requests if not is_of_this_machine(url)] == []
    assert page.evaluate("window.framesAsked") > 0
    assert any(frames_asked(page) == 0 for _ in range(LOOKS))


def test_what_is_built_is_not_covered_while_the_rest_comes(page, studio):
    page.add_init_script(f"({NOTE_COVERS})()")
    open_page(page, studio)
    assert not page.evaluate("Boolean(window.wasCovered)")


def frames_asked(page: Page) -> int:
    """How many animation frames its scripts ask for within half a second."""
    page.evaluate("window.framesAsked = 0")
    page.wait_for_timeout(LOOK_MS)
    return page.evaluate("window.framesAsked")


def test_it_fits_a_telephone(new_page, studio):
    page = new_page(viewport=TELEPHONE, has_touch=True)
    open_page(page, studio)
    assert not scrolls_sideways(page)
    is_cut_off = "heading => heading.scrollWidth > heading.clientWidth"
    assert not page.get_by_role("heading", name="HeartMuLa Training Studio").evaluate(is_cut_off)

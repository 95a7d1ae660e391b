"""The page opens, says what it is, fits a telephone, and asks nobody but this machine."""

from tests.e2e.driving import is_of_this_machine, open_page, scrolls_sideways

NOTE_COVERS = """() => {
  const look = () => {
    const covers = [...document.querySelectorAll(".main > .wrap.full")].filter(cover => cover.checkVisibility());
    if (covers.length && document.querySelector(".hero")) window.wasCovered = true;
    requestAnimationFrame(look);
  };
  look();
}"""
TELEPHONE = {"width": 390, "height": 844}


def test_the_page_opens_and_phones_nobody(page, studio, seen):
    open_page(page, studio)
    assert page.title() == "HeartMuLa Training Studio"
    assert seen.console_errors == []
    assert [url for url in seen.requests if not is_of_this_machine(url)] == []


def test_what_is_built_is_not_covered_while_the_rest_comes(page, studio):
    page.add_init_script(f"({NOTE_COVERS})()")
    open_page(page, studio)
    assert not page.evaluate("Boolean(window.wasCovered)")


def test_it_fits_a_telephone(new_page, studio):
    page = new_page(viewport=TELEPHONE, has_touch=True)
    open_page(page, studio)
    assert not scrolls_sideways(page)
    is_cut_off = "heading => heading.scrollWidth > heading.clientWidth"
    assert not page.get_by_role("heading", name="HeartMuLa Training Studio").evaluate(is_cut_off)

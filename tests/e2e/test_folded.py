"""What is typed into a folded section the moment it opens stays, on every view.

Gradio 6.31 builds what is inside a closed accordion as it is opened, and then sends
each field its first value again.
"""

import pytest
from playwright.sync_api import Page

from tests.e2e.acting import choose_option, create_dataset, go_to
from tests.e2e.driving import drawn, open_page

SLOWER = 6  # so many times slower is the browser: of a small laptop with other work
FIELDS = "input:is([type=text], [type=number], :not([type])):not([role])"
# Opens a section, types into its first fields as soon as they are there, and returns how many these are.
OPEN_AND_TYPE = """([name, fields]) => new Promise(done => {
  const heading = [...document.querySelectorAll(".label-wrap")].find(
    button => button.checkVisibility() && button.innerText.trim().startsWith(name));
  const shown = () => [...heading.parentElement.querySelectorAll(fields)].filter(
    field => field.checkVisibility() && !field.disabled && !field.readOnly).slice(0, 5);
  const type = () => {
    if (!shown().length) return setTimeout(type);
    for (const field of shown()) {
      field.focus();
      field.value = "2";
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    window.typed = shown();
    done(window.typed.length);
  };
  heading.click();
  type();
})"""


OTHERS = [("Training", "Advanced"), ("Dataset", "Datasets on the Hugging Face Hub")]


def test_what_is_typed_as_a_section_opens_stays(page: Page, studio):
    open_page(page, studio)
    see_it_stay(page, "Advanced")


@pytest.mark.long
@pytest.mark.parametrize(("tab", "section"), OTHERS)
def test_it_stays_on_every_view_of_a_slow_browser(page: Page, studio, tab, section):
    open_page(page, studio)
    if tab == "Training":
        create_dataset(page, "Folded")
        go_to(page, tab)
        choose_option(page, "Dataset", "Folded")
    else:
        go_to(page, tab)
    see_it_stay(page, section, slower=SLOWER)


def see_it_stay(page: Page, section: str, slower: int = 1) -> None:
    page.get_by_role("button", name=section).locator("visible=true").wait_for()
    browser = page.context.new_cdp_session(page)
    browser.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    num_typed = page.evaluate(OPEN_AND_TYPE, [section, FIELDS])
    browser.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    for _ in range(5):
        drawn(page)
    assert page.evaluate("window.typed.map(field => field.isConnected && field.value)") == ["2"] * num_typed

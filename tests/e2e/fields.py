"""Every field that a page shows: finding them, typing in them, reading them, whatever the view is."""

from dataclasses import dataclass
from decimal import Decimal

from playwright.sync_api import Locator, Page, expect

# `mark` tells a field from one that was drawn anew in its place.
FIND = """() => {
  const first = text => (text ?? "").trim().split("\\n")[0];
  return [...document.querySelectorAll("input, textarea, select, [contenteditable=true]")]
    .filter(field => field.type !== "file" && field.checkVisibility({visibilityProperty: true}))
    .map((field, number) => {
      field.dataset.mark ??= `field-${number}-${Math.random()}`;
      const block = field.closest(".block");
      const isMany = block?.querySelector(".token-remove, .multiselect, .token") ?? false;
      return {
        mark: field.dataset.mark,
        kind: block?.querySelector("ul.options, .dropdown-arrow") && !isMany ? "dropdown" : field.type,
        label: first(field.getAttribute("aria-label")) || first(field.labels?.[0]?.innerText)
          || first(document.getElementById(field.getAttribute("aria-labelledby")?.split(" ")[0])?.textContent),
        is_editable: !field.disabled && !field.readOnly,
      };
    });
}"""
READ = """() => Object.fromEntries([...document.querySelectorAll("[data-mark]")].map(field =>
  [field.dataset.mark, ["checkbox", "radio"].includes(field.type) ? field.checked : field.value]))"""


@dataclass(frozen=True)
class Field:
    """`kind`: dropdown, or the type of an HTML field."""

    mark: str
    kind: str
    label: str
    is_editable: bool

    @property
    def is_text(self) -> bool:
        return self.kind in ("text", "textarea")

    def locate(self, page: Page) -> Locator:
        return page.locator(f"[data-mark='{self.mark}']")


def find_fields(page: Page) -> list[Field]:
    """All that a person sees now."""
    return [Field(**found) for found in page.evaluate(FIND)]


def read_fields(page: Page) -> dict[str, str | bool]:
    """The values of all fields that were found and are still the same to the browser, by mark."""
    return page.evaluate(READ)


def edit(page: Page, field: Field, text: str) -> None:
    """Change a field as a person does, and see that it has changed. `text` goes to the end of one for words."""
    place, before = field.locate(page), read_fields(page)[field.mark]
    if field.kind in ("checkbox", "radio"):
        place.set_checked(not before if field.kind == "checkbox" else True)
    elif field.kind == "range":
        place.press("ArrowRight" if Decimal(before) < Decimal(place.get_attribute("max")) else "ArrowLeft")
    elif field.kind == "dropdown" and not before:  # of many words, each of which becomes a token
        place.press_sequentially(text)
        place.press("Enter")
        page.locator(".token", has_text=text.strip()).first.wait_for()
        return
    elif field.kind == "dropdown":
        choose_another(page, place, before)
    elif field.kind == "select-one":
        values = place.evaluate("select => [...select.options].map(option => option.value)")
        place.select_option(next(value for value in values if value not in ("", before)))
    elif field.kind == "number":
        place.fill(next_number(place, before))
    else:
        place.press("Control+End")
        page.keyboard.insert_text(text)
    assert read_fields(page)[field.mark] != before or (field.kind, before) == ("radio", True), field


def choose_another(page: Page, place: Locator, before: str) -> None:
    options = page.get_by_role("option").locator("visible=true")  # not those inside a closed <select>
    expect(options).to_have_count(0)  # the list of the field before fades away
    place.click()
    options.first.wait_for()
    texts = options.all_inner_texts()
    options.nth(next(number for number, text in enumerate(texts) if before not in text)).click()


def next_number(place: Locator, before: str) -> str:
    """A step more than before, or less where that is the most."""
    step, most = Decimal(place.get_attribute("step") or "1"), place.get_attribute("max")
    value = Decimal(before or "0")
    return f"{value + step if not most or value + step <= Decimal(most) else value - step:f}"

"""Styles come in from elsewhere, are mixed, exported and published, and come back from the Hub: all on the page."""

import json
import re
from pathlib import Path

import httpx
import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from safetensors.torch import save_file

from tests.e2e.acting import choose_option, go_to
from tests.e2e.driving import broken_words, open_page, scrolls_sideways, violations
from tests.still_studio import NANO, wait_until

REPO, LAYERS = "musician/foreign", ("backbone_layers_0_attn_q_proj", "decoder_layers_0_attn_output_proj")
CHANGE = re.compile(r"Changes 2 of \d+ weights, by [\d.,]+ % of their size")


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A LoRA of two layers by the names of kohya's scripts, alpha and all, in one file."""
    config, tensors = json.loads((NANO / "config.json").read_text()), {}
    for layer, flavor in zip(LAYERS, ("backbone_flavor", "decoder_flavor"), strict=True):
        width, stem = config[flavor]["embed_dim"], f"lora_unet_{layer}"
        tensors[f"{stem}.lora_down.weight"] = torch.full((2, width), 0.01)
        tensors[f"{stem}.lora_up.weight"] = torch.full((width, 2), 0.01)
        tensors[f"{stem}.alpha"] = torch.tensor(2.0)
    save_file(tensors, tmp_path / "foreign.safetensors")
    return tmp_path / "foreign.safetensors"


@pytest.mark.long
def test_a_style_comes_in_goes_out_and_comes_back(page: Page, studio, hub, foreign):
    open_page(page, studio)
    go_to(page, "Models")
    page.locator("input[type=file]").last.set_input_files(foreign)
    expect(page.get_by_text(foreign.name).last).to_be_visible()
    page.get_by_placeholder("Night drive").fill("Foreign")
    page.get_by_role("button", name="Import", exact=True).locator("visible=true").click()
    card = page.locator(".card").filter(has=page.get_by_role("heading", name="Foreign", exact=True))
    expect(card.get_by_text(CHANGE)).to_be_visible()
    export(page, card)
    publish(page, hub)
    look_and_take_in(page, hub)
    mix(page, studio.url)


def export(page: Page, card: Locator) -> None:
    card.get_by_role("button", name="Export…").click()
    expect(page.get_by_role("heading", name="Export Foreign")).to_be_visible()
    choose_option(page, "For", "kohya")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export", exact=True).locator("visible=true").click()
    assert download.value.suggested_filename.endswith(".safetensors")


def publish(page: Page, hub) -> None:
    """The rights of a style from elsewhere are not known: that is asked, and nothing is sent before the answer."""
    page.get_by_role("button", name="Publish on the Hugging Face Hub").locator("visible=true").click()
    page.get_by_role("textbox", name="Repository").locator("visible=true").fill(REPO)
    expect(page.get_by_label("Private: only you can see it").locator("visible=true")).to_be_checked()
    assert violations(page) == []
    publish = page.get_by_role("button", name="Publish", exact=True).locator("visible=true")
    publish.click()
    expect(page.get_by_text(re.compile("rights")).locator("visible=true").last).to_be_visible()
    assert ("model", REPO) not in hub.repos
    page.get_by_label("I may publish it").locator("visible=true").check()
    publish.click()
    expect(page.get_by_text(f"Published as {REPO}")).to_be_visible()
    assert hub.repos["model", REPO].private
    page.get_by_text("Close", exact=True).locator("visible=true").click()


def look_and_take_in(page: Page, hub) -> None:
    page.get_by_role("button", name="Styles on the Hugging Face Hub").click()
    page.get_by_label("Search for").locator("visible=true").fill("foreign")
    page.get_by_role("button", name="Search", exact=True).locator("visible=true").click()
    page.get_by_role("radio", name=REPO).check()
    expect(page.get_by_label("Style on the Hub").locator("visible=true")).to_have_value(REPO)
    page.get_by_role("button", name="Show its card").locator("visible=true").click()
    revision = hub.repos["model", REPO].head
    expect(page.get_by_text(f"Revision {revision}")).to_be_visible()
    page.get_by_label("Name here").locator("visible=true").fill("From the Hub")
    page.set_viewport_size({"width": 390, "height": 844})
    assert not scrolls_sideways(page)
    assert broken_words(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="Import it").locator("visible=true").click()
    expect(page.get_by_text(f"“From the Hub” is here, from revision {revision[:12]}.")).to_be_visible()


def mix(page: Page, url: str) -> None:
    """Both at once under Create, the second one with its MLP layers turned off."""
    page.get_by_role("tab", name="Create").click()
    page.get_by_role("button", name="Mix styles").click()
    for name in ("Foreign", "From the Hub"):
        choose_option(page, "Styles to mix", name)
        expect(page.get_by_text(f"Strength of {name}")).to_be_visible()
    set_number(page, "Strength of Foreign", "0.5")
    page.get_by_label("Attention and MLP layers separately").locator("visible=true").last.check()
    set_number(page, "MLP strength", "0")
    page.get_by_role("button", name="Make songs with this mix").click()
    expect(page.locator(".active-style")).to_contain_text("Foreign × 0.5 + From the Hub × 1")
    active = [style for style in httpx.get(f"{url}/training/checkpoints").json() if style["is_active"]]
    assert [(style["strength"], style["mlp_strength"]) for style in active] == [(0.5, None), (1, 0)]
    save_the_mix(page, url)
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator(".active-style")).to_contain_text("none, the base model")
    wait_until(lambda: not any(style["is_active"] for style in httpx.get(f"{url}/training/checkpoints").json()))


def save_the_mix(page: Page, url: str) -> None:
    """As one style, by another way than the first offered; no name, no style."""
    page.get_by_role("button", name="Save this mix as a style").click()
    save = page.get_by_role("button", name="Save as a new style")
    expect(save).to_be_visible()
    assert violations(page) == []
    save.click()
    expect(page.get_by_text("cannot have 0 characters")).to_be_visible()
    page.get_by_label("Name of the new style").fill("<b>Both</b>")
    choose_option(page, "Merged by", "TIES: thinned out, with conflicts settled")
    page.get_by_label("Rank", exact=True).locator("visible=true").fill("3")
    save.click()
    expect(page.get_by_text("“<b>Both</b>” is among your styles now.")).to_be_visible()
    expect(page.get_by_label("Name of the new style")).to_have_value("")
    (merged,) = [style for style in httpx.get(f"{url}/training/checkpoints").json() if style["merged_from"]]
    assert merged["recipe"]["merge"] == {"combination": "ties_svd", "rank": 3, "density": 0.5, "seed": 0}
    assert [(parent["name"], parent["strength"], parent["mlp_strength"]) for parent in merged["merged_from"]] == [
        ("Foreign", 0.5, None),
        ("From the Hub", 1, 0),
    ]


def set_number(page: Page, label: str, value: str) -> None:
    field = page.get_by_role("spinbutton", name=label).locator("visible=true")
    field.fill(value)
    field.press("Tab")

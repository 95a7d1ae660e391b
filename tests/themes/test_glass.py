"""The theme: contrast of its colours, the classes the page relies on, and that it loads nothing from elsewhere."""

import re

import gradio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from themes import CSS, Glass

Rgb = tuple[float, float, float]

SHEETS = "\n".join(path.read_text(encoding="utf-8") for path in CSS)
TEXT_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
OUTLINE_CONTRAST = 3.0  # WCAG 2.2, 1.4.11

PANEL_CLASSES = ("glass", "hero", "brand", "active-style", "cards", "card", "selected", "song-row")
CARD_CLASSES = ("card-title", "card-meta", "card-actions", "method-card", "method-cards", "chips", "chip", "chip-on")
TEXT_CLASSES = (
    "hint",
    "mono",
    "log",
    "empty",
    "danger",
    "sr-only",
    "figures",
    "figure",
    "figure-label",
    "figure-value",
)
CHART_CLASSES = ("progress", "chart", "line-raw", "line-smooth", "line-held", "grid", "axis", "legend")
NOTICE_CLASSES = ("notice", "notice-info", "notice-warning", "notice-error", "notice-success", "lines", "field-row")
JOB_BADGES = ("badge", "badge-queued", "badge-running", "badge-completed", "badge-failed", "badge-cancelled")
OTHER_BADGES = ("interrupted", "draft", "ready", "processing", "processed", "error", "active")
CLASSES = (
    *(*PANEL_CLASSES, *CARD_CLASSES, *TEXT_CLASSES, *CHART_CLASSES, *NOTICE_CLASSES, *JOB_BADGES),
    *(f"badge-{status}" for status in OTHER_BADGES),
)
PAGE = ("page", "wash-cyan", "wash-purple")
PANELS = ("panel", "panel-blurred")
ON_PANELS = (None, "raised", "raised-hover", "field")
TINTS = ("grey", "blue", "green", "red", "amber")


def tokens(selector: str) -> dict[str, str]:
    block = re.search(rf"^{re.escape(selector)} {{\n(.*?)^}}", SHEETS, re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"--([\w-]+): ([^;]+);", block[1]))


MODES = {"light": tokens(":root"), "dark": tokens(".dark")}


def rgba(colour: str) -> tuple[float, float, float, float]:
    if colour.startswith("#"):
        return (*(int(colour[at : at + 2], 16) for at in (1, 3, 5)), 1.0)
    return tuple(float(part) for part in re.fullmatch(r"rgba\((.+)\)", colour)[1].split(","))


def over(colour: str, backdrop: Rgb) -> Rgb:
    *front, alpha = rgba(colour)
    return tuple(alpha * a + (1 - alpha) * b for a, b in zip(front, backdrop, strict=True))


def luminance(colour: Rgb) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Rgb, other: Rgb) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def solid(colour: str) -> Rgb:
    return rgba(colour)[:3]


def gradient(start: str, end: str) -> list[Rgb]:
    pairs = list(zip(solid(start), solid(end), strict=True))
    return [tuple(a + (b - a) * step / 10 for a, b in pairs) for step in range(11)]


def surfaces(mode: dict[str, str]) -> dict[str, Rgb]:
    """Everything text stands on: the page and, over its extremes, each panel with and without what lies on it."""
    found = {stop: solid(mode[stop]) for stop in PAGE} | {name: solid(mode[name]) for name in ("solid", "solid-raised")}
    for stop in PAGE:
        for panel in PANELS:
            glass = over(mode[panel], solid(mode[stop]))
            for layer in ON_PANELS:
                found[f"{stop}/{panel}/{layer}"] = over(mode[layer], glass) if layer else glass
        found |= {f"{stop}/{layer}": over(mode[layer], solid(mode[stop])) for layer in ("raised", "raised-hover")}
    return found


def test_contrast_of_black_on_white():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert over("rgba(255, 255, 255, 0.5)", (0, 0, 0)) == (127.5, 127.5, 127.5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", ["text", "muted", "accent", "accent-purple"])
def test_text_is_readable_on_the_page_and_over_the_glass(mode, text):
    colours = MODES[mode]
    found = {name: contrast(solid(colours[text]), surface) for name, surface in surfaces(colours).items()}
    assert {name: ratio for name, ratio in found.items() if ratio < TEXT_CONTRAST} == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tint", TINTS)
def test_badges_and_notices_are_readable(mode, tint):
    assert contrast(solid(MODES[mode][f"ink-{tint}"]), solid(MODES[mode][f"tint-{tint}"])) >= TEXT_CONTRAST


@pytest.mark.parametrize("mode", MODES)
def test_primary_buttons_are_readable_from_end_to_end(mode):
    colours = MODES[mode]
    text = solid(colours["on-gradient"])
    fills = gradient(colours["gradient-from"], colours["gradient-to"])
    assert min(contrast(text, fill) for fill in fills) >= TEXT_CONTRAST


@pytest.mark.parametrize("mode", MODES)
def test_the_brand_is_readable_from_end_to_end(mode):
    colours = MODES[mode]
    letters = gradient(colours["accent"], colours["accent-purple"])
    assert min(contrast(part, solid(colours[stop])) for part in letters for stop in PAGE) >= TEXT_CONTRAST


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("outline", ["focus", "edge", "control"])
def test_focus_rings_and_outlines_of_fields_are_visible(mode, outline):
    colours = MODES[mode]
    found = {name: contrast(solid(colours[outline]), surface) for name, surface in surfaces(colours).items()}
    assert {name: ratio for name, ratio in found.items() if ratio < OUTLINE_CONTRAST} == {}


def test_both_modes_define_the_same_colours():
    assert MODES["light"].keys() == MODES["dark"].keys()


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_the_page_has_a_style(name):
    assert re.search(rf"\.{name}(?![\w-])", SHEETS)


@pytest.fixture(scope="module")
def client() -> TestClient:
    with gradio.Blocks() as page:
        gradio.Button("Generate")
    return TestClient(gradio.mount_gradio_app(FastAPI(), page, path="/", theme=Glass(), ssr_mode=False))


@pytest.fixture(scope="module")
def served(client) -> str:
    return client.get("/theme.css").text


def test_the_theme_alone_brings_its_style_sheets_once(served):
    assert served.count(CSS[0].read_text(encoding="utf-8")) == 1
    assert all(path.read_text(encoding="utf-8") in served for path in CSS)


def test_nothing_is_loaded_from_elsewhere(client, served):
    assert [target for target in re.findall(r"url\(['\"]?([^)]*)", served) if not target.startswith("data:")] == []
    assert "@import" not in served
    assert "@font-face" not in served
    assert client.get("/config").json()["stylesheets"] == []


def test_every_variable_in_use_is_defined(served):
    ours = served[served.index(CSS[0].read_text(encoding="utf-8")) :]
    theme = "\n".join(line for line in served.splitlines() if line.startswith("  --"))
    used = set(re.findall(r"var\(--([\w-]+)", ours + theme))
    assert used - set(re.findall(r"--([\w-]+):", served)) == set()

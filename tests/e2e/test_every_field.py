"""Every field of every view can be edited, filled and empty, and keeps what is typed while other things arrive.

P (libraries that changed under us): in Gradio 6, filled fields of a rendered list are disabled, and what is being typed
there is lost when the list is drawn anew.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile
from playwright.sync_api import Page, expect

from tests.e2e.acting import choose_option, go_to
from tests.e2e.conftest import lasting_page
from tests.e2e.driving import open_page
from tests.e2e.fields import Field, edit, find_fields, read_fields
from tests.still_studio import wait_until, zipped_adapter
from tests.studio_server import Server, running_server

pytestmark = pytest.mark.long
# A field that cannot be edited, or that this test leaves alone, must stand here with the reason.
NOT_EDITABLE: dict[str, str] = {}
NOT_EDITED = {
    "None, the base model": "acts at once, and others choose a style, too",
    "Imported": "acts at once, and others choose a style, too",
    "Dataset": "names the files that arrive",
    "Start from": "takes the fields of a LoRA away, and follows the styles that come and go",
    "🔥 Full": "takes the fields of a LoRA away: chosen after they were edited",
    "How the change is built": "takes fields away: chosen after they were edited",
    "Fine detail as well": "takes fields away",
    "Starred only": "stands before the tags, of which as many are ticked as there is time for",
    "Find in tracks": "takes rows away",
    "Show which tracks": "takes rows away",
    "Sort by": "moves the rows that others are typed in",
}
OPENED_BY = {
    "Create": ["Advanced"],
    "Dataset": [
        "✏️ Edit",
        "Import a dataset",
        "Export this dataset",
        "Publish on the Hugging Face Hub",
        "Datasets on the Hugging Face Hub",
    ],
    "Training": ["Advanced"],
    "Jobs": ["Clone…"],
    "Models": ["Compare", "Export…", "Publish on the Hugging Face Hub", "Styles on the Hugging Face Hub"],
}
PANELS = {"Dataset": "Save", "Jobs": "Start the clone", "Models": "Make both"}  # the button in a panel that was opened
NUM_SONGS = 6  # of the examples
TEXTS = {"Seed": "12", "LoRA alpha": "2", "Loudness (LUFS)": "-14", "Guidance (CFG)": "2"}
NUM_TICKED = 4  # "Until one ends by itself", and three of the seventy tags
NUM_ALIKE = 2  # songs whose fields are typed in: an empty one and a filled one


@dataclass
class Busy:
    """A studio where others are at work, and what they have done."""

    client: httpx.Client
    server: Server
    dataset: dict
    adapter: Path
    num_arrived: int = 0
    job: dict | None = None

    def train(self) -> None:
        """Start the training that lasts until the end of the tests; after its first step it rests."""
        wanted = {"dataset_id": self.dataset["id"], "epochs": 1000, "max_window_sec": 2}
        self.job = self._post("/training/jobs", json=wanted)
        wait_until(lambda: self.step() > 0)
        self._worker().suspend()

    @contextmanager
    def training(self) -> Iterator[None]:
        """Let the training go on. Else it would keep a core from what is tested."""
        self._worker().resume()
        yield
        self._worker().suspend()

    def _worker(self) -> psutil.Process:
        manifest = self.server.data_dir / "jobs" / self.job["id"] / "manifest.json"
        return psutil.Process(json.loads(manifest.read_text())["worker"]["pid"])

    def arrive(self) -> str:
        """Let something of every kind come from elsewhere; return how strong the active style is now."""
        self.num_arrived = number = self.num_arrived + 1
        audio = f"/training/datasets/{self.dataset['id']}/audio"
        path = self.adapter.with_name(f"new {number}.wav")
        soundfile.write(path, np.random.default_rng(number).uniform(-0.5, 0.5, (5 * 44_100, 2)), 44_100)
        self._post(audio, files={"file": (path.name, path.read_bytes())})
        self.client.put(f"{audio}/{path.name}", json={"caption": "from elsewhere"}).raise_for_status()
        self._post(f"/training/datasets/{self.dataset['id']}/preprocess")
        self._post("/training/datasets", json={"name": f"Dataset {number}"})
        self._post("/styles/custom", json={"name": f"tag {number}"})
        style = self.take_in(f"Imported {number}")
        self._post(f"/training/checkpoints/{style['id']}/activate", json={"strength": 0.5 + number / 10})
        return f"{0.5 + number / 10:g}"

    def step(self) -> int:
        """How far the training is."""
        return self.get(f"/training/jobs/{self.job['id']}")["step"]

    def cancel(self, song_id: str) -> None:
        """Keep the cores for what is tested."""
        self._post(f"/generate/{song_id}/cancel")

    def take_in(self, name: str) -> dict:
        upload = {"file": (self.adapter.name, self.adapter.read_bytes())}
        return self._post("/training/checkpoints/import", files=upload, data={"name": name})

    def get(self, path: str) -> dict | list:
        return self.client.get(path).raise_for_status().json()

    def _post(self, path: str, **content) -> dict:
        return self.client.post(path, **content).raise_for_status().json()


@pytest.fixture(scope="module")
def busy(tmp_path_factory) -> Iterator[Busy]:
    """On ZeroGPU, as Gradio knows it."""
    folder = tmp_path_factory.mktemp("busy")
    with (
        running_server(folder / "data", SPACES_ZERO_GPU="true") as server,
        httpx.Client(base_url=server.url, timeout=180) as client,
    ):
        dataset = client.post("/training/datasets/examples").raise_for_status().json()
        for number, song in enumerate(dataset["audio_files"]):
            filled = {"caption": f"[Verse]\nline {number}", "tags": ["techno"]} if number % 2 else {"caption": ""}
            client.put(f"/training/datasets/{dataset['id']}/audio/{song['filename']}", json=filled).raise_for_status()
        others = Busy(client, server, dataset, zipped_adapter(folder))
        others.take_in("Imported")
        yield others
        for job in others.get("/training/jobs"):
            if job["status"] in ("queued", "running"):
                client.post(f"/training/jobs/{job['id']}/cancel", json={"save": False}).raise_for_status()


@pytest.fixture(scope="module")
def page(browser, busy) -> Iterator[Page]:
    refused = []
    with lasting_page(browser) as page:
        page.on("response", lambda response: refused.append(response.url) if response.status == 503 else None)
        open_page(page, busy.server)
        expect(page.get_by_role("radio", name="Imported")).to_be_visible()
        assert refused == [], "P: on ZeroGPU, opening events got 503"
        yield page


@pytest.mark.parametrize("view", ["Create", "Dataset", "Training", "Models", "Jobs"])
def test_every_field(page: Page, busy, view):
    show(page, busy, view)
    walk(page, busy, view)
    CHECKS[view](page, busy)


def show(page: Page, busy: Busy, view: str) -> None:
    """Open a view with all its panels."""
    if view == "Jobs" and busy.job is None:
        busy.train()
    if view != "Create":
        go_to(page, view)
    if view == "Training":
        choose_dataset(page, busy.dataset["name"])
    if view == "Dataset":
        page.get_by_role("button", name="Open", exact=True).last.click()
        expect(page.locator(".song-row:visible")).to_have_count(NUM_SONGS + busy.num_arrived)
        open_tracks(page)
    for opener in OPENED_BY[view]:
        page.get_by_role("button", name=opener).locator("visible=true").last.click()
    if view in PANELS:
        expect(page.get_by_role("button", name=PANELS[view], exact=True)).to_be_visible()
    else:
        expect(page.get_by_label("Seed").last).to_be_visible()


def open_tracks(page: Page) -> None:
    """Show lyrics and all else of each track."""
    closed = page.locator(".song-row").get_by_role("button", name="More of", expanded=False)
    while closed.count():
        closed.first.click()


def choose_dataset(page: Page, name: str) -> None:
    page.get_by_role("combobox", name="Dataset").locator("visible=true").click()
    page.get_by_role("option", name=name).click()


def walk(page: Page, busy: Busy, view: str) -> None:
    """Edit all fields, leave the cursor in the last, let things arrive, and type on."""
    fields = find_fields(page)
    assert [field for field in fields if not field.is_editable and field.label not in NOT_EDITABLE] == []
    edited = [field for field in fields if not field.label.startswith(tuple(NOT_EDITED))]
    for place, one in enumerate(edited):
        if is_edited(edited, place):
            edit(page, one, TEXTS.get(one.label, " typed"))
    last = [field for field in edited if field.is_text or field.kind == "number"][-1]
    last.locate(page).press("Control+End")
    typed = {field.mark: read_fields(page)[field.mark] for field in edited}
    expect(page.locator(".active-style")).to_contain_text(f"× {busy.arrive()}")
    see_arrived(page, busy, view)
    kept = read_fields(page)
    assert {mark: kept.get(mark, "drawn anew") for mark in typed} == typed
    assert page.evaluate("document.activeElement.dataset.mark") == last.mark
    page.keyboard.type("1")
    assert read_fields(page)[last.mark] == f"{typed[last.mark]}1"


def is_edited(fields: Sequence[Field], place: int) -> bool:
    """Of many fields that are alike, only the first are typed in."""
    one, before = fields[place], fields[:place]
    if one.kind == "checkbox":
        return sum(field.kind == "checkbox" for field in before) < NUM_TICKED
    return sum(field.label == one.label for field in before) < NUM_ALIKE


def see_arrived(page: Page, busy: Busy, view: str) -> None:
    """Wait until a view shows what came last."""
    number = busy.num_arrived
    if view == "Create":
        expect(page.get_by_role("checkbox", name=f"tag {number}", exact=True)).to_be_visible()
    elif view == "Dataset":
        expect(page.get_by_role("rowheader", name=f"new {number}.wav")).to_be_visible()
    elif view == "Training":
        chosen = page.get_by_role("combobox", name="Dataset").locator("visible=true")
        expect(chosen).to_have_value(re.compile(rf"\({NUM_SONGS + number} files\)$"))
    elif view == "Jobs":
        see_another_step(page, busy)
    else:
        expect(page.get_by_role("heading", name=f"Imported {number}", exact=True)).to_be_visible()


def see_another_step(page: Page, busy: Busy) -> None:
    shown, step = page.get_by_text(re.compile(r"^Step: \d+ of")).last, busy.step()
    with busy.training():
        wait_until(lambda: int(shown.inner_text().split()[1]) > step)


def check_create(page: Page, busy: Busy) -> None:
    lyrics = page.get_by_role("textbox", name=re.compile("^Lyrics")).locator("visible=true")
    page.get_by_role("button", name="[Chorus]").click()
    lyrics.press("Control+End")
    lyrics.press_sequentially("la")
    page.get_by_role("button", name="Generate", exact=True).click()
    wait_until(lambda: busy.get("/generate"))
    song = busy.get("/generate")[0]
    busy.cancel(song["id"])
    request = song["request"]
    assert request["lyrics"] == " typed\n\n[Chorus]\nla"
    assert (request["seed"], request["topk"], request["duration_sec"]) == (12, 51, 62)
    assert request["loudness_lufs"] == -14
    assert {"typed", "pop", "rock", "electronic"} <= set(request["tags"].split(", "))
    page.get_by_label("A tag of your own").press("Enter")
    wait_until(lambda: any("typed" in name for name in busy.get("/styles")["custom"]))


def check_dataset(page: Page, busy: Busy) -> None:
    rows = page.locator(".song-row:visible")
    open_tracks(page)
    cleared = rows.nth(1).get_by_label("Lyrics")
    cleared.fill("")
    cleared.press("Tab")
    assert any("techno typed" in tags for _, tags, *_ in shown_rows(page).values())
    wait_until(lambda: stored_rows(busy) == shown_rows(page))
    page.get_by_role("button", name="Save", exact=True).click()
    wait_until(lambda: busy.get(f"/training/datasets/{busy.dataset['id']}")["name"] == "Example clips typed")
    page.get_by_role("button", name="Create dataset").click()
    wait_until(lambda: "typed" in [dataset["name"] for dataset in busy.get("/training/datasets")])
    expect(page.get_by_placeholder("Lagos nights")).to_have_value("")


def shown_rows(page: Page) -> dict:
    shown = {}
    for row in page.locator(".song-row:visible").all():
        lyrics, ending = (row.get_by_label(label).input_value() for label in ("Lyrics", "How it stops"))
        tags, rights = (row.get_by_label(label, exact=True).input_value() for label in ("Tags", "Rights"))
        shown[row.locator(".track-name").text_content()] = (lyrics, tags.strip(), rights, ending)
    return shown


def stored_rows(busy: Busy) -> dict:
    songs = busy.get(f"/training/datasets/{busy.dataset['id']}")["audio_files"]
    return {
        song["filename"]: (song["caption"], ", ".join(song["tags"]), song["rights"], song["ending"]) for song in songs
    }


def check_training(page: Page, busy: Busy) -> None:
    """Choosing the other method takes the fields of a LoRA away; what was typed there comes back with them."""
    alpha = page.get_by_label("LoRA alpha")
    typed = alpha.input_value()
    page.get_by_role("radio", name="Full").check()
    expect(alpha).to_be_hidden()
    page.get_by_role("radio", name="LoRA").check()
    expect(alpha).to_have_value(typed)
    dora = page.get_by_label("(DoRA)")
    was_ticked = dora.is_checked()
    choose_option(page, "How the change is built (adapter kind)", "LoHa")
    expect(dora).to_be_hidden()
    choose_option(page, "How the change is built (adapter kind)", "LoRA")
    expect(dora).to_be_checked(checked=was_ticked)


def check_jobs(page: Page, busy: Busy) -> None:
    start = page.get_by_role("button", name="Start the clone")
    page.get_by_role("button", name="Close").locator("visible=true").last.click()
    expect(start).to_be_hidden()
    see_another_step(page, busy)
    expect(start).to_be_hidden()
    show(page, busy, "Jobs")
    page.get_by_label("Epochs").locator("visible=true").fill("1001")
    start.click()
    expect(start).to_be_hidden()
    wait_until(lambda: len(busy.get("/training/jobs")) == 2)
    assert busy.get("/training/jobs")[-1]["epochs"] == 1001


def check_models(page: Page, busy: Busy) -> None:
    strength = page.get_by_label(re.compile(r"\bStrength$")).locator("visible=true").last.input_value()
    page.get_by_role("button", name="Set strength").click()
    wait_until(lambda: float(strength) in [style["strength"] for style in busy.get("/training/checkpoints")])
    page.locator("input[type=file]").last.set_input_files(str(busy.adapter))
    expect(page.get_by_text(busy.adapter.name).last).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).locator("visible=true").click()
    wait_until(lambda: "typed" in json.dumps([style["name"] for style in busy.get("/training/checkpoints")]))


CHECKS: dict[str, Callable[[Page, Busy], None]] = {
    "Create": check_create,
    "Dataset": check_dataset,
    "Training": check_training,
    "Jobs": check_jobs,
    "Models": check_models,
}

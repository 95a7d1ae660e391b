"""The tracks of the selected dataset: upload, tokenizing, what is found of them, and their table."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import gradio as gr

from heartmula_studio.errors import StudioError
from heartmula_studio.files.public_text import public
from heartmula_studio.files.wording import counted
from heartmula_studio.lyrics.checking import LYRICS_SUFFIXES
from heartmula_studio.lyrics.decoding import read_lyrics_file
from heartmula_studio.store.records import Dataset
from heartmula_studio.store.songs import length_histogram
from heartmula_studio.store.views import LengthCount, TrackLosses, TrackSound
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.page_context import PageContext, find_dataset, shown_as_found, user_errors
from heartmula_studio.ui.proposals import build_proposals
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.track_table import build_track_table

FIRST_STEP = "Give your style a name, then drop at least five songs. Or try it with the six example clips."
CHOOSE = "Open one of your datasets, or make a new one."


def build_tracks(context: PageContext) -> None:
    studio, dataset_id = context.studio, context.dataset_id
    reported = gr.State("")
    with gr.Column(elem_classes=["glass"]):
        heading = gr.HTML()
        with gr.Column(visible=False) as panel:
            drop = gr.File(
                label="Drop recordings (MP3, WAV, FLAC, OGG, AIFF, CAF, M4A) and their lyrics (.txt, .lrc, .ttml)",
                file_count="multiple", height=150,
            )  # fmt: skip
            report = gr.HTML(elem_classes=["announced"])
            with gr.Row(elem_classes=["actions"]):
                tokenize = gr.Button("Prepare now (tokenize)", min_width=140)
                check = gr.Button("Find wrong lyrics", min_width=140)
                listen = gr.Button("Check the sound", min_width=140)
                stop = gr.Button("Stop checking", visible=False, min_width=140)
                train = gr.Button("Train on these songs", variant="primary", min_width=140)
            build_proposals(context)
            status, losses, sound = gr.HTML(), gr.HTML(), gr.HTML()
        build_track_table(context)
    gr.on(
        on_change(context.changes.datasets, dataset_id), partial(overview, studio), dataset_id,
        outputs=[heading, panel, status, check, train], **QUIET,
    )  # fmt: skip
    check.click(
        partial(find_wrong_lyrics, studio), dataset_id, losses, show_progress_on=[losses], api_visibility="private"
    )
    listening = listen.click(partial(check_sound, studio), dataset_id, [sound, stop], **QUIET)
    stop.click(lambda: ("", gr.update(visible=False)), outputs=[sound, stop], cancels=[listening], **QUIET)
    dataset_id.change(
        lambda: ("", "", gr.update(visible=False)), outputs=[losses, sound, stop], cancels=[listening], **QUIET
    )
    uploaded = drop.upload(
        partial(upload, studio), [dataset_id, drop], [report, reported], concurrency_limit=None, **QUIET
    )
    context.refresh_after(uploaded.then(lambda: None, outputs=drop, **QUIET))
    dataset_id.change(reset_for, [dataset_id, reported], report, **QUIET)
    context.refresh_after(tokenize.click(lambda id: start_tokenizing(studio, id), dataset_id, **QUIET))
    context.open_tab_after(train.click(lambda: None, **QUIET), "training")


def overview(studio: Studio, id: str) -> tuple:
    """Return heading, panel, state of tokenizing, and the buttons that look for wrong lyrics and lead to Training."""
    dataset = find_dataset(studio, id)
    if dataset is None:
        return nothing_selected(studio), gr.update(visible=False), "", gr.update(), gr.update()
    is_measurable = bool(dataset.audio_files) and all(song.frames is not None for song in dataset.audio_files)
    is_enough = len(dataset.audio_files) >= dataset.minimum_files
    return (
        dataset_heading(dataset),
        gr.update(visible=True),
        tokenizing_status(dataset),
        gr.update(interactive=is_measurable),
        gr.update(interactive=is_enough),
    )


def nothing_selected(studio: Studio) -> str:
    """Return HTML: what to do first."""
    if studio.datasets.records():
        return html.empty("📦", "No dataset selected", CHOOSE)
    return html.empty("🎼", "No datasets yet", FIRST_STEP)


def dataset_heading(dataset: Dataset) -> str:
    count, needed = len(dataset.audio_files), dataset.minimum_files
    title = f'<h2 dir="auto">{html.escape(dataset.name)}</h2>'
    is_enough = count >= needed
    files = f'<span class="hint">{counted(count, "file")}</span>' if is_enough else ""
    bar = "" if is_enough else html.progress(100 * count / needed, f"{count} of {counted(needed, 'file')}")
    texts = "".join(html.notice("info", f"The lyrics “{stem}” have no song yet.") for stem in dataset.waiting_texts)
    return f"{title}<p>{html.badge(dataset.status)} {files}</p>{bar}{texts}"


def tokenizing_status(dataset: Dataset) -> str:
    """Return HTML: how many songs are tokenized; training tokenizes the rest."""
    done, total = sum(song.frames is not None for song in dataset.audio_files), len(dataset.audio_files)
    if not total or done == total:
        return html.notice("success", "All songs are prepared (tokenized).") if total else ""
    if dataset.status == "processing":
        return html.progress(100 * done / total, f"{done} of {counted(total, 'song')} prepared")
    return '<p class="hint">The songs are prepared (tokenized) when training starts; there is nothing else to do.</p>'


def reset_for(id: str, reported: str) -> object:
    """Clear the report on another dataset. On a busy server this comes late, when files may be uploaded already."""
    return gr.skip() if id == reported else ""


def upload(studio: Studio, id: str, files: list[str]) -> Iterator[tuple[str, str]]:
    """Add uploaded files one by one; yield progress with a line for each refused one, and the dataset's id.

    Lyrics whose encoding was guessed are shown, for a person alone can tell whether they are right.
    """
    refused: list[str] = []
    questions: list[str] = []
    songs_first = sorted(map(Path, files), key=lambda path: path.suffix.lower() == ".txt")
    for done, path in enumerate(songs_first):
        progress = html.progress(100 * done / len(files), f"{done} of {counted(len(files), 'file')}: {path.name}")
        yield progress + html.lines("error", refused), id
        try:
            studio.datasets.add_file(id, path)
            questions += lyrics_question(path)
        except StudioError as error:
            refused.append(f"{path.name}: {public(str(error))}")
        finally:
            path.unlink(missing_ok=True)
    yield upload_report(len(files) - len(refused), refused) + html.lines("warning", questions), id


def lyrics_question(path: Path) -> list[str]:
    """What to ask of a file of lyrics that was taken in, if anything."""
    is_text = path.suffix.lower() in LYRICS_SUFFIXES
    question = read_lyrics_file(path).question if is_text else ""
    return [f"{path.name}: {question}"] if question else []


def upload_report(added: int, refused: list[str]) -> str:
    accepted = html.notice("success", f"{counted(added, 'file')} added.") if added else ""
    were = "was" if len(refused) == 1 else "were"
    rejected = html.notice("warning", f"{counted(len(refused), 'file')} {were} refused.") if refused else ""
    return accepted + rejected + html.lines("error", refused)


def find_wrong_lyrics(studio: Studio, id: str) -> str:
    """Measure how unlikely the base finds each track with its words."""
    with user_errors():
        return losses_html(studio.datasets.track_losses(id))


def losses_html(losses: TrackLosses) -> str:
    """Return the tracks with their losses, the highest first."""
    rows = (
        html.bar(track.filename, f"{track.loss:.4f}", track.loss / losses.tracks[0].loss) for track in losses.tracks
    )
    return f'<h3>The most unlikely first</h3><p class="hint">{html.escape(losses.explanation)}</p>{"".join(rows)}'


def check_sound(studio: Studio, id: str) -> Iterator[tuple[str, dict]]:
    """Measure the recordings one by one; yield progress, and what was found so far."""
    found: list[TrackSound] = []
    with user_errors():
        dataset = studio.datasets.get(id)
        yield from shown_as_found(studio.datasets.measure_sound(id), len(dataset.audio_files), found, sound_html)
    yield sound_html(found) + lengths_html(length_histogram(dataset)), gr.update(visible=False)


def sound_html(tracks: Sequence[TrackSound]) -> str:
    """Return each track with its loudness, and what is to be said of it; those with warnings first."""
    rows = []
    for track in sorted(tracks, key=lambda track: not track.warnings):
        loudness = "not measured" if track.loudness_lufs is None else f"{track.loudness_lufs:.1f} LUFS"
        rows.append(html.bar(track.filename, loudness, 0) + html.lines("warning", track.warnings))
    clean = sum(not track.warnings for track in tracks)
    return f'<h3>How the songs sound</h3><p class="hint">{clean} of {len(tracks)} are fine.</p>{"".join(rows)}'


def lengths_html(lengths: Sequence[LengthCount]) -> str:
    """Return a bar for each kind of length with its number of songs."""
    most = max((kind.tracks for kind in lengths), default=1)
    bars = (html.bar(length_range(kind), str(kind.tracks), kind.tracks / most) for kind in lengths)
    return f"<h3>How long the songs are</h3>{''.join(bars)}"


def length_range(kind: LengthCount) -> str:
    if kind.to_sec is None:
        return f"{html.duration(kind.from_sec)} and more"
    return f"{html.duration(kind.from_sec)} to {html.duration(kind.to_sec)}"


def start_tokenizing(studio: Studio, id: str) -> None:
    with user_errors():
        studio.datasets.preprocess(id)

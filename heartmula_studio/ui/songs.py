"""The songs of the selected dataset: dropping files in, and a row for each one to listen to and to edit."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import gradio as gr

from heartmula_studio.errors import NotFoundError, StudioError
from heartmula_studio.lyrics.parsing import removed_lines
from heartmula_studio.public_text import public
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.songs import shown
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import moved
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.shared import Shared, explained, keyed

SHOWN_AT_FIRST = 10
RIGHTS = (("Not stated", "unknown"), ("My own", "own"), ("Licensed", "licensed"), ("Public domain", "public_domain"))
CHOOSE = "Choose one on the left, or make a new one."


def build_songs(shared: Shared) -> None:
    studio, dataset_id = shared.studio, shared.dataset_id
    rows, limit, reported = gr.State(""), gr.State(SHOWN_AT_FIRST), gr.State("")
    with gr.Column(elem_classes=["glass"]):
        heading = gr.HTML()
        with gr.Column(visible=False) as panel:
            drop = gr.File(
                label="Drop MP3, WAV or FLAC files, and .txt or .lrc files with their lyrics",
                file_count="multiple", height=150,
            )  # fmt: skip
            report = gr.HTML()
            with gr.Row():
                tokenise = gr.Button("Tokenise now", min_width=140)
                train = gr.Button("Train on these songs", variant="primary", min_width=140)
            status = gr.HTML()
        _build_rows(shared, rows, limit)
    gr.on(
        moved(shared.changes.datasets, dataset_id), partial(overview, studio), dataset_id,
        outputs=[heading, panel, status, rows, train], **QUIET,
    )  # fmt: skip
    taken = drop.upload(
        partial(take_in, studio), [dataset_id, drop], [report, reported], concurrency_limit=None, **QUIET
    )
    shared.refresh(taken.then(lambda: None, outputs=drop, **QUIET))
    dataset_id.change(begin_anew, [dataset_id, reported], [report, limit], **QUIET)
    shared.refresh(tokenise.click(lambda id: start_tokenising(studio, id), dataset_id, **QUIET))
    shared.show(train.click(lambda: None, **QUIET), "training")


def find_dataset(studio: Studio, id: str) -> Dataset | None:
    """A dataset that a browser remembers may be gone."""
    if not id:
        return None
    try:
        return studio.get_dataset(id)
    except NotFoundError:
        return None


def overview(studio: Studio, id: str) -> tuple:
    """Heading, the panel's visibility, the state of tokenising, what the rows depend on, and the way to training."""
    dataset = find_dataset(studio, id)
    if dataset is None:
        return html.empty("📦", "No dataset selected", CHOOSE), gr.update(visible=False), "", "", gr.update()
    is_enough = len(dataset.audio_files) >= dataset.minimum_files
    return (
        dataset_heading(dataset),
        gr.update(visible=True),
        tokenising_status(dataset),
        rows_fingerprint(dataset),
        gr.update(interactive=is_enough),
    )


def dataset_heading(dataset: Dataset) -> str:
    count, needed = len(dataset.audio_files), dataset.minimum_files
    said = f"{count} of {needed} files" if count < needed else f"{count} files"
    title = f'<h2 dir="auto">{html.escape(dataset.name)}</h2>'
    bar = html.progress(100 * count / needed, said) if count < needed else ""
    texts = "".join(html.notice("info", f"The lyrics “{stem}” wait for their song.") for stem in dataset.waiting_texts)
    return f'{title}<p>{html.badge(dataset.status)} <span class="hint">{html.escape(said)}</span></p>{bar}{texts}'


def tokenising_status(dataset: Dataset) -> str:
    """How many songs the model can read already; training sees to the rest."""
    done, total = sum(song.frames is not None for song in dataset.audio_files), len(dataset.audio_files)
    if not total or done == total:
        return html.notice("success", "All songs are tokenised.") if total else ""
    label = f"{done} of {total} songs tokenised"
    if dataset.status == "processing":
        return html.progress(100 * done / total, label)
    return f'<p class="hint">{label}. Training does the rest by itself.</p>'


def rows_fingerprint(dataset: Dataset) -> str:
    """What makes the rows appear anew: not the texts, which are being typed there."""
    return str([(song.filename, song.frames, song.error) for song in dataset.audio_files])


def begin_anew(id: str, reported: str) -> tuple:
    """Forget what was said of another dataset. A busy server hears of a change late, when files may be in already."""
    return gr.skip() if id == reported else "", SHOWN_AT_FIRST


def take_in(studio: Studio, id: str, files: list[str]) -> Iterator[tuple[str, str]]:
    """Add uploaded files one by one; yield how far it is with a line for each refused one, and the dataset's id."""
    refused: list[str] = []
    for done, path in enumerate(map(Path, files)):
        progress = html.progress(100 * done / len(files), f"{done} of {len(files)} files: {path.name}")
        yield progress + html.lines("error", refused), id
        try:
            studio.add_file(id, path)
        except StudioError as error:
            refused.append(f"{path.name}: {public(str(error))}")
        finally:
            path.unlink(missing_ok=True)
    yield taken_in(len(files) - len(refused), refused), id


def taken_in(added: int, refused: list[str]) -> str:
    good = html.notice("success", f"{added} files added.") if added else ""
    bad = html.notice("warning", f"{len(refused)} files were refused.") if refused else ""
    return good + bad + html.lines("error", refused)


def start_tokenising(studio: Studio, id: str) -> None:
    with explained():
        studio.preprocess(id)


# --- rows ----------------------------------------------------------------------------------------------------------


def _build_rows(shared: Shared, rows: gr.State, limit: gr.State) -> None:
    @gr.render([shared.dataset_id, limit], moved(rows, shared.dataset_id, limit), show_progress="hidden")
    def _(id: str, limit_now: int) -> None:
        dataset = find_dataset(shared.studio, id)
        if dataset is None:
            return
        if not dataset.audio_files:
            gr.HTML(html.empty("🎤", "Drop your songs here", "Five at least. Songs of one style work best."))
        for song in dataset.audio_files[:limit_now]:
            _build_row(shared, dataset, song)
        if len(dataset.audio_files) > limit_now:
            more = gr.Button(f"Show all {len(dataset.audio_files)} songs", size="sm")
            more.click(lambda: len(dataset.audio_files), outputs=limit, **QUIET)


def _build_row(shared: Shared, dataset: Dataset, song: AudioFile) -> None:
    studio, key = shared.studio, f"{dataset.id}/{song.filename}"
    with gr.Column(elem_classes=["song-row"]):
        gr.HTML(song_heading(song, shared.players.url(studio.audio_path(dataset.id, song.filename))))
        with gr.Row():
            lyrics = gr.Textbox(
                song.caption, label="Lyrics", info="Plain, or timed: [01:23.45] a line", lines=2, max_lines=12,
                scale=3, key=f"{key}/lyrics",
            )  # fmt: skip
            with gr.Column(scale=2, min_width=200):
                tags = gr.Textbox(", ".join(song.tags), label="Tags", max_lines=1, key=f"{key}/tags",
                    placeholder=", ".join(dataset.styles) or "those of the dataset")  # fmt: skip
                rights = gr.Dropdown(RIGHTS, value=song.rights, label="Rights", key=f"{key}/rights")
        with gr.Row():
            hear = gr.Button("Hear what the model hears", size="sm", min_width=180, **keyed(f"{key}/hear"))
            remove = gr.Button("🗑️ Remove", size="sm", min_width=100, **keyed(f"{key}/remove"))
        heard = gr.HTML(key=f"{key}/heard")
    save = _saver(studio, dataset.id, song.filename)
    lyrics.blur(lambda text: save(caption=text), lyrics, key=lyrics.key, **QUIET)
    gr.on([tags.blur, tags.submit], lambda text: save(tags=_split(text)), tags, key=tags.key, **QUIET)
    rights.input(lambda value: save(rights=value), rights, key=rights.key, **QUIET)
    hear.click(
        lambda: what_is_heard(shared, dataset.id, song.filename), outputs=heard, key=hear.key, api_visibility="private"
    )
    removed = remove.click(lambda: remove_song(studio, dataset.id, song.filename), key=remove.key, **QUIET)
    shared.refresh(removed)


def song_heading(song: AudioFile, url: str) -> str:
    """Name, player and what is known of a song."""
    state = "error" if song.error else "processed" if song.frames is not None else "ready"
    known = f"{html.duration(song.duration_sec)} · {song.sample_rate / 1000:g} kHz · {html.size(song.size_bytes)}"
    error = html.notice("error", song.error) if song.error else ""
    removed = removed_lines(song.caption)
    error += html.notice("info", "Not taken for lyrics", shown(removed)) if removed else ""
    return (
        f'<h3 class="card-title" dir="auto">{html.escape(song.filename)}</h3>'
        f'<p>{html.badge(state)} <span class="hint">{known}</span></p>{html.player(url, song.filename)}{error}'
    )


def _saver(studio: Studio, id: str, filename: str) -> Callable[..., None]:
    def save(**changes: object) -> None:
        with explained():
            studio.update_audio(id, filename, **changes)

    return save


def _split(text: str) -> list[str]:
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def what_is_heard(shared: Shared, id: str, filename: str) -> str:
    """The song after its way through tokens, with how far it is from the original."""
    with explained():
        heard = shared.studio.hear(id, filename)
    return html.player(shared.players.url(heard.path), f"{filename}, as the model hears it") + html.figures(
        {"Log-mel distance": f"{heard.log_mel:.2f}"}
    )


def remove_song(studio: Studio, id: str, filename: str) -> None:
    with explained():
        studio.remove_audio(id, filename)

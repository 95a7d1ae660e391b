"""The rows of a dataset's songs. Their number is fixed, and songs move in and out of them: no row is drawn anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import gradio as gr

from heartmula_studio.errors import AudioMissingError, NotFoundError
from heartmula_studio.lyrics.parsing import removed_lines
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.songs import shown as shortened
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import moved
from heartmula_studio.ui.offers import Offers, offer
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.shared import Shared, comma_separated, explained

NUM_ROWS = 10
RIGHTS = (("Not stated", "unknown"), ("My own", "own"), ("Licensed", "licensed"), ("Public domain", "public_domain"))
NO_SONGS = html.empty("🎤", "Drop your songs here", "Five at least. Songs of one style work best.")
# One at a time and in order: an older text never comes after a newer one.
SAVING = QUIET | {"concurrency_id": "save_song", "concurrency_limit": 1}


@dataclass(frozen=True)
class Row:
    """The components of one row; `place` holds all others."""

    place: gr.Column
    heading: gr.HTML
    lyrics: gr.Textbox
    tags: gr.Textbox
    rights: gr.Dropdown
    hear: gr.Button
    remove: gr.Button
    heard: gr.HTML

    @property
    def fields(self) -> list[gr.components.Component]:
        return [self.lyrics, self.tags, self.rights]

    @property
    def displays(self) -> list[gr.blocks.Block]:
        return [self.place, self.heading, self.heard]


@dataclass(frozen=True)
class RowContent:
    """What one row shows. `filename` is None for a row without a song."""

    filename: str | None = None
    heading: str = ""
    heard: str = ""
    values: tuple[str, ...] = ("", "", "unknown")  # of `Row.fields`


@dataclass(frozen=True)
class Shown:
    """What a browser was last told: rows of the songs from number `start` on of a dataset."""

    dataset_id: str = ""
    start: int = 0
    rows: tuple[RowContent, ...] = (RowContent(),) * NUM_ROWS


def build_song_rows(shared: Shared) -> gr.State:
    """Build the rows; return the state that holds the number of the first song shown."""
    start, shown, heard, times_heard = gr.State(0), gr.State(Shown()), gr.State({}), gr.State(0)
    offers = Offers.build()
    none = gr.HTML()
    rows = [_build_row() for _ in range(NUM_ROWS)]
    pages, said = _build_pages(start)
    inputs, outputs = [shared.dataset_id, start, shown, heard], [shown, offers.offered, none, pages, said]
    outputs += chain.from_iterable(row.displays for row in rows)
    fields = list(chain.from_iterable(row.fields for row in rows))

    triggers = moved(shared.changes.datasets, shared.dataset_id, start, times_heard)
    looked = gr.on(triggers, partial(changed_rows, shared), inputs, outputs, **QUIET)
    offers.take(looked, fields)
    for number, row in enumerate(rows):
        _connect_fields(shared.studio, row, number, offers.keys)
        row.hear.click(
            partial(hear, shared, number), [offers.keys, heard], times_heard,
            show_progress_on=[row.heard], api_visibility="private",
        )  # fmt: skip
        shared.refresh(row.remove.click(partial(remove_song, shared.studio, number), offers.keys, **QUIET))
    return start


def _build_row() -> Row:
    with gr.Column(elem_classes=["song-row"], visible=False) as place:
        heading = gr.HTML()
        with gr.Row():
            lyrics = gr.Textbox(
                label="Lyrics", info="Plain, or timed: [01:23.45] a line", lines=2, max_lines=12, scale=3,
                interactive=True,
            )  # fmt: skip
            with gr.Column(scale=2, min_width=200):
                tags = gr.Textbox(label="Tags", max_lines=1, placeholder="those of the dataset", interactive=True)
                rights = gr.Dropdown(RIGHTS, value="unknown", label="Rights", interactive=True)
        with gr.Row():
            hear = gr.Button("Hear what the model hears", size="sm", min_width=180)
            remove = gr.Button("🗑️ Remove", size="sm", min_width=100)
        heard = gr.HTML()
    return Row(place, heading, lyrics, tags, rights, hear, remove, heard)


def _build_pages(start: gr.State) -> tuple[gr.Row, gr.HTML]:
    with gr.Row(visible=False) as pages:
        earlier = gr.Button("◀ Earlier songs", size="sm", min_width=120)
        said = gr.HTML()
        later = gr.Button("More songs ▶", size="sm", min_width=120)
    earlier.click(lambda start: max(0, start - NUM_ROWS), start, start, **QUIET)
    later.click(lambda start: start + NUM_ROWS, start, start, **QUIET)
    return pages, said


def _connect_fields(studio: Studio, row: Row, number: int, songs: gr.JSON) -> None:
    """Store what is typed as it is typed, and all of it when the field is left."""
    for field, save in ((row.lyrics, save_lyrics), (row.tags, save_tags)):
        save_it = partial(save, studio, number)
        field.input(save_it, [songs, field], trigger_mode="always_last", **SAVING)
        gr.on([field.blur, field.submit], save_it, [songs, field], trigger_mode="multiple", **SAVING)
    row.rights.input(partial(save_rights, studio, number), [songs, row.rights], trigger_mode="multiple", **SAVING)


# --- what is shown ---------------------------------------------------------------------------------------------------


def changed_rows(shared: Shared, id: str, start: int, shown: Shown, heard: dict[str, str]) -> list:
    """What a browser was told when it has heard this, the offers, and what changes in the outputs of the rows."""
    dataset = find_dataset(shared.studio, id)
    songs = {song.filename: song for song in dataset.audio_files} if dataset else {}
    start = min(start, max(0, len(songs) - 1) // NUM_ROWS * NUM_ROWS)
    before = shown.rows if (shown.dataset_id, shown.start) == (id, start) else Shown().rows
    wanted = list(songs)[start : start + NUM_ROWS]
    names = assigned([row.filename for row in before], wanted)
    rows = tuple(row_content(shared, dataset, songs[name], heard) if name else RowContent() for name in names)
    now = Shown(id, start, rows)
    none = NO_SONGS if dataset and not songs else ""
    said = f'<p class="hint">Songs {start + 1} to {start + len(wanted)} of {len(songs)}</p>'
    displays = [update for old, new in zip(shown.rows, rows, strict=True) for update in updates(old, new)]
    return [now, offers_of(now), none, gr.update(visible=len(songs) > NUM_ROWS), said, *displays]


def find_dataset(studio: Studio, id: str) -> Dataset | None:
    """A dataset that a browser remembers may be gone."""
    if not id:
        return None
    try:
        return studio.datasets.get(id)
    except NotFoundError:
        return None


def assigned(before: Sequence[str | None], wanted: Sequence[str]) -> list[str | None]:
    """Which song each row shows: one that was shown stays in its row, the others take the free rows in order."""
    coming = iter([name for name in wanted if name not in before])
    return [name if name in wanted else next(coming, None) for name in before]


def row_content(shared: Shared, dataset: Dataset, song: AudioFile, heard: dict[str, str]) -> RowContent:
    said = heard.get(f"{dataset.id}/{song.filename}", "")
    return RowContent(
        song.filename,
        song_heading(song, song_player(shared, dataset.id, song.filename)),
        said,
        (song.caption, ", ".join(song.tags), song.rights),
    )


def song_player(shared: Shared, id: str, filename: str) -> str:
    """HTML: the player, or what to do about a file that is gone."""
    try:
        url = shared.players.url(shared.studio.datasets.audio_path(id, filename))
    except AudioMissingError as error:
        return html.notice("error", "Its file is gone.", error.hint)
    return html.player(url, filename)


def song_heading(song: AudioFile, player: str) -> str:
    """Name, player and what is known of a song."""
    state = "error" if song.error else "processed" if song.frames is not None else "ready"
    known = f"{html.duration(song.duration_sec)} · {song.sample_rate / 1000:g} kHz · {html.size(song.size_bytes)}"
    error = html.notice("error", song.error) if song.error else ""
    removed = removed_lines(song.caption)
    error += html.notice("info", "Not taken for lyrics", shortened(removed)) if removed else ""
    return (
        f'<h3 class="card-title" dir="auto">{html.escape(song.filename)}</h3>'
        f'<p>{html.badge(state)} <span class="hint">{known}</span></p>{player}{error}'
    )


def offers_of(shown: Shown) -> list[dict]:
    """For each row what its fields may become, under the dataset and the name of its song."""
    return [offer([shown.dataset_id, row.filename] if row.filename else None, *row.values) for row in shown.rows]


def updates(old: RowContent, new: RowContent) -> list:
    """What becomes of `Row.displays`; what stays as it is is not sent."""
    is_seen, was_seen = new.filename is not None, old.filename is not None
    return [
        gr.update(visible=is_seen) if is_seen != was_seen else gr.skip(),
        new.heading if new.heading != old.heading else gr.skip(),
        new.heard if new.heard != old.heard else gr.skip(),
    ]


# --- what a person does ----------------------------------------------------------------------------------------------


def save_lyrics(studio: Studio, row: int, songs: list, text: str) -> None:
    _save(studio, songs[row], caption=text)


def save_tags(studio: Studio, row: int, songs: list, text: str) -> None:
    _save(studio, songs[row], tags=comma_separated(text))


def save_rights(studio: Studio, row: int, songs: list, rights: str) -> None:
    _save(studio, songs[row], rights=rights)


def _save(studio: Studio, song: list[str] | None, **changes: object) -> None:
    """Store what was typed; a row that has just lost its song has nothing to say."""
    if song is None:
        return
    with explained():
        studio.datasets.update_audio(*song, **changes)


def hear(shared: Shared, row: int, songs: list, heard: dict[str, str]) -> int:
    """Note in `heard` the song after its way through tokens, with how far it is from the original; return its size."""
    id, filename = songs[row]
    with explained():
        trip = shared.studio.datasets.preview_round_trip(id, filename)
    player = html.player(shared.players.url(trip.path), f"{filename}, as the model hears it")
    heard[f"{id}/{filename}"] = player + html.figures({"Log-mel distance": f"{trip.log_mel:.2f}"})
    return len(heard)


def remove_song(studio: Studio, row: int, songs: list) -> None:
    with explained():
        studio.datasets.remove_audio(*songs[row])

"""Rows for a dataset's tracks. Their number is fixed, and tracks move in and out of them: no row is ever redrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import gradio as gr

from heartmula_studio.errors import AudioMissingError
from heartmula_studio.lyrics.parsing import removed_lines
from heartmula_studio.store.records import AudioFile, Proposal
from heartmula_studio.store.songs import shown as shortened
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.offers import Offers, offer
from heartmula_studio.ui.page_context import PageContext, comma_separated, find_dataset, user_errors
from heartmula_studio.ui.proposals import RowProposals, row_updates
from heartmula_studio.ui.quiet import QUIET, SAVING

NUM_ROWS = 10
RIGHTS = (("Not stated", "unknown"), ("My own", "own"), ("Licensed", "licensed"), ("Public domain", "public_domain"))
ENDINGS = (("As heard", "as_heard"), ("It comes to an end", "ends"), ("It is cut off", "cut_off"))
TIMINGS = {
    "timed": "lyrics by their times",
    "spread": "lyrics spread evenly, as they have no times",
    "none": "all lyrics",
}
NO_TRACKS = '<p class="hint">Five songs at least. Songs of one style work best.</p>'


@dataclass(frozen=True)
class Row:
    """The components of one row; `place` contains all others."""

    place: gr.Column
    heading: gr.HTML
    lyrics: gr.Textbox
    tags: gr.Textbox
    rights: gr.Dropdown
    ending: gr.Dropdown
    preview: gr.Button
    read: gr.Button
    remove: gr.Button
    round_trip: gr.HTML
    proposals: RowProposals
    prompt: gr.HTML

    @property
    def fields(self) -> list[gr.components.Component]:
        return [self.lyrics, self.tags, self.rights, self.ending]

    @property
    def displays(self) -> list[gr.blocks.Block]:
        return [self.place, self.heading, self.round_trip, self.prompt, *self.proposals.displays]


@dataclass(frozen=True)
class RowContent:
    """The content of one row. `filename` is None for a row without a track."""

    filename: str | None = None
    heading: str = ""
    round_trip: str = ""
    values: tuple[str, ...] = ("", "", "unknown", "as_heard")  # of `Row.fields`
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True)
class Shown:
    """The rows that a browser shows: tracks of a dataset, from number `start` on."""

    dataset_id: str = ""
    start: int = 0
    rows: tuple[RowContent, ...] = (RowContent(),) * NUM_ROWS


def build_track_rows(context: PageContext) -> gr.State:
    """Build the rows; return the state that holds the number of the first track shown."""
    start, shown, round_trips, num_round_trips = gr.State(0), gr.State(Shown()), gr.State({}), gr.State(0)
    offers = Offers.build()
    none = gr.HTML()
    rows = [_build_row() for _ in range(NUM_ROWS)]
    pages, page_text = _build_pages(start)
    inputs, outputs = [context.dataset_id, start, shown, round_trips], [shown, offers.offered, none, pages, page_text]
    outputs += chain.from_iterable(row.displays for row in rows)
    fields = list(chain.from_iterable(row.fields for row in rows))

    triggers = on_change(context.changes.datasets, context.dataset_id, start, num_round_trips)
    updated = gr.on(triggers, partial(changed_rows, context), inputs, outputs, **QUIET)
    offers.fill(updated, fields)
    for number, row in enumerate(rows):
        _connect_fields(context.studio, row, number, offers.keys)
        row.proposals.connect(context, number, offers.keys)
        row.preview.click(
            partial(preview_round_trip, context, number), [offers.keys, round_trips], num_round_trips,
            show_progress_on=[row.round_trip], api_visibility="private",
        )  # fmt: skip
        row.read.click(partial(read_prompt, context.studio, number), offers.keys, row.prompt, **QUIET)
        context.refresh_after(row.remove.click(partial(remove_track, context.studio, number), offers.keys, **QUIET))
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
                ending = gr.Dropdown(ENDINGS, value="as_heard", label="How it stops", interactive=True)
        proposals = RowProposals.build()
        with gr.Row():
            preview = gr.Button("Hear what the model hears", size="sm", min_width=180)
            read = gr.Button("See what is learnt", size="sm", min_width=150)
            remove = gr.Button("🗑️ Remove", size="sm", min_width=100)
        prompt, round_trip = gr.HTML(), gr.HTML()
    return Row(place, heading, lyrics, tags, rights, ending, preview, read, remove, round_trip, proposals, prompt)


def _build_pages(start: gr.State) -> tuple[gr.Row, gr.HTML]:
    with gr.Row(visible=False) as pages:
        earlier = gr.Button("◀ Earlier songs", size="sm", min_width=120)
        page_text = gr.HTML()
        later = gr.Button("More songs ▶", size="sm", min_width=120)
    earlier.click(lambda start: max(0, start - NUM_ROWS), start, start, **QUIET)
    later.click(lambda start: start + NUM_ROWS, start, start, **QUIET)
    return pages, page_text


def _connect_fields(studio: Studio, row: Row, number: int, tracks: gr.JSON) -> None:
    """Save while typing, and once more when the field is left."""
    for field, save in ((row.lyrics, save_lyrics), (row.tags, save_tags)):
        save_it = partial(save, studio, number)
        field.input(save_it, [tracks, field], trigger_mode="always_last", **SAVING)
        gr.on([field.blur, field.submit], save_it, [tracks, field], trigger_mode="multiple", **SAVING)
    row.rights.input(partial(save_rights, studio, number), [tracks, row.rights], trigger_mode="multiple", **SAVING)
    row.ending.input(partial(save_ending, studio, number), [tracks, row.ending], trigger_mode="multiple", **SAVING)


# --- display ---------------------------------------------------------------------------------------------------------


def changed_rows(context: PageContext, id: str, start: int, shown: Shown, round_trips: dict[str, str]) -> list:
    """Return the new `Shown`, the offers for the fields, and updates for the other outputs."""
    dataset = find_dataset(context.studio, id)
    tracks = {track.filename: track for track in dataset.audio_files} if dataset else {}
    start = min(start, max(0, len(tracks) - 1) // NUM_ROWS * NUM_ROWS)
    before = shown.rows if (shown.dataset_id, shown.start) == (id, start) else Shown().rows
    wanted = list(tracks)[start : start + NUM_ROWS]
    names = assigned([row.filename for row in before], wanted)
    rows = tuple(row_content(context, id, tracks[name], round_trips) if name else RowContent() for name in names)
    now = Shown(id, start, rows)
    none = NO_TRACKS if dataset and not tracks else ""
    page_text = f'<p class="hint">Songs {start + 1} to {start + len(wanted)} of {len(tracks)}</p>'
    displays = [update for old, new in zip(shown.rows, rows, strict=True) for update in updates(old, new)]
    return [now, offers_of(now), none, gr.update(visible=len(tracks) > NUM_ROWS), page_text, *displays]


def assigned(before: Sequence[str | None], wanted: Sequence[str]) -> list[str | None]:
    """Return the track of each row: one that was shown stays in its row, the others fill the free rows in order."""
    coming = iter([name for name in wanted if name not in before])
    return [name if name in wanted else next(coming, None) for name in before]


def row_content(context: PageContext, dataset_id: str, track: AudioFile, round_trips: dict[str, str]) -> RowContent:
    round_trip = round_trips.get(f"{dataset_id}/{track.filename}", "")
    return RowContent(
        track.filename,
        track_heading(track, track_player(context, dataset_id, track.filename)),
        round_trip,
        (track.caption, ", ".join(track.tags), track.rights, track.ending),
        track.proposals,
    )


def track_player(context: PageContext, id: str, filename: str) -> str:
    """Return the player as HTML, or what to do about a missing file."""
    try:
        url = context.players.url(context.studio.datasets.audio_path(id, filename))
    except AudioMissingError as error:
        return html.notice("error", "Its file is missing.", error.hint)
    return html.player(url, filename)


def track_heading(track: AudioFile, player: str) -> str:
    """Return name, state, format and player of a track as HTML."""
    state = "error" if track.error else "processed" if track.frames is not None else "ready"
    known = f"{html.duration(track.duration_sec)} · {track.sample_rate / 1000:g} kHz · {html.size(track.size_bytes)}"
    error = html.notice("error", track.error) if track.error else ""
    removed = removed_lines(track.caption)
    error += html.notice("info", "Not used as lyrics", shortened(removed)) if removed else ""
    return (
        f'<h3 class="card-title" dir="auto">{html.escape(track.filename)}</h3>'
        f'<p>{html.badge(state)} <span class="hint">{known}</span></p>{player}{error}'
    )


def offers_of(shown: Shown) -> list[dict]:
    """Return an offer for the fields of each row, keyed by dataset and track."""
    return [offer([shown.dataset_id, row.filename] if row.filename else None, *row.values) for row in shown.rows]


def updates(old: RowContent, new: RowContent) -> list:
    """Return updates for `Row.displays`; what has not changed is skipped."""
    is_seen, was_seen = new.filename is not None, old.filename is not None
    proposals = row_updates(new.proposals)
    return [
        gr.update(visible=is_seen) if is_seen != was_seen else gr.skip(),
        new.heading if new.heading != old.heading else gr.skip(),
        new.round_trip if new.round_trip != old.round_trip else gr.skip(),
        "" if (new.filename, new.values) != (old.filename, old.values) else gr.skip(),
        *(proposals if new.proposals != old.proposals else [gr.skip()] * len(proposals)),
    ]


# --- actions ---------------------------------------------------------------------------------------------------------


def save_lyrics(studio: Studio, row: int, tracks: list, text: str) -> None:
    _save(studio, tracks[row], caption=text)


def save_tags(studio: Studio, row: int, tracks: list, text: str) -> None:
    _save(studio, tracks[row], tags=comma_separated(text))


def save_rights(studio: Studio, row: int, tracks: list, rights: str) -> None:
    _save(studio, tracks[row], rights=rights)


def save_ending(studio: Studio, row: int, tracks: list, ending: str) -> None:
    _save(studio, tracks[row], ending=ending)


def _save(
    studio: Studio,
    track: list[str] | None,
    caption: str | None = None,
    tags: list[str] | None = None,
    rights: str | None = None,
    ending: str | None = None,
) -> None:
    """Store what was typed; nothing for a row that has just lost its track."""
    if track is None:
        return
    dataset_id, filename = track
    with user_errors():
        studio.datasets.update_audio(dataset_id, filename, caption, tags, rights, ending)


def preview_round_trip(context: PageContext, row: int, tracks: list, round_trips: dict[str, str]) -> int:
    """Add a player for the track as codec round trip, with its distance, to `round_trips`; return their number."""
    id, filename = tracks[row]
    with user_errors():
        trip = context.studio.datasets.preview_round_trip(id, filename)
    player = html.player(context.players.url(trip.path), f"{filename}, as the model hears it")
    round_trips[f"{id}/{filename}"] = player + html.figures({"Log-mel distance": f"{trip.log_mel:.2f}"})
    return len(round_trips)


def read_prompt(studio: Studio, row: int, tracks: list) -> str:
    """Show what a training would read of a track, until it changes."""
    with user_errors():
        preview = studio.datasets.preview_prompt(*tracks[row])
    parts = [html.figures({"Tags": preview.tags or "none"})]
    for window in preview.windows:
        stretch = f"{html.duration(window.start_sec)} to {html.duration(window.end_sec)}"
        parts.append(html.text_block(f"{stretch}, {TIMINGS[preview.timing]}", window.lyrics or "(no lyrics)"))
    if preview.removed:
        parts.append(html.notice("info", "Not used as lyrics", shortened(preview.removed)))
    return "".join(parts)


def remove_track(studio: Studio, row: int, tracks: list) -> None:
    with user_errors():
        studio.datasets.remove_audio(*tracks[row])

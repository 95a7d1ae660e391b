"""The windows of a dataset as training examples, laid out when a step asks for them.

Either each track is cut into windows once, or every epoch draws windows from it anew.
"""

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from datasets import Dataset
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.track_version import VersionCodes
from heartmula_studio.dataset.batch import Example, make_example
from heartmula_studio.dataset.held_out import split_tracks
from heartmula_studio.dataset.prompt import Prompt, PromptLayout, SpecialTokens
from heartmula_studio.dataset.songs import load_songs, song_codes, song_versions
from heartmula_studio.dataset.windows import (
    MIN_SONGS_TO_HOLD_OUT,
    TrackInfo,
    Window,
    cut_to_fit,
    window_to_fit,
)
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.data_plan import draw_stretch, draw_version
from heartmula_studio.finetune.prior_songs import load_prior_songs

TEXTS = ("song", "tags", "lyrics")


@dataclass(frozen=True)
class ExampleSet(Sequence[Example]):
    """Examples by index. Holds prompts and int16 codes, a hundredth of the laid-out examples' memory.

    From `first_prior` on, where there are any, they are of the base's own songs.
    """

    windows: tuple[Window, ...]
    prompts: tuple[Prompt, ...]
    codes: tuple[Tensor, ...]  # [K, F] int16 each
    special: SpecialTokens
    first_prior: int | None = None

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # no slices
        window = self.windows[index]
        return make_example(self.prompts[index], self.codes[index], self.special, window.ends_song, window.song)

    def num_targets(self, index: int) -> int:
        """Count the predicted frames of one example, its end frame included."""
        return self.windows[index].num_frames + self.windows[index].ends_song

    def song(self, index: int) -> str:
        """Return the name of the song that one example is of."""
        return self.windows[index].song

    def songs(self) -> list[str]:
        """Return the names of the songs the examples come from."""
        return list(dict.fromkeys(window.song for window in self.windows))

    def is_unconditional(self, index: int, drawn: bool) -> bool:
        """Whether an example is heard without its words, given what was drawn for it.

        Beside songs of the base, the tracks never are: what the model does without words stays the base's, and guidance
        leads away from it, towards the tracks.
        """
        return drawn if self.first_prior is None else index >= self.first_prior

    def epoch(self, number: int) -> "ExampleSet":
        """Return the examples of an epoch: the same in all of them."""
        return self

    def sample(self) -> "ExampleSet":
        """Return examples that stand for all: these."""
        return self

    def digest(self) -> str:
        """Return a short id of everything the examples are made of."""
        sha256 = hashlib.sha256()
        for window, prompt, codes in zip(self.windows, self.prompts, self.codes, strict=True):
            sha256.update(repr(window).encode())
            sha256.update(prompt.tokens.numpy().tobytes())
            sha256.update(codes.contiguous().numpy().tobytes())
        return sha256.hexdigest()[:16]


class Examples(Protocol):
    """The examples of one epoch by index, as `ExampleSet` has them."""

    def __getitem__(self, index: int, /) -> Example: ...

    def num_targets(self, index: int) -> int: ...

    def song(self, index: int) -> str: ...

    def is_unconditional(self, index: int, drawn: bool) -> bool: ...


class TrainSet(Protocol):
    """What a run learns from: so many windows in each epoch."""

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Examples:
        """Return the examples of an epoch, counted from 0; those of one index come from one track."""
        ...

    def sample(self) -> ExampleSet:
        """Return examples of the first epoch that stand for all."""
        ...

    def songs(self) -> list[str]: ...

    def digest(self) -> str: ...


@dataclass(frozen=True)
class Track:
    """A track with its codes, int16 [K, F], and other versions of it."""

    info: TrackInfo
    codes: Tensor
    versions: tuple["Track", ...] = ()


@dataclass(frozen=True)
class WindowDraws:
    """How windows are drawn: `per_epoch` from each track, of lengths between `allowed_frames`.

    `prior_fraction` of all windows are of the base's own songs.
    """

    seed: int
    per_epoch: int
    allowed_frames: tuple[int, int]
    prior_fraction: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig) -> "WindowDraws":
        longest = max(1, int(config.max_window_sec * FRAME_RATE_HZ))
        shortest = min(longest, int(config.min_window_sec * FRAME_RATE_HZ))
        return cls(config.seed, config.draws_per_epoch, (shortest, longest), config.prior_fraction)

    def sources(self, num_tracks: int, num_prior: int) -> list[int]:
        """Say which song each example of an epoch is from: the tracks in turn, then the base's, counted behind them."""
        of_tracks = num_tracks * self.per_epoch
        of_prior = self.num_prior(of_tracks, num_prior)
        return [example % num_tracks for example in range(of_tracks)] + [
            num_tracks + example % num_prior for example in range(of_prior)
        ]

    def num_prior(self, of_tracks: int, num_prior: int) -> int:
        """Count the windows of the base's songs beside those of tracks."""
        return round(of_tracks * self.prior_fraction / (1 - self.prior_fraction)) if num_prior else 0

    def version(self, track: Track, example: int, epoch: int) -> Track:
        """Draw the version of a track that an example is from."""
        return (track, *track.versions)[draw_version(self.seed, epoch, example, 1 + len(track.versions))]

    def window(
        self, track: TrackInfo, example: int, epoch: int, layout: PromptLayout, max_positions: int
    ) -> tuple[Window, Prompt]:
        """Draw the window of one example. Raises as `window_to_fit`."""
        stretch = draw_stretch(self.seed, epoch, example, track.num_frames, self.allowed_frames, track.ends)
        return window_to_fit(track, *stretch, layout, max_positions)


class DrawnExamples:
    """Tracks, and songs of the base, that every epoch draws windows from anew. Holds those of one epoch at a time."""

    def __init__(
        self,
        tracks: Sequence[Track],
        prior: Sequence[Track],
        draws: WindowDraws,
        layout: PromptLayout,
        max_positions: int,
    ):
        self._names = [track.info.name for track in tracks]
        self._songs = (*tracks, *prior)
        self._first_prior = len(tracks) * draws.per_epoch if prior else None
        self._sources = draws.sources(len(tracks), len(prior))
        self._draws, self._layout, self._max_positions = draws, layout, max_positions
        self._epoch: tuple[int, ExampleSet] | None = None

    def __len__(self) -> int:
        return len(self._sources)

    def epoch(self, number: int) -> ExampleSet:
        """Return the examples of an epoch. Raises as `window_to_fit`."""
        if self._epoch is None or self._epoch[0] != number:
            self._epoch = number, self._drawn(number)
        return self._epoch[1]

    def _drawn(self, epoch: int) -> ExampleSet:
        parts = []
        for example, source in enumerate(self._sources):
            track = self._draws.version(self._songs[source], example, epoch)
            window, prompt = self._draws.window(track.info, example, epoch, self._layout, self._max_positions)
            parts.append((window, prompt, part_of(track.codes, window)))
        return replace(joined(parts, self._layout.special), first_prior=self._first_prior)

    def sample(self) -> ExampleSet:
        """Return the examples of the first epoch."""
        return self.epoch(0)

    def songs(self) -> list[str]:
        """Return the names of the tracks."""
        return self._names

    def digest(self) -> str:
        """Return a short id of all songs, of how windows are drawn, and of those of the first epoch."""
        sha256 = hashlib.sha256(repr(self._draws).encode())
        for song in self._songs:
            sha256.update(repr(song.info).encode())
            for track in (song, *song.versions):
                sha256.update(track.codes.contiguous().numpy().tobytes())
        return sha256.hexdigest()[:8] + self.epoch(0).digest()[:8]


def load_sets(
    dataset_folder: Path, base: BaseFolder, network: HeartMuLaConfig, config: TrainConfig, base_root: Path
) -> tuple[TrainSet, ExampleSet]:
    """Load what a run learns from, and the held-out examples (none where there are fewer than six songs).

    base_root: the base's folder, where its own songs lie.
    Raises as `load_songs`, `song_codes`, `cut_to_fit`, `make_example` and `load_prior_songs` do, naming file or song.
    """
    tracks, held_out_tracks = load_tracks(dataset_folder, base)
    layout = PromptLayout.load(base, network.audio_num_codebooks).with_trigger_words(config.trigger_word)
    max_positions = network.backbone_flavor.max_seq_len
    examples = make_example_set(tracks, layout, config.max_window_sec, max_positions)
    held_out = make_example_set(held_out_tracks, layout, config.max_window_sec, max_positions)
    if not config.draws_per_epoch:
        return examples, held_out
    tracks = [replace(track, versions=track.versions[: config.num_versions - 1]) for track in tracks]
    prior = prior_tracks(base_root) if config.prior_fraction else []
    return DrawnExamples(tracks, prior, WindowDraws.of(config), layout, max_positions), held_out


def load_examples(
    dataset_folder: Path, base: BaseFolder, network: HeartMuLaConfig, max_window_sec: float
) -> tuple[ExampleSet, ExampleSet]:
    """Load fixed windows to train on and the held-out ones. Raises as `load_sets`."""
    layout, max_positions = PromptLayout.load(base, network.audio_num_codebooks), network.backbone_flavor.max_seq_len
    tracks, held_out_tracks = load_tracks(dataset_folder, base)
    return (
        make_example_set(tracks, layout, max_window_sec, max_positions),
        make_example_set(held_out_tracks, layout, max_window_sec, max_positions),
    )


def load_tracks(dataset_folder: Path, base: BaseFolder) -> tuple[list[Track], list[Track]]:
    """Read the tracks of a dataset to train on, and the held-out ones. Raises as `load_songs` and `song_codes`."""
    dataset = load_songs(dataset_folder, stored_codebook_id(base.codec))
    tracks = read_tracks(dataset, set(dataset["song"]))
    _, held_out = split_tracks({track.info.name: track.codes for track in tracks})
    return (
        [track for track in tracks if track.info.name not in held_out],
        [track for track in tracks if track.info.name in held_out],
    )


def notes_on(train_set: TrainSet, held_out: ExampleSet) -> tuple[str, ...]:
    """Say what a person should know about the data before trusting the result, one sentence each."""
    notes = []
    if not held_out:
        too_few = len(train_set.songs()) < MIN_SONGS_TO_HOLD_OUT
        reason = f"there are fewer than {MIN_SONGS_TO_HOLD_OUT}" if too_few else "each has other versions among them"
        notes.append(f"No song is held out, as {reason}: no held-out loss and no best checkpoint.")
    windows = train_set.sample().windows
    if spread := sorted({window.song for window in windows if window.lyrics_timing == "spread"}):
        notes.append(f"Lyrics without times were spread evenly over: {', '.join(spread)}.")
    return tuple(notes)


def with_other_captions(examples: ExampleSet, others: ExampleSet, max_positions: int) -> ExampleSet | None:
    """Give each example the prompt of another track, taken in turn from `others`; None where none differs and fits.

    A loss that this does not raise says that tags and lyrics are not listened to.
    """
    prompts = []
    for number, (own, window) in enumerate(zip(examples.prompts, examples.windows, strict=True)):
        turned = [*others.prompts[number % len(others) :], *others.prompts[: number % len(others)]] if others else []
        fitting = (p for p in turned if not torch.equal(p.tokens, own.tokens))
        prompts.append(next((p for p in fitting if p.num_positions(window.num_frames) <= max_positions), None))
    found = tuple(prompt for prompt in prompts if prompt is not None)
    return replace(examples, prompts=found) if found and len(found) == len(prompts) else None


def make_example_set(
    tracks: Sequence[Track], layout: PromptLayout, max_window_sec: float, max_positions: int
) -> ExampleSet:
    """Cut tracks as they are into windows, and tokenize their prompts. Raises as `cut_to_fit` and `make_example`."""
    parts = [
        (window, prompt, part_of(track.codes, window))
        for track in tracks
        for window, prompt in cut_to_fit(track.info, max_window_sec, layout, max_positions)
    ]
    examples = joined(parts, layout.special)
    for index in range(len(examples)):
        examples[index]  # foreign codes are an error now, not in the middle of the run
    return examples


def read_tracks(dataset: Dataset, songs: Set[str]) -> list[Track]:
    """Read the tracks called `songs`. In datasets that don't say, every track ends."""
    says_what_ends = "ends" in dataset.column_names
    tracks = []
    for row, columns in enumerate(dataset.select_columns([*TEXTS, *(["ends"] if says_what_ends else [])])):
        if columns["song"] in songs:
            codes, ends = song_codes(dataset, row), bool(columns["ends"]) if says_what_ends else True
            info = TrackInfo(columns["song"], row, columns["tags"], columns["lyrics"], codes.shape[1], ends)
            tracks.append(Track(info, codes, versions_of(info, song_versions(dataset, row))))
    return tracks


def versions_of(info: TrackInfo, versions: Sequence[VersionCodes]) -> tuple[Track, ...]:
    """Return a track's other versions as tracks."""
    return tuple(
        Track(replace(info, num_frames=other.codes.shape[1], version=other.version), other.codes) for other in versions
    )


def prior_tracks(base_root: Path) -> list[Track]:
    """Read the base's own songs as tracks. Raises as `load_prior_songs`."""
    return [
        Track(TrackInfo(f"the base's song {number + 1}", -1, s.tags, "", s.codes.shape[1], s.ends), s.codes)
        for number, s in enumerate(load_prior_songs(base_root))
    ]


def part_of(codes: Tensor, window: Window) -> Tensor:
    return codes[:, window.start_frame : window.start_frame + window.num_frames]


def joined(parts: Sequence[tuple[Window, Prompt, Tensor]], special: SpecialTokens) -> ExampleSet:
    windows, prompts, codes = zip(*parts, strict=True) if parts else ((), (), ())
    return ExampleSet(windows, prompts, codes, special)

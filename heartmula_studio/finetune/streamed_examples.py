"""The windows of a catalogue as training examples, each read from its shard when a step asks for it.

Which window an example is depends on seed, epoch and number alone, as in `examples`. So memory holds a step of it, and
a run is resumed at any step.
"""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.batch import Example, make_example
from heartmula_studio.dataset.catalogue_tracks import CatalogueTracks
from heartmula_studio.dataset.prompt import Prompt, PromptLayout
from heartmula_studio.dataset.windows import TrackInfo, Window
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.examples import (
    ExampleSet,
    Track,
    WindowDraws,
    joined,
    make_example_set,
    part_of,
    prior_tracks,
)

REMEMBERED = 4096  # windows and prompts of a step, without codes
SAMPLED = 64


class StreamedExamples:
    """The examples of one epoch."""

    def __init__(self, source: "CatalogueSet", epoch: int):
        self._source, self._epoch = source, epoch
        self._drawn = lru_cache(REMEMBERED)(lambda index: source.draw(index, epoch))

    def __getitem__(self, index: int) -> Example:
        window, prompt = self._drawn(index)
        codes = part_of(self._source.codes(index), window)
        return make_example(prompt, codes, self._source.layout.special, window.ends_song, window.song)

    def num_targets(self, index: int) -> int:
        """Count the predicted frames of one example, its end frame included. Its codes are not read."""
        window, _ = self._drawn(index)
        return window.num_frames + window.ends_song

    def song(self, index: int) -> str:
        return self._drawn(index)[0].song

    def is_unconditional(self, index: int, drawn: bool) -> bool:
        """As `ExampleSet.is_unconditional`."""
        return index >= self._source.num_windows if self._source.prior else drawn


class CatalogueSet:
    """Windows drawn anew in every epoch from the tracks of a catalogue, and from the base's own songs."""

    def __init__(
        self,
        tracks: CatalogueTracks,
        numbers: np.ndarray,
        prior: list[Track],
        draws: WindowDraws,
        layout: PromptLayout,
        max_positions: int,
    ):
        """numbers: of the tracks to learn from, int32."""
        self._tracks, self._numbers, self.prior = tracks, numbers, prior
        self._draws, self.layout, self._max_positions = draws, layout, max_positions
        self.num_windows = len(numbers) * draws.per_epoch
        self._epoch: tuple[int, StreamedExamples] | None = None

    def __len__(self) -> int:
        return self.num_windows + self._draws.num_prior(self.num_windows, len(self.prior))

    def epoch(self, number: int) -> StreamedExamples:
        """Return the examples of an epoch, counted from 0."""
        if self._epoch is None or self._epoch[0] != number:
            self._epoch = number, StreamedExamples(self, number)
        return self._epoch[1]

    def draw(self, index: int, epoch: int) -> tuple[Window, Prompt]:
        """Draw the window of one example. Raises as `CatalogueTracks.info` and `window_to_fit`."""
        return self._draws.window(self._info(index), index, epoch, self.layout, self._max_positions)

    def codes(self, index: int) -> Tensor:
        """Read the codes of the track that an example is from, int16 [K, F]. Raises as `CatalogueTracks.codes`."""
        return self._prior(index).codes if index >= self.num_windows else self._tracks.codes(self._number(index))

    def sample(self) -> ExampleSet:
        """Return the first examples of the first epoch, which stand for all of them where a few words are said."""
        examples = [(*self.draw(index, 0), index) for index in range(min(SAMPLED, self.num_windows))]
        parts = [(window, prompt, part_of(self.codes(index), window)) for window, prompt, index in examples]
        return joined(parts, self.layout.special)

    def songs(self) -> list[str]:
        """Return one name for all of them."""
        return [f"{len(self._numbers):,} recordings of {self._tracks.folder.name}"]

    def digest(self) -> str:
        """Return a short id of the catalogue, of how windows are drawn, and of the first of them."""
        sha256 = hashlib.sha256(repr(self._draws).encode())
        sha256.update(self._tracks.digest().encode())
        for song in self.prior:
            sha256.update(song.codes.contiguous().numpy().tobytes())
        return sha256.hexdigest()[:8] + self.sample().digest()[:8]

    def _info(self, index: int) -> TrackInfo:
        return self._prior(index).info if index >= self.num_windows else self._tracks.info(self._number(index))

    def _number(self, index: int) -> int:
        return int(self._numbers[index % len(self._numbers)])

    def _prior(self, index: int) -> Track:
        return self.prior[(index - self.num_windows) % len(self.prior)]


def load_catalogue_sets(
    folder: Path, base: BaseFolder, network: HeartMuLaConfig, config: TrainConfig, base_root: Path
) -> tuple[CatalogueSet, ExampleSet]:
    """Open the catalogue that a run learns from, and load its held-out examples, of at most 50 tracks.

    Windows are drawn once from each track in an epoch, where the settings do not say how often.
    Raises as `load_sets` and `CatalogueTracks`.
    """
    layout = PromptLayout.load(base, network.audio_num_codebooks).with_trigger_words(config.trigger_word)
    max_positions = network.backbone_flavor.max_seq_len
    tracks = CatalogueTracks(folder, stored_codebook_id(base.codec))
    split = tracks.split()
    held_out = [Track(tracks.info(number), tracks.codes(number)) for number in split.held_out]
    draws = WindowDraws.of(replace(config, draws_per_epoch=max(1, config.draws_per_epoch)))
    prior = prior_tracks(base_root) if config.prior_fraction else []
    return (
        CatalogueSet(tracks, split.train, prior, draws, layout, max_positions),
        make_example_set(held_out, layout, config.max_window_sec, max_positions),
    )

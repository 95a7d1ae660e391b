"""The windows of a dataset as training examples: tokenized once, laid out when a step asks for them."""

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.batch import Example, make_example
from heartmula_studio.dataset.prompt import Prompt, PromptLayout, SpecialTokens
from heartmula_studio.dataset.songs import load_songs, song_codes
from heartmula_studio.dataset.windows import MIN_SONGS_TO_HOLD_OUT, TrackInfo, Window, cut_to_fit, split_songs


@dataclass(frozen=True)
class ExampleSet(Sequence[Example]):
    """Examples by index. Holds prompts and int16 codes, a hundredth of the laid-out examples' memory."""

    windows: tuple[Window, ...]
    prompts: tuple[Prompt, ...]
    codes: tuple[Tensor, ...]  # [K, F] int16 each
    special: SpecialTokens

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # no slices
        window = self.windows[index]
        return make_example(self.prompts[index], self.codes[index], self.special, window.ends_song, window.song)

    def num_targets(self, index: int) -> int:
        """Count the predicted frames of one example, its end frame included."""
        return self.windows[index].num_frames + self.windows[index].ends_song

    def songs(self) -> list[str]:
        """Return the names of the songs the examples come from."""
        return list(dict.fromkeys(window.song for window in self.windows))

    def digest(self) -> str:
        """Return a short id of everything the examples are made of."""
        sha256 = hashlib.sha256()
        for window, prompt, codes in zip(self.windows, self.prompts, self.codes, strict=True):
            sha256.update(repr(window).encode())
            sha256.update(prompt.tokens.numpy().tobytes())
            sha256.update(codes.contiguous().numpy().tobytes())
        return sha256.hexdigest()[:16]


def load_examples(
    dataset_folder: Path, base: BaseFolder, network: HeartMuLaConfig, max_window_sec: float
) -> tuple[ExampleSet, ExampleSet]:
    """Load the examples to train on and the held-out ones (none where there are fewer than six songs).

    Raises as `load_songs`, `song_codes`, `cut_to_fit` and `make_example` do, naming file or song.
    """
    dataset = load_songs(dataset_folder, stored_codebook_id(base.codec))
    layout = PromptLayout.load(base, network.audio_num_codebooks)
    max_positions = network.backbone_flavor.max_seq_len
    train_songs, held_out_songs = split_songs(dataset["song"])
    return (
        make_example_set(dataset, set(train_songs), layout, max_window_sec, max_positions),
        make_example_set(dataset, set(held_out_songs), layout, max_window_sec, max_positions),
    )


def notes_on(train_set: ExampleSet, held_out: ExampleSet) -> tuple[str, ...]:
    """Say what a person should know about the data before trusting the result, one sentence each."""
    notes = []
    if not held_out:
        notes.append(
            f"No song is held out, as there are fewer than {MIN_SONGS_TO_HOLD_OUT}: no held-out loss and no best "
            "checkpoint."
        )
    if spread := sorted({window.song for window in train_set.windows if window.lyrics_timing == "spread"}):
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
    dataset: Dataset, songs: Set[str], layout: PromptLayout, max_window_sec: float, max_positions: int
) -> ExampleSet:
    """Cut `songs` into windows, tokenize their prompts and read their codes. Raises as `load_examples` does."""
    parts = []
    for row, columns in enumerate(dataset.select_columns(["song", "tags", "lyrics"])):
        if columns["song"] not in songs:
            continue
        codes = song_codes(dataset, row)
        song = TrackInfo(columns["song"], row, columns["tags"], columns["lyrics"], codes.shape[1])
        for window, prompt in cut_to_fit(song, max_window_sec, layout, max_positions):
            parts.append((window, prompt, codes[:, window.start_frame : window.start_frame + window.num_frames]))
    windows, prompts, all_codes = zip(*parts, strict=True) if parts else ((), (), ())
    examples = ExampleSet(windows, prompts, all_codes, layout.special)
    for index in range(len(examples)):
        examples[index]  # foreign codes are an error now, not in the middle of the run
    return examples

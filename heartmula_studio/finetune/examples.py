"""The windows of a dataset as training examples: tokenised once, laid out when a step asks for them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.heartcodec import FRAME_RATE_HZ
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.batch import Example, make_example
from heartmula_studio.dataset.prompt import Prompt, PromptLayout, SpecialTokens
from heartmula_studio.dataset.songs import load_songs, song_codes
from heartmula_studio.dataset.windows import Window, cut_windows, split_songs


@dataclass(frozen=True)
class ExampleSet(Sequence[Example]):
    """Examples by index. Holds prompts and int16 codes, a hundredth of the laid-out examples' memory."""

    windows: tuple[Window, ...]
    prompts: tuple[Prompt, ...]
    codes: tuple[Tensor, ...]  # [K, F] int16 each
    special: SpecialTokens

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Example:
        window = self.windows[index]
        return make_example(self.prompts[index], self.codes[index].long(), self.special, window.ends_song, window.song)

    def num_targets(self, index: int) -> int:
        """Predicted frames of one example, its end frame included."""
        return self.windows[index].num_frames + self.windows[index].ends_song

    def songs(self) -> list[str]:
        """Names of the songs the examples come from."""
        return list(dict.fromkeys(window.song for window in self.windows))

    def digest(self) -> str:
        """A short id of everything the examples are made of."""
        sha256 = hashlib.sha256()
        for window, prompt, codes in zip(self.windows, self.prompts, self.codes, strict=True):
            sha256.update(repr(window).encode())
            sha256.update(prompt.tokens.numpy().tobytes())
            sha256.update(codes.contiguous().numpy().tobytes())
        return sha256.hexdigest()[:16]


def load_examples(
    dataset_folder: Path, base: BaseFolder, network: HeartMuLaConfig, max_window_sec: float
) -> tuple[ExampleSet, ExampleSet]:
    """The examples to train on and the held-out ones (none where there are fewer than six songs).

    Raises as `load_songs`, `cut_windows` and `make_example` do, naming file or song.
    """
    dataset = load_songs(dataset_folder, stored_codebook_id(base.codec))
    layout = PromptLayout.load(base, network.audio_num_codebooks)
    windows = cut_windows(dataset, max_window_sec, FRAME_RATE_HZ, layout, network.backbone_flavor.max_seq_len)
    train_songs, held_out_songs = split_songs(dataset["song"])
    train_set = make_example_set([w for w in windows if w.song in set(train_songs)], dataset, layout)
    held_out = make_example_set([w for w in windows if w.song in set(held_out_songs)], dataset, layout)
    return train_set, held_out


def make_example_set(windows: Sequence[Window], dataset: Dataset, layout: PromptLayout) -> ExampleSet:
    """Tokenise the prompts and read the codes of `windows`. Raises as `make_example` does."""
    songs = {row: song_codes(dataset, row).to(torch.int16) for row in {window.row for window in windows}}
    examples = ExampleSet(
        windows=tuple(windows),
        prompts=tuple(layout.build(window.tags, window.lyrics) for window in windows),
        codes=tuple(songs[w.row][:, w.start_frame : w.start_frame + w.num_frames] for w in windows),
        special=layout.special,
    )
    for index in range(len(examples)):
        examples[index]  # foreign codes are an error now, not in the middle of the run
    return examples

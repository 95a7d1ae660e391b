"""The prompt layout, one for training and generation: tags, the reference slot, lyrics.

Token matrices are `[positions, K+1]`: K audio codebooks, then text. A mask of the same shape says which columns count.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.dataset.lyrics import plain_lyrics
from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointMissingError,
    InvalidInputError,
)
from heartmula_studio.files.git_lfs import explain_unreadable
from heartmula_studio.files.text import clean_text

TAG_MARKS = ("<tag>", "</tag>")
_DOWNLOAD_HINT = "Download tokenizer.json and gen_config.json from HeartMuLa/HeartMuLaGen on the Hugging Face Hub."


@dataclass(frozen=True)
class SpecialTokens:
    """The ids in a base's `gen_config.json`."""

    text_bos_id: int
    text_eos_id: int
    audio_eos_id: int
    empty_id: int

    @classmethod
    def load(cls, path: str | Path) -> "SpecialTokens":
        """Read the ids. Raises CheckpointMissingError or CheckpointCorruptError, naming the file."""
        try:
            values = json.loads(_read(path))
        except ValueError as error:
            raise CheckpointCorruptError(explain_unreadable(path, f"is not JSON ({error})"), _DOWNLOAD_HINT) from error
        names = [field.name for field in fields(cls)]
        wrong = [name for name in names if not isinstance(values, dict) or type(values.get(name)) is not int]
        if wrong:
            raise CheckpointCorruptError(f"{path} has no whole number for {', '.join(wrong)}.", _DOWNLOAD_HINT)
        return cls(**{name: values[name] for name in names})


@dataclass(frozen=True)
class Prompt:
    """P positions of conditioning."""

    tokens: Tensor  # [P, K+1] int64
    mask: Tensor  # [P, K+1] bool
    muq_index: int  # the slot whose input the network replaces by its reference projection

    def followed_by(self, codes: Tensor) -> "Prompt":
        """Return the prompt with audio frames, codes [K, F], behind it: what comes next goes on from these."""
        tokens, mask = lay_frames(codes, empty_id=0)  # masked
        return Prompt(torch.cat((self.tokens, tokens)), torch.cat((self.mask, mask)), self.muq_index)

    def num_positions(self, num_frames: int) -> int:
        """Count the backbone positions of this prompt and `num_frames` of audio; an end frame is never an input."""
        return len(self.tokens) + num_frames

    def require_room(self, num_frames: int, max_positions: int, song: str = "the song") -> None:
        """Raise InvalidInputError, naming `song`, unless all positions fit into the backbone's `max_positions`."""
        needed = self.num_positions(num_frames)
        if needed > max_positions:
            raise InvalidInputError(
                f"Tags and lyrics ({len(self.tokens)} tokens) and {num_frames} frames of audio need {needed} positions "
                f"for {song}; this base model has {max_positions}.",
                "Shorten the lyrics or the audio.",
            )


class PromptLayout:
    """Turns tags and lyrics into prompts. `trigger_words` of styles stand before the tags of each, as tags do."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        special: SpecialTokens,
        num_codebooks: int = 8,
        trigger_words: Sequence[str] = (),
    ):
        self.special = special
        self.num_codebooks = num_codebooks
        self._tokenizer = tokenizer
        self._trigger_words = list(dict.fromkeys(filter(None, trigger_words)))

    def with_trigger_words(self, *words: str) -> "PromptLayout":
        """Return the same layout with these in front; empty ones are none."""
        return PromptLayout(self._tokenizer, self.special, self.num_codebooks, words)

    @classmethod
    def load(cls, base: BaseFolder, num_codebooks: int = 8) -> "PromptLayout":
        """Read tokenizer and ids of `base`.

        Raises CheckpointMissingError, CheckpointCorruptError or CheckpointMismatchError, naming the file.
        """
        special = SpecialTokens.load(base.gen_config)
        tokenizer = _load_tokenizer(base.tokenizer)
        for name in ("text_bos_id", "text_eos_id"):
            if tokenizer.id_to_token(getattr(special, name)) is None:
                raise CheckpointMismatchError(
                    f"{base.tokenizer} has no token {getattr(special, name)}, which {base.gen_config} calls {name}.",
                    _DOWNLOAD_HINT,
                )
        return cls(tokenizer, special, num_codebooks)

    def build(self, tags: str | Sequence[str], lyrics: str) -> Prompt:
        """Lay out one prompt: tag ids, the reference slot, lyric ids.

        tags: a list, or text separated by commas, with or without the `<tag>` wrapping.
        lyrics: with section marks; LRC stamps are dropped. Empty for an instrumental.
        """
        triggers = {word.lower() for word in self._trigger_words}
        own_tags = [tag for tag in split_tags(tags) if tag.lower() not in triggers]
        tag_ids = self._between_begin_and_end(self._tag_ids([*self._trigger_words, *own_tags]))
        lyric_ids = self._between_begin_and_end(self._tokenizer.encode(plain_lyrics(lyrics).lower()).ids)
        text = torch.tensor([*tag_ids, self.special.empty_id, *lyric_ids])
        tokens = torch.zeros(len(text), self.num_codebooks + 1, dtype=torch.int64)
        tokens[:, -1] = text
        mask = torch.zeros_like(tokens, dtype=torch.bool)
        mask[:, -1] = True
        return Prompt(tokens, mask, muq_index=len(tag_ids))

    def _tag_ids(self, tags: list[str]) -> list[int]:
        """Encode tags with `<tag>` and `</tag>` around them, as tokens of their own where the tokenizer has such."""
        text = ",".join(tags).lower()
        opening, closing = map(self._tokenizer.token_to_id, TAG_MARKS)
        if opening is None or closing is None:
            return self._tokenizer.encode(f"{TAG_MARKS[0]}{text}{TAG_MARKS[1]}").ids
        return [opening, *self._tokenizer.encode(text, add_special_tokens=False).ids, closing]

    def _between_begin_and_end(self, ids: list[int]) -> list[int]:
        bos, eos = self.special.text_bos_id, self.special.text_eos_id
        if ids[:1] != [bos]:
            ids = [bos, *ids]
        return ids if ids[-1] == eos else [*ids, eos]


def lay_frames(codes: Tensor, empty_id: int) -> tuple[Tensor, Tensor]:
    """Lay out audio frames, codes [K, F], as positions that follow a prompt: tokens and mask, both [F, K+1]."""
    text = codes.new_full((codes.shape[1], 1), empty_id)
    tokens = torch.cat((codes.T, text), dim=1).long()
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[:, -1] = False
    return tokens, mask


def split_tags(tags: str | Sequence[str]) -> list[str]:
    """Split a list or comma-separated text into single tags, trimmed; any `<tag>` wrapping is taken off."""
    text = clean_text(tags if isinstance(tags, str) else ",".join(tags))
    text = re.sub(r"</?tag>", "", text, flags=re.IGNORECASE)
    return [tag for part in re.split(r"[,\n]", text) if (tag := " ".join(part.split()))]


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CheckpointMissingError(f"{path} is missing.", _DOWNLOAD_HINT) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointCorruptError(f"{path} cannot be read ({error}).", _DOWNLOAD_HINT) from error


def _load_tokenizer(path: str | Path) -> Tokenizer:
    text = _read(path)
    try:
        tokenizer = Tokenizer.from_str(_with_special_marks(text))
    except Exception as error:  # the library raises nothing more specific
        raise CheckpointCorruptError(
            explain_unreadable(path, f"is not a tokenizer ({error})"), _DOWNLOAD_HINT
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # "<|end_of_text|>" typed into lyrics stays text
    return tokenizer


def _with_special_marks(tokenizer: str) -> str:
    """Make `<tag>` and `</tag>` special where they are added tokens: others are found in text that a person types."""
    values = json.loads(tokenizer)
    for token in values.get("added_tokens", ()):
        token["special"] = token["special"] or token["content"] in TAG_MARKS
    return json.dumps(values)

"""A small byte-level BPE text tokenizer: any text has tokens, words of tags and song sections have short ones."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from recipes.nano.sizes import TEXT_VOCABULARY

BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"
SECTIONS = "[intro] [verse] [pre-chorus] [chorus] [bridge] [instrumental] [solo] [outro] <tag> </tag>"
COMMON_WORDS = (
    "the a and of to in on it is you me my we i your love night day light time heart dream sky fire rain sun moon "
    "star world life away home road river sea wind baby never always forever again come go know feel see hear sing "
    "dance run fly fall rise hold lost found down up over under through every all one two with without for from"
)


def train_text_tokenizer(texts: Iterable[str], path: Path) -> None:
    """Write a `tokenizer.json` whose ids 0 and 1 begin and end a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_VOCABULARY,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *[SECTIONS, COMMON_WORDS] * 10], trainer)
    tokenizer.save(str(path))

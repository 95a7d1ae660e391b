"""Texts that people give, wherever they come from."""

import unicodedata


def clean_text(text: str) -> str:
    """Make all line ends `\\n`; drop byte order marks, control characters and lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").replace("\ufeff", "")
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))

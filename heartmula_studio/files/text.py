"""Texts that people give, wherever they come from."""

import re

_UNWANTED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # Unicode's Cc and Cs, but for the line feed


def clean_text(text: str) -> str:
    """Make all line ends `\\n`; drop byte order marks, control characters and lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").replace("\ufeff", "")
    return _UNWANTED.sub("", text)

"""Values for single layers, as people type them: "q_proj=16, decoder.*=4"."""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from heartmula_studio.errors import InvalidInputError

_ENTRY = re.compile(r"([A-Za-z0-9_.*]+)=([0-9.]+)")
EXAMPLE = 'Name layers, or their ends, with * for any part: "q_proj=16, decoder.*=4".'


def parse_layer_values(text: str, setting: str, minimum: float, maximum: float) -> dict[str, float]:
    """Return values by the pattern of a layer's name, in their order.

    Raises InvalidInputError, naming `setting`, for what is no such list, and values outside the limits.
    """
    values: dict[str, float] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _ENTRY.fullmatch(entry)
        try:
            value = float(match[2]) if match else None
        except ValueError:
            value = None
        if match is None or value is None or not minimum <= value <= maximum:
            raise InvalidInputError(
                f"{setting} holds {entry[:80]!r}.", f"{EXAMPLE} Values: {minimum:g} to {maximum:g}."
            )
        values[match[1]] = value
    return values


def values_by_layer(patterns: Mapping[str, float], layers: Iterable[str], setting: str) -> dict[str, float]:
    """Return the value of each layer that a pattern stands for; the first one that does counts.

    Raises InvalidInputError for a pattern that stands for no layer.
    """
    names = list(layers)
    for pattern in patterns:
        if not any(_stands_for(pattern, name) for name in names):
            raise InvalidInputError(f"{setting}: {pattern!r} matches no layer that is adapted.", EXAMPLE)
    chosen = {name: next((p for p in patterns if _stands_for(p, name)), None) for name in names}
    return {name: patterns[pattern] for name, pattern in chosen.items() if pattern is not None}


def as_text(values: Mapping[str, float]) -> str:
    """Return values by layer as they are typed."""
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


def _stands_for(pattern: str, layer: str) -> bool:
    return any(fnmatchcase(end, pattern) for end in _name_ends(layer))


def _name_ends(layer: str) -> Iterator[str]:
    """ "a.b.c", "b.c" and "c" of "a.b.c"."""
    yield layer
    for dot in re.finditer(r"\.", layer):
        yield layer[dot.end() :]

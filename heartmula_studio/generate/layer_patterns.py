"""Which layers the names and patterns in an adapter's config stand for, as PEFT reads them.

Patterns come from strangers and may be regular expressions that take a backtracking engine forever. RE2 matches in
time linear in the name, with a bound on memory; a name is compared without any engine.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

import re2

MAX_EXPRESSIONS = 20
MAX_COMPILED_BYTES = 1 << 15
"""Of one expression: the longest that PEFT's users write take half of it."""

NOT_IN_RE2 = ("invalid perl operator", "invalid escape sequence", "pattern too large", "invalid repetition size")
"""How RE2 calls what other engines take: a look-ahead, a back-reference, a thousand repetitions."""

V = TypeVar("V")

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class UnboundedPatternError(ValueError):
    """A regular expression that RE2 does not take, though another engine may."""


class LayerPattern:
    """A regular expression for names of layers. Raises UnboundedPatternError, or ValueError for what is none."""

    def __init__(self, expression: str):
        options = re2.Options()
        options.max_mem, options.log_errors = MAX_COMPILED_BYTES, False
        try:
            self._compiled = re2.compile(expression, options)
        except (re2.error, UnicodeEncodeError) as error:
            reason = error.args[0].decode("utf-8", "replace") if isinstance(error, re2.error) else str(error)
            kind = UnboundedPatternError if reason.startswith(NOT_IN_RE2) else ValueError
            raise kind(f"{expression[:80]!r} ({reason[:80]})") from error

    def matches(self, layer: str) -> bool:
        return self._compiled.fullmatch(layer) is not None

    def index_in(self, layer: str) -> int | None:
        """The group called "index" of what the expression finds at the start of a layer's name."""
        found = self._compiled.match(layer)
        return int(found["index"]) if found else None


class LayerNames:
    """Layers given by their names or the ends of them, or by one regular expression.

    Raises as `LayerPattern`.
    """

    def __init__(self, given: str | Collection[str]):
        self._pattern = LayerPattern(given) if isinstance(given, str) else None
        self._names = frozenset() if isinstance(given, str) else frozenset(given)

    def __contains__(self, layer: str) -> bool:
        if self._pattern:
            return self._pattern.matches(layer)
        return any(end in self._names for end in name_ends(layer))

    def is_spelt_out(self, layer: str) -> bool:
        """Whether the whole name is given, which PEFT takes whatever its number is."""
        return layer in self._names


class LayerValues(Generic[V]):
    """A setting for single layers: the first key that stands for a layer counts.

    A key is a name, the end of one, or a regular expression for either. Raises as `LayerPattern`, and ValueError for
    over `MAX_EXPRESSIONS` of these.
    """

    def __init__(self, given: Mapping[str, V]):
        self._values = list(given.values())
        self._names = {key: place for place, key in enumerate(given) if _NAME.fullmatch(key)}
        expressions = {place: key for place, key in enumerate(given) if key not in self._names}
        if len(expressions) > MAX_EXPRESSIONS:
            raise ValueError(f"{len(expressions)} regular expressions, of which {MAX_EXPRESSIONS} are allowed")
        self._patterns = {place: LayerPattern(rf"(.*\.)?({key})") for place, key in expressions.items()}

    def get(self, layer: str, default: V) -> V:
        places = [self._names[end] for end in name_ends(layer) if end in self._names]
        places += [place for place, pattern in self._patterns.items() if pattern.matches(layer)]
        return self._values[min(places)] if places else default


def name_ends(layer: str) -> Iterator[str]:
    """ "a.b.c", "b.c" and "c" of "a.b.c"."""
    yield layer
    for dot in re.finditer(r"\.", layer):
        yield layer[dot.end() :]


class LayerIndices:
    """Layers whose name has one of these numbers behind a container: 3 in "backbone.layers.3.attn.q_proj".

    containers: patterns for the container's name, any where there are none; the first that fits a layer counts.
    Raises as `LayerPattern`, and ValueError for over `MAX_EXPRESSIONS` containers.
    """

    def __init__(self, indices: Collection[int], containers: Collection[str]):
        if len(containers) > MAX_EXPRESSIONS:
            raise ValueError(f"{len(containers)} patterns, of which {MAX_EXPRESSIONS} are allowed")
        self._indices = frozenset(indices)
        expressions = [rf"(?:^|.*?\.){container}" for container in containers] or [r".*?\.[^.]*"]
        self._patterns = [LayerPattern(rf"{expression}\.(?P<index>\d+)\.") for expression in expressions]

    def __contains__(self, layer: str) -> bool:
        found = (pattern.index_in(layer) for pattern in self._patterns)
        return next((index for index in found if index is not None), None) in self._indices

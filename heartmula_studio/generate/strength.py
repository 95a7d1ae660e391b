"""How strong an adapter is on a model: all of it, or its attention and MLP layers apart."""

from collections.abc import Iterator
from dataclasses import dataclass

from heartmula_studio.errors import InvalidInputError

MAX_STRENGTH = 2.0
PARTS = {".attn.": "attention", ".mlp.": "mlp"}
"""Of a layer's name, and the part it belongs to."""


@dataclass(frozen=True)
class Strength:
    """0 is the base, 1 as trained. `attention` and `mlp` are those of these layers; None is `overall`."""

    overall: float = 1.0
    attention: float | None = None
    mlp: float | None = None

    def of_layer(self, name: str) -> float:
        part = next((getattr(self, part) for mark, part in PARTS.items() if mark in name), None)
        return self.overall if part is None else part

    @property
    def parts(self) -> tuple[float, float, float]:
        """The strengths of attention, MLP and all other layers."""
        attention, mlp = (self.overall if part is None else part for part in (self.attention, self.mlp))
        return attention, mlp, self.overall


def as_strength(strength: Strength | float) -> Strength:
    return strength if isinstance(strength, Strength) else Strength(strength)


def check_strength(strength: Strength, method: str) -> None:
    """Raise InvalidInputError unless a style of this kind can have this strength."""
    for name, value in _given(strength):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_STRENGTH:
            raise InvalidInputError(f"The {name} is {value!r}.", f"Give a number from 0 to {MAX_STRENGTH}.")
        if method == "full" and value != 1:
            raise InvalidInputError(
                f"A full fine-tune has no {name}, and {value} was asked for.",
                "Use 1, or deactivate it. LoRA styles can be scaled.",
            )


def _given(strength: Strength) -> Iterator[tuple[str, float]]:
    yield "strength", strength.overall
    for part in PARTS.values():
        if (value := getattr(strength, part)) is not None:
            yield f"strength of {part}", value

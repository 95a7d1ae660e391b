"""Settings that are defined once: name, type, range, default and help of each, as fields of a pydantic dataclass.

`Definition` checks values, and says in words what is wrong and what is allowed. `settings_of` is what REST bodies,
command-line options and the fields of the page are made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from types import UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin

from pydantic import ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from heartmula_studio.errors import InvalidInputError

MAX_SHOWN_CHARS = 80
NESTED = "an object of named settings"
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list of names"}


@plain_dataclass(frozen=True)
class Setting:
    """One field of a definition; `name` may be longer than the field's own."""

    name: str
    field: FieldInfo

    @property
    def annotation(self) -> Any:
        """The type, without None."""
        return get_args(self.field.annotation)[0] if self.is_optional else self.field.annotation

    @property
    def kind(self) -> type:
        """`bool`, `int`, `float`, `str` or `tuple` (of names); another definition's class for a nested one."""
        origin = get_origin(self.annotation)
        return str if origin is Literal else origin or self.annotation

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed values, or allowed items of a tuple; empty where any will do."""
        annotation = self.annotation
        if get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        return get_args(annotation) if get_origin(annotation) is Literal else ()

    @property
    def minimum(self) -> float | None:
        return self._limit("ge")

    @property
    def maximum(self) -> float | None:
        return self._limit("le")

    @property
    def max_length(self) -> float | None:
        return self._limit("max_length")

    @property
    def default(self) -> Any:
        """The default value, or None where it is made anew each time."""
        return self.field.get_default(call_default_factory=False)

    @property
    def is_optional(self) -> bool:
        return get_origin(self.field.annotation) in (Union, UnionType)

    @property
    def help(self) -> str:
        return self.field.description or ""

    @property
    def allowed(self) -> str:
        """What may be given, in words: "a whole number between 1 and 256"."""
        words = KINDS.get(self.kind, NESTED)
        if self.kind is str and self.choices:
            words = f"one of {', '.join(self.choices)}"
        elif self.choices:
            words += f" out of {', '.join(self.choices)}"
        if self.minimum is not None and self.maximum is not None:
            words += f" between {_number(self.minimum)} and {_number(self.maximum)}"
        if self.max_length is not None:
            words += f" of at most {self.max_length:,} characters"
        return f"{words}, or null" if self.is_optional else words

    def _limit(self, name: str) -> float | None:
        return next((getattr(rule, name) for rule in self.field.metadata if hasattr(rule, name)), None)


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class Definition:
    """Base of definitions, which are pydantic dataclasses: `dataclasses.replace` and the like work as on others.

    Making one raises InvalidInputError for a value outside what is allowed. `prefix` stands before the names in it.
    """

    prefix: ClassVar[str] = ""

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            raise explained(error, settings_of(cls), cls.prefix) from error


def settings_of(definition: type[Definition], prefix: str = "") -> dict[str, Setting]:
    """Return the settings that a definition holds, by name, each with `prefix` before its own."""
    fields: Mapping[str, FieldInfo] = definition.__pydantic_fields__  # type: ignore[attr-defined]  # made by pydantic
    return {prefix + name: Setting(prefix + name, field) for name, field in fields.items()}


def explained(error: ValidationError, settings: Mapping[str, Setting], prefix: str = "") -> InvalidInputError:
    """Say what pydantic found first, and what is allowed there. `prefix` stands before the names of settings."""
    problems = error.errors()
    where, value = problems[0]["loc"], problems[0]["input"]
    if not where:
        return InvalidInputError(f"{prefix.rstrip('.')} {_shown(value)}.", f"It must be {NESTED}.")
    if unknown := [f"{prefix}{problem['loc'][0]}" for problem in problems if problem["loc"][0] not in settings]:
        allowed = ", ".join(prefix + name for name in settings)
        return InvalidInputError(f"Unknown settings: {', '.join(unknown)}.", f"Allowed: {allowed}.")
    setting = settings[str(where[0])]
    return InvalidInputError(f"{prefix}{setting.name} {_shown(value)}.", f"It must be {setting.allowed}.")


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) > MAX_SHOWN_CHARS:
        return f"has {len(value):,} characters"
    return f"is {value!r}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"

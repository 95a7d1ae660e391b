"""What is cleaned of a recording before it is learnt from."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition, settings_of


@dataclass(frozen=True)
class CleanSettings(Definition):
    """Raises InvalidInputError when a value is outside what is allowed."""

    trim_silence: Annotated[
        bool, Field(description="Cut off what is below -60 dB at both ends; timed lyrics move along.", examples=[True])
    ] = True
    loudness_lufs: Annotated[
        float | None,
        Field(
            ge=-40,
            le=-5,
            description="Bring it to this loudness in LUFS, or as close as its peaks allow, which stay below -1 "
            "dB. If left out, it stays as loud as it is.",
            examples=[-14.0],
        ),
    ] = None


CLEAN = settings_of(CleanSettings)

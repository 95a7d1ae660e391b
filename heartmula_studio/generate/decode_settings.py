"""How codes become sound."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition, settings_of
from heartmula_studio.generate.request import MAX_EXACT_INTEGER


@dataclass(frozen=True)
class DecodeSettings(Definition):
    """Settings of the codec's flow matching: the same codes with the same settings give the same sound.

    A codec without flow matching, as the bundled one, sounds the same whatever these are, but for its windows.
    Raises InvalidInputError when a value is outside what is allowed.
    """

    decode_steps: Annotated[
        int, Field(ge=1, le=100, description="Steps of flow matching; more take longer.", examples=[10])
    ] = 10
    decode_guidance: Annotated[
        float | None,
        Field(
            ge=1,
            le=10,
            description="How closely the sound follows the codes; left out, what suits the codec: "
            "1.25 for the official one.",
            examples=[1.25],
        ),
    ] = None
    decode_seed: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_EXACT_INTEGER,
            description="The seed of the noise that the sound is made from; if left out, the song's own.",
            examples=[None],
        ),
    ] = None

    decode_windows: Annotated[
        Literal["auto", "whole", "growing"],
        Field(
            description="whole: 29.76 s each, as the official codec was trained. growing: the first ones are short, so "
            "that a song is heard soon. auto: growing where the codec was trained on short ones, too.",
            examples=["auto"],
        ),
    ] = "auto"

    def noise_seed(self, song_seed: int) -> int:
        """Return the seed of the noise that a song of this seed is decoded from."""
        return song_seed if self.decode_seed is None else self.decode_seed


DECODE = settings_of(DecodeSettings)

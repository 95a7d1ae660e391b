"""How several adapters are merged into one. Loads no torch."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition, settings_of

Combination = Literal["cat", "svd", "ties_svd", "dare_linear_svd", "dare_ties_svd"]


@dataclass(frozen=True)
class MergeSettings(Definition):
    """How adapters are merged. Raises InvalidInputError for a value outside what is allowed."""

    combination: Annotated[
        Combination,
        Field(
            description="cat: the exact sum of LoRA and LoHa styles, whose ranks add up. svd: the sum of any kinds, as "
            "close as `rank` allows. ties_svd, dare_linear_svd, dare_ties_svd: each style is thinned out first, and "
            "ties settles where they pull apart.",
            examples=["cat"],
        ),
    ] = "cat"
    rank: Annotated[
        int | None,
        Field(
            ge=1,
            le=512,
            description="The merged style's rank, except with cat; if left out, the largest of its parents'.",
        ),
    ] = None
    density: Annotated[
        float, Field(ge=0.01, le=0.99, description="The share of each style's values that ties and dare keep.")
    ] = 0.5
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="The seed that picks the values dare keeps.")] = 0


MERGE = settings_of(MergeSettings)

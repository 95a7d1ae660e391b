"""Types of the fields of records."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field


def _iso_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def plain_filename(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("this is not a file name")
    return name


Filename = Annotated[str, AfterValidator(plain_filename)]
FilenameIfAny = Annotated[str, AfterValidator(lambda name: name and plain_filename(name))]
Time = Annotated[str, AfterValidator(_iso_time)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Duration = Annotated[float, Field(ge=0, le=100_000)]  # of a recording, in seconds
Confidence = Annotated[float, Field(ge=0, le=1)]
StoredStrength = Annotated[float, Field(ge=0, le=2)]
Percent = Annotated[float, Field(ge=0, le=100)]
MAX_PRIORITY, MAX_OWNER_CHARS = 10, 100
Priority = Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)]
Owner = Annotated[str, Field(max_length=MAX_OWNER_CHARS)]

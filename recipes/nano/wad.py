"""Read the lumps of a Doom WAD file.

Format: https://doomwiki.org/wiki/WAD. A 12-byte header (magic, number of lumps, offset of the directory), then the
directory: 16 bytes a lump (offset, size, name padded with zeros).
"""

import struct
from collections.abc import Iterator

from heartmula_studio.errors import InvalidInputError

HEADER = struct.Struct("<4sII")
ENTRY = struct.Struct("<II8s")
MIDI_MAGIC = b"MThd"


def lumps(wad: bytes) -> Iterator[tuple[str, bytes]]:
    """Every lump's name and content, in the directory's order. Raises InvalidInputError if it isn't a whole WAD."""
    if len(wad) < HEADER.size or wad[:4] not in (b"IWAD", b"PWAD"):
        raise InvalidInputError("This is not a WAD file.", "It must start with IWAD or PWAD.")
    _, count, directory = HEADER.unpack_from(wad)
    if directory + count * ENTRY.size > len(wad):
        raise InvalidInputError("The WAD file's directory is cut off.", "Fetch the file again.")
    for offset, size, name in ENTRY.iter_unpack(wad[directory : directory + count * ENTRY.size]):
        if offset + size > len(wad):
            raise InvalidInputError(f"Lump {name!r} ends beyond the WAD file.", "Fetch the file again.")
        yield name.rstrip(b"\0").decode("ascii"), wad[offset : offset + size]


def midi_lumps(wad: bytes) -> Iterator[tuple[str, bytes]]:
    """The lumps that are Standard MIDI Files."""
    return ((name, content) for name, content in lumps(wad) if content.startswith(MIDI_MAGIC))

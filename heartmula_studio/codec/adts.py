"""Raw AAC (ADTS) frame by frame, without decoding: where its last whole frame ends."""

import mmap

HEADER_BYTES = 7
ENOUGH_FRAMES = 3
TAG_MARKS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")


def frame_bytes(data: bytes | mmap.mmap, offset: int) -> int | None:
    """The length of the frame at `offset`; None where there is none."""
    header = data[offset : offset + HEADER_BYTES]
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 0xF > 12:
        return None
    length = int.from_bytes(header[3:6], "big") >> 5 & 0x1FFF
    return length if length > HEADER_BYTES else None


def begins_stream(data: bytes) -> bool:
    """Whether frames follow each other, or the data end before they could."""
    offset = 0
    for _ in range(ENOUGH_FRAMES):
        length = frame_bytes(data, offset)
        if length is None:
            return False
        offset += length
        if offset >= len(data):
            return True
    return True


def find_end(data: mmap.mmap, start: int) -> tuple[int, str]:
    """The offset behind the last whole frame, and what is wrong with what follows it: nothing, if it is a tag."""
    offset = start
    while (length := frame_bytes(data, offset)) is not None and offset + length <= len(data):
        offset += length
    rest = data[offset : offset + 16]
    if not rest or rest.startswith(TAG_MARKS) or not rest.strip(b"\x00"):
        return offset, ""
    is_cut = length is not None or (len(data) - offset < HEADER_BYTES and rest[:1] == b"\xff")
    return offset, "it ends inside an AAC frame" if is_cut else f"there is no AAC frame at byte {offset:,}"

"""What a look at the headers of FLAC, VOC, WavPack, WMA, Matroska and AVI files tells of what is missing.

Decoding finds the rest.
"""

from typing import BinaryIO

from heartmula_studio.codec.sniff import LARGEST_INDEX_BYTES, id3_end, read_at

VOC_HEADER_SIZE_OFFSET, RIFF_HEADER_BYTES = 20, 8
EBML_HEADER, MATROSKA_SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
EBML_UNKNOWN_SIZE = 2**56 - 1
WAVPACK_HEADER_BYTES, WAVPACK_UNKNOWN = 32, 2**32 - 1
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_LIVE = 1  # the flag of a broadcast, whose header is older than its end
"""Objects of Microsoft's "Advanced Systems Format Specification", 01.20.05, and what stands in them."""


def flac_problem(file: BinaryIO) -> str:
    """What is missing of the metadata blocks; empty where they are whole."""
    end = file.seek(0, 2)
    offset, is_last = id3_end(file) + 4, False
    while not is_last:
        header = read_at(file, offset, 4)
        offset += 4 + int.from_bytes(header[1:], "big")
        if len(header) < 4 or offset > end:
            return "it ends inside its header"
        is_last = header[0] & 0x80 != 0
    return ""


def voc_problem(file: BinaryIO) -> str:
    """What is missing of the first block; sox writes sizes that lead astray behind it."""
    end = file.seek(0, 2)
    block = int.from_bytes(read_at(file, VOC_HEADER_SIZE_OFFSET, 2), "little")
    header = read_at(file, block, 4)
    promised, present = int.from_bytes(header[1:], "little"), end - block - 4
    if len(header) == 4 and promised <= present:
        return ""
    return f"its header promises {promised:,} bytes of sound and only {max(0, present):,} are there"


def wavpack_problem(file: BinaryIO) -> str:
    """What is missing of the blocks, each of which says how long it is, and of all samples, which the first tells.

    The layout is that of David Bryant's "WavPack 4 & 5 Binary File / Block Format".
    """
    end, offset, total, present = file.seek(0, 2), 0, WAVPACK_UNKNOWN, 0
    while len(header := read_at(file, offset, WAVPACK_HEADER_BYTES)) >= 4 and header.startswith(b"wvpk"):
        size, first, here = (int.from_bytes(header[at : at + 4], "little") for at in (4, 16, 20))
        total = int.from_bytes(header[12:16], "little") if offset == 0 else total
        offset += 8 + size
        if len(header) < WAVPACK_HEADER_BYTES or offset > end:
            return "it ends inside a WavPack block"
        present = max(present, first + here)
    if total != WAVPACK_UNKNOWN and present < total:
        return f"its header promises {total:,} samples and only {present:,} are there"
    return ""


def wma_problem(file: BinaryIO) -> str:
    """What is missing of the bytes that the header counts."""
    end = file.seek(0, 2)
    header = _asf_header(file)
    if header is None:
        return "it ends inside its header"
    at = header.find(ASF_FILE)
    if at < 0 or header[at + 88] & ASF_LIVE:
        return ""
    promised = int.from_bytes(header[at + 40 : at + 48], "little")
    return f"its header promises {promised:,} bytes and only {end:,} are there" if end < promised else ""


def matroska_problem(file: BinaryIO) -> str:
    """What is missing of the segment, whose length its header tells unless it went to a pipe (RFC 8794, RFC 9559)."""
    end = file.seek(0, 2)
    size, offset = _ebml_size(file, len(EBML_HEADER))
    offset += size
    if read_at(file, offset, len(MATROSKA_SEGMENT)) != MATROSKA_SEGMENT:
        return "it ends inside its header"
    size, start = _ebml_size(file, offset + len(MATROSKA_SEGMENT))
    is_told = size != EBML_UNKNOWN_SIZE
    missing = is_told and start + size > end
    return f"its header promises {size:,} bytes and only {max(0, end - start):,} are there" if missing else ""


def _ebml_size(file: BinaryIO, offset: int) -> tuple[int, int]:
    """A size that leads with as many zero bits as bytes follow its first; and where it ends."""
    first = read_at(file, offset, 1)
    num_bytes = 9 - first[0].bit_length() if first and first[0] else 8
    value = int.from_bytes(read_at(file, offset, num_bytes), "big") & ((1 << 7 * num_bytes) - 1)
    is_unknown = value == (1 << 7 * num_bytes) - 1
    return EBML_UNKNOWN_SIZE if is_unknown else value, offset + num_bytes


def avi_problem(file: BinaryIO) -> str:
    """What is missing of the RIFF lists, of which large files have several behind each other."""
    end, offset = file.seek(0, 2), 0
    while len(header := read_at(file, offset, RIFF_HEADER_BYTES)) == RIFF_HEADER_BYTES and header[:4] == b"RIFF":
        promised, present = int.from_bytes(header[4:], "little"), end - offset - RIFF_HEADER_BYTES
        if promised > present:
            return f"its header promises {promised:,} bytes and only {present:,} are there"
        offset += RIFF_HEADER_BYTES + promised
    return ""


def _asf_header(file: BinaryIO) -> bytes | None:
    """The header object of an ASF file, in which all others stand; None where it is not whole."""
    size = int.from_bytes(read_at(file, 16, 8), "little")
    header = read_at(file, 0, min(size, LARGEST_INDEX_BYTES))
    return header if len(header) == size else None

"""What a look at the headers of FLAC and VOC files tells about what is missing; decoding finds the rest."""

from typing import BinaryIO

from heartmula_studio.codec.sniff import id3_end, read_at

VOC_HEADER_SIZE_OFFSET = 20


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

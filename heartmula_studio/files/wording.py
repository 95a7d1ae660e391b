"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """Return "1 song", or "2 songs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

"""Scripts of the page's own components, as `gr.HTML` takes them."""

from pathlib import Path

FOLDER = Path(__file__).parent


def read_script(*names: str) -> str:
    """Return scripts of this folder as one, with the helpers that all of them use."""
    return "\n".join((FOLDER / part).read_text(encoding="utf-8") for part in ("dom.js", *names))

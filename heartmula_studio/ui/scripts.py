"""Scripts of the page's own components, as `gr.HTML` takes them."""

from pathlib import Path

FOLDER = Path(__file__).parent


def read_script(name: str) -> str:
    """Return a script of this folder with the helpers that all of them use."""
    return "\n".join((FOLDER / part).read_text(encoding="utf-8") for part in ("dom.js", name))

"""The least that Gradio takes for a page of as many components: `python -m benchmarks.bare_page FILE`.

FILE holds {kind of component: how many}. Prints its address as soon as it listens.
"""

import json
import os
import sys
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio.utils import component_or_layout_class

from heartmula_studio.server import listening_socket

MAIN_BUTTON = "Generate"


def main() -> None:
    page = page_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    app = gr.mount_gradio_app(FastAPI(), page, path="/", ssr_mode=False)
    with listening_socket("127.0.0.1", 0) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def page_of(kinds: dict[str, int]) -> gr.Blocks:
    """A page of components without a word in them; what is no component by itself is a piece of HTML."""
    with gr.Blocks() as page:
        gr.Button(MAIN_BUTTON)
        for kind, count in kinds.items():
            for _ in range(count):
                add(kind)
    return page


def add(kind: str) -> None:
    try:
        component_or_layout_class(kind)()
    except (TypeError, ValueError):
        gr.HTML()


if __name__ == "__main__":
    main()

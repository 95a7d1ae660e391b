"""Gradio's script of the sign that something is under way, which comes to rest once the sign is gone.

As Gradio 6.31 has it, the sign of an opening page is taken away in the step in which it would stop, and asks for one
animation frame after the other for as long as the page is open: 4 to 6 % of a core (findings/gradio-endless-frames.sh).
"""

from pathlib import Path

import gradio
from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Route

SCRIPTS = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
ENDLESS, ENDING = "W&&ze()", "W&&U&&ze()"  # W: it is under way; U: the sign, none once it is taken away; ze: ask again


def add_route(app: FastAPI) -> None:
    """Serve the script in place of Gradio's own. A script without that fault stays as it is."""
    for script in SCRIPTS.glob("statustracker-*.js"):
        text = script.read_text(encoding="utf-8").replace(ENDLESS, ENDING)
        app.router.routes.append(Route(f"/assets/{script.name}", Response(text, media_type="text/javascript")))

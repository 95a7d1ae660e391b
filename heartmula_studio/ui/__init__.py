"""The page and the named endpoints, built with Gradio, which is loaded here for all of them."""

import inspect
from typing import NoReturn
from unittest.mock import patch

from heartmula_studio.files.loading import loading


def load_gradio() -> None:
    """Import Gradio, but for the stubs of its components: it writes them beside its code at each import.

    They are for editors, and take a third of the time. Gradio leaves them out for a class without a file of source.
    """

    def no_file(_: object) -> NoReturn:
        raise OSError("no stubs")

    with loading(), patch.object(inspect, "getfile", no_file):
        import gradio  # noqa: F401


load_gradio()

"""The server: REST and the page on one port, on this machine or on a Hugging Face Space."""

import argparse
import asyncio
import dataclasses
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import InvalidInputError, StudioError
from heartmula_studio.files.loading import loading
from heartmula_studio.settings import Settings, forgets_data

if TYPE_CHECKING:
    from fastapi import FastAPI

    from heartmula_studio.studio import Studio

SHUTDOWN_SEC = 3  # what streams without an end get before they are cut off
KEEP_ALIVE_SEC = 30  # longer than the 5 s of common clients, which else meet a connection that is just being closed


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal, and return the exit code: 0, or as in `heartmula_studio.errors`."""
    parsed = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = with_arguments(Settings.load(), parsed)
        refuse_unprotected(settings)
        with listening_socket(settings.host, settings.port) as listener:
            serve(settings, listener)
    except StudioError as error:
        print(f"Error: {error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped; training goes on in its own process.")
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the page, REST and `gradio_client` on one port.")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, help="default: 7860; 0 is any free one")
    parser.add_argument("--data-dir", type=Path, help="folder of datasets, jobs, checkpoints and songs")
    parser.add_argument("--allow-anonymous", action="store_const", const=True, help="serve others without a token")
    return parser.parse_args(arguments)


def with_arguments(settings: Settings, parsed: argparse.Namespace) -> Settings:
    given = {name: value for name, value in vars(parsed).items() if value is not None}
    if not 0 <= given.get("port", 0) <= 65535:
        raise InvalidInputError(f"--port is {given['port']}.", "Allowed: a whole number from 0 to 65535.")
    return dataclasses.replace(settings, **given)


def refuse_unprotected(settings: Settings) -> None:
    """Raises InvalidInputError where other machines could use the studio without a token."""
    from heartmula_studio.routes.origin import is_loopback

    if not settings.has_token and not settings.allow_anonymous and not is_loopback(settings.host):
        raise InvalidInputError(
            f"On {settings.host}, anyone who reaches this machine could use the studio.",
            "Set HEARTMULA_TOKEN to a secret, or pass --allow-anonymous (HEARTMULA_ALLOW_ANONYMOUS=1).",
        )


def listening_socket(host: str, port: int) -> socket.socket:
    """Take the port before anything slow happens. Raises InvalidInputError where it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise InvalidInputError(
            f"Cannot listen on {host}, port {port}: {error.strerror}.", "Choose another with --host and --port."
        ) from error
    # Where the protocol is not said, asyncio lets a connection hold back the end of an answer until its beginning was
    # acknowledged (Nagle's algorithm), which clients do 40 ms late.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=listener.detach())


def serve(settings: Settings, listener: socket.socket) -> None:
    # Gradio and the Hub's client read these when they are imported.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # After each event Gradio would sum up the last 10,000 for a page of its own, which is closed here.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import uvicorn

    from heartmula_studio.routes.app import create_app
    from heartmula_studio.studio import Studio

    studio = Studio.open(settings)
    app = create_app(studio, settings)
    logging.getLogger("uvicorn.error").addFilter(is_news)
    with studio.store.scratch() as uploads:  # beside the data, where there is room; removed even after a kill
        os.environ["GRADIO_TEMP_DIR"] = os.environ.get("GRADIO_TEMP_DIR") or str(uploads)
        with loading():
            mount_page(app, studio, settings)
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_SEC, timeout_keep_alive=KEEP_ALIVE_SEC
        )
        print(f"HeartMuLa Training Studio: {address(listener)} (REST: {address(listener)}/docs)", flush=True)
        say_what_is_found(settings)
        uvicorn.Server(config).run(sockets=[listener])


def say_what_is_found(settings: Settings) -> None:
    """Print where data goes and who may come in; device and base follow as soon as torch is loaded."""
    from heartmula_studio.studio import FORGOTTEN, found_log

    shown = logging.StreamHandler(sys.stdout)
    shown.setFormatter(logging.Formatter("%(message)s"))
    found_log.addHandler(shown)
    found_log.setLevel(logging.INFO)
    found_log.propagate = False
    free_gb, warning = shutil.disk_usage(settings.data_dir).free / 1e9, FORGOTTEN * forgets_data(settings.data_dir)
    found_log.info(f"Data: {settings.data_dir}, {free_gb:.1f} GB free. {warning}".rstrip())
    found_log.info("Open to: %s.", "whoever has a token" if settings.has_token else f"whoever reaches {settings.host}")


def is_news(record: logging.LogRecord) -> bool:
    """False for what a server says of streams that it cuts off as it stops, a traceback for each page that is open."""
    reason = record.exc_info[0] if record.exc_info else None
    is_cut_off = reason is not None and issubclass(reason, asyncio.CancelledError)
    return not is_cut_off and "timeout graceful shutdown exceeded" not in record.getMessage()


def mount_page(app: "FastAPI", studio: "Studio", settings: Settings) -> None:
    from heartmula_studio.routes.failures import http_failure
    from heartmula_studio.routes.uploads import Uploads, upload_router
    from heartmula_studio.ui import changes, loading_sign
    from heartmula_studio.ui.kept_page import keep_page
    from heartmula_studio.ui.page import create_ui
    from heartmula_studio.ui.players import Players

    players = Players(settings.data_dir)
    players.add_route(app, studio.songs.stream)
    loading_sign.add_route(app)
    page = create_ui(studio, players)
    changes.add_route(app, studio, page.ended_events)

    import gradio  # loaded by now, as `ui` loads it
    from gradio.routes import file_upload_statuses
    from gradio.utils import get_upload_folder

    from themes.glass import Glass

    uploads = Uploads(Path(get_upload_folder()), settings, file_upload_statuses, page.upload_file_set)
    app.include_router(upload_router(uploads))
    # A mounted page counts as not launched, and Gradio then copies any file of this machine that a request names.
    page.has_launched = True
    gradio.mount_gradio_app(
        app,
        page,
        path="/",
        root_path=settings.root_path,
        run_history=False,  # has routes that take tokens of Hugging Face
        max_file_size=max(settings.max_upload_bytes, settings.max_import_bytes),
        app_kwargs={"exception_handlers": {404: http_failure}, "openapi_url": None},
        ssr_mode=False,
        footer_links=["api", "gradio"],  # without the settings, which are Gradio's, and whose picture repeats its name
        theme=Glass(),
    )
    keep_page(app)


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

"""The REST application over one studio."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Match

from heartmula_studio import __version__
from heartmula_studio.routes import (
    audio,
    auditions,
    catalogues,
    checkpoints,
    datasets,
    estimates,
    health,
    hub,
    imports,
    jobs,
    models,
    rungs,
    songs,
    styles,
)
from heartmula_studio.routes.access import Access
from heartmula_studio.routes.events import EventStreams
from heartmula_studio.routes.failures import handle_failures
from heartmula_studio.routes.login import Logins, login_router
from heartmula_studio.routes.route_index import METHODS, RouteIndex
from heartmula_studio.settings import Settings, is_space
from heartmula_studio.studio import Studio

ROUTERS = (
    datasets.router,
    imports.router,
    audio.router,
    estimates.router,
    hub.router,
    catalogues.router,
    jobs.router,
    rungs.router,
    auditions.router,
    checkpoints.router,
    songs.router,
    styles.router,
    models.router,
)
DESCRIPTION = """Teach HeartMuLa your style: five songs in, a tuned song out.

Every failure has one shape, `{"error": {"code", "message", "hint"}}`. Where the server has a token, every call but
`/health` wants the header `Authorization: Bearer <token>`."""


def create_app(studio: Studio, settings: Settings) -> FastAPI:
    """Return the application; it has the studio begin when it starts, and closes it when it shuts down."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        studio.begin()
        yield
        await run_in_threadpool(studio.close)

    app = FastAPIOffline(
        title="HeartMuLa Training Studio",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        static_url="/docs-assets",
        redirect_slashes=False,
    )
    app.state.studio = studio
    app.state.streams = EventStreams()
    logins = Logins(settings, is_space=is_space())
    # No origin is allowed. Without this Gradio would add its own, which allows any that names this machine or another.
    app.add_middleware(CORSMiddleware)
    app.add_middleware(Access, logins=logins)
    handle_failures(app)
    for router in (health.router, *ROUTERS, login_router(logins)):
        app.router.routes.extend(router.routes)  # `include_router` would try each router, then each of its routes
    app.router.routes.extend(_refusals(list(app.router.routes)).routes)
    app.router.routes.insert(0, RouteIndex(app.router.routes))
    return app


def _refusals(known: Sequence[BaseRoute]) -> APIRouter:
    """Catch what is no call under the REST paths; else the page, mounted at "/", would answer it."""
    router = APIRouter(include_in_schema=False)

    def refuse(request: Request) -> None:
        allowed = [method for method in METHODS if _matches(known, request, method)]
        if allowed:
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        raise HTTPException(404)

    for prefix in ("training", "generate", "styles", "models", "hub", "health"):
        router.add_api_route(f"/{prefix}", refuse, methods=list(METHODS))
        router.add_api_route(f"/{prefix}/{{rest:path}}", refuse, methods=list(METHODS))
    return router


def _matches(known: Sequence[BaseRoute], request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in known)

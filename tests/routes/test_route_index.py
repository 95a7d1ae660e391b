"""The index finds the very route that FastAPI would find by trying all of them."""

import dataclasses

import pytest
from starlette.routing import Match

from heartmula_studio.routes.app import create_app
from heartmula_studio.routes.route_index import CHOSEN, METHODS, RouteIndex
from heartmula_studio.settings import Settings
from heartmula_studio.studio import Studio

STRANGE = ("/", "", "/nothing", "/training", "/training/nothing", "/styles/custom/a/b", "/generate/{id}", "//", "/docs")


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    settings = dataclasses.replace(Settings.load(), data_dir=tmp_path_factory.mktemp("data"), base_model="nano")
    studio = Studio.open(settings)
    yield create_app(studio, settings).router.routes
    studio.close()


@pytest.mark.parametrize("prefix", ["", "/studio"])
def test_the_route_is_the_first_of_all_that_match(routes, prefix):
    index, *others = routes
    assert isinstance(index, RouteIndex)
    paths = {route.path.replace("{", "").replace("}", "").replace(":path", "/x") for route in others}
    assert len(paths) > 50
    for path in (*paths, *STRANGE):
        for method in METHODS:
            scope = {"type": "http", "method": method, "path": prefix + path, "root_path": prefix}
            first = next((route for route in others if route.matches(scope)[0] is Match.FULL), None)
            match, child_scope = index.matches(scope)
            assert child_scope.get(CHOSEN) is first, (method, path)
            assert (match is Match.FULL) == (first is not None)

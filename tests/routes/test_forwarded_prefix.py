"""A proxy that says where it serves the studio: the page's addresses follow, with the path cut off or passed on."""

import httpx
import pytest

TOLD = {"X-Forwarded-Prefix": "/music", "X-Forwarded-Host": "music.example", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize("path", ["", "music/"])
def test_the_page_and_its_documentation_lie_where_the_proxy_says(server, path):
    with httpx.Client(base_url=f"{server.url}/{path}", headers=TOLD, timeout=120) as proxied:
        page = proxied.get("").raise_for_status().text
        assert '"root":"https://music.example/music"' in page.replace('": "', '":"')
        assert proxied.get("config").json()["root"] == "https://music.example/music"
        assert proxied.get("openapi.json").json()["servers"] == [{"url": "/music"}]
        assert proxied.get("training/datasets").status_code == 200


def test_without_a_proxy_nothing_changes(server):
    assert httpx.get(f"{server.url}/config", timeout=120).json()["root"] == server.url

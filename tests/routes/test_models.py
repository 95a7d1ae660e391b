"""The official model over REST: a server that is offline says so at once."""

import httpx

from heartmula_studio.arch.official import OFFICIAL_MODELS


def test_the_official_model_over_rest(server):
    name = OFFICIAL_MODELS[0].name
    with httpx.Client(base_url=server.url, timeout=60) as http:
        model, *others = http.get("/models").raise_for_status().json()
        assert [other["name"] for other in others] == ["HeartTranscriptor-oss", "larger_clap_music", "htdemucs"]
        assert (model["name"], model["status"], model["licence"]) == (name, "absent", "Apache-2.0")
        assert http.get(f"/models/{name}").json()["size_bytes"] == model["size_bytes"] > 20e9
        refused = http.post(f"/models/{name}/download")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "hub_unreachable")
        assert "HF_HUB_OFFLINE" in refused.json()["error"]["hint"]
        assert http.post(f"/models/{name}/cancel").status_code == 409
        for method, path in (
            ("POST", f"{name}/verify"),
            ("DELETE", name),
            ("GET", "other"),
            ("POST", "other/download"),
        ):
            assert http.request(method, f"/models/{path}").status_code == 404

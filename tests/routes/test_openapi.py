"""The OpenAPI document: everything that is offered, with examples and failures."""

import pytest

from heartmula_studio.routes.access import CLOSED, find_rule

CALLS = """
GET /training/datasets · POST /training/datasets · GET /training/datasets/{id} · PUT /training/datasets/{id}
DELETE /training/datasets/{id} · GET /training/datasets/{id}/validate · POST /training/datasets/{id}/preprocess
POST /training/datasets/{id}/audio · GET /training/datasets/{id}/audio/{filename}
PUT /training/datasets/{id}/audio/{filename} · DELETE /training/datasets/{id}/audio/{filename}
GET /training/datasets/{id}/audio/{filename}/heard · POST /training/datasets/examples · POST /training/estimate
GET /training/presets · GET /training/jobs · POST /training/jobs · GET /training/jobs/{id} · DELETE /training/jobs/{id}
POST /training/jobs/{id}/cancel · POST /training/jobs/{id}/resume · POST /training/jobs/{id}/clone
GET /training/jobs/{id}/logs · GET /training/jobs/{id}/metrics · GET /training/jobs/{id}/events
GET /training/checkpoints · POST /training/checkpoints/import · GET /training/checkpoints/{id}
DELETE /training/checkpoints/{id} · GET /training/checkpoints/{id}/download
POST /training/checkpoints/{id}/activate · POST /training/checkpoints/{id}/deactivate
POST /training/checkpoints/{id}/compare · POST /training/datasets/import · GET /training/datasets/{id}/export
POST /generate/music · GET /generate · GET /generate/{id} · GET /generate/{id}/audio · DELETE /generate/{id}
POST /generate/{id}/cancel · GET /styles · POST /styles/custom · DELETE /styles/custom/{name} · GET /health
GET /models · GET /models/{name} · DELETE /models/{name} · POST /models/{name}/download · POST /models/{name}/cancel
POST /models/{name}/verify · GET /training/checkpoints/{id}/provenance · GET /hub/search
GET /hub/repos/{owner}/{name} · POST /hub/datasets/pull · POST /hub/datasets/{id}/push · POST /hub/styles/pull
POST /hub/styles/{id}/push · GET /training/jobs/{id}/rungs · GET /training/jobs/{id}/rungs/{step}
GET /training/jobs/{id}/rungs/{step}/download · GET /training/jobs/{id}/rungs/{step}/previews/{number}
POST /training/jobs/{id}/rungs/{step}/activate · POST /training/jobs/{id}/rungs/{step}/compare
POST /training/jobs/{id}/rungs/{step}/keep · POST /training/jobs/{id}/rungs/{step}/star
GET /training/jobs/{id}/auditions · POST /training/jobs/{id}/auditions · GET /training/catalogues
GET /training/jobs/{id}/auditions/{audition_id} · POST /training/jobs/{id}/auditions/{audition_id}/votes
GET /training/jobs/{id}/auditions/{audition_id}/trials/{trial}/{side}
POST /training/checkpoints/activate · POST /training/checkpoints/merge · GET /training/datasets/{id}/losses
GET /training/datasets/{id}/sound · POST /generate/replay · POST /generate/{id}/decode
GET /generate/{id}/stream · POST /generate/takes · POST /generate/{id}/star · POST /generate/{id}/keep
POST /training/datasets/{id}/tempo-and-key · PUT /training/datasets/{id}/proposals
PUT /training/datasets/{id}/audio/{filename}/proposals/{number} · GET /training/datasets/{id}/audio/{filename}/prompt
PUT /generate/{id} · POST /generate/zip · GET /generate/{id}/takes
POST /generate/{id}/cover · GET /generate/{id}/cover · DELETE /generate/{id}/cover
POST /generate/continue · POST /generate/{id}/another
POST /training/datasets/{id}/analyses/{kind} · GET /training/datasets/{id}/analyses/{kind}
POST /training/datasets/{id}/analyses/{kind}/cancel · PUT /training/datasets/{id}/tracks
GET /training/datasets/{id}/tracks
POST /training/datasets/{id}/cleaning · DELETE /training/datasets/{id}/cleaning
DELETE /training/datasets/{id}/originals · PUT /training/datasets/{id}/audio/{filename}/cleaning
DELETE /training/datasets/{id}/audio/{filename}/cleaning · DELETE /training/datasets/{id}/audio/{filename}/original
POST /training/datasets/{id}/cleaning/start · GET /training/datasets/{id}/cleaning
POST /training/datasets/{id}/cleaning/cancel · POST /training/imports · GET /training/imports
GET /training/imports/{id} · POST /training/imports/{id}/cancel
POST /training/datasets/{id}/checks/{kind} · GET /training/datasets/{id}/checks/{kind}
POST /training/datasets/{id}/checks/{kind}/cancel · POST /hub/datasets/pull/start
"""


@pytest.fixture(scope="module")
def document(client) -> dict:
    return client.get("/openapi.json").json()


def operations(document: dict) -> dict[str, dict]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_it_lists_exactly_what_is_offered(document):
    listed = {name.strip() for line in CALLS.split("\n") for name in line.split("·") if name.strip()}
    assert set(operations(document)) == listed


def test_every_call_may_come_in(document):
    assert [path for path in document["paths"] if find_rule(path) is CLOSED] == []


def test_every_call_is_explained_and_names_its_failures(document):
    for name, operation in operations(document).items():
        assert operation["description"].endswith("."), name
        assert operation["tags"], name
        for status in ("401", "422", "500"):
            content = operation["responses"][status]["content"]["application/json"]
            assert content["schema"]["$ref"].endswith("/FailureAnswer"), name
        if "{id}" in name:
            assert "404" in operation["responses"], name


def test_every_body_has_examples(document):
    schemas = document["components"]["schemas"]
    for name, operation in operations(document).items():
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            text = str(_resolved(content["schema"], schemas))
            assert "example" in text or kind == "application/json" and "default" in text, name


def _resolved(schema: dict, schemas: dict) -> dict:
    options = schema.get("anyOf", [schema])
    names = [option["$ref"].rsplit("/", 1)[1] for option in options if "$ref" in option]
    return schemas[names[0]] if names else schema


def test_the_upload_is_a_form(document):
    body = operations(document)["POST /training/datasets/{id}/audio"]["requestBody"]["content"]
    assert set(body["multipart/form-data"]["schema"]["properties"]) == {"file", "caption", "tags", "rights"}


def test_the_page_that_shows_it(client):
    assert "openapi.json" in client.get("/docs").text

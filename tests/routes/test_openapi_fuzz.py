"""Made-up requests to every call of the OpenAPI document: no fault, and no answer that it does not foresee.

None of them waits without end: the one job there is has finished, so its stream of events ends, and what a request
queues is cancelled at once.
"""

from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.long_tests import HAS_TIME
from tests.recordings import SONGS
from tests.routes.test_openapi import CALLS as OFFERED
from tests.routes.waiting import wait_for

CALLS = [call.strip() for line in OFFERED.splitlines() for call in line.split("·") if call.strip()]
EXAMPLES_PER_CALL = 12 if HAS_TIME else 4
FEW_EXAMPLES = {"POST /training/datasets/examples": 2}  # takes a second, and nothing that could differ
ANSWER_SEC = 120
NO_CONNECTION = 503  # to the Hub; documented where it may come


def not_a_server_error_of_ours(context, response: schemathesis.Response, case: schemathesis.Case) -> bool | None:
    return None if response.status_code == NO_CONNECTION else not_a_server_error(context, response, case)


CHECKS = [
    not_a_server_error_of_ours,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# What these queue would run for as long as the made-up settings say.
QUEUED_BY = {
    "POST /generate/music": "/generate",
    "POST /generate/takes": "/generate",
    "POST /generate/continue": "/generate",
    "POST /generate/replay": "/generate",
    "POST /generate/{id}/decode": "/generate",
    "POST /training/checkpoints/{id}/compare": "/generate",
    "POST /training/jobs/{id}/rungs/{step}/compare": "/generate",
    "POST /training/jobs": "/training/jobs",
    "POST /training/jobs/{id}/clone": "/training/jobs",
}


@pytest.fixture(scope="module")
def existing(client, trained) -> dict[str, str]:
    """A dataset, a finished job, its checkpoint and a song: their ids by the path they are found under."""
    asked = client.post("/generate/music", json={"duration_sec": 1.0}).json()
    song = wait_for(client, f"/generate/{asked['id']}")
    assert song["status"] == "completed"
    return {
        "/training/datasets": trained["dataset_id"],
        "/training/jobs": trained["id"],
        "/training/checkpoints": trained["checkpoint_id"],
        "/generate": song["id"],
    }


@pytest.fixture(scope="module")
def document(server, existing):
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.fixture(scope="module")
def session():
    with requests.Session() as session:
        yield session


def aim(case: schemathesis.Case, existing: dict[str, str]) -> None:
    """Ask for something that exists, which no made-up id would hit."""
    for start, id in existing.items():
        if case.path.startswith(start) and "id" in case.path_parameters:
            case.path_parameters["id"] = id
    if "filename" in case.path_parameters:
        case.path_parameters["filename"] = quote(SONGS[0].name)
    if isinstance(case.body, dict) and "dataset_id" in case.body:
        case.body["dataset_id"] = existing["/training/datasets"]


def stop(client: httpx.Client, case: schemathesis.Case, response: schemathesis.Response) -> None:
    """Let nothing run that a made-up request has queued."""
    if response.status_code == 202 and (path := QUEUED_BY.get(case.operation.label)):
        body = {"save": False} if path == "/training/jobs" else None
        queued = response.json()
        records = queued if isinstance(queued, list) else [queued] if "id" in queued else queued.values()
        for record in records:
            client.post(f"{path}/{record['id']}/cancel", json=body)


@pytest.mark.parametrize("call", CALLS)
def test_every_answer_is_as_documented(call, document, existing, session, client):
    operation = document.find_operation_by_label(call)

    @settings(
        max_examples=FEW_EXAMPLES.get(call, EXAMPLES_PER_CALL),
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*map(operation.as_strategy, GenerationMode)), is_aimed=st.sampled_from((True, True, False)))
    def ask(case: schemathesis.Case, is_aimed: bool) -> None:
        if is_aimed and case.method != "DELETE":
            aim(case, existing)
        response = case.call(session=session, timeout=ANSWER_SEC)
        stop(client, case, response)
        case.validate_response(response, checks=CHECKS)

    ask()

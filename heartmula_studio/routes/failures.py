"""Every failure in one shape: {"error": {"code", "message", "hint"}}, with the status that fits."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from heartmula_studio.errors import StudioError, TooManyAttemptsError, UnauthorizedError
from heartmula_studio.files.public_text import public

SEE_DOCS = "See /docs for what can be asked for, with examples."
CLIENT_CLOSED_REQUEST = 499

Responses = dict[int | str, dict[str, Any]]

log = logging.getLogger(__name__)


class FailureBody(BaseModel):
    """What is wrong, and what is allowed or can be done about it. `code` never changes for one kind of failure."""

    code: str
    message: str
    hint: str


class FailureAnswer(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "code": "not_found",
                    "message": "There is no dataset 'k3v9x2m4q8ab'.",
                    "hint": "GET /training/datasets lists them.",
                }
            }
        }
    )

    error: FailureBody


def documented(*statuses: int) -> Responses:
    """Return the `responses` of a route that may fail with these statuses; any route may fail with some more."""
    return {status: {"model": FailureAnswer, "description": _phrase(status)} for status in _all(statuses)}


def documented_beside_files(*statuses: int) -> Responses:
    """As `documented`, for a route whose success is not JSON: its failures are JSON all the same."""
    json_answer = {"application/json": {"schema": {"$ref": f"#/components/schemas/{FailureAnswer.__name__}"}}}
    return {status: {"content": json_answer, "description": _phrase(status)} for status in _all(statuses)}


def _all(statuses: tuple[int, ...]) -> list[int]:
    return sorted({400, 401, 403, 413, 422, 429, 500, 507, *statuses})


def answer(error: StudioError) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, UnauthorizedError) else {}
    if isinstance(error, TooManyAttemptsError):
        headers = {"Retry-After": str(error.retry_after_sec)}
    return _answer(error.status, error.code, error.message, error.hint, headers)


def handle_failures(app: FastAPI) -> None:
    app.exception_handler(StudioError)(_studio_error)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(http_failure)
    app.exception_handler(ClientDisconnect)(_client_left)
    app.exception_handler(OSError)(_system_error)
    app.exception_handler(Exception)(_fault)


def _studio_error(_request: Request, error: StudioError) -> JSONResponse:
    if error.status >= 500:
        log.error("%s", error, exc_info=error)
    return answer(error)


def _invalid_request(_request: Request, error: RequestValidationError) -> JSONResponse:
    problems = "; ".join(map(_problem, error.errors()))
    return _answer(422, "invalid_input", f"{problems}.", SEE_DOCS)


def http_failure(request: Request, error: HTTPException) -> JSONResponse:
    """Answer what the framework refuses: unknown paths, methods, broken requests."""
    phrase = _phrase(error.status_code)
    message = f"{request.method} {request.url.path}: {phrase}." if error.detail == phrase else str(error.detail)
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return _answer(error.status_code, code, message, SEE_DOCS, dict(error.headers or {}))


def _client_left(_request: Request, _error: ClientDisconnect) -> JSONResponse:
    return _answer(CLIENT_CLOSED_REQUEST, "client_left", "The client closed the connection.", "")


def _system_error(_request: Request, error: OSError) -> JSONResponse:
    log.error("%s", error, exc_info=error)
    reason = error.strerror or type(error).__name__
    return _answer(507, "storage", f"A file cannot be read or written: {reason}.", "Check the server's log and disk.")


def _fault(_request: Request, _error: Exception) -> JSONResponse:
    return _answer(500, "fault", "The studio failed; this is a bug in the program.", "The server's log says where.")


def _answer(status: int, code: str, message: str, hint: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"code": code, "message": _printable(public(message)), "hint": _printable(public(hint))}
    return JSONResponse({"error": error}, status, headers)


def _problem(problem: dict[str, Any]) -> str:
    """What is wrong, after where it stands in the request: ("body", "styles", 0) is `styles.0`."""
    place, *inside = problem["loc"]
    if problem["type"] == "json_invalid":
        return f"The body is not JSON at character {inside[0]}: {problem['ctx']['error']}"
    return f"{'.'.join(map(str, inside)) or place}: {problem['msg']}"


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _printable(text: str) -> str:
    """A request may hold half a character (a lone surrogate), which cannot be sent back as it is."""
    return text.encode("utf-8", "replace").decode("utf-8")

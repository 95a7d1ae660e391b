"""An uploaded form, read as it comes: its one file goes straight to where it is kept, never through memory."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import disk_usage
from typing import Any, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from heartmula_studio.errors import InvalidInputError, StorageError, UploadTooLargeError
from heartmula_studio.routes.access import check_length

MAX_FIELD_BYTES = 2**20
MAX_FIELDS = 100
OVERHEAD_BYTES = 4 * MAX_FIELD_BYTES  # what surrounds the file: lyrics, tags, part headers
FILE_FIELD = "file"


def documented_form(file: Mapping[str, str], *required: str, **fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the OpenAPI document says of a form: its file, and its text fields, of which some are `required`."""
    upload = {"type": "string", "format": "binary", **file}
    texts = {name: {"type": "string", **words} for name, words in fields.items()}
    schema = {"type": "object", "required": [FILE_FIELD, *required], "properties": {FILE_FIELD: upload, **texts}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


class Sink(Protocol):
    def write(self, chunk: bytes) -> Any: ...


OpenFile = Callable[[str], AbstractContextManager[Sink]]


@dataclass
class Form:
    """A form that has come in whole. `files` is what `open_file` gave."""

    files: list[Any] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)

    @property
    def file(self) -> Any:
        return self.files[0]

    def text(self, name: str, default: str = "") -> str:
        return self.fields.get(name, [default])[-1]

    def names(self, name: str) -> list[str]:
        """A list given as comma-separated text, as several fields of one name, or both."""
        texts = (part.strip() for value in self.fields.get(name, []) for part in value.split(","))
        return [text for text in texts if text]


def check_room(headers: Headers, folder: Path) -> None:
    """Raise StorageError, before anything is read, where a request says it is longer than the disk has room for."""
    length, free = headers.get("content-length", "0"), disk_usage(folder).free
    if length.isdecimal() and int(length) > free:
        raise StorageError(
            f"The upload has {int(length):,} bytes, and the disk has room for {free:,}.", "Make room, then try again."
        )


@asynccontextmanager
async def streamed_form(
    request: Request, open_file: OpenFile, max_file_bytes: int, file_field: str = FILE_FIELD, max_files: int = 1
) -> AsyncIterator[Form]:
    """Read the form; `open_file(filename)` is entered when a file begins and left with this context.

    Raises InvalidInputError where it is no such form, UploadTooLargeError over a limit, and what `open_file` and
    its `write` raise.
    """
    check_length(request.headers, max_file_bytes + OVERHEAD_BYTES)
    with ExitStack() as stack:
        with _form_errors_explained():
            reader = _FormReader(
                _boundary(request), lambda filename: stack.enter_context(open_file(filename)), file_field, max_files
            )
            async for chunk in request.stream():
                await run_in_threadpool(reader.feed, chunk)
        yield reader.finish()


@contextmanager
def _form_errors_explained() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise _not_a_form(str(error)) from error


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise _not_a_form(f"the content type is {kind.decode('latin-1')!r}")
    return boundary


class _FormReader:
    """Callbacks of the parser. A part with a filename is a file, any other is a text field."""

    def __init__(self, boundary: bytes, open_file: Callable[[str], Sink], file_field: str, max_files: int):
        self._open_file, self._file_field, self._max_files = open_file, file_field, max_files
        self._form = Form()
        self._is_complete = False
        self._num_fields = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_begin": self._begin_header,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._complete,
            },
        )

    def feed(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def finish(self) -> Form:
        if not self._is_complete:
            raise _not_a_form("it ends too early")
        if not self._form.files:
            name = self._file_field
            raise InvalidInputError(
                f"The form has no file named `{name}`.", f"curl sends one with -F {name}=@song.mp3."
            )
        return self._form

    def _begin(self) -> None:
        self._disposition: dict[bytes, bytes] = {}
        self._sink: Sink | None = None
        self._text = bytearray()
        self._num_fields += 1
        allowed = MAX_FIELDS - 1 + self._max_files
        if self._num_fields > allowed:
            raise UploadTooLargeError("The form has too many fields.", f"At most {allowed} are allowed.")

    def _begin_header(self) -> None:
        self._header, self._value = bytearray(), bytearray()

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(bytes(self._value))

    def _open(self) -> None:
        self._name = _decoded("a field's name", self._disposition.get(b"name", b""))
        if b"filename" not in self._disposition:
            return
        if self._name != self._file_field or len(self._form.files) >= self._max_files:
            count = "one file" if self._max_files == 1 else f"at most {self._max_files:,} files"
            raise InvalidInputError(
                f"A file came as `{self._name}`.", f"Send {count} a request, as `{self._file_field}`."
            )
        self._sink = self._open_file(_decoded("the file's name", self._disposition[b"filename"]))
        self._form.files.append(self._sink)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._sink.write(data[start:end])
            return
        self._text.extend(data[start:end])
        if len(self._text) > MAX_FIELD_BYTES:
            raise UploadTooLargeError(
                f"`{self._name}` has more than {MAX_FIELD_BYTES:,} bytes.", "Longer texts are not read."
            )

    def _end(self) -> None:
        if self._sink is None:
            text = _decoded(f"`{self._name}`", bytes(self._text))
            self._form.fields.setdefault(self._name, []).append(text)

    def _complete(self) -> None:
        self._is_complete = True


def _decoded(what: str, text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{what} is not UTF-8.", "Send the form's texts in UTF-8.") from error


def _not_a_form(reason: str) -> InvalidInputError:
    return InvalidInputError(f"The request is not a form with a file: {reason}.", "Send multipart/form-data.")

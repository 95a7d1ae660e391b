"""The Hugging Face Hub, as far as styles and datasets need it: its errors in our words, and what lies there.

The token is the machine's own (`hf auth login`, or HF_TOKEN); it is never read, shown or stored here.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import DatasetInfo, ModelInfo

from heartmula_studio.errors import (
    ConflictError,
    HubAccessError,
    HubError,
    HubQuotaError,
    HubUnreachableError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    StudioError,
)
from heartmula_studio.store.views import HubRepo, Published, RepoKind

STYLE_TAGS = ("heartmula", "lora")
DATASET_TAG = "heartmula"
MAX_FOUND = 50
CONNECT_SEC = 5.0
MAX_CARD_CHARS = 50_000
CARD = "README.md"
STYLE_PATTERNS = ["*.safetensors", "*.json"]
LOGIN_HINT = "Log in on the studio's machine with `hf auth login`, or set HF_TOKEN, with a token that may write."

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_REVISION = re.compile(r"[\w./-]{1,100}")
_TOKEN = re.compile(r"hf_[A-Za-z0-9_]{4,}")


def find_repos(kind: RepoKind, words: str = "") -> list[HubRepo]:
    """Search the Hub for styles or datasets of this studio's kind, by tag. Raises HubError."""
    api = HfApi()
    with hub_errors("the search"):
        require_connection()
        if kind == "model":
            models = api.list_models(filter=list(STYLE_TAGS), search=words or None, limit=MAX_FOUND, full=True)
            return [_repo(model) for model in models]
        found = api.list_datasets(filter=DATASET_TAG, search=words or None, limit=MAX_FOUND, full=True)
        return [_repo(dataset) for dataset in found]


def require_connection() -> None:
    """Ask for anything once: the client's lists are asked for again for 23 s where there is no connection."""
    get_session().head(f"{constants.ENDPOINT}/robots.txt", timeout=CONNECT_SEC)


def look_at(kind: RepoKind, repo_id: str, revision: str | None = None) -> HubRepo:
    """A repository's card and files before anything is fetched. Raises HubError, NotFoundError, InvalidInputError."""
    require_repo_id(repo_id)
    with hub_errors(repo_id):
        info = HfApi().repo_info(repo_id, repo_type=kind, revision=checked_revision(revision))
        assert isinstance(info, ModelInfo | DatasetInfo), type(info)
        card = ""
        if any(file.rfilename == CARD for file in info.siblings or ()):
            path = hf_hub_download(repo_id, CARD, repo_type=kind, revision=info.sha)
            card = Path(path).read_text(encoding="utf-8", errors="replace")[:MAX_CARD_CHARS]
        return _repo(info, card)


def fetch_style(repo_id: str, revision: str | None) -> tuple[Path, str]:
    """Download a style into the Hub's cache; return its folder and the commit it was pinned to.

    What was fetched before is not fetched again, and an interrupted download goes on. Raises as `look_at`.
    """
    require_repo_id(repo_id)
    with hub_errors(repo_id):
        sha = HfApi().repo_info(repo_id, repo_type="model", revision=checked_revision(revision)).sha
        assert sha is not None
        return Path(snapshot_download(repo_id, repo_type="model", revision=sha, allow_patterns=STYLE_PATTERNS)), sha


def push_folder(kind: RepoKind, folder: Path, repo_id: str, private: bool, update: bool, message: str) -> Published:
    """Upload a folder as one commit: the repository has all of it, or nothing new.

    One that an upload before this one left empty is used. Raises ConflictError for a name that is taken, unless
    `update` adds to it; HubError, InvalidInputError.
    """
    require_repo_id(repo_id)
    api = HfApi()
    with hub_errors(repo_id):
        _make_repo(api, kind, repo_id, private, update)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder, repo_type=kind, commit_message=message)
        revision = commit.oid
    return Published(repo_id, revision, repo_url(kind, repo_id))


def repo_url(kind: RepoKind, repo_id: str) -> str:
    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"


def require_repo_id(repo_id: str) -> None:
    """Raises InvalidInputError for what names no repository."""
    if not _ID.fullmatch(repo_id) or ".." in repo_id or "--" in repo_id:
        raise InvalidInputError(
            f"{repo_id[:120]!r} is not the name of a repository on the Hub.",
            "Give it as user/name: letters, digits, - _ and dots.",
        )


def _make_repo(api: HfApi, kind: RepoKind, repo_id: str, private: bool, update: bool) -> None:
    try:
        api.create_repo(repo_id, repo_type=kind, private=private)
    except HfHubHTTPError as error:
        if _status(error) != 409 or not (update or _is_empty(api, kind, repo_id)):
            raise


def _is_empty(api: HfApi, kind: RepoKind, repo_id: str) -> bool:
    """Whether a repository holds nothing but what the Hub puts into a new one."""
    return set(api.list_repo_files(repo_id, repo_type=kind)) <= {".gitattributes"}


def checked_revision(revision: str | None) -> str | None:
    """Raises InvalidInputError for what is no revision; an empty one is the newest."""
    if revision and not _REVISION.fullmatch(revision):
        raise InvalidInputError(f"{revision[:100]!r} is not a revision.", "Give a commit's hash, a branch or a tag.")
    return revision or None


def _repo(info: ModelInfo | DatasetInfo, card: str = "") -> HubRepo:
    return HubRepo(
        id=info.id,
        revision=info.sha or "",
        tags=tuple(info.tags or ()),
        license=_text(getattr(info.card_data, "license", None)),
        base_model=_text(getattr(info.card_data, "base_model", None)),
        is_private=bool(info.private),
        is_gated=bool(info.gated),
        downloads=info.downloads or 0,
        files=tuple(file.rfilename for file in info.siblings or ()),
        card=card,
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Raise what the Hub's client raises as a StudioError: what is wrong with `what`, and what to do."""
    try:
        yield
    except StudioError:
        raise
    except Exception as error:
        raise explained(error, what) from error


def explained(error: Exception, what: str) -> StudioError:
    """The error of ours for one of the Hub's client, without any token in it."""
    said = _TOKEN.sub("hf_…", str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError | httpx2.TransportError):
        return HubUnreachableError(
            f"The Hub cannot be reached for {what}.", "Check the connection; HF_HUB_OFFLINE must not be set. Try again."
        )
    if isinstance(error, LocalTokenNotFoundError):
        return HubAccessError(f"The Hub requires a login for {what}.", LOGIN_HINT)
    if isinstance(error, GatedRepoError):
        return HubAccessError(
            f"{what} is gated: its owner grants access to each person.", f"Ask for it on the Hub's page. {LOGIN_HINT}"
        )
    if isinstance(error, RepositoryNotFoundError):
        return NotFoundError(
            f"There is no {what} on the Hub, or it is private.",
            f"Check how it is written. For a private one: {LOGIN_HINT}",
        )
    if isinstance(error, RevisionNotFoundError | EntryNotFoundError):
        return NotFoundError(f"{what} has no such revision or file.", "Give a commit, branch or tag that it has.")
    if isinstance(error, HFValidationError):
        return InvalidInputError(f"The Hub does not accept this name: {said}", "Give it as user/name.")
    if isinstance(error, HfHubHTTPError):
        return _refused(error, what, said)
    if isinstance(error, OSError):
        return StorageError(f"{what} could not be written or read: {said}", "Check the disk, then try again.")
    return HubError(f"The Hub's answer for {what} cannot be used: {said}", "Try again later.")


def _refused(error: HfHubHTTPError, what: str, said: str) -> StudioError:
    status, told = _status(error), (error.server_message or said)[:300]
    if re.search(r"storage|quota|limit reached", told, re.IGNORECASE):
        return HubQuotaError(f"The Hub has no room for {what}: {told}", "Make room there, or choose another account.")
    if status == 409:
        return ConflictError(f"{what} is taken already.", "Choose another name, or ask to update it if it is yours.")
    if status in (401, 403):
        return HubAccessError(f"The Hub does not allow this for {what}: {told}", LOGIN_HINT)
    if status == 413:
        return HubQuotaError(f"{what} is too large for the Hub: {told}", "Publish less at once.")
    return HubError(f"The Hub refused {what} ({status}): {told}", "Try again later.")


def _status(error: HfHubHTTPError) -> int:
    return int(error.response.status_code)

"""The programs that listen to tracks, each with the model that it is asked for with."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.library.analyses import AnalysisSettings, Analyzer, MakeAnalyzer
from heartmula_studio.services.library.listening_models import (
    FINDS_TAGS,
    SEPARATES_VOCALS,
    TRANSCRIBES,
    find_listening_model,
)
from heartmula_studio.services.library.tagging import TagAnalyzer
from heartmula_studio.services.library.tempo_and_key import TempoAndKeyAnalyzer
from heartmula_studio.services.library.transcription import LyricsAnalyzer
from heartmula_studio.store.task_views import AnalysisKind

if TYPE_CHECKING:
    from heartmula_studio.codec.tagger import Tagger
    from heartmula_studio.codec.transcriber import Transcriber
    from heartmula_studio.codec.vocals import VocalSeparator
    from heartmula_studio.generate.runtime import Runtime


def analyzer_makers(
    official_dir: Path, runtime: "Lazy[Runtime]", tags: Sequence[str]
) -> dict[AnalysisKind, MakeAnalyzer]:
    """Return what makes each kind. Models are looked for in `official_dir`, and computed on the runtime's device.

    tags: the model's own, of which some are proposed. The makers raise NotFoundError for a model that is not there, and
    InvalidInputError for a library that is not installed.
    """

    def make_lyrics(settings: AnalysisSettings) -> Analyzer:
        folder = find_listening_model(official_dir, TRANSCRIBES, settings.model, settings.is_local)
        separator = find_separator(official_dir, settings)
        return LyricsAnalyzer(
            folder.name,
            settings.language,
            lambda: _load_transcriber(folder, runtime),
            separator.name if separator else "",
            (lambda: _load_separator(separator, runtime)) if separator else None,
        )

    def make_tags(settings: AnalysisSettings) -> Analyzer:
        folder = find_listening_model(official_dir, FINDS_TAGS, settings.model, settings.is_local)
        return TagAnalyzer(folder.name, tags, lambda: _load_tagger(folder, runtime))

    return {"tempo_and_key": lambda _: TempoAndKeyAnalyzer(), "lyrics": make_lyrics, "tags": make_tags}


def find_separator(official_dir: Path, settings: AnalysisSettings) -> Path | None:
    """Find the model that separates the voice; None where nobody wants that, or nobody asked and it is not possible.

    Raises InvalidInputError where it is asked for and Demucs is not installed, NotFoundError where no model is here.
    """
    is_asked_for = settings.separate_vocals or (settings.separate_vocals is None and bool(settings.separator))
    is_installed = find_spec("demucs") is not None
    if settings.separate_vocals is False or not (is_installed or is_asked_for):
        return None
    if not is_installed:
        raise InvalidInputError(
            "Vocals cannot be separated: Demucs is not installed.",
            "Install it with: pip install 'heartmula-studio[vocals]'",
        )
    try:
        return find_listening_model(official_dir, SEPARATES_VOCALS, settings.separator, settings.is_local)
    except NotFoundError:
        if is_asked_for:
            raise
        return None


def _load_separator(folder: Path, runtime: "Lazy[Runtime]") -> "VocalSeparator":
    from heartmula_studio.codec.vocals import VocalSeparator

    return VocalSeparator(folder, runtime.get().device)


def _load_transcriber(folder: Path, runtime: "Lazy[Runtime]") -> "Transcriber":
    # Loaded only here: transformers' models take seconds.
    from heartmula_studio.codec.transcriber import Transcriber

    return Transcriber(folder, runtime.get().device)


def _load_tagger(folder: Path, runtime: "Lazy[Runtime]") -> "Tagger":
    from heartmula_studio.codec.tagger import Tagger

    return Tagger(folder, runtime.get().device)

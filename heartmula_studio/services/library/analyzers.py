"""The programs that listen to tracks, each with the model that it is asked for with."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.library.analyses import AnalysisSettings, Analyzer, MakeAnalyzer
from heartmula_studio.services.library.listening_models import FINDS_TAGS, TRANSCRIBES, find_listening_model
from heartmula_studio.services.library.tagging import TagAnalyzer
from heartmula_studio.services.library.tempo_and_key import TempoAndKeyAnalyzer
from heartmula_studio.services.library.transcription import LyricsAnalyzer
from heartmula_studio.store.views import AnalysisKind

if TYPE_CHECKING:
    from heartmula_studio.codec.tagger import Tagger
    from heartmula_studio.codec.transcriber import Transcriber
    from heartmula_studio.generate.runtime import Runtime


def analyzer_makers(
    official_dir: Path, runtime: "Lazy[Runtime]", tags: Sequence[str]
) -> dict[AnalysisKind, MakeAnalyzer]:
    """Return what makes each kind. Models are looked for in `official_dir`, and computed on the runtime's device.

    tags: the model's own, of which some are proposed. The makers raise NotFoundError for a model that is not there.
    """

    def make_lyrics(settings: AnalysisSettings) -> Analyzer:
        folder = find_listening_model(official_dir, TRANSCRIBES, settings.model, settings.is_local)
        return LyricsAnalyzer(folder.name, settings.language, lambda: _load_transcriber(folder, runtime))

    def make_tags(settings: AnalysisSettings) -> Analyzer:
        folder = find_listening_model(official_dir, FINDS_TAGS, settings.model, settings.is_local)
        return TagAnalyzer(folder.name, tags, lambda: _load_tagger(folder, runtime))

    return {"tempo_and_key": lambda _: TempoAndKeyAnalyzer(), "lyrics": make_lyrics, "tags": make_tags}


def _load_transcriber(folder: Path, runtime: "Lazy[Runtime]") -> "Transcriber":
    # Loaded only here: transformers' models take seconds.
    from heartmula_studio.codec.transcriber import Transcriber

    return Transcriber(folder, runtime.get().device)


def _load_tagger(folder: Path, runtime: "Lazy[Runtime]") -> "Tagger":
    from heartmula_studio.codec.tagger import Tagger

    return Tagger(folder, runtime.get().device)

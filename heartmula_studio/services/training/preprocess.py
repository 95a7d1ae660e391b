"""The first half of a job: its songs become the dataset that training reads."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder, find_base
from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import Progress, check_cancelled
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.tokenizing import (
    ENDS,
    TokenizingTask,
    add_versions,
    current_tokens,
    save_dataset,
    tokenize,
    without_versions,
)
from heartmula_studio.errors import AudioError, CancelledError, StorageError
from heartmula_studio.files.atomic import recover_folder
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.run_log import RunLog
from heartmula_studio.finetune.stop import StopRequest
from heartmula_studio.services.training.job_folder import JobFolder, JobTrack
from heartmula_studio.services.training.tokenizing_progress import TokenizingProgress

REPORT_SEC = 0.3


def make_dataset(folder: JobFolder, device: str, max_song_sec: float) -> None:
    """Tokenize the songs of songs.json that are not, and build dataset/.

    Raises AudioError naming the song that cannot be used, CancelledError when asked to stop, StorageError where the
    disk refuses, and the errors of config, base model and lyrics.
    """
    recover_folder(folder.dataset)
    if folder.dataset.is_dir() and folder.saved_step():  # it goes on with what it began with
        return
    config = TrainConfig.load(folder.config)
    base = find_base(folder.base(config.base_model))
    songs = folder.read_songs().songs
    try:
        with StopRequest(folder) as stop, acknowledged(stop):
            codec_id = Tokenizer(folder, base, device, max_song_sec, stop).run(songs, config.num_versions)
            save_dataset([source_of(song) for song in songs], codec_id, folder.dataset)
            check_cancelled(lambda: stop.is_requested)
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder.path} cannot be written or read: {error.strerror or error}.",
            "Make room on its disk and see that you may write there, then resume the job.",
        ) from error


class Tokenizer:
    """Works through the songs of one job. The codec is loaded when the first song needs it."""

    def __init__(self, folder: JobFolder, base: BaseFolder, device: str, max_song_sec: float, stop: StopRequest):
        self._folder, self._base, self._device, self._stop = folder, base, device, stop
        self._limits = AudioLimits(max_sec=max_song_sec)
        self._log = RunLog(folder, enabled=True)
        self._codec: Codec | None = None

    def run(self, songs: tuple[JobTrack, ...], num_versions: int) -> str:
        """Tokenize what is not, in `num_versions` versions where it is learnt from; return the id of the codec."""
        codec_id = stored_codebook_id(self._base.codec)
        found = {}
        for index, song in enumerate(songs, start=1):
            begun = TokenizingProgress(song.filename, index, len(songs))
            source = source_of(song)
            tokens = current_tokens(source, codec_id) or self._tokenize(source, begun)
            self._report(replace(begun, done=1, total=1, frames=tokens.codes.shape[1]))
            found[source.name] = begun, source, tokens
        for name in without_versions({name: tokens for name, (_, _, tokens) in found.items()}, num_versions):
            self._add_versions(*found[name], num_versions)
        return codec_id

    def _tokenize(self, source: TokenizingTask, begun: TokenizingProgress) -> Tokens:
        self._log.say(f"Listening to song {begun.song_index} of {begun.songs}: {begun.song}.")
        with self._named_errors(begun):
            return tokenize(source, self._loaded(), self._limits, self._progress(begun), self._is_cancelled)

    def _add_versions(
        self, begun: TokenizingProgress, source: TokenizingTask, tokens: Tokens, num_versions: int
    ) -> None:
        self._log.say(f"Listening at other speeds to song {begun.song_index} of {begun.songs}: {begun.song}.")
        begun = replace(begun, frames=tokens.codes.shape[1])
        with self._named_errors(begun):
            add_versions(source, tokens, num_versions, self._loaded(), self._progress(begun), self._is_cancelled)

    def _loaded(self) -> Codec:
        self._codec = self._codec or Codec.load(self._base, self._device)
        return self._codec

    def _is_cancelled(self) -> bool:
        return self._stop.is_requested

    @contextmanager
    def _named_errors(self, begun: TokenizingProgress) -> Iterator[None]:
        """Report what is wrong with a song, and raise it with the song's name."""
        try:
            yield
        except AudioError as error:
            self._report(replace(begun, error=error.message))
            raise named(error, begun.song) from error

    def _progress(self, begun: TokenizingProgress) -> Progress:
        reported = 0.0

        def report(done: int, total: int) -> None:
            nonlocal reported
            if time.monotonic() - reported >= REPORT_SEC:
                reported = time.monotonic()
                self._report(replace(begun, done=done, total=total))

        return report

    def _report(self, progress: TokenizingProgress) -> None:
        progress.append_to(self._folder.preprocess)


@contextmanager
def acknowledged(stop: StopRequest) -> Iterator[None]:
    """Remove the request to stop once it is obeyed, so that the job can be resumed."""
    try:
        yield
    except CancelledError:
        stop.acknowledge()
        raise


def source_of(song: JobTrack) -> TokenizingTask:
    audio, tokens, tags = Path(song.audio), Path(song.tokens), ",".join(song.tags)
    return TokenizingTask(audio, tokens, song.sha256, song.lyrics, tags, ENDS[song.ending])


def named(error: AudioError, filename: str) -> AudioError:
    """Return the same error with the song's name, and what can be done about it here."""
    message = error.message if filename in error.message else f"{filename}: {error.message}"
    hint = f"{error.hint} Remove it from the dataset or replace it, then resume the job."
    return type(error)(message, hint.strip())

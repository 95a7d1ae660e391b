"""The engine: one base model in memory, at most one trained style on it, songs out.

It knows folders and requests; not the store, jobs or pages. One song or one change of style at a time: whoever comes
second waits until the first is done, so that no song is ever made half in one style.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder, find_base, load_heartmula
from heartmula_studio.arch.device import pick_device, precision_of
from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.pairing import require_codec_of_model
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled
from heartmula_studio.dataset.prompt import Prompt, PromptLayout
from heartmula_studio.device_name import AUTO
from heartmula_studio.generate.adaptable_model import AdaptableModel
from heartmula_studio.generate.base_sampling import BaseSampling
from heartmula_studio.generate.cores import each_done, num_cores, read_ahead
from heartmula_studio.generate.decode_settings import DecodeSettings
from heartmula_studio.generate.decoding.generator import CodeGenerator
from heartmula_studio.generate.decoding.sampling import AudioVocabulary
from heartmula_studio.generate.kept_codes import NOTHING_KEPT, KeptCodes
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.generate.offload import ModelOffloader, needs_offloading
from heartmula_studio.generate.receipt import Receipt, StyleRecord, package_versions, utc_now
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.song_writer import GeneratedSong, Listener, SongWriter
from heartmula_studio.generate.sounding import decode_pieces, guidance_of, windows_of
from heartmula_studio.generate.strength import Strength, as_strength
from heartmula_studio.generate.style import ActiveStyle, provenance_sha256, read_origin
from heartmula_studio.generate.takes import SideBySide, SongOutput, write_take
from heartmula_studio.settings import BUNDLED_BASE

LOCK_POLL_SEC = 0.2
DECODING = DecodeSettings()


class Engine:
    """A base model that makes songs, in the active styles if there are any. Any thread may call any method."""

    def __init__(self, base: BaseFolder, model: HeartMuLa, codec: Codec, offloads: bool = False):
        """offloads: the codec stays on the CPU while the language model is in use, and the other way round."""
        self.base = base
        self.model = model
        self.codec = codec
        self.device = model.device
        self._layout = PromptLayout.load(base, model.config.audio_num_codebooks)
        self._sampling = BaseSampling.read(base.gen_config)
        require_codec_of_model(model.config, codec.heartcodec.config, self._layout.special.audio_eos_id)
        ids = AudioVocabulary(codec.heartcodec.config.codebook_size, self._layout.special.audio_eos_id)
        self._generator = CodeGenerator(model, ids)
        self._offloader = ModelOffloader(model, codec.heartcodec, offloads, self._generator.release)
        self._adaptable = AdaptableModel(model, base)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, base: str | Path = BUNDLED_BASE, device: str = AUTO, dtype: torch.dtype | None = None) -> "Engine":
        """Load a base, the bundled one or a folder in heartlib's layout, and its codec.

        `device` as `pick_device`; `dtype` None is what suits the device, as `precision_of`. The codec is always
        float32, and without its encoder: songs are only ever turned into sound here.
        Raises CheckpointError, InvalidInputError and OutOfMemoryError.
        """
        place = pick_device(device)
        dtype = dtype or precision_of(place).songs
        folder = find_base(base)
        with memory_explained():
            model = load_heartmula(folder.model, place, dtype).requires_grad_(False)
            offloads = needs_offloading(model, folder.codec, place)
            codec = Codec.load(replace(folder, encoder=None), "cpu" if offloads else place)
            return cls(folder, model, codec, offloads)

    @property
    def active(self) -> ActiveStyle | None:
        """The active style, the first one of a mix."""
        return next(iter(self._adaptable.active), None)

    @property
    def active_styles(self) -> tuple[ActiveStyle, ...]:
        return self._adaptable.active

    def activate(self, folder: str | Path, strength: Strength | float = 1.0) -> ActiveStyle:
        """Put a trained style on the base, in place of any other; wait for a song that is being made.

        `folder` holds a LoRA adapter in PEFT's format, or a full checkpoint (whose strength can only be 1).
        Raises CheckpointError, InvalidInputError and OutOfMemoryError. The engine is then as it was or, where the
        previous style cannot be read again (its folder is gone, say), without a style; the error says so.
        """
        return self.activate_mix([(folder, strength)])[0]

    def activate_mix(self, styles: Sequence[tuple[str | Path, Strength | float]]) -> tuple[ActiveStyle, ...]:
        """Put several LoRA styles on the base, each with its strength, whose changes of the weights add up.

        Raises as `activate`, and InvalidInputError for a full checkpoint among several.
        """
        wanted = [self._adaptable.identify(Path(folder), as_strength(strength)) for folder, strength in styles]
        with self._exclusive():
            return self._adaptable.put_on(wanted)

    def deactivate(self) -> None:
        """Give the base back, bit for bit; wait for a song that is being made.

        No style is active afterwards in any case. Raises CheckpointError where a full checkpoint was and the base
        cannot be read again; whatever needs the base next tries again first, and raises the same.
        """
        with self._exclusive():
            self._adaptable.take_off()

    def set_strength(self, strength: Strength | float) -> ActiveStyle:
        """Change how strong the active LoRA style is, from 0 (the base) to 2; wait for a song that is being made.

        Raises InvalidInputError without an active style, or for a strength it cannot have; CheckpointCorruptError where
        the model cannot go on at that strength. It is then as it was.
        """
        return self.set_strengths([strength])[0]

    def set_strengths(self, strengths: Sequence[Strength | float]) -> tuple[ActiveStyle, ...]:
        """Change how strong the active styles are, in the order they were given. Raises as `set_strength`."""
        with self._exclusive():
            return self._adaptable.set_strengths([as_strength(strength) for strength in strengths])

    def generate(
        self, request: SongRequest, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> Tensor:
        """Generate the song's codes [K, T]; wait for one that is being made. Raises as `generate_together`."""
        [codes] = self.generate_together([request], progress, cancelled)
        return codes

    def generate_together(
        self, requests: Sequence[SongRequest], progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> list[Tensor]:
        """Generate several songs side by side; return each one's codes [K, T].

        A GPU takes hardly longer than for one.
        Raises as `CodeGenerator.make`, OutOfMemoryError, and CheckpointError as `deactivate`.
        """
        with self._exclusive(cancelled):
            return self._generate(self._filled_in(requests), progress, cancelled)

    def decode(
        self, codes: Tensor, seed: int, cancelled: Cancelled | None = None, num_steps: int = DECODING.decode_steps
    ) -> Iterator[Tensor]:
        """Turn codes [K, T] into finished stretches of sound [2, n] in order. Raises as `Codec.decode`."""
        self.codec.check_codes(codes)
        with self._exclusive(cancelled):
            settings = DecodeSettings(decode_steps=num_steps, decode_windows="whole")
            yield from self._decode([codes], seed, None, cancelled, settings)

    @contextmanager
    def codec_in_use(self, cancelled: Cancelled | None = None) -> Iterator[Codec]:
        """Yield the codec, on the device; wait for a song that is being made."""
        with self._exclusive(cancelled), self._offloader.codec_on_device():
            yield self.codec

    def make_song(
        self,
        request: SongRequest,
        out_path: str | Path,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        decode_progress: Progress | None = None,
        decoding: DecodeSettings = DECODING,
        listener: Listener | None = None,
    ) -> GeneratedSong:
        """Write the song (WAV, FLAC or MP3, by suffix), and beside it its receipt and its codes.

        Those of `song.mp3` are `song.mp3.json`, which is in the file's tags, too, and `song.mp3.codes.safetensors`.
        Codes become sound as they come: `listener` hears each stretch [2, n] as soon as it is there, unless language
        model and codec take turns on the device. `progress` counts frames as in `generate`, `decode_progress` the
        windows that are done and those that the frames so far fill.
        Raises as `generate`, and InvalidInputError for another suffix; no file is left behind then.
        """
        output = SongOutput(Path(out_path), lambda: nullcontext(listener))
        [song] = self.make_takes([request], [output], progress, cancelled, decode_progress, decoding)
        assert song is not None, "it cannot be cancelled by itself"
        return song

    def make_takes(
        self,
        requests: Sequence[SongRequest],
        outputs: Sequence[SongOutput | None],
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        decode_progress: Progress | None = None,
        decoding: DecodeSettings = DECODING,
        finished: Callable[[int, GeneratedSong], None] | None = None,
        kept: KeptCodes = NOTHING_KEPT,
    ) -> list[GeneratedSong | None]:
        """Make several songs side by side and write them, each as `make_song` does; None for what is not written.

        One without an output is made for the others' sake: what is made side by side is the same bit for bit only with
        the same songs beside it. The first one is heard while all are made; on a CPU, as many as it has cores are.
        `finished` is told of each, by its number.
        All go on from what is `kept` of another song, and end as it does; these codes stay as they are, bit for bit.
        Raises as `make_song`, and as `require_alike` and `require_longer`.
        """
        kept.require_codec(self.codec)
        writers = [
            SongWriter(output.path, self.codec.sample_rate_hz, request.loudness_lufs) if output else None
            for output, request in zip(outputs, requests, strict=True)
        ]
        songs: list[GeneratedSong | None] = [None] * len(requests)
        wanted = [number for number, writer in enumerate(writers) if writer]
        with self._exclusive(cancelled):
            requests = self._filled_in(requests)
            with self._takes(requests, progress, cancelled, kept) as takes:
                targets = list(zip(outputs, writers, strict=True))
                write = partial(self._write, takes, requests, targets, decoding, decode_progress, kept)
                for number, song in each_done(write, wanted, num_cores(self.device), cancelled):
                    songs[number] = song
                    if song and finished:
                        finished(number, song)
        return songs

    @contextmanager
    def _takes(
        self,
        requests: Sequence[SongRequest],
        progress: Progress | None,
        cancelled: Cancelled | None,
        kept: KeptCodes,
    ) -> Iterator[SideBySide]:
        """Yield the codes of songs, which are made as they are read; on several cores, ahead of that."""
        prompts, version = self._prompts(requests), self._adaptable.version
        asked = [kept.until_suffix(request) for request in requests]
        composed = self._generator.frames(prompts, asked, progress, cancelled, version, kept.prefix_codes)
        frames = chain(composed, kept.suffix_frames(len(requests)))
        with read_ahead(frames, num_cores(self.device)) as frames_ahead:
            takes = SideBySide(frames_ahead, len(requests))
            if self._offloader.offloads:
                takes.read_all()  # the language model leaves the device
            yield takes

    def _write(
        self,
        takes: SideBySide,
        requests: Sequence[SongRequest],
        targets: Sequence[tuple[SongOutput | None, SongWriter | None]],
        decoding: DecodeSettings,
        progress: Progress | None,
        kept: KeptCodes,
        number: int,
        cancelled: Cancelled | None,
    ) -> GeneratedSong | None:
        """Turn one of several songs into sound and write it. As `write_take`."""
        output, writer = targets[number]
        assert output is not None, "this one is not written"
        assert writer is not None
        sound = self._decode(takes.pieces(number), requests[number].seed, progress, cancelled, decoding)
        made = partial(self._made, takes, requests, number, decoding, kept)
        return write_take(writer, output, sound, made, cancelled)

    @contextmanager
    def _exclusive(self, cancelled: Cancelled | None = None) -> Iterator[None]:
        """Hold the lock; a request can be cancelled while it waits for it."""
        while not self._lock.acquire(timeout=LOCK_POLL_SEC):
            check_cancelled(cancelled)
        try:
            with memory_explained():
                yield
        finally:
            self._lock.release()

    def _filled_in(self, requests: Sequence[SongRequest]) -> list[SongRequest]:
        in_style = any(part > 0 for active in self._adaptable.active for part in active.strengths.parts)
        return [self._sampling.fill_in(request, in_style) for request in requests]

    def _generate(
        self, requests: Sequence[SongRequest], progress: Progress | None, cancelled: Cancelled | None
    ) -> list[Tensor]:
        prompts, version = self._prompts(requests), self._adaptable.version
        return self._generator.generate(prompts, requests, progress, cancelled, version)

    def _prompts(self, requests: Sequence[SongRequest]) -> list[Prompt]:
        self._adaptable.require_base()
        words = [active.style.trigger_word for active in self._adaptable.active]
        layout = self._layout.with_trigger_words(*words)
        return [layout.build(request.tags, request.lyrics) for request in requests]

    def _decode(
        self,
        pieces: Iterable[Tensor],
        seed: int,
        progress: Progress | None,
        cancelled: Cancelled | None,
        settings: DecodeSettings,
    ) -> Iterator[Tensor]:
        with self._offloader.codec_on_device():
            yield from decode_pieces(self.codec, pieces, settings, seed, progress, cancelled)

    def _made(
        self,
        takes: SideBySide,
        requests: Sequence[SongRequest],
        number: int,
        decoding: DecodeSettings,
        kept: KeptCodes,
    ) -> tuple[SongCodes, Receipt]:
        """Return codes and receipt of one of several songs, once all of it is made."""
        codes = SongCodes.of(takes.codes(number), self.codec.codec_id, requests[number].seed)
        return codes, kept.noted(self._receipt(requests, number, codes.codes.shape[1], decoding))

    def _receipt(
        self, requests: Sequence[SongRequest], number: int, num_frames: int, decoding: DecodeSettings
    ) -> Receipt:
        styles = tuple(_style_record(active) for active in self._adaptable.active)
        return Receipt(
            base=self.base.name,
            base_fingerprint=self._adaptable.base_fingerprint,
            style=styles[0] if styles else None,
            styles=styles,
            request=requests[number],
            takes=takes_beside(requests),
            num_beside=0 if takes_beside(requests) else len(requests) - 1,
            ended=num_frames < requests[number].max_frames,
            frames=num_frames,
            duration_sec=num_frames / FRAME_RATE_HZ,
            sample_rate_hz=self.codec.sample_rate_hz,
            codec_id=self.codec.codec_id,
            decode_steps=decoding.decode_steps,
            decode_guidance=guidance_of(decoding, self.codec),
            decode_seed=decoding.decode_seed,
            decode_windows=windows_of(decoding, self.codec),
            device=self.device.type,
            dtype=str(self.model.dtype).removeprefix("torch."),
            versions=package_versions(),
            created_at=utc_now(),
        )


def takes_beside(requests: Sequence[SongRequest]) -> tuple[int, ...]:
    """Return the seeds of several takes of one song; nothing for one alone, or songs that differ in more than that."""
    seeds = tuple(request.seed for request in requests)
    is_one_song = all(replace(request, seed=seeds[0]) == requests[0] for request in requests)
    return seeds if is_one_song and len(requests) > 1 else ()


def _style_record(active: ActiveStyle) -> StyleRecord:
    style, strengths = active.style, active.strengths
    return StyleRecord(
        style.id,
        style.method,
        style.sha256,
        strengths.overall,
        active.layers_changed,
        provenance_sha256(style.folder.path),
        read_origin(style.folder.path),
        attention_strength=strengths.attention,
        mlp_strength=strengths.mlp,
        trigger_word=style.trigger_word,
        name=style.name,
    )

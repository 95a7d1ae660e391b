"""The engine: one base model in memory, at most one trained style on it, songs out.

It knows folders and requests; not the store, jobs or pages. One song or one change of style at a time: whoever comes
second waits until the first is done, so that no song is ever made half in one style.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.atomic import replaced_file
from heartmula_studio.arch.checkpoints import CODEC_REPO, BaseFolder, find_base, load_heartmula, read_config
from heartmula_studio.arch.fingerprint import fingerprint
from heartmula_studio.arch.heartcodec import FRAME_RATE_HZ, HeartCodecConfig
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.full_weights import FullWeights
from heartmula_studio.generate.receipt import Receipt, StyleRecord, package_versions, utc_now
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.song import AudioIds, generate_codes
from heartmula_studio.generate.style import ActiveStyle, BaseModel, StyleFolder, check_strength, check_style

LOCK_POLL_SEC = 0.2
MADE_WITH = "Made with HeartMuLa Training Studio"
RECEIPT_TAG = "heartmula_receipt"


@dataclass(frozen=True)
class Song:
    """A finished song: the audio file and how it was made."""

    path: Path
    receipt: Receipt


class Engine:
    """A base model that makes songs, in the active style if there is one. Any thread may call any method."""

    def __init__(self, base: BaseFolder, model: HeartMuLa):
        self.base = base
        self.model = model
        self._layout = PromptLayout.load(base, model.config.audio_num_codebooks)
        codec_config = HeartCodecConfig.from_dict(read_config(base.codec, CODEC_REPO))
        self._sample_rate_hz = codec_config.sample_rate
        self._ids = AudioIds(codec_config.flow.codebook_size, self._layout.special.audio_eos_id)
        shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        self._base_model = BaseModel(model.config, shapes, fingerprint(base.model))
        self._codec: Codec | None = None
        self._weights: Adapter | FullWeights | None = None
        self._active: ActiveStyle | None = None
        self._lock = threading.Lock()

    @classmethod
    def load(cls, base: str | Path = "nano", device: str = "auto", dtype: torch.dtype | None = None) -> "Engine":
        """Loads a base: `nano`, or a folder in heartlib's layout.

        `device` "auto" takes an NVIDIA GPU where there is one; `dtype` None is bfloat16 there and float32 elsewhere.
        The codec, always float32, is loaded with the first song.
        Raises `CheckpointError` subclasses and `InvalidInputError`.
        """
        place = pick_device(device)
        dtype = dtype or (torch.bfloat16 if place.type == "cuda" else torch.float32)
        folder = find_base(base)
        return cls(folder, load_heartmula(folder.model, place, dtype).requires_grad_(False))

    @property
    def active(self) -> ActiveStyle | None:
        return self._active

    @property
    def device(self) -> torch.device:
        return self.model.audio_head.device

    def activate(self, folder: str | Path, strength: float = 1.0) -> ActiveStyle:
        """Puts a trained style on the base, in place of any other; waits for a song that is being made.

        `folder` holds a LoRA adapter in PEFT's format, or a full checkpoint (whose strength can only be 1).
        Raises `CheckpointError` subclasses and `InvalidInputError`; the engine is then as it was.
        """
        style = check_style(Path(folder), self._base_model)
        check_strength(strength, style.method)
        with self._lock:
            previous = self._active
            self._take_off()
            try:
                return self._put_on(style, strength)
            except BaseException:
                if previous:
                    self._put_on(previous.style, previous.strength)
                raise

    def deactivate(self) -> None:
        """Gives the base back, bit for bit; waits for a song that is being made."""
        with self._lock:
            self._take_off()

    def set_strength(self, strength: float) -> ActiveStyle:
        """Changes how strong the active LoRA style is, from 0 (the base) to 2; waits for a song that is being made.

        Raises `InvalidInputError` without an active style, or for a strength it cannot have.
        """
        with self._lock:
            if self._active is None:
                raise InvalidInputError("No style is active.", "Activate one first.")
            check_strength(strength, self._active.style.method)
            return self._scale(self._active.style, strength)

    def generate(
        self, request: SongRequest, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> Tensor:
        """The song's codes [K, T], as `song.generate_codes`; waits for one that is being made."""
        with self._turn(cancelled):
            return self._generate(request, progress, cancelled)

    def make_song(
        self,
        request: SongRequest,
        out_path: str | Path,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        decode_progress: Progress | None = None,
    ) -> Song:
        """Writes the song (WAV, FLAC or MP3, by suffix), its receipt in the file's tags and as JSON beside it.

        `progress` counts frames as in `generate`, `decode_progress` the stretches then turned into sound.
        Raises as `generate`, and `InvalidInputError` for another suffix; no file is left behind then.
        """
        out_path = Path(out_path)
        # Made before the song, so that a wrong suffix is refused before minutes are spent.
        audio_file = AudioWriter(out_path, self._sample_rate_hz)
        with self._turn(cancelled):
            codes = self._generate(request, progress, cancelled)
            receipt = self._receipt(request, codes.shape[1])
            audio_file.tags = {"comment": MADE_WITH, RECEIPT_TAG: receipt.to_json()}
            # Left in reverse order: the audio appears first, so that a receipt never stands alone.
            with replaced_file(out_path.with_suffix(".json")) as receipt_file, audio_file:
                receipt_file.write_text(receipt.to_json() + "\n", encoding="utf-8")
                for stretch in self._load_codec().decode(codes, request.seed, decode_progress, cancelled):
                    audio_file.write(stretch)
        return Song(out_path, receipt)

    @contextmanager
    def _turn(self, cancelled: Cancelled | None) -> Iterator[None]:
        """Holds the lock; a request can be cancelled while it waits for it."""
        while not self._lock.acquire(timeout=LOCK_POLL_SEC):
            check_cancelled(cancelled)
        try:
            yield
        finally:
            self._lock.release()

    def _generate(self, request: SongRequest, progress: Progress | None, cancelled: Cancelled | None) -> Tensor:
        prompt = self._layout.build(request.tags, request.lyrics)
        return generate_codes(self.model, prompt, self._ids, request, progress, cancelled)

    def _put_on(self, style: StyleFolder, strength: float) -> ActiveStyle:
        if style.method == "lora":
            self._weights = Adapter(self.model, style.path)
        else:
            self._weights = FullWeights(self.model, style.path, self.base.model)
        return self._scale(style, strength)

    def _scale(self, style: StyleFolder, strength: float) -> ActiveStyle:
        self._weights.set_strength(strength)
        self._active = ActiveStyle(style, strength, self._weights.layers_changed if strength else 0)
        return self._active

    def _take_off(self) -> None:
        if self._weights:
            self._weights.detach()
        self._weights = self._active = None

    def _load_codec(self) -> Codec:
        if self._codec is None:
            # Without the encoder: songs are only ever turned into sound here.
            self._codec = Codec.load(replace(self.base, encoder=None), self.device)
        return self._codec

    def _receipt(self, request: SongRequest, num_frames: int) -> Receipt:
        active = self._active
        return Receipt(
            base=self.base.name,
            base_fingerprint=self._base_model.fingerprint,
            style=active
            and StyleRecord(
                active.style.id, active.style.method, active.style.sha256, active.strength, active.layers_changed
            ),
            request=request,
            frames=num_frames,
            duration_sec=num_frames / FRAME_RATE_HZ,
            sample_rate_hz=self._sample_rate_hz,
            device=self.device.type,
            dtype=str(self.model.audio_head.dtype).removeprefix("torch."),
            versions=package_versions(),
            created_at=utc_now(),
        )


def pick_device(name: str) -> torch.device:
    """The device for a name; "auto" is an NVIDIA GPU where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(f"The device {name!r} cannot be used here: {error}", 'Use "auto" or "cpu".') from error
    return torch.device(name)

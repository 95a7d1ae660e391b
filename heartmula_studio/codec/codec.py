"""Audio file → tokens → waveform, window by window: memory does not grow with the song."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder, download_hint, encoder_target, load_codec_network
from heartmula_studio.arch.codec_network import CodecNetwork, FlowSteps, Noise
from heartmula_studio.arch.frames import FRAME_RATE_HZ, LATENTS_PER_FRAME, frames_of
from heartmula_studio.arch.official import ENCODER_FOLDER, ENCODER_REPO
from heartmula_studio.arch.window_encoder import WindowEncoder
from heartmula_studio.codec.audio_file import AudioLimits, AudioSource
from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled, full_precision, stoppable
from heartmula_studio.codec.ending import EndingMeter
from heartmula_studio.codec.identity import codebook_id
from heartmula_studio.codec.joining import CodeWindow, FrameBuffer, code_windows, crossfade, cut, num_windows
from heartmula_studio.codec.resample import regroup, without_first
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.codec.track_version import TrackVersion, VersionCodes
from heartmula_studio.errors import CheckpointMissingError, InvalidInputError
from heartmula_studio.files.hashing import file_sha256

VERSION_STEP_HZ = 300
"""What usual sampling rates have in common: resampling between rates that share less takes several times as long."""


class Codec:
    """A loaded HeartCodec, the name of its codebook, and where its encoder belongs, should there be none."""

    def __init__(self, heartcodec: CodecNetwork, codec_id: str, encoder_folder: Path = Path(ENCODER_FOLDER)):
        self.heartcodec = heartcodec
        self.codec_id = codec_id
        self.encoder_folder = encoder_folder

    @classmethod
    def load(cls, base: BaseFolder, device: str | torch.device = "cpu") -> "Codec":
        """Raises the CheckpointErrors of `load_codec_network`. Without an encoder folder the codec only decodes."""
        heartcodec = load_codec_network(base.codec, base.encoder, device)
        codec_id = codebook_id(heartcodec.quantiser)
        return cls(heartcodec, codec_id, base.encoder or encoder_target(base.codec))

    @property
    def sample_rate_hz(self) -> int:
        return self.heartcodec.config.sample_rate

    @property
    def guidance(self) -> float:
        """The guidance of flow matching that suits it."""
        return self.heartcodec.config.guidance

    @property
    def device(self) -> torch.device:
        return next(self.heartcodec.parameters()).device

    @property
    def is_heard_soon(self) -> bool:
        """Whether a song may begin with short windows (see `window_lengths`), which are soon sound."""
        return self.heartcodec.config.is_heard_soon

    def encode_file(
        self,
        path: str | Path,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        limits: AudioLimits | None = None,
    ) -> Tokens:
        """Check a song and turn it into tokens.

        Raises AudioError (see `probe`), CancelledError, or CheckpointMissingError where there is no encoder.
        """
        encoder = self._require_encoder()
        source = AudioSource.find(path)
        info = source.probe(limits)
        ending = EndingMeter(encoder.sample_rate_hz)
        blocks = ending.metered(source.read_blocks(encoder.sample_rate_hz, encoder.window_samples))
        total = math.ceil(info.duration_sec * encoder.sample_rate_hz / encoder.window_samples)
        codes = self._encode_blocks(blocks, total, progress, cancelled)
        sha256 = file_sha256(info.path)
        return Tokens(codes, FRAME_RATE_HZ, self.codec_id, sha256, info.duration_sec, ending.has_ended)

    def encode_version(
        self, path: str | Path, version: TrackVersion, cancelled: Cancelled | None = None
    ) -> VersionCodes:
        """Encode a song that `encode_file` has checked in another version, at a speed near that which is asked for.

        Raises as `encode_file`.
        """
        encoder = self._require_encoder()
        rate_hz = VERSION_STEP_HZ * round(encoder.sample_rate_hz / version.speed / VERSION_STEP_HZ)
        blocks = AudioSource.find(path).read_blocks(rate_hz, encoder.window_samples)
        later = regroup(without_first(blocks, round(version.offset_sec * rate_hz)), encoder.window_samples)
        codes = self._encode_blocks(later, 0, None, cancelled)
        return VersionCodes(TrackVersion(encoder.sample_rate_hz / rate_hz, version.offset_sec), codes)

    def _require_encoder(self) -> WindowEncoder:
        if self.heartcodec.encoder is None:
            raise CheckpointMissingError(
                "This codec has no encoder: it turns tokens into sound, but not sound into tokens.",
                download_hint(ENCODER_REPO, self.encoder_folder),
            )
        return self.heartcodec.encoder

    def _encode_blocks(
        self, blocks: Iterable[Tensor], total: int, progress: Progress | None, cancelled: Cancelled | None
    ) -> Tensor:
        """Blocks [2, window_samples], the last one shorter, → codes, int16 [K, T]."""
        encoder = self._require_encoder()
        codes, samples = [], 0
        for waveform in blocks:
            codes.append(self._encode_window(waveform, encoder.window_samples, cancelled))
            samples += waveform.shape[1]
            if progress is not None:
                progress(len(codes), max(total, len(codes)))
        return torch.cat(codes, dim=1)[:, : frames_of(samples / encoder.sample_rate_hz)].contiguous()

    @torch.no_grad()
    def _encode_window(self, waveform: Tensor, window_samples: int, cancelled: Cancelled | None) -> Tensor:
        """[2, up to window_samples] → codes, int16 [K, frames of a whole window]; zeros fill the window."""
        check_cancelled(cancelled)
        missing = window_samples - waveform.shape[1]
        window = torch.nn.functional.pad(waveform, (0, missing))[None].to(self.device)
        with full_precision(), stoppable(self.heartcodec, cancelled):
            codes = self.heartcodec.quantize(self.heartcodec.encode_window(window))
        return codes[0].to("cpu", torch.int16)

    def decode(
        self,
        codes: Tensor,
        seed: int = 0,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        num_steps: int = 10,
        guidance: float | None = None,
        noise: Noise | None = None,
    ) -> Iterator[Tensor]:
        """Codes [K, T] → finished stretches of waveform [2, n] in order, on the CPU, T · 80 ms in all.

        A `guidance` of None is the codec's own; `noise` replaces the normal noise drawn from `seed`.
        Raises InvalidInputError for codes of another codec and, while iterating, CancelledError.
        """
        self.check_codes(codes)
        steps = FlowSteps(num_steps, self.guidance if guidance is None else guidance, noise or seeded_noise(seed))
        return self.decode_frames([codes], steps, progress, cancelled)

    def decode_frames(
        self,
        pieces: Iterable[Tensor],
        steps: FlowSteps,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        is_growing: bool = False,
    ) -> Iterator[Tensor]:
        """As `decode`, of codes [K, n] that come piece by piece: none is asked for before it is needed.

        However they are cut, the samples are the same. `is_growing` as `window_lengths`. `progress` counts the windows
        that the frames so far fill.
        """
        frames, samples_per_frame = FrameBuffer(pieces), self.heartcodec.config.samples_per_frame
        windows = self._decode_windows(frames, steps, progress, cancelled, is_growing)
        return cut(crossfade(windows), lambda: frames.num_frames * samples_per_frame)

    def check_codes(self, codes: Tensor) -> None:
        """Raise InvalidInputError unless codes [K, T] are of this codec."""
        config = self.heartcodec.config
        assert codes.ndim == 2, codes.shape
        if codes.shape[0] != config.num_quantizers or codes.shape[1] == 0:
            raise InvalidInputError(
                f"These tokens have {codes.shape[0]} codebooks and {codes.shape[1]} frames.",
                f"This codec needs {config.num_quantizers} codebooks and at least one frame.",
            )
        low, high = codes.min().item(), codes.max().item()
        if low < 0 or high >= config.codebook_size:
            raise InvalidInputError(
                f"These tokens reach from {low} to {high}.",
                f"This codec knows 0 to {config.codebook_size - 1}: they belong to another codec, or are damaged.",
            )

    def _decode_windows(
        self,
        frames: FrameBuffer,
        steps: FlowSteps,
        progress: Progress | None,
        cancelled: Cancelled | None,
        is_growing: bool,
    ) -> Iterator[tuple[Tensor, int]]:
        """Yield each window's waveform [2, n], and how many samples the next one overlaps it, whose latents go on."""
        past = None
        for done, window in enumerate(code_windows(frames, is_growing), start=1):
            waveform, latents = self._decode_window(window, steps, past, cancelled)
            past = latents[:, -window.overlap_frames * LATENTS_PER_FRAME :]
            if progress is not None:
                progress(done, num_windows(frames.num_frames, is_growing))
            yield waveform, window.overlap_frames * self.heartcodec.config.samples_per_frame

    @torch.no_grad()
    def _decode_window(
        self, window: CodeWindow, steps: FlowSteps, past: Tensor | None, cancelled: Cancelled | None
    ) -> tuple[Tensor, Tensor]:
        """Waveform [2, samples] on the CPU, and latents [1, 2n, C] on the device. `past` as `decode_window`."""
        check_cancelled(cancelled)
        codes = window.codes.long()[None].to(self.device)
        with full_precision(), stoppable(self.heartcodec, cancelled):
            waveform, latents = self.heartcodec.decode_window(codes, window.start, past, steps)
            return waveform[0].cpu(), latents


def seeded_noise(seed: int) -> Noise:
    """Normal noise drawn on the CPU, so that a seed gives the same song on any device."""
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.randn(shape, generator=generator)

"""Lyrics by listening: Whisper, or HeartTranscriptor, which is one, through `transformers`, window by window.

Windows are decoded one after the other, so that memory does not grow with the song. A song without a voice gives none.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from heartmula_studio.codec.audio_file import read_blocks
from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled, stoppable
from heartmula_studio.codec.pretrained import loading_explained
from heartmula_studio.codec.whisper_segments import TokenTimes, segments_of, words_of
from heartmula_studio.errors import CheckpointMismatchError, InvalidInputError
from heartmula_studio.lyrics.transcript import TimedWord

TEMPERATURES = (0.0, 0.1, 0.2, 0.4)
COMPRESSION_RATIO, MIN_LOG_PROBABILITY, MAX_NO_SPEECH = 1.8, -1.0, 0.4
"""As HeartTranscriptor is made for: above the first, or below the second, the next temperature is tried."""

LANGUAGE_WINDOWS = 4  # that are listened to for the language
READ_SAMPLES = 2**18

ReadBlocks = Callable[[Path, int, int], Iterator[Tensor]]
"""Reads a recording as `audio_file.read_blocks` does: all of it, or its voice alone."""


@dataclass(frozen=True)
class Transcript:
    """Segments of words, in the order in which they are sung. `language` is ISO 639-1, "" for a model of one alone."""

    language: str
    segments: tuple[tuple[TimedWord, ...], ...]

    @property
    def words(self) -> list[TimedWord]:
        return [word for segment in self.segments for word in segment]


class Transcriber:
    """A model in memory. One thread at a time."""

    def __init__(self, folder: Path, device: torch.device):
        """Load a folder as `transformers` saves it.

        Raises CheckpointCorruptError where that is not possible, CheckpointMismatchError for a model without times.
        """
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        with loading_explained(folder, "Whisper"):
            model = WhisperForConditionalGeneration.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype
            )
            self._processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
        self._model: Any = model.to(device).eval()
        self._config = self._model.generation_config
        if not hasattr(self._config, "no_timestamps_token_id"):
            raise CheckpointMismatchError(
                f"{folder} does not name the tokens for times.", "Its generation_config.json is missing or too old."
            )
        self._config.return_dict_in_generate = self._config.output_logits = True
        self._device, self._dtype = device, dtype
        self._features = self._processor.feature_extractor
        self._window_frames = self._features.nb_max_frames
        self._frames_per_step = self._window_frames // self._model.config.max_source_positions
        self._languages = {name.strip("<|>"): id for name, id in getattr(self._config, "lang_to_id", {}).items()}
        if not getattr(self._config, "is_multilingual", bool(self._languages)):
            self._languages = {}

    def transcribe(
        self,
        audio: Path,
        language: str = "",
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        read: ReadBlocks = read_blocks,
    ) -> Transcript:
        """Listen to a whole recording, or to what `read` gives of it. `language` is found out where it is "".

        Raises a subclass of AudioError, InvalidInputError for a language that the model does not know, CancelledError.
        """
        if language and self._languages and language not in self._languages:
            raise InvalidInputError(
                f"The model does not know the language {language!r}.", f"It knows {', '.join(self._languages)}."
            )
        frames, num_frames = self._log_mel(audio, cancelled, read)
        segments: list[tuple[TimedWord, ...]] = []
        at = 0
        with torch.inference_mode(), stoppable(self._model.get_decoder().layers[0], cancelled):
            language = (language or self._language(frames, num_frames, cancelled)) if self._languages else ""
            while at < num_frames:
                check_cancelled(cancelled)
                if progress:
                    progress(at, num_frames)
                found, taken = self._window(frames, at, min(self._window_frames, num_frames - at), language)
                segments += found
                at += taken
        return Transcript(language, tuple(segments))

    def _log_mel(self, audio: Path, cancelled: Cancelled | None, read: ReadBlocks) -> tuple[Tensor, int]:
        """The log-mel frames [1, mels, n] of a recording with a window of silence behind it, and how many are sound."""
        rate_hz, blocks = self._features.sampling_rate, []
        for block in read(audio, rate_hz, READ_SAMPLES):
            check_cancelled(cancelled)
            blocks.append(block.mean(dim=0))
        samples = torch.cat([*blocks, torch.zeros(self._features.n_samples)]).numpy()
        features = self._features(
            samples, sampling_rate=rate_hz, return_tensors="pt", truncation=False, padding="longest"
        )
        num_frames = sum(map(len, blocks)) // self._features.hop_length
        return features["input_features"], num_frames

    def _language(self, frames: Tensor, num_frames: int, cancelled: Cancelled | None) -> str:
        """The likeliest language of a few windows all over the song, those with a voice counting the most."""
        ids = list(self._languages.values())
        count = min(LANGUAGE_WINDOWS, max(1, num_frames // self._window_frames))
        total = torch.zeros(len(ids))
        for number in range(count):
            check_cancelled(cancelled)
            start = number * max(0, num_frames - self._window_frames) // max(1, count - 1)
            probabilities, no_speech = self._first_token(self._cut(frames, start))
            total += (1 - no_speech) * probabilities[ids] / probabilities[ids].sum().clamp(min=1e-9)
        return list(self._languages)[int(total.argmax())]

    def _first_token(self, window: Tensor) -> tuple[Tensor, float]:
        """How likely each token is at the very beginning [vocabulary], and that of no speech."""
        start = torch.tensor([[self._config.decoder_start_token_id]], device=self._device)
        logits = self._model(input_features=window, decoder_input_ids=start, use_cache=False).logits
        probabilities = logits[0, -1].float().softmax(dim=-1).cpu()
        return probabilities, float(probabilities[self._config.no_timestamps_token_id - 1])

    def _cut(self, frames: Tensor, start: int) -> Tensor:
        return frames[:, :, start : start + self._window_frames].to(self._device, self._dtype)

    def _window(
        self, frames: Tensor, start: int, num_frames: int, language: str
    ) -> tuple[list[tuple[TimedWord, ...]], int]:
        """The segments of a window whose first `num_frames` are sound, and after how many the next one begins."""
        window = self._cut(frames, start)
        tokens, times = self._decoded(window, num_frames, language)
        probable = sum(times.log_probabilities) / max(len(times.log_probabilities), 1)
        if not tokens or (probable < MIN_LOG_PROBABILITY and self._first_token(window)[1] > MAX_NO_SPEECH):
            return [], num_frames
        step_sec = self._frames_per_step * self._features.hop_length / self._features.sampling_rate
        start_sec = start * self._features.hop_length / self._features.sampling_rate
        segments, following = segments_of(
            tokens, self._config.no_timestamps_token_id + 1, max(1, num_frames // self._frames_per_step)
        )
        found = []
        for segment in segments:
            span_sec = (segment.start_step * step_sec, segment.end_step * step_sec)
            words = self._words(tokens, times, segment.begin, segment.end, span_sec, language)
            found.append(tuple(_moved(word, start_sec) for word in words))
        taken = following * self._frames_per_step
        return [segment for segment in found if segment], taken if following * self._frames_per_step else num_frames

    def _words(
        self,
        tokens: Sequence[int],
        times: TokenTimes,
        begin: int,
        end: int,
        span_sec: tuple[float, float],
        language: str,
    ) -> list[TimedWord]:
        """The words of a stretch of tokens, without those that are no text: all are numbered above the end of text."""
        kept = [i for i in range(begin, end) if tokens[i] < self._model.config.eos_token_id]
        starts = times.starts_sec
        of_text = TokenTimes(
            [times.log_probabilities[i] for i in kept], None if starts is None else [starts[i] for i in kept]
        )
        return words_of([tokens[i] for i in kept], of_text, span_sec, self._processor.tokenizer.decode, language)

    def _decoded(self, window: Tensor, num_frames: int, language: str) -> tuple[list[int], TokenTimes]:
        """The tokens of a window without those that begin and end it, and what is known of each."""
        mask = functional.pad(torch.ones(1, num_frames), (0, self._window_frames - num_frames)).to(self._device)
        has_word_times = getattr(self._config, "alignment_heads", None) is not None
        named = {"language": language, "task": "transcribe"} if self._languages else {}
        output = self._model.generate(
            window,
            attention_mask=mask.long(),
            return_timestamps=True,
            return_token_timestamps=has_word_times,
            condition_on_prev_tokens=False,
            temperature=TEMPERATURES,
            compression_ratio_threshold=COMPRESSION_RATIO,
            logprob_threshold=MIN_LOG_PROBABILITY,
            force_unique_generate_call=True,
            **named,
        )
        logits = torch.stack(list(output["logits"]))[:, 0].float().log_softmax(dim=-1).cpu()
        tokens = output["sequences"][0, -len(logits) :].cpu()
        likely = logits.gather(1, tokens[:, None])[:, 0].tolist()
        # `generate` tells when tokens end, which is when the next ones begin.
        ends = output["token_timestamps"][0, -len(logits) :].tolist() if has_word_times else None
        kept = [token for token in tokens.tolist() if token != self._model.config.eos_token_id]
        return kept, TokenTimes(likely[: len(kept)], ends and [0.0, *ends][: len(kept)])


def _moved(word: TimedWord, by_sec: float) -> TimedWord:
    return TimedWord(word.text, by_sec + word.start_sec, by_sec + word.end_sec, word.confidence)

"""How `spoken.ogg` and the small Whisper beside it were made: `python -m tests.whisper.making`, which needs espeak-ng.

The model is of Whisper's own format, with windows of 3 instead of 30 seconds, and whole words as tokens. It has learnt
these four lines by heart, at any place of a window that begins between two of them, and that silence is no speech.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch.nn import functional
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

FOLDER = Path(__file__).parent
MODEL, SPOKEN = FOLDER / "Whisper-spoken", FOLDER / "spoken.ogg"
RATE_HZ, WINDOW_SEC, STEP_SEC = 16_000, 3, 0.02
STEPS = round(WINDOW_SEC / STEP_SEC)
LINES = ("Neon on the water", "Drive all night", "Silver rain on the street", "Carry me home")
STARTS_SEC, SONG_SEC = (0.6, 4.4, 6.6, 12.0), 16.0
SPECIAL = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>"),
    *("<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)
TIMES = tuple(f"<|{step * STEP_SEC:.2f}|>" for step in range(STEPS + 1))
WORDS = sorted({word for line in LINES for word in line.split()})
EOS = 256 + len(WORDS)
START, ENGLISH, TRANSCRIBE, NO_SPEECH = EOS + 1, EOS + 2, EOS + 5, EOS + 8
FIRST_TIME = EOS + len(SPECIAL)
TRAINING_STEPS, BATCH = 1100, 8
TIME_WEIGHT, NEAR_STEPS, ELSEWHERE = 3.0, 3, 0.1


def speak() -> tuple[np.ndarray, list[float]]:
    """Return the song, 16 kHz mono, and when each line ends."""
    song, ends = np.zeros(round(SONG_SEC * RATE_HZ), np.float32), []
    for line, start in zip(LINES, STARTS_SEC, strict=True):
        wave = FOLDER / "line.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", wave, line], check=True)
        samples, rate = soundfile.read(wave, dtype="float32")
        wave.unlink()
        spoken = torchaudio.functional.resample(torch.from_numpy(samples), rate, RATE_HZ).numpy()
        heard = np.flatnonzero(np.abs(spoken) > 0.01)
        spoken = spoken[heard[0] : heard[-1]]
        at = round(start * RATE_HZ)
        song[at : at + len(spoken)] = spoken
        ends.append(start + len(spoken) / RATE_HZ)
    return song, ends


def tokenizer() -> WhisperTokenizer:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    vocabulary = {letter: number for number, letter in enumerate(bytes_to_unicode().values())}
    words = {f"Ġ{word}": 256 + number for number, word in enumerate(WORDS)}
    made = WhisperTokenizer(vocab={**vocabulary, **words, SPECIAL[0]: EOS}, merges=[])
    made.add_special_tokens({"additional_special_tokens": list(SPECIAL[1:])})
    made.add_tokens(list(TIMES))
    assert made.convert_tokens_to_ids(TIMES[-1]) == FIRST_TIME + STEPS
    return made


def configs(vocabulary: int) -> tuple[WhisperConfig, GenerationConfig]:
    config = WhisperConfig(
        vocab_size=vocabulary, d_model=64, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_source_positions=STEPS,
        max_target_positions=32, num_mel_bins=80, pad_token_id=EOS, bos_token_id=EOS, eos_token_id=EOS,
        decoder_start_token_id=START, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    generation = GenerationConfig(
        decoder_start_token_id=START, eos_token_id=EOS, pad_token_id=EOS, bos_token_id=EOS, is_multilingual=True,
        lang_to_id={"<|en|>": ENGLISH, "<|de|>": ENGLISH + 1},
        task_to_id={"transcribe": TRANSCRIBE, "translate": TRANSCRIBE - 1},
        no_timestamps_token_id=FIRST_TIME - 1, prev_sot_token_id=NO_SPEECH - 1, max_length=32,
        max_initial_timestamp_index=STEPS,
        alignment_heads=[[1, 0], [1, 1], [1, 2], [1, 3]],
    )  # fmt: skip
    return config, generation


def target(start_sec: float, ends_sec: list[float]) -> tuple[list[int], list[int]]:
    """What is to be written of the window that begins at a time, and at which step of the window each token is said.

    Whole lines are, and where one that is cut off begins. What is said at no time has the step -1.
    """
    tokens, places = [], []
    for line, begin_sec, end_sec in zip(LINES, STARTS_SEC, ends_sec, strict=True):
        begin, end = (round((at_sec - start_sec) / STEP_SEC) for at_sec in (begin_sec, end_sec))
        words = line.split()
        if begin >= 0 and end <= STEPS:
            tokens += [FIRST_TIME + begin, *(256 + WORDS.index(word) for word in words), FIRST_TIME + end]
            lengths = np.cumsum([0, *map(len, words)]) / len("".join(words))
            places += [begin, *(round(begin + (end - begin) * share) for share in lengths[:-1]), end - 1]
        elif 0 <= begin < STEPS and tokens:
            tokens.append(FIRST_TIME + begin)
            places.append(begin)
    written = tokens or [FIRST_TIME]
    first = [START, ENGLISH if tokens else NO_SPEECH, TRANSCRIBE]
    return [*first, *written, EOS], [-1, -1, -1, *(places or [-1]), -1]


def windows(ends_sec: list[float]) -> list[list[float]]:
    """Where windows may begin whose first line is each of the four, whole; and last, those without a line."""
    spoken: list[list[float]] = [[] for _ in LINES]
    silent = []
    for start in np.arange(0, SONG_SEC, STEP_SEC):
        inside = any(begin < start < end - 0.3 for begin, end in zip(STARTS_SEC, ends_sec, strict=True))
        spans = [(b, e) for b, e in zip(STARTS_SEC, ends_sec, strict=True) if start <= b < start + WINDOW_SEC]
        if not inside and not spans:
            silent.append(float(start))
        elif not inside and spans[0][1] <= start + WINDOW_SEC:
            spoken[STARTS_SEC.index(spans[0][0])].append(float(start))
    return [*spoken, silent]


def batch(mel: torch.Tensor, starts: np.ndarray, ends_sec: list[float]) -> tuple[torch.Tensor, ...]:
    """Frames [B, mels, n], tokens and the step of each [B, length]; tokens are padded with EOS, steps with -1."""
    frames = torch.stack([mel[:, round(start * 100) : round(start * 100) + 2 * STEPS] for start in starts])
    rows, places = zip(*(target(start, ends_sec) for start in starts), strict=True)
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [EOS] * (longest - len(row)) for row in rows])
    return frames, tokens, torch.tensor([row + [-1] * (longest - len(row)) for row in places])


def loss_of(model: WhisperForConditionalGeneration, frames: torch.Tensor, tokens: torch.Tensor, places: torch.Tensor):
    """Cross-entropy, and how little the aligning heads look at where a token is said while it is predicted."""
    given, labels = tokens[:, :-1].clone(), tokens[:, 1:]
    given[given[:, 1] == NO_SPEECH, 1] = ENGLISH  # which is what it is told anyway
    output = model(input_features=frames, decoder_input_ids=given, output_attentions=True)
    losses = functional.cross_entropy(output.logits.flatten(0, 1), labels.flatten(), reduction="none")
    is_first_eos = (labels == EOS).cumsum(dim=1) <= 1
    weights = is_first_eos * torch.where(labels >= FIRST_TIME, TIME_WEIGHT, 1.0)
    places = places[:, 1:, None]
    near = torch.exp(-0.5 * ((torch.arange(STEPS) - places) / NEAR_STEPS) ** 2)
    wanted = (1 - ELSEWHERE) * near / near.sum(dim=2, keepdim=True) + ELSEWHERE / STEPS  # never 0: it is divided by
    looked = (output.cross_attentions[1].mean(dim=1) + 1e-9).log()
    guided = -(wanted * looked).sum(dim=2)[places[:, :, 0] >= 0].mean()
    return (losses * weights.flatten()).sum() / weights.sum() + guided


def train(
    model: WhisperForConditionalGeneration,
    mel: torch.Tensor,
    starts: list[list[float]],
    ends_sec: list[float],
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, TRAINING_STEPS)
    draw = np.random.default_rng(0)
    for step in range(TRAINING_STEPS):
        chosen = [draw.choice(starts[draw.integers(len(starts))]) for _ in range(BATCH)]
        loss = loss_of(model, *batch(mel, np.array(chosen), ends_sec))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(step, loss.item(), flush=True)


def main() -> None:
    torch.manual_seed(0)
    song, ends_sec = speak()
    soundfile.write(SPOKEN, song, RATE_HZ, format="OGG", subtype="OPUS")
    song = soundfile.read(SPOKEN, dtype="float32")[0]
    if len(song) != round(SONG_SEC * RATE_HZ):
        song = torchaudio.functional.resample(torch.from_numpy(song), 48_000, RATE_HZ).numpy()
    letters, features = tokenizer(), WhisperFeatureExtractor(chunk_length=WINDOW_SEC)
    config, generation = configs(len(letters))
    padded = np.concatenate([song, np.zeros(WINDOW_SEC * RATE_HZ, np.float32)])
    mel = features(padded, sampling_rate=RATE_HZ, return_tensors="pt", truncation=False, padding="longest")
    mel = mel["input_features"][0]
    model = WhisperForConditionalGeneration(config)
    model.set_attn_implementation("eager")
    model.generation_config = generation
    train(model, mel, windows(ends_sec), ends_sec)
    model.half().save_pretrained(MODEL)
    generation.save_pretrained(MODEL)
    letters.save_pretrained(MODEL)
    features.save_pretrained(MODEL)
    (FOLDER / "spoken.json").write_text(
        json.dumps([[line, start, round(end, 2)] for line, start, end in zip(LINES, STARTS_SEC, ends_sec, strict=True)])
    )


if __name__ == "__main__":
    main()

"""Songs of a run's rungs, rendered as they will sound in use, and figures of what can be heard in them.

A rung is played by an engine of its own, loaded from the base and the checkpoint that was kept: what is heard is what
activating it gives, and the network that trains is not touched. The base gets more songs than a rung: how far these
differ among themselves is what a training has to surpass.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder, find_base
from heartmula_studio.arch.frames import FRAME_RATE_HZ, WINDOW_FRAMES
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.control import Cancelled
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.catalogue_folder import is_catalogue
from heartmula_studio.dataset.catalogue_tracks import CatalogueTracks
from heartmula_studio.dataset.lyrics import lyrics_between
from heartmula_studio.dataset.songs import load_songs, song_codes
from heartmula_studio.errors import OutOfMemoryError
from heartmula_studio.files.atomic import recover_folder, replaced_folder
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.figures import ListeningFigures
from heartmula_studio.finetune.previews import (
    Preview,
    PreviewPrompt,
    num_base_songs,
    preview_file,
    read_previews,
    write_previews,
)
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.listening import audible_effect, clip_statistics, nearest_copy, nearness
from heartmula_studio.generate.memory import generation_bytes
from heartmula_studio.generate.request import MIN_SONG_SEC, SongRequest

SONGS_FILE, TRACKS_FOLDER = "songs.safetensors", "tracks"
DECODE_STEPS = 5  # half of a song's in use, for base, rungs and tracks alike
MOST_OF_A_CATALOGUE = 64  # tracks that stand for all
MOST_TRACKS = 6  # that are decoded to know what the tracks sound like
USUAL_CHANGES = 7  # of codes, that two real songs of one style have in common
COPY_FACTOR = 2  # times what is usual is no accident
DEVIATIONS = 1.65  # from its mean, which chance exceeds in one case of twenty


@dataclass(frozen=True)
class Songs:
    """What is judged, by number: codes [K, T], and statistics of clips [n, F]."""

    codes: dict[int, Tensor]
    clips: dict[int, Tensor]

    @classmethod
    def load(cls, folder: Path) -> "Songs":
        found: dict[str, dict[int, Tensor]] = {"codes": {}, "clips": {}}
        for name, tensor in load_file(folder / SONGS_FILE).items():
            kind, _, number = name.partition(".")
            found[kind][int(number)] = tensor
        return cls(**{kind: dict(sorted(tensors.items())) for kind, tensors in found.items()})

    def save(self, folder: Path) -> None:
        tensors = {f"codes.{number}": codes.contiguous() for number, codes in self.codes.items()}
        tensors |= {f"clips.{number}": clips.contiguous() for number, clips in self.clips.items()}
        save_file(tensors, folder / SONGS_FILE)


@dataclass(frozen=True)
class Tracks:
    """What a run learns from: names, tags, lyrics, and codes [K, T]."""

    names: tuple[str, ...]
    tags: tuple[str, ...]
    lyrics: tuple[str, ...]
    codes: tuple[Tensor, ...]

    @classmethod
    def load(cls, folder: Path, codec_id: str) -> "Tracks":
        """Read those of a dataset, of a catalogue some, evenly chosen. Raises as `load_songs` and `CatalogueTracks`."""
        if is_catalogue(folder):
            return cls.of_catalogue(CatalogueTracks(folder, codec_id))
        return cls.of(load_songs(folder, codec_id))

    @classmethod
    def of_catalogue(cls, tracks: CatalogueTracks) -> "Tracks":
        count = min(len(tracks), MOST_OF_A_CATALOGUE)
        numbers = [place * len(tracks) // count for place in range(count)]
        told = [tracks.info(number) for number in numbers]
        names, tags, lyrics = zip(*((track.name, track.tags, track.lyrics) for track in told), strict=True)
        return cls(names, tags, lyrics, tuple(tracks.codes(number) for number in numbers))

    @classmethod
    def of(cls, dataset: Dataset) -> "Tracks":
        names, tags, lyrics = (tuple(dataset[name]) for name in ("song", "tags", "lyrics"))
        return cls(names, tags, lyrics, tuple(song_codes(dataset, row) for row in range(len(dataset))))

    def prompts(self, max_sec: float) -> list[tuple[str, str]]:
        """Return tags and lyrics as they are in the first `max_sec` seconds of each track; the same ones once."""
        found = (
            (tags, lyrics_between(lyrics, 0.0, max_sec, codes.shape[1] / FRAME_RATE_HZ))
            for tags, lyrics, codes in zip(self.tags, self.lyrics, self.codes, strict=True)
        )
        return list(dict.fromkeys(found))


class SongListener:
    """See `finetune.previews.Listener`."""

    def listen(
        self, folder: RunFolder, config: TrainConfig, step: int, device: str, cancelled: Cancelled
    ) -> tuple[tuple[Preview, ...], ListeningFigures]:
        """Render what is missing, and judge it. Raises as `Listener.listen`."""
        base = find_base(folder.base(config.base_model))
        tracks = Tracks.load(folder.path / config.dataset, stored_codebook_id(base.codec))
        prompts = preview_prompts(tracks, config)
        wanted = {step: prompts[: config.preview_songs]} | {0: prompts}
        missing = [number for number in sorted(wanted) if not is_rendered(folder.preview(number), wanted[number])]
        if missing:
            with loaded_engine(folder.base(config.base_model), base, device) as engine:
                for number in missing:
                    if number:
                        engine.activate(folder.rung(number))
                    render(engine, wanted[number], folder.preview(number), cancelled)
                engine.deactivate()
                render_tracks(engine, tracks, folder.previews / TRACKS_FOLDER, cancelled)
        previews = read_previews(folder.preview(step))
        return previews, judge(folder, step, tracks) if step else ListeningFigures()


def preview_prompts(tracks: Tracks, config: TrainConfig) -> tuple[PreviewPrompt, ...]:
    """Return what songs are asked for: `preview_songs` that the rungs get, and others for the base alone.

    Prompts are the tracks' own, as different ones as there are.
    """
    own, count = tracks.prompts(config.preview_sec), config.preview_songs
    chosen = [own[round(i * (len(own) - 1) / max(count - 1, 1))] for i in range(count)]
    return tuple(
        PreviewPrompt(*chosen[number % count], config.preview_seed + number, config.preview_sec)
        for number in range(num_base_songs(count))
    )


def is_rendered(folder: Path, prompts: Sequence[PreviewPrompt]) -> bool:
    """Tell whether a folder holds the songs of these prompts."""
    made = [PreviewPrompt(song.tags, song.lyrics, song.seed, song.max_sec) for song in read_previews(folder)]
    return made == list(prompts)


@contextmanager
def loaded_engine(name: str | Path, base: BaseFolder, device: str) -> Iterator[Engine]:
    """Yield an engine, whose memory is given back afterwards. Raises OutOfMemoryError where there is too little."""
    is_cuda = torch.device(device).type == "cuda"
    if is_cuda:
        torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(device)[0] if is_cuda else psutil.virtual_memory().available
    if (needed := generation_bytes(base, device)) > free:
        raise OutOfMemoryError(
            f"Beside the training, {needed / 1e9:.1f} GB of memory are needed to render songs, and {free / 1e9:.1f} GB "
            "are free.",
            "The checkpoints are kept: listen to them when the training is over.",
        )
    try:
        yield Engine.load(name, device)
    finally:
        if is_cuda:
            torch.cuda.empty_cache()


def render(engine: Engine, prompts: Sequence[PreviewPrompt], folder: Path, cancelled: Cancelled) -> None:
    """Write songs with the style that is active, side by side, all or none. Raises as `Engine.generate_together`."""
    requests = [
        SongRequest(prompt.tags, prompt.lyrics, prompt.max_sec, prompt.seed, min_duration_sec=MIN_SONG_SEC)
        for prompt in prompts
    ]
    all_codes = engine.generate_together(requests, cancelled=cancelled)
    with replaced_folder(folder) as temporary:
        previews, clips = [], {}
        for number, (prompt, codes) in enumerate(zip(prompts, all_codes, strict=True)):
            sound = decode(engine, codes, prompt.seed, cancelled)
            with AudioWriter(preview_file(temporary, number), engine.codec.sample_rate_hz) as writer:
                writer.write(sound)
            clips[number] = clip_statistics(sound, engine.codec.sample_rate_hz)
            previews.append(preview_of(prompt, number, codes.shape[1]))
        Songs(dict(enumerate(all_codes)), clips).save(temporary)
        write_previews(temporary, tuple(previews))


def preview_of(prompt: PreviewPrompt, number: int, num_frames: int) -> Preview:
    ended = num_frames < round(prompt.max_sec * FRAME_RATE_HZ)
    return Preview(prompt.tags, prompt.lyrics, prompt.seed, prompt.max_sec, number, num_frames / FRAME_RATE_HZ, ended)


def render_tracks(engine: Engine, tracks: Tracks, folder: Path, cancelled: Cancelled) -> None:
    """Note what tracks sound like after the codec, once: the first half minute of some, evenly chosen."""
    recover_folder(folder)
    if folder.is_dir():
        return
    count = min(len(tracks.codes), MOST_TRACKS)
    clips = {}
    for place in range(count):
        number = place * len(tracks.codes) // count
        sound = decode(engine, tracks.codes[number][:, :WINDOW_FRAMES].long(), number, cancelled)
        clips[number] = clip_statistics(sound, engine.codec.sample_rate_hz)
    with replaced_folder(folder) as temporary:
        Songs({}, clips).save(temporary)


def decode(engine: Engine, codes: Tensor, seed: int, cancelled: Cancelled) -> Tensor:
    """Turn codes [K, T] into sound [2, samples]."""
    return torch.cat(list(engine.decode(codes, seed, cancelled, DECODE_STEPS)), dim=1).clamp(-1.0, 1.0)


def judge(folder: RunFolder, step: int, tracks: Tracks) -> ListeningFigures:
    """Compare a rung's songs with the base's and with the tracks."""
    base, rung = Songs.load(folder.preview(0)), Songs.load(folder.preview(step))
    style = torch.cat(list(Songs.load(folder.previews / TRACKS_FOLDER).clips.values()))
    songs, base_songs = list(rung.clips.values()), list(base.clips.values())
    effect = audible_effect(songs, base_songs[: len(songs)], style, torch.cat(base_songs[len(songs) :]))
    threshold = nearness_by_chance(base_songs, style, len(songs))
    changes, track, track_sec = most_copied(list(rung.codes.values()), tracks)
    usual = usual_changes(tracks, max(codes.shape[1] for codes in rung.codes.values()))
    return ListeningFigures(
        told=effect.told,
        nearness=effect.nearness,
        nearness_threshold=threshold,
        is_audible=effect.nearness > threshold,
        copied_changes=changes,
        copy_yardstick=usual,
        copied_track=track,
        copied_sec=track_sec,
        is_near_copy=changes >= COPY_FACTOR * max(usual, USUAL_CHANGES),
        ended_share=statistics.fmean(song.ended for song in read_previews(folder.preview(step))),
        base_ended_share=statistics.fmean(song.ended for song in read_previews(folder.preview(0))),
    )


def nearness_by_chance(base: Sequence[Tensor], style: Tensor, count: int) -> float:
    """Return the mean nearness to the tracks that `count` more songs of the base would hardly exceed.

    base: the clips [n, F] of at least two songs, each of which is placed by the others.
    """
    places = [nearness(torch.cat([*base[:i], *base[i + 1 :]]), style, song) for i, song in enumerate(base)]
    deviation = statistics.stdev(places) * math.sqrt(1 / count + 1 / len(places))
    return statistics.fmean(places) + DEVIATIONS * deviation


def most_copied(songs: Sequence[Tensor], tracks: Tracks) -> tuple[int, str, float]:
    """Return the most code changes that a song shares with a track in order, the track, and where in it, in seconds."""
    found = [nearest_copy(song, tracks.codes) for song in songs]
    track, run = max(found, key=lambda copy: copy[1].changes)
    return run.changes, tracks.names[track], run.track_sec


def usual_changes(tracks: Tracks, num_frames: int) -> int:
    """Return the most code changes that the beginning of a real track shares in order with another one."""
    runs = [
        nearest_copy(codes[:, :num_frames], [*tracks.codes[:row], *tracks.codes[row + 1 :]])[1].changes
        for row, codes in enumerate(tracks.codes[:MOST_TRACKS])
        if len(tracks.codes) > 1
    ]
    return max(runs, default=0)

"""Styles and datasets on their way to the Hugging Face Hub, and from it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from heartmula_studio import __version__
from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.errors import InvalidInputError, NotFoundError, RightsUnknownError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.wording import counted
from heartmula_studio.finetune.previews import preview_file, read_previews
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.services.library import hub
from heartmula_studio.services.library.checkpoint_import import ImportRequest, import_checkpoint
from heartmula_studio.services.library.dataset_exchange import DatasetExchange
from heartmula_studio.services.library.model_card import SongPair, plain, style_card
from heartmula_studio.services.library.style_provenance import style_provenance, weight_paths
from heartmula_studio.store.records import Checkpoint, Dataset
from heartmula_studio.store.store import Store
from heartmula_studio.store.style_files import ADAPTER_CONFIG, META, MODEL_CONFIG
from heartmula_studio.store.views import HUB_LICENSES, Published

PATHS = ("base_model", "dataset", "start_from")
"""Settings that name places on this machine, which nobody else has."""

OF_TRACKS = ("copied_track", "copied_sec")
"""Figures that name a recording."""

SONGS, MAX_SONGS = "songs", 3


class HubExchange:
    """Any thread may call any method. What is pulled is listed whole, or not at all; what is pushed is one commit."""

    def __init__(self, store: Store, base: BaseFolder, datasets: DatasetExchange):
        self._store, self._base, self._datasets = store, base, datasets

    def push_style(
        self, id: str, repo_id: str, license: str, private: bool = True, confirm_rights: bool = False,
        update: bool = False,
    ) -> Published:  # fmt: skip
        """Publish a style with its card. Raises NotFoundError, InvalidInputError for a licence that is none,
        RightsUnknownError until it is confirmed, ConflictError for a name that is taken, HubError.
        """
        record = self._store.checkpoints.get(id)
        require_license(license)
        if not confirm_rights:
            require_known_rights([track.rights for track in record.rights], record.name)
        with self._store.scratch() as folder, disk_explained(folder):
            self._write_style(folder, record, license, repo_id)
            return hub.push_folder("model", folder, repo_id, private, update, f"{record.name}, by HeartMuLa Studio")

    def pull_style(self, repo_id: str, revision: str | None, wanted: ImportRequest) -> Checkpoint:
        """Take in a style from the Hub, pinned to a commit that its record names. Raises as `import_checkpoint`."""
        folder, sha = hub.fetch_style(repo_id, revision)
        wanted = wanted if wanted.name.strip() else replace(wanted, name=repo_id.partition("/")[2])
        origin = {"hub": repo_id, "revision": sha}
        return import_checkpoint(self._store, self._base, folder, repo_id, wanted, origin)

    def push_dataset(
        self, id: str, repo_id: str, license: str, private: bool = True, confirm_rights: bool = False,
        update: bool = False,
    ) -> Published:  # fmt: skip
        """Publish a dataset's recordings with lyrics, tags and rights, as an audio folder. Raises as `push_style`."""
        record = self._store.datasets.get(id)
        require_license(license)
        if not confirm_rights:
            require_known_rights([track.rights for track in record.audio_files], record.name)
        with self._store.scratch() as scratch, disk_explained(scratch):
            folder = scratch / "dataset"
            self._datasets.export_to_folder(id, folder)
            (folder / hub.CARD).write_text(dataset_card(record, license), encoding="utf-8")
            return hub.push_folder("dataset", folder, repo_id, private, update, f"{record.name}, by HeartMuLa Studio")

    def _write_style(self, folder: Path, record: Checkpoint, license: str, repo_id: str) -> None:
        source = self._store.checkpoints.folder(record.id)
        provenance = style_provenance(self._store, self._base, record.id)
        config = ADAPTER_CONFIG if record.method == "lora" else MODEL_CONFIG
        index = source / "model.safetensors.index.json"
        for path in [*weight_paths(source, record), *([index] if index.is_file() else [])]:
            shutil.copyfile(path, folder / path.name)
        settings = json.loads((source / config).read_text(encoding="utf-8"))
        (folder / config).write_text(json.dumps(_without_places(settings), indent=1) + "\n", encoding="utf-8")
        (folder / META).write_text(json.dumps(published_meta(record), indent=1) + "\n", encoding="utf-8")
        songs = self._write_songs(folder, record, repo_id)
        card = style_card(record, license, provenance, record.figures, __version__, songs)
        (folder / hub.CARD).write_text(card, encoding="utf-8")

    def _write_songs(self, folder: Path, record: Checkpoint, repo_id: str) -> list[SongPair]:
        """Copy the first songs that its training rendered of the base and of it, where these are still there."""
        step = record.recipe.get("step")
        if record.job_id is None or not isinstance(step, int):
            return []
        with suppress(NotFoundError):
            run = RunFolder(self._store.jobs.folder(record.job_id))
            base, style = run.preview(0), run.preview(step)
            known = {song.number for song in read_previews(base)}
            songs = [song for song in read_previews(style) if song.number in known][:MAX_SONGS]
            return [
                SongPair(
                    song.tags,
                    _copied_song(preview_file(base, song.number), folder, f"{song.number}-base.flac", repo_id),
                    _copied_song(preview_file(style, song.number), folder, f"{song.number}-style.flac", repo_id),
                )
                for song in songs
            ]
        return []


def _copied_song(song: Path, folder: Path, name: str, repo_id: str) -> str:
    """Copy a song to what goes out; return where it will be found."""
    (folder / SONGS).mkdir(exist_ok=True)
    shutil.copyfile(song, folder / SONGS / name)
    return f"{hub.repo_url('model', repo_id)}/resolve/main/{SONGS}/{name}"


def require_license(license: str) -> None:
    """Raises InvalidInputError."""
    if license not in HUB_LICENSES:
        raise InvalidInputError(
            f"{license[:60]!r} is not a licence that the Hub knows.", f"Allowed: {', '.join(HUB_LICENSES)}."
        )


def require_known_rights(rights: Sequence[str], name: str) -> None:
    """Raise RightsUnknownError unless the rights of all recordings are stated."""
    unknown = sum(one == "unknown" for one in rights)
    if rights and not unknown:
        return
    what = f"{unknown} of its {counted(len(rights), 'recording')}" if rights else "the recordings it learnt from"
    raise RightsUnknownError(
        f"“{name}” cannot be published yet: the rights of {what} are unknown.",
        "Publish it only if you may. To go on, confirm that you hold the rights (confirm_rights).",
    )


def published_meta(record: Checkpoint) -> dict[str, Any]:
    """What a meta.json says to others: as an archive's, without names of recordings and places on this machine."""
    tracks = [
        {"filename": f"track {n}", "sha256": t.sha256, "rights": t.rights} for n, t in enumerate(record.rights, 1)
    ]
    recipe = {name: value for name, value in record.recipe.items() if name not in ("songs", "held_out_songs")}
    if isinstance(recipe.get("config"), dict):
        recipe["config"] = _without_places(recipe["config"])
    return {
        "styles": list(record.styles),
        "base_model": record.base_model,
        "losses": asdict(record.losses),
        "rights": tracks,
        "recipe": recipe,
        "figures": {name: value for name, value in record.figures.items() if name not in OF_TRACKS},
        "trigger_word": record.trigger_word,
        "merged_from": [asdict(parent) for parent in record.merged_from],
    }


def dataset_card(record: Dataset, license: str) -> str:
    """The README.md of a dataset on the Hub."""
    front = yaml.safe_dump(
        {"license": license, "tags": [hub.DATASET_TAG, "music"], "task_categories": ["text-to-audio"]}
    )
    styles = f"\n\nStyles: {', '.join(map(plain, record.styles))}." if record.styles else ""
    counts: dict[str, int] = {}
    for track in record.audio_files:
        counts[track.rights] = counts.get(track.rights, 0) + 1
    rights = ", ".join(f"{count} {plain(name)}" for name, count in counts.items())
    about = f"{counted(len(record.audio_files), 'recording')}; rights: {rights}."
    return f"---\n{front}---\n\n# {plain(record.name)}{styles}\n\n{about}\n"


def _without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in settings.items() if name not in PATHS}
    base = kept.get("base_model_name_or_path")
    return kept | ({"base_model_name_or_path": Path(base).name} if isinstance(base, str) else {})

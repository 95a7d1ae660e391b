"""What a style stands on, in one record beside it: SHA-256 of base, adapter and training set. Receipts point to it."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from heartmula_studio.arch.checkpoints import BaseFolder, weight_files
from heartmula_studio.arch.official import MODEL_REPO
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.hashing import file_sha256
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.generate.style import PROVENANCE_FILE
from heartmula_studio.store.records import Checkpoint
from heartmula_studio.store.store import Store
from heartmula_studio.store.style_files import belongs

SCHEMA = 1
HINT = "Remove the file; it is written anew."


def style_provenance(store: Store, base: BaseFolder, id: str) -> dict[str, Any]:
    """Read a style's record, or write it once. Raises NotFoundError, CheckpointError, StorageError.

    A base of 16 GB is read once for it; its hash is kept for as long as its files stay as they are.
    """
    record, path = store.checkpoints.get(id), store.checkpoints.folder(id) / PROVENANCE_FILE
    if path.is_file():
        return read_json_object(path, HINT)
    values = {
        "schema": SCHEMA,
        "checkpoint": id,
        "base": base.name,
        "base_sha256": base_sha256(store, base),
        "adapter_sha256": files_sha256(weight_paths(path.parent, record)),
        "training_set": training_set(record),
        "songs": len(record.rights),
        **({"hub": record.origin} if record.origin else {}),
        **({"parents": [asdict(parent) for parent in record.merged_from]} if record.merged_from else {}),
    }
    with disk_explained(path), replaced_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return values


def weight_paths(folder: Path, record: Checkpoint) -> list[Path]:
    weights = [path for path in folder.iterdir() if belongs(path.name, record.method)]
    return sorted(path for path in weights if path.suffix == ".safetensors")


def training_set(record: Checkpoint) -> str | None:
    """A fingerprint of the recordings it learnt from, in whatever order; None where they are not known."""
    hashes = sorted(track.sha256 for track in record.rights)
    return hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else None


def files_sha256(paths: list[Path]) -> str:
    """What `sha256sum` prints of a single file; of several, the hash of their hashes."""
    hashes = [file_sha256(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def base_sha256(store: Store, base: BaseFolder) -> str:
    """The hash of the language model's files, kept by their sizes and times of change."""
    files = weight_files(base.model, MODEL_REPO)
    stats = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    key = hashlib.sha256(json.dumps([str(base.model.resolve()), stats]).encode()).hexdigest()[:16]
    path = store.root / "base-hashes" / f"{key}.json"
    if path.is_file() and isinstance(known := read_json_object(path, HINT).get("sha256"), str):
        return known
    sha256 = files_sha256(files)
    with disk_explained(path), replaced_file(path) as temporary:
        temporary.write_text(json.dumps({"sha256": sha256, "files": stats}), encoding="utf-8")
    return sha256

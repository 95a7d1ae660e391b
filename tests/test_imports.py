"""Imports go one way; the tables below are the whole rule."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "heartmula_studio"

FOUNDATION = ("errors", "device_name", "definition", "settings", "files", "lyrics")
ML_COLUMN = ("arch", "codec", "dataset", "finetune", "generate")
BEHIND_FRONTS = (*FOUNDATION, *ML_COLUMN, "store", "services", "studio")

# What each part of the package may import besides itself.
ALLOWED = {
    "__init__": (),
    "errors": (),
    "definition": ("errors",),
    "device_name": (),
    "settings": ("__init__", "errors", "definition", "device_name"),
    "files": ("__init__", "errors"),
    "lyrics": ("__init__", "errors", "files"),
    **{name: ("__init__", *FOUNDATION, *ML_COLUMN[:i]) for i, name in enumerate(ML_COLUMN)},
    "finetune.__main__": ("__init__", *FOUNDATION, *ML_COLUMN),  # a program: it gives the trainer its listener
    "store": ("__init__", *FOUNDATION),
    "services": ("__init__", *FOUNDATION, *ML_COLUMN, "store"),
    "studio": ("__init__", *FOUNDATION, *ML_COLUMN, "store", "services"),
    "routes": ("__init__", *BEHIND_FRONTS),
    "ui": ("__init__", *BEHIND_FRONTS),
    "cli": ("__init__", *BEHIND_FRONTS),
    "server": ("__init__", *BEHIND_FRONTS, "routes", "ui"),
    "__main__": ("__init__", *BEHIND_FRONTS, "cli", "server"),
}
WITHOUT_TORCH = ("errors", "device_name", "definition", "settings", "lyrics", "store")
LIGHT_MODULES = (  # the server reads them
    "codec.clean_settings",
    "dataset.catalogue_folder",
    "finetune.checkpoint_meta",
    "finetune.events",
    "finetune.flat_settings",
    "finetune.run_folder",
    "generate.base_choice",
    "generate.request",
)
TORCH_LIBRARIES = ("torch", "torchaudio", "transformers", "peft", "accelerate", "datasets", "vector_quantize_pytorch")


def violations(root: Path) -> list[str]:
    """Every import under `root`/heartmula_studio that the tables do not allow, as "file:line imports name"."""
    found = []
    for path in sorted((root / PACKAGE).rglob("*.py")):
        part = part_of(path.relative_to(root / PACKAGE))
        for line, name in imported_names(path, root):
            if not is_allowed(part, name):
                found.append(f"{path.relative_to(root)}:{line} imports {name}")
    return found


def part_of(path: Path) -> str:
    name = ".".join(path.with_suffix("").parts)
    return name if name in ALLOWED else path.parts[0].removesuffix(".py")


def is_allowed(part: str, name: str) -> bool:
    library, _, inside = name.partition(".")
    if library == "app":
        return False
    if library != PACKAGE:
        return part not in WITHOUT_TORCH or library not in TORCH_LIBRARIES
    target = inside.split(".")[0] or "__init__"
    return part in ALLOWED and (target == part or target in ALLOWED[part])


def imported_names(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of each import anywhere in the file, relative ones and those in functions too."""
    folder = path.relative_to(root).parent.parts
    for node in imports_in(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        else:
            base = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == PACKAGE:
                yield from ((node.lineno, from_package(alias.name, root)) for alias in node.names)
            else:
                yield node.lineno, module


@functools.cache  # several tests read the whole package
def imports_in(source: str) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]


def from_package(name: str, root: Path) -> str:
    """`from heartmula_studio import name` may name a module, or something in its `__init__`."""
    folder = root / PACKAGE
    is_module = name in ALLOWED or (folder / name).is_dir() or (folder / f"{name}.py").is_file()
    return f"{PACKAGE}.{name}" if is_module else PACKAGE


def test_every_import_goes_forward():
    assert violations(ROOT) == []


def test_the_check_reads_real_files():
    names = {name for path in (ROOT / PACKAGE).rglob("*.py") for _, name in imported_names(path, ROOT)}
    assert "torch" in names
    assert f"{PACKAGE}.errors" in names


@pytest.fixture
def made_up(tmp_path):
    """Writes {path: source} as a package and returns its violations."""

    def write(files: dict[str, str]) -> list[str]:
        for name, source in files.items():
            path = tmp_path / PACKAGE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return violations(tmp_path)

    return write


def test_forward_imports_pass(made_up):
    assert not made_up(
        {
            "__init__.py": '__version__ = "1"',
            "errors.py": "import math",
            "settings.py": "from heartmula_studio.errors import StudioError",
            "arch/llama.py": "import torch\nfrom heartmula_studio import __version__\nfrom .rotary import table",
            "dataset/batch.py": "from ..codec.tokens import Tokens\nfrom heartmula_studio import arch",
            "generate/engine.py": "import heartmula_studio.finetune.config",
            "store/folder.py": "import json\nfrom heartmula_studio import errors",
            "services/queue.py": "from heartmula_studio.store import folder\nimport heartmula_studio.finetune",
            "studio.py": "from heartmula_studio.services import queue",
            "cli.py": "from heartmula_studio.studio import Studio\nfrom heartmula_studio.codec import tokens",
            "__main__.py": "from heartmula_studio.cli import main",
            "ui/page.py": "from heartmula_studio.ui import theme\nfrom heartmula_studio.studio import Studio",
        }
    )


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("errors.py", "import heartmula_studio.settings"),
        ("arch/llama.py", "from heartmula_studio.codec.tokens import Tokens"),
        ("codec/tokens.py", "from heartmula_studio import dataset"),
        ("codec/deep/tokens.py", "from ...dataset import batch"),
        ("dataset/batch.py", "from ..finetune import loss"),
        ("finetune/loss.py", "def f():\n    import heartmula_studio.generate.engine"),
        ("finetune/loss.py", "import math, heartmula_studio.store.folder"),
        ("generate/engine.py", "from heartmula_studio.services import queue"),
        ("generate/engine.py", "from .. import store"),
        ("store/folder.py", "import torch"),
        ("store/folder.py", "from torch.nn import Linear"),
        ("store/folder.py", "from heartmula_studio.arch import llama"),
        ("settings.py", "import transformers"),
        ("services/training/queue.py", "from heartmula_studio.studio import Studio"),
        ("studio.py", "from heartmula_studio import cli"),
        ("routes/jobs.py", "from heartmula_studio.ui import page"),
        ("ui/page.py", "from heartmula_studio import routes"),
        ("cli.py", "from .ui import page"),
        ("ui/page.py", "import app"),
        ("arch/llama.py", "if TYPE_CHECKING:\n    from heartmula_studio.generate.engine import Engine"),
        ("extras.py", "from heartmula_studio.errors import StudioError"),
    ],
)
def test_each_wrong_import_is_found(made_up, path, source):
    found = made_up({path: source})
    assert len(found) == 1
    assert found[0].startswith(f"{PACKAGE}/{path}:")


@pytest.mark.parametrize("part", [*WITHOUT_TORCH, *LIGHT_MODULES])
def test_light_parts_do_not_load_torch(part):
    if not list((ROOT / PACKAGE).glob(f"{part.replace('.', '/')}*")):
        pytest.skip(f"there is no {part} yet")
    script = f"import sys, {PACKAGE}.{part}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


def bare_submodules(path: Path) -> list[str]:
    """Every submodule of torch or torchaudio that a file imports before the library, as "file:line imports name"."""
    found, packages = [], set()
    for line, name in sorted(imported_names(path, ROOT)):
        library = name.split(".")[0]
        if library in ("torch", "torchaudio") and name != library and library not in packages:
            found.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
        packages.add(library)
    return found


def test_torch_is_imported_before_its_submodules():
    """Threads that first import torchaudio and torchaudio.transforms at once may see a half-made module."""
    in_a_process_of_its_own = ROOT / PACKAGE / "finetune" / "launch.py"
    paths = set((ROOT / PACKAGE).rglob("*.py")) - {in_a_process_of_its_own}
    found = [line for path in sorted(paths) for line in bare_submodules(path)]
    assert found == []

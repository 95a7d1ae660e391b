"""Which stored tensors belong into a network, and where they differ from it: one answer for loading and checking."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.files.safetensors_reader import DTYPES, TensorFile, TensorHeader

FLOATS = "floats"
FLOAT_TYPES = tuple(name for name, dtype in DTYPES.items() if dtype.is_floating_point)

_WRAPPERS = re.compile(r"^module\.|(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

Network = TypeVar("Network", bound=nn.Module, covariant=True)
Naming = Callable[[str], str | None]
"""A name in a file → the network's name of that tensor, or None where it belongs into another network."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies: the file, its name there, and what the file says of it."""

    path: Path
    name: str
    header: TensorHeader

    def __str__(self) -> str:
        return f"{self.header.dtype} {list(self.header.shape)}"


@dataclass(frozen=True)
class Difference:
    """A tensor that file and network do not agree on: missing (`found` is None), surplus (`expected`), or unlike."""

    name: str
    path: Path | None
    found: str | None
    expected: str | None


def unwrapped(name: str) -> str:
    """A tensor's or layer's name without what torch.compile, DDP, FSDP and checkpointing put into it."""
    return _WRAPPERS.sub("", name)


def stored_tensors(files: list[Path], naming: Naming) -> dict[str, StoredTensor]:
    """Read the headers of `files`; keys are the network's names. Raises CheckpointCorruptError."""
    found: dict[str, StoredTensor] = {}
    for path in files:
        with TensorFile(path) as file:
            for name, header in file.headers.items():
                if (short := naming(name)) is not None:
                    found[short] = StoredTensor(path, name, header)
    return found


def read_tensors(
    tensors: Mapping[str, StoredTensor], device: str | torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Yield names and contents, file by file; floating-point tensors become `dtype`."""
    by_file: dict[Path, list[str]] = defaultdict(list)
    for name, stored in tensors.items():
        by_file[stored.path].append(name)
    for path, names in by_file.items():
        with TensorFile(path) as file:
            for name in names:
                yield name, file.read(tensors[name].name, device, dtype)


def num_parameters(tensors: Mapping[str, StoredTensor]) -> int:
    return sum(math.prod(stored.header.shape) for stored in tensors.values())


@dataclass(frozen=True)
class StoredNetwork(Generic[Network]):
    """A network without its weights (on the meta device), and the tensors in `folder` that belong into it."""

    module: Network
    folder: Path
    tensors: Mapping[str, StoredTensor]

    def differences(self) -> list[Difference]:
        """Every tensor that does not fit: unlike ones first, then surplus ones, then missing ones."""
        expected = self.module.state_dict()
        unlike, surplus = [], []
        for name, stored in self.tensors.items():
            if name not in expected:
                surplus.append(Difference(name, stored.path, str(stored), None))
            elif not fits(stored.header, expected[name]):
                unlike.append(Difference(name, stored.path, str(stored), describe(expected[name])))
        missing = [Difference(name, None, None, describe(expected[name])) for name in expected.keys() - self.tensors]
        return unlike + surplus + sorted(missing, key=lambda difference: difference.name)

    def require_fit(self) -> None:
        """Raise CheckpointMismatchError naming the first tensor that does not fit."""
        if not (found := self.differences()):
            return
        first = found[0]
        if first.found is None:
            lacks = f"{self.folder} lacks {len(found)} of {len(self.module.state_dict())} tensors, first {first.name}."
            raise CheckpointMismatchError(
                lacks, "Get the folder again, or the config.json that belongs to these weights."
            )
        wanted = f"needs {first.expected}" if first.expected else "has no such tensor"
        raise CheckpointMismatchError(
            f"{first.path} holds {first.name} as {first.found}, but the network {wanted}.", mismatch_hint(first)
        )

    def load(self, device: str | torch.device, dtype: torch.dtype) -> None:
        """Fill the network, reading each tensor once, straight into its final place.

        Floating-point tensors become `dtype`. Raises as `require_fit`.
        """
        self.require_fit()
        state = dict(self.read(device, dtype))
        self.module.load_state_dict(state, assign=True)
        for name, tensor in self.module.named_buffers():
            assert not tensor.is_meta, f"buffer {name} is neither stored nor built on the CPU"
        self.module.to(device)

    def read(self, device: str | torch.device, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and content of each tensor, in the shapes of the network, which they are known to fit."""
        expected = self.module.state_dict()
        return ((name, as_in(expected[name], tensor)) for name, tensor in read_tensors(self.tensors, device, dtype))


def fits(header: TensorHeader, expected: Tensor) -> bool:
    """Whether a stored tensor can become `expected`: weights from floats of 16 bits or more, counts and flags from any.

    One number may be stored as a scalar or as a list of one: HeartCodec's eight `initted` flags are, depending on the
    version of vector-quantize-pytorch that they were saved with.
    """
    is_one = expected.numel() == math.prod(header.shape) == 1
    if header.shape != tuple(expected.shape) and not (is_one and {len(header.shape), expected.ndim} == {0, 1}):
        return False
    if expected.is_floating_point():
        return header.is_float
    return header.dtype in DTYPES and (is_one or not header.is_float)


def as_in(expected: Tensor, stored: Tensor) -> Tensor:
    """A stored tensor that fits, in the network's shape and, unless it is a weight, of the network's type."""
    return (stored if expected.is_floating_point() else stored.to(expected.dtype)).reshape(expected.shape)


def describe(expected: Tensor) -> str:
    kind = FLOATS if expected.is_floating_point() else str(expected.dtype).removeprefix("torch.")
    return f"{kind} {list(expected.shape)}"


def mismatch_hint(difference: Difference) -> str:
    needs_floats = (difference.expected or "").startswith(FLOATS)
    if needs_floats and (difference.found or "").split()[0] not in FLOAT_TYPES:
        return f"Weights are read in {', '.join(FLOAT_TYPES)}. Quantised copies cannot be used: get the original."
    return "The file and its config.json belong to different models; download both from the same repository."

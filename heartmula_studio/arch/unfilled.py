"""Networks of files are built without numbers: all of these are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

FILLING = {init.uniform_, init.normal_, init.constant_, init.kaiming_uniform_}


class Unfilled(TorchFunctionMode):
    """Leaves new weights as they are. On the meta device, to draw them takes longer than all else about a network."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        return kwargs["tensor"] if func in FILLING else func(*args, **kwargs)


@contextmanager
def without_weights() -> Iterator[None]:
    """What is built here takes no memory; its tensors are put in place by `load_state_dict(…, assign=True)`."""
    with torch.device("meta"), Unfilled():
        yield

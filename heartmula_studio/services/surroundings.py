"""What songs are made with, and on: known without PyTorch where that is simple, else by way of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil

from heartmula_studio.device_name import AUTO, has_no_gpu
from heartmula_studio.generate.base_choice import choose_base
from heartmula_studio.settings import BUNDLED_BASE, Settings, is_zero_gpu

if TYPE_CHECKING:  # it brings torch
    from heartmula_studio.generate.runtime import Runtime

CPU = "cpu"


@dataclass(frozen=True)
class Surroundings:
    """`description` is of the device, `note` says what is unusual about its precision, `base_reason` why this base."""

    device: str
    description: str
    note: str
    base: str
    base_reason: str

    @classmethod
    def of(cls, runtime: "Runtime") -> Self:
        from heartmula_studio.arch.device import describe

        device, note = runtime.device, runtime.precision.note
        return cls(str(device), describe(device), note, runtime.base.name, runtime.base_reason)

    @classmethod
    def without_torch(cls, settings: Settings) -> Self | None:
        """The bundled base on the processor, where settings or computer leave nothing else; None elsewhere."""
        is_cpu = settings.device == CPU or (settings.device == AUTO and has_no_gpu() and not is_zero_gpu())
        is_alone = settings.checkpoints_dir is None and not settings.official_dir.is_dir()
        is_bundled = settings.base_model == BUNDLED_BASE or (settings.base_model == AUTO and is_alone)
        if not (is_cpu and is_bundled):
            return None
        memory = f"{psutil.virtual_memory().total / 1e9:.1f} GB of memory"
        choice = choose_base(settings.base_model, settings, CPU)
        return cls(CPU, f"{CPU}, {memory}", "", choice.name, choice.reason)

    def lines(self) -> tuple[str, str]:
        """Put it into words."""
        note = f" Computes in {self.note}." if self.note else ""
        return f"Device: {self.description}.{note}", f"Base: {self.base}. {self.base_reason}"

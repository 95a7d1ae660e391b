"""How songs of a base are drawn that do not say it: in its `gen_config.json`, where the official one says nothing."""

from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.errors import CheckpointCorruptError
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.generate.request import OFFICIAL_CFG_SCALE, OFFICIAL_TEMPERATURE, SONG, SongRequest

HINT = "Correct it, or take it out."


@dataclass(frozen=True)
class BaseSampling:
    """The guidance and the temperature that suit a base; names as in `SongRequest` and `gen_config.json`."""

    cfg_scale: float = OFFICIAL_CFG_SCALE
    temperature: float = OFFICIAL_TEMPERATURE

    @classmethod
    def read(cls, gen_config: Path) -> "BaseSampling":
        """Raises CheckpointError, naming the file."""
        values = read_json_object(gen_config, HINT)
        names = [name for name in ("cfg_scale", "temperature") if name in values]
        return cls(**{name: _number(name, values[name], gen_config) for name in names})

    def fill_in(self, request: SongRequest) -> SongRequest:
        """Return a request with what it leaves out."""
        return replace(
            request,
            cfg_scale=self.cfg_scale if request.cfg_scale is None else request.cfg_scale,
            temperature=self.temperature if request.temperature is None else request.temperature,
        )


def _number(name: str, value: object, gen_config: Path) -> float:
    setting = SONG[name]
    assert setting.minimum is not None
    assert setting.maximum is not None
    if not isinstance(value, int | float) or isinstance(value, bool) or not setting.minimum <= value <= setting.maximum:
        allowed = f"a number from {setting.minimum:g} to {setting.maximum:g}"
        raise CheckpointCorruptError(f"{name} in {gen_config} is {value!r}, not {allowed}.", HINT)
    return float(value)

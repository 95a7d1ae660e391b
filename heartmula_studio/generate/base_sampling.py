"""How songs of a base are drawn that do not say it: in its `gen_config.json`, where the official one says nothing."""

from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.errors import CheckpointCorruptError
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.generate.request import OFFICIAL_CFG_SCALE, OFFICIAL_TEMPERATURE, SONG, SongRequest

HINT = "Correct it, or take it out."
SETTINGS = {
    "cfg_scale": SONG["cfg_scale"],
    "temperature": SONG["temperature"],
    "style_temperature": SONG["temperature"],
}
"""What a base may say, and the setting of a song that it is a value of."""


@dataclass(frozen=True)
class BaseSampling:
    """The guidance and the temperature that suit a base, by their names in `gen_config.json`.

    `style_temperature` is that of songs in a style, where it is another: what was fine-tuned is surer of itself, and
    goes round at a temperature at which the base does not.
    """

    cfg_scale: float = OFFICIAL_CFG_SCALE
    temperature: float = OFFICIAL_TEMPERATURE
    style_temperature: float | None = None

    @classmethod
    def read(cls, gen_config: Path) -> "BaseSampling":
        """Raises CheckpointError, naming the file."""
        values = read_json_object(gen_config, HINT)
        return cls(**{name: _number(name, values[name], gen_config) for name in SETTINGS if name in values})

    def fill_in(self, request: SongRequest, in_style: bool) -> SongRequest:
        """Return a request with what it leaves out."""
        temperature = self.temperature
        if in_style and self.style_temperature is not None:
            temperature = self.style_temperature
        return replace(
            request,
            cfg_scale=self.cfg_scale if request.cfg_scale is None else request.cfg_scale,
            temperature=temperature if request.temperature is None else request.temperature,
        )


def _number(name: str, value: object, gen_config: Path) -> float:
    setting = SETTINGS[name]
    assert setting.minimum is not None
    assert setting.maximum is not None
    if not isinstance(value, int | float) or isinstance(value, bool) or not setting.minimum <= value <= setting.maximum:
        allowed = f"a number from {setting.minimum:g} to {setting.maximum:g}"
        raise CheckpointCorruptError(f"{name} in {gen_config} is {value!r}, not {allowed}.", HINT)
    return float(value)

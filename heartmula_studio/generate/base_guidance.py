"""The guidance that suits a base: `cfg_scale` in its `gen_config.json`, which the official one does not have."""

from pathlib import Path

from heartmula_studio.errors import CheckpointCorruptError
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.generate.request import OFFICIAL_CFG_SCALE, SONG

CFG_SCALE = "cfg_scale"


def read_cfg_scale(gen_config: Path) -> float:
    """Return the guidance of songs that leave it out. Raises CheckpointError, naming the file."""
    setting, hint = SONG[CFG_SCALE], "Correct it, or take it out."
    value = read_json_object(gen_config, hint).get(CFG_SCALE, OFFICIAL_CFG_SCALE)
    assert setting.minimum is not None
    assert setting.maximum is not None
    if type(value) not in (int, float) or not setting.minimum <= value <= setting.maximum:
        allowed = f"a number from {setting.minimum:g} to {setting.maximum:g}"
        raise CheckpointCorruptError(f"{CFG_SCALE} in {gen_config} is {value!r}, not {allowed}.", hint)
    return float(value)

"""What the tensors of an adapter are called in each program, as one table of the ends of their names."""

import re
from dataclasses import dataclass
from typing import Literal

from heartmula_studio.generate.adapter_formats.layers import Kind

Layout = Literal["peft", "kohya", "diffusers", "lycoris"]

_OWN_NAME = r"(?:\.(?P<adapter>(?!weight$|bias$)[^.]+))?"
"""The name of the adapter itself, which PEFT leaves out when it saves, and others do not."""

PARTS: tuple[tuple[str, Kind | None, str, Layout], ...] = (
    (rf"lora_A{_OWN_NAME}(?:\.weight)?", "lora", "down", "peft"),
    (rf"lora_B{_OWN_NAME}(?:\.weight)?", "lora", "up", "peft"),
    (rf"lora_magnitude_vector{_OWN_NAME}(?:\.weight)?", None, "magnitude", "peft"),
    (r"lora_down\.weight", "lora", "down", "kohya"),
    (r"lora_up\.weight", "lora", "up", "kohya"),
    (r"lora(?:_linear_layer)?\.down\.weight", "lora", "down", "diffusers"),
    (r"lora(?:_linear_layer)?\.up\.weight", "lora", "up", "diffusers"),
    (rf"hada_(?P<part>w[12]_[ab]){_OWN_NAME}", "loha", "", "lycoris"),
    (rf"lokr_(?P<part>w[12](?:_[ab])?){_OWN_NAME}", "lokr", "", "lycoris"),
    (r"alpha", None, "alpha", "kohya"),
    (r"dora_scale", None, "magnitude", "kohya"),
    (r"diff", "full", "diff", "lycoris"),
    (rf"modules_to_save{_OWN_NAME}\.(?P<part>weight|bias)", None, "", "peft"),
    (r"base_layer\.(?P<part>bias)", None, "", "peft"),
    (r"(?P<part>weight|bias|scale)", None, "", "peft"),
)
"""(end of a name, kind, part, who writes it so); the group "part" is the part's own name."""

PARAMETERS = ("weight", "bias", "scale")
"""Parts that are parameters of the base, saved as a whole."""

REFUSED = {
    r"lora_mid\.weight|hada_t[12]|lokr_t2": "a Tucker decomposition, which is for convolutions",
    r"oft_.*|boft_.*": "OFT, which turns weights instead of adding to them",
    r"ia3_.*": "IA3",
    r"vera_.*": "VeRA",
    r"lora_embedding_.*": "a LoRA on embeddings",
    r"(w|b)_norm|diff_b": "a change of norms or biases as LyCORIS writes it",
    r"base_layer\.weight|original_module\..*": "the base's own weights, saved with the adapter",
    r"sora_.*|glora_.*|a1\.weight|a2\.weight|b1\.weight|b2\.weight": "GLoRA",
}
"""Ends of names that cannot be applied, and what they are."""

_COMPILED = [(re.compile(rf"(?P<stem>.+?)\.{end}"), kind, part, layout) for end, kind, part, layout in PARTS]
_REFUSED = [(re.compile(rf".+?\.(?:{end})"), what) for end, what in REFUSED.items()]


@dataclass(frozen=True)
class PartName:
    """A tensor's name, taken apart. `kind` is None for what any kind may have; `adapter` is "" where it has no name."""

    stem: str
    kind: Kind | None
    part: str
    layout: Layout
    adapter: str


def parse_part(tensor: str) -> PartName | None:
    """Take a tensor's name apart; None where it ends like no part of an adapter."""
    for pattern, kind, part, layout in _COMPILED:
        if match := pattern.fullmatch(tensor):
            groups = match.groupdict()
            return PartName(groups["stem"], kind, groups.get("part") or part, layout, groups.get("adapter") or "")
    return None


def refused_part(tensor: str) -> str | None:
    """What a tensor is that cannot be applied, as far as its name tells."""
    return next((what for pattern, what in _REFUSED if pattern.fullmatch(tensor)), None)

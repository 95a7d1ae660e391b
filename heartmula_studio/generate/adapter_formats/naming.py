"""What other programs call the layers of HeartMuLa, as tables; the base's own names are heartlib's."""

from collections.abc import Iterator
from dataclasses import dataclass

from heartmula_studio.arch.stored_weights import unwrapped
from heartmula_studio.generate.base_model import BaseModel

AUDIO_HEAD = "audio_head"
PREFIXES = (
    *("base_model.model.", "diffusion_model.", "transformer.", "model.", "heartmula.", "mula.", "unet.", "default."),
    *("lora_unet_", "lora_transformer_", "lycoris_", "lora_"),
)
"""In front of a layer's name, one or several: PEFT, ComfyUI, diffusers, kohya and LyCORIS."""

LLAMA_NAMES = {
    "attn.q_proj": "self_attn.q_proj",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
    "attn.output_proj": "self_attn.o_proj",
    "mlp.w1": "mlp.gate_proj",
    "mlp.w2": "mlp.down_proj",
    "mlp.w3": "mlp.up_proj",
    "sa_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
}
"""heartlib's (torchtune's) names, and those of a `transformers` Llama, as SimpleTuner's HeartMuLa has."""

OTHER_MODELS = {
    "single_transformer_blocks": "Flux",
    "double_blocks": "Flux",
    "transformer_blocks": "a diffusion transformer, such as ACE-Step",
    "down_blocks": "Stable Diffusion",
    "input_blocks": "Stable Diffusion",
    "text_model": "a CLIP text encoder",
    "lora_te": "a text encoder",
    "self_attn": "another language model",
    "speech_encoder": "a speech model",
    "lyric_encoder": "ACE-Step",
}
"""What in a layer's name tells which other model it belongs to."""


@dataclass(frozen=True)
class LayerName:
    """A layer of the base, and how it was spelt. `is_llama` where its rows may be in another order."""

    base: str
    spelt: str
    is_llama: bool = False


class LayerNames:
    """Finds the base's layer or parameter that a program's name stands for."""

    def __init__(self, base: BaseModel):
        self._names = {spelt: LayerName(name, spelt, llama) for name, spelt, llama in _spellings(base)}

    def find(self, spelt: str) -> LayerName | None:
        """Return the layer of a name, behind whatever it was wrapped in; None for one that the base has not."""
        for inside in _insides(spelt):
            if found := self._names.get(inside):
                return LayerName(found.base, inside, found.is_llama)
        return None


def _spellings(base: BaseModel) -> Iterator[tuple[str, str, bool]]:
    modules = {name.rpartition(".")[0] or name for name in base.shapes} | {AUDIO_HEAD}
    for name in sorted(modules):
        llama = llama_name(name)
        for spelt, is_llama in ((name, False), *(((llama, True),) if llama else ())):
            yield name, spelt, is_llama
            yield name, spelt.replace(".", "_"), is_llama


def llama_name(layer: str) -> str | None:
    """What a `transformers` Llama calls a layer of either transformer, where it calls it otherwise."""
    for ours, theirs in LLAMA_NAMES.items():
        if layer.endswith(f".{ours}"):
            return f"{layer.removesuffix(ours)}{theirs}"
    return None


def _insides(spelt: str) -> Iterator[str]:
    """A name, and what is left of it behind each known prefix."""
    rest = unwrapped(spelt)
    yield rest
    while prefix := next((prefix for prefix in PREFIXES if rest.startswith(prefix)), None):
        rest = unwrapped(rest.removeprefix(prefix))
        yield rest


def other_model(names: list[str]) -> str | None:
    """The model that layers belong to, as far as their names tell."""
    return next((model for mark, model in OTHER_MODELS.items() if any(mark in name for name in names)), None)

"""The card of a style on the Hub: what it is, what it learnt from and with which rights, and how it came about.

Pure. Names of recordings stay here; only their number and rights go out.
"""

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from heartmula_studio.files.wording import counted
from heartmula_studio.services.library.hub import STYLE_TAGS
from heartmula_studio.store.records import Checkpoint

OFFICIAL = ("HeartMuLa-",)
ORGANISATION = "HeartMuLa"
RIGHTS = {"own": "own", "licensed": "licensed", "public_domain": "public domain", "unknown": "rights unknown"}
SHOWN_SETTINGS = ("method", "epochs", "max_steps", "learning_rate", "schedule", "batch_size", "max_window_sec", "seed")
SHOWN_LORA = ("kind", "rank", "alpha", "dropout", "target_modules", "use_rslora", "use_dora", "audio_head")
FIGURES = {
    "told": "Share of its songs and the base's that a classifier tells apart (0.5 is chance)",
    "nearness": "Place of its songs between the base's (0) and the tracks (1)",
    "nearness_threshold": "Place that songs of the base reach by chance",
    "ended_share": "Share of its songs that end by themselves",
    "base_ended_share": "Share of the base's songs that end by themselves",
    "held_out_loss": "Held-out loss",
    "base_held_out_loss": "Held-out loss of the base",
}

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~$-])")


@dataclass(frozen=True)
class SongPair:
    """One song by the base and in the style, from one prompt and seed; where a card's reader gets them."""

    tags: str
    base_url: str
    style_url: str


def style_card(
    checkpoint: Checkpoint,
    license: str,
    provenance: Mapping[str, Any],
    figures: Mapping[str, Any],
    app_version: str,
    songs: Sequence[SongPair] = (),
) -> str:
    """Return the README.md of a style. `provenance`: hashes by name; `figures`: what was measured of it, if at all."""
    base = checkpoint.base_model.get("name", "")
    front: dict[str, Any] = {
        "license": license,
        "library_name": "peft",
        "pipeline_tag": "text-to-audio",
        "tags": [*STYLE_TAGS, "music", *(["full-fine-tune"] if checkpoint.method == "full" else [])],
    }
    if base.startswith(OFFICIAL):
        front |= {"base_model": f"{ORGANISATION}/{base}", "base_model_relation": _relation(checkpoint)}
    sections = [
        f"# {plain(checkpoint.name)}",
        _about(checkpoint, base),
        songs_table(songs),
        _section("Merged from", parent_lines(checkpoint)),
        _section("Data", data_lines(checkpoint)),
        _section("Settings", settings_lines(checkpoint.recipe)),
        _section("Losses", losses_lines(checkpoint)),
        _section("Measured", figure_lines(figures)),
        _section("To be known", [*map(plain, checkpoint.warnings), *near_copy_lines(figures)]),
        _section("Use", use_lines(checkpoint)),
        _section("Provenance", [f"{name}: `{value}`" for name, value in provenance.items() if isinstance(value, str)]),
        f"Made with HeartMuLa Training Studio {app_version}.",
    ]
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n" + "\n\n".join(filter(None, sections)) + "\n"


def _relation(checkpoint: Checkpoint) -> str:
    return "adapter" if checkpoint.method == "lora" else "finetune"


def _about(checkpoint: Checkpoint, base: str) -> str:
    kind = "A style (LoRA)" if checkpoint.method == "lora" else "A full fine-tune"
    styles = f" in the style of {', '.join(map(plain, checkpoint.styles))}" if checkpoint.styles else ""
    word = f" Put “{plain(checkpoint.trigger_word)}” first among the tags." if checkpoint.trigger_word else ""
    made = "merged for" if checkpoint.merged_from else "trained on"
    return f"{kind} for the music language model HeartMuLa, {made} {plain(base) or 'an unnamed base'}{styles}.{word}"


def data_lines(checkpoint: Checkpoint) -> list[str]:
    counts = Counter(track.rights for track in checkpoint.rights)
    if not counts:
        return ["What it learnt from, and with which rights, is not recorded."]
    parts = ", ".join(f"{count} {RIGHTS[rights]}" for rights, count in counts.most_common())
    return [f"{counted(counts.total(), 'recording')}: {parts}."]


def settings_lines(recipe: Mapping[str, Any]) -> list[str]:
    config = recipe.get("config")
    config = config if isinstance(config, dict) else {}
    lora = config.get("lora") if config.get("method") == "lora" else None
    pairs = [(name, config[name]) for name in SHOWN_SETTINGS if config.get(name) is not None]
    pairs += [(f"lora {name}", lora[name]) for name in SHOWN_LORA if isinstance(lora, dict) and lora.get(name)]
    pairs += [(name, recipe[name]) for name in ("step", "total_steps") if recipe.get(name) is not None]
    return [f"{plain(name)}: {plain(_value(value))}" for name, value in pairs]


def losses_lines(checkpoint: Checkpoint) -> list[str]:
    losses = checkpoint.losses
    named = {"training": losses.train, "held out, before": losses.initial, "held out, best": losses.best}
    return [f"{name}: {value:.4f}" for name, value in named.items() if value is not None]


def figure_lines(figures: Mapping[str, Any]) -> list[str]:
    numbers = {label: figures.get(name) for name, label in FIGURES.items()}
    return [f"{label}: {value:.4g}" for label, value in numbers.items() if isinstance(value, int | float)]


def near_copy_lines(figures: Mapping[str, Any]) -> list[str]:
    said = "**Some of its songs came close to a recording that it learnt from.**"
    return [said] if figures.get("is_near_copy") else []


def use_lines(checkpoint: Checkpoint) -> list[str]:
    if checkpoint.method == "full":
        return ["Full weights in heartlib's layout: `model*.safetensors` and `config.json`."]
    return [
        "In HeartMuLa Training Studio: `heartmula-studio hub pull` with this repository's id.",
        "In PEFT: `PeftModel.from_pretrained(heartmula, folder)` on the model that heartlib loads.",
    ]


def songs_table(songs: Sequence[SongPair]) -> str:
    """Players side by side."""
    if not songs:
        return ""
    rows = [f"| {plain(song.tags)} | {_player(song.base_url)} | {_player(song.style_url)} |" for song in songs]
    return "\n".join(["## Listen", "", "| tags | the base | this style |", "|---|---|---|", *rows])


def parent_lines(checkpoint: Checkpoint) -> list[str]:
    return [f"{plain(p.name)}, strength {p.strength:g}: `{p.sha256}`" for p in checkpoint.merged_from]


def _player(url: str) -> str:
    return f'<audio controls src="{html.escape(url)}"></audio>'


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def plain(text: object) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))

"""The settings of one training run: definitions of a run and of its LoRA, mirrored by one JSON file.

Does not know networks, data or devices; only what a person may ask for.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.finetune.layer_values import EXAMPLE, parse_layer_values
from heartmula_studio.settings import BUNDLED_BASE

TransformerLinear = Literal["q_proj", "k_proj", "v_proj", "output_proj", "w1", "w2", "w3"]
Dtype = Literal["float32", "bfloat16"]
BaseDtype = Literal["float32", "bfloat16", "nf4"]
Method = Literal["lora", "full"]
AdapterKind = Literal["lora", "pissa", "loha", "lokr"]
Share = Annotated[float, Field(ge=0, le=1)]

TRANSFORMER_LINEARS: tuple[TransformerLinear, ...] = get_args(TransformerLinear)
NOT_WITH: dict[AdapterKind, tuple[str, ...]] = {
    "lora": (),
    "pissa": ("use_dora", "audio_head"),
    "loha": ("dropout", "use_rslora", "use_dora", "audio_head"),
    "lokr": ("dropout", "use_rslora", "use_dora", "audio_head"),
}
NOT_WITH_AUDIO_HEAD = ("dropout", "use_dora")
RENAMED = {"depth_share": "depth_frame_fraction"}  # settings by the names of earlier releases


@dataclass(frozen=True)
class LoraSettings(Definition):
    """The adapter: which linear layers of both transformers it changes, and how."""

    prefix: ClassVar[str] = "lora."

    kind: Annotated[
        AdapterKind,
        Field(
            description="lora: the proven choice. pissa: a LoRA that starts from the base's strongest "
            "directions. loha and lokr: more change for their size, but slower."
        ),
    ] = "lora"
    rank: Annotated[int, Field(ge=1, le=256, description="Size of a LoRA; 8 to 32 is common.", examples=[8])] = 8
    alpha: Annotated[
        float, Field(ge=0.01, le=4096, description="How strongly a LoRA acts; twice its rank is common.")
    ] = 16.0
    dropout: Annotated[float, Field(ge=0, le=0.9, description="Drops a share at random, against overfitting.")] = 0.0
    target_modules: Annotated[
        tuple[TransformerLinear, ...],
        Field(
            strict=False,
            min_length=1,
            description="Which linear layers a LoRA changes.",
        ),
    ] = TRANSFORMER_LINEARS
    use_rslora: Annotated[bool, Field(description="Keeps high ranks from growing too weak (rsLoRA).")] = False
    use_dora: Annotated[bool, Field(description="Learns direction and magnitude separately (DoRA). Slower.")] = False
    rank_pattern: Annotated[
        str,
        Field(max_length=40_000, description=f"Other ranks for some layers. {EXAMPLE}", examples=["decoder.*=4"]),
    ] = ""
    alpha_pattern: Annotated[
        str,
        Field(max_length=40_000, description="Other alphas for some layers, written the same way.", examples=[None]),
    ] = ""
    audio_head: Annotated[
        bool,
        Field(description="Also trains the output heads of codebooks 1 to 7, which a LoRA otherwise leaves alone."),
    ] = False

    def __post_init__(self) -> None:
        self.ranks()
        self.alphas()
        asked = {
            "dropout": bool(self.dropout), "use_rslora": self.use_rslora, "use_dora": self.use_dora,
            "audio_head": self.audio_head,
        }  # fmt: skip
        if refused := [name for name in NOT_WITH[self.kind] if asked[name]]:
            raise InvalidInputError(
                f"lora.kind {self.kind} does not go with lora.{refused[0]}.", f"Use kind lora, or no {refused[0]}."
            )
        if self.audio_head and any(asked[name] for name in NOT_WITH_AUDIO_HEAD):
            raise InvalidInputError(
                "lora.audio_head cannot be combined with dropout or DoRA, which PEFT has for linear layers only.",
                "Leave out audio_head, or dropout and use_dora.",
            )

    def ranks(self) -> dict[str, int]:
        """The ranks of `rank_pattern`, by the pattern of a layer's name."""
        values = parse_layer_values(self.rank_pattern, "lora.rank_pattern", 1, 256)
        if broken := [name for name, value in values.items() if value != int(value)]:
            raise InvalidInputError(f"lora.rank_pattern: the rank of {broken[0]} is not whole.", EXAMPLE)
        return {name: int(value) for name, value in values.items()}

    def alphas(self) -> dict[str, float]:
        return parse_layer_values(self.alpha_pattern, "lora.alpha_pattern", 0.01, 4096)


@dataclass(frozen=True)
class TrainConfig(Definition):
    """Everything a run depends on. Relative paths start at the job folder.

    One optimizer step sees `batch_size` x `gradient_accumulation_steps` x processes windows.
    Raises InvalidInputError where a value is outside what is allowed, or two do not go together.
    """

    base_model: str = BUNDLED_BASE
    dataset: str = "dataset"
    method: Annotated[Method, Field(description="lora: small and quick. full: every weight.")] = "lora"
    lora: LoraSettings = dataclasses.field(default_factory=LoraSettings)
    start_from: Annotated[
        str,
        Field(
            max_length=1000,
            description="Trains a style further: the id of a stored one; in a shell, its folder. Empty: the base.",
            examples=[None],
        ),
    ] = ""
    trigger_word: Annotated[
        str,
        Field(
            max_length=60,
            description="A made-up word for the style. It is put before the tags of every song in training, and "
            "of every song made in the style.",
            examples=[None],
        ),
    ] = ""
    epochs: Annotated[int, Field(ge=1, le=100_000, description="How many times each song is heard.", examples=[3])] = 3
    max_steps: Annotated[
        int | None,
        Field(ge=1, le=100_000_000, description="Stop after this many steps, however many epochs that is."),
    ] = None
    learning_rate: Annotated[
        float, Field(ge=1e-9, le=1, description="Lower it if the loss rises.", examples=[1e-4])
    ] = 1e-4
    # What suits a base, see `training_record`; without one, windows are cut once and the rate is as it stands.
    learning_rate_factor: Annotated[
        float,
        Field(
            ge=1e-3,
            le=1e3,
            description="The learning rate is multiplied by this to suit the base: small bases learn at higher rates.",
            examples=[None],
        ),
    ] = 1.0
    draws_per_epoch: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="How many times an epoch hears each song, each time in a newly drawn window. 0: once, "
            "always in the same windows.",
            examples=[None],
        ),
    ] = 0
    track_versions: Annotated[
        int,
        Field(
            ge=1,
            le=32,
            description="Windows are drawn from this many versions of each song: the original, and others up to "
            "a semitone faster or slower. The held-out song stays as it is.",
            examples=[None],
        ),
    ] = 1
    min_window_sec: Annotated[
        float, Field(ge=1, le=600, description="In seconds, for windows that are drawn.", examples=[None])
    ] = 10.0
    schedule: Annotated[
        Literal["cosine", "constant"], Field(description="How the learning rate changes after the warm-up.")
    ] = "cosine"
    warmup_ratio: Annotated[Share, Field(description="The share of steps over which the learning rate rises.")] = 0.05
    weight_decay: Annotated[Share, Field(description="Pulls what is learnt back towards the base.")] = 0.01
    max_grad_norm: Annotated[float, Field(ge=1e-6, le=1e6, description="Limits the gradient of any single step.")] = 1.0
    batch_size: Annotated[
        int, Field(ge=1, le=4096, description="Windows heard at once. More of them need more memory.")
    ] = 1
    gradient_accumulation_steps: Annotated[
        int, Field(ge=1, le=4096, description="Batches that make up one step. More of them need no more memory.")
    ] = 1
    max_window_sec: Annotated[
        float,
        Field(
            ge=1,
            le=600,
            description="In seconds. Longer songs are heard in several windows. Shorter windows need less memory.",
        ),
    ] = 240.0
    prior_fraction: Annotated[
        float,
        Field(
            ge=0,
            le=0.9,
            description="The share of drawn windows that come from the base's own songs, without tags and "
            "lyrics, so that the base is not forgotten. Your songs are then always heard with "
            "theirs.",
            examples=[None],
        ),
    ] = 0.0
    conditioning_dropout: Annotated[
        Share, Field(description="How often a song is heard without its tags and lyrics.")
    ] = 0.1
    context_noise: Annotated[
        Share,
        Field(
            description="The share of codes that are swapped for wrong ones, so that songs stay in the style "
            "even after the model's own mistakes: a more audible style, at the cost of the held-out "
            "loss.",
            examples=[None],
        ),
    ] = 0.0
    depth_frame_fraction: Annotated[
        float, Field(ge=0.001, le=1, description="The share of frames that the depth decoder learns from.")
    ] = 1.0
    mixed_precision: Annotated[
        Literal["no", "bf16", "fp16"],
        Field(description="The precision the network computes in. 16 bits are faster on a GPU."),
    ] = "no"
    # Of the base in memory; an adapter itself is float32.
    base_dtype: Annotated[
        BaseDtype,
        Field(
            description="The base's precision in memory. 16 bits need half as much as 32, and fit a full fine-"
            "tune on a 24 GB GPU; 4 bits (nf4) are for a LoRA."
        ),
    ] = "float32"
    save_dtype: Annotated[
        Dtype, Field(description="The precision of a full checkpoint's weights, unless they are trained in fewer bits.")
    ] = "float32"
    gradient_checkpointing: Annotated[
        bool, Field(description="Needs less memory, and a third more time. Automatically on with a GPU.")
    ] = False
    ema_decay: Annotated[
        float,
        Field(
            ge=0,
            le=0.99999,
            description="Keeps a moving average of the weights instead of the last step's (EMA). 0: off.",
        ),
    ] = 0.0
    loss_alarm: Annotated[
        float | None,
        Field(
            ge=0.001,
            le=10,
            description="Ends the training early once the held-out loss has risen this far above its lowest: 0.1"
            " is ten percent.",
            examples=[None],
        ),
    ] = None
    tracker: Annotated[
        Literal["none", "tensorboard"],
        Field(description="Also writes the curves for TensorBoard, to the folder `tracking` of the run."),
    ] = "none"
    state_every_steps: Annotated[
        int, Field(ge=1, le=100_000_000, description="A state to resume from is saved every so many steps.")
    ] = 50
    ladder_rungs: Annotated[
        int, Field(ge=0, le=50, description="Checkpoints to keep along the way, to choose from by ear. 0: none.")
    ] = 5
    ladder_max_gb: Annotated[
        float, Field(ge=0, le=1000, description="The most disk space that all of them may take together, in GB.")
    ] = 2.0
    preview_songs: Annotated[
        int, Field(ge=0, le=8, description="Songs rendered with the base and each of these checkpoints. 0: none.")
    ] = 4
    preview_sec: Annotated[float, Field(ge=2, le=120, description="The length of these songs, in seconds.")] = 10.0
    preview_seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Same number, same prompts and songs.")] = 1
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Same number, same run.")] = 0

    def __post_init__(self) -> None:
        if self.method == "full" and self.base_dtype == "nf4":
            raise InvalidInputError(
                "A full fine-tune cannot train weights in four bits.",
                'Use base_dtype "bfloat16" or "float32", or method "lora".',
            )
        if set(self.trigger_word) & set(",<>\r\n"):
            raise InvalidInputError(
                f"The trigger word is {self.trigger_word!r}.", "Use one tag, without commas, <, > or line breaks."
            )
        if self.method == "full" and self.ema_decay:
            raise InvalidInputError(
                "ema_decay averages an adapter; a full fine-tune would need room for a second model.",
                'Use method "lora", or ema_decay 0.',
            )
        if self.is_full_in_16_bits and self.mixed_precision == "fp16":
            raise InvalidInputError(
                "A full fine-tune of weights in bfloat16 cannot compute in fp16.",
                'Use mixed_precision "bf16" or "no", or base_dtype "float32".',
            )
        if self.base_dtype == "nf4" and (self.lora.use_dora or self.lora.kind != "lora"):
            other = "DoRA" if self.lora.use_dora else self.lora.kind
            raise InvalidInputError(
                f"base_dtype nf4 works with plain LoRA only: {other} needs the base's weights as they are.",
                f'Use base_dtype "bfloat16", or no {other}.',
            )

    @property
    def is_full_in_16_bits(self) -> bool:
        """Whether all weights are trained, in bfloat16: with moments in 8 bits, and gradients outside the device."""
        return self.method == "full" and self.base_dtype == "bfloat16"

    @property
    def peak_learning_rate(self) -> float:
        """The rate that the optimizer is given at its highest."""
        return self.learning_rate * self.learning_rate_factor

    @property
    def num_versions(self) -> int:
        """The versions of a track that are heard: one where windows are not drawn."""
        return self.track_versions if self.draws_per_epoch else 1

    @property
    def checkpoint_dtype(self) -> Dtype:
        """The type of a full checkpoint's weights: `save_dtype`, or that of the weights where it would add nothing."""
        return "bfloat16" if self.is_full_in_16_bits else self.save_dtype

    @property
    def ladder_max_bytes(self) -> int:
        return int(self.ladder_max_gb * 10**9)

    def rung_steps(self, total_steps: int) -> tuple[int, ...]:
        """Return the steps of a run at which checkpoints are kept to listen to: evenly spaced, the last one included.

        None of a full fine-tune, where each would be a whole model.
        """
        rungs = self.ladder_rungs if self.method == "lora" and total_steps else 0
        return tuple(sorted({max(1, round(total_steps * number / rungs)) for number in range(1, rungs + 1)}))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Take the settings in `values`, defaults elsewhere. Raises InvalidInputError where a name is unknown."""
        values = current_names(values)
        if isinstance(values.get("lora"), Mapping):
            values["lora"] = LoraSettings(**values["lora"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as in the JSON file: lists for tuples."""
        values = dataclasses.asdict(self)
        values["lora"]["target_modules"] = list(self.lora.target_modules)
        return values

    @classmethod
    def load(cls, path: Path) -> "TrainConfig":
        """Read a JSON file. Raises NotFoundError without the file, InvalidInputError where it is not such a config."""
        if not path.is_file():
            raise NotFoundError(f"There is no {path}.", "A job folder holds a config.json with its training settings.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidInputError(
                f"{path} is not JSON: {error}.", "Write the training settings as one object."
            ) from error
        if not isinstance(values, dict):
            raise InvalidInputError(f"{path} holds {values!r}.", "It must hold one object of named settings.")
        return cls.from_dict(values)

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all."""
        with replaced_file(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the names of this release. Raises InvalidInputError for one under both of its names."""
    for old, new in RENAMED.items():
        if old in values and new in values:
            raise InvalidInputError(f"{old} and {new} are the same setting.", f"Give {new} alone.")
    return {RENAMED.get(name, name): value for name, value in values.items()}

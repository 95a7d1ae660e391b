"""The bodies of requests. Types are checked here, ranges where the values are used."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from heartmula_studio.store.records import Method, Rights, SongFormat


class Body(BaseModel):
    """No unknown names, and no guessing: "3" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewDataset(Body):
    name: str = Field(examples=["My Dataset"])
    styles: list[str] = Field([], examples=[["Pop", "Electronic"]])


class DatasetChange(Body):
    """What is left out stays as it is."""

    name: str | None = Field(None, examples=["My Dataset"])
    styles: list[str] | None = Field(None, examples=[["Pop", "Electronic"]])


class SongChange(Body):
    """What is left out stays as it is. `caption` are the lyrics, plain or LRC."""

    caption: str | None = Field(None, examples=["[verse]\nThe sun creeps in across the floor"])
    tags: list[str] | None = Field(None, examples=[["piano", "calm"]])
    rights: Rights | None = Field(None, examples=["own"])


class SongFields(Body):
    """The fields that may come with an uploaded song."""

    caption: str = ""
    tags: list[str] = []
    rights: Rights = "unknown"


class TrainingSettings(Body):
    """What is left out takes the studio's defaults."""

    epochs: int | None = Field(None, description="How often each song is heard.", examples=[4])
    learning_rate: float | None = Field(
        None, description="By default 0.0001, and more for a LoRA on a base smaller than the 3B.", examples=[None]
    )
    lora_rank: int | None = Field(None, description="Size of a LoRA; 8 to 32 is common.", examples=[8])
    lora_alpha: float | None = Field(None, description="How strongly a LoRA acts; twice its rank is common.")
    lora_dropout: float | None = None
    lora_target_modules: list[str] | None = Field(None, description="Which linear layers a LoRA changes.")
    lora_use_rslora: bool | None = None
    lora_use_dora: bool | None = None
    max_steps: int | None = Field(None, description="Stop after this many steps, however many epochs that is.")
    schedule: Literal["cosine", "constant"] | None = None
    warmup_ratio: float | None = None
    weight_decay: float | None = None
    max_grad_norm: float | None = None
    batch_size: int | None = Field(None, description="Windows heard at once.")
    gradient_accumulation_steps: int | None = None
    max_window_sec: float | None = Field(None, description="Longer songs are heard in several windows, in seconds.")
    conditioning_dropout: float | None = None
    depth_frame_fraction: float | None = None
    depth_share: float | None = Field(None, deprecated="Say depth_frame_fraction.")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = None
    base_dtype: Literal["float32", "bfloat16", "nf4"] | None = Field(
        None, description="Of the base in memory. nf4 is for a LoRA; bfloat16 brings a full fine-tune to a 24 GB GPU."
    )
    save_dtype: Literal["float32", "bfloat16"] | None = None
    gradient_checkpointing: bool | None = Field(None, description="Slower, with less memory. On by itself on a GPU.")
    state_every_steps: int | None = Field(None, description="How often a resumable state is saved.")
    seed: int | None = Field(None, description="Same number, same run.")

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True, exclude_none=True)


class NewJob(TrainingSettings):
    dataset_id: str = Field(examples=["k3v9x2m4q8ab"])
    method: Method = Field("lora", examples=["lora"])


class JobChanges(TrainingSettings):
    """For a copy of a job: what is left out is as in that job."""

    method: Method | None = Field(None, examples=["lora"])


class Cancellation(Body):
    save: bool = Field(True, description="Stop after this step and save, so that the job can be resumed.")


class Activation(Body):
    strength: float = Field(1.0, description="0 (the base model) to 2.", examples=[1.0])


class SongSettings(Body):
    tags: str = Field("", description="Comma-separated words for the music.", examples=["piano, calm, slow"])
    lyrics: str = Field("", examples=["[verse]\nThe sun creeps in across the floor"])
    duration_sec: float = Field(60.0, description="The longest it may get.", examples=[30.0])
    seed: int | None = Field(None, description="Same number, same song; left out, a new one each time.", examples=[7])
    temperature: float = Field(1.0, examples=[1.0])
    topk: int = Field(50, examples=[50])
    cfg_scale: float = Field(1.5, description="How closely to follow the words.", examples=[1.5])
    format: SongFormat = Field("wav", examples=["wav"])


class NewSong(SongSettings):
    style: str = Field(
        "active",
        description='"active", "base" for the base model alone, or the id of a checkpoint for this song only.',
        examples=["active"],
    )
    strength: float | None = Field(
        None, description="Of the checkpoint that `style` names: 0 (the base model) to 2.", examples=[None]
    )


class Comparison(SongSettings):
    """One song, to be made by the base model alone and in the style."""

    strength: float | None = Field(None, description="Of the style: 0 (the base model) to 2.", examples=[1.0])


class NewStyle(Body):
    name: str = Field(examples=["synthwave"])

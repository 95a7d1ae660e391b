"""The bodies of requests. Types are checked here, ranges where the values are used."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from heartmula_studio.codec.clean_settings import CLEAN, CleanSettings
from heartmula_studio.definition import Setting
from heartmula_studio.finetune.config import RENAMED
from heartmula_studio.finetune.flat_settings import FREE
from heartmula_studio.generate.decode_settings import DECODE, DecodeSettings
from heartmula_studio.generate.merge_settings import MERGE
from heartmula_studio.generate.request import MAX_TAKES, SONG, SongRequest
from heartmula_studio.services.songs.prefixes import Continuation
from heartmula_studio.services.training.placement import PLACEMENT
from heartmula_studio.store.records import (
    Ending,
    Method,
    ProposalStatus,
    Rights,
    SongFormat,
    StyleChoice,
)
from heartmula_studio.store.track_changes import TrackChange
from heartmula_studio.store.views import AuditionQuestion

MAX_MIXED = 20  # styles at once
MAX_EDITS = 100_000  # of tracks at once: as many as a dataset can be allowed to hold


class Body(BaseModel):
    """No unknown names, and no guessing: "3" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


def field_of(setting: Setting, default: Any) -> tuple[Any, Any]:
    """Type and description of a setting. Its limits are documented here, and checked where it is used."""
    kind = list[str] if setting.kind is tuple else setting.annotation
    limits = {"minimum": setting.minimum, "maximum": setting.maximum, "maxLength": setting.max_length}
    return kind | None if default is None else kind, Field(
        default,
        description=setting.help,
        examples=setting.field.examples,
        json_schema_extra={name: limit for name, limit in limits.items() if limit is not None},
    )


TRAINING_FIELDS = {name: field_of(setting, None) for name, setting in (FREE | PLACEMENT).items()} | {
    old: (FREE[new].annotation | None, Field(None, deprecated=f"Say {new}.")) for old, new in RENAMED.items()
}
MERGE_FIELDS = {name: field_of(setting, setting.default) for name, setting in MERGE.items()}
CONTINUED_FIELDS = {name: field_of(setting, None) for name, setting in SONG.items()}
LOUDNESS = "loudness_lufs"
DECODE_FIELDS = {name: field_of(setting, setting.default) for name, setting in DECODE.items()} | {
    LOUDNESS: field_of(SONG[LOUDNESS], None)
}
CLEAN_FIELDS = {name: field_of(setting, setting.default) for name, setting in CLEAN.items()}
SONG_FIELDS = {name: field_of(setting, setting.default) for name, setting in SONG.items()}


class NewDataset(Body):
    name: str = Field(examples=["My Dataset"])
    styles: list[str] = Field([], examples=[["Pop", "Electronic"]])


class DatasetChange(Body):
    """What is left out stays as it is."""

    name: str | None = Field(None, examples=["My Dataset"])
    styles: list[str] | None = Field(None, examples=[["Pop", "Electronic"]])


class SongChange(Body):
    """What is left out stays as it is. `caption` are the lyrics, plain or LRC.

    `ending`: whether the recording comes to an end, rather than being cut off; `as_heard` leaves it to the studio.
    """

    caption: str | None = Field(None, examples=["[verse]\nThe sun creeps in across the floor"])
    tags: list[str] | None = Field(None, examples=[["piano", "calm"]])
    rights: Rights | None = Field(None, examples=["own"])
    ending: Ending | None = Field(None, examples=["ends"])


class TrackEdit(SongChange):
    """Of one song. What is added to or removed from its tags, or put first, changes the dataset's where it has none."""

    filename: str = Field(description="As the dataset lists it.", examples=["song.mp3"])
    add_tags: list[str] = Field([], examples=[["live"]])
    remove_tags: list[str] = Field([], examples=[["demo"]])
    trigger_word: str = Field("", description="A tag to put before all the others.", examples=["nightdrive"])

    def change(self) -> TrackChange:
        return TrackChange(**self.model_dump())


class TrackEdits(Body):
    """All are made, or none."""

    tracks: list[TrackEdit] = Field(
        min_length=1,
        max_length=MAX_EDITS,
        examples=[[{"filename": "a.mp3", "rights": "own"}, {"filename": "b.mp3", "add_tags": ["live"]}]],
    )

    def changes(self) -> list[TrackChange]:
        return [track.change() for track in self.tracks]


class Cleaning(create_model("Cleaning", __base__=Body, **CLEAN_FIELDS)):  # type: ignore[misc]  # dynamic
    """What is cleaned of a recording; its original stays."""

    def settings(self) -> CleanSettings:
        return CleanSettings(**self.model_dump(include=set(CLEAN)))


class CleaningOfMany(Cleaning):
    filenames: list[str] = Field([], description="As the dataset lists them; left out, all.", examples=[["song.mp3"]])


class Decision(Body):
    """On what a program proposed. `open` undoes what was decided, with all that it did."""

    status: ProposalStatus = Field(examples=["accepted"])


class NewAnalysis(Body):
    """What to listen with. Tempo and key need none of it."""

    model: str = Field(
        "",
        description="A folder beside the official models; by default HeartTranscriptor, or the only one that will do.",
        examples=["HeartTranscriptor-oss"],
    )
    language: str = Field(
        "", description="The language of the lyrics (ISO 639-1); detected by default.", max_length=3, examples=["en"]
    )
    separate_vocals: bool | None = Field(
        None,
        description="Whether lyrics are transcribed from the voice alone, which Demucs separates; by default, where it "
        "is installed and its model is here.",
    )
    separator: str = Field(
        "",
        description="A folder with a Demucs model beside the official models; by default htdemucs, or the only one.",
        examples=["htdemucs"],
    )


class SongFields(Body):
    """The fields that may come with an uploaded song."""

    caption: str = ""
    tags: list[str] = []
    rights: Rights = "unknown"


class TrainingSettings(create_model("TrainingSettings", __base__=Body, **TRAINING_FIELDS)):  # type: ignore[misc]  # dynamic
    """What is left out takes the studio's defaults."""

    def given(self) -> dict[str, Any]:
        given: dict[str, Any] = self.model_dump(exclude_unset=True, exclude_none=True)
        return given


class PlannedJob(TrainingSettings):
    dataset_id: str = Field(examples=["k3v9x2m4q8ab"])
    method: Method = Field("lora", examples=["lora"])


class NewJob(TrainingSettings):
    """A training on a dataset, or on a catalogue of the server's."""

    dataset_id: str | None = Field(None, examples=["k3v9x2m4q8ab"])
    catalogue: str | None = Field(None, description="As /training/catalogues names it.", examples=[None])
    method: Method = Field("lora", examples=["lora"])

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset_id is None) == (self.catalogue is None):
            raise ValueError("give either dataset_id or catalogue")
        return self


class JobChanges(TrainingSettings):
    """For a copy of a job: what is left out is as in that job."""

    method: Method | None = Field(None, examples=["lora"])


class Cancellation(Body):
    save: bool = Field(True, description="Stop after the current step and save, so that the job can be resumed.")


class Activation(Body):
    """Of a style. Attention and MLP layers have its strength unless they are given one of their own."""

    strength: float = Field(1.0, description="0 (the base model) to 2.", examples=[1.0])
    attention_strength: float | None = Field(
        None, description="The strength of its attention layers alone.", examples=[None]
    )
    mlp_strength: float | None = Field(None, description="The strength of its MLP layers alone.", examples=[None])


class MixedStyle(Activation):
    id: str = Field(examples=["k3v9x2m4q8ab"])

    def choice(self) -> StyleChoice:
        return StyleChoice(**self.model_dump())


class Mix(Body):
    """Styles whose changes of the weights add up, each times its strength."""

    styles: list[MixedStyle] = Field(
        min_length=1,
        max_length=MAX_MIXED,
        examples=[[{"id": "k3v9x2m4q8ab", "strength": 0.7}, {"id": "p7w1c5n0z3de", "strength": 0.5}]],
    )


class Merge(create_model("Merge", __base__=Mix, **MERGE_FIELDS)):  # type: ignore[misc]  # dynamic
    """Two or more LoRA styles, to be made a new one; `tags` are words for it, its parents' where there are none."""

    name: str = Field(examples=["Night and day"])
    tags: list[str] = Field([], examples=[["synthwave", "slow"]])

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = self.model_dump(include=set(MERGE))
        return settings


class SongEdit(Body):
    title: str = Field(description="1 to 200 characters.", examples=["Night drive"])


class SongChoice(Body):
    """Songs to be downloaded as one zip."""

    ids: list[str] = Field(examples=[["k3v9x2m4q8ab"]])
    format: SongFormat | None = Field(
        None, description="If left out, each song in the format it was made in.", examples=["mp3"]
    )


class Star(Body):
    starred: bool = Field(True, description="Add the star, or remove it.")


class Keeping(Body):
    name: str | None = Field(
        None, description="The style's name; if left out, it is named after dataset and step.", examples=[None]
    )


class NewAudition(Body):
    step: int = Field(description="The step of the rung that is compared with the base.", examples=[120])
    trials: int = Field(8, description="Pairs of songs to judge.", examples=[8])
    question: AuditionQuestion = Field(
        "told", description="told: which song is the rung's. preferred: which one you like better.", examples=["told"]
    )


class Vote(Body):
    trial: int = Field(description="From 0 on.", examples=[0])
    choice: str = Field(
        description="The side, a or b, that is taken for the trained one, or preferred.", examples=["a"]
    )


class SongSettings(create_model("SongSettings", __base__=Body, **SONG_FIELDS)):  # type: ignore[misc]  # dynamic
    format: SongFormat = Field("wav", examples=["wav"])

    def request(self) -> SongRequest:
        return SongRequest.of(self.model_dump(include=set(SONG)))


class NewSong(SongSettings):
    style: str = Field(
        "active",
        description='"active", "base" for the base model alone, or the id of a checkpoint for this song only.',
        examples=["active"],
    )
    strength: float | None = Field(
        None, description="The strength of the checkpoint that `style` names: 0 (the base model) to 2.", examples=[None]
    )
    styles: list[MixedStyle] = Field(
        [],
        max_length=MAX_MIXED,
        description="Several LoRA styles for this song only, each with its strength; leave out `style` then.",
        examples=[[]],
    )

    def choices(self) -> list[StyleChoice]:
        return [style.choice() for style in self.styles]


class NewTakes(NewSong):
    """Several songs of one request, made side by side, or one after the other; their seeds count on."""

    takes: int = Field(description=f"1 to {MAX_TAKES}.", examples=[4])
    until_end: bool = Field(
        False,
        description="Make takes one after another, `takes` at most, until one ends by itself. The answer holds "
        "only the first.",
    )


class Continuing(create_model("Continuing", __base__=Body, **CONTINUED_FIELDS)):  # type: ignore[misc]  # dynamic
    """A song that goes on from another one, or from a tokenized recording of a dataset, at a second.

    With `to_sec`, only the stretch until there is remade, and the song is as long as the other one.
    Other settings that are left out are as in that song; `duration_sec` counts from its beginning.
    """

    song_id: str | None = Field(None, examples=["k3v9x2m4q8ab"])
    dataset_id: str | None = Field(None, examples=[None])
    filename: str | None = Field(None, description="Of a recording in the dataset.", examples=[None])
    from_sec: float | None = Field(
        None, description="If left out, its end; with `to_sec`, its beginning.", examples=[12.0]
    )
    to_sec: float | None = Field(
        None,
        description="From here on, the song stays as it is. What is made does not take into account what comes "
        "after it.",
        examples=[None],
    )
    format: SongFormat = Field("wav", examples=["wav"])
    style: str = Field("active", description='"active", "base", or the id of a checkpoint.', examples=["active"])
    strength: float | None = Field(
        None, description="The strength of the checkpoint that `style` names.", examples=[None]
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        is_track = self.dataset_id is not None and self.filename is not None
        if (self.song_id is not None) == is_track:
            raise ValueError("give either song_id, or dataset_id and filename")
        return self

    def wishes(self) -> Continuation:
        return Continuation(self.model_dump(include=set(SONG)), self.format, self.style, self.strength)


class Replaying(Body):
    """A song to be made again: one that is here, or any by its receipt."""

    song_id: str | None = Field(None, examples=["k3v9x2m4q8ab"])
    receipt: dict[str, Any] | None = Field(
        None, description="The JSON file beside a song, or the one in its tags.", examples=[None]
    )
    format: SongFormat = Field("wav", examples=["wav"])

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.song_id is None) == (self.receipt is None):
            raise ValueError("give either song_id or receipt")
        return self


class Redecoding(create_model("Redecoding", __base__=Body, **DECODE_FIELDS)):  # type: ignore[misc]  # dynamic
    """How a song's codes become sound; without a loudness, it is that of the song."""

    format: SongFormat = Field("wav", examples=["wav"])

    def settings(self) -> DecodeSettings:
        return DecodeSettings(**self.model_dump(include=set(DECODE)))


class Comparison(SongSettings):
    """One song, to be made by the base model alone and in the style."""

    strength: float | None = Field(
        None, description="The strength of the style: 0 (the base model) to 2.", examples=[1.0]
    )


class NewStyle(Body):
    name: str = Field(examples=["synthwave"])

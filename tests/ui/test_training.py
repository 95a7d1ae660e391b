"""The training form against the trainer's own settings."""

import dataclasses
import re
from typing import get_args

import pytest

from heartmula_studio.finetune.config import TRANSFORMER_LINEARS, AdapterKind, TrainConfig
from heartmula_studio.finetune.flat_settings import FREE, with_settings
from heartmula_studio.store.views import Estimate, Problem
from heartmula_studio.ui.training import (
    NAMES,
    PRESETS,
    dataset_field,
    estimate_html,
    preset_values,
    refreshed_start_field,
    rough_size,
    settings_from,
    show_estimate,
)
from heartmula_studio.ui.training_fields import ADVANCED, ATTENTION
from tests.still_studio import filled as filled_dataset
from tests.still_studio import settings_for, still_studio

AS_IT_STANDS = (3, 0.0001, 8, "", *(setting.default for setting in ADVANCED))  # the guide's


def filled(**values) -> tuple:
    """The form's values where `values` were typed."""
    assert values.keys() <= set(NAMES)
    return tuple(values.get(name, before) for name, before in zip(NAMES, AS_IT_STANDS, strict=True))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_untouched_form_is_the_trainers_defaults(method):
    untouched = with_settings(TrainConfig(method=method), settings_from(method, AS_IT_STANDS))
    assert untouched == TrainConfig(method=method)


def test_an_untouched_form_leaves_to_the_installation_what_it_decides(studio):
    """It asked for previews where the studio was set to render none."""
    config = studio._runtime.get().train_config("lora", settings_from("lora", AS_IT_STANDS))
    assert config == studio._runtime.get().train_config("lora")
    assert config.preview_songs == 0


def test_every_setting_has_a_field():
    assert set(NAMES) == set(FREE)


def test_every_choice_is_one_that_the_trainer_takes():
    for setting in ADVANCED:
        for _, choice in setting.choices:
            with_settings(TrainConfig(), settings_from("lora", filled(**{setting.name: choice})))


@pytest.fixture
def studio(tmp_path):
    return still_studio(settings_for(tmp_path / "data"))


def test_presets_are_as_many_epochs_as_the_record_has_steps(studio):
    """Six songs of three seconds: what is drawn of five of them, in batches of four, is ten steps an epoch."""
    id = filled_dataset(studio, 6).id
    presets = studio.planning.presets(id)
    record = studio._runtime.get().training_record
    assert [preset.name for preset in presets] == list(PRESETS)
    per_epoch = presets[0].steps // presets[0].settings["epochs"]
    for preset, steps in zip(presets, (record.fast_steps, record.balanced_steps, record.thorough_steps), strict=True):
        assert abs(preset.steps - steps) <= per_epoch / 2
        values = preset_values(studio, preset.name, id, "lora", *filled(max_steps=5))
        assert values == (preset.settings["epochs"], TrainConfig.learning_rate, record.preset_rank, 0, 0)


def test_a_rank_beyond_the_slider_goes_under_advanced(studio, monkeypatch):
    big = dataclasses.replace(studio._runtime.get().training_record, preset_rank=64)
    monkeypatch.setattr(type(studio._runtime.get()), "training_record", big)
    id = filled_dataset(studio).id
    assert preset_values(studio, "Fast", id, "lora", *AS_IT_STANDS)[2:] == (32, 64, 0)
    typed = with_settings(TrainConfig(), settings_from("lora", (3, 0.0001, 32, "", *beyond(64))))
    assert (typed.lora.rank, typed.lora.alpha) == (64, 128)


def beyond(rank: int) -> tuple:
    return tuple(rank if setting.name == "lora_rank" else setting.default for setting in ADVANCED)


def test_too_few_steps_to_hear_are_said_with_what_would_do(studio):
    id = filled_dataset(studio).id
    html, start, enough, *labels = show_estimate(studio, id, "lora", *filled(max_steps=2))
    assert "2 steps: too few to hear." in html
    assert re.search(r"Balanced is \d+, about \d+ minutes?\.", html)
    assert (start["interactive"], enough["visible"]) == (True, True)
    assert all(re.fullmatch(rf"{name}: \d+ steps, .+", said) for name, said in zip(PRESETS, labels, strict=True))
    html, _, enough, *_ = show_estimate(studio, id, "lora", *AS_IT_STANDS)
    assert "too few" not in html
    assert enough["visible"] is False


def test_a_newer_dataset_does_not_displace_the_one_in_the_form(studio):
    """It was trained on instead of what the form had shown when somebody else made it meanwhile."""
    first, second = filled_dataset(studio), filled_dataset(studio)

    def chosen(remembered: str, shown: str | None) -> str:
        return dataset_field(studio, remembered, shown)[0]["value"]

    assert chosen("", None) == second.id
    assert chosen("", first.id) == first.id
    assert chosen(second.id, first.id) == second.id
    studio.datasets.delete(first.id)
    assert chosen(first.id, first.id) == second.id


def test_what_is_typed_arrives():
    typed = filled(epochs=7, lora_rank=16, lora_alpha=5.0, lora_target_modules="attention", max_steps=9, seed=3)
    config = with_settings(TrainConfig(), settings_from("lora", typed))
    assert (config.epochs, config.max_steps, config.seed) == (7, 9, 3)
    assert (config.lora.rank, config.lora.alpha, config.lora.target_modules) == (16, 5.0, ATTENTION)
    assert set(ATTENTION) < set(TRANSFORMER_LINEARS)


def test_a_rank_alone_brings_twice_its_alpha():
    config = with_settings(TrainConfig(), settings_from("lora", filled(lora_rank=32)))
    assert config.lora.alpha == 64


def test_an_emptied_field_is_left_to_the_studio():
    assert "epochs" not in settings_from("lora", filled(epochs=None))


@pytest.mark.parametrize("kind", get_args(AdapterKind))
def test_a_kind_is_asked_for_only_with_what_goes_with_it(kind):
    """Everything is ticked: what is not shown with this kind does not arrive, and the trainer takes the rest."""
    ticked = {"lora_use_dora": True, "lora_use_rslora": True, "lora_dropout": 0.1, "lora_audio_head": True}
    config = with_settings(TrainConfig(), settings_from("lora", filled(lora_kind=kind, **ticked)))
    assert (config.lora.kind, config.lora.audio_head) == (kind, kind == "lora")
    assert config.lora.use_rslora is (kind in ("lora", "pissa"))


def test_a_full_fine_tune_has_no_settings_of_a_lora():
    assert not [name for name in settings_from("full", filled(lora_rank=16)) if name.startswith("lora_")]


def test_a_style_that_is_trained_further_keeps_what_makes_its_lora():
    given = settings_from("lora", filled(start_from="style1", lora_rank=16, lora_use_dora=True, epochs=7))
    assert (given["start_from"], given["epochs"]) == ("style1", 7)
    assert not [name for name in given if name.startswith("lora_")]


def test_styles_that_come_do_not_take_back_what_a_training_starts_from(studio):
    assert "value" not in refreshed_start_field(studio, "")
    assert refreshed_start_field(studio, "a style that was deleted")["value"] == ""


@pytest.mark.parametrize(("num_bytes", "text"), [(8_410_000, "8 MB"), (220_900_000, "200 MB"), (0, "0 B")])
def test_rough_sizes_have_one_digit(num_bytes, text):
    assert rough_size(num_bytes) == text


def test_what_stands_in_the_way_is_said_in_its_own_words_alone():
    problem = Problem("night.mp3: it is cut off.", "Remove it from the dataset.")
    said = estimate_html(Estimate(9, 60.0, 10, 20, 30, 40, 50, "cpu", (problem,)))
    assert problem.message in said
    assert problem.hint in said
    assert "fit" not in said

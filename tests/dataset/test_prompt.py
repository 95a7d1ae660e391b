import json
import shutil
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer

from heartmula_studio.dataset.prompt import PromptLayout, SpecialTokens, split_tags
from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointMissingError,
    InvalidInputError,
)
from tests.official_files import add_tag_tokens

TAGS = "Piano,Happy,Wedding"
LYRICS = "[Verse]\nThe sun creeps in across the floor\n[Chorus]\nEvery day"


def text_ids(prompt):
    return prompt.tokens[:, -1].tolist()


def test_prompt_equals_golden(layout, golden):
    prompt = layout.build(TAGS, LYRICS)
    assert torch.equal(prompt.tokens, golden["prompt.tokens"][0])
    assert torch.equal(prompt.mask, golden["prompt.tokens_mask"][0].bool())
    assert prompt.muq_index == golden["prompt.muq_idx"].item()


@pytest.mark.parametrize(
    "tags",
    [
        ["Piano", "Happy", "Wedding"],
        "<tag>piano,happy,wedding</tag>",
        "<TAG>Piano, Happy,, Wedding</TAG> ",
        "\ufeffpiano,\r\nhappy\n wedding,\x00",
    ],
)
def test_however_tags_are_written_the_prompt_is_the_same(layout, tags):
    assert ",".join(split_tags(tags)).lower() == "piano,happy,wedding"
    assert text_ids(layout.build(tags, LYRICS)) == text_ids(layout.build(TAGS, LYRICS))


def test_split_tags_keeps_spaces_inside_a_tag_and_its_case():
    assert split_tags("Hip  Hop, 90s") == ["Hip Hop", "90s"]
    assert split_tags("") == []


def test_trigger_words_stand_in_front_of_the_tags_once(layout):
    triggered = layout.with_trigger_words("Zxq Mood", "", "other", "other")
    expected = layout.build("zxq mood,other,piano", LYRICS)
    assert text_ids(triggered.build("piano, zxq mood", LYRICS)) == text_ids(expected)
    assert text_ids(layout.with_trigger_words("").build(TAGS, LYRICS)) == text_ids(layout.build(TAGS, LYRICS))


@pytest.mark.parametrize("lyrics", ["", " \n\r\n", "\ufeff"])
def test_an_instrumental_has_begin_and_end_only(layout, lyrics):
    prompt = layout.build(TAGS, lyrics)
    special = layout.special
    assert text_ids(prompt)[prompt.muq_index :] == [special.empty_id, special.text_bos_id, special.text_eos_id]


def test_begin_and_end_are_added_where_the_tokenizer_adds_none(golden_base, layout):
    values = json.loads(golden_base.tokenizer.read_text())
    values["post_processor"] = None
    bare = PromptLayout(Tokenizer.from_str(json.dumps(values)), layout.special)
    assert text_ids(bare.build(TAGS, LYRICS)) == text_ids(layout.build(TAGS, LYRICS))
    assert text_ids(bare.build("", "")) == text_ids(layout.build("", ""))


def test_begin_and_end_are_not_added_twice(golden_base, layout):
    values = json.loads(golden_base.tokenizer.read_text())
    end = {"SpecialToken": {"id": "<|end_of_text|>", "type_id": 0}}
    values["post_processor"]["single"].append(end)
    values["post_processor"]["special_tokens"]["<|end_of_text|>"] = {
        "id": "<|end_of_text|>",
        "ids": [layout.special.text_eos_id],
        "tokens": ["<|end_of_text|>"],
    }
    full = PromptLayout(Tokenizer.from_str(json.dumps(values)), layout.special)
    assert text_ids(full.build(TAGS, LYRICS)) == text_ids(layout.build(TAGS, LYRICS))


def test_timed_and_plain_lyrics_give_the_same_prompt(layout):
    timed = "[ti:Sun]\n[Verse]\n[00:10.00]The sun creeps in across the floor\n[Chorus]\n[00:15.00]Every day"
    assert text_ids(layout.build(TAGS, timed)) == text_ids(layout.build(TAGS, LYRICS))


def test_special_tokens_typed_as_text_stay_text(layout):
    special = layout.special
    ids = text_ids(layout.build(TAGS, "stop <|end_of_text|> and <|begin_of_text|> go"))
    assert ids.count(special.text_bos_id) == 2
    assert ids.count(special.text_eos_id) == 2


@pytest.mark.parametrize("is_special", [True, False], ids=["special", "added"])
def test_tags_marks_are_tokens_where_the_tokenizer_has_them_and_typed_ones_never(golden_base, tmp_path, is_special):
    """P: heartlib's tokenizer may hold `<tag>` as a special token; typed text must not become one."""
    path = tmp_path / "tokenizer.json"
    shutil.copy(golden_base.tokenizer, path)
    add_tag_tokens(path, is_special)
    upstream, layout = Tokenizer.from_file(str(path)), PromptLayout.load(replace(golden_base, tokenizer=path))
    special, marks = layout.special, {upstream.token_to_id("<tag>"), upstream.token_to_id("</tag>")}
    prompt = layout.build("piano,<tag>wedding, <|end_of_text|>", "la <tag> la </tag> <|end_of_text|>")
    ids = text_ids(prompt)
    assert [i for i, value in enumerate(ids) if value in marks] == [1, prompt.muq_index - 2]
    assert ids.count(special.text_eos_id) == 2
    plain = layout.build("Piano, Wedding", "")
    expected = [*upstream.encode("<tag>piano,wedding</tag>").ids, special.text_eos_id]
    assert text_ids(plain)[: plain.muq_index] == expected
    assert len(marks & set(expected)) == 2


def test_a_tokenizer_that_truncates_or_pads_is_told_not_to(golden_base, layout, tmp_path):
    tokenizer = Tokenizer.from_file(str(golden_base.tokenizer))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=300)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    other = PromptLayout.load(replace(golden_base, tokenizer=tmp_path / "tokenizer.json"))
    assert text_ids(other.build(TAGS, LYRICS)) == text_ids(layout.build(TAGS, LYRICS))


def test_a_prompt_too_long_for_the_model_is_refused_with_its_numbers(layout):
    prompt = layout.build(TAGS, "la " * 200)
    needed = len(prompt.tokens) + 10
    prompt.require_room(10, max_positions=needed)
    with pytest.raises(InvalidInputError, match=rf"need {needed} positions for Aria; this base model has {needed - 1}"):
        prompt.require_room(10, max_positions=needed - 1, song="Aria")


def test_special_tokens_are_read(golden_base):
    assert SpecialTokens.load(golden_base.gen_config) == SpecialTokens(331, 332, 130, 0)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"text_bos_id": 1}', b'{"text_bos_id": true}']
)
def test_a_broken_gen_config_is_named(golden_base, tmp_path, content):
    path = tmp_path / "gen_config.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointCorruptError, match=r"gen_config\.json"):
        PromptLayout.load(replace(golden_base, gen_config=path))


def test_an_incomplete_gen_config_names_the_missing_keys(tmp_path):
    path = tmp_path / "gen_config.json"
    path.write_text('{"text_bos_id": 1, "text_eos_id": 2, "audio_eos_id": "3"}')
    with pytest.raises(CheckpointCorruptError, match=r"audio_eos_id, empty_id"):
        SpecialTokens.load(path)


@pytest.mark.parametrize("part", ["tokenizer", "gen_config"])
def test_a_missing_file_is_named(golden_base, tmp_path, part):
    with pytest.raises(CheckpointMissingError, match=r"gone\.json is missing"):
        PromptLayout.load(replace(golden_base, **{part: tmp_path / "gone.json"}))


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b"\xff\xfe\x00"])
def test_a_broken_tokenizer_is_named(golden_base, tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointCorruptError, match=r"tokenizer\.json"):
        PromptLayout.load(replace(golden_base, tokenizer=path))


def test_a_tokenizer_of_another_model_is_refused(golden_base, tmp_path):
    path = tmp_path / "gen_config.json"
    path.write_text(json.dumps({"text_bos_id": 128000, "text_eos_id": 128001, "audio_eos_id": 8193, "empty_id": 0}))
    with pytest.raises(CheckpointMismatchError, match="128000"):
        PromptLayout.load(replace(golden_base, gen_config=path))

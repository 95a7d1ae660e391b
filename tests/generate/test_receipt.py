import json
from dataclasses import replace

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.receipt import Receipt, StyleRecord, package_versions, utc_now
from heartmula_studio.generate.request import SongRequest


@pytest.fixture
def receipt() -> Receipt:
    return Receipt(
        base="nano",
        base_fingerprint="ab" * 32,
        style=StyleRecord(id="fado", method="lora", sha256="cd" * 32, strength=0.8, layers_changed=35),
        request=SongRequest(tags="fado,guitarra", lyrics="[Verse]\nÓ mar", duration_sec=30.0, seed=4),
        frames=375,
        duration_sec=30.0,
        sample_rate_hz=48000,
        codec_id="heartcodec-0123456789ab",
        decode_steps=10,
        decode_guidance=1.25,
        device="cpu",
        dtype="float32",
        versions=package_versions(),
        created_at=utc_now(),
    )


def test_a_receipt_survives_json(receipt):
    assert Receipt.from_json(receipt.to_json()) == receipt
    base_only = replace(receipt, style=None)
    assert Receipt.from_json(base_only.to_json()) == base_only


def test_a_song_of_an_earlier_release_could_end_after_a_second(receipt):
    earlier = json.loads(receipt.to_json())
    del earlier["request"]["min_duration_sec"]
    assert Receipt.from_dict(earlier).request.min_duration_sec == 1


def test_versions_and_time_are_recorded(receipt):
    assert set(receipt.versions) == {"heartmula_studio", "torch", "peft", "transformers"}
    assert receipt.created_at.endswith("+00:00")


@pytest.mark.parametrize("schema", [0, 1, 3, "2", None])
def test_an_unknown_schema_is_refused(receipt, schema):
    text = json.dumps(json.loads(receipt.to_json()) | {"schema": schema})
    with pytest.raises(InvalidInputError, match="schema"):
        Receipt.from_json(text)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2, "base": "nano"}'])
def test_something_else_is_refused(text):
    with pytest.raises(InvalidInputError, match="receipt"):
        Receipt.from_json(text)

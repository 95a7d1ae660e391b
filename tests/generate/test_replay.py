"""What is said of a song that was made again."""

from dataclasses import replace

import pytest

from heartmula_studio.generate.receipt import Receipt, StyleRecord
from heartmula_studio.generate.replay import compare
from heartmula_studio.generate.request import SongRequest

STYLE = StyleRecord(id="fado", method="lora", sha256="cd" * 32, strength=0.8, layers_changed=35)
RECEIPT = Receipt(
    base="nano",
    base_fingerprint="ab" * 8,
    style=STYLE,
    request=SongRequest(seed=4),
    frames=375,
    duration_sec=30.0,
    sample_rate_hz=48000,
    codec_id="heartcodec-0123456789ab",
    decode_steps=10,
    decode_guidance=1.25,
    device="cpu",
    dtype="float32",
    versions={"torch": "2.11.0"},
    created_at="2026-11-29T12:00:00+00:00",
    styles=(STYLE,),
    codes_sha256="11" * 32,
    sound_sha256="22" * 32,
)


def test_equal_codes_and_sound_are_the_same_song_whatever_made_them():
    result = compare(RECEIPT, replace(RECEIPT, created_at="later"))
    assert (result.is_same, result.sentence) == (True, "The same song, bit for bit.")
    assert compare(RECEIPT, replace(RECEIPT, versions={"torch": "2.12.0"})).is_same


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": "cuda"}, "The device is cuda instead of cpu."),
        ({"dtype": "bfloat16"}, "The precision is bfloat16 instead of float32."),
        ({"versions": {"torch": "2.12.0"}}, "The torch is 2.12.0 instead of 2.11.0."),
        ({"versions": {}}, "The torch is none instead of 2.11.0."),
        ({"base_fingerprint": "cd"}, "The base model is cd instead of abababababababab."),
        ({"decode_steps": 5}, "The number of decoding steps is 5 instead of 10."),
        ({"decode_seed": 9}, "The seed of decoding is 9 instead of 4."),
        ({"styles": ()}, "The styles are none instead of fado (cdcdcdcdcdcd) × 0.8."),
    ],
)
def test_what_differs_is_named(change, said):
    result = compare(RECEIPT, replace(RECEIPT, **change, sound_sha256="33" * 32))
    assert result.is_same is False
    assert result.sentence == f"Not the same song. {said} The sound came out different."


def test_a_seed_of_decoding_that_is_the_songs_own_is_no_difference():
    assert compare(RECEIPT, replace(RECEIPT, decode_seed=4, codes_sha256="x")).differences == (
        "The codes came out different.",
    )


def test_a_receipt_of_an_earlier_release_does_not_tell():
    earlier = replace(RECEIPT, codes_sha256="", sound_sha256="")
    assert compare(earlier, RECEIPT).is_same is None
    assert compare(earlier, replace(RECEIPT, frames=374)).is_same is False

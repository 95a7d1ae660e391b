"""Streaming resampling equals resampling the whole, whatever the blocks."""

import pytest
import torch
import torchaudio

from heartmula_studio.codec.resample import practical_rate_hz, regroup, resample_blocks


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("target_hz", [24000, 48000])
@pytest.mark.parametrize("block_samples", [1000, 65536])
def test_blocks_equal_the_whole(rate_hz, target_hz, block_samples):
    whole = torch.rand(2, 2 * rate_hz + 11, generator=torch.Generator().manual_seed(rate_hz)) - 0.5
    blocks = resample_blocks(whole.split(block_samples, dim=1), rate_hz, target_hz)
    expected = torchaudio.functional.resample(whole, rate_hz, target_hz)
    torch.testing.assert_close(torch.cat(list(blocks), dim=1), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("num_samples", [1, 5, 146, 147, 148, 300])
def test_recordings_shorter_than_the_filter(num_samples):
    whole = torch.rand(2, num_samples)
    heard = torch.cat(list(resample_blocks([whole], 44100, 24000)), dim=1)
    torch.testing.assert_close(heard, torchaudio.functional.resample(whole, 44100, 24000), atol=1e-6, rtol=0)


def test_nothing_in_nothing_out():
    assert list(resample_blocks([], 44100, 24000)) == []


def test_blocks_are_handed_out_as_soon_as_their_margin_is_there():
    taken = []

    def source():
        for i in range(10):
            taken.append(i)
            yield torch.zeros(2, 4410)

    first = next(resample_blocks(source(), 44100, 24000))
    assert taken == [0]
    assert 0 < first.shape[1] <= 2400


def test_rates_without_a_common_divisor_stay_small_and_keep_pitch_and_length():
    """22,255 Hz (old Macintosh files) → 24,000 Hz would need a filter bank of gigabytes."""
    seconds, rate_hz = 2, 22255
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(seconds * rate_hz) / rate_hz)[None]
    heard = torch.cat(list(resample_blocks(tone.split(5000, dim=1), rate_hz, 24000)), dim=1)
    assert heard.shape[1] == pytest.approx(seconds * 24000, rel=1e-3)
    peak_hz = torch.fft.rfft(heard[0]).abs().argmax().item() * 24000 / heard.shape[1]
    assert peak_hz == pytest.approx(1000, rel=1e-3)


def test_usual_rates_are_not_rounded():
    for rate_hz in (8000, 11025, 12000, 16000, 22050, 32000, 37800, 44100, 48000, 88200, 96000, 176400, 192000):
        assert practical_rate_hz(rate_hz, 24000) == rate_hz
        assert practical_rate_hz(rate_hz, 48000) == rate_hz


def test_regroup_keeps_every_sample_in_order():
    whole = torch.arange(2 * 103.0).reshape(2, 103)
    blocks = list(regroup(whole.split([1, 30, 2, 50, 20], dim=1), 25))
    assert [block.shape[1] for block in blocks] == [25, 25, 25, 25, 3]
    assert torch.equal(torch.cat(blocks, dim=1), whole)
    assert [block.shape[1] for block in regroup(whole[:, :50].split(25, dim=1), 25)] == [25, 25]

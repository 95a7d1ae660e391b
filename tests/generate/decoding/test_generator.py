from dataclasses import replace

import pytest
import torch

from heartmula_studio.dataset.prompt import Prompt
from heartmula_studio.errors import CancelledError, CheckpointCorruptError, InvalidInputError
from heartmula_studio.generate.decoding.generator import CodeGenerator
from heartmula_studio.generate.decoding.sampling import AudioVocabulary
from heartmula_studio.generate.request import SongRequest

IDS = AudioVocabulary(codebook_size=128, end_id=130)
REQUEST = SongRequest(tags="piano", lyrics="la la", duration_sec=2.0, seed=5)


@pytest.fixture
def generate(golden_heartmula, prompt):
    generator = CodeGenerator(golden_heartmula, IDS)

    def run(request=REQUEST, prompt=prompt, **callbacks):
        [codes] = generator.generate([prompt], [request], **callbacks)
        return codes

    return run


@pytest.fixture
def wants_to_end(golden_heartmula):
    """Makes the end the likeliest id of codebook 0 at every frame."""
    golden_heartmula.codebook0_head.register_forward_hook(
        lambda module, inputs, logits: logits.index_fill(-1, torch.tensor(IDS.end_id), 1e4)
    )


def test_a_song_is_codes_up_to_the_length_limit(generate):
    codes = generate()
    assert codes.dtype == torch.int64
    assert codes.shape[0] == 8
    assert 13 <= codes.shape[1] <= 25
    assert codes.min() >= 0
    assert codes.max() < 128


def test_the_same_seed_gives_the_same_song_and_another_another(generate):
    assert torch.equal(generate(), generate())
    other = generate(replace(REQUEST, seed=6))
    assert not torch.equal(generate()[:, :12], other[:, :12])


def test_a_longer_song_begins_like_a_shorter_one(generate):
    short, long = generate(replace(REQUEST, duration_sec=1.0)), generate(replace(REQUEST, duration_sec=3.0))
    assert torch.equal(long[:, : short.shape[1]], short)


@pytest.mark.parametrize("setting", [{"temperature": 0.5}, {"topk": 3}, {"cfg_scale": 3.0}])
def test_each_sampling_setting_matters(generate, setting):
    assert not torch.equal(generate(replace(REQUEST, **setting))[:, :12], generate()[:, :12])


def test_topk_1_draws_the_likeliest_whatever_the_seed(generate):
    likeliest = generate(replace(REQUEST, topk=1))
    assert torch.equal(generate(replace(REQUEST, topk=1, seed=99, temperature=3.0)), likeliest)


@pytest.mark.usefixtures("wants_to_end")
@pytest.mark.parametrize(("shortest_sec", "num_frames"), [(1.0, 13), (1.5, 19), (20.0, 25)])
def test_the_end_frame_ends_the_song_and_is_not_part_of_it(generate, shortest_sec, num_frames):
    """The end is drawn as soon as it may be, at 12.5 frames a second; before that it is never drawn."""
    codes = generate(replace(REQUEST, min_duration_sec=shortest_sec))
    assert codes.shape[1] == num_frames
    assert codes.max() < 128


def test_progress_counts_frames_towards_the_limit(generate):
    calls = []
    codes = generate(progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, 25) for i in range(codes.shape[1])]


def test_cancellation_is_noticed_before_the_next_frame(generate):
    done = []
    with pytest.raises(CancelledError):
        generate(progress=lambda frame, total: done.append(frame), cancelled=lambda: len(done) == 3)
    assert done == [1, 2, 3]


def test_cancellation_is_noticed_inside_a_frame(golden_heartmula, generate):
    """A frame of the largest model takes a CPU more than a second; its layers do not."""
    steps = []
    golden_heartmula.projection.register_forward_hook(lambda *_: steps.append(1))
    with pytest.raises(CancelledError):
        generate(cancelled=lambda: len(steps) == 17)  # three frames of seven steps each would be 21
    assert len(steps) == 17


@pytest.mark.usefixtures("wants_to_end")
def test_songs_made_side_by_side_are_those_made_alone(golden_heartmula, prompt):
    """Of different prompts and lengths: the third ends by itself after the first has reached its limit."""
    generator = CodeGenerator(golden_heartmula, IDS)
    shorter = Prompt(prompt.tokens[:30], prompt.mask[:30], prompt.muq_index)
    prompts = [prompt, shorter, prompt]
    requests = [
        replace(REQUEST, duration_sec=1.0, seed=1),
        replace(REQUEST, duration_sec=2.0, seed=2, temperature=0.7, cfg_scale=3.0, min_duration_sec=1.2),
        replace(REQUEST, duration_sec=3.0, seed=3, min_duration_sec=1.5),
    ]
    together = generator.generate(prompts, requests)
    alone = [generator.generate([one], [request])[0] for one, request in zip(prompts, requests, strict=True)]
    for song, expected in zip(together, alone, strict=True):
        assert torch.equal(song, expected)
    assert [song.shape[1] for song in together] == [12, 16, 19]


@pytest.mark.parametrize("setting", [{"topk": 3}, {"cfg_scale": 1.0}])
def test_songs_that_cannot_be_made_side_by_side_are_refused(golden_heartmula, prompt, setting):
    with pytest.raises(InvalidInputError, match="one by one"):
        CodeGenerator(golden_heartmula, IDS).generate([prompt] * 2, [REQUEST, replace(REQUEST, **setting)])


def test_a_longer_song_after_a_shorter_one_finds_room(golden_heartmula, prompt, generate):
    longer = replace(REQUEST, duration_sec=15.0)
    [expected] = CodeGenerator(golden_heartmula, IDS).generate([prompt], [longer])
    assert torch.equal(generate()[:, :12], expected[:, :12])
    assert torch.equal(generate(longer), expected)


def test_a_song_too_long_for_the_base_is_refused_with_what_fits(generate):
    """256 positions, 39 of them taken by the prompt: 217 frames, 17.36 s."""
    with pytest.raises(InvalidInputError, match="at most 17 seconds"):
        generate(replace(REQUEST, duration_sec=18.0))


def test_a_prompt_that_leaves_no_room_is_refused(generate):
    long = Prompt(torch.zeros(250, 9, dtype=torch.int64), torch.zeros(250, 9, dtype=torch.bool), 3)
    with pytest.raises(InvalidInputError, match="shorten the lyrics"):
        generate(prompt=long)


def test_a_model_that_computes_no_numbers_is_found_out(golden_heartmula, generate):
    expected = generate()
    with torch.inference_mode():  # as the decoder left the tensor
        weight = golden_heartmula.audio_head[-1, 0, 0].clone()
        golden_heartmula.audio_head[-1, 0, 0] = torch.nan
        with pytest.raises(CheckpointCorruptError, match="not a number"):
            generate()
        golden_heartmula.audio_head[-1, 0, 0] = weight
    assert torch.equal(generate(), expected)


def test_topk_beyond_the_vocabulary_is_refused(generate):
    with pytest.raises(InvalidInputError, match="1 to 134"):
        generate(replace(REQUEST, topk=135))

"""Finding tracks whose words are wrong, by the base's own loss on each."""

from argparse import Namespace

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.cli.datasets import print_losses
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.errors import ConflictError
from heartmula_studio.services.devices import Devices
from heartmula_studio.studio import Studio
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio


def give_tokens(studio: Studio, dataset_id: str, filename: str, codes: torch.Tensor) -> None:
    song = studio.store.datasets.get_song(dataset_id, filename)
    codec = stored_codebook_id(find_base("nano").codec)
    tokens = Tokens(codes.short(), 12.5, codec, song.sha256, song.duration_sec)
    tokens.save(studio.store.datasets.tokens_path(dataset_id, filename))
    studio.store.datasets.set_tokens(dataset_id, filename, codes.shape[1])


def test_the_tracks_that_the_base_finds_unlikely_come_first(tmp_path, capsys):
    studio = still_studio(settings_for(tmp_path / "data"))
    dataset, names = filled(studio, 2), [song.name for song in SONGS[:2]]
    with pytest.raises(ConflictError, match="2 of 2 songs are not tokenized"):
        studio.datasets.track_losses(dataset.id)
    give_tokens(studio, dataset.id, names[0], torch.full((8, 20), 7))  # one code again and again
    noise = torch.randint(0, 64, (8, 20), generator=torch.Generator().manual_seed(0))
    give_tokens(studio, dataset.id, names[1], noise)
    losses = studio.datasets.track_losses(dataset.id)
    assert [track.filename for track in losses.tracks] == [names[1], names[0]]
    assert losses.tracks[0].loss > losses.tracks[1].loss > 0
    print_losses(studio, Namespace(id=dataset.id))
    printed = capsys.readouterr().out
    assert printed.index(names[1]) < printed.index(names[0])
    assert losses.explanation in printed
    with Devices(studio.store).generating("cpu"), pytest.raises(ConflictError, match="cannot be measured now"):
        studio.datasets.track_losses(dataset.id)

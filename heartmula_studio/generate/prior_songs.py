"""Songs that a base makes of itself, once, for prior preservation: of many kinds, without guidance."""

from heartmula_studio.arch.frames import frames_of
from heartmula_studio.finetune.prior_songs import PriorSong
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

TAGS = (
    "piano, calm",
    "rock, electric guitar, drums",
    "ambient, dark, drone",
    "jazz, swing, piano, double bass",
    "church organ, slow",
    "bluegrass, banjo, fiddle, fast",
    "chamber music, violin, cello",
    "salsa, percussion, brass, fast",
    "lo-fi, hip hop, slow",
    "folk, acoustic guitar",
    "music box, calm",
    "metal, heavy, distorted guitar",
    "blues, guitar, slow",
    "bossa nova, guitar",
    "synthesizer, space, medium",
    "orchestral, strings, brass, epic",
)
FIRST_SEED = 7000
SONG_SEC = 24.0


def make_prior_songs(engine: Engine) -> list[PriorSong]:
    """Make a song of each of sixteen kinds. Raises as `Engine.generate_together`."""
    requests = [
        SongRequest(tags, duration_sec=SONG_SEC, seed=FIRST_SEED + number, cfg_scale=1.0)
        for number, tags in enumerate(TAGS)
    ]
    songs = engine.generate_together(requests)
    limit = frames_of(SONG_SEC) - 1
    return [PriorSong(tags, codes, codes.shape[1] < limit) for tags, codes in zip(TAGS, songs, strict=True)]

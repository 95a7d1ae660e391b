"""Names of the General MIDI level 1 programs, in the words people describe music with."""

from bisect import bisect_right
from enum import IntEnum

DRUM_CHANNEL = 9

# (first program, word): the word holds until the next entry. Sound effects have no word.
_RANGES = (
    (0, "piano"),
    (4, "electric piano"),
    (6, "harpsichord"),
    (7, "clavinet"),
    (8, "celesta"),
    (9, "glockenspiel"),
    (10, "music box"),
    (11, "vibraphone"),
    (12, "marimba"),
    (13, "xylophone"),
    (14, "bells"),
    (15, "dulcimer"),
    (16, "organ"),
    (19, "church organ"),
    (20, "harmonium"),
    (21, "accordion"),
    (22, "harmonica"),
    (23, "accordion"),
    (24, "acoustic guitar"),
    (26, "electric guitar"),
    (29, "distorted guitar"),
    (31, "electric guitar"),
    (32, "double bass"),
    (33, "bass guitar"),
    (38, "synth bass"),
    (40, "violin"),
    (41, "viola"),
    (42, "cello"),
    (43, "double bass"),
    (44, "strings"),
    (46, "harp"),
    (47, "timpani"),
    (48, "strings"),
    (52, "choir"),
    (55, "orchestra hit"),
    (56, "trumpet"),
    (57, "trombone"),
    (58, "tuba"),
    (59, "trumpet"),
    (60, "french horn"),
    (61, "brass"),
    (64, "saxophone"),
    (68, "oboe"),
    (70, "bassoon"),
    (71, "clarinet"),
    (72, "flute"),
    (80, "synth lead"),
    (88, "synth pad"),
    (96, "synthesizer"),
    (104, "sitar"),
    (105, "banjo"),
    (106, "koto"),
    (108, "kalimba"),
    (109, "bagpipe"),
    (110, "fiddle"),
    (111, "oboe"),
    (112, "bells"),
    (113, "percussion"),
    (114, "steel drums"),
    (115, "percussion"),
    (120, ""),
)
_FIRST_PROGRAMS = [first for first, _ in _RANGES]


def instrument(program: int) -> str:
    """The word for a General MIDI program (0 to 127); empty for the sound effects."""
    assert 0 <= program < 128, f"General MIDI has programs 0 to 127, not {program}"
    return _RANGES[bisect_right(_FIRST_PROGRAMS, program) - 1][1]


class Program(IntEnum):
    """The programs (counted from 0) the composed pieces play."""

    GRAND_PIANO = 0
    ELECTRIC_PIANO = 4
    HARPSICHORD = 6
    CLAVINET = 7
    CELESTA = 8
    GLOCKENSPIEL = 9
    MUSIC_BOX = 10
    VIBRAPHONE = 11
    MARIMBA = 12
    DRAWBAR_ORGAN = 16
    ROCK_ORGAN = 18
    CHURCH_ORGAN = 19
    ACCORDION = 21
    HARMONICA = 22
    NYLON_GUITAR = 24
    STEEL_GUITAR = 25
    JAZZ_GUITAR = 26
    CLEAN_GUITAR = 27
    MUTED_GUITAR = 28
    OVERDRIVEN_GUITAR = 29
    DISTORTION_GUITAR = 30
    ACOUSTIC_BASS = 32
    FINGERED_BASS = 33
    PICKED_BASS = 34
    FRETLESS_BASS = 35
    SLAP_BASS = 36
    SAW_BASS = 38
    SQUARE_BASS = 39
    VIOLIN = 40
    VIOLA = 41
    CELLO = 42
    CONTRABASS = 43
    PIZZICATO_STRINGS = 45
    HARP = 46
    TIMPANI = 47
    STRING_ENSEMBLE = 48
    CHOIR_AAHS = 52
    TRUMPET = 56
    TROMBONE = 57
    TUBA = 58
    FRENCH_HORN = 60
    BRASS_SECTION = 61
    ALTO_SAX = 65
    TENOR_SAX = 66
    OBOE = 68
    CLARINET = 71
    PICCOLO = 72
    FLUTE = 73
    WHISTLE = 78
    SQUARE_LEAD = 80
    SAW_LEAD = 81
    NEW_AGE_PAD = 88
    WARM_PAD = 89
    SWEEP_PAD = 95
    SITAR = 104
    BANJO = 105
    KALIMBA = 108
    FIDDLE = 110
    STEEL_DRUMS = 114


class Drum(IntEnum):
    """Notes of the drum channel."""

    KICK = 36
    RIM = 37
    SNARE = 38
    CLAP = 39
    CLOSED_HAT = 42
    LOW_TOM = 45
    OPEN_HAT = 46
    MIDDLE_TOM = 47
    CRASH = 49
    HIGH_TOM = 50
    RIDE = 51
    TAMBOURINE = 54
    COWBELL = 56
    LOW_CONGA = 64
    HIGH_CONGA = 63
    SHAKER = 70
    CLAVES = 75

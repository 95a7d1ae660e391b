"""Styles played by acoustic instruments."""

from recipes.nano.compose.patterns import grid, melody, walking
from recipes.nano.compose.style import Layer, Style
from recipes.nano.general_midi import Drum, Program

PIANO_WALTZ = Style(
    "piano waltz",
    ("waltz", "classical", "elegant"),
    bpm=(120, 160),
    mode="major",
    progressions=("I I ii7 V7 iii vi ii V7", "vi vi ii ii V7 V7 I I"),
    beats_per_bar=3,
    layers=(
        Layer(Program.GRAND_PIANO, melody(("x-x-x-", "x---x-", "x-xxx-", "x-----"), 67), volume=104, pan=74),
        Layer(Program.GRAND_PIANO, grid("1-....|5-....", 38, 74), pan=50),
        Layer(Program.GRAND_PIANO, grid("..x-x-", 55, 60), volume=78, pan=58),
    ),
    loose_beats=0.02,
)
STRING_QUARTET = Style(
    "string quartet",
    ("classical", "chamber music", "expressive"),
    bpm=(76, 104),
    mode="minor",
    progressions=("i iv V7 i VI iv V7 i", "III VII i V7 VI iv V7 i"),
    layers=(
        Layer(Program.VIOLIN, melody(("x---x-x-", "x-x-x---", "x---xxxx", "x-------"), 69), volume=98, pan=34),
        Layer(Program.VIOLIN, grid("5-8-5-8-|3-5-3-5-", 57, 74), volume=100, pan=52),
        Layer(Program.VIOLA, grid("3---5---", 50, 74), volume=100, pan=78),
        Layer(Program.CELLO, grid("1---5-1-|1-------", 38, 76), pan=96),
    ),
    loose_beats=0.02,
)
CHURCH_ORGAN = Style(
    "church organ",
    ("sacred", "baroque", "solemn"),
    bpm=(60, 80),
    mode="minor",
    progressions=("i V i iv i iv V i", "III VII VI V i iv V I"),
    layers=(
        Layer(Program.CHURCH_ORGAN, melody(("x-x-x-x-", "x---x-x-", "xxxxx-x-", "x-------"), 67), volume=92, pan=60),
        Layer(Program.CHURCH_ORGAN, grid("x-------", 55, 70), volume=72, pan=64),
        Layer(Program.CHURCH_ORGAN, grid("1---5---|1-3-5-8-", 36, 80), volume=88, pan=68),
    ),
)
MUSIC_BOX = Style(
    "music box",
    ("lullaby", "gentle", "children"),
    bpm=(80, 108),
    mode="major",
    progressions=("I V vi iii IV I IV V", "vi iii IV I ii V I I"),
    beats_per_bar=3,
    layers=(
        Layer(Program.MUSIC_BOX, melody(("x-x-x-", "x---x-", "xxx-x-", "x-----"), 76), volume=104),
        Layer(Program.MUSIC_BOX, grid("1.5.8.", 60, 80), volume=92, pan=56),
        Layer(Program.CELESTA, grid("..x.x.", 72, 70), volume=84, pan=82, enters=1),
    ),
)
FOLK_GUITAR = Style(
    "folk guitar",
    ("folk", "acoustic", "warm"),
    bpm=(92, 120),
    mode="major",
    progressions=("I V vi IV I V IV I", "vi IV I V vi IV V V"),
    layers=(
        Layer(Program.STEEL_GUITAR, grid("1.5.8.5.1.5.0.5.", 45, 78), volume=104, pan=52),
        Layer(
            Program.HARMONICA, melody(("x---x-x-", "x-x-x---", "..x-x-x-", "x-------"), 65), volume=80, pan=76, enters=1
        ),
        Layer(Program.ACOUSTIC_BASS, grid("1---5---", 33, 78), volume=92, enters=1),
    ),
    loose_beats=0.018,
)
BLUEGRASS = Style(
    "bluegrass",
    ("country", "bluegrass", "happy"),
    bpm=(132, 160),
    mode="major",
    progressions=("I I IV I I I V V", "IV IV I I IV I V I"),
    layers=(
        Layer(Program.BANJO, grid("1358530513585305", 55, 84), pan=88),
        Layer(
            Program.FIDDLE, melody(("xxx-x-x-", "x-xxx-xx", "x-x-xxx-", "x---x---"), 67), volume=92, pan=40, enters=1
        ),
        Layer(Program.STEEL_GUITAR, grid("..x-..x-", 50, 66), volume=84, pan=58),
        Layer(Program.ACOUSTIC_BASS, grid("1-..5-..", 33, 88)),
    ),
)
CELTIC_JIG = Style(
    "celtic jig",
    ("celtic", "folk", "lively"),
    bpm=(168, 192),
    mode="dorian",
    progressions=("i VII i VII i VII i i", "III VII i VII III VII i i"),
    beats_per_bar=3,
    layers=(
        Layer(Program.FIDDLE, melody(("xxxxxx", "x-xxxx", "x-xx-x", "x---x-"), 69), volume=100, pan=46),
        Layer(Program.WHISTLE, melody(("x-x-x-", "x-xx-x", "x-----"), 76), volume=70, pan=82, enters=2),
        Layer(Program.STEEL_GUITAR, grid("x-.x-.", 52, 66), volume=84, pan=60),
        Layer(Program.ACOUSTIC_BASS, grid("1--5--", 33, 78)),
    ),
    drums={Drum.LOW_TOM: "X..x..", Drum.TAMBOURINE: "o.xo.x"},
    drums_enter=1,
    drum_fill=False,
)
HARP_AND_FLUTE = Style(
    "harp and flute",
    ("classical", "dreamy", "peaceful"),
    bpm=(66, 88),
    mode="major",
    progressions=("I iii IV V vi iii IV V", "IV I ii V IV I V I"),
    layers=(
        Layer(Program.HARP, grid("1358053113580531", 48, 72), volume=104, pan=44),
        Layer(Program.FLUTE, melody(("x-----x-", "x---x-x-", "x-x-x---", "x-------"), 74), volume=92, pan=78),
        Layer(Program.STRING_ENSEMBLE, grid("x-------", 52, 60), volume=90, enters=1),
    ),
    loose_beats=0.02,
)
MARCHING_BAND = Style(
    "marching band",
    ("march", "brass band", "triumphant"),
    bpm=(108, 124),
    mode="major",
    progressions=("I I IV I V7 I V7 I", "vi III vi III IV I V7 I"),
    layers=(
        Layer(Program.TRUMPET, melody(("x--xx-x-", "x-x-x-x-", "x-xxx-x-", "x---x---"), 64), pan=50),
        Layer(Program.PICCOLO, melody(("xxxxx-x-", "x-x-xxx-", "x---x-x-"), 79), volume=60, pan=88, enters=2),
        Layer(Program.TROMBONE, grid("..x-..x-", 50, 72), volume=84, pan=80),
        Layer(Program.TUBA, grid("1-..5-..", 31, 90), pan=58),
    ),
    drums={
        Drum.KICK: "X.......X.......",
        Drum.SNARE: "x.ooX.o.x.ooX.xo",
        Drum.CRASH: "x...............|................",
    },
)
EPIC_ORCHESTRA = Style(
    "epic orchestra",
    ("orchestral", "cinematic", "epic"),
    bpm=(92, 116),
    mode="minor",
    progressions=("i VI III VII i VI iv V", "VI VII i i VI VII V V"),
    layers=(
        Layer(Program.STRING_ENSEMBLE, grid("1.113.111.115.11", 43, 100), volume=116, pan=70),
        Layer(
            Program.FRENCH_HORN,
            melody(("x-----x-", "x---x---", "x---x-x-", "x-------"), 53),
            volume=108,
            pan=48,
            enters=1,
        ),
        Layer(Program.CHOIR_AAHS, grid("x-------", 57, 70), volume=80, enters=2),
        Layer(Program.TIMPANI, grid("1.....1.1.......|1...........1111", 36, 100), enters=1),
    ),
    drums={Drum.KICK: "X.....x.X.......", Drum.CRASH: "x...............|................"},
    drums_enter=2,
)
HARPSICHORD = Style(
    "baroque harpsichord",
    ("baroque", "classical", "bright"),
    bpm=(88, 108),
    mode="minor",
    progressions=("i iv VII III VI iv V i", "III VII i V VI III iv V"),
    layers=(
        Layer(Program.HARPSICHORD, grid("1583581358358135", 57, 80), pan=54),
        Layer(Program.HARPSICHORD, grid("1-3-5-3-", 38, 80), pan=74),
        Layer(Program.OBOE, melody(("x-x-x-x-", "x---xxx-", "x-xxx-x-", "x-------"), 70), volume=86, pan=84, enters=1),
    ),
)
JAZZ_TRIO = Style(
    "jazz trio",
    ("jazz", "swing", "smooth"),
    bpm=(112, 152),
    mode="major",
    progressions=("ii7 V7 Imaj7 vi7 ii7 V7 Imaj7 Imaj7", "iii7 vi7 ii7 V7 iii7 vi7 ii7 V7"),
    layers=(
        Layer(
            Program.GRAND_PIANO, melody(("x-xx.xx-", ".xx-x-xx", "x--xx-x-", "x-.x----"), 67, 88), volume=104, pan=54
        ),
        Layer(Program.GRAND_PIANO, grid("...x-..x|x-....x-", 52, 58), volume=84, pan=48),
        Layer(Program.ACOUSTIC_BASS, walking(33), volume=112, pan=70),
    ),
    drums={Drum.RIDE: "x.xxx.xx", Drum.CLOSED_HAT: "..x...x.", Drum.SNARE: "...o....|.....o..", Drum.KICK: "o...o..."},
    drum_fill=False,
    swing=0.16,
    loose_beats=0.02,
)
TANGO = Style(
    "tango",
    ("tango", "latin", "passionate"),
    bpm=(112, 126),
    mode="minor",
    progressions=("i i V7 V7 V7 V7 i i", "iv iv i i V7 V7 i i"),
    layers=(
        Layer(Program.ACCORDION, melody(("x-xxx-x-", "x--xx-x-", "xxxxx-x-", "x---x---"), 64), pan=46),
        Layer(Program.GRAND_PIANO, grid("x.x.x.xx", 50, 74), volume=90, pan=76),
        Layer(Program.VIOLIN, grid("5-------|8---5---", 69, 80), volume=92, pan=90, enters=1),
        Layer(Program.CONTRABASS, grid("1.5.1.5.", 33, 100), volume=116, pan=60),
    ),
)
STRING_SERENADE = Style(
    "string serenade",
    ("classical", "chamber music", "graceful"),
    bpm=(76, 88),
    mode="major",
    progressions=("I V vi iii IV I ii7 V7", "vi iii IV I IV I V7 I"),
    layers=(
        Layer(Program.VIOLIN, melody(("x-x-x-x-", "x---x-x-", "x-xxx-x-", "x-------"), 69), volume=84, pan=40),
        Layer(Program.PIZZICATO_STRINGS, grid("..x...x...x...x.", 55, 92), volume=112, pan=76),
        Layer(Program.CELLO, grid("1...5...8...5...", 36, 92), volume=104, pan=88),
        Layer(Program.PIZZICATO_STRINGS, grid("1...5...8...5...", 36, 100), volume=116, pan=84),
    ),
)
MINUET = Style(
    "court minuet",
    ("classical", "chamber music", "courtly"),
    bpm=(112, 132),
    mode="major",
    progressions=("I V I IV I V I V", "vi ii V I IV I V7 I"),
    beats_per_bar=3,
    layers=(
        Layer(Program.VIOLIN, melody(("x-x-x-", "x---x-", "x-xxx-", "x-----"), 69), volume=86, pan=36),
        Layer(Program.HARPSICHORD, grid("..x.x.", 55, 84), volume=88, pan=60),
        Layer(Program.VIOLA, grid("..x.x.", 55, 80), volume=84, pan=80),
        Layer(Program.CELLO, grid("1.....|1...5.", 38, 100), volume=112, pan=92),
        Layer(Program.PIZZICATO_STRINGS, grid("1.....|1...5.", 38, 100), volume=108, pan=92),
    ),
)
STYLES = (
    PIANO_WALTZ,
    STRING_QUARTET,
    CHURCH_ORGAN,
    MUSIC_BOX,
    FOLK_GUITAR,
    BLUEGRASS,
    CELTIC_JIG,
    HARP_AND_FLUTE,
    MARCHING_BAND,
    EPIC_ORCHESTRA,
    HARPSICHORD,
    JAZZ_TRIO,
    TANGO,
    STRING_SERENADE,
    MINUET,
)

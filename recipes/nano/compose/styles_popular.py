"""Styles with a drum kit, electric or electronic instruments."""

from recipes.nano.compose.patterns import grid, melody, walking
from recipes.nano.compose.style import Layer, Style
from recipes.nano.general_midi import Drum, Program

FOUR_ON_THE_FLOOR = {Drum.KICK: "X...X...X...X...", Drum.OPEN_HAT: "..x...x...x...x.", Drum.CLAP: "....X.......X..."}
ROCK_BEAT = {Drum.KICK: "X.....x.X.x.....", Drum.SNARE: "....X.......X...", Drum.CLOSED_HAT: "x.x.x.x.x.x.x.x."}

TECHNO = Style(
    "techno",
    ("techno", "electronic", "hypnotic"),
    bpm=(126, 138),
    mode="phrygian",
    progressions=("i i i i i i VI VI", "i i bII i i i bII bII"),
    layers=(
        Layer(Program.SAW_BASS, grid("..11..18..11..81", 33, 92), volume=84),
        Layer(Program.SAW_LEAD, grid("1..3..5.8..5..3.|1..5..8.0..8..5.", 57, 70), volume=66, pan=84, enters=1),
        Layer(Program.SWEEP_PAD, grid("x-------", 55, 60), volume=40, pan=50, enters=2),
    ),
    drums=FOUR_ON_THE_FLOOR | {Drum.CLOSED_HAT: "o.oxo.oxo.oxo.ox"},
    loose_beats=0,
)
HOUSE = Style(
    "house",
    ("house", "dance", "uplifting"),
    bpm=(118, 126),
    mode="minor",
    progressions=("i7 VImaj7 III VII", "iv7 VI VII i7"),
    layers=(
        Layer(Program.GRAND_PIANO, grid("x..x..x...x..x..", 55, 84), volume=98, pan=56),
        Layer(Program.SQUARE_BASS, grid("1..1..1...8.1...", 33, 96), volume=84),
        Layer(Program.STRING_ENSEMBLE, grid("x-------", 60, 60), volume=90, pan=84, enters=1),
    ),
    drums=FOUR_ON_THE_FLOOR | {Drum.SHAKER: "oxooxooxooxooxoo"},
    loose_beats=0,
)
SYNTHWAVE = Style(
    "synthwave",
    ("synthwave", "electronic", "nostalgic"),
    bpm=(92, 112),
    mode="minor",
    progressions=("i VI III VII", "VI VII i i"),
    layers=(
        Layer(Program.SAW_BASS, grid("1111111111111111", 33, 86), volume=80),
        Layer(Program.WARM_PAD, grid("x-------", 55, 70), volume=84, pan=50),
        Layer(
            Program.SAW_LEAD, melody(("x-----x-", "x---x-x-", "x-x-x---", "x-------"), 69), volume=42, pan=78, enters=1
        ),
    ),
    drums={Drum.KICK: "X...X...X...X...", Drum.SNARE: "....X.......X...", Drum.CLOSED_HAT: "x.x.x.x.x.x.x.x."},
    loose_beats=0,
)
AMBIENT_PAD = Style(
    "ambient pad",
    ("ambient", "calm", "meditative"),
    bpm=(60, 72),
    mode="major",
    progressions=("Imaj7 IVmaj7 Imaj7 IVmaj7", "vi7 IVmaj7 ii7 IVmaj7"),
    layers=(
        Layer(Program.WARM_PAD, grid("x-------", 52, 76), pan=40),
        Layer(Program.NEW_AGE_PAD, grid("x-------", 64, 60), volume=80, pan=92),
        Layer(Program.VIBRAPHONE, grid("1.....5.....8...|....0...5.......", 72, 92), volume=112, pan=76, enters=1),
        Layer(Program.FRETLESS_BASS, grid("1-------", 33, 90), volume=112),
    ),
    loose_beats=0.03,
)
CHIPTUNE = Style(
    "chiptune",
    ("chiptune", "video game", "playful"),
    bpm=(132, 160),
    mode="major",
    progressions=("I V vi IV I V IV IV", "vi IV I V vi IV V V"),
    layers=(
        Layer(Program.SQUARE_LEAD, melody(("x-xxx-x-", "xxx-x-x-", "x-x-xxxx", "x---x---"), 72), volume=52, pan=58),
        Layer(Program.SQUARE_LEAD, grid("1358135813581358", 60, 60), volume=50, pan=82),
        Layer(Program.SQUARE_BASS, grid("1.1.8.1.", 36, 92), volume=80, pan=50),
    ),
    drums={Drum.KICK: "X...X...X...X...", Drum.SNARE: "....X.......X.xx", Drum.CLOSED_HAT: "x.x.x.x.x.x.x.x."},
    loose_beats=0,
)
METAL_RIFF = Style(
    "metal riff",
    ("metal", "heavy", "aggressive"),
    bpm=(136, 168),
    mode="phrygian",
    progressions=("I5 I5 bII5 I5", "VI5 VII5 I5 I5"),
    layers=(
        Layer(Program.DISTORTION_GUITAR, grid("1.11x--.11.1x---|1.11x--.1111x-x-", 40, 96), volume=84, pan=24),
        Layer(Program.DISTORTION_GUITAR, grid("1.11x--.11.1x---|1.11x--.1111x-x-", 40, 92), volume=84, pan=104),
        Layer(Program.PICKED_BASS, grid("1.111.1111.11.11", 28, 96)),
        Layer(
            Program.OVERDRIVEN_GUITAR, melody(("xxxxx-x-", "x-xxxxxx", "x-x-xxxx", "x-------"), 64), volume=72, enters=2
        ),
    ),
    drums={Drum.KICK: "X.xxX.xxX.xxX.xx", Drum.SNARE: "....X.......X...", Drum.CLOSED_HAT: "x...x...x...x..."},
)
HARD_ROCK = Style(
    "hard rock",
    ("rock", "energetic", "driving"),
    bpm=(112, 136),
    mode="mixolydian",
    progressions=("I5 bVII5 IV5 I5", "IV5 V5 bVII5 I5"),
    layers=(
        Layer(Program.OVERDRIVEN_GUITAR, grid("x-.xx-.x..x-x-x-", 40, 92), volume=82, pan=30),
        Layer(Program.CLEAN_GUITAR, grid("1358530813585308", 52, 70), volume=76, pan=100, enters=1),
        Layer(Program.PICKED_BASS, grid("1.1.1.1.1.1.1.1.", 28, 94)),
        Layer(Program.ROCK_ORGAN, grid("x-------", 55, 70), volume=84, enters=2),
    ),
    drums=ROCK_BEAT,
)
SURF_ROCK = Style(
    "surf rock",
    ("surf rock", "retro", "fun"),
    bpm=(144, 168),
    mode="minor",
    progressions=("i i VII VII VI VI V V", "iv iv i i iv iv V V"),
    layers=(
        Layer(Program.CLEAN_GUITAR, melody(("xxxxxxxx", "x-xxx-xx", "xxx-xxx-", "x---x---"), 57), volume=84, pan=48),
        Layer(Program.MUTED_GUITAR, grid("x.xxx.xx", 50, 74), volume=84, pan=86),
        Layer(Program.FINGERED_BASS, grid("1.1.5.5.", 33, 92)),
    ),
    drums={Drum.KICK: "X...X...", Drum.SNARE: "..X..xX.", Drum.RIDE: "xxxxxxxx"},
)
FUNK = Style(
    "funk",
    ("funk", "groovy", "danceable"),
    bpm=(98, 114),
    mode="dorian",
    progressions=("i7 i7 IV7 i7", "IV7 IV7 i7 V7"),
    layers=(
        Layer(Program.SLAP_BASS, grid("1..8..1.5.7.8..1|1..8..1..1.3.5.8", 28, 98), volume=104),
        Layer(Program.CLAVINET, grid("..x..x.x..x.x..x", 57, 80), volume=84, pan=36),
        Layer(Program.MUTED_GUITAR, grid("xx.x.xx.xx.x.xx.", 62, 80), volume=100, pan=96),
        Layer(Program.BRASS_SECTION, grid("x.....x-........|..........x.x-..", 60, 92), volume=80, enters=1),
    ),
    drums={Drum.KICK: "X..x..x...x..x..", Drum.SNARE: "....X..o.o..X..o", Drum.CLOSED_HAT: "xoxoxoxoxoxoxoxo"},
)
REGGAE = Style(
    "reggae",
    ("reggae", "laid back", "sunny"),
    bpm=(72, 84),
    mode="major",
    progressions=("I V vi IV", "ii V I vi"),
    layers=(
        Layer(Program.CLEAN_GUITAR, grid("..x...x...x...x.", 57, 84), volume=72, pan=44),
        Layer(Program.DRAWBAR_ORGAN, grid("..x.x.x...x.x.x.", 60, 80), volume=100, pan=88),
        Layer(Program.FINGERED_BASS, grid("1-..1-3-..5-3-1-|..1-5-..3-..5-..", 28, 100), volume=116),
        Layer(Program.TENOR_SAX, melody(("..x-x-x-", "x---x-..", "x-x-x---", "x-------"), 60), volume=78, enters=1),
    ),
    drums={Drum.KICK: "........X.......", Drum.RIM: "........x......x", Drum.CLOSED_HAT: "x.o.x.o.x.o.x.o."},
)
BLUES = Style(
    "blues",
    ("blues", "shuffle", "gritty"),
    bpm=(96, 124),
    mode="blues",
    progressions=("I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7"),
    layers=(
        Layer(
            Program.OVERDRIVEN_GUITAR, melody(("..x-xxx-", "x-xx-x..", "x--x.xx-", "x-----.."), 60), volume=76, pan=44
        ),
        Layer(Program.GRAND_PIANO, grid("x.x..xx.", 55, 66), volume=86, pan=84),
        Layer(Program.FINGERED_BASS, walking(28)),
    ),
    drums={Drum.KICK: "X...x...", Drum.SNARE: "..X...X.", Drum.RIDE: "x.xxx.xx"},
    swing=0.17,
)
BOSSA_NOVA = Style(
    "bossa nova",
    ("bossa nova", "latin", "relaxed"),
    bpm=(116, 136),
    mode="major",
    progressions=("Imaj7 Imaj7 II7 II7 ii7 V7 Imaj7 Imaj7", "IVmaj7 IVmaj7 iii7 VI7 ii7 V7 Imaj7 V7"),
    layers=(
        Layer(Program.NYLON_GUITAR, grid("x..x..x...x..x..|..x..x..x..x..x.", 52, 76), volume=108, pan=48),
        Layer(Program.FLUTE, melody(("..x-xx.x", "x-.xx-x-", "x---x-x-", "x-------"), 70), volume=84, pan=82, enters=1),
        Layer(Program.ACOUSTIC_BASS, grid("1--.5-1-1--.5-8-", 31, 86)),
    ),
    drums={Drum.RIM: "x..x..x...x..x..", Drum.SHAKER: "xoxoxoxoxoxoxoxo", Drum.KICK: "x..xx..xx..xx..x"},
    drum_fill=False,
)
SALSA = Style(
    "salsa",
    ("salsa", "latin", "festive"),
    bpm=(168, 192),
    mode="minor",
    progressions=("i iv V7 V7", "VI VII i V7"),
    layers=(
        Layer(Program.GRAND_PIANO, grid("x.xx.x.x|.x.xx.x.", 57, 84), pan=46),
        Layer(
            Program.TRUMPET, melody(("x--x--x-", ".xx-x-x-", "x-xxx-..", "x---...."), 64), volume=84, pan=84, enters=1
        ),
        Layer(Program.ACOUSTIC_BASS, grid("...1--5-|...5--1-", 33, 96)),
    ),
    drums={
        Drum.CLAVES: "x..x..x...x.x...",
        Drum.HIGH_CONGA: "o.x.o.XXo.x.o.XX",
        Drum.LOW_CONGA: "......o.......oo",
        Drum.COWBELL: "x...x.x.x...x.x.",
    },
    drum_fill=False,
)
LOFI = Style(
    "lo-fi hip hop",
    ("lo-fi", "hip hop", "chill"),
    bpm=(72, 86),
    mode="minor",
    progressions=("i9 iv7 VImaj7 V7", "VImaj7 VII7 i9 i9"),
    layers=(
        Layer(Program.ELECTRIC_PIANO, grid("x--...x-..x--...", 52, 66), volume=104, pan=56),
        Layer(
            Program.VIBRAPHONE,
            melody(("..x-..x-", "x-..x-..", ".x.x..x-", "x-------"), 69, 92),
            volume=112,
            pan=84,
            enters=1,
        ),
        Layer(Program.FINGERED_BASS, grid("1-....1-..5-....", 28, 88)),
    ),
    drums={Drum.KICK: "X......x..x.....", Drum.SNARE: "....X.......X...", Drum.CLOSED_HAT: "x.x.x.x.x.x.x.xo"},
    drum_fill=False,
    swing=0.1,
    loose_beats=0.025,
)
POP_BALLAD = Style(
    "pop ballad",
    ("pop", "ballad", "emotional"),
    bpm=(66, 80),
    mode="major",
    progressions=("I V vi IV", "vi IV I V"),
    layers=(
        Layer(Program.GRAND_PIANO, grid("1.5.8.5.x.5.8.5.", 48, 76), volume=104, pan=56),
        Layer(Program.STRING_ENSEMBLE, grid("x-------", 57, 60), volume=80, enters=1),
        Layer(
            Program.ALTO_SAX, melody(("x---x-x-", "x-x-x---", "..x-x-x-", "x-------"), 63), volume=78, pan=76, enters=1
        ),
        Layer(Program.FINGERED_BASS, grid("1-----1-1---5---", 28, 84), enters=1),
    ),
    drums=ROCK_BEAT,
    drums_enter=1,
)
CALYPSO = Style(
    "calypso",
    ("calypso", "tropical", "cheerful"),
    bpm=(104, 120),
    mode="major",
    progressions=("I IV V I", "I vi ii V"),
    layers=(
        Layer(Program.STEEL_DRUMS, melody(("x-xxx-x-", "x--xx-x-", "xxx-x-x-", "x---x---"), 67), volume=108, pan=50),
        Layer(Program.MARIMBA, grid("..x..x....x..x..", 60, 70), volume=86, pan=86),
        Layer(Program.FINGERED_BASS, grid("1--.1-..5--.5-..", 31, 92)),
    ),
    drums={Drum.KICK: "X...x...X...x...", Drum.SNARE: "...o..x....o..x.", Drum.SHAKER: "xoxoxoxoxoxoxoxo"},
)
POWER_METAL = Style(
    "power metal",
    ("metal", "heavy", "heroic"),
    bpm=(146, 166),
    mode="minor",
    progressions=("I5 VI5 III5 VII5", "VI5 VII5 I5 I5"),
    layers=(
        Layer(Program.DISTORTION_GUITAR, grid("1.1.1.1.1.1.1.1.", 40, 96), volume=76, pan=24),
        Layer(Program.DISTORTION_GUITAR, grid("1.1.1.1.1.1.1.1.", 40, 92), volume=76, pan=104),
        Layer(Program.PICKED_BASS, grid("1.1.1.1.1.1.1.1.", 28, 96)),
        Layer(
            Program.OVERDRIVEN_GUITAR, melody(("x-x-x-x-", "x-xxx-x-", "x---x-x-", "x-------"), 64), volume=64, enters=1
        ),
        Layer(Program.STRING_ENSEMBLE, grid("x-------", 57, 60), volume=64, enters=2),
    ),
    drums={Drum.KICK: "x.x.x.x.x.x.x.x.", Drum.SNARE: "....X.......X...", Drum.RIDE: "x...x...x...x..."},
)
THRASH_METAL = Style(
    "thrash metal",
    ("metal", "heavy", "relentless"),
    bpm=(168, 190),
    mode="phrygian",
    progressions=("I5 I5 bII5 I5", "I5 VII5 bII5 I5"),
    layers=(
        Layer(Program.DISTORTION_GUITAR, grid("11x.11x.|11x.1.x.", 40, 98), volume=80, pan=20),
        Layer(Program.DISTORTION_GUITAR, grid("11x.11x.|11x.1.x.", 40, 94), volume=80, pan=108),
        Layer(Program.PICKED_BASS, grid("11111111", 28, 98)),
    ),
    drums={Drum.KICK: "X.x.X.x.", Drum.SNARE: "..X...X.", Drum.CLOSED_HAT: "x.x.x.x."},
)
DARK_PULSE = Style(
    "dark pulse",
    ("ambient", "dark", "hypnotic"),
    bpm=(72, 86),
    mode="minor",
    progressions=("i i VI VI", "iv iv i i"),
    layers=(
        Layer(Program.SWEEP_PAD, grid("x-------", 45, 70), volume=60, pan=44),
        Layer(Program.WARM_PAD, grid("1-------", 33, 80), volume=76, pan=84),
        Layer(Program.SQUARE_BASS, grid("1...1...1...1...", 33, 96), volume=80),
        Layer(Program.KALIMBA, grid("1.5.8.5.3.5.8.5.", 57, 80), volume=104, pan=70, enters=1),
    ),
    drums={Drum.KICK: "X.......X.......", Drum.SHAKER: "..o...o...o...o."},
    drum_fill=False,
    loose_beats=0,
)
STYLES = (
    TECHNO,
    HOUSE,
    SYNTHWAVE,
    AMBIENT_PAD,
    CHIPTUNE,
    METAL_RIFF,
    HARD_ROCK,
    SURF_ROCK,
    FUNK,
    REGGAE,
    BLUES,
    BOSSA_NOVA,
    SALSA,
    LOFI,
    POP_BALLAD,
    CALYPSO,
    POWER_METAL,
    THRASH_METAL,
    DARK_PULSE,
)

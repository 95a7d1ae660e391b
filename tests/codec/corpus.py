"""Recordings as other people's encoders, players and tools make them: how each is made, and what it must read as.

Commands are run by bash in a folder that holds `SOURCES` as WAV files, and write to `$OUT`.
"""

import struct

from tests.codec.corpus_containers import CONTAINERS
from tests.codec.made_recording import CD, DAT, FF, GST, SOURCES, Recording
from tests.codec.recording_edits import (
    COVER,
    ID3V1,
    LYRICS3,
    ape_tag,
    as_bw64,
    before,
    behind,
    chunk,
    data_size,
    id3,
    mp3_in_wav,
    vbri_before,
    with_chunks,
    with_gain,
    with_skeleton,
    with_valid_bits,
    without_end_mark,
    written_at,
)

MP3 = (
    *(Recording(f"lame V{q}", f"lame --quiet -V{q} cd.wav $OUT", CD) for q in (0, 2, 3, 4, 5, 6)),
    Recording("lame V7", "lame --quiet -V7 cd.wav $OUT", 64000, None),
    Recording("lame V9", "lame --quiet -V9 cd.wav $OUT", 44100, None),
    Recording("lame V9 with checksums", "lame --quiet -p -V9 cd.wav $OUT", 44100, None),
    *(Recording(f"lame V{q} with checksums", f"lame --quiet -p -V{q} cd.wav $OUT", CD) for q in (2, 4, 6)),
    Recording("lame ABR", "lame --quiet --abr 128 cd.wav $OUT", CD),
    Recording("lame CBR 128", "lame --quiet -b 128 cd.wav $OUT", CD),
    Recording("lame CBR 320", "lame --quiet -b 320 cd.wav $OUT", CD),
    Recording("lame without reservoir", "lame --quiet -b 128 --nores cd.wav $OUT", CD),
    Recording("lame dual mono", "lame --quiet -m d -b 192 cd.wav $OUT", CD),
    Recording("lame plain stereo", "lame --quiet -m s -V4 cd.wav $OUT", CD),
    Recording("lame forced joint stereo", "lame --quiet -m f -V4 cd.wav $OUT", CD),
    Recording("lame mono", "lame --quiet -V4 mono.wav $OUT", CD, "mono"),
    Recording("lame 48 kHz", "lame --quiet -V4 dat.wav $OUT", DAT, "dat"),
    *(
        Recording(f"lame {name}", f"lame --quiet -V4 --resample {rate_hz / 1000} {name}.wav $OUT", 2 * rate_hz, name)
        for name, (rate_hz, _, _) in SOURCES.items()
        if name in ("r8", "r11", "r16", "r22", "r32")
    ),
    Recording("lame r24", "lame --quiet -V4 r24.wav $OUT", 48000, "r24", by_ffmpeg=False),
    Recording("lame without a count", "lame --quiet -t -V4 cd.wav $OUT", None, None),
    Recording("lame CBR without a count", "lame --quiet -t -b 192 cd.wav $OUT", None, None),
    Recording("lame to a pipe", "lame --quiet -V4 - - < cd.wav | cat > $OUT", None, None),
    Recording("ffmpeg VBR MP3", f"{FF} cd.wav -c:a libmp3lame -q:a 4 -f mp3 $OUT", CD),
    Recording("ffmpeg CBR MP3", f"{FF} cd.wav -b:a 128k -f mp3 $OUT", CD),
    Recording("ffmpeg MP3 to a pipe", f"{FF} cd.wav -q:a 4 -f mp3 - | cat > $OUT", None, None),
    Recording("ffmpeg MP3 without Xing", f"{FF} cd.wav -q:a 4 -write_xing 0 -f mp3 $OUT", None, None),
    Recording(
        "ffmpeg copy of an MP3 piece",
        f"lame --quiet -V4 cd.wav a.mp3; {FF} a.mp3 -ss 0.7 -c copy -f mp3 $OUT",
        None,
        None,
    ),
    Recording("sox MP3", "sox cd.wav -t mp3 $OUT", None, None),
    Recording("GStreamer MP3", GST.format(source="cd", chain="lamemp3enc target=quality quality=4"), None, None),
    Recording(
        "GStreamer MP3 with Xing", GST.format(source="cd", chain="lamemp3enc target=quality ! xingmux"), None, None
    ),
    Recording("MP3 with a tag", "lame --quiet -V4 --tt Title --ta Artist --id3v2-only cd.wav $OUT", CD),
    Recording("MP3 behind two tags", "lame --quiet -V4 cd.wav $OUT", CD, change=before(id3() + id3(bytes(3000)))),
    Recording("MP3 behind a cover", "lame --quiet -V4 cd.wav $OUT", CD, change=before(id3(COVER))),
    Recording(
        "MP3 behind a tag with footer", "lame --quiet -V4 cd.wav $OUT", CD, change=before(id3(version=4, footer=True))
    ),
    Recording(
        *("MP3 behind a tag of too large a size", "lame --quiet -V4 cd.wav $OUT", CD),
        change=before(id3(bytes(500), claimed_bytes=20_000)),
        by_ffmpeg=False,
    ),
    Recording(
        *("joined MP3 with a tag of too large a size between", "lame --quiet -V4 cd.wav $OUT", 2 * CD),
        change=lambda content: content + id3(bytes(500), claimed_bytes=20_000) + content,
        by_ffmpeg=False,
    ),
    Recording("MP3 with old tag", "lame --quiet -V4 cd.wav $OUT", CD, change=behind(ID3V1)),
    Recording("MP3 with lyrics", "lame --quiet -V4 cd.wav $OUT", CD, change=behind(LYRICS3 + ID3V1)),
    Recording(
        "MP3 with a cover behind",
        "lame --quiet -V4 cd.wav $OUT",
        CD,
        change=behind(ape_tag(COVER) + ID3V1),
        by_ffmpeg=False,
    ),
    Recording("P12 zeros before", "lame --quiet -V4 cd.wav $OUT", CD, change=before(bytes(4000)), by_ffmpeg=False),
    Recording(
        "P12 text before", "lame --quiet -V4 cd.wav $OUT", CD, change=before(b"ICY 200 OK\r\n\r\n"), by_ffmpeg=False
    ),
    Recording(
        "P12 low count",
        "lame --quiet -V4 cd.wav $OUT",
        CD,
        change=written_at(b"Xing", 8, struct.pack(">I", 20)),
        by_ffmpeg=False,
    ),
    Recording("P12 VBRI", "lame --quiet -V4 cd.wav $OUT", CD, change=vbri_before, by_ffmpeg=False),
    Recording("joined MP3", "lame --quiet -V4 cd.wav a.mp3; cat a.mp3 a.mp3 > $OUT", 2 * CD, by_ffmpeg=False),
    Recording(
        "joined tagged MP3",
        "lame --quiet -V4 --tt Title --add-id3v2 cd.wav a.mp3; cat a.mp3 a.mp3 > $OUT",
        2 * CD,
        by_ffmpeg=False,
    ),
    Recording("MP2", f"{FF} cd.wav -c:a mp2 -f mp2 $OUT", None, None),
    Recording("MP2 at 24 kHz", f"{FF} r24.wav -c:a mp2 -f mp2 $OUT", None, None),
    Recording("P10 MP2 behind a tag", f"{FF} cd.wav -c:a mp2 -f mp2 $OUT", None, None, before(id3())),
    Recording("P4 VBR MP3 in WAV", f"{FF} cd.wav -c:a libmp3lame -q:a 4 -f wav $OUT", None, None),
    Recording("P4 CBR MP3 in WAV", f"{FF} cd.wav -c:a libmp3lame -b:a 128k -f wav $OUT", None, None),
    Recording("P4 MP3 with Xing in WAV", "lame --quiet -V4 cd.wav $OUT", CD, change=mp3_in_wav, by_ffmpeg=False),
    Recording("MP2 in WAV", f"{FF} cd.wav -c:a mp2 -f wav $OUT", None, None),
)


WAV = (
    *(
        Recording(f"WAV {name}", f"cp {name}.wav $OUT", CD, name)
        for name in ("deep", "deepest", "float", "double", "bytes")
    ),
    Recording("WAV 96 kHz", "cp r96.wav $OUT", 192000, "r96"),
    Recording("WAV 8 kHz", "cp r8.wav $OUT", 16000, "r8"),
    Recording("WAV A-law", f"{FF} cd.wav -c:a pcm_alaw -f wav $OUT", CD),
    Recording("WAV mu-law", f"{FF} cd.wav -c:a pcm_mulaw -f wav $OUT", CD),
    Recording("WAV IMA ADPCM", f"{FF} cd.wav -c:a adpcm_ima_wav -f wav $OUT", 88479, by_ffmpeg=False),
    Recording("WAV Microsoft ADPCM", f"{FF} cd.wav -c:a adpcm_ms -f wav $OUT", None),
    Recording("WAV six channels", f"{FF} six.wav -f wav $OUT", DAT, "six"),
    Recording("WAV of 20 bits in 24", "sox deep.wav -t wav -b 24 $OUT", CD, "deep"),
    Recording("RF64", f"{FF} cd.wav -rf64 always -f wav $OUT", CD),
    Recording("P11 BW64", f"{FF} cd.wav -rf64 always -f wav $OUT", CD, change=as_bw64),
    Recording("RIFX", "sox cd.wav -B -t wav $OUT", CD, by_ffmpeg=False),
    Recording("broadcast WAV", f"{FF} cd.wav -write_bext 1 -metadata description=x -f wav $OUT", CD),
    Recording(
        "WAV with chunks", "cp cd.wav $OUT", CD, change=with_chunks(chunk(b"JUNK", bytes(27)), chunk(b"cue ", bytes(4)))
    ),
    Recording("WAV with iXML and peaks", "cp float.wav $OUT", CD, "float", with_chunks(chunk(b"iXML", b"<x/>" * 99))),
    Recording("WAV with a tag inside", "cp cd.wav $OUT", CD, change=with_chunks(b"", chunk(b"id3 ", id3()))),
    Recording(
        *("WAV of 24 bits in 32", "sox deep.wav -t wav -b 32 $OUT", CD, "deep", with_valid_bits(24)),
        by_ffmpeg=False,  # which takes them for Cool Edit's floats
    ),
    Recording(
        *("WAV of six channels of 24 bits in 32", "sox six.wav -t wav -b 32 $OUT", DAT, "six", with_valid_bits(24)),
        by_ffmpeg=False,
    ),
    Recording("P10 WAV behind a tag", "cp cd.wav $OUT", CD, change=before(id3())),
    Recording("P6 ffmpeg WAV from a pipe", f"{FF} cd.wav -f wav - | cat > $OUT", CD),
    Recording(
        "P6 sox WAV from a pipe",
        "sox -t raw -r 44100 -c 2 -b 16 -e signed - -t wav - < cd.wav | cat > $OUT",
        None,
        None,
    ),
    Recording("P6 flac WAV from a pipe", "flac -s -c cd.wav | flac -s -d -c - | cat > $OUT", CD),
    Recording(
        "P6 mpg123 WAV from a pipe", "lame --quiet -V2 cd.wav a.mp3; mpg123 -q -w - a.mp3 | cat > $OUT", None, None
    ),
    Recording(
        "P6 GStreamer WAV from a pipe",
        GST.format(source="cd", chain="wavenc").replace("filesink location=$OUT", "fdsink") + " | cat > $OUT || true",
        None,
    ),
    *(
        Recording(f"P6 WAV of size {size:X}", "cp cd.wav $OUT", CD, change=data_size(size))
        for size in (0, 0x7FFF0000, 0x7FFFFFFF, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, 0xFFFFF000)
    ),
)
FLAC = (
    *(Recording(f"flac -{level}", f"flac -s -{level} cd.wav -o $OUT", CD) for level in (0, 5, 8)),
    Recording("flac 24 bit", "flac -s deep.wav -o $OUT", CD, "deep"),
    Recording("P11 flac 32 bit", "flac -s deepest.wav -o $OUT", CD, "deepest", by_ffmpeg=False),
    Recording("flac mono", "flac -s mono.wav -o $OUT", CD, "mono"),
    Recording("flac 96 kHz", "flac -s r96.wav -o $OUT", 192000, "r96"),
    Recording("flac six channels", "flac -s six.wav -o $OUT --channel-map=none", DAT, "six"),
    Recording("flac small blocks", "flac -s -b 192 cd.wav -o $OUT", CD),
    Recording("flac without seek points", "flac -s --no-seektable --no-padding cd.wav -o $OUT", CD),
    Recording("P5 flac to a pipe", "flac -s -c cd.wav | cat > $OUT", CD),
    Recording("P5 flac from raw to a pipe", f"{FF} cd.wav -f flac - | cat > $OUT", CD),
    Recording(
        "P5 GStreamer FLAC from a pipe",
        GST.format(source="cd", chain="flacenc").replace("filesink location=$OUT", "fdsink | cat > $OUT"),
        CD,
    ),
    Recording("ffmpeg FLAC", f"{FF} cd.wav -f flac $OUT", CD),
    Recording(
        "ffmpeg copy of a FLAC piece",
        f"flac -s -f cd.wav -o a.flac; {FF} a.flac -ss 0.7 -c copy -f flac $OUT",
        None,
        None,
    ),
    Recording("P10 Ogg behind a tag", "oggenc -Q cd.wav -o $OUT", CD, change=before(id3())),
    Recording("FLAC behind a tag", "flac -s cd.wav -o $OUT", CD, change=before(id3())),
    Recording(
        "P10 FLAC behind a tag with footer", "flac -s cd.wav -o $OUT", CD, change=before(id3(version=4, footer=True))
    ),
    Recording("FLAC with old tag", "flac -s cd.wav -o $OUT", CD, change=behind(ID3V1)),
    Recording("joined FLAC", "flac -s -f cd.wav -o a.flac; cat a.flac a.flac > $OUT", 2 * CD, by_ffmpeg=False),
)
OGG = (
    *(Recording(f"oggenc q{q}", f"oggenc -Q -q {q} cd.wav -o $OUT", CD) for q in (-1, 3, 6, 10)),
    Recording("oggenc mono", "oggenc -Q mono.wav -o $OUT", CD, "mono"),
    Recording("oggenc 48 kHz", "oggenc -Q dat.wav -o $OUT", DAT, "dat"),
    Recording("oggenc 8 kHz", "oggenc -Q r8.wav -o $OUT", 16000, "r8"),
    Recording("oggenc six channels", "oggenc -Q six.wav -o $OUT", DAT, "six"),
    Recording("oggenc managed", "oggenc -Q --managed -b 96 cd.wav -o $OUT", CD),
    Recording("ffmpeg Vorbis", f"{FF} cd.wav -c:a libvorbis -q:a 4 -f ogg $OUT", CD),
    Recording("ffmpeg Vorbis to a pipe", f"{FF} cd.wav -c:a libvorbis -f ogg - | cat > $OUT", CD),
    Recording("GStreamer Vorbis", GST.format(source="cd", chain="audioconvert ! vorbisenc ! oggmux"), None, None),
    Recording("P11 Vorbis with Skeleton", "oggenc -Q cd.wav -o $OUT", CD, change=with_skeleton),
    Recording("P11 Vorbis without end mark", "oggenc -Q cd.wav -o $OUT", None, change=without_end_mark),
    Recording("Vorbis with old tag", "oggenc -Q cd.wav -o $OUT", CD, change=behind(ID3V1)),
    Recording("P2 chain of two Vorbis", "oggenc -Q cd.wav -o a.ogg; cat a.ogg a.ogg > $OUT", 2 * CD, by_ffmpeg=False),
    Recording(
        "P2 chain of three Vorbis",
        "oggenc -Q -q 1 -s 7 cd.wav -o a.ogg; oggenc -Q -q 8 -s 8 cd.wav -o b.ogg; cat a.ogg b.ogg a.ogg > $OUT",
        3 * CD,
        by_ffmpeg=False,
    ),
    Recording(
        "P2 chain of stereo and mono",
        "oggenc -Q cd.wav -o a.ogg; oggenc -Q mono.wav -o b.ogg; cat a.ogg b.ogg > $OUT",
        2 * CD,
        by_ffmpeg=False,
    ),
    Recording(
        "P14 copy of a Vorbis piece", f"oggenc -Q cd.wav -o a.ogg; {FF} a.ogg -ss 0.7 -c copy -f ogg $OUT", None, None
    ),
    Recording(
        "P14 early copy of a Vorbis piece",
        "oggenc -Q cd.wav -o a.ogg; ffmpeg -v error -ss 0.7 -i a.ogg -c copy -f ogg $OUT",
        None,
        None,
    ),
    Recording("Ogg FLAC", "flac -s --ogg cd.wav -o $OUT", CD),
)
OPUS = (
    Recording("opusenc", "opusenc --quiet cd.wav $OUT", DAT, None),
    *(
        Recording(f"opusenc {rate}", f"opusenc --quiet --bitrate {rate} dat.wav $OUT", DAT, "dat")
        for rate in (24, 96, 256)
    ),
    *(Recording(f"opusenc {ms} ms", f"opusenc --quiet --framesize {ms} dat.wav $OUT", DAT, "dat") for ms in (2.5, 60)),
    Recording("opusenc from 16 kHz", "opusenc --quiet r16.wav $OUT", DAT, None),
    Recording("opusenc CBR", "opusenc --quiet --hard-cbr dat.wav $OUT", DAT, "dat"),
    Recording("opusenc six channels", "opusenc --quiet six.wav $OUT", DAT, "six"),
    Recording("opusenc with a gain", "opusenc --quiet dat.wav $OUT", DAT, "dat", change=with_gain),
    Recording("ffmpeg Opus", f"{FF} dat.wav -c:a libopus -f ogg $OUT", DAT, "dat"),
    Recording("GStreamer Opus", GST.format(source="dat", chain="opusenc ! oggmux"), None, "dat"),
    Recording("Opus without end mark", "opusenc --quiet dat.wav $OUT", None, "dat", without_end_mark),
    Recording("P11 Opus with Skeleton", "opusenc --quiet dat.wav $OUT", DAT, "dat", with_skeleton),
    Recording(
        "P2 chain of two Opus",
        "opusenc --quiet dat.wav a.opus; cat a.opus a.opus > $OUT",
        2 * DAT,
        "dat",
        by_ffmpeg=False,
    ),
    Recording(
        "P2 long chain of Opus",
        "opusenc --quiet dat.wav a.opus; for i in 1 2 3 4 5 6 7 8; do cat a.opus; done > $OUT",
        8 * DAT,
        "dat",
        by_ffmpeg=False,
    ),
    Recording(
        "copy of an Opus piece", f"opusenc --quiet dat.wav a.opus; {FF} a.opus -ss 0.7 -c copy -f ogg $OUT", None, None
    ),
)
OTHERS = (
    Recording("P11 AU", "sox cd.wav -t au $OUT", CD),
    Recording("P11 AU from a pipe", f"{FF} cd.wav -f au - | cat > $OUT", CD),
    Recording("P11 W64 by sox", "sox cd.wav -t w64 $OUT", CD),
    Recording("P11 W64 by ffmpeg", f"{FF} deep.wav -c:a pcm_s24le -f w64 $OUT", CD, "deep"),
    Recording("P11 W64 from a pipe", f"{FF} cd.wav -f w64 - | cat > $OUT", CD, by_ffmpeg=False),
    Recording("P11 VOC by sox", "sox mono.wav -t voc $OUT", None, "mono"),
    Recording("P11 VOC by ffmpeg", f"{FF} cd.wav -f voc $OUT", CD),
)
AIFF = (
    Recording("AIFF by sox", "sox cd.wav -t aiff $OUT", CD),
    Recording("AIFF by sox, 24 bits", "sox deep.wav -b 24 -t aiff $OUT", CD, "deep"),
    Recording("AIFF by sox, 8 bits", "sox cd.wav -b 8 -t aiff $OUT", CD),
    Recording("AIFF by sox, mono", "sox mono.wav -t aiff $OUT", CD, "mono"),
    Recording("AIFC by sox", "sox cd.wav -t aifc $OUT", CD),
    Recording("AIFF from sox to a pipe", "sox cd.wav -t aiff - | cat > $OUT", CD, by_ffmpeg=False),
    Recording("AIFF by ffmpeg", f"{FF} cd.wav -f aiff $OUT", CD),
    Recording(
        "AIFF from ffmpeg to a pipe", f"{FF} deep.wav -c:a pcm_s24be -f aiff - | cat > $OUT", CD, by_ffmpeg=False
    ),
    Recording("AIFC sowt from a pipe", f"{FF} cd.wav -c:a pcm_s16le -f aiff - | cat > $OUT", CD, by_ffmpeg=False),
    Recording("AIFF of 8 bits from a pipe", f"{FF} cd.wav -c:a pcm_s8 -f aiff - | cat > $OUT", CD, by_ffmpeg=False),
    *(
        Recording(f"AIFC {codec}", f"{FF} {source}.wav -c:a {codec} -f aiff $OUT", CD, source)
        for codec, source in (
            *(("pcm_s16le", "cd"), ("pcm_f32be", "float"), ("pcm_f64be", "double"), ("pcm_s32be", "deepest")),
            *(("pcm_alaw", "cd"), ("pcm_mulaw", "cd")),
        )
    ),
    Recording("AIFC IMA ADPCM", f"{FF} cd.wav -c:a adpcm_ima_qt -f aiff $OUT", None),
    Recording("AIFF 96 kHz", f"{FF} r96.wav -c:a pcm_s24be -f aiff $OUT", 192000, "r96"),
    Recording("AIFF six channels", f"{FF} six.wav -f aiff $OUT", DAT, "six"),
    Recording("AIFF behind a tag", "sox cd.wav -t aiff $OUT", CD, change=before(id3())),
)
CAF = (
    *(
        Recording(f"CAF {codec}", f"{FF} {source}.wav -c:a {codec} -f caf $OUT", CD, source)
        for codec, source in (
            *(("pcm_s16le", "cd"), ("pcm_s16be", "cd"), ("pcm_s24le", "deep"), ("pcm_f32le", "float")),
            *(("pcm_f64le", "double"), ("pcm_s32be", "deepest"), ("pcm_s8", "cd"), ("pcm_alaw", "cd"), ("alac", "cd")),
        )
    ),
    Recording("CAF IMA ADPCM", f"{FF} cd.wav -c:a adpcm_ima_qt -f caf $OUT", None),
    Recording("CAF six channels", f"{FF} six.wav -c:a pcm_s16le -f caf $OUT", DAT, "six"),
    Recording("CAF by sox", "sox cd.wav -t caf $OUT", CD),
    Recording("CAF from a pipe", f"{FF} cd.wav -f caf - | cat > $OUT", CD),
)
M4A = (
    Recording("M4A AAC", f"{FF} cd.wav -c:a aac -f ipod $OUT", CD),
    Recording("M4A AAC, index first", f"{FF} cd.wav -c:a aac -movflags faststart -f ipod $OUT", CD),
    Recording("MP4 AAC", f"{FF} cd.wav -c:a aac -f mp4 $OUT", CD),
    Recording("MP4 MP3", f"{FF} cd.wav -c:a libmp3lame -f mp4 $OUT", CD),
    Recording("M4A AAC mono", f"{FF} mono.wav -c:a aac -f ipod $OUT", CD, "mono"),
    Recording("M4A AAC 8 kHz", f"{FF} r8.wav -c:a aac -f ipod $OUT", 16000, "r8"),
    Recording("M4A AAC 96 kHz", f"{FF} r96.wav -c:a aac -f ipod $OUT", 192000, "r96"),
    Recording("M4A AAC six channels", f"{FF} six.wav -c:a aac -f ipod $OUT", DAT, "six"),
    Recording("MP4 of fragments", f"{FF} cd.wav -c:a aac -movflags frag_keyframe+empty_moov -f mp4 $OUT", 89224, None),
    Recording("M4A ALAC", f"{FF} cd.wav -c:a alac -f ipod $OUT", CD),
    Recording("M4A ALAC, 24 bits", f"{FF} deep.wav -c:a alac -f ipod $OUT", CD, "deep"),
    Recording("QuickTime ALAC", f"{FF} cd.wav -c:a alac -f mov $OUT", CD),
    Recording("raw AAC", f"{FF} cd.wav -c:a aac -f adts $OUT", None, None),
    Recording("raw AAC behind a tag", f"{FF} cd.wav -c:a aac -f adts $OUT", None, None, before(id3())),
    Recording("raw AAC with old tag", f"{FF} cd.wav -c:a aac -f adts $OUT", None, None, behind(ID3V1)),
    Recording("raw AAC six channels", f"{FF} six.wav -c:a aac -f adts $OUT", None, None),
)

CORPUS = (*MP3, *WAV, *FLAC, *OGG, *OPUS, *OTHERS, *AIFF, *CAF, *M4A, *CONTAINERS)

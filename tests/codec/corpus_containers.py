"""Recordings in the containers and codecs that FFmpeg writes: WavPack, WMA, Matroska, AC-3, and the sound of videos."""

from tests.codec.made_recording import CD, DAT, FF, Recording
from tests.codec.recording_edits import COVER, ape_tag, behind

WAVPACK = (
    Recording("WavPack", f"{FF} cd.wav -c:a wavpack -f wv $OUT", CD),
    Recording("WavPack, 24 bits, 96 kHz", f"{FF} r96.wav -c:a wavpack -sample_fmt s32p -f wv $OUT", 192000, "r96"),
    Recording("WavPack of floats", f"{FF} float.wav -c:a wavpack -sample_fmt fltp -f wv $OUT", CD, "float"),
    Recording("WavPack with a tag behind", f"{FF} cd.wav -c:a wavpack -f wv $OUT", CD, change=behind(ape_tag(COVER))),
)
WMA = (
    Recording("WMA 2", f"{FF} cd.wav -c:a wmav2 -b:a 192k -f asf $OUT", None, None),
    Recording("WMA 1, mono", f"{FF} r22.wav -ac 1 -c:a wmav1 -b:a 64k -f asf $OUT", None, None),
    Recording("WMA with a title", f"{FF} dat.wav -metadata title=Rain -c:a wmav2 -b:a 128k -f asf $OUT", None, None),
)
VIDEO = "-f lavfi -i color=s=64x64:d=2 -map 1:v -map 0:a"
MATROSKA = (
    Recording("MKA AAC", f"{FF} cd.wav -c:a aac -f matroska $OUT", None, None),
    Recording("MKA FLAC", f"{FF} cd.wav -c:a flac -f matroska $OUT", CD),
    Recording("MKA Vorbis", f"{FF} cd.wav -c:a libvorbis -f matroska $OUT", None),
    Recording("MKA MP3", f"{FF} cd.wav -c:a libmp3lame -f matroska $OUT", None, None),
    Recording("MKA of floats", f"{FF} float.wav -c:a pcm_f32le -f matroska $OUT", CD, "float"),
    Recording("MKV video", f"{FF} cd.wav {VIDEO} -c:v mpeg4 -c:a flac -f matroska $OUT", CD),
    Recording("WebM Opus", f"{FF} dat.wav -c:a libopus -f webm $OUT", DAT, "dat"),
    Recording("WebM Vorbis video", f"{FF} cd.wav {VIDEO} -c:v libvpx -c:a libvorbis -f webm $OUT", None),
    Recording("WebM Opus to a pipe", f"{FF} dat.wav -c:a libopus -f webm - | cat > $OUT", None, "dat"),
)
AC3 = (
    Recording("AC-3", f"{FF} dat.wav -c:a ac3 -f ac3 $OUT", None, None),
    Recording("AC-3 six channels", f"{FF} six.wav -c:a ac3 -f ac3 $OUT", None, None),
    Recording("E-AC-3", f"{FF} dat.wav -c:a eac3 -f eac3 $OUT", None, None),
)
PCM_IN_MOV = {
    **dict.fromkeys(("s24le", "s24be", "s32le", "s32be"), "deep"),
    **dict.fromkeys(("s16le", "s16be", "alaw", "mulaw"), "cd"),
    "f32le": "float",
    "f32be": "float",
    "f64le": "double",
    "u8": "bytes",
}
"""Kinds of samples, and the source that each of them holds."""

FRAGMENTS = "-movflags frag_keyframe+empty_moov"
OPUS_PRE_SKIP = 312
MP4 = (
    Recording("MP4 video", f"{FF} cd.wav {VIDEO} -c:v mpeg4 -c:a aac -f mp4 $OUT", CD),
    Recording("QuickTime video", f"{FF} cd.wav {VIDEO} -c:v mpeg4 -c:a aac -f mov $OUT", CD),
    Recording("MP4 Opus", f"{FF} dat.wav -c:a libopus -f mp4 $OUT", DAT, "dat"),
    Recording("MP4 Opus, index first", f"{FF} dat.wav -c:a libopus -movflags +faststart -f mp4 $OUT", DAT, "dat"),
    Recording(
        *("MP4 Opus of fragments", f"{FF} dat.wav -c:a libopus {FRAGMENTS} -f mp4 $OUT", DAT + OPUS_PRE_SKIP, "dat"),
        by_ffmpeg=False,  # which reads all of the last frame
    ),
    Recording("MP4 video with Opus", f"{FF} dat.wav {VIDEO} -c:v mpeg4 -c:a libopus -f mp4 $OUT", DAT, "dat"),
    Recording("MP4 FLAC", f"{FF} cd.wav -c:a flac -strict -2 -f mp4 $OUT", CD),
    Recording("MOV MP3", f"{FF} cd.wav -c:a libmp3lame -f mov $OUT", CD),
    Recording("MP4 AC-3", f"{FF} dat.wav -c:a ac3 -f mp4 $OUT", 96480, "dat"),  # whole milliseconds, by its edit list
    Recording("MP4 E-AC-3", f"{FF} dat.wav -c:a eac3 -f mp4 $OUT", 96480, "dat"),
    *(
        Recording(f"MOV {kind}", f"{FF} {source}.wav -c:a pcm_{kind} -f mov $OUT", CD, source)
        for kind, source in PCM_IN_MOV.items()
    ),
    Recording("MOV IMA ADPCM", f"{FF} cd.wav -c:a adpcm_ima_qt -f mov $OUT", None),
    Recording("QuickTime video with PCM", f"{FF} dat.wav {VIDEO} -c:v mpeg4 -c:a pcm_s16le -f mov $OUT", DAT, "dat"),
)
OTHER_VIDEO = (
    Recording("OGG video with Vorbis", f"{FF} cd.wav {VIDEO} -c:v libtheora -c:a libvorbis -f ogg $OUT", CD),
    Recording("OGG video with Opus", f"{FF} dat.wav {VIDEO} -c:v libtheora -c:a libopus -f ogg $OUT", DAT, "dat"),
    Recording("WMV video", f"{FF} cd.wav {VIDEO} -c:v wmv2 -c:a wmav2 -f asf $OUT", None, None),
    Recording("AVI video with MP3", f"{FF} cd.wav {VIDEO} -c:v mpeg4 -c:a libmp3lame -f avi $OUT", None, None),
    Recording("AVI video with PCM", f"{FF} cd.wav {VIDEO} -c:v mpeg4 -c:a pcm_s16le -f avi $OUT", CD),
    Recording("AVI video with AC-3", f"{FF} dat.wav {VIDEO} -c:v mpeg4 -c:a ac3 -f avi $OUT", None, None),
    Recording("AVI video with AAC", f"{FF} dat.wav {VIDEO} -c:v mpeg4 -c:a aac -f avi $OUT", None, None),
)

CONTAINERS = (*WAVPACK, *WMA, *MATROSKA, *AC3, *MP4, *OTHER_VIDEO)

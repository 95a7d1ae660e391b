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
MP4_VIDEO = (
    Recording("MP4 video", f"{FF} cd.wav {VIDEO} -c:v mpeg4 -c:a aac -f mp4 $OUT", CD),
    Recording("QuickTime video", f"{FF} cd.wav {VIDEO} -c:v mpeg4 -c:a aac -f mov $OUT", CD),
)

CONTAINERS = (*WAVPACK, *WMA, *MATROSKA, *AC3, *MP4_VIDEO)

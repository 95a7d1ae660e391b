"""What a training reads of a track besides its sound, before there is one."""

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.dataset.lyrics import plain_lyrics
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.dataset.windows import TrackInfo, cut_song
from heartmula_studio.lyrics.parsing import removed_lines
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.views import PromptPreview, WindowPreview


def preview_prompt(dataset: Dataset, track: AudioFile, max_window_sec: float) -> PromptPreview:
    """Cut a track into windows of at most `max_window_sec`, each with the lyrics that a training would give it."""
    tags = track.tags or dataset.styles
    num_frames = track.frames or max(1, int(track.duration_sec * FRAME_RATE_HZ))
    windows = cut_song(TrackInfo(track.filename, 0, ",".join(tags), track.caption, num_frames), max_window_sec)
    return PromptPreview(
        filename=track.filename,
        tags=",".join(split_tags(tags)).lower(),
        timing=windows[0].lyrics_timing,
        windows=tuple(
            WindowPreview(
                start_sec=window.start_frame / FRAME_RATE_HZ,
                end_sec=(window.start_frame + window.num_frames) / FRAME_RATE_HZ,
                lyrics=plain_lyrics(window.lyrics).lower(),
            )
            for window in windows
        ),
        removed=removed_lines(track.caption),
    )

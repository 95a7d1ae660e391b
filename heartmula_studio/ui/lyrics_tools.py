"""What helps to write lyrics: section marks, whole structures, and how much of a song the words fill."""

import json

import gradio as gr

from heartmula_studio.files.wording import counted
from heartmula_studio.generate.request import MAX_SONG_SEC
from heartmula_studio.lyrics.singing import STRUCTURES, marks_of, measure_singing, proposed_sec
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.quiet import QUIET

LYRICS_ID = "song-lyrics"
# The browser undoes what execCommand inserts, and nothing that a script sets.
INSERT = """(added) => {
  const field = document.querySelector("#song-lyrics textarea"), { selectionStart: start, selectionEnd: end } = field;
  const before = field.value.slice(0, start);
  const gap = !before.trim() || before.endsWith("\\n\\n") ? "" : before.endsWith("\\n") ? "\\n" : "\\n\\n";
  field.focus();
  field.setSelectionRange(start, start);
  document.execCommand("insertText", false, gap + added);
  field.setSelectionRange(start + (gap + added).length, end + (gap + added).length);
}"""
INSERT_SECTION = f"""element.addEventListener("click", (event) => {{
  const button = event.target.closest("button");
  if (button) ({INSERT})(`${{button.textContent}}\\n`);
}});"""
INSERT_STRUCTURE = f"(name) => ({INSERT})({json.dumps({name: marks_of(name) for name in STRUCTURES})}[name])"
SECTIONS = ("Intro", "Verse", "Pre-Chorus", "Chorus", "Bridge", "Instrumental", "Outro")


def build_section_marks() -> None:
    """Build a button for each section, which puts its mark where the cursor is in the lyrics."""
    buttons = "".join(f'<button class="chip">[{section}]</button>' for section in SECTIONS)
    gr.HTML(f'<div class="chips">{buttons}</div>', js_on_load=INSERT_SECTION, apply_default_css=False)


def build_lyrics_tools(lyrics: gr.Textbox, duration: gr.Slider) -> None:
    """Build what says how long the lyrics take, sets the length by them, and lays out a whole song."""
    said = gr.HTML(said_of_lyrics("", duration.value))
    with gr.Accordion("Structure and length", open=FOLDED):
        with gr.Row(elem_classes=["field-row"]):
            structure = gr.Dropdown(
                [(f"{name}: {', '.join(sections)}", name) for name, sections in STRUCTURES.items()],
                value=next(iter(STRUCTURES)), label="Structure", info="Section marks to write under.", interactive=True,
            )  # fmt: skip
            insert = gr.Button("Insert")
        propose = gr.Button("Set the length from the lyrics", size="sm")
    gr.on(on_change(lyrics, duration), said_of_lyrics, [lyrics, duration], said, **QUIET)
    insert.click(None, structure, js=INSERT_STRUCTURE, **QUIET)
    propose.click(length_by_lyrics, [lyrics, duration], duration, **QUIET)


def said_of_lyrics(lyrics: str, duration_sec: float) -> str:
    """HTML: lines, syllables and how long they take, and whether that fits into the length."""
    singing = measure_singing(lyrics)
    if not singing.num_lines:
        return ""
    words = (
        f"{counted(singing.num_lines, 'line')}, {counted(singing.num_syllables, 'syllable')}: "
        f"about {html.duration(singing.duration_sec)} to sing"
    )
    if singing.duration_sec > duration_sec:
        fits = f"The song lasts {html.duration(duration_sec)} at most, so the last lines may be missing."
        return html.notice("warning", f"{words}.", fits)
    return f'<p class="hint">{words}, of {html.duration(duration_sec)} at most.</p>'


def length_by_lyrics(lyrics: str, duration_sec: float) -> float:
    """Return the length that suits the lyrics; the one that is set without any."""
    return proposed_sec(lyrics, MAX_SONG_SEC) or duration_sec

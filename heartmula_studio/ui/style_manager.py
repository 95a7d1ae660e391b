"""Style Manager: tags to choose from, own tags, and trained styles to activate."""

from collections.abc import Sequence
from functools import partial

import gradio as gr

from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.header import find_all_active, switch_off
from heartmula_studio.ui.mixing import build_mixing
from heartmula_studio.ui.offers import clear_sent
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.quiet import AS_SENT, QUIET

BASE = ""  # the choice that stands for no trained style
Update = dict
# Both get all that each of the groups offers. One output that is a list stands in another list.
WITH_TICKED = """(tags, ticked, offered) => {
  const kept = tags.filter(tag => ticked.includes(tag) || !offered[%d].includes(tag));
  return [[...kept, ...ticked.filter(tag => !kept.includes(tag))]];
}"""
TICKED = "(tags, offered) => offered.map(group => group.filter(tag => tags.includes(tag)))"


def build_style_manager(context: PageContext, tags: gr.Dropdown) -> None:
    """Build the choice of tags and trained styles; `tags` are those of the song."""
    studio, changes = context.studio, context.changes
    with gr.Column(elem_classes=["glass", "styles"]):
        gr.HTML("<h2>Style Manager</h2>")
        to_studio = gr.Button("🎓 Training Studio")
        trained = gr.Radio([], label="Trained styles", elem_classes=["chips"])
        build_mixing(context)
        builtin = gr.CheckboxGroup(
            list(studio.tags.list().builtin), label="Tags the model responds to best", elem_classes=["chips"]
        )
        own = gr.CheckboxGroup([], label="Your own tags", visible=False, elem_classes=["chips"])
        offered, sent = gr.JSON([list(studio.tags.list().builtin), []], visible=False), gr.JSON(visible=False)
        with gr.Row(elem_classes=["field-row"]):
            new = gr.Textbox(label="A tag of your own", placeholder="Highlife", max_lines=1, scale=3)
            add = gr.Button("Add", min_width=80)
            remove = gr.Button("Remove ticked tags", min_width=120, visible=False)
    context.open_tab_on(to_studio.click, "dataset")
    _keep_in_step(tags, [builtin, own], offered)
    added = gr.on([add.click, new.submit], lambda name: add_tag(studio, name), new, sent, **QUIET)
    clear_sent(added, sent, [new])
    remove.click(lambda names, tags: remove_tags(studio, names, tags), [own, tags], tags, **AS_SENT)
    trained.input(lambda id: choose_style(studio, id), trained, **AS_SENT)
    gr.on(on_change(changes.styles), partial(own_tags, studio), outputs=[own, remove, offered], **QUIET)
    gr.on(on_change(changes.checkpoints), partial(trained_styles, studio), outputs=trained, **QUIET)
    gr.on(on_change(changes.styles, changes.checkpoints), partial(suggestions, studio), outputs=tags, **QUIET)


def _keep_in_step(tags: gr.Dropdown, groups: Sequence[gr.CheckboxGroup], offered: gr.JSON) -> None:
    """Tick the song's tags, and add ticked tags to the song: in the browser, faster than anyone ticks."""
    for number, group in enumerate(groups):
        group.input(None, [tags, group, offered], tags, js=WITH_TICKED % number, **QUIET)
    tags.change(None, [tags, offered], list(groups), js=TICKED, **QUIET)


def add_tag(studio: Studio, name: str) -> list[str]:
    """Add an own tag; return what the field held."""
    with user_errors():
        studio.tags.add(name)
    return [name]


def remove_tags(studio: Studio, names: Sequence[str], tags: Sequence[str]) -> list[str]:
    """Remove own tags, and return the song's tags without them."""
    with user_errors():
        for name in names:
            studio.tags.remove(name)
    return [tag for tag in tags if tag not in names]


def own_tags(studio: Studio) -> tuple[Update, Update, list[list[str]]]:
    """Return the own tags, the button that removes some, and the choices of both groups of tags."""
    styles = studio.tags.list()
    custom = list(styles.custom)
    is_any = gr.update(visible=bool(custom))
    return gr.update(choices=custom, visible=bool(custom)), is_any, [list(styles.builtin), custom]


def trained_styles(studio: Studio) -> Update:
    """Return the checkpoints by name, with the active one chosen; none of a mix."""
    choices = [("None, the base model", BASE)]
    choices += [(checkpoint.name, checkpoint.id) for checkpoint in studio.checkpoints.list()]
    active = find_all_active(studio)
    ids = [style.id for style in active] or [BASE]
    return gr.update(choices=choices, value=ids[0] if len(ids) == 1 else None)


def choose_style(studio: Studio, id: str) -> None:
    """Activate a trained style, or none."""
    if id == BASE:
        switch_off(studio)
        return
    with user_errors():
        studio.checkpoints.activate(id)


def suggestions(studio: Studio) -> Update:
    """Return the suggestions for the song's tags: own ones first."""
    styles = studio.tags.list()
    names = [*styles.custom, *(style.name for style in styles.trained), *styles.builtin]
    return gr.update(choices=list(dict.fromkeys(names)))

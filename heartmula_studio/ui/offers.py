"""Fields that the server fills and a person edits.

A field that is drawn anew, or is simply sent a value, loses what is being typed. So what the server knows goes to the
browser as an offer, and the browser takes it except where a person has typed since the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from heartmula_studio.ui.quiet import QUIET

# A field was typed in where it differs from what was offered before under the same key. An undefined output is left
# as it is.
TAKE = """(offers, taken, _keys, ...fields) => {
  const values = offers.flatMap((offer, number) => offer.values.map((offered, field) => {
    const before = taken?.[number];
    const shown = fields[number * offer.values.length + field];
    const isTyped = String(before?.key) === String(offer.key) && shown !== before.values[field];
    return isTyped || shown === offered ? undefined : offered;
  }));
  return [offers, offers.map(offer => offer.key), ...values];
}"""
CLEAR_SENT = "(sent, ...shown) => shown.map((value, field) => value === sent[field] ? '' : undefined)"


@dataclass(frozen=True)
class Offers:
    """Values that only the browser holds; `keys` names what the fields are of, and changes together with them."""

    offered: gr.JSON
    taken: gr.JSON
    keys: gr.JSON

    @classmethod
    def build(cls) -> "Offers":
        return cls(*(gr.JSON(visible=False) for _ in range(3)))

    def fill(self, event: gr.events.Dependency, fields: Sequence[gr.components.Component]) -> None:
        """Fill `fields` with what an event wrote to `offered`: a list of `offer`, all of the same length."""
        holders = [self.taken, self.keys, *fields]
        event.success(None, [self.offered, *holders], holders, js=TAKE, **QUIET)


def offer(key: object, *values: object) -> dict:
    """Values for neighbouring fields. `key`: JSON that names what they are of, None for nothing."""
    return {"key": key, "values": list(values)}


def clear_sent(event: gr.events.Dependency, sent: gr.JSON, fields: Sequence[gr.Textbox]) -> None:
    """Empty the fields of a form after an event that wrote to `sent` what it took from them; later typing stays."""
    event.success(None, [sent, *fields], list(fields), js=CLEAR_SENT, **QUIET)

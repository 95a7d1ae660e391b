"""Trained styles for `gradio_client`."""

import gradio as gr

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.merge_settings import Combination, MergeSettings
from heartmula_studio.store.records import StyleChoice
from heartmula_studio.store.style_files import StyleFormat
from heartmula_studio.studio import Studio
from heartmula_studio.ui.endpoint_calls import call, in_thread
from heartmula_studio.ui.files import served_stream, uploaded_file
from heartmula_studio.ui.page_context import user_errors

STRENGTHS = ("strength", "attention_strength", "mlp_strength")


class CheckpointEndpoints:
    """One method an endpoint; its signature and docstring are what a client sees."""

    def __init__(self, studio: Studio):
        self._checkpoints = studio.checkpoints

    async def list_checkpoints(self) -> list[dict]:
        """All trained styles, oldest first."""
        return await call(self._checkpoints.list)

    async def activate(
        self,
        checkpoint_id: str,
        strength: float = 1.0,
        attention_strength: float | None = None,
        mlp_strength: float | None = None,
    ) -> dict:
        """Give every song from now on this style; attention and MLP layers may have a strength of their own."""
        parts = {"attention_strength": attention_strength, "mlp_strength": mlp_strength}
        return await call(self._checkpoints.activate, checkpoint_id, strength, **parts)

    async def activate_mix(self, styles: dict) -> list[dict]:
        """Give every song from now on several LoRA styles at once.

        `styles` are their ids, and the strength of each: a number, or {"strength", "attention_strength",
        "mlp_strength"}, of which those left out are 1 and as all layers.
        """
        return await call(self._checkpoints.activate_mix, mix_of(styles))

    async def merge_checkpoints(
        self,
        name: str,
        styles: dict,
        tags: list[str] | None = None,
        combination: Combination = MergeSettings.combination,
        rank: int | None = None,
        density: float = MergeSettings.density,
        seed: int = MergeSettings.seed,
    ) -> dict:
        """Make a new style of two or more LoRA styles, given as `activate_mix` takes them. See REST for the rest."""
        settings = {"combination": combination, "rank": rank, "density": density, "seed": seed}
        return await call(self._checkpoints.merge, name, mix_of(styles), tags or [], **settings)

    async def deactivate(self, checkpoint_id: str) -> dict:
        """Give the base model back."""
        return await call(self._checkpoints.deactivate, checkpoint_id)

    async def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Delete a style that is not active."""
        await call(self._checkpoints.delete, checkpoint_id)

    async def download_checkpoint(self, checkpoint_id: str, format: StyleFormat = "peft") -> gr.FileData:
        """The style as one file, which `import_checkpoint` takes in anywhere else; see REST for the formats."""
        filename, chunks = await in_thread(self._checkpoints.download, checkpoint_id, format)
        return await in_thread(served_stream, filename, chunks)

    async def import_checkpoint(
        self,
        file: gr.FileData,
        name: str,
        styles: list[str] | None = None,
        which: str = "",
        alpha: float | None = None,
    ) -> dict:
        """Take in a style that was trained elsewhere: a .zip or a .safetensors.

        which: of several, its folder; alpha: of an adapter that tells none.
        """
        with user_errors(str):
            path, filename = uploaded_file(file)
        return await call(self._checkpoints.import_archive, path, name, styles or [], filename, which, alpha)


def mix_of(styles: dict) -> list[StyleChoice]:
    """Return styles with their strengths, as a client gives them. Ranges are checked where they are used."""
    with user_errors(str):
        return [StyleChoice(str(id), **_strengths(id, given)) for id, given in styles.items()]


def _strengths(id: str, given: object) -> dict:
    strengths = given if isinstance(given, dict) else {"strength": given}
    if unknown := set(strengths) - set(STRENGTHS):
        raise InvalidInputError(f"The style {id} has {sorted(unknown)[0]!r}.", f"Allowed: {', '.join(STRENGTHS)}.")
    return strengths

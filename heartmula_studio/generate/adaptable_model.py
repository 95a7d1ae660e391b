"""A base model and the trained styles on it: the one place that knows which are on."""

from collections.abc import Sequence
from pathlib import Path

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.errors import CheckpointError, InvalidInputError
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.decoding.generator import WeightsVersion
from heartmula_studio.generate.finite import require_finite_logits
from heartmula_studio.generate.full_weights import FullWeights
from heartmula_studio.generate.strength import Strength, check_strength
from heartmula_studio.generate.style import ActiveStyle, Style, identify_style, require_mixable

StyleAt = tuple[Style, Strength]


class AdaptableModel:
    """A HeartMuLa in memory with trained styles on it: any number of adapters, or full weights. One call at a time.

    What several adapters change is the exact sum of what each changes.
    """

    def __init__(self, model: HeartMuLa, base: BaseFolder):
        self._model = model
        self._base = BaseModel.of(model, fingerprint(base.model))
        self._full_weights = FullWeights(model, base.model, self._base)
        self._adapters: list[Adapter] = []
        self._num_exchanges = 0
        self._active: tuple[ActiveStyle, ...] = ()

    @property
    def active(self) -> tuple[ActiveStyle, ...]:
        return self._active

    @property
    def base_fingerprint(self) -> str:
        return self._base.fingerprint

    @property
    def version(self) -> WeightsVersion:
        """What a decoder has to compare before it goes on with a copy of the weights."""
        strengths = [part for style in self._active for part in style.strengths.parts] if self._adapters else []
        return WeightsVersion(self._num_exchanges, tuple(strengths))

    def identify(self, folder: Path, strength: Strength) -> StyleAt:
        """Read who the style in a folder is. Raises CheckpointError unless it fits, and as `check_strength`."""
        style = identify_style(folder, self._base)
        check_strength(strength, style.method)
        return style, strength

    def put_on(self, styles: Sequence[StyleAt]) -> tuple[ActiveStyle, ...]:
        """Put styles on in place of any others, and see that the model can go on with them.

        Raises InvalidInputError for a full fine-tune among several, CheckpointError and OutOfMemoryError. The model is
        then as it was or, where the previous styles cannot be read again, without a style; the error says so.
        """
        require_mixable([style.folder for style, _ in styles])
        previous = self._active
        try:
            self.take_off()
            return self._apply(styles)
        except BaseException as failure:
            self._go_back(previous, failure)
            raise

    def take_off(self) -> None:
        """Give the base back, bit for bit. No style is active afterwards in any case. Raises as `require_base`."""
        for adapter in self._adapters:
            adapter.detach()
        self._num_exchanges += bool(self._adapters)
        self._adapters, self._active = [], ()
        self._full_weights.restore()

    def set_strengths(self, strengths: Sequence[Strength]) -> tuple[ActiveStyle, ...]:
        """Change how strong the active styles are, in their order.

        Raises InvalidInputError, and CheckpointCorruptError where the model cannot go on; it is then as it was.
        """
        if not self._active:
            raise InvalidInputError("No style is active.", "Activate one first.")
        before = self._active
        for active, strength in zip(before, strengths, strict=True):
            check_strength(strength, active.style.method)
        if not self._adapters or [active.strengths for active in before] == list(strengths):
            return before
        try:
            scaled = self._scale([active.style for active in before], strengths)
            require_finite_logits(self._model, before[-1].style.folder.path)
            return scaled
        except BaseException:
            self._scale([active.style for active in before], [active.strengths for active in before])
            raise

    def require_base(self) -> None:
        """Have the base's weights where no style is active.

        Raises CheckpointError where a full checkpoint was on and the base cannot be read again; the next call tries
        again.
        """
        if not self._active:
            self._full_weights.restore()

    def _apply(self, styles: Sequence[StyleAt]) -> tuple[ActiveStyle, ...]:
        for style, strength in styles:
            if style.folder.adapter is None:
                self._active = (ActiveStyle(style, strength, self._full_weights.overwrite(style.folder.path)),)
            else:
                self._adapters.append(Adapter(self._model, style.folder.adapter))
        if self._adapters:
            self._num_exchanges += 1
            self._scale([style for style, _ in styles], [strength for _, strength in styles])
        if styles:
            require_finite_logits(self._model, styles[-1][0].folder.path)
        return self._active

    def _scale(self, styles: Sequence[Style], strengths: Sequence[Strength]) -> tuple[ActiveStyle, ...]:
        for adapter, strength in zip(self._adapters, strengths, strict=True):
            adapter.set_strength(strength)
        self._active = tuple(
            ActiveStyle(style, strength, adapter.layers_changed)
            for style, strength, adapter in zip(styles, strengths, self._adapters, strict=True)
        )
        return self._active

    def _go_back(self, previous: Sequence[ActiveStyle], failure: BaseException) -> None:
        """Put the previous styles on again after a failure. Raises CheckpointError, with both reasons, if it cannot."""
        try:
            self.take_off()
            # Checked again: a folder may hold another style by now, which would go by the old one's name.
            self._apply([(identify_style(old.style.folder.path, self._base), old.strengths) for old in previous])
        except Exception as error:  # whatever it was, there is no style now
            raise CheckpointError(
                f"{failure} The engine cannot go back to its previous state either: {error}", "No style is active now."
            ) from failure

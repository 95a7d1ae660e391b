"""A base model and the trained style on it: the one place that knows which is on."""

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
from heartmula_studio.generate.style import ActiveStyle, Style, check_strength, identify_style


class AdaptableModel:
    """A HeartMuLa in memory with at most one trained style on it, an adapter or full weights. One call at a time."""

    def __init__(self, model: HeartMuLa, base: BaseFolder):
        self._model = model
        self._base = BaseModel.of(model, fingerprint(base.model))
        self._full_weights = FullWeights(model, base.model, self._base)
        self._adapter: Adapter | None = None
        self._num_exchanges = 0
        self._active: ActiveStyle | None = None

    @property
    def active(self) -> ActiveStyle | None:
        return self._active

    @property
    def base_fingerprint(self) -> str:
        return self._base.fingerprint

    @property
    def version(self) -> WeightsVersion:
        """What a decoder has to compare before it goes on with a copy of the weights."""
        return WeightsVersion(self._num_exchanges, self._active.strength if self._adapter and self._active else 0.0)

    def identify(self, folder: Path, strength: float) -> Style:
        """Read who the style in a folder is. Raises CheckpointError unless it fits, and as `check_strength`."""
        style = identify_style(folder, self._base)
        check_strength(strength, style.method)
        return style

    def put_on(self, style: Style, strength: float) -> ActiveStyle:
        """Put a style on in place of any other, and see that the model can go on with it.

        Raises CheckpointError and OutOfMemoryError. The model is then as it was or, where the previous style cannot be
        read again, without a style; the error says so.
        """
        previous = self._active
        try:
            self.take_off()
            return self._apply(style, strength)
        except BaseException as failure:
            self._go_back(previous, failure)
            raise

    def take_off(self) -> None:
        """Give the base back, bit for bit. No style is active afterwards in any case. Raises as `require_base`."""
        if self._adapter:
            self._adapter.detach()
            self._num_exchanges += 1
        self._adapter = self._active = None
        self._full_weights.restore()

    def set_strength(self, strength: float) -> ActiveStyle:
        """Raises InvalidInputError, and CheckpointCorruptError where the model cannot go on; it is then as it was."""
        if self._active is None:
            raise InvalidInputError("No style is active.", "Activate one first.")
        active = self._active
        check_strength(strength, active.style.method)
        if self._adapter is None or strength == active.strength:
            return active
        try:
            scaled = self._scale(self._adapter, active.style, strength)
            require_finite_logits(self._model, active.style.folder.path)
            return scaled
        except BaseException:
            self._scale(self._adapter, active.style, active.strength)
            raise

    def require_base(self) -> None:
        """Have the base's weights where no style is active.

        Raises CheckpointError where a full checkpoint was on and the base cannot be read again; the next call tries
        again.
        """
        if self._active is None:
            self._full_weights.restore()

    def _apply(self, style: Style, strength: float) -> ActiveStyle:
        if style.folder.adapter is None:
            applied = ActiveStyle(style, strength, self._full_weights.overwrite(style.folder.path))
        else:
            self._adapter = Adapter(self._model, style.folder.adapter)
            self._num_exchanges += 1
            applied = self._scale(self._adapter, style, strength)
        self._active = applied
        require_finite_logits(self._model, style.folder.path)
        return applied

    def _scale(self, adapter: Adapter, style: Style, strength: float) -> ActiveStyle:
        adapter.set_strength(strength)
        self._active = ActiveStyle(style, strength, adapter.layers_changed if strength else 0)
        return self._active

    def _go_back(self, previous: ActiveStyle | None, failure: BaseException) -> None:
        """Put the previous style on again after a failure. Raises CheckpointError, with both reasons, if it cannot."""
        try:
            self.take_off()
            if previous:
                # Checked again: its folder may hold another style by now, which would go by the old one's name.
                self._apply(identify_style(previous.style.folder.path, self._base), previous.strength)
        except Exception as error:  # whatever it was, there is no style now
            raise CheckpointError(
                f"{failure} Nor can the engine go back to what it was: {error}", "No style is active now."
            ) from failure

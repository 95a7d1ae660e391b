"""The styles that songs are made in: which are chosen, whether they fit the base, and where those of a song lie.

Which style is active is kept in the store, so it survives a restart and holds for every server on the folder. A song
may ask for another one; that changes nothing for the next.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from heartmula_studio.errors import CheckpointError, CheckpointMissingError, InvalidInputError, NotFoundError
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.replay_styles import find_styles
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.generate.strength import Strength, check_strength
from heartmula_studio.generate.style import StyleFolder, check_fit, check_values, require_mixable
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.library.checkpoint_import import called
from heartmula_studio.services.library.style_provenance import style_provenance
from heartmula_studio.store.records import ACTIVE_STYLE, BASE_STYLE, Generation, StyleChoice
from heartmula_studio.store.store import Store

DEFAULT_STRENGTH = 1.0
NO_LONGER_ACTIVE = "The style is no longer active: songs are made by the base until another one is activated."
StylesAt = list[tuple[Path, Strength]]
"""Folders of styles, each with its strength; none for the base alone."""


class SongStyles:
    """Any thread may call any method."""

    def __init__(self, store: Store, runtime: Lazy[Runtime]):
        self._store, self._runtime = store, runtime

    def choose(self, styles: Sequence[StyleChoice]) -> None:
        """Make every song from now on in these styles, once it is seen that they can be applied to the base.

        A full checkpoint's values are not read again: training and imports have.
        Raises NotFoundError, InvalidInputError for styles that cannot be mixed, and CheckpointError where one is
        damaged or of another base.
        """
        self._check(styles, with_values=True)
        self._store.checkpoints.set_active_styles(styles)

    def check(self, style: str, strength: float | None, styles: Sequence[StyleChoice] = ()) -> None:
        """Look whether a song can be asked for in a style ("active", "base", a checkpoint's id), or in a mix of styles.

        Loads nothing. Raises NotFoundError, InvalidInputError, and CheckpointError where one is damaged or of another
        base.
        """
        if styles:
            self._check(styles)
        elif style not in (ACTIVE_STYLE, BASE_STYLE):
            self._check([one(style, strength)])
        elif strength is not None:
            raise InvalidInputError(
                f"A strength of {strength} was given for the style {style!r}.",
                "It can only be given with a checkpoint's id.",
            )

    @contextmanager
    def of(self, song: Generation) -> Iterator[StylesAt]:
        """Yield the styles that a song was asked for in; errors in the block speak of them by their names.

        Raises CheckpointMissingError for one that was deleted since.
        """
        wanted = self._wanted(song)
        with ExitStack() as names:
            folders = [names.enter_context(self._for_song(choice.id)) for choice in wanted]
            for choice in wanted:
                style_provenance(self._store, self._runtime.get().base, choice.id)
            yield [(folder, strength_of(choice)) for folder, choice in zip(folders, wanted, strict=True)]

    @contextmanager
    def taken_back(self, song: Generation, styles: StylesAt) -> Iterator[None]:
        """Choose the base where the styles of a song make the block fail, and have been chosen for all songs."""
        try:
            yield
        except CheckpointError as error:
            if not styles or song.style != ACTIVE_STYLE or not self._store.checkpoints.withdraw(styles[0][0].name):
                raise
            raise type(error)(error.message, f"{error.hint} {NO_LONGER_ACTIVE}".strip()) from error

    def styles_of(self, receipt: Receipt) -> tuple[StyleChoice, ...]:
        """Return the styles that a song was made in, each at its strength. Raises CannotReplayError."""
        folders = [self._store.checkpoints.folder(checkpoint.id) for checkpoint in self._store.checkpoints.list()]
        found = find_styles(receipt, self._runtime.get().base, folders)
        return tuple(
            StyleChoice(folder.name, strength.overall, strength.attention, strength.mlp) for folder, strength in found
        )

    def _check(self, styles: Sequence[StyleChoice], with_values: bool = False) -> None:
        """Raise what speaks against these styles at once; a full checkpoint's values are never read here."""
        folders = []
        for choice in styles:
            with self._by_name(choice.id) as folder:
                style = self._check_checkpoint(folder, strength_of(choice))
                if with_values and style.adapter:
                    check_values(style)
                folders.append(style)
        require_mixable(folders)

    def _check_checkpoint(self, folder: Path, strength: Strength) -> StyleFolder:
        style = check_fit(folder, describe_base(self._runtime.get().base))
        check_strength(strength, style.method)
        return style

    @contextmanager
    def _by_name(self, checkpoint_id: str) -> Iterator[Path]:
        """Yield a checkpoint's folder, which errors speak of by its name. Raises NotFoundError."""
        folder = self._store.checkpoints.folder(checkpoint_id)
        with called(folder, self._store.checkpoints.get(checkpoint_id).name):
            yield folder

    def _wanted(self, song: Generation) -> tuple[StyleChoice, ...]:
        if song.style == ACTIVE_STYLE:
            return self._store.checkpoints.active_styles()
        if song.style == BASE_STYLE:
            return ()
        return song.styles or (one(song.style, song.style_strength),)

    def _for_song(self, checkpoint_id: str) -> AbstractContextManager[Path]:
        """As `_by_name`, of a style that was there when the song was asked for."""
        try:
            self._store.checkpoints.folder(checkpoint_id)
        except NotFoundError as error:
            message = f"The style {checkpoint_id} was deleted before the song was made."
            raise CheckpointMissingError(message, "Ask for the song in another style.") from error
        return self._by_name(checkpoint_id)


def one(id: str, strength: float | None) -> StyleChoice:
    return StyleChoice(id, DEFAULT_STRENGTH if strength is None else strength)


def strength_of(choice: StyleChoice) -> Strength:
    return Strength(choice.strength, choice.attention_strength, choice.mlp_strength)

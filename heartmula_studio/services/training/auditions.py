"""Blind auditions: two songs of one prompt and seed, by the base and by a rung, and a person says which is which."""

import re
import secrets
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path
from typing import Literal, get_args

from heartmula_studio.errors import ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.services.training.ladder import LadderService
from heartmula_studio.store.field_types import Count, Time
from heartmula_studio.store.record import Record
from heartmula_studio.store.records import utc_now
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import Audition, AuditionQuestion, AuditionResult, AuditionTrial

Side = Literal["a", "b"]
SIDES: tuple[Side, ...] = get_args(Side)
MAX_TRIALS = 64
MAX_AUDITIONS = 1000  # of a job
CHANCE = 0.05  # a result that guessing gives less often than this was heard
AUDITIONS = "auditions"

_ID = re.compile(r"[a-z0-9]{12}")


@dataclass(frozen=True)
class StoredTrial:
    """`number` is that of the songs, `trained` the side that the rung's is on, `choice` the side it was taken for."""

    number: Count
    trained: Side
    choice: Side | None = None


@dataclass(frozen=True)
class StoredAudition(Record):
    """What lies on disk, with what the listener must not know yet."""

    id: str
    job_id: str
    step: Count
    created_at: Time
    trials: tuple[StoredTrial, ...]
    question: AuditionQuestion = "told"

    @property
    def is_over(self) -> bool:
        return all(trial.choice for trial in self.trials)


class AuditionService:
    """Any thread may call any method. Votes are on disk when a call returns."""

    def __init__(self, store: Store, ladder: LadderService):
        self._store, self._ladder = store, ladder

    def start(self, job_id: str, step: int, trials: int = 8, question: AuditionQuestion = "told") -> Audition:
        """Draw the pairs of a blind comparison of a rung with the base.

        question: "told" asks which song is the rung's, "preferred" which one is preferred.

        Raises NotFoundError for an unknown job or rung, ConflictError where no songs were rendered, InvalidInputError.
        """
        if isinstance(trials, bool) or not isinstance(trials, int) or not 1 <= trials <= MAX_TRIALS:
            raise InvalidInputError(f"trials is {trials!r}.", f"Give a whole number between 1 and {MAX_TRIALS}.")
        if question not in get_args(AuditionQuestion):
            raise InvalidInputError(f"The question is {question!r}.", "Give told or preferred.")
        self._ladder.folder(job_id, step)
        base, rung = self._ladder.rung(job_id, 0), self._ladder.rung(job_id, step)
        numbers = sorted({song.number for song in base.previews} & {song.number for song in rung.previews})
        if not numbers:
            raise ConflictError(
                f"No songs were rendered of step {step} and of the base.",
                "Train with preview_songs above 0, or wait until they are there.",
            )
        with self._store.jobs.locked(job_id):
            if len(self._paths(job_id)) >= MAX_AUDITIONS:
                raise ConflictError(f"The job has {MAX_AUDITIONS} auditions.", "Go on with one of them.")
            drawn = tuple(StoredTrial(numbers[i % len(numbers)], secrets.choice(SIDES)) for i in range(trials))
            audition = StoredAudition(self._store.jobs.new_id(), job_id, step, utc_now(), drawn, question)
            self._write(audition)
        return self._view(audition)

    def get(self, job_id: str, audition_id: str) -> Audition:
        return self._view(self._read(job_id, audition_id))

    def audio(self, job_id: str, audition_id: str, trial: int, side: str) -> Path:
        """The song on a side of a trial. Raises NotFoundError."""
        audition = self._read(job_id, audition_id)
        found = self._trial(audition, trial)
        step = audition.step if checked_side(side) == found.trained else 0
        return self._ladder.preview(job_id, step, found.number)

    def vote(self, job_id: str, audition_id: str, trial: int, choice: str) -> Audition:
        """Say which side of a trial was trained. Raises ConflictError once all votes are in."""
        with self._store.jobs.locked(job_id):
            audition = self._read(job_id, audition_id)
            voted = replace(self._trial(audition, trial), choice=checked_side(choice))
            if audition.is_over:
                raise ConflictError("All votes of this audition are in.", "Start another one.")
            trials = (*audition.trials[:trial], voted, *audition.trials[trial + 1 :])
            audition = replace(audition, trials=trials)
            self._write(audition)
        return self._view(audition)

    def _trial(self, audition: StoredAudition, trial: int) -> StoredTrial:
        if trial not in range(len(audition.trials)):
            last = len(audition.trials) - 1
            raise NotFoundError(f"There is no trial {trial}.", f"This audition has those from 0 to {last}.")
        return audition.trials[trial]

    def _view(self, audition: StoredAudition) -> Audition:
        """What the listener may know. The songs may be gone; their prompts are left out then."""
        songs = {song.number: song for song in self._ladder.rung(audition.job_id, 0).previews}
        trials = []
        for stored in audition.trials:
            song = songs.get(stored.number)
            trials.append(
                AuditionTrial(
                    number=stored.number,
                    seed=song.seed if song else None,
                    tags=song.tags if song else "",
                    lyrics=song.lyrics if song else "",
                    choice=stored.choice,
                    trained=stored.trained if audition.is_over else None,
                )
            )
        result = result_of(audition) if audition.is_over else None
        return Audition(
            id=audition.id,
            job_id=audition.job_id,
            step=audition.step,
            created_at=audition.created_at,
            trials=tuple(trials),
            result=result,
            question=audition.question,
        )

    def _read(self, job_id: str, audition_id: str) -> StoredAudition:
        """Raises NotFoundError, StorageError for a damaged file."""
        folder = self._folder(job_id)
        try:
            if not _ID.fullmatch(str(audition_id)):
                raise FileNotFoundError
            return StoredAudition.read(folder / f"{audition_id}.json")
        except FileNotFoundError as error:
            raise NotFoundError(
                f"The job {job_id} has no audition {str(audition_id)[:80]!r}.", "List its auditions, or start one."
            ) from error

    def _write(self, audition: StoredAudition) -> None:
        path = self._folder(audition.job_id) / f"{audition.id}.json"
        with disk_explained(path), replaced_file(path) as temporary:
            temporary.write_bytes(audition.to_json())

    def _paths(self, job_id: str) -> list[Path]:
        return [path for path in self._folder(job_id).glob("*.json") if _ID.fullmatch(path.stem)]

    def _folder(self, job_id: str) -> Path:
        return self._store.jobs.folder(job_id) / AUDITIONS

    # Last in the class: after it, `list` here is this method.
    def list(self, job_id: str) -> list[Audition]:
        """All auditions of a job, oldest first."""
        found = [self._read(job_id, path.stem) for path in self._paths(job_id)]
        return [self._view(audition) for audition in sorted(found, key=lambda audition: audition.created_at)]


def checked_side(side: str) -> Side:
    """Raises InvalidInputError for what is neither of the two."""
    for known in SIDES:
        if side == known:
            return known
    raise InvalidInputError(f"The side is {str(side)[:80]!r}.", "Give a or b.")


def result_of(audition: StoredAudition) -> AuditionResult:
    """Count the votes, and say how often guessing gives as many right ones."""
    correct, trials = sum(t.choice == t.trained for t in audition.trials), len(audition.trials)
    p_value = guessed(correct, trials)
    did = "told it from" if audition.question == "told" else "preferred it to"
    sentence = f"You {did} the base in {correct} of {trials}. "
    sentence += f"Guessing does as well in {100 * p_value:.0f} of 100 auditions."
    return AuditionResult(correct, trials, p_value, p_value < CHANCE, sentence)


def guessed(correct: int, trials: int) -> float:
    """Return the probability of at least `correct` heads in so many tosses of a coin."""
    ways: int = sum(comb(trials, heads) for heads in range(correct, trials + 1))
    return ways / (1 << trials)

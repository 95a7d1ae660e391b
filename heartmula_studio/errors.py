"""The one exception tree: everything a person, a file or a machine can cause.

Each class knows the HTTP status and the process exit code it maps to, so that REST, page and shell agree.
`message` says what is wrong; `hint` says what is allowed and what to do.
Programmer errors stay assertions.
"""


class StudioError(Exception):
    """Base of all errors that are shown to a person."""

    status = 500
    exit_code = 1

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def code(self) -> str:
        """A stable machine-readable name: the class name in snake case without `Error`."""
        name = type(self).__name__.removesuffix("Error")
        return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class InvalidInputError(StudioError):
    """A value given by a person is outside what is allowed."""

    status = 422
    exit_code = 2


class NotFoundError(InvalidInputError):
    """Something named by a person does not exist."""

    status = 404


class ChoiceNeededError(InvalidInputError):
    """There are several of what was asked for, and one has to be chosen."""


class AlphaNeededError(InvalidInputError):
    """An adapter does not tell how strongly it acts, and somebody has to."""


class AudioError(InvalidInputError):
    """An audio file cannot be used. Subclasses say why."""

    exit_code = 3


class AudioMissingError(AudioError):
    """There is no file at the path."""

    status = 404


class AudioUnreadableError(AudioError):
    """The path is a folder, or the system refuses to open it."""


class NotAudioError(AudioError):
    """The content is not audio in a supported format, whatever the name says."""

    status = 415


class EmptyAudioError(AudioError):
    """The file holds no samples."""


class SilentAudioError(AudioError):
    """The file holds only silence."""


class TruncatedAudioError(AudioError):
    """The file ends before its header says, or stops decoding half-way."""


class CorruptAudioError(AudioError):
    """The file cannot be decoded, or holds values that are not sound (NaN, infinity)."""


class ProtectedAudioError(AudioError):
    """The file is encrypted or copy-protected."""


class AudioRateError(AudioError):
    """The sampling rate is outside what is allowed."""


class AudioTooShortError(AudioError):
    """The recording is shorter than the limit."""


class AudioTooLongError(AudioError):
    """The recording is longer than the limit."""

    status = 413


class NotAnImageError(InvalidInputError):
    """The content is not an image of a supported format, or it is damaged."""

    status = 415


class CheckpointError(StudioError):
    """Weights, configs or tokenizers that cannot be used. Subclasses say why."""

    status = 422
    exit_code = 4


class CheckpointMissingError(CheckpointError):
    """A file of a checkpoint is not there."""

    status = 404


class CheckpointCorruptError(CheckpointError):
    """A file of a checkpoint is truncated or unreadable."""


class CheckpointMismatchError(CheckpointError):
    """A checkpoint's tensors do not fit the network its config describes, or another base model."""


class OutOfMemoryError(StudioError):
    """The device, or the computer itself, has too little memory."""

    status = 507


class TrainingError(StudioError):
    """A training run cannot start or go on."""

    exit_code = 5


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class PeerLostError(TrainingError):
    """Another process of the same training is gone."""


class StorageError(StudioError):
    """A file could not be written whole, or not be read."""

    status = 507
    exit_code = 6


class HubError(StudioError):
    """The Hugging Face Hub cannot be reached, does not give something out, or gave something else."""

    status = 502
    exit_code = 9


class ClusterError(StudioError):
    """The cluster that trainings run on cannot be reached."""

    status = 503
    exit_code = 10


class CancelledError(StudioError):
    """A person stopped the work."""

    status = 409
    exit_code = 130


class ConflictError(StudioError):
    """What is asked for clashes with the state something is in: it is in use, active, running or finished."""

    status = 409
    exit_code = 7


class CannotReplayError(ConflictError):
    """A song cannot be made again here: its base, codec or style is not that of its receipt."""


class UploadTooLargeError(InvalidInputError):
    """A file, or a collection of files, is over a limit."""

    status = 413


class RightsUnknownError(ConflictError):
    """Something is to be published whose rights nobody has stated; whoever publishes it has to say that he may."""


class HubUnreachableError(HubError):
    """The Hub cannot be reached, or this machine is told to stay offline."""

    status = 503


class HubAccessError(HubError):
    """The Hub wants a login, other rights, or a gate passed."""

    status = 403


class HubQuotaError(HubError):
    """The Hub has no room left for this account."""

    status = 507


class UnauthorizedError(StudioError):
    """A token is needed, and none or a wrong one was given."""

    status = 401
    exit_code = 8


class ForbiddenError(StudioError):
    """The request comes from where none is taken from, such as another web site's page."""

    status = 403
    exit_code = 8


class TooManyRequestsError(StudioError):
    """Somebody has as much under way as one person may have."""

    status = 429
    exit_code = 8


class TooManyAttemptsError(StudioError):
    """Too many wrong tokens were given; the next one is looked at only after a while."""

    status = 429
    exit_code = 8

    def __init__(self, message: str, hint: str, retry_after_sec: int):
        super().__init__(message, hint)
        self.retry_after_sec = retry_after_sec

"""What programs propose for tracks: taking it in, accepting, rejecting and undoing. Nothing here touches the disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.store.names import checked_tags, name_key
from heartmula_studio.store.records import AudioFile, Confidence, Proposal, ProposalKind, ProposalStatus

STATUSES: tuple[ProposalStatus, ...] = get_args(ProposalStatus)


@dataclass(frozen=True)
class Finding:
    """A tag that a program found, and how sure it is of it, from 0 to 1."""

    kind: ProposalKind
    value: str
    confidence: Confidence


def checked_status(status: str) -> ProposalStatus:
    """Raises InvalidInputError for a word that is none of the three."""
    for known in STATUSES:
        if status == known:
            return known
    raise InvalidInputError(f"The status is {status!r}.", f"Allowed: {', '.join(STATUSES)}.")


def with_findings(song: AudioFile, source: str, findings: Sequence[Finding]) -> AudioFile:
    """Propose what is new in findings, in place of what `source` proposed before and nobody has decided on.

    A tag that the track has, or that was decided on before, is not proposed again.
    """
    kept = [one for one in song.proposals if one.source != source or one.status != "open"]
    known = {name_key(tag) for tag in (*song.tags, *(one.value for one in kept))}
    number = max((one.number for one in song.proposals), default=0)
    for finding in findings:
        if name_key(finding.value) not in known:
            number += 1
            kept.append(Proposal(number, finding.kind, finding.value, finding.confidence, source))
    return replace(song, proposals=tuple(kept))


def with_decision(song: AudioFile, number: int, status: ProposalStatus, styles: tuple[str, ...]) -> AudioFile:
    """Accept a proposal, reject it, or open it again, which takes back what accepting it did.

    styles: the dataset's, which are the tags of a track without its own.
    Raises NotFoundError for another number, InvalidInputError for one tag too many.
    """
    proposal = find_proposal(song, number)
    if proposal.status == "accepted" and status != "accepted":
        song = _without_tag(song, proposal, styles)
    if status == "accepted" and proposal.status != "accepted":
        return _with_tag(song, proposal, styles)
    return _with(song, replace(find_proposal(song, number), status=status))


def with_all_decided(song: AudioFile, status: ProposalStatus, styles: tuple[str, ...]) -> AudioFile:
    """Accept or reject all that is open; or open again all that was decided. Raises InvalidInputError."""
    for proposal in song.proposals:
        if (proposal.status == "open") != (status == "open"):
            song = with_decision(song, proposal.number, status, styles)
    return song


def find_proposal(song: AudioFile, number: int) -> Proposal:
    """Raises NotFoundError."""
    for proposal in song.proposals:
        if proposal.number == number:
            return proposal
    raise NotFoundError(f"There is no proposal {number} for {song.filename!r}.", "List the dataset's files.")


def _with_tag(song: AudioFile, proposal: Proposal, styles: tuple[str, ...]) -> AudioFile:
    tags = song.tags or styles
    if name_key(proposal.value) in map(name_key, tags):
        return _with(song, replace(proposal, status="accepted"))
    accepted = replace(proposal, status="accepted", added=True, wrote_styles=bool(styles) and not song.tags)
    return replace(_with(song, accepted), tags=checked_tags((*tags, proposal.value), "tags"))


def _without_tag(song: AudioFile, proposal: Proposal, styles: tuple[str, ...]) -> AudioFile:
    """The styles that were written for it stay for other proposals that were added to them."""
    if not proposal.added:
        return song
    tags = tuple(tag for tag in song.tags if name_key(tag) != name_key(proposal.value))
    others = [one for one in song.proposals if one.added and one is not proposal]
    if proposal.wrote_styles and others:
        song = _with(song, replace(others[0], wrote_styles=True))
    elif proposal.wrote_styles and tags == styles:
        tags = ()
    return replace(_with(song, replace(proposal, added=False, wrote_styles=False)), tags=tags)


def _with(song: AudioFile, proposal: Proposal) -> AudioFile:
    others = (proposal if one.number == proposal.number else one for one in song.proposals)
    return replace(song, proposals=tuple(others))

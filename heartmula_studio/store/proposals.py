"""What programs propose for tracks: taking it in, accepting, rejecting and undoing. Nothing here touches the disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from heartmula_studio.errors import ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.store.field_types import Confidence
from heartmula_studio.store.names import checked_tags, name_key
from heartmula_studio.store.records import AudioFile, Proposal, ProposalKind, ProposalStatus

STATUSES: tuple[ProposalStatus, ...] = get_args(ProposalStatus)


@dataclass(frozen=True)
class Finding:
    """A tag, or lyrics, that a program found, and how sure it is of it, from 0 to 1. The rest is as in `Proposal`."""

    kind: ProposalKind
    value: str
    confidence: Confidence
    language: str = ""
    line_confidences: tuple[Confidence | None, ...] = ()
    replaces: str = ""


def checked_status(status: str) -> ProposalStatus:
    """Raises InvalidInputError for a word that is none of the three."""
    for known in STATUSES:
        if status == known:
            return known
    raise InvalidInputError(f"The status is {status!r}.", f"Allowed: {', '.join(STATUSES)}.")


def with_findings(song: AudioFile, source: str, findings: Sequence[Finding]) -> AudioFile:
    """Propose what is new in findings, in place of what `source` proposed before and nobody has decided on.

    What the track has, or what was decided on before, is not proposed again. That `source` has listened is noted.
    """
    kept = [one for one in song.proposals if one.source != source or one.status != "open"]
    number = max((one.number for one in song.proposals), default=0)
    for finding in findings:
        if not _is_known(song, kept, finding):
            number += 1
            kept.append(Proposal(number=number, source=source, **vars(finding)))
    analyzed_by = song.analyzed_by if source in song.analyzed_by else (*song.analyzed_by, source)
    return replace(song, proposals=tuple(kept), analyzed_by=analyzed_by)


def with_decision(song: AudioFile, number: int, status: ProposalStatus, styles: tuple[str, ...]) -> AudioFile:
    """Accept a proposal, reject it, or open it again, which takes back what accepting it did.

    styles: the dataset's, which are the tags of a track without its own.
    Raises NotFoundError for another number, InvalidInputError for one tag too many, ConflictError for lyrics in the
    place of words that somebody has written since.
    """
    proposal = find_proposal(song, number)
    if proposal.status == "accepted" and status != "accepted":
        song = _without_lyrics(song, proposal) if _is_lyrics(proposal) else _without_tag(song, proposal, styles)
    if status == "accepted" and proposal.status != "accepted":
        return _with_lyrics(song, proposal) if _is_lyrics(proposal) else _with_tag(song, proposal, styles)
    return _with(song, replace(find_proposal(song, number), status=status))


def with_all_decided(song: AudioFile, status: ProposalStatus, styles: tuple[str, ...]) -> AudioFile:
    """Accept or reject all that is open; or open again all that was decided. Raises InvalidInputError.

    Lyrics that would take the place of other words stay open where all is accepted.
    """
    for proposal in song.proposals:
        is_decided_on = (proposal.status == "open") != (status == "open")
        if is_decided_on and (status != "accepted" or may_accept(song, proposal)):
            song = with_decision(song, proposal.number, status, styles)
    return song


def find_proposal(song: AudioFile, number: int) -> Proposal:
    """Raises NotFoundError."""
    for proposal in song.proposals:
        if proposal.number == number:
            return proposal
    raise NotFoundError(f"There is no proposal {number} for {song.filename!r}.", "List the dataset's files.")


def may_accept(song: AudioFile, proposal: Proposal) -> bool:
    """Tell whether accepting a proposal overwrites nothing but what it was made for."""
    return not _is_lyrics(proposal) or song.caption in (proposal.replaces, proposal.value)


def _is_lyrics(proposal: Proposal | Finding) -> bool:
    return proposal.kind == "lyrics"


def _is_known(song: AudioFile, kept: Sequence[Proposal], finding: Finding) -> bool:
    if _is_lyrics(finding):
        known = [(one.value, one.replaces) for one in kept if _is_lyrics(one)]
        return finding.value == song.caption or (finding.value, finding.replaces) in known
    tags = (*song.tags, *(one.value for one in kept if not _is_lyrics(one)))
    return name_key(finding.value) in map(name_key, tags)


def _with_lyrics(song: AudioFile, proposal: Proposal) -> AudioFile:
    if not may_accept(song, proposal):
        raise ConflictError(
            f"The lyrics of {song.filename!r} are no longer those that proposal {proposal.number} was made for.",
            "They stay as they are. Empty them, or have new ones proposed.",
        )
    accepted = replace(proposal, status="accepted", added=song.caption != proposal.value)
    return replace(_with(song, accepted), caption=proposal.value)


def _without_lyrics(song: AudioFile, proposal: Proposal) -> AudioFile:
    """What a person has edited since stays."""
    is_unchanged = proposal.added and song.caption == proposal.value
    caption = proposal.replaces if is_unchanged else song.caption
    return replace(_with(song, replace(proposal, added=False)), caption=caption)


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
    others = [one for one in song.proposals if one.added and one is not proposal and not _is_lyrics(one)]
    if proposal.wrote_styles and others:
        song = _with(song, replace(others[0], wrote_styles=True))
    elif proposal.wrote_styles and tags == styles:
        tags = ()
    return replace(_with(song, replace(proposal, added=False, wrote_styles=False)), tags=tags)


def _with(song: AudioFile, proposal: Proposal) -> AudioFile:
    others = (proposal if one.number == proposal.number else one for one in song.proposals)
    return replace(song, proposals=tuple(others))

"""Observe: how the pull request stands, told once and in bounds.

Rule of this room: it looks and changes nothing. What was told before is not told again, and what we have said ourselves is no
feedback.
"""

from __future__ import annotations

from typing import Final

from penstock.bounds import LINE_LENGTH_MAX
from penstock.events import ObserveFailed, PullRequestObserved
from penstock.jobs import ObserveWork
from penstock.reports import ReportBody
from penstock.values import FailedCheck, ReviewComment
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.forge import Check, Comment, Forge, PullRequestState, counts
from penstock_agent_exec.steps.bench import Bench, InHand

COMMENTS_MAX: Final = 12
"""So many comments are told by one look: with everything else they fit into one event, whatever is in them."""

CHECKS_MAX: Final = 12
COMMENT_LENGTH_MAX: Final = 2_000
SUMMARY_LENGTH_MAX: Final = 1_000
WORD_LENGTH_MAX: Final = 100
URL_LENGTH_MAX: Final = 1_000
OID_LENGTHS: Final = (40, 64)
NO_FORGE: Final = "observe.no_forge"
NOT_OPENED: Final = "observe.missing"


async def observe(bench: Bench, hand: InHand, work: ObserveWork) -> ReportBody:
    """Raises Stopped, and the failures of forges."""
    forge = bench.forge(work.repo)
    if forge is None:
        return _failed(hand, NO_FORGE, f"this host knows no forge of the kind {work.repo.provider!r}")
    number = work.number if work.number is not None else await _number(hand, forge, work.branch)
    if number is None:
        return _failed(hand, NOT_OPENED, f"the forge has no pull request from {work.branch}")
    return _observed(hand, work, await hand.tenure.stop.unless_asked(forge.look(number, work.reviewers)))


async def _number(hand: InHand, forge: Forge, branch: str) -> int | None:
    found = await hand.tenure.stop.unless_asked(forge.find(branch))
    return None if found is None else found.number


def _observed(hand: InHand, work: ObserveWork, seen: PullRequestState) -> PullRequestObserved:
    known = set(work.known)
    fresh = [one for one in seen.comments if not one.is_own and _id(hand, one) not in known]
    # Strangers do not keep the others waiting.
    fresh.sort(key=lambda one: not counts(one.author, trusted=one.is_trusted, reviewers=work.reviewers))
    return PullRequestObserved(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        pull_request=seen.number,
        state=seen.state,
        url=_text(hand, seen.url, URL_LENGTH_MAX),
        head_commit=seen.head_commit if len(seen.head_commit) in OID_LENGTHS else None,
        draft=seen.draft,
        checks=seen.checks,
        failed_checks=_checks(hand, seen),
        comments=tuple(_comment(hand, one) for one in fresh[:COMMENTS_MAX]),
        more=len(fresh) > COMMENTS_MAX,
        left_out=seen.left_out,
    )


def _checks(hand: InHand, seen: PullRequestState) -> tuple[FailedCheck, ...]:
    """The failed ones by their names; one without a name where the forge says no more than that there are some."""
    named = tuple(_check(hand, one) for one in seen.failed_checks[:CHECKS_MAX])
    return named or ((FailedCheck(name="checks"),) if seen.checks == "failed" else ())


def _check(hand: InHand, check: Check) -> FailedCheck:
    return FailedCheck(
        name=_text(hand, check.name, LINE_LENGTH_MAX),
        url=_text(hand, check.url, URL_LENGTH_MAX),
        summary=_text(hand, check.summary, SUMMARY_LENGTH_MAX),
    )


def _comment(hand: InHand, comment: Comment) -> ReviewComment:
    line = comment.line if comment.line is not None and comment.line >= 0 else None
    return ReviewComment(
        id=_id(hand, comment),
        author=_text(hand, comment.author, WORD_LENGTH_MAX),
        text=_text(hand, comment.text, COMMENT_LENGTH_MAX),
        path=_text(hand, comment.path, LINE_LENGTH_MAX),
        line=line,
        trusted=comment.is_trusted,
    )


def _id(hand: InHand, comment: Comment) -> str:
    return _text(hand, comment.id, WORD_LENGTH_MAX)


def _text(hand: InHand, text: str, length_max: int) -> str:
    """A stranger's words: this host's secrets hidden before anything is cut, controls taken out."""
    return shown(hand.redactor.text(text), length_max)


def _failed(hand: InHand, error_class: str, message: str) -> ObserveFailed:
    return ObserveFailed(job=hand.job.id, epoch=hand.tenure.epoch, error_class=error_class, message=message)

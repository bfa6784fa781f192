"""Forges: where a branch becomes a pull request, and where people and checks say what they think of it.

Rule of this room: looking comes before opening. An answer that got lost is no answer, so whoever opens looks first, every
time, and adopts what is there. What comes from a forge was written by strangers: it is bounded here and believed nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, Protocol, TypeAlias

State: TypeAlias = Literal["open", "merged", "closed"]
Reviewers: TypeAlias = tuple[str, ...]
"""Whose comments count; empty: those of whom the forge knows as somebody who may write to the repository."""

Checks: TypeAlias = Literal["none", "pending", "passed", "failed"]

CHECKS_MAX: Final = 50
"""So many failed checks of one commit are told."""

COMMENTS_MAX: Final = 200
"""So many comments of one pull request are told."""

NAME_LENGTH_MAX: Final = 200
SUMMARY_LENGTH_MAX: Final = 2_000
COMMENT_LENGTH_MAX: Final = 4_000
PATH_LENGTH_MAX: Final = 500
URL_LENGTH_MAX: Final = 1_000
LABELS_MAX: Final = 20

SAID: Final = "*Said by Penstock*"
"""The last line of what we say below a pull request: by it, and not by the account, our own words are known. A person may work
with the very account whose token we have."""

_MARK = re.compile(r"^Penstock task `([a-z0-9]{16,40})`\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request. `head` is the branch it is made from, `commit` what is on it, empty where nobody says. `task`: of whose
    mark its text has, empty where it has none."""

    number: int
    url: str
    head: str
    state: State = "open"
    task: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A failed check run or commit status of the head commit. `summary`: what it says of itself, bounded."""

    name: str
    url: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on lines or on the whole, or the text of a review that asks for changes. `id`: unique in the forge. `path` is
    empty and `line` None where it is about no line. `is_own`: we have said it. `is_trusted`: the forge knows the author as
    somebody who may write to the repository; what strangers say is told, and nobody should work for them."""

    id: str
    author: str
    text: str
    path: str = ""
    line: int | None = None
    is_own: bool = False
    is_trusted: bool = True


@dataclass(frozen=True, slots=True)
class PullRequestState:
    """A pull request as it is now. `head_commit`: what is on its branch. `checks`: of that commit, all together. `comments`: the
    oldest first; `left_out`: there are others, see `told`."""

    number: int
    url: str
    state: State
    head_branch: str
    head_commit: str
    draft: bool = False
    checks: Checks = "none"
    failed_checks: tuple[Check, ...] = ()
    comments: tuple[Comment, ...] = ()
    left_out: bool = False


class ForgeFailed(Exception):
    """The forge could not do what it was asked. `retry_at`: before then it will not, where it has said so."""

    error_class: ClassVar[str] = "forge.failed"
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class ForgeUnreachable(ForgeFailed):
    """The forge could not be reached, or did not answer in time; what it was asked may have been done."""

    error_class = "forge.unreachable"
    transient = True


class ForgeLimited(ForgeFailed):
    """The forge takes no more requests for now, and has not done what it was asked."""

    error_class = "forge.rate_limited"
    transient = True


class ForgeAuthRefused(ForgeFailed):
    """The forge does not take the credential, or it may not do this. The message says who can do what."""

    error_class = "forge.auth"


class ForgeMissing(ForgeFailed):
    """The repository or the pull request is not there, or this credential may not see it."""

    error_class = "forge.missing"


class ForgeRefused(ForgeFailed):
    """The forge understood and says no, for a reason that will not go away by itself: with `status`, and what it `said`."""

    error_class = "forge.refused"

    def __init__(self, message: str, *, status: int = 0, said: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said


class ForgeAnswerBad(ForgeFailed):
    """What answers there does not speak as this forge does."""

    error_class = "forge.answer"


class Forge(Protocol):
    """One forge, for one repo. Every call raises ForgeFailed; after ForgeUnreachable it may have had its effect."""

    async def find(self, branch: str) -> PullRequest | None:
        """The pull request from this branch of this repo, as it is `chosen`."""
        ...

    async def get(self, number: int) -> PullRequest:
        """The pull request of this number."""
        ...

    async def open(self, branch: str, *, base: str, title: str, body: str, draft: bool = False) -> PullRequest:
        """A new pull request. One that is open from this branch already is given instead."""
        ...

    async def update(self, number: int, *, body: str) -> None:
        """Another text. The title stays what people have made of it, and what makes it a draft in some forges with it."""
        ...

    async def comment(self, number: int, text: str) -> None:
        """Say something below it, once: a text that stands there already as our last word is not said again."""
        ...

    async def label(self, number: int, names: tuple[str, ...]) -> None:
        """Have these labels besides those it has."""
        ...

    async def look(self, number: int, reviewers: Reviewers = ()) -> PullRequestState:
        """How it stands now. Of the comments that cannot all be told, those of `reviewers` stay longest. Of one that is merged or
        closed it may be that alone that is told: nobody answers a comment there, and none is to keep its end from being seen."""
        ...

    async def list_open(self, limit: int) -> tuple[PullRequest, ...]:
        """The newest open pull requests, at most `limit`."""
        ...


def counts(author: str, *, trusted: bool, reviewers: Reviewers) -> bool:
    """Whether anybody works for what this author says."""
    return author in reviewers if reviewers else trusted


def told(
    said: Iterable[tuple[datetime | None, Comment]], reviewers: Reviewers = ()
) -> tuple[tuple[Comment, ...], bool]:
    """Of all that was said, of whatever kind and each with its time, at most COMMENTS_MAX in the order of time; and whether any
    is left out. The newest stay, and nothing that counts goes for the sake of what does not."""
    in_time = [one for _, one in sorted(said, key=lambda pair: moment(pair[0]))]
    heeded = [one for one in in_time if _counts(one, reviewers)][-COMMENTS_MAX:]
    others = [one for one in in_time if not _counts(one, reviewers)]
    stay = {one.id for one in (*others[max(len(others) + len(heeded) - COMMENTS_MAX, 0) :], *heeded)}
    return tuple(one for one in in_time if one.id in stay), len(stay) < len(in_time)


def _counts(comment: Comment, reviewers: Reviewers) -> bool:
    return not comment.is_own and counts(comment.author, trusted=comment.is_trusted, reviewers=reviewers)


def moment(at: datetime | None) -> datetime:
    """By which it is sorted; what has no time comes first."""
    if at is None:
        return _NEVER
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def chosen(listed: Iterable[PullRequest]) -> PullRequest | None:
    """Of those from one branch, the newest first: one that is open before all that were merged or closed, and one with our mark
    before what people have made from the same branch."""
    return min(listed, key=lambda one: (one.state != "open", not one.task), default=None)


def marked(body: str, task: str) -> str:
    """The text with a last line that says which task it is of: what a lost answer is known by when it is looked for."""
    return f"{_MARK.sub('', body).rstrip()}\n\nPenstock task `{task}`"


def task_of(body: str) -> str:
    """The task whose mark the text has; empty where it has none, the last where it has several."""
    found = _MARK.findall(body.replace("\r\n", "\n"))
    return str(found[-1]) if found else ""


def said_by_us(text: str) -> bool:
    """Whether the text is one of ours."""
    return text.rstrip().endswith(SAID) or bool(task_of(text))


async def find_or_open(
    forge: Forge,
    branch: str,
    *,
    task: str,
    base: str,
    title: str,
    body: str,
    draft: bool = False,
    labels: tuple[str, ...] = (),
) -> tuple[PullRequest, bool]:
    """The pull request of this task, and whether it was there already. One that is open from its branch is adopted, and so is
    one of this very task that was merged or closed meanwhile: what somebody has ended is not opened again. Raises ForgeFailed."""
    found = await forge.find(branch)
    adopted = found is not None and (found.state == "open" or found.task == task)
    if found is None or not adopted:
        found = await forge.open(branch, base=base, title=title, body=marked(body, task), draft=draft)
    if labels and found.state == "open":
        # Whoever has opened it may have been stopped before it came to this.
        await forge.label(found.number, labels)
    return found, adopted

"""Gitea and Forgejo, whose API is the same in all that is asked here.

Rule of this room: there is no list by branch. The one of base and head is asked for by name, and an open one is looked for in
the list of the open ones as far as that is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from msgspec import Struct

from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.forge import (
    CHECKS_MAX,
    COMMENT_LENGTH_MAX,
    NAME_LENGTH_MAX,
    PATH_LENGTH_MAX,
    SAID,
    SUMMARY_LENGTH_MAX,
    URL_LENGTH_MAX,
    Check,
    Checks,
    Comment,
    ForgeAuthRefused,
    ForgeMissing,
    ForgeRefused,
    PullRequest,
    PullRequestState,
    Reviewers,
    State,
    chosen,
    counts,
    moment,
    said_by_us,
    task_of,
    told,
)
from penstock_agent_exec.forge.http import Connection, Number, Query, total_of
from penstock_agent_exec.forge.opening import opened, repeated
from penstock_agent_exec.forge.text import neutral, neutral_title

PAGE: Final = 50
"""The most that it gives at once, where its operator has not said otherwise."""
OPEN_MAX: Final = 500
STATUS_PAGES_MAX: Final = 6
REVIEWS_MAX: Final = 30
"""The lines of so many reviews are read: the newest, and of those that count before the others'."""
AUTHORS_MAX: Final = 100
"""So many authors are asked after, in the order in which they began to speak; the others are strangers."""
DRAFT: Final = "WIP: "
FAILED: Final = ("failure", "error")
WRITERS: Final = ("owner", "admin", "write")
LABEL_COLOR: Final = "#6e7781"


class _Repo(Struct):
    full_name: str
    private: bool = False


class _Side(Struct):
    """`ref` is no branch any more where that is gone; `label` is its name all the same."""

    ref: str
    sha: str
    repo: _Repo | None = None
    label: str = ""

    @property
    def branch(self) -> str:
        return self.label or self.ref


class _User(Struct):
    login: str


class _Pull(Struct):
    number: Number
    html_url: str
    state: Literal["open", "closed"]
    head: _Side
    base: _Side
    body: str | None = None
    merged: bool = False
    draft: bool = False


class _Status(Struct):
    context: str = ""
    status: str = ""
    target_url: str = ""
    description: str = ""


class _Combined(Struct):
    statuses: list[_Status] | None = None


class _Review(Struct):
    id: int
    state: str = ""
    user: _User | None = None
    body: str = ""
    official: bool = False
    dismissed: bool = False
    comments_count: int = 0
    submitted_at: datetime | None = None


class _Line(Struct):
    id: int
    user: _User | None = None
    body: str = ""
    path: str = ""
    position: int = 0
    created_at: datetime | None = None


class _Remark(Struct):
    id: int
    user: _User | None = None
    body: str = ""
    created_at: datetime | None = None


class _Object(Struct):
    sha: str


class _Ref(Struct):
    ref: str
    object: _Object


class _Label(Struct):
    id: int
    name: str


class _Permission(Struct):
    permission: str = ""


_Said: TypeAlias = _Review | _Line | _Remark
Writers: TypeAlias = dict[str, bool]
"""Who may write to the repository and who may not, as far as it is known."""


class Gitea:
    """One repository, `project` being its `owner/name`; pull requests go to its branch `base` as a rule."""

    def __init__(self, connection: Connection, project: str, base: str) -> None:
        self._api = connection
        self._base = base
        self._repo = f"/repos/{project}"

    async def find(self, branch: str) -> PullRequest | None:
        async with self._api.session():
            # In this order: what is opened and ended between the two is known by its name.
            return await self._listed(branch) or await self._named(branch)

    async def _named(self, branch: str) -> PullRequest | None:
        path = f"{self._repo}/pulls/{quote(self._base, safe='')}/{quote(branch)}"
        try:
            pull = (await self._api.get(path)).read(_Pull)
        except ForgeMissing:
            return None
        return await self._whole(pull) if pull.head.branch == branch and _is_own(pull) else None

    async def _whole(self, pull: _Pull) -> PullRequest:
        return replace(_told(pull), commit=await self._commit(pull))

    async def _commit(self, pull: _Pull) -> str:
        """What is on it, empty where nobody knows any more. Of one that has ended its branch, which may go on without it, says
        nothing: what was on it then stands below its number."""
        if pull.state == "open":
            return pull.head.sha
        name = f"refs/pull/{pull.number}/head"
        try:
            found = (await self._api.get(f"{self._repo}/git/{name}")).read(_REFS)
        except ForgeMissing:
            return ""
        refs = found if isinstance(found, list) else [found]
        return next((one.object.sha for one in refs if one.ref == name), "")

    async def _listed(self, branch: str) -> PullRequest | None:
        query: Query = {"state": "open", "limit": PAGE}
        listed = await self._api.pages(f"{self._repo}/pulls", _Pull, query, items_max=OPEN_MAX)
        return chosen(_told(pull) for pull in listed if pull.head.branch == branch and _is_own(pull))

    async def get(self, number: int) -> PullRequest:
        async with self._api.session():
            return await self._whole((await self._api.get(f"{self._repo}/pulls/{number}")).read(_Pull))

    async def open(self, branch: str, *, base: str, title: str, body: str, draft: bool = False) -> PullRequest:
        words = (DRAFT if draft else "") + neutral_title(title)
        wanted = {"title": words, "body": neutral(body), "head": branch, "base": base}

        async def make() -> PullRequest:
            return _told((await self._api.ask("POST", f"{self._repo}/pulls", body=wanted)).read(_Pull))

        async with self._api.session():
            return await opened(lambda: self.find(branch), make, _exists, task=task_of(body))

    async def update(self, number: int, *, body: str) -> None:
        wanted = {"body": neutral(body)}
        await repeated(lambda: self._api.ask("PATCH", f"{self._repo}/pulls/{number}", body=wanted))

    async def comment(self, number: int, text: str) -> None:
        path, wanted = f"{self._repo}/issues/{number}/comments", f"{neutral(text).rstrip()}\n\n{SAID}"

        async def say() -> None:
            mine = [one.body for one in (await self._api.get(path)).read(list[_Remark]) if said_by_us(one.body)]
            if not mine or mine[-1].replace("\r\n", "\n").strip() != wanted:
                await self._api.ask("POST", path, body={"body": wanted})

        async with self._api.session():
            await repeated(say)

    async def label(self, number: int, names: tuple[str, ...]) -> None:
        if names:
            async with self._api.session():
                # As a whole: what was made by a try whose answer was lost is known to the next.
                await repeated(lambda: self._label(number, names))

    async def _label(self, number: int, names: tuple[str, ...]) -> None:
        """Labels go by number here, and those that are not there yet have to be made."""
        known = await self._api.pages(f"{self._repo}/labels", _Label, _LIMIT, items_max=OPEN_MAX)
        ids = {label.name.lower(): label.id for label in known}
        for name in names:
            if name.lower() not in ids:
                wanted = {"name": name, "color": LABEL_COLOR}
                made = await self._api.ask("POST", f"{self._repo}/labels", body=wanted)
                ids[name.lower()] = made.read(_Label).id
        numbers = [ids[name.lower()] for name in names]
        await self._api.ask("POST", f"{self._repo}/issues/{number}/labels", body={"labels": numbers})

    async def list_open(self, limit: int) -> tuple[PullRequest, ...]:
        query: Query = {"state": "open", "limit": min(limit, PAGE)}
        listed = await self._api.pages(f"{self._repo}/pulls", _Pull, query, items_max=limit)
        return tuple(_told(pull) for pull in listed if _is_own(pull))

    async def look(self, number: int, reviewers: Reviewers = ()) -> PullRequestState:
        async with self._api.session():
            pull = (await self._api.get(f"{self._repo}/pulls/{number}")).read(_Pull)
            seen = PullRequestState(
                number=pull.number,
                url=shown(pull.html_url, URL_LENGTH_MAX),
                state=_state(pull),
                head_branch=pull.head.branch,
                head_commit=await self._commit(pull),
                draft=pull.draft,
            )
            if seen.state != "open":
                return seen
            checks, failed = await self._checks(pull.head.sha)
            private = pull.base.repo is not None and pull.base.repo.private
            comments, left_out = await self._comments(number, reviewers, private=private)
            return replace(seen, checks=checks, failed_checks=failed, comments=comments, left_out=left_out)

    async def _checks(self, commit: str) -> tuple[Checks, tuple[Check, ...]]:
        statuses: list[_Status] = []
        is_whole = False
        for page in range(1, STATUS_PAGES_MAX + 1):
            answer = await self._api.get(f"{self._repo}/commits/{commit}/status", {"limit": PAGE, "page": page})
            some = answer.read(_Combined).statuses or []
            statuses += some
            # An operator may let it give fewer at once than are asked for, so a short page need not be the last one.
            total = total_of(answer)
            is_whole = not some or (len(some) < PAGE if total is None else len(statuses) >= total)
            if is_whole:
                break
        failed = tuple(_check(status) for status in statuses if status.status in FAILED)
        if failed:
            return "failed", failed[:CHECKS_MAX]
        if not statuses:
            return "none", ()
        # Where there are more than were read, nobody has seen that all of them have passed.
        waits = not is_whole or any(status.status == "pending" for status in statuses)
        return ("pending" if waits else "passed"), ()

    async def _comments(self, number: int, reviewers: Reviewers, *, private: bool) -> tuple[tuple[Comment, ...], bool]:
        reviews, left_out = await self._api.newest(f"{self._repo}/pulls/{number}/reviews", _Review, _LIMIT)
        whole = (await self._api.get(f"{self._repo}/issues/{number}/comments")).read(list[_Remark])
        standing = [one for one in reviews if not one.dismissed and one.state in ("COMMENT", "REQUEST_CHANGES")]
        known: Writers = {_login(one.user): True for one in standing if one.official}

        def trusted(user: _User | None) -> bool:
            # Nobody sees a private one who was not let in.
            return private or known.get(_login(user), False)

        said: list[_Said] = [*standing, *whole]
        if not private:
            await self._learn(known, (one.user for one in sorted(said, key=_said_at) if not said_by_us(one.body)))
        with_lines = [one for one in standing if one.comments_count]
        with_lines.sort(key=lambda one: counts(_login(one.user), trusted=trusted(one.user), reviewers=reviewers))
        lines: list[_Line] = []
        for review in with_lines[-REVIEWS_MAX:]:
            path = f"{self._repo}/pulls/{number}/reviews/{review.id}/comments"
            lines += (await self._api.get(path)).read(list[_Line])
        if not private:
            # Who replies below a line of somebody else's review is in that review.
            await self._learn(known, (one.user for one in lines if not said_by_us(one.body)))
        every: list[_Said] = [*(one for one in standing if one.body.strip()), *lines, *whole]
        comments, more = told(((_said_at(one), _comment(one, trusted=trusted(one.user))) for one in every), reviewers)
        return comments, left_out or more or len(with_lines) > REVIEWS_MAX

    async def _learn(self, known: Writers, users: Iterable[_User | None]) -> None:
        """Ask after those of whom nothing is known yet."""
        for author in map(_login, users):
            if author and author not in known and len(known) < AUTHORS_MAX:
                known[author] = await self._may_write(author)

    async def _may_write(self, author: str) -> bool:
        path = f"{self._repo}/collaborators/{quote(author, safe='')}/permission"
        try:
            return (await self._api.get(path)).read(_Permission).permission in WRITERS
        except (ForgeAuthRefused, ForgeMissing):
            # Only who administers the repository may ask; then it is not known, which is no reason to trust.
            return False


_LIMIT: Final[Query] = {"limit": PAGE}
_REFS: Final[type[_Ref | list[_Ref]]] = _Ref | list[_Ref]  # type: ignore[assignment]  # a type that is given as a value
"""One where there is no more than one."""


def _is_own(pull: _Pull) -> bool:
    """Whether its branch is in this repository: whatever it is called now, by its old name too."""
    head, base = pull.head.repo, pull.base.repo
    return head is not None and base is not None and head.full_name.lower() == base.full_name.lower()


def _told(pull: _Pull) -> PullRequest:
    url, task = shown(pull.html_url, URL_LENGTH_MAX), task_of(pull.body or "")
    return PullRequest(pull.number, url, pull.head.branch, _state(pull), task, pull.head.sha)


def _state(pull: _Pull) -> State:
    if pull.merged:
        return "merged"
    return pull.state


def _exists(refused: ForgeRefused) -> bool:
    return refused.status == 409


def _check(status: _Status) -> Check:
    name, url = shown(status.context, NAME_LENGTH_MAX), shown(status.target_url, PATH_LENGTH_MAX)
    return Check(name, url, shown(status.description or status.status, SUMMARY_LENGTH_MAX))


def _login(user: _User | None) -> str:
    return "" if user is None else user.login


def _said_at(said: _Said) -> datetime:
    return moment(said.submitted_at if isinstance(said, _Review) else said.created_at)


def _comment(said: _Said, *, trusted: bool) -> Comment:
    kind = "review" if isinstance(said, _Review) else "line" if isinstance(said, _Line) else "comment"
    return Comment(
        id=f"{kind}-{said.id}",
        author=shown(_login(said.user), NAME_LENGTH_MAX),
        text=shown(said.body, COMMENT_LENGTH_MAX),
        path=shown(said.path, PATH_LENGTH_MAX) if isinstance(said, _Line) else "",
        line=(said.position or None) if isinstance(said, _Line) else None,
        is_own=said_by_us(said.body),
        is_trusted=trusted,
    )

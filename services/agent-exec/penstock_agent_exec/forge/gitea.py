"""Gitea and Forgejo, whose API is the same in all that is asked here.

Rule of this room: there is no list by branch. The one of base and head is asked for by name, and an open one is looked for in
the list of the open ones as far as that is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal
from urllib.parse import quote

from msgspec import Struct

from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.forge import (
    CHECKS_MAX,
    COMMENT_LENGTH_MAX,
    COMMENTS_MAX,
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
    State,
    said_by_us,
    task_of,
)
from penstock_agent_exec.forge.http import Connection, Number, Query
from penstock_agent_exec.forge.opening import opened, repeated
from penstock_agent_exec.forge.text import neutral, neutral_title

PAGE: Final = 50
"""The most that it gives at once, where its operator has not said otherwise."""
OPEN_MAX: Final = 500
REVIEWS_MAX: Final = 30
"""The lines of so many reviews are read, the newest."""
AUTHORS_MAX: Final = 20
"""So many authors are asked after; the others are strangers."""
DRAFT: Final = "WIP: "
FAILED: Final = ("failure", "error")
WRITERS: Final = ("owner", "admin", "write")
LABEL_COLOR: Final = "#6e7781"


class _Repo(Struct):
    full_name: str
    private: bool = False


class _Side(Struct):
    ref: str
    sha: str
    repo: _Repo | None = None


class _User(Struct):
    login: str


class _Pull(Struct):
    number: Number
    html_url: str
    state: Literal["open", "closed"]
    head: _Side
    base: _Side
    title: str = ""
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


class _Line(Struct):
    id: int
    user: _User | None = None
    body: str = ""
    path: str = ""
    position: int = 0


class _Remark(Struct):
    id: int
    user: _User | None = None
    body: str = ""


class _Label(Struct):
    id: int
    name: str


class _Permission(Struct):
    permission: str = ""


class Gitea:
    """One repository, `project` being its `owner/name`; pull requests go to its branch `base` as a rule."""

    def __init__(self, connection: Connection, project: str, base: str) -> None:
        self._api = connection
        self._project = project
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
        return _told(pull) if pull.head.ref == branch and self._is_own(pull) else None

    async def _listed(self, branch: str) -> PullRequest | None:
        query: Query = {"state": "open", "limit": PAGE}
        listed = await self._api.pages(f"{self._repo}/pulls", _Pull, query, items_max=OPEN_MAX)
        return next((_told(pull) for pull in listed if pull.head.ref == branch and self._is_own(pull)), None)

    async def open(self, branch: str, *, base: str, title: str, body: str, draft: bool = False) -> PullRequest:
        words = (DRAFT if draft else "") + neutral_title(title)
        wanted = {"title": words, "body": neutral(body), "head": branch, "base": base}

        async def make() -> PullRequest:
            return _told((await self._api.ask("POST", f"{self._repo}/pulls", body=wanted)).read(_Pull))

        async with self._api.session():
            return await opened(lambda: self.find(branch), make, _exists, task=task_of(body))

    async def update(self, number: int, *, title: str, body: str) -> None:
        path = f"{self._repo}/pulls/{number}"
        async with self._api.session():
            # What makes it a draft is a word of its title.
            draft = (await self._api.get(path)).read(_Pull).draft
            wanted = {"title": (DRAFT if draft else "") + neutral_title(title), "body": neutral(body)}
            await repeated(lambda: self._api.ask("PATCH", path, body=wanted))

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
        return tuple(_told(pull) for pull in listed if self._is_own(pull))

    async def look(self, number: int) -> PullRequestState:
        async with self._api.session():
            pull = (await self._api.get(f"{self._repo}/pulls/{number}")).read(_Pull)
            checks, failed = await self._checks(pull.head.sha)
            private = pull.base.repo is not None and pull.base.repo.private
            return PullRequestState(
                number=pull.number,
                url=shown(pull.html_url, URL_LENGTH_MAX),
                state=_state(pull),
                head_branch=pull.head.ref,
                head_commit=pull.head.sha,
                draft=pull.draft,
                checks=checks,
                failed_checks=failed,
                comments=await self._comments(number, private=private),
            )

    async def _checks(self, commit: str) -> tuple[Checks, tuple[Check, ...]]:
        told = (await self._api.get(f"{self._repo}/commits/{commit}/status", {"limit": PAGE})).read(_Combined)
        statuses = told.statuses or []
        failed = tuple(_check(status) for status in statuses if status.status in FAILED)
        if failed:
            return "failed", failed[:CHECKS_MAX]
        if not statuses:
            return "none", ()
        return ("pending" if any(status.status == "pending" for status in statuses) else "passed"), ()

    async def _comments(self, number: int, *, private: bool) -> tuple[Comment, ...]:
        pulls, limit = f"{self._repo}/pulls/{number}", _LIMIT
        reviews = await self._api.pages(f"{pulls}/reviews", _Review, limit, items_max=COMMENTS_MAX)
        standing = [one for one in reviews if not one.dismissed and one.state in ("COMMENT", "REQUEST_CHANGES")]
        found = [
            _comment(f"review-{one.id}", one.user, one.body, trusted=one.official)
            for one in standing
            if one.body.strip()
        ]
        for review in [one for one in standing if one.comments_count][-REVIEWS_MAX:]:
            lines = (await self._api.get(f"{pulls}/reviews/{review.id}/comments")).read(list[_Line])
            found += [
                _comment(f"line-{one.id}", one.user, one.body, one.path, one.position or None, trusted=review.official)
                for one in lines
            ]
        whole = (await self._api.get(f"{self._repo}/issues/{number}/comments")).read(list[_Remark])
        found += [_comment(f"comment-{one.id}", one.user, one.body, trusted=False) for one in whole]
        found = found[-COMMENTS_MAX:]
        if private:
            # Nobody sees it who was not let in.
            return tuple(replace(one, is_trusted=True) for one in found)
        return tuple(await self._with_trust(found))

    async def _with_trust(self, found: list[Comment]) -> list[Comment]:
        doubtful = dict.fromkeys(one.author for one in found if not one.is_trusted and not one.is_own)
        writers = {author for author in [*doubtful][:AUTHORS_MAX] if await self._may_write(author)}
        return [replace(one, is_trusted=True) if one.author in writers else one for one in found]

    async def _may_write(self, author: str) -> bool:
        path = f"{self._repo}/collaborators/{quote(author, safe='')}/permission"
        try:
            return (await self._api.get(path)).read(_Permission).permission in WRITERS
        except (ForgeAuthRefused, ForgeMissing):
            # Only who administers the repository may ask; then it is not known, which is no reason to trust.
            return False

    def _is_own(self, pull: _Pull) -> bool:
        return pull.head.repo is not None and pull.head.repo.full_name.lower() == self._project.lower()


_LIMIT: Final[Query] = {"limit": PAGE}


def _told(pull: _Pull) -> PullRequest:
    return PullRequest(
        pull.number, shown(pull.html_url, URL_LENGTH_MAX), pull.head.ref, _state(pull), task_of(pull.body or "")
    )


def _state(pull: _Pull) -> State:
    if pull.merged:
        return "merged"
    return pull.state


def _exists(refused: ForgeRefused) -> bool:
    return refused.status == 409


def _check(status: _Status) -> Check:
    name, url = shown(status.context, NAME_LENGTH_MAX), shown(status.target_url, PATH_LENGTH_MAX)
    return Check(name, url, shown(status.description or status.status, SUMMARY_LENGTH_MAX))


def _comment(
    key: str, user: _User | None, body: str, path: str = "", line: int | None = None, *, trusted: bool
) -> Comment:
    return Comment(
        id=key,
        author=shown("" if user is None else user.login, NAME_LENGTH_MAX),
        text=shown(body, COMMENT_LENGTH_MAX),
        path=shown(path, PATH_LENGTH_MAX),
        line=line,
        is_own=said_by_us(body),
        is_trusted=trusted,
    )

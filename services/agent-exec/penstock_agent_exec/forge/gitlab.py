"""GitLab, where a pull request is called a merge request and is known by its `iid`.

Rule of this room: a text may be an order here. What begins with a slash is done by GitLab, so nothing of ours begins with one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Final
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
    said_by_us,
    task_of,
    told,
)
from penstock_agent_exec.forge.http import PAGE, Connection, Number, Query
from penstock_agent_exec.forge.opening import opened, repeated
from penstock_agent_exec.forge.text import neutral, neutral_title

DRAFT: Final = "Draft: "
DEVELOPER: Final = 30
"""The least access level that may push."""
NOTES_MAX: Final = 1_000
"""So many notes are read, the newest."""
STATUSES_MAX: Final = 300
AUTHORS_MAX: Final = 100
"""So many authors are asked after, in the order in which they began to speak; the others are strangers."""
WAITING: Final = (
    *("created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "scheduled"),
)
STOPPED: Final = ("canceled", "canceling")
"""Somebody has stopped it before it could say anything."""

NOT_RUN: Final = ("skipped", "manual")
"""A pipeline is skipped for a word in a commit's message."""


MERGED_RESULT: Final = re.compile(r"refs/merge-requests/\d+/merge")


class _Pipeline(Struct):
    id: int
    status: str
    sha: str = ""
    ref: str = ""
    web_url: str | None = None


class _Merge(Struct):
    iid: Number
    web_url: str
    state: str
    source_branch: str
    source_project_id: int | None
    target_project_id: int
    description: str | None = None
    draft: bool = False
    sha: str | None = None
    head_pipeline: _Pipeline | None = None


class _Status(Struct):
    name: str
    status: str
    allow_failure: bool = False
    target_url: str | None = None
    description: str | None = None


class _Job(Struct):
    name: str
    status: str
    allow_failure: bool = False
    web_url: str | None = None
    failure_reason: str | None = None


class _User(Struct):
    id: int
    username: str


class _Position(Struct):
    new_path: str | None = None
    new_line: int | None = None
    old_path: str | None = None


class _Note(Struct):
    id: int
    body: str = ""
    author: _User | None = None
    system: bool = False
    resolved: bool = False
    created_at: datetime | None = None
    position: _Position | None = None


class _Member(Struct):
    access_level: int


class _Project(Struct):
    visibility: str = "public"


class GitLab:
    """One project, by its whole path."""

    def __init__(self, connection: Connection, project: str) -> None:
        self._api = connection
        self._path = f"/projects/{quote(project, safe='')}"
        self._merges = f"{self._path}/merge_requests"

    async def find(self, branch: str) -> PullRequest | None:
        query: Query = {
            "source_branch": branch,
            "state": "all",
            "order_by": "created_at",
            "sort": "desc",
            "per_page": PAGE,
        }
        listed = (await self._api.get(self._merges, query)).read(list[_Merge])
        return chosen(_told(one) for one in listed if one.source_branch == branch and _is_own(one))

    async def get(self, number: int) -> PullRequest:
        return _told((await self._api.get(f"{self._merges}/{number}")).read(_Merge))

    async def open(self, branch: str, *, base: str, title: str, body: str, draft: bool = False) -> PullRequest:
        wanted = {
            "source_branch": branch,
            "target_branch": base,
            "title": (DRAFT if draft else "") + neutral_title(title),
            "description": neutral(body),
        }

        async def make() -> PullRequest:
            return _told((await self._api.ask("POST", self._merges, body=wanted)).read(_Merge))

        async with self._api.session():
            return await opened(lambda: self.find(branch), make, _exists, task=task_of(body))

    async def update(self, number: int, *, body: str) -> None:
        wanted = {"description": neutral(body)}
        await repeated(lambda: self._api.ask("PUT", f"{self._merges}/{number}", body=wanted))

    async def comment(self, number: int, text: str) -> None:
        path, wanted = f"{self._merges}/{number}/notes", f"{neutral(text).rstrip()}\n\n{SAID}"

        async def say() -> None:
            notes = (await self._api.get(path, {"sort": "desc", "per_page": PAGE})).read(list[_Note])
            mine = [note.body for note in notes if said_by_us(note.body)]
            if not mine or mine[0].strip() != wanted:
                await self._api.ask("POST", path, body={"body": wanted})

        async with self._api.session():
            await repeated(say)

    async def label(self, number: int, names: tuple[str, ...]) -> None:
        if names:
            wanted = {"add_labels": ",".join(name.replace(",", " ") for name in names)}
            await repeated(lambda: self._api.ask("PUT", f"{self._merges}/{number}", body=wanted))

    async def list_open(self, limit: int) -> tuple[PullRequest, ...]:
        query: Query = {
            "state": "opened",
            "order_by": "created_at",
            "sort": "desc",
            "per_page": min(limit, PAGE),
        }
        listed = await self._api.pages(self._merges, _Merge, query, items_max=limit)
        return tuple(_told(one) for one in listed if _is_own(one))

    async def look(self, number: int, reviewers: Reviewers = ()) -> PullRequestState:
        async with self._api.session():
            merge = (await self._api.get(f"{self._merges}/{number}")).read(_Merge)
            seen = PullRequestState(
                number=merge.iid,
                url=shown(merge.web_url, URL_LENGTH_MAX),
                state=_state(merge),
                head_branch=merge.source_branch,
                head_commit=merge.sha or "",
                draft=merge.draft,
            )
            if seen.state != "open":
                return seen
            checks, failed = await self._checks(merge)
            comments, left_out = await self._comments(number, reviewers)
            return replace(seen, checks=checks, failed_checks=failed, comments=comments, left_out=left_out)

    async def _checks(self, merge: _Merge) -> tuple[Checks, tuple[Check, ...]]:
        """The statuses of the commit, jobs among them, and the pipeline of what it would be merged to."""
        statuses: list[_Status] = []
        if merge.sha:
            path = f"{self._path}/repository/commits/{quote(merge.sha, safe='')}/statuses"
            statuses = await self._api.pages(path, _Status, {"per_page": PAGE}, items_max=STATUSES_MAX)
        pipeline = _pipeline_of_head(merge)
        failed = [_of_status(one) for one in statuses if one.status == "failed" and not one.allow_failure]
        if not failed and pipeline is not None and pipeline.status == "failed":
            failed = await self._failed_jobs(pipeline)
        if failed:
            return "failed", tuple(failed[:CHECKS_MAX])
        said = [one.status for one in statuses if not (one.allow_failure and one.status in STOPPED)]
        said += [] if pipeline is None else [pipeline.status]
        if all(one in NOT_RUN for one in said):
            return "none", ()
        # Where there may be more than was read, only the pipeline knows how all of its jobs went.
        waits = len(statuses) >= STATUSES_MAX and pipeline is None
        waits = waits or any(one in (*WAITING, *STOPPED) for one in said)
        return ("pending" if waits else "passed"), ()

    async def _failed_jobs(self, pipeline: _Pipeline) -> list[Check]:
        path = f"{self._path}/pipelines/{pipeline.id}/jobs"
        jobs = (await self._api.get(path, {"scope[]": "failed", "per_page": PAGE})).read(list[_Job])
        found = [_of_job(job) for job in jobs if job.status == "failed" and not job.allow_failure]
        return found or [Check("pipeline", shown(pipeline.web_url or "", PATH_LENGTH_MAX), pipeline.status)]

    async def _comments(self, number: int, reviewers: Reviewers) -> tuple[tuple[Comment, ...], bool]:
        query: Query = {"sort": "desc", "order_by": "created_at", "per_page": PAGE}
        notes = await self._api.pages(f"{self._merges}/{number}/notes", _Note, query, items_max=NOTES_MAX)
        said = [note for note in reversed(notes) if not note.system and not note.resolved]
        trusted = await self._writers([note.author for note in said if note.author and not said_by_us(note.body)])
        found = [(note.created_at, _comment(note)) for note in said]
        comments, left_out = told(
            [(at, replace(one, is_trusted=trusted is None or one.author in trusted)) for at, one in found], reviewers
        )
        return comments, left_out or len(notes) >= NOTES_MAX

    async def _writers(self, authors: list[_User]) -> set[str] | None:
        """Those who may push; None for everybody, where nobody sees the project who was not let in."""
        if not authors:
            return set()
        if (await self._api.get(self._path)).read(_Project).visibility == "private":
            return None
        by_id = {author.id: author.username for author in authors}
        return {name for key, name in [*by_id.items()][:AUTHORS_MAX] if await self._may_push(key)}

    async def _may_push(self, user: int) -> bool:
        try:
            found = (await self._api.get(f"{self._path}/members/all/{user}")).read(_Member)
        except (ForgeMissing, ForgeAuthRefused):
            return False
        return found.access_level >= DEVELOPER


def _is_own(merge: _Merge) -> bool:
    return merge.source_project_id == merge.target_project_id


def _pipeline_of_head(merge: _Merge) -> _Pipeline | None:
    """The last one that was made stays where a push makes none, or none yet: what it says is of a commit before. One of what it
    would be merged to has a commit of its own."""
    found = merge.head_pipeline
    if found is None or found.sha == merge.sha or MERGED_RESULT.fullmatch(found.ref):
        return found
    return None


def _told(merge: _Merge) -> PullRequest:
    task = task_of(merge.description or "")
    url = shown(merge.web_url, URL_LENGTH_MAX)
    return PullRequest(merge.iid, url, merge.source_branch, _state(merge), task, merge.sha or "")


def _state(merge: _Merge) -> State:
    match merge.state:
        case "merged":
            return "merged"
        case "closed":
            return "closed"
        case _:
            # `locked` is what it is while it is being merged.
            return "open"


def _exists(refused: ForgeRefused) -> bool:
    return refused.status == 409


def _of_status(status: _Status) -> Check:
    name, url = shown(status.name, NAME_LENGTH_MAX), shown(status.target_url or "", PATH_LENGTH_MAX)
    return Check(name, url, shown(status.description or status.status, SUMMARY_LENGTH_MAX))


def _of_job(job: _Job) -> Check:
    name, url = shown(job.name, NAME_LENGTH_MAX), shown(job.web_url or "", PATH_LENGTH_MAX)
    return Check(name, url, shown(job.failure_reason or job.status, SUMMARY_LENGTH_MAX))


def _comment(note: _Note) -> Comment:
    at = note.position or _Position()
    return Comment(
        id=f"note-{note.id}",
        author=shown("" if note.author is None else note.author.username, NAME_LENGTH_MAX),
        text=shown(note.body, COMMENT_LENGTH_MAX),
        path=shown(at.new_path or at.old_path or "", PATH_LENGTH_MAX),
        line=at.new_line,
        is_own=said_by_us(note.body),
    )

"""GitHub, and GitHub Enterprise Server by its address.

Rule of this room: the list's filter is not believed. GitHub ignores a `head` that it does not understand, and lists everything.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

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

ACCEPT: Final = "application/vnd.github+json"
VERSION: Final = "2022-11-28"
TRUSTED: Final = ("OWNER", "MEMBER", "COLLABORATOR")
RUNS_MAX: Final = 300
STATUSES_MAX: Final = 300
FAILED: Final = ("failure", "timed_out", "startup_failure", "action_required", "error")
PASSED: Final = ("success", "neutral", "skipped")
"""What else a run may have ended as, such as cancelled or stale, has said nothing yet."""


class _Repo(Struct):
    full_name: str


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
    body: str | None = None
    merged_at: str | None = None
    draft: bool = False


class _Output(Struct, frozen=True):
    title: str | None = None
    summary: str | None = None


class _App(Struct, frozen=True):
    slug: str = ""


class _Run(Struct):
    id: int
    name: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None
    output: _Output = _Output()
    app: _App | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class _Runs(Struct):
    check_runs: list[_Run]


class _Status(Struct):
    context: str
    state: str
    target_url: str | None = None
    description: str | None = None


class _Combined(Struct):
    statuses: list[_Status]


class _Review(Struct):
    id: int
    state: str
    user: _User | None = None
    body: str | None = None
    author_association: str = "NONE"
    submitted_at: datetime | None = None


class _Remark(Struct):
    """A comment, on lines or on the whole."""

    id: int
    user: _User | None = None
    body: str | None = None
    author_association: str = "NONE"
    created_at: datetime | None = None
    path: str = ""
    line: int | None = None


class GitHub:
    """One repository, `project` being its `owner/name`."""

    def __init__(self, connection: Connection, project: str) -> None:
        self._api = connection
        self._owner = project.split("/")[0]
        self._repo = f"/repos/{project}"

    async def find(self, branch: str) -> PullRequest | None:
        query: Query = {
            "head": f"{self._owner}:{branch}",
            "state": "all",
            "sort": "created",
            "direction": "desc",
            "per_page": PAGE,
        }
        listed = (await self._api.get(f"{self._repo}/pulls", query)).read(list[_Pull])
        return chosen(_told(pull) for pull in listed if pull.head.ref == branch and _is_own(pull))

    async def get(self, number: int) -> PullRequest:
        return _told((await self._api.get(f"{self._repo}/pulls/{number}")).read(_Pull))

    async def open(self, branch: str, *, base: str, title: str, body: str, draft: bool = False) -> PullRequest:
        wanted = {"title": neutral_title(title), "body": neutral(body), "head": branch, "base": base, "draft": draft}

        async def make() -> PullRequest:
            try:
                return _told((await self._api.ask("POST", f"{self._repo}/pulls", body=wanted)).read(_Pull))
            except ForgeRefused as refused:
                if not wanted["draft"] or "draft" not in refused.said.lower():
                    raise
            # Not every plan has drafts for private repositories.
            wanted["draft"] = False
            return await make()

        async with self._api.session():
            return await opened(lambda: self.find(branch), make, _exists, task=task_of(body))

    async def update(self, number: int, *, body: str) -> None:
        wanted = {"body": neutral(body)}
        await repeated(lambda: self._api.ask("PATCH", f"{self._repo}/pulls/{number}", body=wanted))

    async def comment(self, number: int, text: str) -> None:
        path, wanted = f"{self._repo}/issues/{number}/comments", f"{neutral(text).rstrip()}\n\n{SAID}"

        async def say() -> None:
            said, _ = await self._api.newest(path, _Remark, {"per_page": PAGE})
            mine = [remark.body or "" for remark in said if said_by_us(remark.body or "")]
            if not mine or mine[-1].replace("\r\n", "\n").strip() != wanted:
                await self._api.ask("POST", path, body={"body": wanted})

        async with self._api.session():
            await repeated(say)

    async def label(self, number: int, names: tuple[str, ...]) -> None:
        if names:
            path = f"{self._repo}/issues/{number}/labels"
            await repeated(lambda: self._api.ask("POST", path, body={"labels": list(names)}))

    async def list_open(self, limit: int) -> tuple[PullRequest, ...]:
        query: Query = {"state": "open", "sort": "created", "direction": "desc", "per_page": min(limit, PAGE)}
        listed = await self._api.pages(f"{self._repo}/pulls", _Pull, query, items_max=limit)
        return tuple(_told(pull) for pull in listed if _is_own(pull))

    async def look(self, number: int, reviewers: Reviewers = ()) -> PullRequestState:
        async with self._api.session():
            pull = (await self._api.get(f"{self._repo}/pulls/{number}")).read(_Pull)
            seen = PullRequestState(
                number=pull.number,
                url=shown(pull.html_url, URL_LENGTH_MAX),
                state=_state(pull),
                head_branch=pull.head.ref,
                head_commit=pull.head.sha,
                draft=pull.draft,
            )
            if seen.state != "open":
                return seen
            checks, failed = await self._checks(pull.head.sha)
            comments, left_out = await self._comments(number, reviewers)
            return replace(seen, checks=checks, failed_checks=failed, comments=comments, left_out=left_out)

    async def _checks(self, commit: str) -> tuple[Checks, tuple[Check, ...]]:
        """Check runs (those that stand) and commit statuses, together."""
        about = f"{self._repo}/commits/{commit}"
        every: dict[int, _Run] = {}
        for page in range(1, RUNS_MAX // PAGE + 1):
            query: Query = {"per_page": PAGE, "page": page, "filter": "latest"}
            found = (await self._api.get(f"{about}/check-runs", query)).read(_Runs).check_runs
            every |= {run.id: run for run in found}
            if len(found) < PAGE:
                break
        runs = [run for run in every.values() if not any(_takes_its_place(other, run) for other in every.values())]
        statuses: list[_Status] = []
        for page in range(1, STATUSES_MAX // PAGE + 1):
            some = (await self._api.get(f"{about}/status", {"per_page": PAGE, "page": page})).read(_Combined).statuses
            statuses += some
            if len(some) < PAGE:
                break
        failed = [_of_run(run) for run in runs if run.status == "completed" and run.conclusion in FAILED]
        failed += [_of_status(status) for status in statuses if status.state in FAILED]
        if failed:
            return "failed", tuple(failed[:CHECKS_MAX])
        if not runs and not statuses:
            return "none", ()
        waits = any(run.status != "completed" or run.conclusion not in PASSED for run in runs)
        waits = waits or any(status.state != "success" for status in statuses)
        # Where there may be more than was read, nobody has seen that all of them have passed.
        waits = waits or len(every) >= RUNS_MAX or len(statuses) >= STATUSES_MAX
        return ("pending" if waits else "passed"), ()

    async def _comments(self, number: int, reviewers: Reviewers) -> tuple[tuple[Comment, ...], bool]:
        query: Query = {"per_page": PAGE}
        reviews, fewer_reviews = await self._api.newest(f"{self._repo}/pulls/{number}/reviews", _Review, query)
        lines, fewer_lines = await self._api.newest(f"{self._repo}/pulls/{number}/comments", _Remark, query)
        whole, fewer_whole = await self._api.newest(f"{self._repo}/issues/{number}/comments", _Remark, query)
        asks = [one for one in reviews if one.state in ("CHANGES_REQUESTED", "COMMENTED") and (one.body or "").strip()]
        found = [
            (one.submitted_at, _comment(f"review-{one.id}", one.user, one.body, one.author_association)) for one in asks
        ]
        for one in lines:
            said = _comment(f"line-{one.id}", one.user, one.body, one.author_association, one.path, one.line)
            found.append((one.created_at, said))
        for one in whole:
            found.append((one.created_at, _comment(f"comment-{one.id}", one.user, one.body, one.author_association)))
        comments, left_out = told(found, reviewers)
        return comments, left_out or fewer_reviews or fewer_lines or fewer_whole


def _is_own(pull: _Pull) -> bool:
    """Whether its branch is in this repository and not in a fork of it: whatever it is called now, by its old name too."""
    head, base = pull.head.repo, pull.base.repo
    return head is not None and base is not None and head.full_name.lower() == base.full_name.lower()


def _told(pull: _Pull) -> PullRequest:
    url, task = shown(pull.html_url, URL_LENGTH_MAX), task_of(pull.body or "")
    return PullRequest(pull.number, url, pull.head.ref, _state(pull), task, pull.head.sha)


def _state(pull: _Pull) -> State:
    if pull.state == "open":
        return "open"
    return "merged" if pull.merged_at is not None else "closed"


def _exists(refused: ForgeRefused) -> bool:
    return refused.status == 422 and "already exists" in refused.said


def _takes_its_place(later: _Run, run: _Run) -> bool:
    """Whether it is the same check once more. The list has only the latest of each suite, but another event on the same commit
    makes another suite; and two workflows may have jobs of one name, which begin together."""
    if (later.name, later.app) != (run.name, run.app) or later.id <= run.id:
        return False
    return run.completed_at is not None and later.started_at is not None and later.started_at >= run.completed_at


def _of_run(run: _Run) -> Check:
    words = "\n".join(part for part in (run.output.title, run.output.summary) if part)
    name, url = shown(run.name, NAME_LENGTH_MAX), shown(run.html_url or "", PATH_LENGTH_MAX)
    return Check(name, url, shown(words or run.conclusion or "", SUMMARY_LENGTH_MAX))


def _of_status(status: _Status) -> Check:
    name, url = shown(status.context, NAME_LENGTH_MAX), shown(status.target_url or "", PATH_LENGTH_MAX)
    return Check(name, url, shown(status.description or status.state, SUMMARY_LENGTH_MAX))


def _comment(
    key: str, user: _User | None, body: str | None, association: str, path: str = "", line: int | None = None
) -> Comment:
    text = body or ""
    return Comment(
        id=key,
        author=shown("" if user is None else user.login, NAME_LENGTH_MAX),
        text=shown(text, COMMENT_LENGTH_MAX),
        path=shown(path, PATH_LENGTH_MAX),
        line=line,
        is_own=said_by_us(text),
        is_trusted=association in TRUSTED,
    )

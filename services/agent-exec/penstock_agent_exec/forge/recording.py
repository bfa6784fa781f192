"""A forge that is a file: it records what was opened. For trying the whole way without an account anywhere, and for tests.

Rule of this room: the file is the forge. What is in it is so, whoever asks, and every write is whole or not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from penstock_agent_exec.forge import (
    Check,
    Checks,
    Comment,
    ForgeFailed,
    ForgeMissing,
    ForgeUnreachable,
    PullRequest,
    PullRequestState,
    Reviewers,
    State,
    chosen,
    task_of,
    told,
)

KIND: Final = "recording"
OPEN_MAX: Final = 100_000

HeadOf: TypeAlias = Callable[[str], Awaitable[str | None]]
"""The commit that a branch is at on the remote."""


class Recorded(Struct, frozen=True, kw_only=True):
    """One pull request in the file. `head_commit` is empty as long as it is what the remote's branch is at; `comments` are
    those of others, `said` those of ours."""

    number: int
    url: str
    repo: str
    head: str
    base: str
    title: str
    body: str
    state: State = "open"
    head_commit: str = ""
    draft: bool = False
    labels: tuple[str, ...] = ()
    checks: Checks = "none"
    failed_checks: tuple[Check, ...] = ()
    comments: tuple[Comment, ...] = ()
    said: tuple[str, ...] = ()
    updates: int = 0


class Fault(Struct, frozen=True, kw_only=True):
    """What the forge is to do wrong at `at`, `times` more times: refuse, or do it and not answer."""

    kind: Literal["fail", "timeout_after_effect"]
    times: int = 1
    at: Literal["open", "update", "comment", "label", "look"] = "open"


async def _unknown(_: str) -> str | None:
    return None


class RecordingForge:
    """The pull requests of `repo` in `folder/pull-requests.json`. A `folder/fault.json` makes it fail."""

    def __init__(self, folder: Path, repo: str, head_of: HeadOf = _unknown) -> None:
        self._folder = folder
        self._repo = repo
        self._head_of = head_of

    async def find(self, branch: str) -> PullRequest | None:
        found = await asyncio.to_thread(self._find, branch)
        return None if found is None else await self._with_commit(found)

    async def get(self, number: int) -> PullRequest:
        return await self._with_commit(
            _told(_entry(await asyncio.to_thread(recorded, self._folder), self._repo, number))
        )

    async def open(self, branch: str, *, base: str, title: str, body: str, draft: bool = False) -> PullRequest:
        return await asyncio.to_thread(self._open, branch, base, title, body, draft)

    async def update(self, number: int, *, body: str) -> None:
        await asyncio.to_thread(self._change, "update", number, lambda entry: _updated(entry, body))

    async def comment(self, number: int, text: str) -> None:
        await asyncio.to_thread(self._change, "comment", number, lambda entry: _with_word(entry, text))

    async def label(self, number: int, names: tuple[str, ...]) -> None:
        await asyncio.to_thread(self._change, "label", number, lambda entry: _with_labels(entry, names))

    async def look(self, number: int, reviewers: Reviewers = ()) -> PullRequestState:
        entry = await asyncio.to_thread(self._look, number)
        said = tuple(Comment(f"own-{nth}", "penstock", text, is_own=True) for nth, text in enumerate(entry.said, 1))
        comments, left_out = told(((None, one) for one in (*entry.comments, *said)), reviewers)
        return PullRequestState(
            number=entry.number,
            url=entry.url,
            state=entry.state,
            head_branch=entry.head,
            head_commit=entry.head_commit or await self._head_of(entry.head) or "",
            draft=entry.draft,
            checks=entry.checks,
            failed_checks=entry.failed_checks,
            comments=comments,
            left_out=left_out,
        )

    async def list_open(self, limit: int) -> tuple[PullRequest, ...]:
        return await asyncio.to_thread(self._list_open, limit)

    def _find(self, branch: str) -> PullRequest | None:
        mine = [entry for entry in recorded(self._folder) if (entry.repo, entry.head) == (self._repo, branch)]
        return chosen(_told(entry) for entry in reversed(mine))

    async def _with_commit(self, found: PullRequest) -> PullRequest:
        return replace(found, commit=found.commit or await self._head_of(found.head) or "")

    def _list_open(self, limit: int) -> tuple[PullRequest, ...]:
        mine = [entry for entry in recorded(self._folder) if entry.repo == self._repo and entry.state == "open"]
        return tuple(_told(entry) for entry in reversed(mine[-limit:]))

    def _look(self, number: int) -> Recorded:
        with _locked(self._folder):
            if _take_fault(self._folder, "look") != "":
                raise ForgeUnreachable("the forge answered 503")
            return _entry(recorded(self._folder), self._repo, number)

    def _open(self, branch: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        with _locked(self._folder):
            fault = _take_fault(self._folder, "open")
            if fault == "fail":
                raise ForgeUnreachable("the forge answered 503")
            if (found := self._find(branch)) is not None and found.state == "open":
                return found
            entries = recorded(self._folder)
            if len(entries) >= OPEN_MAX:
                raise ForgeFailed(f"the forge holds {OPEN_MAX} pull requests and takes no more")
            number = len(entries) + 1
            url = f"recording://{self._repo}/pull/{number}"
            entry = Recorded(
                number=number,
                url=url,
                repo=self._repo,
                head=branch,
                base=base,
                title=title,
                body=body,
                draft=draft,
            )
            _write(self._folder, [*entries, entry])
        if fault == "timeout_after_effect":
            raise ForgeUnreachable("the forge did not answer in time")
        return _told(entry)

    def _change(self, at: str, number: int, change: Callable[[Recorded], Recorded]) -> None:
        with _locked(self._folder):
            fault = _take_fault(self._folder, at)
            if fault == "fail":
                raise ForgeUnreachable("the forge answered 503")
            _replace(self._folder, self._repo, number, change)
        if fault == "timeout_after_effect":
            raise ForgeUnreachable("the forge did not answer in time")


def recorded(folder: Path) -> list[Recorded]:
    """Every pull request that was opened, oldest first. Raises ForgeFailed for a file that is none of ours."""
    path = folder / "pull-requests.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Recorded]) if path.is_file() else []
    except msgspec.MsgspecError as error:
        raise ForgeFailed(f"{path.name} cannot be read: {error}") from error


def add(folder: Path, entry: Recorded) -> Recorded:
    """Open one as people do, with the next number. Gives what it is."""
    with _locked(folder):
        entries = recorded(folder)
        number = len(entries) + 1
        made = msgspec.structs.replace(entry, number=number, url=f"recording://{entry.repo}/pull/{number}")
        _write(folder, [*entries, made])
        return made


def plant(folder: Path, repo: str, number: int, change: Callable[[Recorded], Recorded]) -> Recorded:
    """Make something happen there that people or checks do: merge, close, comment, fail. Gives what it is now."""
    with _locked(folder):
        return _replace(folder, repo, number, change)


def _updated(entry: Recorded, body: str) -> Recorded:
    return msgspec.structs.replace(entry, body=body, updates=entry.updates + 1)


def _with_word(entry: Recorded, text: str) -> Recorded:
    return entry if entry.said[-1:] == (text,) else msgspec.structs.replace(entry, said=(*entry.said, text))


def _with_labels(entry: Recorded, names: tuple[str, ...]) -> Recorded:
    return msgspec.structs.replace(entry, labels=tuple(dict.fromkeys((*entry.labels, *names))))


def _told(entry: Recorded) -> PullRequest:
    return PullRequest(entry.number, entry.url, entry.head, entry.state, task_of(entry.body), entry.head_commit)


def _entry(entries: list[Recorded], repo: str, number: int) -> Recorded:
    for entry in entries:
        if (entry.repo, entry.number) == (repo, number):
            return entry
    raise ForgeMissing(f"{repo} has no pull request {number}")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _take_fault(folder: Path, at: str) -> str:
    path = folder / "fault.json"
    if not path.is_file():
        return ""
    fault = msgspec.json.decode(path.read_bytes(), type=Fault)
    if fault.at != at:
        return ""
    if fault.times <= 1:
        path.unlink()
    else:
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(fault, times=fault.times - 1)))
    return fault.kind


def _replace(folder: Path, repo: str, number: int, change: Callable[[Recorded], Recorded]) -> Recorded:
    entries = recorded(folder)
    before = _entry(entries, repo, number)
    after = change(before)
    _write(folder, [after if entry is before else entry for entry in entries])
    return after


def _write(folder: Path, entries: list[Recorded]) -> None:
    making = folder / "pull-requests.making"
    with making.open("wb") as file:
        file.write(msgspec.json.encode(entries))
        file.flush()
        os.fsync(file.fileno())
    making.rename(folder / "pull-requests.json")

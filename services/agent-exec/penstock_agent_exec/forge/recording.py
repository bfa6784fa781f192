"""A forge that is a file: it records what was opened. For trying the whole way without an account anywhere, and for tests.

Rule of this room: the file is the forge. What is in it is open, whoever asks, and every write is whole or not there.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from penstock_agent_exec.forge import ForgeFailed, ForgeUnreachable, PullRequest

KIND: Final = "recording"
OPEN_MAX: Final = 100_000


class Recorded(Struct, frozen=True, kw_only=True):
    """One pull request in the file."""

    number: int
    url: str
    repo: str
    head: str
    base: str
    title: str
    body: str


class Fault(Struct, frozen=True, kw_only=True):
    """What the forge is to do wrong, `times` more times: refuse, or do it and not answer."""

    kind: Literal["fail", "timeout_after_effect"]
    times: int = 1


class RecordingForge:
    """The pull requests of `repo` in `folder/pull-requests.json`. A `folder/fault.json` makes it fail."""

    def __init__(self, folder: Path, repo: str) -> None:
        self._folder = folder
        self._repo = repo

    async def find(self, branch: str) -> PullRequest | None:
        return await asyncio.to_thread(self._find, branch)

    async def open(self, branch: str, *, base: str, title: str, body: str) -> PullRequest:
        return await asyncio.to_thread(self._open, branch, base, title, body)

    async def list_open(self, limit: int) -> tuple[PullRequest, ...]:
        return await asyncio.to_thread(self._list_open, limit)

    def _find(self, branch: str) -> PullRequest | None:
        for entry in recorded(self._folder):
            if (entry.repo, entry.head) == (self._repo, branch):
                return PullRequest(entry.number, entry.url, entry.head)
        return None

    def _list_open(self, limit: int) -> tuple[PullRequest, ...]:
        mine = [entry for entry in recorded(self._folder) if entry.repo == self._repo]
        return tuple(PullRequest(entry.number, entry.url, entry.head) for entry in reversed(mine[-limit:]))

    def _open(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fault = self._take_fault()
            if fault == "fail":
                raise ForgeUnreachable("the forge answered 503")
            entries = recorded(self._folder)
            if len(entries) >= OPEN_MAX:
                raise ForgeFailed(f"the forge holds {OPEN_MAX} pull requests and takes no more")
            number = len(entries) + 1
            url = f"recording://{self._repo}/pull/{number}"
            entry = Recorded(number=number, url=url, repo=self._repo, head=branch, base=base, title=title, body=body)
            self._write([*entries, entry])
        if fault == "timeout_after_effect":
            raise ForgeUnreachable("the forge did not answer in time")
        return PullRequest(number, url, branch)

    def _take_fault(self) -> str:
        path = self._folder / "fault.json"
        if not path.is_file():
            return ""
        fault = msgspec.json.decode(path.read_bytes(), type=Fault)
        if fault.times <= 1:
            path.unlink()
        else:
            path.write_bytes(msgspec.json.encode(msgspec.structs.replace(fault, times=fault.times - 1)))
        return fault.kind

    def _write(self, entries: list[Recorded]) -> None:
        making = self._folder / "pull-requests.making"
        with making.open("wb") as file:
            file.write(msgspec.json.encode(entries))
            file.flush()
            os.fsync(file.fileno())
        making.rename(self._folder / "pull-requests.json")


def recorded(folder: Path) -> list[Recorded]:
    """Every pull request that was opened, oldest first. Raises ForgeFailed for a file that is none of ours."""
    path = folder / "pull-requests.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Recorded]) if path.is_file() else []
    except msgspec.MsgspecError as error:
        raise ForgeFailed(f"{path.name} cannot be read: {error}") from error

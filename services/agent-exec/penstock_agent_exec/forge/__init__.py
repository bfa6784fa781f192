"""Forges: where a branch becomes a pull request.

Rule of this room: looking comes before opening. An answer that got lost is no answer, so whoever opens looks first, every
time, and adopts what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class PullRequest:
    """An open pull request. `head` is the branch it is made from."""

    number: int
    url: str
    head: str


class ForgeFailed(Exception):
    """The forge could not do what it was asked."""

    error_class: ClassVar[str] = "forge.failed"
    transient: ClassVar[bool] = False


class ForgeUnreachable(ForgeFailed):
    """The forge could not be reached, or did not answer in time; what it was asked may have been done."""

    error_class = "forge.unreachable"
    transient = True


class Forge(Protocol):
    """One forge, for one repo."""

    async def find(self, branch: str) -> PullRequest | None:
        """The open pull request from this branch. Raises ForgeFailed."""
        ...

    async def open(self, branch: str, *, base: str, title: str, body: str) -> PullRequest:
        """A new pull request. Raises ForgeFailed; ForgeUnreachable does not mean that there is none now."""
        ...

    async def list_open(self, limit: int) -> tuple[PullRequest, ...]:
        """The newest open pull requests, at most `limit`. Raises ForgeFailed."""
        ...


async def find_or_open(forge: Forge, branch: str, *, base: str, title: str, body: str) -> tuple[PullRequest, bool]:
    """The pull request from this branch, and whether it was there already. Raises ForgeFailed."""
    found = await forge.find(branch)
    if found is not None:
        return found, True
    return await forge.open(branch, base=base, title=title, body=body), False

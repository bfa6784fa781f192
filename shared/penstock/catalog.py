"""Entries of the catalogue: settings that people edit, kept in a key-value bucket with history; the api writes, all read."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from penstock.bounds import Count, Line, Name, Ref, Seconds, Url, Word
from penstock.events import RepoSnapshot, Utc, VerifyCommands


class Repo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repository tasks may be asked of. Secrets stand here by reference only."""

    name: Name
    clone_url: Url
    default_branch: Ref = "main"
    provider: Word = "git"
    verify: VerifyCommands = VerifyCommands()
    command_timeout_seconds: Seconds = 600.0


def snapshot(repo: Repo) -> RepoSnapshot:
    """The part of a repo that a task's decisions depend on, as copied into `task_submitted`."""
    return RepoSnapshot(
        name=repo.name,
        clone_url=repo.clone_url,
        default_branch=repo.default_branch,
        provider=repo.provider,
        verify=repo.verify,
        command_timeout_seconds=repo.command_timeout_seconds,
    )


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events go where. `types` empty: the ends of tasks and whatever needs a person."""

    name: Name
    channel: Annotated[str, Meta(pattern=r"^(console|webhook)$")]
    types: tuple[Word, ...] = ()
    repos: tuple[Name, ...] = ()
    url: Annotated[str, Meta(max_length=1_000)] = ""
    secret_ref: Line = ""
    enabled: bool = True


class HostState(Struct, frozen=True, kw_only=True):
    """What an executor says of itself in its host lease. `instance` changes with every start of the process."""

    host: Name
    instance: Word
    installation: Word
    started_at: Utc
    slots: Count
    busy: Count
    vendors: tuple[Word, ...] = ()
    notes: tuple[Line, ...] = ()


class LeaseValue(Struct, frozen=True, kw_only=True):
    """Who holds a job's or the leader's lease."""

    holder: Word
    instance: Word
    installation: Word = ""
    revoked: Line = ""

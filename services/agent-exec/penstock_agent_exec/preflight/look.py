"""The look itself: everything that speaks against a change, the worst first, and what it comes to.

Rule of this room: whatever goes wrong here is a finding too. Only what passes by itself (a full disk, a busy mirror) is left to
whoever asked, who then hands nothing over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from penstock.bounds import LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX, clip
from penstock.jobs import WAIVABLE
from penstock.values import Finding, Preflight
from penstock_agent_exec.forge.text import leaves_out_checks
from penstock_agent_exec.git.change import diffstat
from penstock_agent_exec.git.failures import GitFailed, TimedOut
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.git.names import Identity
from penstock_agent_exec.preflight.files import files, shown_path
from penstock_agent_exec.preflight.history import Added, History, Unreadable, final_lines, read_history
from penstock_agent_exec.preflight.scanner import Scanner, ScannerFailed
from penstock_agent_exec.preflight.secrets import secrets
from penstock_agent_exec.redact import Redactor

FINDINGS_MAX: Final = 50
MARKERS: Final = (b"<<<<<<< ", b">>>>>>> ")
ORDER: Final = (
    *("failed", "secret", "forbidden_file", "author", "symlink", "path", "submodule", "size", "workflow"),
    *("conflict", "scope"),
)
"""The worst first."""

_SEVERITIES: Final = ("hard", "recoverable", "flagged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be looked at, and by what: `base`..`head` in the mirror, of which what `known` (a commit) has is on the remote
    already. `author`: whose commits alone may be in it."""

    mirror: Mirror
    base: str
    head: str
    known: str | None
    author: Identity
    rules: Preflight
    scope: tuple[str, ...]
    redactor: Redactor
    scanner: Scanner | None
    scratch: Path


async def look_at(change: Change) -> tuple[Finding, ...]:
    """Everything that was found, the worst first. Raises only what passes by itself: the transient failures of git but for a
    time-out, and OSError."""
    try:
        found = await _all(change)
    except (Unreadable, ScannerFailed) as error:
        found = [_failed(f"{type(error).__doc__} {error}")]
    except GitFailed as error:
        if error.transient and not isinstance(error, TimedOut):
            raise
        found = [_failed(change.redactor.text(str(error)))]
    return tuple(sorted(found, key=_rank))


async def _all(change: Change) -> list[Finding]:
    since = change.known or change.base
    history = await read_history(change.mirror, since, change.head)
    ends = await diffstat(change.mirror, since, change.head)
    ends_in = frozenset(file.path for file in ends.files)
    last = await final_lines(change.mirror, since, change.head)
    fixtures = change.rules.fixtures
    found = [*_authors(history, change.author), *files(history.touched, ends_in, change.rules, change.scope)]
    found += _unchecked(history, change.rules)
    found += await asyncio.to_thread(lambda: list(secrets(history, change.redactor, fixtures)))
    found += _markers(last)
    if change.scanner is not None:
        known = {(one.file, one.line) for one in found if one.rule == "secret"}
        more = await change.scanner.scan(history.added, change.scratch, fixtures)
        found += [one for one in more if (one.file, one.line) not in known]
    return found


def _authors(history: History, author: Identity) -> Iterator[Finding]:
    for commit in history.commits:
        by = {(commit.author_name, commit.author_email), (commit.committer_name, commit.committer_email)}
        if by != {(author.name, author.email)}:
            who = shown_path(
                next(f"{name} <{email}>" for name, email in sorted(by) if (name, email) != (author.name, author.email))
            )
            message = f"commit {commit.commit[:12]} is by {who}, not by {author.name} <{author.email}>"
            can_do = "make the commit anew with the identity of the clone"
            yield Finding(rule="author", severity="hard", message=clip(message, LINE_LENGTH_MAX), can_do=can_do)


def _unchecked(history: History, rules: Preflight) -> Iterator[Finding]:
    """As with its files, so with its words: what keeps the forge from running what it runs by itself."""
    if rules.workflows == "allow":
        return
    for commit in history.commits:
        _, _, message = history.objects[commit.commit].partition(b"\n\n")
        if leaves_out_checks(message.decode("utf-8", "replace")):
            yield Finding(
                rule="workflow",
                severity="hard" if rules.workflows == "block" else "flagged",
                message=f"the message of commit {commit.commit[:12]} tells the forge to leave out its checks",
                can_do="make the commit anew with another message; or a person lets it pass by unblocking"
                if rules.workflows == "block"
                else "see that the forge's checks have run",
            )


def _markers(last: tuple[Added, ...]) -> Iterator[Finding]:
    for added in last:
        for number, line in zip(added.numbers, added.lines, strict=True):
            if line.startswith(MARKERS):
                yield Finding(
                    rule="conflict",
                    severity="recoverable",
                    file=shown_path(added.path),
                    line=number,
                    message="a mark of a conflict is left in it",
                    can_do="bring both sides together, and take the marks out",
                )
                break


def _failed(message: str) -> Finding:
    return Finding(
        rule="failed",
        severity="hard",
        message=clip(message, LINE_LENGTH_MAX),
        can_do="mend what the message says on the host that hands changes over, then unblock the task",
    )


def _rank(finding: Finding) -> tuple[int, int, str, int]:
    rule = ORDER.index(finding.rule) if finding.rule in ORDER else len(ORDER)
    return _SEVERITIES.index(finding.severity), rule, finding.file, finding.line or 0


def let_pass(findings: tuple[Finding, ...], waived: tuple[str, ...]) -> tuple[Finding, ...]:
    """The findings, those that a person has let pass only flagged."""
    passes = frozenset(waived) & WAIVABLE
    return tuple(
        replace(one, severity="flagged", can_do="a person has let it pass") if class_of(one) in passes else one
        for one in findings
    )


def class_of(finding: Finding) -> str:
    return f"preflight.{finding.rule}"


def speaking_against(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those for which the change is not handed over."""
    return tuple(one for one in findings if one.severity != "flagged")


def in_words(findings: tuple[Finding, ...]) -> str:
    """One line for each."""
    lines = [line_of(one) for one in findings[:FINDINGS_MAX]]
    more = len(findings) - len(lines)
    return clip("\n".join([*lines, *([f"and {more} more"] if more else [])]), MESSAGE_LENGTH_MAX)


def line_of(finding: Finding) -> str:
    """File, line, rule, what it is, and what to do."""
    where = finding.file + (f":{finding.line}" if finding.line is not None else "")
    return f"{where + ': ' if where else ''}[{finding.rule}] {finding.message}; {finding.can_do}"

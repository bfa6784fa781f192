"""Kingfisher, a scanner with hundreds of rules of its own, where this host has it: `penstock-agent-exec[secrets]`.

Rule of this room: it adds to what our own rules find and takes nothing away; one that is there and does not come to its end
speaks against the change. It runs in a sandbox, without a network, and what it prints is read strictly.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from penstock.scope import allows
from penstock.values import Finding
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.git.command import Sandboxed
from penstock_agent_exec.preflight.history import Added
from penstock_agent_exec.preflight.secrets import of_line
from penstock_agent_exec.sandbox import Bind

PACKAGE: Final = "kingfisher-bin"
PROGRAM: Final = "kingfisher/bin/kingfisher"
SCAN_SECONDS_MAX: Final = 180.0
"""The first run on a host takes ten seconds by itself: it compiles its rules."""

CLEAN: Final = 0
FOUND: Final = 200


class ScannerFailed(Exception):
    """The scanner for secrets did not come to its end."""


class _Rule(msgspec.Struct):
    name: str


class _Place(msgspec.Struct):
    line: int
    path: str


class _Found(msgspec.Struct):
    rule: _Rule
    finding: _Place


class _Summary(msgspec.Struct):
    scan_failed: int
    scan_partial: int


class _Audit(msgspec.Struct):
    summary: _Summary


class _Answer(msgspec.Struct):
    findings: list[_Found]
    audit: _Audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """`program`: the binary itself. `cache`: a folder for its compiled rules. `sandbox`: makes a place for it to run in."""

    program: Path
    cache: Path
    sandbox: Callable[..., Sandboxed]

    async def scan(self, added: tuple[Added, ...], folder: Path, fixtures: tuple[str, ...]) -> tuple[Finding, ...]:
        """What it finds in the added lines. `folder`: an empty one, for this alone. Raises ScannerFailed, OSError."""
        if not added:
            return ()
        await asyncio.to_thread(_written, added, folder)
        self.cache.mkdir(mode=0o700, exist_ok=True)
        run = self.sandbox(Bind(self.program), Bind(folder), Bind(self.cache, writable=True))
        argv = [
            str(self.program),
            *("scan", "--no-validate", "--no-update-check", "--format", "json", "--git-history", "none"),
            str(folder),
        ]
        try:
            done = await run(argv, cwd=str(self.cache), env={"HOME": str(self.cache)}, timeout_seconds=SCAN_SECONDS_MAX)
        except TimeoutError as error:
            raise ScannerFailed(f"kingfisher had {SCAN_SECONDS_MAX:g} s") from error
        except ChildNotStarted as error:
            raise ScannerFailed(f"kingfisher could not be started: {error}") from error
        if done.returncode not in (CLEAN, FOUND) or done.truncated:
            raise ScannerFailed(f"kingfisher ended with {done.returncode}")
        return tuple(_findings(_read(done.stdout, done.returncode), added, folder, fixtures))


def installed(cache: Path, sandbox: Callable[..., Sandboxed]) -> Scanner | None:
    """The scanner of this host's installation, None where it has none."""
    try:
        found = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Scanner(program=Path(str(found.locate_file(PROGRAM))), cache=cache, sandbox=sandbox)


def _written(added: tuple[Added, ...], folder: Path) -> None:
    """One file for what each commit adds to each file: its number is its place, its lines are the added ones."""
    for number, one in enumerate(added):
        (folder / f"{number}{_suffix(one.path)}").write_bytes(b"\n".join(one.lines) + b"\n")


def _suffix(path: str) -> str:
    suffix = Path(path).suffix
    return suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= 12 else ""


def _read(said: bytes, status: int) -> list[_Found]:
    try:
        # Behind the report stands a line with figures.
        answer = msgspec.json.decode(said.split(b"\n", 1)[0], type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScannerFailed("what kingfisher says cannot be read") from error
    summary = answer.audit.summary
    if summary.scan_failed or summary.scan_partial or (status == FOUND) != bool(answer.findings):
        raise ScannerFailed("kingfisher has not looked at everything")
    return answer.findings


def _findings(
    found: list[_Found], added: tuple[Added, ...], folder: Path, fixtures: tuple[str, ...]
) -> tuple[Finding, ...]:
    findings = []
    for one in found:
        stem = Path(one.finding.path).name.partition(".")[0]
        if not stem.isascii() or not stem.isdigit() or int(stem) >= len(added):
            raise ScannerFailed("kingfisher names a file that it was not given")
        where = added[int(stem)]
        line = one.finding.line - 1
        number = where.numbers[line] if 0 <= line < len(where.numbers) else None
        kind = f"what looks like a secret (kingfisher: {one.rule.name[:100]})"
        findings.append(of_line(where, number, kind, 0, made_up=bool(fixtures) and allows(fixtures, where.path)))
    return tuple(findings)

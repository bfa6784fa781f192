"""Reports in JSON: jest and vitest, mocha, pytest-json-report, eslint, ruff, and the lines of `go test -json`.

Rule of this room: only the fields named here are decoded, so that a document's size is a bound on what it becomes. A finding of
a linter counts as a failed test that has its file and its rule as a name.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec
from msgspec import Struct

from penstock_agent_exec.verify.reading import NotAReport, Reading, State


class _JestCase(Struct, rename="camel"):
    status: str
    full_name: str = ""
    title: str = ""


class _JestFile(Struct, rename="camel"):
    assertion_results: list[_JestCase]
    name: str = ""
    status: str = ""


class _Jest(Struct, rename="camel"):
    test_results: list[_JestFile]
    num_total_tests: int


class _MochaCase(Struct, rename="camel"):
    full_title: str = ""
    file: str = ""


class _MochaStats(Struct):
    tests: int
    passes: int


class _Mocha(Struct):
    stats: _MochaStats
    passes: list[_MochaCase]
    failures: list[_MochaCase]
    pending: list[_MochaCase] = []


class _PytestCase(Struct):
    nodeid: str
    outcome: str


class _Pytest(Struct):
    summary: dict[str, float]
    tests: list[_PytestCase]
    exitcode: int


class _EslintMessage(Struct, rename="camel"):
    severity: int
    rule_id: str | None = None


class _EslintFile(Struct, rename="camel"):
    file_path: str
    messages: list[_EslintMessage]
    error_count: int


class _RuffFinding(Struct):
    filename: str
    code: str | None
    message: str


class _GoEvent(Struct, rename="pascal"):
    action: str
    package: str = ""
    test: str = ""


_OTHERS: Final[dict[str, State]] = {"passed": "passed", "xpassed": "passed", "failed": "failed", "error": "failed"}
_GO: Final[dict[str, State]] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
ESLINT_ERROR: Final = 2

_jest = msgspec.json.Decoder(_Jest)
_mocha = msgspec.json.Decoder(_Mocha)
_pytest = msgspec.json.Decoder(_Pytest)
_eslint = msgspec.json.Decoder(list[_EslintFile])
_ruff = msgspec.json.Decoder(list[_RuffFinding])
_go = msgspec.json.Decoder(_GoEvent)


def read_document(document: bytes) -> Reading:
    """A whole JSON document. Raises NotAReport."""
    for read in (_read_jest, _read_mocha, _read_pytest, _read_eslint, _read_ruff):
        try:
            return read(document)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue
    raise NotAReport("no JSON document of a known kind")


def _read_jest(document: bytes) -> Reading:
    found = Reading("jest")
    for file in _jest.decode(document).test_results:
        for case in file.assertion_results:
            found.add(f"{file.name}::{case.full_name.strip() or case.title}", _OTHERS.get(case.status, "skipped"))
        if file.status == "failed" and not any(case.status == "failed" for case in file.assertion_results):
            # It could not even be loaded.
            found.add(file.name, "failed")
    return found


def _read_mocha(document: bytes) -> Reading:
    mocha, found = _mocha.decode(document), Reading("mocha")
    for state, cases in _MOCHA_LISTS:
        for case in getattr(mocha, cases):
            found.add(f"{case.file}::{case.full_title}" if case.file else case.full_title, state)
    return found


_MOCHA_LISTS: Final[tuple[tuple[State, str], ...]] = (
    ("passed", "passes"),
    ("failed", "failures"),
    ("skipped", "pending"),
)


def _read_pytest(document: bytes) -> Reading:
    found = Reading("pytest")
    for case in _pytest.decode(document).tests:
        found.add(case.nodeid, _OTHERS.get(case.outcome, "skipped"))
    return found


def _read_eslint(document: bytes) -> Reading:
    found, seen = Reading("eslint"), Counter[str]()
    for file in _eslint.decode(document):
        for message in file.messages:
            if message.severity == ESLINT_ERROR:
                _add_finding(found, seen, f"{file.file_path} {message.rule_id or 'syntax'}")
    return found


def _read_ruff(document: bytes) -> Reading:
    found, seen = Reading("ruff"), Counter[str]()
    for one in _ruff.decode(document):
        _add_finding(found, seen, f"{one.filename} {one.code or 'syntax'}")
    return found


def _add_finding(found: Reading, seen: Counter[str], name: str) -> None:
    """One more of the same rule in the same file is a finding of its own; the line is none of its name, since lines move."""
    seen[name] += 1
    found.add(name if seen[name] == 1 else f"{name} ({seen[name]})", "failed")


def read_go_lines(lines: list[bytes]) -> Reading:
    """What `go test -json` prints, other lines between them left out. Raises NotAReport where there is none."""
    found, packages = Reading("go"), dict[str, State]()
    failed_in: set[str] = set()
    for line in lines:
        if not line.startswith(b"{"):
            continue
        try:
            event = _go.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue
        state = _GO.get(event.action)
        if state is None or not event.package:
            continue
        if event.test:
            found.add(f"{event.package}.{event.test}", state)
            failed_in |= {event.package} if state == "failed" else set()
        else:
            packages[event.package] = state
    for package, state in packages.items():
        if state == "failed" and package not in failed_in:
            # It was not built, or its process died.
            found.add(package, "failed")
    if not packages:
        raise NotAReport("no end of a package in it")
    return found

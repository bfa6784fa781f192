"""Commands by files of any language: targets of make and just, and the lines that a CI runs.

Rule of this room: a line is taken as it stands, where it needs nothing of the CI around it; no YAML of a stranger is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from penstock_agent_exec.verify.proposal import Confidence, Files, Proposal, Stage, said_by

WORKFLOWS: Final = ".github/workflows/"
WORKFLOWS_MAX: Final = 20

_TARGET: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,40})\s*:(?!=)", re.MULTILINE)
_RUN: Final = re.compile(r"^(\s*)(?:- )?(?:run|script):\s*(.*)$")
_ITEM: Final = re.compile(r"^\s*-\s+(\S.*)$")
_MAKE_TARGETS: Final[tuple[tuple[Stage, tuple[str, ...]], ...]] = (
    ("pre", ("deps", "setup", "install-deps", "bootstrap")),
    ("build", ("build", "compile")),
    ("test", ("test", "tests", "check", "unit", "unittest")),
    ("lint", ("lint", "fmt-check", "format-check", "vet", "typecheck")),
)


def make(files: Files) -> Iterator[Proposal]:
    for name, tool in (("GNUmakefile", "make"), ("Makefile", "make"), ("makefile", "make"), ("justfile", "just")):
        if name not in files:
            continue
        targets = set(_TARGET.findall(files[name]))
        for stage, wanted in _MAKE_TARGETS:
            for number, target in enumerate(one for one in wanted if one in targets):
                confidence: Confidence = "high" if not number and stage in ("test", "lint") else "medium"
                yield said_by(stage, f"{tool} {target}", confidence, name, f"the target {target}")


_CI_WORDS: Final[tuple[tuple[Stage, re.Pattern[str]], ...]] = (
    (
        "lint",
        re.compile(
            r"\b(?:lint|eslint|ruff|flake8|mypy|pyright|clippy|golangci-lint|rubocop|phpstan|fmt|vet|prettier)\b"
        ),
    ),
    (
        "test",
        re.compile(
            r"\b(?:test|tests|pytest|tox|nox|jest|vitest|mocha|rspec|phpunit|ctest|check|verify|nextest|bats)\b"
        ),
    ),
    ("build", re.compile(r"\b(?:build|compile|assemble|package|tsc)\b")),
    ("pre", re.compile(r"\b(?:install|sync|restore|deps|ci)\b")),
)
_CI_NOT: Final = re.compile(
    r"\$\{\{|\$[A-Z_{(]|\b(?:sudo|curl|wget|docker|publish|deploy|push|upload|release|login|codecov)\b|[`|;<>]|\bcd\b"
)
CI_LENGTH_MAX: Final = 200


def ci(files: Files) -> Iterator[Proposal]:
    """What a CI runs, line by line as it stands there: somebody has found it telling. A line that needs the CI around it is
    left out."""
    names = sorted(name for name in files if name.startswith(WORKFLOWS) or name == ".gitlab-ci.yml")
    for name in names[: WORKFLOWS_MAX + 1]:
        for line in _ci_lines(files[name]):
            if len(line) > CI_LENGTH_MAX or _CI_NOT.search(line) or not line.isprintable():
                continue
            stage = next((stage for stage, words in _CI_WORDS if words.search(line)), None)
            if stage is not None:
                yield said_by(stage, line, "low" if stage == "pre" else "medium", name, "the CI runs it")


def _ci_lines(text: str) -> Iterator[str]:
    """The shell lines of `run:` and `script:` keys. Read by their indentation: no YAML of a stranger is built."""
    deep: int | None = None
    for line in text.splitlines():
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if deep is not None and indent > deep:
            item = _ITEM.match(line)
            yield (item.group(1) if item else bare).strip("'\"")
            continue
        deep = None
        if found := _RUN.match(line):
            value = found.group(2).strip()
            if value in ("", "|", "|-", ">", ">-", "|+"):
                deep = len(found.group(1))
            else:
                yield value.strip("'\"")

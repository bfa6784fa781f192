"""Real text to remember and to ask for: entries of the changelogs of four well-known projects, from their source archives.

Rule of this room: nothing is invented. A question is the last sentence of an entry, which the remembered entry then lacks, so
that whoever finds it has to find it by what the rest says; in every third question the identifiers are spelled the other way.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ARCHIVES: Final = {
    "sqlalchemy==2.0.36": r"/doc/build/changelog/changelog_\d+\.rst$",
    "django==5.1.3": r"/docs/releases/[\d.]+\.txt$",
    "pytest==8.3.3": r"/doc/en/changelog\.rst$",
    "celery==5.4.0": r"/docs/history/[\w.-]+\.rst$",
}
DOWNLOAD_SECONDS_MAX: Final = 600
WORDS_MIN: Final = 12
"""Of an entry, and a third of it of a question: shorter ones say nothing."""

_BULLET: Final = re.compile(r"^( *)(?:\.\. change::|[*-] |- )(.*)$")
_ROLE: Final = re.compile(r":[a-z_]+(?::[a-z_]+)?:`[~.!_]*([^`<]*)(?:<[^`]*>)?`")
_FIELD: Final = re.compile(r"^\s*:(?:tags|tickets|versions|pullreq):.*$", re.MULTILINE)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])")


class Entry(NamedTuple):
    """What is remembered: the first sentence as the title, the rest as what happened."""

    title: str
    happened: str


class Question(NamedTuple):
    """`answer`: the place of the entry that it was taken from."""

    text: str
    answer: int


def corpus(folder: Path, entries: int, questions: int) -> tuple[list[Entry], list[Question]]:
    """So many entries and questions, the same every time. Archives that are not in `folder` are fetched by pip."""
    found = list(dict.fromkeys(text for text in _texts(folder) if len(text.split()) >= WORDS_MIN))
    chance = random.Random(20)  # the same corpus every time
    chance.shuffle(found)
    assert len(found) >= entries, f"there are {len(found)} entries"
    remembered: list[Entry] = []
    asked: list[Question] = []
    for text in found[:entries]:
        sentences = _SENTENCE.split(text)
        last = sentences[-1]
        if len(asked) < questions and len(sentences) > 1 and len(last.split()) >= WORDS_MIN // 2:
            rest = sentences[:-1]
            if sum(len(one.split()) for one in rest) >= WORDS_MIN // 2:
                asked.append(Question(_respelled(last) if len(asked) % 3 == 0 else last, len(remembered)))
                sentences = rest
        remembered.append(Entry(sentences[0][:200], " ".join(sentences[1:])[:4_000]))
    return remembered, asked


def _texts(folder: Path) -> Iterator[str]:
    for requirement, pattern in ARCHIVES.items():
        with tarfile.open(_archive(folder, requirement)) as archive:
            for member in archive:
                if re.search(pattern, member.name) and (file := archive.extractfile(member)) is not None:
                    yield from _entries(file.read().decode("utf-8", "replace"))


def _archive(folder: Path, requirement: str) -> Path:
    name, _, version = requirement.partition("==")
    for _ in range(2):
        if kept := [path for path in folder.glob("*.tar.gz") if path.name.lower() == f"{name}-{version}.tar.gz"]:
            return kept[0]
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            str(folder),
        ]
        subprocess.run([*command, requirement], check=True, timeout=DOWNLOAD_SECONDS_MAX)
    raise FileNotFoundError(f"pip has brought no source archive of {requirement}")


def _entries(text: str) -> Iterator[str]:
    """Every bullet, with the lines that are indented below it, on one line and without markup."""
    kept: list[str] = []
    indent = 0
    for line in [*text.splitlines(), "- "]:
        if (bullet := _BULLET.match(line)) is not None:
            if kept:
                yield _plain("\n".join(kept))
            indent, kept = len(bullet[1]), [bullet[2]]
        elif kept and line.strip() and len(line) - len(line.lstrip()) <= indent:
            yield _plain("\n".join(kept))
            kept = []
        elif kept:
            kept.append(line)


def _plain(text: str) -> str:
    return " ".join(_ROLE.sub(r"\1", _FIELD.sub("", text)).replace("``", "").split())


def _respelled(text: str) -> str:
    """snake_case as camelCase, camelCase as snake_case."""
    text = re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda found: re.sub("_(.)", lambda one: one[1].upper(), found[0]), text)
    return re.sub(
        r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b", lambda found: re.sub(r"(?<!^)(?=[A-Z])", "_", found[0]).lower(), text
    )

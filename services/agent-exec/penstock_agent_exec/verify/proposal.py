"""What a proposal is, and how the files that it is made from are read.

Rule of this room: a file is a stranger's. It is parsed and never run, and one that cannot be parsed is said and left out.
"""

from __future__ import annotations

import configparser
import json
import tomllib
from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from penstock.bounds import Glob, Line, Shell, Word

Stage: TypeAlias = Literal["pre", "build", "test", "lint"]
Confidence: TypeAlias = Literal["high", "medium", "low"]
Files: TypeAlias = Mapping[str, str]


class Proposal(Struct, frozen=True, kw_only=True):
    """One command for one stage. `source`: the file that it comes from; `reports`: what it writes about its tests."""

    stage: Word
    command: Shell
    confidence: Word
    source: Line
    why: Line
    reports: tuple[Glob, ...] = ()


class Unread(Exception):
    """This file is not what its name says."""


def said_by(stage: Stage, command: str, confidence: Confidence, source: str, why: str, *reports: str) -> Proposal:
    return Proposal(stage=stage, command=command, confidence=confidence, source=source, why=why[:300], reports=reports)


def toml_of(files: Files, name: str) -> dict[str, object]:
    if name not in files:
        return {}
    try:
        return tomllib.loads(files[name])
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unread(f"{name}: {str(error)[:200]}") from error


def json_of(files: Files, name: str) -> dict[str, object]:
    if name not in files:
        return {}
    try:
        read = json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise Unread(f"{name}: {str(error)[:200]}") from error
    return read if isinstance(read, dict) else {}


def ini_of(files: Files, name: str) -> frozenset[str]:
    """The names of its sections."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(files.get(name, ""))
    except configparser.Error as error:
        raise Unread(f"{name}: {str(error)[:200]}") from error
    return frozenset(parser.sections())

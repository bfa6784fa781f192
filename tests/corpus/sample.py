"""One sample of the corpus: a tool's output with the class that a person gave it.

The rule of this room: one JSON document per sample, in parts. The rules were written with `first` in sight; each part after
it came later, and the classifier was measured on it before anything was mended.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

How: TypeAlias = Literal["ran", "recorded", "documentation"]
Part: TypeAlias = Literal["first", "second", "third", "fourth", "fifth"]

ROOT: Final = Path(__file__).parent.parent / "golden" / "outputs"
PARTS: Final[tuple[Part, ...]] = ("first", "second", "third", "fourth", "fifth")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """`expected` is a class of the table; `exit_code` is None where the command was stopped or it is not known."""

    name: str
    tool: str
    version: str
    how: How
    command: str
    exit_code: int | None
    stage: str
    source: str
    expected: str
    note: str
    text: str


def write(sample: Sample, part: Part) -> None:
    folder = ROOT / part
    folder.mkdir(parents=True, exist_ok=True)
    document = msgspec.json.format(msgspec.json.encode(sample), indent=1)
    (folder / f"{sample.name}.json").write_bytes(document + b"\n")


def load(part: Part) -> tuple[Sample, ...]:
    """The samples of one part, by name."""
    files = sorted((ROOT / part).glob("*.json"))
    return tuple(msgspec.json.decode(file.read_bytes(), type=Sample) for file in files)


def load_all() -> tuple[Sample, ...]:
    return tuple(sample for part in PARTS for sample in load(part))

"""What a worker answers of a file, and how it is asked and answers.

Rule of this room: no grammar is loaded here, so that whoever only reads answers needs none.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final

from msgspec import Meta, Struct

ORDER: Final = "%(objectname) %(objectsize) %(rest)"
"""What `git cat-file --batch` says before each file; the rest of the order is its grammar."""
READY: Final = b"READY\n"
"""The worker's first word."""
LENGTH: Final = struct.Struct(">I")
"""Before each answer, how many bytes it has."""

DEFINITIONS_MAX: Final = 2_000
REFERENCES_MAX: Final = 4_000
"""Of one file."""

GENERATED: Final = "generated"
MINIFIED: Final = "minified"
BINARY: Final = "binary"
MISSING: Final = "missing"
FAILED: Final = "parser failed"
DIED: Final = "parser died"
SLOW: Final = "parser took too long"


class Definition(Struct, frozen=True, array_like=True):
    """`line` counts from 1. `scope`: the innermost named thing around it. `text`: its line, as it stands there."""

    name: str
    kind: str
    line: int
    scope: str
    text: str


class Symbols(Struct, frozen=True, array_like=True):
    """Of one file. `references`: how often each name is used that the file itself does not define. `left_out`: why there is
    nothing of it, empty where there may be. `more`: there is more of it than was taken."""

    definitions: tuple[Definition, ...] = ()
    references: dict[str, Annotated[int, Meta(ge=1)]] = {}
    left_out: str = ""
    more: bool = False


def cut(text: str, length_max: int) -> str:
    """No more of the text than that, up to a gap in it: half a secret is none that anybody would find and hide."""
    if len(text) <= length_max:
        return text
    head, gap, _ = text[: length_max + 1].rpartition(" ")
    return f"{head} …" if gap else "…"

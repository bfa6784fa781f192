"""The bounds of every text and number on the wire, each with a name.

Rule of this room: a bound is spelled once, here; a field without one is a defect. Lengths are in characters.
`(?!\\n)$` stands where `$` would do elsewhere: Python's `$` also matches before a last newline, which a subject must not hold.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}(?!\n)$"
ID_PATTERN = r"^[a-z0-9]{16,40}(?!\n)$"
OID_PATTERN = r"^[0-9a-f]{40}([0-9a-f]{24})?(?!\n)$"
EGRESS_PATTERN = (
    r"^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?:[1-9][0-9]{0,4}(?!\n)$"
)
EGRESS_HOSTS_MAX = 50
PATHS_MAX = 100
GLOB_PATTERN = r"^(?!/)(?![\s\S]*(^|/)\.\.(/|\n|$))[^\x00\\\\\r\n]+(?!\n)$"
REPORT_GLOBS_MAX = 20
TEST_NAMES_MAX = 20
"""Of tests, that one list in an event names at most; beside it stands how many there are."""
PROPOSED_MAX = 16
"""Commands that one repository is told to propose at most."""
RECALLED_MAX = 10
"""Memories that one task is told of at most."""
LABELS_MAX = 10
NO_NUL = r"^[^\x00]*$"

EVENT_BYTES_MAX = 256 * 1024
"""One event with its headers; the server's own limit is 1 MiB, and beyond it the server drops the connection."""

Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="1-63 of a-z, 0-9, - and _; a subject token")]
Id = Annotated[str, Meta(pattern=ID_PATTERN, description="16-40 of a-z and 0-9; sorts by time of birth")]
Oid = Annotated[str, Meta(pattern=OID_PATTERN, description="a full git object id in hex")]
Word = Annotated[str, Meta(max_length=100)]
Line = Annotated[str, Meta(max_length=500)]
Title = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^(?=[^\x00]*\S)[^\x00\r\n]*$")]
Ref = Annotated[str, Meta(min_length=1, max_length=200)]
Glob = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=GLOB_PATTERN,
        description="a path below the work tree; * and ? within one folder, ** for any number of folders",
    ),
]
EgressHost = Annotated[
    str,
    Meta(max_length=262, pattern=EGRESS_PATTERN, description="host:port or *.host:port, in lower case; no addresses"),
]
Url = Annotated[str, Meta(min_length=1, max_length=1_000)]
PublicUrl = Annotated[str, Meta(max_length=500, pattern=r"^(https?://[A-Za-z0-9.:\[\]_~%/-]+[^/\n])?(?!\n)$")]
Label = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f,@<>`]*$")]
Shell = Annotated[str, Meta(min_length=1, max_length=4_000, pattern=r"^(?=[\s\S]*\S)[^\x00]*$")]
Text = Annotated[str, Meta(max_length=20_000, pattern=NO_NUL)]
Message = Annotated[str, Meta(max_length=4_000)]
Tail = Annotated[str, Meta(max_length=6_000)]
MapText = Annotated[str, Meta(max_length=6_000, pattern=NO_NUL)]

MESSAGE_LENGTH_MAX = 4_000
TAIL_LENGTH_MAX = 6_000
MAP_LENGTH_MAX = 6_000
LINE_LENGTH_MAX = 500

COUNT_MAX = 2**53
SECONDS_MAX = 31_536_000
USD_MAX = 1_000_000

Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Seconds = Annotated[float, Meta(ge=0, le=SECONDS_MAX)]
Usd = Annotated[float, Meta(ge=0, le=USD_MAX)]
Amount = Annotated[float, Meta(ge=0, le=SECONDS_MAX, description="in the unit of what it is an amount of")]
Share = Annotated[float, Meta(ge=0, le=1)]
Score = Annotated[float, Meta(ge=0, le=100)]
Priority = Annotated[int, Meta(ge=1, le=9)]
Attempts = Annotated[int, Meta(ge=1, le=20)]
Turns = Annotated[int, Meta(ge=1, le=1_000)]


def clip(text: str, length_max: int) -> str:
    """`text`, its middle left out when it is longer than `length_max`, with a mark that says how much is missing."""
    if len(text) <= length_max:
        return text
    mark = f"\n[... {len(text) - length_max} characters left out ...]\n"
    keep = length_max - len(mark) - 10
    head = keep // 3
    return text[:head] + mark + text[len(text) - (keep - head) :]

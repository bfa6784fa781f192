"""The classes of failure: how bad each is, what it means, and what to tell the agent or the person who must act.

The rule of this room: one row per class. In a hint, a part in square brackets is said only where every name in it is known:
`{tool}`, `{test}` (the first test that failed), `{at}` (file and line) and `{what}` (the line that told us).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from penstock_orchestrator.core.classify import table_hosts, table_tools

Severity: TypeAlias = Literal["recoverable", "hard", "park"]
"""`recoverable`: the agent can mend it. `hard`: the same again will fail the same way. `park`: time mends it."""

UNCLASSIFIED: Final = "unclassified"


class FailureClass(Struct, frozen=True, kw_only=True):
    """`name` is `family.detail`."""

    name: str
    severity: Severity
    meaning: str
    hint: str

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]


def _read(family: str, severity: Severity, rows: str) -> tuple[FailureClass, ...]:
    """Rows are written `detail | meaning | hint`, one to a line."""
    table = []
    for row in rows.strip().splitlines():
        detail, meaning, hint = (cell.strip() for cell in row.split(" | "))
        table.append(FailureClass(name=f"{family}.{detail}", severity=severity, meaning=meaning, hint=hint))
    return tuple(table)


_ROWS: Final = (
    *(row for family, severity, rows in table_tools.ROWS for row in _read(family, severity, rows)),
    *(row for family, severity, rows in table_hosts.ROWS for row in _read(family, severity, rows)),
    FailureClass(
        name=UNCLASSIFIED,
        severity="recoverable",
        meaning="No failure is recognised, and no exit code says that there was one.",
        hint="Nothing in this output is a failure that is known here. Read it from the end, and say what you find.",
    ),
)

CLASSES: Final = {row.name: row for row in _ROWS}
assert len(CLASSES) == len(_ROWS), "a class is in the table twice"

"""What the doctor found, and how it is told to people and to programs. The rule of this room: plain where nobody watches a
terminal.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from penstock_agent_exec.doctor import Findings

LINE_LENGTH: Final = 110
_COLOURS: Final = {"ok": "\x1b[32m", "note": "\x1b[33m", "missing": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"

State: TypeAlias = Literal["ok", "note", "missing"]
"""`note`: it works without, and less well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `mend`: what to do or to run where something is missing."""

    name: str
    state: State
    seen: str
    mend: str = ""


def as_json(findings: Findings) -> str:
    """One document: whether agents can work here, the host, the forges, the agents."""
    rows = {"host": findings.host, "forges": findings.forges, "agents": findings.agents}
    told = {kind: [asdict(check) for check in checks] for kind, checks in rows.items()}
    return json.dumps({"fit": findings.fit, **told}, indent=1, ensure_ascii=False)


def as_table(findings: Findings, *, colours: bool) -> str:
    """A line or two for each thing, and what it comes to."""
    checks = (*findings.host, *findings.forges, *findings.agents)
    width = max(len(check.name) for check in checks)
    lines = [line for check in checks for line in _lines(check, width, colours=colours)]
    can = [agent.name for agent in findings.agents if agent.state == "ok"]
    if findings.fit:
        fit = f"agents can work here: {', '.join(can)}" if findings.runs else "changes can be handed over from here"
        return "\n".join([*lines, "", fit])
    missing = [check.name for check in (*findings.host, *findings.forges) if check.state == "missing"]
    why = f"{', '.join(missing)} not in order" if missing else "no agent with a model can run"
    return "\n".join([*lines, "", f"NOT FIT: {why}"])


def _lines(check: Check, width: int, *, colours: bool) -> list[str]:
    word = f"{_COLOURS[check.state]}{check.state:7}{_PLAIN}" if colours else f"{check.state:7}"
    room = LINE_LENGTH - width - 9
    first, *more = textwrap.wrap(check.seen, room, break_long_words=False) or [""]
    lines = [f"{check.name:{width}} {word} {first}", *(f"{'':{width + 8}} {line}" for line in more)]
    if check.mend and check.state != "ok":
        wrapped = textwrap.wrap(check.mend, room - 3, break_long_words=False, break_on_hyphens=False)
        lines += [f"{'':{width + 8}} {'-> ' if at == 0 else '   '}{line}" for at, line in enumerate(wrapped)]
    return lines

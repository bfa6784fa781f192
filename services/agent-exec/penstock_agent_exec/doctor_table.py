"""What the doctor found, for people and for programs. The rule of this room: plain where nobody watches a terminal."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock_agent_exec.doctor import Check, Findings

LINE_LENGTH: Final = 110
_COLOURS: Final = {"ok": "\x1b[32m", "note": "\x1b[33m", "missing": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"


def as_json(findings: Findings) -> str:
    """One document: whether agents can work here, the host, the agents."""
    rows = {"host": [asdict(check) for check in findings.host], "agents": [asdict(agent) for agent in findings.agents]}
    return json.dumps({"fit": findings.fit, **rows}, indent=1, ensure_ascii=False)


def as_table(findings: Findings, *, colours: bool) -> str:
    """A line or two for each thing, and what it comes to."""
    checks = (*findings.host, *findings.agents)
    width = max(len(check.name) for check in checks)
    lines = [line for check in checks for line in _lines(check, width, colours=colours)]
    can = [agent.name for agent in findings.agents if agent.state == "ok"]
    if findings.fit:
        fit = f"agents can work here: {', '.join(can)}" if findings.runs else "changes can be handed over from here"
        return "\n".join([*lines, "", fit])
    missing = [check.name for check in findings.host if check.state == "missing"]
    why = f"{', '.join(missing)} missing" if missing else "no agent with a model can run"
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

"""The selftest's results for people and for programs. The rule of this room: what was not seen to work elsewhere is marked so."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from penstock_agent_exec.selftest.probes import Result

SAW_LENGTH_MAX: Final = 60
_GREEN, _RED, _YELLOW, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def as_json(results: Sequence[Result], host: dict[str, str]) -> str:
    """One document: the host, the count, and every attempt."""
    rows = [{**asdict(result), "held": result.held, "proven": result.proven} for result in results]
    held = sum(result.held for result in results)
    return json.dumps({"host": host, "held": held, "of": len(results), "attempts": rows}, indent=1)


def as_table(results: Sequence[Result], host: dict[str, str], *, colours: bool) -> str:
    """A line for each attempt, and how many were held."""
    width = max(len(result.words) for result in results)
    lines = [f"{name}: {what}" for name, what in host.items()]
    lines += ["", f"{'':8} {'attempt':{width}}  {'in the sandbox':{SAW_LENGTH_MAX}}  without it"]
    lines += [_line(result, width, colours=colours) for result in results]
    held, proven = sum(result.held for result in results), sum(result.proven for result in results)
    lines += ["", f"{held} of {len(results)} attempts held; {proven} of them succeeded here without the sandbox"]
    if held < len(results):
        lines.append("NOT SAFE: " + ", ".join(result.name for result in results if not result.held))
    return "\n".join(lines)


def _line(result: Result, width: int, *, colours: bool) -> str:
    word, colour = ("held", _GREEN) if result.held else ("BROKEN" if result.inside == "broken" else "ESCAPED", _RED)
    without = {"did": "succeeds", "kept": "fails too", "broken": "BROKEN", None: "not tried"}[result.outside]
    detail = "" if result.proven else f": {_short(result.outside_saw)}"
    marked = f"{colour}{word:8}{_PLAIN}" if colours else f"{word:8}"
    dim = _YELLOW if colours and not result.proven else ""
    inside = f"{_short(result.inside_saw):{SAW_LENGTH_MAX}}"
    return f"{marked} {result.words:{width}}  {inside}  {dim}{without}{detail}{_PLAIN if dim else ''}"


def _short(saw: str) -> str:
    return textwrap.shorten(" ".join(saw.split()), SAW_LENGTH_MAX, placeholder="…")

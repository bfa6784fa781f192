"""A plan as an agent writes it: JSON somewhere in its last answer.

Rule of this room: text in, a plan within its bounds or a reason out; it never raises. The reason is written for the agent,
whose next answer should be better.
"""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from penstock.bounds import LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX, clip
from penstock.values import Plan

ANSWER_LENGTH_MAX: Final = 200_000
OBJECTS_TRIED_MAX: Final = 1_000
STEPS_MAX: Final = 40
FILES_MAX: Final = 100
RISKS_MAX: Final = 20
PLAN_BYTES_MAX: Final = 160 * 1024
"""A plan shares its event with the envelope, and an event has 256 KiB."""

FIELDS: Final = ("summary", "approach", "steps", "files_to_touch", "risks", "risk", "acceptance_check")
RISK_LEVELS: Final = ("low", "medium", "high")

_OBJECT: Final = re.compile(r'\{\s*["}]')
_SURROGATE: Final = re.compile("[\ud800-\udfff\x00]")
"""JSON can spell half a character and NUL; neither can be stored as text."""


class _Wrong(Exception):
    """The plan cannot be read."""


def read_plan(answer: str) -> Plan | str:
    """The last plan in an agent's answer, fenced or bare, or what is wrong with it in words for the agent.

    Unknown keys are ignored, texts and lists that are too long are cut (a cut list is told among the risks), a level of risk
    that is none of low, medium and high is `unknown`."""
    answer = answer[-ANSWER_LENGTH_MAX:]
    decoder = json.JSONDecoder()
    starts = [found.start() for found in _OBJECT.finditer(answer)][-OBJECTS_TRIED_MAX:]
    plan: Plan | None = None
    wrong = ""
    after = 0
    for start in starts:
        if start < after:
            continue
        try:
            found, end = decoder.raw_decode(answer, start)
            if isinstance(found, dict) and any(field in found for field in FIELDS):
                plan, after = _plan(found), end
        except ValueError as error:
            wrong = wrong or f"the JSON cannot be read: {error}"
        except RecursionError:
            wrong = wrong or "the JSON is nested too deeply"
        except _Wrong as error:
            wrong, after = str(error), end
    return plan or wrong or "the answer holds no JSON object with a plan"


def _plan(found: dict[str, object]) -> Plan:
    summary = _text(found, "summary")
    if not summary:
        raise _Wrong("`summary` is missing or empty; it must be a string")
    steps, steps_out = _list(found, "steps", STEPS_MAX)
    files, files_out = _files(found)
    risks, risks_out = _list(found, "risks", RISKS_MAX)
    left_out = {"steps": steps_out, "files_to_touch": files_out, "risks": risks_out}
    notes = tuple(
        f"{count} more of `{name}` were proposed and left out here" for name, count in left_out.items() if count
    )
    plan = Plan(
        summary=summary,
        approach=_text(found, "approach"),
        steps=steps,
        files_to_touch=files,
        risks=risks + notes,
        risk=_risk(found),
        acceptance_check=_text(found, "acceptance_check"),
    )
    size_bytes = len(msgspec.json.encode(plan))
    if size_bytes > PLAN_BYTES_MAX:
        raise _Wrong(f"the plan has {size_bytes} bytes, and {PLAN_BYTES_MAX} is the most; be brief")
    return plan


def _text(found: dict[str, object], field: str) -> str:
    value = found.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Wrong(f"`{field}` must be a string, not {_kind(value)}")
    return clip(_SURROGATE.sub("", value).strip(), MESSAGE_LENGTH_MAX)


def _items(found: dict[str, object], field: str) -> list[str]:
    """The list's items, each on one line, none twice and none empty."""
    value = found.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Wrong(f"`{field}` must be a list of strings, not {_kind(value)}")
    lines: dict[str, None] = {}
    for item in value:
        if not isinstance(item, str):
            raise _Wrong(f"`{field}` must be a list of strings; one of its items is {_kind(item)}")
        lines[" ".join(_SURROGATE.sub("", item).split())] = None
    lines.pop("", None)
    return list(lines)


def _list(found: dict[str, object], field: str, items_max: int) -> tuple[tuple[str, ...], int]:
    items = _items(found, field)
    return tuple(clip(item, LINE_LENGTH_MAX) for item in items[:items_max]), max(len(items) - items_max, 0)


def _files(found: dict[str, object]) -> tuple[tuple[str, ...], int]:
    """The paths, without the backticks of Markdown. One that is too long is left out: half a path is another path."""
    paths = list(dict.fromkeys(item.strip("`") for item in _items(found, "files_to_touch")))
    kept = tuple(path for path in paths if 0 < len(path) <= LINE_LENGTH_MAX)[:FILES_MAX]
    return kept, len(paths) - len(kept)


def _risk(found: dict[str, object]) -> str:
    level = _text(found, "risk").lower()
    return level if level in RISK_LEVELS else "unknown"


def _kind(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case None:
            return "null"
        case _:
            return "a number"

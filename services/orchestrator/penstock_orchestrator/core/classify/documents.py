"""JSON in an output: whole documents, JSON lines, and strings with a document in them.

The rule of this room: reports that are known become the lines the same tool would have printed; of anything else, the strings
are read as text and the small values as lines `json <key>=<value>`. What an agent or its tools said in a run is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from penstock_orchestrator.core.classify import reports

CHARACTERS_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 8
LEAVES_MAX: Final = 4_000
VALUE_CHARACTERS_MAX: Final = 200

Json: TypeAlias = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

# Events in which an agent, its model or its tools speak; what they quote says nothing about how the run ended.
_SPEECH: Final = frozenset(
    [
        "assistant",
        "user",
        "system",
        "stream_event",
        "message",
        "tool_use",
        "tool_result",
        "item.started",
        "item.updated",
        "item.completed",
        "thread.started",
        "turn.started",
        "turn.completed",
        "init",
        "step_start",
        "step_finish",
        "text",
        "tool",
        "reasoning",
        "content",
        "thought",
        "control_request",
        "control_response",
        "session_start",
    ]
)
VALUES: Final = frozenset(
    [
        "type",
        "subtype",
        "status",
        "code",
        "name",
        "reason",
        "terminal_reason",
        "stop_reason",
        "finish_reason",
        "finishReason",
        "api_error_status",
        "api_error_type",
        "statusCode",
        "status_code",
        "httpStatusCode",
        "http_status",
        "error_status",
        "error_type",
        "rateLimitType",
        "blockReason",
        "codexErrorInfo",
        "input_error_code",
        "error",
        "is_error",
    ]
)
_DECODER: Final = msgspec.json.Decoder()


def unwrap(raw: str, *, agent: bool) -> str:
    """`raw` with JSON replaced by text; `raw` itself where there is none."""
    stripped = raw.strip()
    if not stripped:
        return raw
    if stripped[0] in "[{" and stripped[-1] in "]}":
        whole = _decode(stripped)
        if isinstance(whole, dict | list):
            return "\n".join(_document(whole, agent=agent))
    if "{" not in raw and "[" not in raw:
        return _unescaped(raw)
    return "\n".join(_by_line(raw, agent=agent))


def _by_line(raw: str, *, agent: bool) -> Iterator[str]:
    """Single lines that are documents; a document over several lines that begins at a line's start; and the rest as it is."""
    lines = raw.split("\n")
    number = 0
    events: list[dict[str, Json]] = []
    while number < len(lines):
        line = lines[number].strip()
        value = _decode(line) if line[:1] in ("{", "[") and line[-1:] in ("}", "]") else None
        if not isinstance(value, dict | list) and line in ("{", "[") and not events:
            end = _end_of_document(lines, number)
            value = _decode("\n".join(lines[number : end + 1])) if end is not None else None
            number = end if isinstance(value, dict | list) and end is not None else number
        if isinstance(value, dict) and (value.get("Action") or value.get("reason")):
            events.append(value)
        elif isinstance(value, dict | list) and value:
            yield from _document(value, agent=agent)
        else:
            yield _unescaped(lines[number])
            if '{"' in line:
                yield from _embedded(line)
        number += 1
    yield from reports.lines_of_events(events)


def _embedded(line: str) -> Iterator[str]:
    """What a document says that stands behind other words on its line."""
    begin, end = line.find("{"), line.rfind("}")
    value = _decode(line[begin : end + 1]) if 0 < begin < end else None
    if isinstance(value, dict) and value:
        yield from _leaves(value)


def _end_of_document(lines: list[str], begin: int) -> int | None:
    """The line that closes what line `begin` opens, both standing alone at a line's start."""
    closing = {"{": "}", "[": "]"}[lines[begin].strip()]
    return next((number for number in range(begin + 1, len(lines)) if lines[number].rstrip() == closing), None)


def _document(value: Json, *, agent: bool) -> Iterator[str]:
    known = reports.lines_of(value)
    if known is not None:
        yield from known
        return
    documents = value if isinstance(value, list) else [value]
    for document in documents:
        if isinstance(document, dict) and _is_speech(document, agent=agent):
            continue
        yield from _leaves(document)


def _is_speech(document: dict[str, Json], *, agent: bool) -> bool:
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in _SPEECH:
        return False
    item = document.get("item")
    if isinstance(item, dict) and item.get("type") == "error":
        return False
    return agent or any(
        key in document for key in ("session_id", "sessionID", "uuid", "item", "thread_id", "parent_tool_use_id")
    )


def _leaves(value: Json) -> Iterator[str]:
    """Strings as text, small values by key; depth and number bounded."""
    left = LEAVES_MAX
    stack: list[tuple[str, Json, int]] = [("", value, 0)]
    while stack and left:
        key, one, depth = stack.pop()
        left -= 1
        if isinstance(one, dict) and depth < DEPTH_MAX:
            # Small values first, so that a document's own sentence comes after them, as a tool's last word does.
            items = sorted(
                one.items(), key=lambda item: (isinstance(item[1], str | dict | list), item[0] in ("message", "result"))
            )
            stack.extend((name, child, depth + 1) for name, child in reversed(items))
        elif isinstance(one, list) and depth < DEPTH_MAX:
            stack.extend((key, child, depth + 1) for child in reversed(one))
        elif isinstance(one, str) and one:
            yield from _text(key, one)
        elif key in VALUES and isinstance(one, int | float) and not isinstance(one, bool):
            yield f"json {key}={one}"


def _text(key: str, text: str) -> Iterator[str]:
    inner = _decode(text) if text[:1] in ("{", "[") and text.rstrip()[-1:] in ("}", "]") else None
    if isinstance(inner, dict | list) and inner:
        yield from _leaves(inner)
    elif key in VALUES and "\n" not in text and len(text) <= VALUE_CHARACTERS_MAX:
        yield f"json {key}={text}"
        if " " in text:
            yield text
    else:
        yield text
        yield from _embedded(text)


def _unescaped(line: str) -> str:
    """A line that carries another output as an escaped string, opened up."""
    if line.count("\\n") < 2:
        return line
    return line.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"').replace("\\u001b", "\x1b")


def _decode(text: str) -> Json:
    try:
        value: Json = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return value

"""What codex says an agent did, item by item: both of its protocols print the same items, under names of two spellings.

The rule of this room: an item is told when it begins and when it is over, and only what is over is believed.
"""

from __future__ import annotations

import re
from typing import Final

from penstock_agent_exec.agents.facts import (
    SUMMARY_LENGTH_MAX,
    TODO_ITEMS_MAX,
    AnyFact,
    Compacted,
    FileChanged,
    Garbage,
    Noise,
    Text,
    TodoChanged,
    ToolResult,
    ToolUse,
    shown,
)
from penstock_agent_exec.agents.json_lines import Object, child, children, text

WORD_LENGTH_MAX: Final = 100
FILES_PER_PATCH_MAX: Final = 200

# A command comes as codex starts it: `/bin/bash -lc '...'`.
_WRAPPED: Final = re.compile(r"(?:/\S*/)?(?:ba|z)?sh -l?c (['\"])(.*)\1", re.DOTALL)

TOOLS: Final = frozenset(
    {"commandExecution", "fileChange", "mcpToolCall", "dynamicToolCall", "webSearch", "collabAgentToolCall"}
)
"""Items for which the model waits: when the last of them is over, it is asked again."""


def kind_of(item: Object) -> str:
    """The item's type, in the app-server's spelling."""
    return _camel(text(item, "type"))


def begun(item: Object) -> tuple[AnyFact, ...]:
    """What is known when an item begins."""
    kind = kind_of(item)
    return (_tool_use(item, kind),) if kind in TOOLS else (noise(f"item/{kind}"),)


def over(item: Object) -> tuple[AnyFact, ...]:
    """What an item came to."""
    kind = kind_of(item)
    match kind:
        case "agentMessage" | "plan":
            return (Text(text=shown(text(item, "text"))),)
        case "contextCompaction":
            return (Compacted(),)
        case "error":
            # A warning: about a model it does not know, or about settings of the repo that it left alone.
            return (Garbage(text=shown(text(item, "message"))),)
        case "todoList":
            return (_todo_list(item),)
        case _ if kind in TOOLS:
            return (_tool_result(item, kind), *_changed_files(item, kind))
        case _:
            return (noise(f"item/{kind}"),)


def todo_of(entries: list[Object]) -> TodoChanged:
    """A plan as the agent keeps it: steps with a status."""
    items = (f"[{_camel(text(entry, 'status'))}] {text(entry, 'step')}" for entry in entries[:TODO_ITEMS_MAX])
    return TodoChanged(items=tuple(shown(item, SUMMARY_LENGTH_MAX) for item in items))


def noise(kind: str) -> Noise:
    return Noise(kind=shown(kind, WORD_LENGTH_MAX))


def _todo_list(item: Object) -> TodoChanged:
    entries = children(item, "items")[:TODO_ITEMS_MAX]
    items = (
        f"[{'completed' if entry.get('completed') is True else 'pending'}] {text(entry, 'text')}" for entry in entries
    )
    return TodoChanged(items=tuple(shown(one, SUMMARY_LENGTH_MAX) for one in items))


def _tool_use(item: Object, kind: str) -> ToolUse:
    match kind:
        case "commandExecution":
            name, summary = "shell", _command(text(item, "command"))
        case "fileChange":
            name, summary = "apply_patch", ", ".join(_paths(item))
        case "webSearch":
            name, summary = "web_search", text(item, "query")
        case _:
            name, summary = f"{text(item, 'server')}/{text(item, 'tool')}".strip("/") or kind, ""
    return ToolUse(id=_id(item), name=shown(name, WORD_LENGTH_MAX), summary=shown(summary, SUMMARY_LENGTH_MAX))


def _tool_result(item: Object, kind: str) -> ToolResult:
    said = text(item, "aggregatedOutput") or text(item, "aggregated_output")
    if kind == "mcpToolCall":
        parts = (text(part, "text") for part in children(child(item, "result"), "content"))
        said = text(child(item, "error"), "message") or "\n".join(parts)
    failed = text(item, "status") in ("failed", "declined")
    return ToolResult(id=_id(item), ok=not failed, summary=shown(said, SUMMARY_LENGTH_MAX))


def _changed_files(item: Object, kind: str) -> tuple[FileChanged, ...]:
    if kind != "fileChange" or text(item, "status") != "completed":
        return ()
    return tuple(FileChanged(path=shown(path, SUMMARY_LENGTH_MAX)) for path in _paths(item))


def _paths(item: Object) -> list[str]:
    return [text(change, "path") for change in children(item, "changes")[:FILES_PER_PATCH_MAX]]


def _command(line: str) -> str:
    wrapped = _WRAPPED.fullmatch(line[: 4 * SUMMARY_LENGTH_MAX])
    return wrapped.group(2) if wrapped is not None else line


def _id(item: Object) -> str:
    return shown(text(item, "id"), WORD_LENGTH_MAX)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)

"""Reading Qwen Code's stream-json: a line becomes facts, a run becomes a verdict.

The rule of this room: a result that says success is asked once more. Older versions reported a failed request as one, with the
API's error as the last of its text; and a limit, a signal or a lost session leave no result line at all, only an exit code and
words on standard error. Cost is not printed, and what a resumed run says it used is the whole session's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from penstock_agent_exec.agents.api_errors import class_of_refusal
from penstock_agent_exec.agents.facts import (
    ANSWER_LENGTH_MAX,
    REQUEST_LIMIT,
    SUMMARY_LENGTH_MAX,
    TODO_ITEMS_MAX,
    AnyFact,
    FileChanged,
    Finished,
    Garbage,
    Noise,
    Retrying,
    Started,
    Text,
    TodoChanged,
    ToolResult,
    ToolUse,
    Usage,
    shown,
)
from penstock_agent_exec.agents.json_lines import Object, child, children, count, json_object, number, text
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, Verdict, why_we_stopped
from penstock_agent_exec.process import Ending

WORD_LENGTH_MAX: Final = 100
PATHS_KEPT_MAX: Final = 1_000

# What the program ends with where it printed no result.
_TURN_LIMIT, _BUDGET, _CANCELLED, _AUTH, _INPUT = 53, 55, 130, 41, 42

_TELLING: Final = ("command", "file_path", "notebook_path", "path", "pattern", "query", "url", "prompt", "description")
_WRITING: Final = frozenset({"write_file", "edit", "notebook_edit"})

_LAST_WORD: Final = re.compile(r"\[API Error: [^\[\]]*\](?:\n[^\[\]]*)?\Z")
_API_ERROR: Final = re.compile(r"\[API Error: (?P<said>.*)\]", re.DOTALL)
_STATUS: Final = re.compile(r"(\d{3})\b")
_NO_SUCH_SESSION: Final = re.compile(r"No saved session found")
_SESSION_TAKEN: Final = re.compile(r"Session Id \S{1,100} (?:is already in use|already exists)")
_MISUSED: Final = re.compile(r"No input provided via stdin|^Usage: qwen|^ +--\S.*\[string\]", re.MULTILINE)
_ERROR_LENGTH_MAX: Final = 20_000
"""From the end of a result's text: as far as an API's error is looked for."""


class QwenReader:
    """One run's output. `resumed`: its totals are the session's, and so say nothing about this run."""

    def __init__(self, *, resumed: bool) -> None:
        self._resumed = resumed
        self._paths: dict[str, str] = {}

    def parse(self, line: bytes) -> tuple[AnyFact, ...]:
        """The facts on one line of output; none on an empty one."""
        if not line.strip():
            return ()
        found = json_object(line)
        if found is None:
            return (Garbage(text=shown(line)),)
        match text(found, "type"):
            case "system":
                return (_system(found),)
            case "assistant":
                return self._assistant(found)
            case "user":
                return self._user(found)
            case "result":
                return (self._result(found),)
            case kind:
                return (_noise(kind),)

    def _assistant(self, found: Object) -> tuple[AnyFact, ...]:
        message = child(found, "message")
        facts: list[AnyFact] = _usage(message)
        if found.get("parent_tool_use_id") is not None:
            return (*facts, _noise("subagent"))
        for block in children(message, "content"):
            match text(block, "type"):
                case "text":
                    facts.append(Text(text=shown(text(block, "text"))))
                case "tool_use":
                    facts += self._tool_use(block)
                case kind:
                    facts.append(_noise(kind))
        return tuple(facts) or (_noise("assistant"),)

    def _tool_use(self, block: Object) -> list[AnyFact]:
        name, given = shown(text(block, "name"), WORD_LENGTH_MAX), child(block, "input")
        identity = shown(text(block, "id"), WORD_LENGTH_MAX)
        telling = next((text(given, key) for key in _TELLING if text(given, key)), "")
        use = ToolUse(id=identity, name=name, summary=shown(telling, SUMMARY_LENGTH_MAX))
        if name in _WRITING and len(self._paths) < PATHS_KEPT_MAX:
            self._paths[identity] = shown(text(given, "file_path") or text(given, "notebook_path"), SUMMARY_LENGTH_MAX)
        if name != "todo_write":
            return [use]
        todos = [f"[{text(item, 'status')}] {text(item, 'content')}" for item in children(given, "todos")]
        return [use, TodoChanged(items=tuple(shown(item, SUMMARY_LENGTH_MAX) for item in todos[:TODO_ITEMS_MAX]))]

    def _user(self, found: Object) -> tuple[AnyFact, ...]:
        facts: list[AnyFact] = []
        for block in children(child(found, "message"), "content"):
            if text(block, "type") != "tool_result":
                continue
            identity, ok = shown(text(block, "tool_use_id"), WORD_LENGTH_MAX), block.get("is_error") is not True
            said = text(block, "content") or "\n".join(text(part, "text") for part in children(block, "content"))
            facts.append(ToolResult(id=identity, ok=ok, summary=shown(said, SUMMARY_LENGTH_MAX)))
            path = self._paths.pop(identity, "")
            if ok and path:
                facts.append(FileChanged(path=path))
        return tuple(facts) or (_noise("user"),)

    def _result(self, found: Object) -> Finished:
        said = text(child(found, "error"), "message")
        answer = text(found, "result")
        if not said and (error := _LAST_WORD.search(answer[-_ERROR_LENGTH_MAX:].rstrip())) is not None:
            said = error.group()
        used = child(found, "usage") if not self._resumed else {}
        tokens, cached = count(used, "input_tokens"), count(used, "cache_read_input_tokens")
        cached = min(tokens, cached)
        return Finished(
            is_error=found.get("is_error") is not False or bool(said),
            kind=shown(text(found, "subtype"), WORD_LENGTH_MAX),
            text=shown(answer),
            answer=shown(answer, ANSWER_LENGTH_MAX),
            errors=(shown(said),) if said else (),
            session_id=shown(text(found, "session_id"), WORD_LENGTH_MAX),
            turns=count(found, "num_turns"),
            input_tokens=tokens - cached,
            output_tokens=count(used, "output_tokens"),
            cache_read_tokens=cached,
        )


def _noise(kind: str) -> Noise:
    return Noise(kind=shown(kind, WORD_LENGTH_MAX))


def _system(found: Object) -> AnyFact:
    subtype = text(found, "subtype")
    match subtype:
        case "init":
            return Started(
                session_id=shown(text(found, "session_id"), WORD_LENGTH_MAX),
                model=shown(text(found, "model"), WORD_LENGTH_MAX),
                vendor_version=shown(text(found, "qwen_code_version"), WORD_LENGTH_MAX),
            )
        case "retry":
            told = child(found, "data")
            return Retrying(
                attempt=count(told, "attempt"),
                error=shown(text(told, "reason"), WORD_LENGTH_MAX),
                delay_seconds=(number(told, "delayMs") or 0.0) / 1000,
            )
        case _:
            return _noise(f"system/{subtype}")


def _usage(message: Object) -> list[AnyFact]:
    """An answer comes as a line for each of its parts, and only the last of them knows what it used."""
    used = child(message, "usage")
    tokens, cached = count(used, "input_tokens"), count(used, "cache_read_input_tokens")
    if not tokens and not count(used, "output_tokens"):
        return []
    cached = min(tokens, cached)
    return [
        Usage(
            message_id=shown(text(message, "id"), WORD_LENGTH_MAX),
            input_tokens=tokens - cached,
            output_tokens=count(used, "output_tokens"),
            cache_read_tokens=cached,
        )
    ]


def verdict_of(run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
    """What the run came to. A result counts however the process ended, except where we cancelled it."""
    last = seen.finished
    ok = last is not None and not last.is_error and ending.why != "cancelled"
    error_class, transient = (None, False) if ok else _failure(seen, ending)
    resets_at = seen.limit.resets_at if seen.limit is not None and seen.limit.refused else 0.0
    return Verdict(
        ok=ok,
        error_class=error_class,
        message="" if ok else _message(seen, ending),
        transient=transient,
        resets_at=datetime.fromtimestamp(resets_at, UTC) if not ok and 0 < resets_at < 2**32 else None,
        session_id=_session(run, seen),
        vendor_version=seen.started.vendor_version if seen.started is not None else "",
        usage=seen.usage(ending.wall_seconds, cost_known=run.billing == "api"),
        final_text=last.text if last is not None and ok else seen.last_text,
        answer=last.answer if last is not None and ok else "",
    )


def _session(run: AgentRun, seen: Seen) -> str:
    said = (seen.finished.session_id if seen.finished else "") or (seen.started.session_id if seen.started else "")
    return said or run.session_id


def _message(seen: Seen, ending: Ending) -> str:
    said = (seen.finished.errors or ("",))[0] if seen.finished is not None else ""
    said = said or shown(ending.stderr_tail.strip()) or seen.garbage
    return shown(f"{said or 'no result'} ({ending.why}, exit code {ending.exit_code})")


def _failure(seen: Seen, ending: Ending) -> tuple[str, bool]:
    """(class of the failure, whether the same run may well go through later)."""
    last = seen.finished
    if last is None:
        return _without_a_result(seen, ending)
    if not last.is_error:
        return why_we_stopped(ending)
    return _reported(seen, (last.errors or ("",))[0])


def _reported(seen: Seen, said: str) -> tuple[str, bool]:
    """What the program's own words about a failed request mean."""
    if said.startswith("Loop detection halted"):
        return "agent.loop", False
    if "No auth type is selected" in said:
        return "vendor.auth", False
    if said.startswith("Operation cancelled"):
        return "agent.interrupted", True
    if "Quota exhausted: " in said or (seen.limit is not None and seen.limit.refused):
        per_request = seen.limit is not None and seen.limit.kind == REQUEST_LIMIT
        return ("vendor.rate_limit" if per_request else "vendor.usage_window"), True
    if said.startswith("Model produced plain text"):
        return "vendor.bad_answer", False
    error = _API_ERROR.search(said)
    words = error.group("said") if error is not None else said
    status = _STATUS.match(words)
    return class_of_refusal(int(status.group(1)) if status is not None else 0, words)


def _without_a_result(seen: Seen, ending: Ending) -> tuple[str, bool]:
    if ending.why == "silence_limit" and seen.limit is not None and seen.limit.refused:
        return "vendor.rate_limit", True  # it was waiting to try again, which it does without a word
    if ending.why != "exited":
        return why_we_stopped(ending)
    code, stderr = ending.exit_code, ending.stderr_tail.decode(errors="replace")
    if code == _CANCELLED:
        return "agent.interrupted", True
    if code == _TURN_LIMIT:
        return "vendor.max_turns", False
    if code == _BUDGET:
        return ("agent.timeout" if "wall-clock" in stderr else "vendor.budget"), False
    if code == _AUTH:
        return "vendor.auth", False
    if _NO_SUCH_SESSION.search(stderr):
        return "vendor.session_lost", False
    if _SESSION_TAKEN.search(stderr):
        return "vendor.session_in_use", True
    if "[API Error: " in stderr:
        return _reported(seen, stderr.strip())
    if code == _INPUT or _MISUSED.search(stderr):
        return "agent.misused", False
    return why_we_stopped(ending)

"""Reading Gemini CLI's stream-json: a line becomes facts, a run becomes a verdict.

The rule of this room: exit code 0 means nothing. The program ends with it after a cut answer, after a signal and when it stops
itself in a loop; for a refused request it is the HTTP status modulo 256. What counts is a result line that says success, with
no error line since the last thing the agent did. A run's cost and its count of requests are not printed at all.
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
    Started,
    Text,
    TodoChanged,
    ToolResult,
    ToolUse,
    VendorError,
    shown,
)
from penstock_agent_exec.agents.json_lines import Object, child, children, count, json_object, text
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, Verdict, why_we_stopped
from penstock_agent_exec.process import Ending

WORD_LENGTH_MAX: Final = 100
PATHS_KEPT_MAX: Final = 1_000
LOOP: Final = "loop"

# What the program ends with where it said nothing on standard output.
_TURN_LIMIT, _AUTH, _INPUT = 53, 41, 42
_MISUSED: Final = frozenset({_INPUT, 44, 52, 55})

_TELLING: Final = ("command", "file_path", "dir_path", "pattern", "query", "url", "prompt", "title", "description")
_WRITING: Final = frozenset({"write_file", "replace"})

_CODE: Final = re.compile(r'"code"\s*:\s*(\d{3})\b')
_DOUBLED: Final = re.compile(r"number of function response parts", re.IGNORECASE)
_WINDOW: Final = re.compile(r"daily quota|PerDay|Suggested retry after \d{3,}s", re.IGNORECASE)
_BLOCKED: Final = re.compile(r"\bblocked\b|safety|recitation|prohibited", re.IGNORECASE)
_CUT: Final = re.compile(r"max(?:imum)?[_ ](?:output )?tokens", re.IGNORECASE)
_NO_SUCH_SESSION: Final = re.compile(r"Error resuming session|No previous sessions found|Invalid session identifier")
_REFUSED_TO_START: Final = re.compile(r"^ *-h, --help +Show help|^FatalSandboxError", re.MULTILINE)
_SESSION_TAKEN: Final = re.compile(r'Session ID "?[^"\n]{1,100}"? already exists')


class GeminiReader:
    """One run's output. What the agent says comes in pieces and is put together here, so a reader is for one run only."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._said = ""
        self._session_id = ""
        self._answering = False
        self._turns = 0
        self._paths: dict[str, str] = {}

    def parse(self, line: bytes) -> tuple[AnyFact, ...]:
        """The facts on one line of output; none on an empty one, or on a piece of a text that goes on."""
        if not line.strip():
            return ()
        found = json_object(line)
        if found is None:
            return (Garbage(text=shown(line)),)
        match text(found, "type"):
            case "message" if text(found, "role") == "assistant":
                self._answers()
                if len(self._said) < 2 * ANSWER_LENGTH_MAX:
                    self._said += text(found, "content")
                return ()
            case "init":
                return (self._init(found),)
            case "tool_use":
                return (*self._spoken(), *self._tool_use(found))
            case "tool_result":
                return (*self._spoken(), *self._tool_result(found))
            case "error" if (error := _error(found)) is not None:
                return (*self._spoken(), error)
            case "result":
                return self._result(found)
            case kind:
                return (Noise(kind=shown(kind, WORD_LENGTH_MAX)),)

    def _answers(self) -> None:
        """The model has begun another answer, where the last line was not of one."""
        self._turns += not self._answering
        self._answering = True

    def _spoken(self) -> tuple[Text, ...]:
        said, self._said = self._said, ""
        return (Text(text=shown(said)),) if said.strip() else ()

    def _init(self, found: Object) -> Started:
        self._session_id = shown(text(found, "session_id"), WORD_LENGTH_MAX)
        model = shown(text(found, "model"), WORD_LENGTH_MAX)
        return Started(session_id=self._session_id, model=model, vendor_version=self._version)

    def _tool_use(self, found: Object) -> tuple[AnyFact, ...]:
        self._answers()
        name, given = shown(text(found, "tool_name"), WORD_LENGTH_MAX), child(found, "parameters")
        identity = shown(text(found, "tool_id"), WORD_LENGTH_MAX)
        telling = next((text(given, key) for key in _TELLING if text(given, key)), "")
        use = ToolUse(id=identity, name=name, summary=shown(telling, SUMMARY_LENGTH_MAX))
        if name in _WRITING and len(self._paths) < PATHS_KEPT_MAX:
            self._paths[identity] = shown(text(given, "file_path"), SUMMARY_LENGTH_MAX)
        if name != "write_todos":
            return (use,)
        todos = [f"[{text(item, 'status')}] {text(item, 'description')}" for item in children(given, "todos")]
        return (use, TodoChanged(items=tuple(shown(item, SUMMARY_LENGTH_MAX) for item in todos[:TODO_ITEMS_MAX])))

    def _tool_result(self, found: Object) -> tuple[AnyFact, ...]:
        self._answering = False
        identity, ok = shown(text(found, "tool_id"), WORD_LENGTH_MAX), text(found, "status") == "success"
        said = text(found, "output") or text(child(found, "error"), "message")
        result = ToolResult(id=identity, ok=ok, summary=shown(said, SUMMARY_LENGTH_MAX))
        path = self._paths.pop(identity, "")
        return (result, FileChanged(path=path)) if ok and path else (result,)

    def _result(self, found: Object) -> tuple[AnyFact, ...]:
        answer = shown(self._said, ANSWER_LENGTH_MAX)
        spoken = self._spoken()
        error, stats = child(found, "error"), child(found, "stats")
        total, prompt = count(stats, "total_tokens"), count(stats, "input_tokens")
        cached = min(count(stats, "cached"), prompt)
        finished = Finished(
            is_error=text(found, "status") != "success",
            kind=shown(text(error, "type"), WORD_LENGTH_MAX),
            text=spoken[0].text if spoken else "",
            answer=answer,
            errors=(shown(text(error, "message")),) if text(error, "message") else (),
            session_id=self._session_id,
            turns=self._turns,
            input_tokens=prompt - cached,
            # Its thoughts are paid for like its words, and only the total has them.
            output_tokens=max(count(stats, "output_tokens"), total - prompt),
            cache_read_tokens=cached,
        )
        return (*spoken, finished)


def _error(found: Object) -> VendorError | None:
    """What ended the agent's work; None for a warning after which it goes on."""
    said = text(found, "message")
    if said.startswith("Loop detected"):
        return VendorError(kind=LOOP, message=shown(said))
    return VendorError(kind="error", message=shown(said)) if text(found, "severity") == "error" else None


def verdict_of(run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
    """What the run came to. A result counts however the process ended, except where we cancelled it."""
    last = seen.finished
    ok = last is not None and not last.is_error and seen.error is None and ending.why != "cancelled"
    error_class, transient = (None, False) if ok else _failure(seen, ending)
    resets_at = seen.limit.resets_at if seen.limit is not None and seen.limit.refused else 0.0
    return Verdict(
        ok=ok,
        error_class=error_class,
        message="" if ok else _message(seen, ending),
        transient=transient,
        resets_at=datetime.fromtimestamp(resets_at, UTC) if not ok and 0 < resets_at < 2**32 else None,
        session_id=seen.started.session_id if seen.started is not None else run.session_id,
        vendor_version=seen.started.vendor_version if seen.started is not None else "",
        usage=seen.usage(ending.wall_seconds, cost_known=run.billing == "api"),
        final_text=last.text if last is not None and ok else seen.last_text,
        answer=last.answer if last is not None and ok else "",
    )


def _message(seen: Seen, ending: Ending) -> str:
    said = _words(seen) or shown(ending.stderr_tail.strip()) or seen.garbage
    return shown(f"{said or 'no result'} ({ending.why}, exit code {ending.exit_code})")


def _words(seen: Seen) -> str:
    """What the program said went wrong."""
    if seen.finished is not None and seen.finished.errors:
        return seen.finished.errors[0]
    return seen.error.message if seen.error is not None else ""


def _failure(seen: Seen, ending: Ending) -> tuple[str, bool]:
    """(class of the failure, whether the same run may well go through later)."""
    last = seen.finished
    if ending.why == "cancelled" and (last is None or not last.is_error):
        return why_we_stopped(ending)
    if seen.error is not None and seen.error.kind == LOOP:
        return "agent.loop", False
    if last is None:
        return _without_a_result(seen, ending)
    if last.kind == "FatalTurnLimitedError":
        return "vendor.max_turns", False
    if last.kind == "FatalAuthenticationError":
        return "vendor.auth", False
    said = _words(seen)
    if said.startswith("Maximum session turns"):
        return "vendor.max_turns", False
    status = _status(said, ending)
    if status in (0, 400) and _DOUBLED.search(said):
        # A resumed session sends every tool's answer twice: that session will never go on.
        return "vendor.session_lost", False
    if _is_window(seen, status, said):
        return "vendor.usage_window", True
    if status == 429:
        return "vendor.rate_limit", True  # its words ask to look after billing, whatever the limit is
    if status == 0 and "is not found for API version" in said:
        return "vendor.model_not_found", False
    if status == 0 and _CUT.search(said):
        return "vendor.output_limit", False
    if status == 0 and _BLOCKED.search(said):
        return "vendor.refusal", False
    return class_of_refusal(status, said)


def _is_window(seen: Seen, status: int, said: str) -> bool:
    if status == 429 and _WINDOW.search(said):
        return True
    return seen.limit is not None and seen.limit.refused and seen.limit.kind != REQUEST_LIMIT


def _status(said: str, ending: Ending) -> int:
    """The HTTP status of a refused request; 0 where it was something else."""
    if (written := _CODE.search(said)) is not None:
        return int(written.group(1))
    code = ending.exit_code
    if ending.why != "exited" or code is None or not 144 <= code <= 255:
        return 0
    return code + 256


def _without_a_result(seen: Seen, ending: Ending) -> tuple[str, bool]:
    if ending.why == "silence_limit" and seen.limit is not None and seen.limit.refused:
        return "vendor.rate_limit", True  # it was waiting to try again, which it does without a word
    if ending.why != "exited":
        return why_we_stopped(ending)
    code, stderr = ending.exit_code, ending.stderr_tail.decode(errors="replace")
    if code in (0, 130):
        return "agent.interrupted", True
    if code == _TURN_LIMIT:
        return "vendor.max_turns", False
    if code == _AUTH:
        return "vendor.auth", False
    if code == _INPUT and _SESSION_TAKEN.search(stderr):
        return "vendor.session_in_use", True
    if code == _INPUT and _NO_SUCH_SESSION.search(stderr):
        return "vendor.session_lost", False
    if code in _MISUSED or _REFUSED_TO_START.search(stderr):
        return "agent.misused", False
    status = _status("", ending)
    return class_of_refusal(status, stderr) if status else why_we_stopped(ending)

"""Talking to `codex app-server`: JSON-RPC by the line, as a state machine without any I/O.

    initialize > initialized > thread/start, or thread/list > thread/resume > turn/start > ... > turn/completed

The rule of this room: nothing is left unanswered. What the server asks is declined, so that it never waits for a person who is
not there; what it refuses ends the run by name; and what somebody says while it works is said again where it came too late.

A thread is named by codex. A session of ours has a home of its own there, and the newest thread in it is the one to go on with.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, TypeAlias, assert_never

from penstock_agent_exec.agents.codex_items import TOOLS, begun, kind_of, noise, over, todo_of
from penstock_agent_exec.agents.codex_output import (
    CAMEL,
    INTERRUPTED,
    MAX_TURNS,
    MISUSED,
    SESSION_IN_USE,
    SESSION_LOST,
    TOO_LONG,
    WORD_LENGTH_MAX,
    Tokens,
    limits_of,
    status_in,
    tokens_of,
)
from penstock_agent_exec.agents.facts import (
    ANSWER_LENGTH_MAX,
    SUMMARY_LENGTH_MAX,
    AnyFact,
    Finished,
    Garbage,
    Retrying,
    Started,
    Usage,
    VendorError,
    shown,
)
from penstock_agent_exec.agents.json_lines import Object, child, children, count, json_object, text
from penstock_agent_exec.agents.vendor import AgentRun, Heard

CLIENT_VERSION: Final = "1"
WAITING_MAX: Final = 100
"""Requests of ours without an answer; nobody says more than that at once."""
TOOLS_AT_ONCE_MAX: Final = 1_000

Asked: TypeAlias = Literal["initialize", "list", "start", "resume", "turn", "steer", "interrupt"]

# The working directory is left to the process. A thread that is started with leave to write in a folder it names has that
# folder trusted, and with it the repo's own settings: their servers would be started before the agent has said a word. So a
# thread begins read-only, and what it may do comes with the turn.
_SOURCES: Final = ["cli", "vscode", "exec", "appServer"]

_DECLINED: Final[dict[str, Object]] = {
    "item/commandExecution/requestApproval": {"decision": "decline"},
    "item/fileChange/requestApproval": {"decision": "decline"},
    "item/permissions/requestApproval": {"permissions": {}},
    "item/tool/requestUserInput": {"answers": {}},
    "item/tool/call": {"success": False, "contentItems": []},
    "mcpServer/elicitation/request": {"action": "decline"},
    "applyPatchApproval": {"decision": "denied"},
    "execCommandApproval": {"decision": "denied"},
}
_METHOD_NOT_FOUND: Final = -32601


class AppServer:
    """The dialogue of one run."""

    listens = True

    def __init__(self, run: AgentRun) -> None:
        self._run = run
        self._waiting: dict[int, tuple[Asked, str]] = {}
        self._asked = 0
        self._version = ""
        self._thread = ""
        self._turn = ""
        self._last_turn = ""
        self._last_text = ""
        # Said too late for the turn it was meant for.
        self._unheard: list[str] = []
        self._over: Object | None = None
        self._total: Tokens | None = None if run.resume else Tokens()
        self._added = Tokens()
        self._requests = 0
        self._told_requests = 0
        self._open: set[str] = set()
        # Tools that were begun since an answer was counted last; of those that the last one wanted, what is not over.
        self._begun: set[str] = set()
        self._goes_on = False
        self._interrupting = False

    def begin(self) -> bytes:
        """What is written first."""
        client = {"name": "penstock", "title": "Penstock", "version": CLIENT_VERSION}
        return self._ask("initialize", "initialize", {"clientInfo": client})

    def hear(self, line: bytes) -> Heard:
        """What one line of its standard output comes to. Never raises."""
        if not line.strip():
            return Heard()
        found = json_object(line)
        if found is None:
            return Heard((Garbage(text=shown(line)),))
        method = text(found, "method")
        if method and isinstance(number := found.get("id"), int | str):
            return self._decline(method, number)
        if method:
            return self._notified(method, child(found, "params"))
        return self._answered(found)

    def say(self, text: str, message_id: str) -> bytes | None:
        """Into the turn that is running; None where there is none, or it is about to end."""
        if not self._turn or self._interrupting or len(self._waiting) >= WAITING_MAX:
            return None
        return self._steer(text, message_id)

    # -- what we ask, and what comes of it ------------------------------------------------------------------------------

    def _ask(self, asked: Asked, method: str, params: Object, said: str = "") -> bytes:
        self._asked += 1
        self._waiting[self._asked] = (asked, said)
        return _line({"id": self._asked, "method": method, "params": params})

    def _answered(self, found: Object) -> Heard:
        number = found.get("id")
        if isinstance(number, bool) or not isinstance(number, int) or number not in self._waiting:
            return Heard((noise("answer"),))
        asked, said = self._waiting.pop(number)
        if "error" in found:
            return self._refused(asked, said, text(child(found, "error"), "message"))
        result = child(found, "result")
        match asked:
            case "initialize":
                return self._open_thread(result)
            case "list":
                return self._resume(result)
            case "start" | "resume":
                return self._begin_turn(asked, said, result)
            case "turn":
                self._in_turn(text(child(result, "turn"), "id"))
                return Heard((noise(asked),))
            case "steer" | "interrupt":
                return self._settle()
            case _:
                assert_never(asked)

    def _open_thread(self, result: Object) -> Heard:
        # "penstock/0.169.0 (Debian 12.0.0; x86_64) ..."
        self._version = text(result, "userAgent").partition("/")[2].partition(" ")[0]
        begun = _line({"method": "initialized"})
        if self._run.resume:
            newest: Object = {"limit": 1, "sortKey": "created_at", "modelProviders": [], "sourceKinds": list(_SOURCES)}
            return Heard((noise("initialize"),), begun + self._ask("list", "thread/list", newest))
        return Heard((noise("initialize"),), begun + self._ask("start", "thread/start", self._thread_params()))

    def _resume(self, result: Object) -> Heard:
        known = children(result, "data")
        thread = text(known[0], "id") if known else ""
        if not thread:
            return self._failed(SESSION_LOST, "there is no thread in this session's home")
        params = self._thread_params() | {"threadId": thread, "excludeTurns": True}
        return Heard((noise("list"),), self._ask("resume", "thread/resume", params, thread))

    def _thread_params(self) -> Object:
        params: Object = {"approvalPolicy": "never", "sandbox": "read-only"}
        return params | {"model": self._run.model} if self._run.model else params

    def _begin_turn(self, asked: Asked, wanted: str, result: Object) -> Heard:
        self._thread = text(child(result, "thread"), "id")
        if asked == "resume" and self._thread != wanted:
            return self._failed(SESSION_LOST, f"another thread came back: {self._thread}, not {wanted}")
        started = Started(
            session_id=self._run.session_id,
            model=shown(text(result, "model"), WORD_LENGTH_MAX),
            vendor_version=shown(self._version, WORD_LENGTH_MAX),
        )
        return Heard((started,), self._turn_start(self._run.prompt))

    def _turn_start(self, said: str) -> bytes:
        # A run that only reads too: codex's own sandbox cannot begin within ours, and no command would run at all. Ours shows it
        # the work read-only.
        params: Object = {
            "threadId": self._thread,
            "input": _input(said),
            "sandboxPolicy": {"type": "dangerFullAccess"},
        }
        return self._ask("turn", "turn/start", params)

    def _steer(self, said: str, message_id: str) -> bytes:
        params: Object = {"threadId": self._thread, "expectedTurnId": self._turn, "input": _input(said)}
        return self._ask("steer", "turn/steer", params | {"clientUserMessageId": message_id}, said)

    def _refused(self, asked: Asked, said: str, message: str) -> Heard:
        match asked:
            case "steer":
                self._unheard.append(said)
                return self._settle()
            case "interrupt":
                return self._settle()
            case "resume":
                return self._failed(SESSION_IN_USE if "active writer" in message else SESSION_LOST, message)
            case "turn" if TOO_LONG in message:
                return self._failed("contextWindowExceeded", message)
            case "initialize" | "list" | "start" | "turn":
                return self._failed(MISUSED, message)
            case _:
                assert_never(asked)

    def _decline(self, method: str, number: int | str) -> Heard:
        facts = (noise(f"declined {method}"),)
        if method in _DECLINED:
            return Heard(facts, _line({"id": number, "result": _DECLINED[method]}))
        error = {"code": _METHOD_NOT_FOUND, "message": "not offered by this client"}
        return Heard(facts, _line({"id": number, "error": error}))

    # -- what it tells --------------------------------------------------------------------------------------------------

    def _notified(self, method: str, params: Object) -> Heard:
        if text(params, "threadId") not in ("", self._thread):
            return Heard((noise(method),))
        match method:
            case "item/started":
                return Heard(self._item_started(child(params, "item")))
            case "item/completed":
                return self._item_over(child(params, "item"))
            case "turn/plan/updated":
                return Heard((todo_of(children(params, "plan")),))
            case "thread/tokenUsage/updated":
                return self._used(params)
            case "account/rateLimits/updated":
                return Heard(limits_of(child(params, "rateLimits")) or (noise(method),))
            case "error":
                return Heard((_error(params),))
            case "turn/started":
                self._in_turn(text(child(params, "turn"), "id"))
                return Heard((noise(method),))
            case "turn/completed":
                return self._turn_over(child(params, "turn"))
            case "warning" | "configWarning":
                said = text(params, "message") or text(params, "summary")
                return Heard((Garbage(text=shown(said)),))
            case _:
                return Heard((noise(method),))

    def _item_started(self, item: Object) -> tuple[AnyFact, ...]:
        if kind_of(item) in TOOLS and len(self._begun) < TOOLS_AT_ONCE_MAX:
            self._begun.add(text(item, "id"))
            self._open.add(text(item, "id"))
        return begun(item)

    def _item_over(self, item: Object) -> Heard:
        if kind_of(item) == "agentMessage":
            self._last_text = text(item, "text")[:ANSWER_LENGTH_MAX]
        self._open.discard(text(item, "id"))
        return Heard(over(item), self._interrupt_at_the_limit())

    def _used(self, params: Object) -> Heard:
        usage = child(params, "tokenUsage")
        total, last = tokens_of(child(usage, "total"), CAMEL), tokens_of(child(usage, "last"), CAMEL)
        if not self._turn or text(params, "turnId") != self._turn:
            # A thread that is taken up again says first what it has used in its life.
            self._total = total
            return Heard((noise("tokenUsage"),))
        used = last if self._total is None else total.since(self._total)
        self._total = total
        if used == Tokens():
            return Heard((noise("tokenUsage"),))  # of a request that came to nothing
        self._added = self._added.plus(used)
        self._requests += 1
        # What an earlier answer has left running in the background keeps nobody waiting.
        self._goes_on, self._open, self._begun = bool(self._begun), self._open & self._begun, set()
        fact = Usage(
            message_id=f"{shown(self._turn, WORD_LENGTH_MAX)}/{self._requests}",
            input_tokens=used.input,
            output_tokens=used.output,
            cache_read_tokens=used.cache_read,
            cache_write_tokens=used.cache_write,
        )
        return Heard((fact,), self._interrupt_at_the_limit())

    def _interrupt_at_the_limit(self) -> bytes:
        """codex knows no limit of its own. A turn that has had its last answer is left alone: only one that would go on, with
        the tools' results, is interrupted, when they are there."""
        limit = self._run.max_turns
        if limit is None or self._interrupting or not self._turn:
            return b""
        at_the_limit = self._requests >= limit and self._goes_on and not self._open
        if not at_the_limit and self._requests <= limit:
            return b""
        self._interrupting = True
        return self._ask("interrupt", "turn/interrupt", {"threadId": self._thread, "turnId": self._turn})

    def _in_turn(self, turn: str) -> None:
        """It is told twice, and the second time may come when the turn is over."""
        if turn != self._last_turn:
            self._turn = turn

    def _turn_over(self, turn: Object) -> Heard:
        if not self._turn or text(turn, "id") != self._turn:
            return Heard((noise("turn/completed"),))
        self._turn, self._last_turn = "", self._turn
        self._open.clear()
        self._over = turn
        return self._settle()

    # -- the end --------------------------------------------------------------------------------------------------------

    def _settle(self) -> Heard:
        """The last word, once nothing that was said to the turn is without an answer; and another turn instead of it, where a
        good one was over before it had heard everything."""
        if self._over is None or any(asked == "steer" for asked, _ in self._waiting.values()):
            return Heard()
        over, self._over = self._over, None
        if self._unheard and text(over, "status") == "completed":
            said, self._unheard = "\n\n".join(self._unheard), []
            return Heard(reply=self._turn_start(said))
        return Heard((self._finished(over),))

    def _finished(self, turn: Object) -> Finished:
        if (status := text(turn, "status")) == "completed":
            return self._last_word("completed", 0, self._last_text, is_error=False)
        if status == "interrupted" and self._interrupting:
            said = f"interrupted by us after {self._requests} requests, of {self._run.max_turns} that it may make"
            return self._last_word(MAX_TURNS, 0, said)
        if status == "interrupted":
            return self._last_word(INTERRUPTED, 0, "the turn was interrupted")
        kind, http_status, message = _told(child(turn, "error"))
        return self._last_word(kind, http_status, message or f"the turn is {status or 'over'}")

    def _failed(self, kind: str, message: str) -> Heard:
        return Heard((self._last_word(kind, status_in(message), message),))

    def _last_word(self, kind: str, status: int, said: str, *, is_error: bool = True) -> Finished:
        """With what was used since the one before."""
        requests, self._told_requests = self._requests - self._told_requests, self._requests
        added, self._added = self._added, Tokens()
        return Finished(
            is_error=is_error,
            kind=kind,
            status=status,
            text=shown(said),
            answer="" if is_error else shown(said, ANSWER_LENGTH_MAX),
            session_id=self._run.session_id,
            turns=requests,
            input_tokens=added.input,
            output_tokens=added.output,
            cache_read_tokens=added.cache_read,
            cache_write_tokens=added.cache_write,
        )


def _error(params: Object) -> AnyFact:
    kind, status, message = _told(child(params, "error"))
    if params.get("willRetry") is not True:
        return VendorError(kind=kind, status=status, message=shown(message))
    attempt = re.match(r"Reconnecting\.\.\. (\d{1,6})/", message)
    why = text(child(params, "error"), "additionalDetails") or message
    return Retrying(
        attempt=int(attempt.group(1)) if attempt else 0, status=status, error=shown(why, SUMMARY_LENGTH_MAX)
    )


def _told(error: Object) -> tuple[str, int, str]:
    """(codex's name for it, the HTTP status or 0, what it says) of an error."""
    message, info = text(error, "message"), error.get("codexErrorInfo")
    name = info if isinstance(info, str) else next(iter(info), "") if isinstance(info, dict) else ""
    status = count(child(child(error, "codexErrorInfo"), name), "httpStatusCode")
    return shown(name, WORD_LENGTH_MAX) or "other", status or status_in(message), message


def _input(said: str) -> list[Object]:
    return [{"type": "text", "text": said}]


def _line(message: Object) -> bytes:
    return json.dumps(message).encode() + b"\n"

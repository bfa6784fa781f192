"""Making sense of codex: what it printed by `exec --json`, and what a run of either of its protocols came to.

The rule of this room: only a turn that was seen to be completed is a success; the exit code decides nothing. The app-server
names its errors, `exec` tells them in English; a name is believed before a text, and codex's versions are pinned for the texts.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from penstock_agent_exec.agents.api_errors import class_of_refusal
from penstock_agent_exec.agents.codex_items import begun, noise, over
from penstock_agent_exec.agents.facts import (
    ANSWER_LENGTH_MAX,
    AnyFact,
    Finished,
    Garbage,
    RateLimited,
    Retrying,
    Started,
    VendorError,
    shown,
)
from penstock_agent_exec.agents.json_lines import Object, child, count, json_object, number, text
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, Verdict, why_we_stopped
from penstock_agent_exec.process import Ending

WORD_LENGTH_MAX: Final = 100

MAX_TURNS: Final = "maxTurns"
"""Our own word for why a turn was interrupted: codex knows no such limit."""
INTERRUPTED: Final = "interrupted"
SESSION_LOST: Final = "sessionLost"
SESSION_IN_USE: Final = "sessionInUse"
MISUSED: Final = "misused"
TOO_LONG: Final = "exceeds the maximum length of"
"""Its word for a prompt that it does not take at all."""

_BY_KIND: Final = {
    MAX_TURNS: ("vendor.max_turns", False),
    SESSION_LOST: ("vendor.session_lost", False),
    SESSION_IN_USE: ("vendor.session_in_use", True),
    MISUSED: ("agent.misused", False),
    "contextWindowExceeded": ("vendor.context_overflow", False),
    "sessionBudgetExceeded": ("vendor.budget", False),
    "rateLimitExceeded": ("vendor.rate_limit", True),
    "serverOverloaded": ("vendor.overloaded", True),
    "flexUnavailable": ("vendor.overloaded", True),
    "policyCapacityUnavailable": ("vendor.overloaded", True),
    "modelNotFound": ("vendor.model_not_found", False),
    "unauthorized": ("vendor.auth", False),
    "cyberPolicy": ("vendor.refusal", False),
    "misalignmentPolicyViolation": ("vendor.refusal", False),
    "inferenceHookDenied": ("vendor.refusal", False),
    "badRequest": ("vendor.bad_request", False),
}

# What a turn's last error says, where its name says nothing more. The first that fits counts.
_BY_TEXT: Final = tuple(
    (re.compile(pattern), error_class, transient)
    for pattern, error_class, transient in (
        (r"penstock: the run has cost", "vendor.budget", False),  # the gate's own answer
        (r"Quota exceeded|To use Codex with your ChatGPT plan|insufficient_quota", "vendor.billing", False),
        (r"hit your usage limit|usage_limit_reached", "vendor.usage_window", True),
        (r"ran out of room in the model's context|" + TOO_LONG, "vendor.context_overflow", False),
        (r"^budget reached", "vendor.budget", False),
        (r"^rate limit exceeded", "vendor.rate_limit", True),
        (r"^The model `.*` does not exist|model_not_found", "vendor.model_not_found", False),
        (r"^Missing environment variable", "vendor.auth", False),
        (r"reason: content_filter", "vendor.refusal", False),
        (r"reason: max_output_tokens", "vendor.output_limit", False),
        (r"stream closed before response\.completed", "vendor.bad_answer", True),
        (
            r"^stream disconnected before completion|^Connection failed|experiencing high demand",
            "vendor.unavailable",
            True,
        ),
    )
)
_CONNECTION_KINDS: Final = frozenset(
    {
        "internalServerError",
        "httpConnectionFailed",
        "responseStreamConnectionFailed",
        "responseStreamDisconnected",
        "responseTooManyFailedAttempts",
    }
)
_STATUS: Final = re.compile(r"(?:last status:|^unexpected status) (\d{3})")

# What it writes to its standard error where it ends before it has begun.
_BY_STDERR: Final = (
    (b"already has an active writer", "vendor.session_in_use", True),
    (b"no rollout found", "vendor.session_lost", False),
    (b"input_too_large", "vendor.context_overflow", False),
    (b"Error loading config.toml", "agent.misused", False),
    (b"unknown configuration field", "agent.misused", False),
    (b"Not inside a trusted directory", "agent.misused", False),
    (b"required MCP servers failed", "agent.misused", False),
    (b"error: unexpected argument", "agent.misused", False),
)
SNAKE: Final = ("input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens")
CAMEL: Final = ("inputTokens", "cachedInputTokens", "cacheWriteInputTokens", "outputTokens")
_NO_PROVIDER: Final = re.compile(rb"Model provider `.*` not found")


class Tokens(NamedTuple):
    """Tokens by how they are paid for: `input` leaves out what came from the cache or went into it."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    def since(self, before: Tokens) -> Tokens:
        """What was added; never less than nothing."""
        return Tokens(*(max(now - then, 0) for now, then in zip(self, before, strict=True)))

    def plus(self, more: Tokens) -> Tokens:
        return Tokens(*(one + other for one, other in zip(self, more, strict=True)))


class ExecReader:
    """The lines of `codex exec --json`. It knows nothing of requests, and counts tokens over the whole life of its thread."""

    def __init__(self, run: AgentRun) -> None:
        self._run = run
        self._last_text = ""

    def parse(self, line: bytes) -> tuple[AnyFact, ...]:
        """The facts on one line; none on an empty one."""
        if not line.strip():
            return ()
        found = json_object(line)
        if found is None:
            return (Garbage(text=shown(line)),)
        kind = text(found, "type")
        match kind:
            case "thread.started":
                return (Started(session_id=self._run.session_id, model=shown(self._run.model, WORD_LENGTH_MAX)),)
            case "item.started":
                return begun(child(found, "item"))
            case "item.completed":
                item = child(found, "item")
                if text(item, "type") == "agent_message":
                    self._last_text = text(item, "text")[:ANSWER_LENGTH_MAX]
                return over(item)
            case "error":
                return (_retry_or_error(text(found, "message")),)
            case "turn.completed":
                return (self._completed(child(found, "usage")),)
            case "turn.failed":
                message = text(child(found, "error"), "message")
                status = status_in(message)
                return (Finished(is_error=True, kind="other", status=status, text=shown(message), turns=1),)
            case _:
                return (noise(kind),)

    def _completed(self, used: Object) -> Finished:
        # What was used before cannot be told from what this run used: of a thread that goes on, nothing is better than all.
        tokens = Tokens() if self._run.resume else tokens_of(used, SNAKE)
        return Finished(
            is_error=False,
            kind="completed",
            text=shown(self._last_text),
            answer=shown(self._last_text, ANSWER_LENGTH_MAX),
            session_id=self._run.session_id,
            turns=1,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
        )


def _retry_or_error(message: str) -> AnyFact:
    """The same line announces another try, and the end."""
    status = status_in(message)
    trying = re.match(r"Reconnecting\.\.\. (?:(\d{1,6})/|waiting for network)", message)
    if trying is None:
        return VendorError(kind="other", status=status, message=shown(message))
    return Retrying(attempt=int(trying.group(1) or 0), status=status, error=shown(message, WORD_LENGTH_MAX))


def tokens_of(used: Object, names: tuple[str, str, str, str]) -> Tokens:
    """What a count of tokens says, under either spelling: its input holds what came from the cache."""
    whole, read, write, output = (count(used, name) for name in names)
    return Tokens(input=max(whole - read - write, 0), cache_read=read, cache_write=write, output=output)


def limits_of(limits: Object) -> tuple[RateLimited, ...]:
    """The windows of a subscription, as far as anybody said something of them."""
    found = []
    for name in ("primary", "secondary"):
        window = child(limits, name)
        if (used := number(window, "usedPercent")) is not None:
            kind = f"{name}, {count(window, 'windowDurationMins')} min"
            found.append(RateLimited(kind=kind, refused=used >= 100, resets_at=number(window, "resetsAt") or 0.0))
    return tuple(found)


def status_in(message: str) -> int:
    """The HTTP status that a text of codex names; 0 where it names none."""
    said = _STATUS.search(message[:1_000])
    return int(said.group(1)) if said is not None else 0


def verdict_of(run: AgentRun, seen: Seen, ending: Ending, version: str) -> Verdict:
    """What the run came to. A completed turn counts however the process ended, except where we cancelled it."""
    last = seen.finished
    ok = last is not None and not last.is_error and ending.why != "cancelled"
    error_class, transient = (None, False) if ok else _failure(seen, ending)
    return Verdict(
        ok=ok,
        error_class=error_class,
        message="" if ok else _message(seen, ending),
        transient=transient,
        resets_at=_resets_at(seen, error_class),
        session_id=run.session_id,
        vendor_version=version,
        usage=seen.usage(ending.wall_seconds, cost_known=False),
        final_text=last.text if last is not None and ok else seen.last_text,
        answer=last.answer if last is not None and ok else "",
    )


def _resets_at(seen: Seen, error_class: str | None) -> datetime | None:
    """When to come back, where it was a limit that stood in the way and somebody has said so."""
    if error_class not in ("vendor.usage_window", "vendor.rate_limit") or seen.limit is None or not seen.limit.refused:
        return None
    return datetime.fromtimestamp(seen.limit.resets_at, UTC) if 0 < seen.limit.resets_at < 2**32 else None


def _message(seen: Seen, ending: Ending) -> str:
    last = seen.finished
    said = last.text if last is not None and last.is_error else ""
    said = said or (seen.error.message if seen.error is not None else "") or shown(ending.stderr_tail.strip())
    return shown(f"{said or seen.garbage or 'no result'} ({ending.why}, exit code {ending.exit_code})")


def _failure(seen: Seen, ending: Ending) -> tuple[str, bool]:
    """(class of the failure, whether the same run may well go through later)."""
    last = seen.finished
    if last is None or not last.is_error:
        return _no_good_word(ending)
    if last.kind in _BY_KIND:
        return _BY_KIND[last.kind]
    if last.kind == INTERRUPTED:
        return ("agent.interrupted", True) if ending.why == "exited" else why_we_stopped(ending)
    for pattern, error_class, transient in _BY_TEXT:
        if pattern.search(last.text):
            return error_class, transient
    if last.kind == "usageLimitExceeded":
        return "vendor.usage_window", True
    return _failed_request(last.kind, last.status, last.text)


def _failed_request(kind: str, status: int, said: str) -> tuple[str, bool]:
    if status == 413:
        return "vendor.context_overflow", False
    if not status and kind in _CONNECTION_KINDS:
        return "vendor.unavailable", True
    # A refused request is told as the body of its answer, without its status.
    return class_of_refusal(status or (400 if said.startswith("{") else 0), said)


def _no_good_word(ending: Ending) -> tuple[str, bool]:
    """It ended without a last word, or with a good one that we cannot accept."""
    if ending.why == "exited":
        for words, error_class, transient in _BY_STDERR:
            if words in ending.stderr_tail:
                return error_class, transient
        if _NO_PROVIDER.search(ending.stderr_tail):
            return "agent.misused", False
    return why_we_stopped(ending)

"""Reading Claude Code's stream-json: a line becomes facts, a run becomes a verdict.

The rule of this room: its exit code decides nothing, and neither does `subtype`. A failed request ends with subtype "success"
and exit 1, an interrupted run with exit 0; `is_error` of the last result line is the one bit that held in every recording.
Line kinds and fields nobody listed come with every release: what is not known is noise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from penstock_agent_exec.agents.facts import (
    ANSWER_LENGTH_MAX,
    REQUEST_LIMIT,
    SUMMARY_LENGTH_MAX,
    TODO_ITEMS_MAX,
    AnyFact,
    Compacted,
    FileChanged,
    Finished,
    Garbage,
    Noise,
    RateLimited,
    Retrying,
    Started,
    Text,
    TodoChanged,
    ToolResult,
    ToolUse,
    Usage,
    VendorError,
    shown,
)
from penstock_agent_exec.agents.json_lines import Object, child, children, count, json_object, number, text, texts
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, Verdict, why_we_stopped
from penstock_agent_exec.process import Ending

WORD_LENGTH_MAX: Final = 100

PER_PROCESS_VERSION_MAX: Final = (2, 1, 221)
"""The newest version seen to count cost per process where it does not also say what was added since the last result."""

_BY_KIND: Final = {
    "error_max_turns": "vendor.max_turns",
    "error_max_budget_usd": "vendor.budget",
    "error_max_structured_output_retries": "vendor.bad_answer",
}

_TELLING: Final = (
    "command",
    "file_path",
    "notebook_path",
    "pattern",
    "url",
    "query",
    "description",
    "subject",
    "prompt",
)


def parse_line(line: bytes) -> tuple[AnyFact, ...]:
    """The facts on one line of output; none on an empty one."""
    if not line.strip():
        return ()
    found = json_object(line)
    if found is None:
        return (Garbage(text=shown(line)),)
    kind = text(found, "type")
    match kind:
        case "system":
            return (_system(found),)
        case "assistant":
            return _assistant(found)
        case "user":
            return _user(found)
        case "result":
            return (_result(found),)
        case "rate_limit_event":
            return (_rate_limit(child(found, "rate_limit_info")),)
        case _:
            return (_noise(kind),)


def _noise(kind: str) -> Noise:
    return Noise(kind=shown(kind, WORD_LENGTH_MAX))


def _system(found: Object) -> AnyFact:
    subtype = text(found, "subtype")
    match subtype:
        case "init":
            return Started(
                session_id=shown(text(found, "session_id"), WORD_LENGTH_MAX),
                model=shown(text(found, "model"), WORD_LENGTH_MAX),
                vendor_version=shown(text(found, "claude_code_version"), WORD_LENGTH_MAX),
                key_source=shown(text(found, "apiKeySource"), WORD_LENGTH_MAX),
            )
        case "api_retry":
            return Retrying(
                attempt=count(found, "attempt"),
                status=count(found, "error_status"),
                error=shown(text(found, "error"), WORD_LENGTH_MAX),
                delay_seconds=(number(found, "retry_delay_ms") or 0.0) / 1000,
            )
        case "compact_boundary":
            return Compacted()
        case _:
            return _noise(f"system/{subtype}")


def _rate_limit(info: Object) -> RateLimited:
    return RateLimited(
        kind=shown(text(info, "rateLimitType"), WORD_LENGTH_MAX),
        refused=text(info, "status") == "rejected",
        resets_at=number(info, "resetsAt") or 0.0,
    )


def _assistant(found: Object) -> tuple[AnyFact, ...]:
    message = child(found, "message")
    blocks = children(message, "content")
    if text(message, "model") == "<synthetic>":
        return (_synthetic(found, blocks),)
    facts: list[AnyFact] = [_usage(message)]
    for block in blocks:
        match text(block, "type"):
            case "text":
                facts.append(Text(text=shown(text(block, "text"))))
            case "tool_use":
                facts += _tool_use(block)
            case kind:
                facts.append(_noise(kind))
    return tuple(facts)


def _synthetic(found: Object, blocks: list[Object]) -> AnyFact:
    """A message that the program wrote in the model's name: how it reports that a request failed."""
    kind = text(found, "api_error") or text(found, "error")
    if not kind:
        return _noise("synthetic")
    message = shown("\n".join(text(block, "text") for block in blocks))
    return VendorError(kind=shown(kind, WORD_LENGTH_MAX), status=count(found, "api_error_status"), message=message)


def _usage(message: Object) -> Usage:
    used = child(message, "usage")
    return Usage(
        message_id=shown(text(message, "id"), WORD_LENGTH_MAX),
        input_tokens=count(used, "input_tokens"),
        output_tokens=count(used, "output_tokens"),
        cache_read_tokens=count(used, "cache_read_input_tokens"),
        cache_write_tokens=count(used, "cache_creation_input_tokens"),
    )


def _tool_use(block: Object) -> list[AnyFact]:
    name = shown(text(block, "name"), WORD_LENGTH_MAX)
    given = child(block, "input")
    telling = next((text(given, key) for key in _TELLING if text(given, key)), "")
    identity = shown(text(block, "id"), WORD_LENGTH_MAX)
    use = ToolUse(id=identity, name=name, summary=shown(telling, SUMMARY_LENGTH_MAX))
    match name:
        case "TodoWrite":
            items = [f"[{text(item, 'status')}] {text(item, 'content')}" for item in children(given, "todos")]
        case "TaskCreate":
            items = [f"[pending] {text(given, 'subject')}"]
        case "TaskUpdate":
            items = [f"[{text(given, 'status')}] #{text(given, 'taskId')} {text(given, 'subject')}".rstrip()]
        case _:
            return [use]
    return [use, TodoChanged(items=tuple(shown(item, SUMMARY_LENGTH_MAX) for item in items[:TODO_ITEMS_MAX]))]


def _user(found: Object) -> tuple[AnyFact, ...]:
    facts: list[AnyFact] = []
    changed = text(child(found, "tool_use_result"), "filePath")
    for block in children(child(found, "message"), "content"):
        if text(block, "type") != "tool_result":
            continue
        ok = block.get("is_error") is not True
        said = text(block, "content") or "\n".join(text(part, "text") for part in children(block, "content"))
        identity = shown(text(block, "tool_use_id"), WORD_LENGTH_MAX)
        facts.append(ToolResult(id=identity, ok=ok, summary=shown(said, SUMMARY_LENGTH_MAX)))
        if ok and changed:
            facts.append(FileChanged(path=shown(changed, SUMMARY_LENGTH_MAX)))
    return tuple(facts) or (_noise("user"),)


def _result(found: Object) -> Finished:
    added = found.get("model_usage_since_last_result")
    models = child(found, "modelUsage" if added is None else "model_usage_since_last_result")
    used = [entry for entry in models.values() if isinstance(entry, dict)]
    return Finished(
        is_error=found.get("is_error") is not False,
        kind=shown(text(found, "subtype"), WORD_LENGTH_MAX),
        reason="refusal"
        if text(found, "stop_reason") == "refusal"
        else shown(text(found, "terminal_reason"), WORD_LENGTH_MAX),
        status=count(found, "api_error_status"),
        text=shown(text(found, "result")),
        answer=shown(text(found, "result"), ANSWER_LENGTH_MAX),
        errors=tuple(shown(error, SUMMARY_LENGTH_MAX) for error in texts(found, "errors")[:10]),
        session_id=shown(text(found, "session_id"), WORD_LENGTH_MAX),
        turns=count(found, "num_turns"),
        input_tokens=sum(count(entry, "inputTokens") for entry in used),
        output_tokens=sum(count(entry, "outputTokens") for entry in used),
        cache_read_tokens=sum(count(entry, "cacheReadInputTokens") for entry in used),
        cache_write_tokens=sum(count(entry, "cacheCreationInputTokens") for entry in used),
        cost_usd=_cost(models),
        cumulative=added is None,
    )


def _cost(models: Object) -> float | None:
    """What the models cost at list price. The program invents a price for a model it does not know: then nobody knows."""
    costs = []
    for name, entry in models.items():
        if not isinstance(entry, dict) or not name.startswith("claude") or text(entry, "costBasis") not in ("", "list"):
            return None
        costs.append(number(entry, "costUSD"))
    known = [cost for cost in costs if cost is not None and cost >= 0]
    return sum(known) if len(known) == len(costs) else None


def verdict_of(run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
    """What the run came to. A result counts however the process ended, except where we cancelled it."""
    last = seen.finished
    ok = last is not None and not last.is_error and ending.why != "cancelled" and _pays_as_asked(run, seen)
    error_class, transient = (None, False) if ok else _failure(run, seen, ending)
    resets_at = seen.limit.resets_at if seen.limit is not None and seen.limit.refused else 0.0
    return Verdict(
        ok=ok,
        error_class=error_class,
        message="" if ok else _message(run, seen, ending),
        transient=transient,
        resets_at=datetime.fromtimestamp(resets_at, UTC) if not ok and 0 < resets_at < 2**32 else None,
        session_id=_session(run, seen),
        vendor_version=seen.started.vendor_version if seen.started is not None else "",
        usage=seen.usage(ending.wall_seconds, cost_known=_cost_known(run, seen)),
        final_text=last.text if last is not None and ok else seen.last_text,
        answer=last.answer if last is not None and ok else "",
    )


def _session(run: AgentRun, seen: Seen) -> str:
    said = (seen.finished.session_id if seen.finished else "") or (seen.started.session_id if seen.started else "")
    return said or run.session_id


def _pays_as_asked(run: AgentRun, seen: Seen) -> bool:
    if seen.started is None or not seen.started.key_source:
        return True
    return (seen.started.key_source == "none") == (run.billing == "subscription")


def _cost_known(run: AgentRun, seen: Seen) -> bool:
    """Whether the cost that was printed is what this run added, and somebody pays it."""
    if run.billing == "subscription":
        return False
    if not seen.cumulative or not run.resume:
        return True
    version = seen.started.vendor_version if seen.started is not None else ""
    parts = version.split(".")
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) <= PER_PROCESS_VERSION_MAX


def _message(run: AgentRun, seen: Seen, ending: Ending) -> str:
    if not _pays_as_asked(run, seen):
        paid = seen.started.key_source if seen.started is not None else ""
        return shown(f"the run was to be paid by {run.billing}, and the program says its key came from {paid}")
    last, tail = seen.finished, ending.stderr_tail.strip()
    said = ""
    if last is not None and last.is_error:
        said = last.text or "; ".join(last.errors)
    said = (
        said or (seen.error.message if seen.error is not None else "") or (shown(tail) if tail else "") or seen.garbage
    )
    return shown(f"{said or 'no result'} ({ending.why}, exit code {ending.exit_code})")


def _failure(run: AgentRun, seen: Seen, ending: Ending) -> tuple[str, bool]:
    """(class of the failure, whether the same run may well go through later)."""
    if seen.finished is None or not seen.finished.is_error:
        return _no_good_word(run, seen, ending)
    last, error = seen.finished, seen.error
    kind, status = (error.kind if error is not None else ""), last.status
    if last.kind in _BY_KIND:
        return _BY_KIND[last.kind], False
    if last.reason.startswith("aborted_"):
        return ("agent.interrupted", True) if ending.why == "exited" else why_we_stopped(ending)
    if any("No conversation found" in line for line in last.errors):
        return "vendor.session_lost", False
    if (
        last.reason in ("prompt_too_long", "blocking_limit")
        or status == 413
        or last.text.startswith("Prompt is too long")
    ):
        return "vendor.context_overflow", False
    if last.reason == "refusal":
        return "vendor.refusal", False
    if kind == "usage_limit_reached" or (
        seen.limit is not None and seen.limit.refused and seen.limit.kind != REQUEST_LIMIT
    ):
        return "vendor.usage_window", True
    return _failed_request(kind, status, last.text)


def _failed_request(kind: str, status: int, said: str) -> tuple[str, bool]:
    if status == 429 or kind == "rate_limit":
        return "vendor.rate_limit", True
    if kind == "billing_error" or status == 402:
        return "vendor.billing", False
    if kind == "authentication_failed" or status in (401, 403):
        return "vendor.auth", False
    if kind == "model_not_found" or status == 404:
        return "vendor.model_not_found", False
    if status == 529:
        return "vendor.overloaded", True
    if status >= 500 or kind in ("server_error", "connection_failed"):
        return "vendor.unavailable", True
    if status >= 400:
        return "vendor.bad_request", False
    if "empty or malformed response" in said:
        return "vendor.bad_answer", True
    if kind == "max_output_tokens":
        return "vendor.bad_answer", False
    return "agent.crashed", True


def _no_good_word(run: AgentRun, seen: Seen, ending: Ending) -> tuple[str, bool]:
    """It ended without a result, or with a good one that we cannot accept."""
    if seen.finished is not None and not _pays_as_asked(run, seen):
        return "vendor.billing", False
    if b"No conversation found" in ending.stderr_tail:
        return "vendor.session_lost", False
    if b"is already in use" in ending.stderr_tail:
        return "vendor.session_in_use", True
    return why_we_stopped(ending)

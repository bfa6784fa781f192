"""The Anthropic Messages wire format: POST /v1/messages."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Final

from fake_model.script import Calls, Fail, Object, Say
from fake_model.tools import native
from fake_model.wire import Asked, Failure, objects, sse, text_of, words_of

SUMMARY_MARK: Final = "create a detailed summary"
BROKEN_OFF: Final = ("doesn't want to proceed with this tool use", "Tool call interrupted")

_WHY: Final = {
    "rate_limit": (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    "usage_limit": (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "server": (500, "api_error", "Internal server error"),
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "forbidden": (403, "permission_error", "Your account does not have access to this resource."),
    "billing": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    "model_not_found": (404, "not_found_error", "model: no-such-model"),
    "context_full": (400, "invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum"),
    "bad_request": (400, "invalid_request_error", "messages.0: something is wrong with it"),
}


class Messages:
    """The format of Claude."""

    def asked(self, path: str, headers: Mapping[str, str], body: Object) -> Asked:
        messages = objects(body.get("messages"))
        users = [text_of(message.get("content")) for message in messages if message.get("role") == "user"]
        last = users[-1] if users else ""
        return Asked(
            model=str(body.get("model")),
            streams=body.get("stream") is True,
            turns_done=_turns_done(messages),
            first_text=users[0] if users else "",
            last_text=last,
            told=tuple(text for message in messages if message.get("role") != "assistant" for text in _told(message)),
            offered=frozenset(str(tool.get("name")) for tool in objects(body.get("tools"))),
            conversation=headers.get("x-claude-code-session-id", ""),
            aside=_aside(body, last),
        )

    def whole(self, step: Say | Calls, asked: Asked) -> Object:
        return {
            "id": f"msg_{uuid.uuid4().hex[:20]}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": _blocks_of(step, asked),
            "stop_reason": "tool_use" if isinstance(step, Calls) else step.stop_reason,
            "stop_sequence": None,
            "usage": _usage(step, step.tokens.output),
        }

    def events(self, step: Say | Calls, asked: Asked) -> list[bytes]:
        whole = self.whole(step, asked)
        found = [_event({"type": "message_start", "message": _start(whole, _usage(step, 1))})]
        for index, block in enumerate(objects(whole["content"])):
            found += _block_events(index, block)
        delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        found.append(_event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": step.tokens.output}}))
        return [*found, _event({"type": "message_stop"})]

    def begun(self, text: str, asked: Asked) -> list[bytes]:
        return self.events(Say(text), asked)[:-3]

    def failure(self, fail: Fail) -> Failure:
        status, kind, text = _WHY.get(fail.type, (500, fail.type, "scripted failure"))
        headers: dict[str, str] = {}
        if fail.seconds is not None:
            headers["retry-after"] = f"{fail.seconds:.0f}"
        if fail.type == "usage_limit":
            headers |= _limit_headers(fail.seconds if fail.seconds is not None else 3600.0)
        body: Object = {"type": "error", "error": {"type": kind, "message": fail.message or text}}
        return Failure(fail.status or status, body, headers | fail.headers)

    def failing(self, fail: Fail) -> bytes:
        return _event(self.failure(fail).body)


def _turns_done(messages: list[Object]) -> int:
    """How often the assistant has spoken in a conversation and was heard.

    Not counted: what a program puts into its mouth when it resumes a session, and tool calls that were broken off before they
    came to anything. So a step that a kill cut short is played again.
    """
    results = {
        block.get("tool_use_id"): json.dumps(block.get("content"))
        for message in messages
        for block in objects(message.get("content"))
        if block.get("type") == "tool_result"
    }
    return sum(message.get("role") == "assistant" and _was_heard(message, results) for message in messages)


def _was_heard(message: Object, results: dict[object, str]) -> bool:
    if text_of(message.get("content")) == "No response requested.":
        return False
    calls = [block.get("id") for block in objects(message.get("content")) if block.get("type") == "tool_use"]
    return not calls or not all(any(mark in results.get(call, "") for mark in BROKEN_OFF) for call in calls)


def _told(message: Object) -> list[str]:
    content = message.get("content")
    results = [text_of(block.get("content")) for block in objects(content) if block.get("type") == "tool_result"]
    return [text_of(content), *results]


def _aside(body: Object, last: str) -> str | None:
    """A warm-up, a title; a summary of the conversation so far."""
    if not body.get("tools") and SUMMARY_MARK not in json.dumps(body.get("messages")):
        return "ok"
    return "<summary>what was done so far</summary>" if SUMMARY_MARK in last else None


def _blocks_of(step: Say | Calls, asked: Asked) -> list[Object]:
    blocks: list[Object] = [{"type": "text", "text": step.text}] if step.text else []
    if isinstance(step, Calls):
        for call in (native(one, asked) for one in step.calls):
            given: Object = {"name": call.name, "input": call.input}
            blocks.append({"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:20]}"} | given)
    return blocks


def _start(whole: Object, usage: Object) -> Object:
    return whole | {"content": [], "stop_reason": None, "usage": usage}


def _block_events(index: int, block: Object) -> list[bytes]:
    is_text = block["type"] == "text"
    empty = {"type": "text", "text": ""} if is_text else block | {"input": {}}
    found = [_event({"type": "content_block_start", "index": index, "content_block": empty})]
    deltas: list[Object] = (
        [{"type": "text_delta", "text": word} for word in words_of(str(block["text"]))]
        if is_text
        else [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    )
    found += [_event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
    return [*found, _event({"type": "content_block_stop", "index": index})]


def _event(body: Object) -> bytes:
    return sse(body, str(body["type"]))


def _usage(step: Say | Calls, output_tokens: int) -> Object:
    return {
        "input_tokens": step.tokens.input - step.tokens.cached,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": step.tokens.cached,
    }


def _limit_headers(seconds: float) -> dict[str, str]:
    reset = f"{time.time() + seconds:.0f}"
    return {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": reset,
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-5h-utilization": "1.0",
        "anthropic-ratelimit-unified-5h-reset": reset,
        "anthropic-ratelimit-unified-overage-status": "rejected",
    }

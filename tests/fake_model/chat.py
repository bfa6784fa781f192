"""The OpenAI chat-completions wire format: POST .../chat/completions."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Final

from fake_model.script import Calls, Fail, Object, Say
from fake_model.tools import native
from fake_model.wire import Asked, Failure, groups, objects, sse, text_of, words_of

MEMORY_MARK: Final = "managed memory extraction subagent"
"""In the system prompt of a request that Qwen Code makes beside the task, with tools of its own."""

BROKEN_OFF: Final = "Tool execution result was not recorded"
_FINISH: Final = {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}

_WHY: Final = {
    "rate_limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "usage_limit": (429, "insufficient_quota", "insufficient_quota", "hour allocated quota exceeded."),
    "overloaded": (503, "server_error", "service_unavailable", "The server is overloaded, try again later."),
    "server": (500, "server_error", None, "The server had an error while processing your request."),
    "auth": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "invalid_request_error", "access_denied", "You are not allowed to use this."),
    "billing": (402, "invalid_request_error", "insufficient_balance", "Insufficient Balance"),
    "model_not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "context_full": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 131072 tokens. However, your messages resulted in 215000 tokens.",
    ),
    "bad_request": (400, "invalid_request_error", "invalid_value", "Something in the request is wrong."),
}


class Chat:
    """The format of Qwen Code and of many others."""

    def asked(self, path: str, headers: Mapping[str, str], body: Object) -> Asked:
        messages = objects(body.get("messages"))
        users = [text_of(message.get("content")) for message in messages if message.get("role") == "user"]
        told = [message for message in messages if message.get("role") != "assistant"]
        tools = [tool.get("function") for tool in objects(body.get("tools"))]
        options = body.get("stream_options")
        return Asked(
            model=str(body.get("model")),
            streams=body.get("stream") is True,
            turns_done=_turns_done(messages),
            first_text="\n".join(_first_users(messages)),
            last_text=users[-1] if users else "",
            told=tuple(text_of(message.get("content")) for message in told),
            offered=frozenset(str(tool.get("name")) for tool in tools if isinstance(tool, dict)),
            counts_in_stream=isinstance(options, dict) and options.get("include_usage") is True,
            conversation="",
            aside=_aside(body, messages),
        )

    def whole(self, step: Say | Calls, asked: Asked) -> Object:
        message: Object = {"role": "assistant", "content": step.text or None}
        if isinstance(step, Calls):
            message["tool_calls"] = _calls_of(step, asked)
        choice = {"index": 0, "message": message, "finish_reason": _finish(step)}
        return _head(asked, "chat.completion") | {"choices": [choice], "usage": _usage(step)}

    def events(self, step: Say | Calls, asked: Asked) -> list[bytes]:
        head = _head(asked, "chat.completion.chunk")
        found = [_chunk(head, {"role": "assistant", "content": ""})]
        found += [_chunk(head, {"content": word}) for word in (words_of(step.text) if step.text else ())]
        if isinstance(step, Calls):
            for index, call in enumerate(_calls_of(step, asked)):
                found.append(_chunk(head, {"tool_calls": [{"index": index} | call]}))
        found.append(_chunk(head, {}, _finish(step)))
        if asked.counts_in_stream:
            found.append(sse(head | {"choices": [], "usage": _usage(step)}))
        return [*found, b"data: [DONE]\n\n"]

    def begun(self, text: str, asked: Asked) -> list[bytes]:
        head = _head(asked, "chat.completion.chunk")
        return [_chunk(head, {"role": "assistant", "content": ""})] + [
            _chunk(head, {"content": word}) for word in words_of(text)
        ]

    def failure(self, fail: Fail) -> Failure:
        status, kind, code, text = _WHY.get(fail.type, (500, fail.type, fail.type, "scripted failure"))
        error: Object = {"message": fail.message or text, "type": kind, "code": code, "param": None}
        headers = {} if fail.seconds is None else {"retry-after": f"{fail.seconds:.0f}"}
        return Failure(fail.status or status, {"error": error}, headers | fail.headers)

    def failing(self, fail: Fail) -> bytes:
        return sse(self.failure(fail).body)


def _aside(body: Object, messages: list[Object]) -> str | None:
    """A title, which has no tools; what is worth remembering, which has tools of its own."""
    system = "\n".join(text_of(message.get("content")) for message in messages if message.get("role") == "system")
    if MEMORY_MARK in system:
        return "Nothing is worth remembering."
    return None if body.get("tools") else "ok"


def _first_users(messages: list[Object]) -> list[str]:
    found: list[str] = []
    for message in messages:
        if message.get("role") == "assistant":
            break
        if message.get("role") == "user":
            found.append(text_of(message.get("content")))
    return found


def _turns_done(messages: list[Object]) -> int:
    """As in every format: a call that was cut off before it came to anything is played again."""
    results = {message.get("tool_call_id"): text_of(message.get("content")) for message in messages}
    spoken: list[bool] = []
    for message in messages:
        calls = [call.get("id") for call in objects(message.get("tool_calls"))]
        lost = bool(calls) and all(BROKEN_OFF in results.get(call, "") for call in calls)
        spoken.append(message.get("role") == "assistant" and not lost)
    return groups(spoken)


def _calls_of(step: Calls, asked: Asked) -> list[Object]:
    calls = [native(one, asked) for one in step.calls]
    return [
        {
            "id": f"call_{uuid.uuid4().hex[:20]}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.input)},
        }
        for call in calls
    ]


def _finish(step: Say | Calls) -> str:
    return "tool_calls" if isinstance(step, Calls) else _FINISH.get(step.stop_reason, step.stop_reason)


def _head(asked: Asked, kind: str) -> Object:
    created = int(time.time())
    return {"id": f"chatcmpl-{uuid.uuid4().hex[:20]}", "object": kind, "created": created, "model": asked.model}


def _chunk(head: Object, delta: Object, finish: str | None = None) -> bytes:
    return sse(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _usage(step: Say | Calls) -> Object:
    return {
        "prompt_tokens": step.tokens.input,
        "completion_tokens": step.tokens.output,
        "total_tokens": step.tokens.input + step.tokens.output,
        "prompt_tokens_details": {"cached_tokens": step.tokens.cached},
    }

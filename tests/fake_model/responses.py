"""The OpenAI Responses wire format: POST .../responses. A WebSocket is refused with 426, as a program of it expects."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Final

from fake_model.script import Calls, Fail, Object, Say
from fake_model.tools import APPLY_PATCH, native
from fake_model.wire import Asked, Failure, groups, objects, sse, text_of, words_of

SUMMARY_MARK: Final = "CONTEXT CHECKPOINT COMPACTION"
_SPOKEN: Final = ("message", "reasoning", "function_call", "custom_tool_call", "local_shell_call")
_INCOMPLETE: Final = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}

_WHY: Final = {
    "rate_limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "usage_limit": (429, "usage_limit_reached", None, "The usage limit has been reached"),
    "overloaded": (503, "server_error", "server_is_overloaded", "The server is currently overloaded."),
    "server": (500, "server_error", None, "The server had an error while processing your request."),
    "auth": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "invalid_request_error", "forbidden", "You are not allowed to use this."),
    "billing": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "model_not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "context_full": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "Your input exceeds the context window of this model.",
    ),
    "bad_request": (400, "invalid_request_error", "invalid_value", "Something in the request is wrong."),
}


class Responses:
    """The format of Codex."""

    def asked(self, path: str, headers: Mapping[str, str], body: Object) -> Asked:
        items = objects(body.get("input"))
        users = [text_of(item.get("content")) for item in items if item.get("role") == "user"]
        first = [text_of(item.get("content")) for item in _until_spoken(items) if item.get("role") == "user"]
        last = users[-1] if users else ""
        return Asked(
            model=str(body.get("model")),
            streams=body.get("stream") is True,
            turns_done=_turns_done(items),
            first_text="\n".join(first),
            last_text=last,
            told=tuple(text_of(item.get("content", item.get("output"))) for item in items if not _is_spoken(item)),
            offered=frozenset(str(tool.get("name")) for tool in objects(body.get("tools"))),
            conversation=str(body.get("prompt_cache_key") or headers.get("session-id", "")),
            aside="What was done so far." if SUMMARY_MARK in last else None,
        )

    def whole(self, step: Say | Calls, asked: Asked) -> Object:
        cut = _INCOMPLETE.get(step.stop_reason) if isinstance(step, Say) else None
        usage = {
            "input_tokens": step.tokens.input,
            "input_tokens_details": {"cached_tokens": step.tokens.cached},
            "output_tokens": step.tokens.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": step.tokens.input + step.tokens.output,
        }
        return _response(asked) | {
            "status": "completed" if cut is None else "incomplete",
            "incomplete_details": None if cut is None else {"reason": cut},
            "output": _items_of(step, asked),
            "usage": usage,
        }

    def events(self, step: Say | Calls, asked: Asked) -> list[bytes]:
        whole = self.whole(step, asked)
        start = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        found = [_event({"type": "response.created", "response": start})]
        for index, item in enumerate(objects(whole["output"])):
            found += _item_events(index, item)
        return [*found, _event({"type": f"response.{whole['status']}", "response": whole})]

    def begun(self, text: str, asked: Asked) -> list[bytes]:
        return self.events(Say(text), asked)[:-2]

    def failure(self, fail: Fail) -> Failure:
        status, kind, code, text = _WHY.get(fail.type, (500, fail.type, fail.type, "scripted failure"))
        error: Object = {"message": fail.message or text, "type": kind, "code": code, "param": None}
        headers: dict[str, str] = {}
        if fail.type == "usage_limit":
            seconds = 3600.0 if fail.seconds is None else fail.seconds
            resets_at = int(time.time() + seconds)
            error |= {"plan_type": "plus", "resets_at": resets_at, "resets_in_seconds": int(seconds)}
            headers = {
                "x-codex-primary-used-percent": "100.0",
                "x-codex-primary-window-minutes": "300",
                "x-codex-primary-reset-at": str(resets_at),
            }
        elif fail.seconds is not None:
            headers["retry-after"] = f"{fail.seconds:.0f}"
        return Failure(fail.status or status, {"error": error}, headers | fail.headers)

    def failing(self, fail: Fail) -> bytes:
        found = self.failure(fail).body["error"]
        assert isinstance(found, dict)
        text = str(found["message"])
        if fail.seconds is not None:
            text += f" Please try again in {fail.seconds:.0f}s."
        error = {"code": found["code"] or found["type"], "message": text}
        response = {"id": _fresh("resp"), "object": "response", "status": "failed", "error": error}
        return _event({"type": "response.failed", "response": response})


def _is_spoken(item: Object) -> bool:
    return item.get("type", "message") in _SPOKEN and item.get("role", "assistant") == "assistant"


def _until_spoken(items: list[Object]) -> list[Object]:
    at = next((index for index, item in enumerate(items) if _is_spoken(item)), len(items))
    return items[:at]


def _turns_done(items: list[Object]) -> int:
    """As in every format: a call that was cut off before it came to anything is played again."""
    outputs = {item.get("call_id"): item.get("output") for item in items if "output" in item}
    heard = [item for item in items if not (_is_spoken(item) and outputs.get(item.get("call_id")) == "aborted")]
    return groups([_is_spoken(item) for item in heard])


def _items_of(step: Say | Calls, asked: Asked) -> list[Object]:
    part = {"type": "output_text", "text": step.text, "annotations": []}
    said: Object = {"id": _fresh("msg"), "type": "message", "role": "assistant", "status": "completed"}
    items = [said | {"content": [part]}] if step.text else []
    if isinstance(step, Calls):
        for call in (native(one, asked) for one in step.calls):
            given: Object = {"call_id": _fresh("call"), "name": call.name, "status": "completed"}
            if call.name == APPLY_PATCH:
                items.append({"id": _fresh("ctc"), "type": "custom_tool_call", "input": call.input["input"]} | given)
            else:
                arguments = json.dumps(call.input)
                items.append({"id": _fresh("fc"), "type": "function_call", "arguments": arguments} | given)
    return items


def _item_events(index: int, item: Object) -> list[bytes]:
    empty = item | ({"content": []} if item["type"] == "message" else {})
    added = empty | {"status": "in_progress"}
    found = [_event({"type": "response.output_item.added", "output_index": index, "item": added})]
    for word in words_of(text_of(item.get("content"))) if item["type"] == "message" else ():
        place = {"item_id": item["id"], "output_index": index, "content_index": 0}
        found.append(_event({"type": "response.output_text.delta", "delta": word} | place))
    return [*found, _event({"type": "response.output_item.done", "output_index": index, "item": item})]


def _response(asked: Asked) -> Object:
    return {"id": _fresh("resp"), "object": "response", "created_at": int(time.time()), "model": asked.model}


def _fresh(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:20]}"


def _event(body: Object) -> bytes:
    return sse(body, str(body["type"]))

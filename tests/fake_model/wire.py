"""The Anthropic Messages wire format: a step as a message, as server-sent events, or as an error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from fake_model.script import Calls, Object, Say

SUMMARY_MARK = "create a detailed summary"
BROKEN_OFF = ("doesn't want to proceed with this tool use", "Tool call interrupted")


def turns_done(messages: list[Object]) -> int:
    """How often the assistant has spoken in a conversation and was heard.

    Not counted: what a program puts into its mouth when it resumes a session, and tool calls that were broken off before they
    came to anything. So a step that a kill cut short is played again.
    """
    results = {
        block.get("tool_use_id"): json.dumps(block.get("content"))
        for message in messages
        for block in _blocks(message)
        if block.get("type") == "tool_result"
    }
    return sum(message.get("role") == "assistant" and _was_heard(message, results) for message in messages)


def _was_heard(message: Object, results: dict[object, str]) -> bool:
    blocks = _blocks(message)
    if [block.get("text") for block in blocks] == ["No response requested."]:
        return False
    calls = [block.get("id") for block in blocks if block.get("type") == "tool_use"]
    return not calls or not all(any(mark in results.get(call, "") for mark in BROKEN_OFF) for call in calls)


def _blocks(message: Object) -> list[Object]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def user_text(messages: list[Object], *, last: bool = False) -> str:
    """The text of the first (or last) user message."""
    users = [message for message in messages if message.get("role") == "user"]
    return "\n".join(str(block.get("text", "")) for block in _blocks(users[-1 if last else 0])) if users else ""


def is_auxiliary(body: Object) -> bool:
    """A request beside the conversation: a warm-up, a title. It gets an answer and moves no step."""
    return not body.get("tools") and SUMMARY_MARK not in json.dumps(body.get("messages"))


def blocks_of(step: Say | Calls) -> list[Object]:
    """The content blocks of an answer."""
    blocks: list[Object] = [{"type": "text", "text": step.text}] if step.text else []
    if isinstance(step, Calls):
        blocks += [
            {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:20]}", "name": call.name, "input": call.input}
            for call in step.calls
        ]
    return blocks


def stop_reason_of(step: Say | Calls) -> str:
    return "tool_use" if isinstance(step, Calls) else step.stop_reason


def message(step: Say | Calls, model: str) -> Object:
    """A whole answer, for a request that does not stream."""
    return {
        "id": f"msg_{uuid.uuid4().hex[:20]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks_of(step),
        "stop_reason": stop_reason_of(step),
        "stop_sequence": None,
        "usage": _usage(step.tokens.input, step.tokens.output),
    }


def events(step: Say | Calls, model: str) -> Iterator[bytes]:
    """The same answer as server-sent events, one word of text per event."""
    start = message(step, model) | {"content": [], "stop_reason": None, "usage": _usage(step.tokens.input, 1)}
    yield event({"type": "message_start", "message": start})
    for index, block in enumerate(blocks_of(step)):
        yield from _block_events(index, block)
    delta = {"stop_reason": stop_reason_of(step), "stop_sequence": None}
    yield event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": step.tokens.output}})
    yield event({"type": "message_stop"})


def _block_events(index: int, block: Object) -> Iterator[bytes]:
    empty = {"type": "text", "text": ""} if block["type"] == "text" else block | {"input": {}}
    yield event({"type": "content_block_start", "index": index, "content_block": empty})
    if block["type"] == "text":
        words = str(block["text"]).split(" ")
        for number, word in enumerate(words):
            part = word if number == len(words) - 1 else word + " "
            yield event({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": part}})
    else:
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield event({"type": "content_block_delta", "index": index, "delta": delta})
    yield event({"type": "content_block_stop", "index": index})


def event(data: Object) -> bytes:
    """One server-sent event."""
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def error(kind: str, text: str) -> Object:
    """An error body."""
    return {"type": "error", "error": {"type": kind, "message": text}}


def _usage(input_tokens: int, output_tokens: int) -> Object:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }

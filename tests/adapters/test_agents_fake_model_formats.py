"""Given one script, the fake model says it in each of the four wire formats, by the path. A test's tool, and its own test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import pytest
from fake_model import (
    Break,
    Call,
    Calls,
    Fail,
    FakeModel,
    Say,
    Tokens,
    Tries,
    Why,
    bash,
    edit_file,
    endless,
    read_file,
    refused,
    script,
    write_file,
)

pytestmark = pytest.mark.anyio

Body = dict[str, object]


@dataclass(frozen=True)
class Format:
    """One wire format as its program speaks it: where, what a conversation looks like, and what ends a stream."""

    path: str
    body: Callable[[list[tuple[str, str]], list[str]], Body]
    """(who, text) and the names of the tools."""
    end: str


def messages(talk: list[tuple[str, str]], tools: list[str]) -> Body:
    said = [{"role": "user" if who == "user" else "assistant", "content": text} for who, text in talk]
    return {"model": "m", "stream": True, "tools": [{"name": name} for name in tools], "messages": said}


def responses(talk: list[tuple[str, str]], tools: list[str]) -> Body:
    said = [{"type": "message", "role": who, "content": [{"type": "input_text", "text": text}]} for who, text in talk]
    start = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "instructions"}]}
    return {"model": "m", "stream": True, "tools": [{"name": name} for name in tools], "input": [start, *said]}


def chat(talk: list[tuple[str, str]], tools: list[str]) -> Body:
    said = [{"role": "system", "content": "instructions"}, *({"role": who, "content": text} for who, text in talk)]
    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    options = {"include_usage": True}
    return {"model": "m", "stream": True, "stream_options": options, "tools": offered, "messages": said}


def gemini(talk: list[tuple[str, str]], tools: list[str]) -> Body:
    roles = {"user": "user", "assistant": "model"}
    said = [{"role": roles[who], "parts": [{"text": text}]} for who, text in talk]
    return {"contents": said, "tools": [{"functionDeclarations": [{"name": name} for name in tools]}]}


FORMATS = {
    "messages": Format("/v1/messages?beta=true", messages, "message_stop"),
    "responses": Format("/v1/responses", responses, "response.completed"),
    "chat": Format("/v1/chat/completions", chat, "[DONE]"),
    "gemini": Format("/v1beta/models/m:streamGenerateContent?alt=sse", gemini, '"finishReason": "STOP"'),
}
TOOLS = {
    "messages": ["Bash", "Read", "Write", "Edit"],
    "responses": ["exec_command", "apply_patch"],
    "chat": ["run_shell_command", "read_file", "edit"],
    "gemini": ["run_shell_command", "read_file", "write_file", "replace"],
}


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def ask(model: FakeModel, kind: str, *talk: tuple[str, str]) -> httpx2.Response:
    given = FORMATS[kind]
    body = given.body(list(talk) or [("user", "hi")], TOOLS[kind])
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(f"{model.base_url}{given.path}", json=body)


def call_in(kind: str, answer: str) -> tuple[str, Body]:
    """The name and the arguments of the one tool call in a streamed answer."""
    for line in answer.splitlines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line.removeprefix("data: "))
        match kind:
            case "messages" if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
                name = event["content_block"]["name"]
            case "messages" if event.get("delta", {}).get("type") == "input_json_delta":
                return name, json.loads(event["delta"]["partial_json"])
            case "responses" if event["type"] == "response.output_item.done" and "call_id" in event["item"]:
                item = event["item"]
                return item["name"], json.loads(item["arguments"]) if "arguments" in item else {"input": item["input"]}
            case "chat" if event["choices"] and event["choices"][0]["delta"].get("tool_calls"):
                function = event["choices"][0]["delta"]["tool_calls"][0]["function"]
                return function["name"], json.loads(function["arguments"])
            case "gemini" if "functionCall" in event["candidates"][0]["content"]["parts"][0]:
                call = event["candidates"][0]["content"]["parts"][0]["functionCall"]
                return call["name"], call["args"]
            case _:
                continue
    raise AssertionError(answer)


async def test_the_step_is_decided_by_how_often_the_assistant_has_spoken(kind: str) -> None:
    async with FakeModel(script(Say("first words"), Say("second words"))) as model:
        first = await ask(model, kind)
        second = await ask(model, kind, ("user", "hi"), ("assistant", "first words"), ("user", "and?"))
        assert [seen.step for seen in model.requests] == [0, 1]
        assert "hi" in model.requests[0].text
    assert first.headers["content-type"] == "text/event-stream"
    assert FORMATS[kind].end in first.text
    assert '"first ' in first.text
    assert '"second ' in second.text


async def test_what_was_used_is_said_once_at_the_end(kind: str) -> None:
    async with FakeModel(script(Say("hello", tokens=Tokens(input=4321, output=57, cached=321)))) as model:
        answer = (await ask(model, kind)).text
    assert answer.count(" 57") == 1
    assert " 321" in answer
    assert (" 4000" if kind == "messages" else " 4321") in answer


COMMAND = {
    "messages": ("Bash", {"command": "ls", "description": "scripted"}),
    "responses": ("exec_command", {"cmd": "ls"}),
    "chat": ("run_shell_command", {"command": "ls", "description": "scripted", "is_background": False}),
    "gemini": ("run_shell_command", {"command": "ls", "description": "scripted", "is_background": False}),
}
PATCH = "*** Begin Patch\n*** Add File: a.txt\n+one\n*** End Patch"
WRITING = {
    "messages": ("Write", {"file_path": "a.txt", "content": "one\n"}),
    "responses": ("apply_patch", {"input": PATCH}),
    "chat": (
        "run_shell_command",  # it was offered nothing that writes whole files
        {"command": "printf %s b25lCg== | base64 -d > a.txt", "description": "scripted", "is_background": False},
    ),
    "gemini": ("write_file", {"file_path": "a.txt", "content": "one\n"}),
}
READING = {
    "messages": ("Read", {"file_path": "a.txt"}),
    "responses": ("exec_command", {"cmd": "cat a.txt"}),
    "chat": ("read_file", {"file_path": "a.txt"}),
    "gemini": ("read_file", {"file_path": "a.txt"}),
}


async def test_a_tool_has_one_name_in_a_script_and_arrives_under_the_programs_own(kind: str) -> None:
    steps = [bash("ls"), write_file("a.txt", "one\n"), read_file("a.txt")]
    found = []
    for step in steps:
        async with FakeModel(script(step)) as model:
            found.append(call_in(kind, (await ask(model, kind)).text))
    assert found == [COMMAND[kind], WRITING[kind], READING[kind]]


async def test_an_edit_arrives_as_the_program_edits(kind: str) -> None:
    async with FakeModel(script(edit_file("a.txt", "one", "two"))) as model:
        name, given = call_in(kind, (await ask(model, kind)).text)
    assert name == {"messages": "Edit", "responses": "apply_patch", "chat": "edit", "gemini": "replace"}[kind]
    assert "one" in str(given)
    assert "two" in str(given)


async def test_a_path_is_made_absolute_where_the_program_says_where_it_works(kind: str) -> None:
    async with FakeModel(script(read_file("a.txt"))) as model:
        _, given = call_in(
            kind, (await ask(model, kind, ("user", "I work. Working directory: /workspace/repo\n"))).text
        )
    assert next(iter(given.values())) == (
        "cat /workspace/repo/a.txt" if kind == "responses" else "/workspace/repo/a.txt"
    )


async def test_a_call_by_a_programs_own_name_goes_through_as_it_is(kind: str) -> None:
    async with FakeModel(script(Calls((Call("glob", {"pattern": "*.py"}),)))) as model:
        assert call_in(kind, (await ask(model, kind)).text) == ("glob", {"pattern": "*.py"})


async def test_endless_calls_are_never_the_same(kind: str) -> None:
    async with FakeModel(script(endless())) as model:
        one = call_in(kind, (await ask(model, kind)).text)
        two = call_in(kind, (await ask(model, kind, ("user", "hi"), ("assistant", "x"), ("user", "go on"))).text)
    assert ("echo round 0" in str(one), "echo round 1" in str(two)) == (True, True)


STATUS: dict[Why, dict[str, int]] = {
    "rate_limit": {"messages": 429, "responses": 429, "chat": 429, "gemini": 429},
    "usage_limit": {"messages": 429, "responses": 429, "chat": 429, "gemini": 429},
    "overloaded": {"messages": 529, "responses": 503, "chat": 503, "gemini": 503},
    "server": {"messages": 500, "responses": 500, "chat": 500, "gemini": 500},
    "auth": {"messages": 401, "responses": 401, "chat": 401, "gemini": 400},
    "forbidden": {"messages": 403, "responses": 403, "chat": 403, "gemini": 403},
    "billing": {"messages": 400, "responses": 429, "chat": 402, "gemini": 400},
    "model_not_found": {"messages": 404, "responses": 404, "chat": 404, "gemini": 404},
    "context_full": {"messages": 400, "responses": 400, "chat": 400, "gemini": 400},
    "bad_request": {"messages": 400, "responses": 400, "chat": 400, "gemini": 400},
}


@pytest.mark.parametrize("why", STATUS)
async def test_a_refusal_has_the_status_and_the_shape_of_its_format(kind: str, why: Why) -> None:
    async with FakeModel(script(refused(why))) as model:
        answer = await ask(model, kind)
    assert answer.status_code == STATUS[why][kind]
    error = answer.json()["error"]
    assert error["message"]
    assert ("code" in error) == (kind != "messages")
    assert ("status" in error) == (kind == "gemini")


async def test_a_refusal_for_a_rate_says_in_its_formats_way_when_to_come_again(kind: str) -> None:
    async with FakeModel(script(refused("rate_limit", 7))) as model:
        answer = await ask(model, kind)
    if kind == "gemini":
        assert {"retryDelay": "7s"}.items() <= answer.json()["error"]["details"][1].items()
    else:
        assert answer.headers["retry-after"] == "7"


async def test_a_used_up_allowance_is_told_from_a_rate(kind: str) -> None:
    async with FakeModel(script(refused("usage_limit", 600))) as model:
        answer = await ask(model, kind)
    marks = {
        "messages": answer.headers.get("anthropic-ratelimit-unified-status") == "rejected",
        "responses": answer.json()["error"].get("resets_in_seconds") == 600,
        "chat": answer.json()["error"].get("code") == "insufficient_quota",
        "gemini": "PerDay" in answer.text,
    }
    assert marks[kind]


async def test_an_error_may_come_in_the_middle_of_an_answer(kind: str) -> None:
    once = Tries((refused("overloaded", in_stream=True), Say("now")))
    async with FakeModel(script(once)) as model:
        failed = await ask(model, kind)
        assert (failed.status_code, "half" in failed.text, '"error"' in failed.text) == (200, True, True)
        assert FORMATS[kind].end not in failed.text
        assert "now" in (await ask(model, kind)).text


async def test_an_own_status_and_own_words_are_kept(kind: str) -> None:
    async with FakeModel(script(Fail(418, "teapot", "short and stout", {"x-pot": "tea"}))) as model:
        answer = await ask(model, kind)
    assert (answer.status_code, answer.headers["x-pot"]) == (418, "tea")
    assert ("teapot" in answer.text, "short and stout" in answer.text) == (True, True)


async def test_a_cut_answer_ends_in_the_middle(kind: str) -> None:
    async with FakeModel(script(Break("cut", "one two three"))) as model:
        with pytest.raises(httpx2.RemoteProtocolError):
            await ask(model, kind)


@pytest.mark.parametrize("how", ["empty", "html", "nonsense"])
async def test_an_answer_may_be_none(kind: str, how: str) -> None:
    async with FakeModel(script(Break(how))) as model:  # type: ignore[arg-type]  # one of its words
        answer = await ask(model, kind)
    assert (answer.status_code, FORMATS[kind].end in answer.text) == (200, False)


async def test_a_websocket_and_an_unknown_path_are_refused_and_noted() -> None:
    async with FakeModel(script(Say("x"))) as model, httpx2.AsyncClient(trust_env=False) as client:
        upgrade = {"upgrade": "websocket", "connection": "upgrade"}
        assert (await client.get(f"{model.base_url}/v1/responses", headers=upgrade)).status_code == 426
        assert (await client.get(f"{model.base_url}/v1/models?x=1", headers={"x-key": "k"})).status_code == 404
        assert (await client.post(f"{model.base_url}/v1/files", content=b"\xff\x00")).status_code == 404
    assert [(seen.method, seen.target) for seen in model.requests] == [
        ("GET", "/v1/responses"),
        ("GET", "/v1/models?x=1"),
        ("POST", "/v1/files"),
    ]
    assert (model.requests[1].headers["x-key"], model.requests[2].raw) == ("k", b"\xff\x00")


async def test_a_request_for_what_is_worth_remembering_moves_no_step() -> None:
    system = "You are now acting as the managed memory extraction subagent."
    body = chat([("user", "hi"), ("assistant", "x"), ("user", "y")], ["read_file"])
    body["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": "look back"}]
    async with FakeModel(script(Say("the answer"))) as model, httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{model.base_url}/v1/chat/completions", json=body)
        assert (answer.status_code, [seen.step for seen in model.requests]) == (200, [None])
        assert "the answer" not in answer.text


async def test_which_model_to_take_is_answered_as_json_and_moves_no_step() -> None:
    body = {"contents": [], "generationConfig": {"responseMimeType": "application/json"}}
    async with FakeModel(script(Say("the answer"))) as model, httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{model.base_url}/v1beta/models/m:generateContent", json=body)
        text = answer.json()["candidates"][0]["content"]["parts"][0]["text"]
        assert (json.loads(text)["model_choice"], [seen.step for seen in model.requests]) == ("flash", [None])


async def test_a_call_that_was_cut_off_is_played_again() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "exec_command", "arguments": "{}"}
    items = [{"type": "message", "role": "user", "content": "hi"}, call]
    for output, wanted in (("done", "two"), ("aborted", "one")):
        result = {"type": "function_call_output", "call_id": "c1", "output": output}
        body = {"model": "m", "stream": True, "input": [*items, result]}
        async with FakeModel(script(Say("one"), Say("two"))) as model, httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{model.base_url}/v1/responses", json=body)
        assert f'"text": "{wanted}"' in answer.text

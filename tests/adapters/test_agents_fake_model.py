"""Given a script, the fake model answers by the conversation alone. It is a test's tool, and this is its own test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2
import msgspec
import pytest
from fake_model import Conversation, Fail, FakeModel, Say, Script, Tries, bash, load_script, script
from process_watch import seconds_until

pytestmark = pytest.mark.anyio


def request(*messages: Mapping[str, object], stream: bool = False) -> dict[str, object]:
    return {"model": "m", "stream": stream, "tools": [{}], "messages": list(messages)}


def user(text: str) -> dict[str, object]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, object]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


async def ask(model: FakeModel, body: dict[str, object]) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(f"{model.base_url}/v1/messages", json=body)


def said(response: httpx2.Response) -> str:
    found = msgspec.json.decode(response.content)
    return str(found["content"][0]["text"])


async def test_the_step_is_decided_by_how_often_the_assistant_has_spoken() -> None:
    async with FakeModel(script(Say("one"), Say("two"))) as model:
        assert said(await ask(model, request(user("hi")))) == "one"
        assert said(await ask(model, request(user("hi"), assistant("one"), user("and?")))) == "two"
        assert said(await ask(model, request(user("hi")))) == "one"
        beyond = request(user("hi"), assistant("one"), user("and?"), assistant("two"), user("and?"))
        assert said(await ask(model, beyond)) == "two"


async def test_a_step_that_was_broken_off_is_played_again() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]}
    broken = "The user doesn't want to proceed with this tool use."
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": broken}]}
    async with FakeModel(script(Say("one"), Say("two"))) as model:
        resumed = request(user("hi"), call, result, assistant("No response requested."), user("go on"))
        assert said(await ask(model, resumed)) == "one"


async def test_each_conversation_has_its_own_steps() -> None:
    mine = Script((Conversation((Say("for seven"),), when="task-7"), Conversation((Say("for the rest"),))))
    async with FakeModel(mine) as model:
        assert said(await ask(model, request(user("about task-7, please")))) == "for seven"
        assert said(await ask(model, request(user("about task-8, please")))) == "for the rest"


async def test_an_answer_is_streamed_word_by_word_when_asked_for() -> None:
    async with FakeModel(script(bash("ls", text="I will look around."))) as model:
        response = await ask(model, request(user("hi"), stream=True))
    kinds = [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]
    assert kinds[0] == "message_start"
    assert kinds.count("content_block_start") == 2
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert '"stop_reason": "tool_use"' in response.text


async def test_a_failure_has_its_status_its_headers_and_the_apis_shape() -> None:
    once = Tries((Fail(529, "overloaded_error", "too much", {"retry-after": "1"}), Say("now")))
    async with FakeModel(script(once)) as model:
        failed = await ask(model, request(user("hi")))
        assert (failed.status_code, failed.headers["retry-after"]) == (529, "1")
        assert msgspec.json.decode(failed.content)["error"] == {"type": "overloaded_error", "message": "too much"}
        assert said(await ask(model, request(user("hi")))) == "now"
        assert [seen.step for seen in model.requests] == [0, 0]


async def test_as_a_program_it_plays_a_file_and_tells_its_port(tmp_path: Path) -> None:
    steps = [{"do": "calls", "calls": [["Bash", {"command": "ls"}]]}, {"do": "say", "text": "from a file"}]
    path, port_file = tmp_path / "script.json", tmp_path / "port"
    path.write_text(json.dumps({"conversations": [{"steps": steps}]}))
    with pytest.raises(msgspec.ValidationError):
        load_script(path)
    steps[0] = {"do": "calls", "calls": [{"name": "Bash", "input": {"command": "ls"}}]}
    path.write_text(json.dumps({"conversations": [{"steps": steps}]}))
    argv = [sys.executable, "-m", "fake_model", "--script", str(path), "--port-file", str(port_file)]
    program = subprocess.Popen(argv, cwd=Path(__file__).parent.parent, stdout=subprocess.DEVNULL)
    try:
        await seconds_until(port_file.exists)
        async with httpx2.AsyncClient(trust_env=False) as client:
            url = f"http://127.0.0.1:{port_file.read_text()}/v1/messages"
            response = await client.post(url, json=request(user("hi"), assistant("x"), user("y")))
        assert said(response) == "from a file"
    finally:
        program.terminate()
        program.wait()

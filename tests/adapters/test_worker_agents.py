"""Given a login, or an agent that a file describes, the whole executor runs it: paid as the task says, and the key outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from agent_programs import claude_or_skip
from executor_world import World, world
from fake_model import FakeModel, Say, bash, script
from servers import POOLS, NatsForTest
from whole import CALC_MENDED, Remote, calc_remote

from penstock import ids
from penstock.events import AgentFailed, AgentSucceeded, PlanFailed
from penstock.jobs import PlanWork

pytestmark = pytest.mark.anyio

TOKEN: Final = "sk-ant-oat01-the-login-that-stays-outside"
KEY: Final = "sk-the-key-in-a-file-that-stays-outside"
MEND: Final = bash("printf 'def add(a, b):\\n    return a + b\\n' > calc.py; env")

# It asks its model for a file's text, and shows its environment as a stranger would.
ASKER: Final = """#!/usr/bin/python3
import json, os, sys, urllib.request
if sys.argv[1:] == ["--version"]:
    sys.exit("asker 2.7.1")
body = {"model": sys.argv[2], "messages": [{"role": "user", "content": sys.stdin.read()}], "tools": [{"type": "function"}]}
url = os.environ["ASKER_URL"] + "/chat/completions"
request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
with urllib.request.urlopen(request, timeout=120) as answer:
    said = json.load(answer)
open("calc.py", "w").write(said["choices"][0]["message"]["content"])
print(json.dumps({"env": dict(os.environ)}))
print(json.dumps({"used": said["usage"], "id": said["id"]}))
print(json.dumps({"end": "Mended by the model."}))
"""

DESCRIBED: Final = """
[agents.asker]
program = "{program}"
argv = ["--model", "{{model}}"]
output = "json-lines"
version = {{ minimum = "2.7" }}
env = {{ ASKER_URL = "{{base_url}}" }}

[agents.asker.model]
dialect = "chat"
base_url = "{url}/v1?api-version=7"
key_file = "{key}"
key_header = "api-key"

[[agents.asker.rules]]
says = "usage"
take = {{ id = "/id", input_tokens = "/used/prompt_tokens", output_tokens = "/used/completion_tokens" }}
when = {{ "/used/prompt_tokens" = "~ ." }}

[[agents.asker.rules]]
says = "finished"
take = {{ text = "/end" }}
when = {{ "/end" = "~ ." }}
"""


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, remote: Remote) -> AsyncIterator[World]:
    """With a broker that knows of the agent `asker` too."""
    nats = NatsForTest(tmp_path / "nats", pools=(*POOLS, "asker"))
    nats.start()
    try:
        await nats.provision()
        async with world(tmp_path / "w", nats, remote) as found:
            yield found
    finally:
        nats.kill()


async def with_a_login(place: World, model: FakeModel) -> None:
    await place.start(
        vendors="scripted,claude",
        claude_path=str(claude_or_skip().program),
        anthropic_base_url=model.base_url,
        claude_oauth_token=TOKEN,
    )


async def test_a_login_pays_for_what_is_billed_to_a_subscription_and_stays_outside(place: World) -> None:
    task = ids.fresh()
    async with FakeModel(script(MEND, Say("Mended."))) as model:
        await with_a_login(place, model)
        base = (await place.prepared(task)).base_commit
        work = place.agent(task, base, "", vendor="claude", billing="subscription", max_cost_usd=1.0)
        done = await place.step(task, work, AgentSucceeded)
        asked = model.model_requests
    assert done.change.files == ("calc.py",)
    assert {request.headers.get("authorization") for request in asked} == {f"Bearer {TOKEN}"}
    assert not any("x-api-key" in request.headers for request in asked)
    assert all("oauth" in request.headers["anthropic-beta"] for request in asked)
    assert TOKEN not in asked[-1].text
    assert "ANTHROPIC_API_KEY" not in asked[-1].text
    assert done.usage.output_tokens > 0


async def test_a_host_without_what_is_to_pay_says_so_and_asks_nobody(place: World) -> None:
    task = ids.fresh()
    async with FakeModel(script(Say("Never."))) as model:
        await with_a_login(place, model)
        base = (await place.prepared(task)).base_commit
        work = place.agent(task, base, "", vendor="claude")
        failure = await place.step(task, work, AgentFailed)
        plan = PlanWork(
            repo=place.repo,
            branch=f"agent/{task}",
            base_commit=base,
            vendor="claude",
            model="",
            session_id="1f0c2a52-0000-4000-8000-000000000002",
            prompt="Plan it.",
            max_turns=None,
            max_cost_usd=None,
            wall_seconds_max=600.0,
        )
        no_plan = await place.step(task, plan, PlanFailed)
        assert model.model_requests == []
    for report in (failure, no_plan):
        assert (report.error_class, report.transient) == ("host.vendor_missing", True)
        assert "a login for claude and no key" in report.message


async def described(place: World, folder: Path, url: str, **settings: str) -> None:
    """An executor with the agent `asker`."""
    program, key, file = folder / "asker", folder / "asker-key", folder / "agents.toml"
    program.write_text(ASKER)
    program.chmod(0o755)
    key.write_text(f"{KEY}\n")
    file.write_text(DESCRIBED.format(program=program, url=url, key=key))
    await place.start(agents_file=str(file), **settings)


async def test_an_agent_that_a_file_describes_works_as_the_known_ones_do(place: World, tmp_path: Path) -> None:
    task = ids.fresh()
    async with FakeModel(script(Say(CALC_MENDED.strip()))) as model:
        await described(place, tmp_path, model.base_url, vendors="scripted,asker")
        state = await place.desk.host_state()
        base = (await place.prepared(task)).base_commit
        done = await place.step(task, place.agent(task, base, "big", vendor="asker"), AgentSucceeded)
        (asked,) = model.model_requests
    assert state is not None
    assert (state.vendors, state.versions) == (("scripted", "asker"), {"asker": "2.7.1"})
    assert done.change.files == ("calc.py",)
    assert (done.summary, done.vendor_version) == ("Mended by the model.", "2.7.1")
    assert done.usage.output_tokens > 0
    assert asked.headers["api-key"] == KEY
    assert "authorization" not in asked.headers
    assert asked.target.endswith("/v1/chat/completions?api-version=7")
    assert "model by gate" in done.sandbox


async def test_a_host_with_a_wrong_file_of_agents_does_not_start(place: World, tmp_path: Path) -> None:
    file = tmp_path / "agents.toml"
    file.write_text("[agents.asker]\nprogram = 'a'\nprompt = 'telepathy'\n")
    process = place.executor(agents_file=str(file))
    process.start()
    assert await asyncio.to_thread(process.ended) != 0
    assert "PENSTOCK_AGENTS_FILE" in process.log
    assert "agents.asker.prompt: Invalid enum value 'telepathy'" in process.log

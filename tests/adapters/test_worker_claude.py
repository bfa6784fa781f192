"""Given the real Claude Code and a model played by a script: the key stays outside, and a session is gone on with where it is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_programs import claude_or_skip
from executor_world import World, world
from fake_model import Call, Calls, Conversation, FakeModel, Say, Script
from servers import NatsForTest
from whole import Remote, calc_remote

from penstock import ids
from penstock.events import AgentFailed, AgentSucceeded

pytestmark = pytest.mark.anyio

KEY = "sk-ant-the-key-that-stays-outside"
MENDS = "printf 'def add(a, b):\\n    return a + b\\n' > calc.py; env"
SCRIPT = Script(
    (Conversation((Calls((Call("Bash", {"command": MENDS, "description": "mend"}),), "I mend."), Say("Mended."))),)
)


@pytest.fixture
async def model() -> AsyncIterator[FakeModel]:
    async with FakeModel(SCRIPT) as found:
        yield found


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote, model: FakeModel) -> AsyncIterator[World]:
    claude = claude_or_skip()
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start(
            vendors="scripted,claude",
            claude_path=str(claude.program),
            anthropic_base_url=model.base_url,
            anthropic_api_key=KEY,
        )
        yield found


async def test_claude_works_without_a_network_and_without_the_key(place: World, model: FakeModel) -> None:
    task = ids.fresh()
    base = (await place.prepared(task)).base_commit
    work = place.agent(task, base, "", vendor="claude", prompt="Mend the sum.")
    done = await place.step(task, work, AgentSucceeded)
    assert re.fullmatch(r"bwrap, no network, \w+, model by gate", done.sandbox)
    assert done.change.files == ("calc.py",)
    assert done.summary == "Mended."
    assert done.vendor_version
    assert all(request.headers.get("x-api-key") == KEY for request in model.requests)
    # The agent's own shell printed its environment to the model: the key was not in it.
    assert "Mend the sum." in model.requests[0].text
    assert not any(KEY in request.text for request in model.requests)


async def test_a_session_is_gone_on_with_where_it_is_and_begun_again_where_it_is_not(
    place: World, model: FakeModel
) -> None:
    task = ids.fresh()
    base = (await place.prepared(task)).base_commit
    await place.step(task, place.agent(task, base, "", vendor="claude", prompt="The first words."), AgentSucceeded)
    more = {"vendor": "claude", "resume": True, "prompt": "Only the hint.", "fresh_prompt": "The whole history."}
    before = len(model.requests)
    await place.step(task, place.agent(task, base, "", **more), AgentSucceeded)
    said = model.requests[before].text
    assert "The first words." in said
    assert "Only the hint." in said
    # Another session that is said to have begun, and is not on this host.
    other = more | {"session_id": "1f0c2a52-0000-4000-8000-000000000002"}
    before = len(model.requests)
    job = await place.desk.order(place.agent(task, base, "", **other), task=task)
    assert (await place.desk.body(job, AgentSucceeded)).session_restarted
    assert "The whole history." in model.requests[before].text
    assert "Only the hint." not in model.requests[before].text
    await place.desk.says(job, "the session to go on with is not on this host")


async def test_a_model_that_cannot_be_reached_is_transient_and_the_work_is_kept(place: World, model: FakeModel) -> None:
    task = ids.fresh()
    base = (await place.prepared(task)).base_commit
    await model.__aexit__(None, None, None)
    failed = await place.step(task, place.agent(task, base, "", vendor="claude"), AgentFailed)
    assert failed.error_class.startswith("vendor.")
    assert failed.transient

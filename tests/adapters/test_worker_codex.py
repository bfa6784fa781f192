"""Given the real Codex and a model played by a script: the key stays outside, and a session is gone on with by our name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_programs import codex_or_skip
from executor_world import World, world
from fake_model import Conversation, FakeModel, Say, Script, bash, refused
from process_watch import seconds_until
from servers import NatsForTest
from whole import Remote, calc_remote

from penstock import ids
from penstock.events import AgentFailed, AgentSucceeded, JobStopped

pytestmark = pytest.mark.anyio

KEY = "sk-the-key-that-stays-outside"
MENDS = bash("printf 'def add(a, b):\\n    return a + b\\n' > calc.py; env", "I mend.")
WAITS = bash("touch $HOME/waiting; tail -f /dev/null")
SCRIPT = Script(
    (
        Conversation((refused("rate_limit", seconds=1800),), when="Too often."),
        Conversation((MENDS, WAITS, Say("Mended.")), when="Mend, and wait."),
        Conversation((MENDS, Say("Mended."))),
    )
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
    codex = codex_or_skip()
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start(
            vendors="scripted,codex",
            codex_path=str(codex.program),
            openai_base_url=f"{model.base_url}/v1",
            openai_api_key=KEY,
        )
        yield found


async def test_codex_works_without_a_network_and_without_the_key(place: World, model: FakeModel) -> None:
    task = ids.fresh()
    base = (await place.prepared(task)).base_commit
    work = place.agent(task, base, "gpt-5.5", vendor="codex", prompt="Mend the sum.")
    done = await place.step(task, work, AgentSucceeded)
    assert done.sandbox.startswith("bwrap, no network")
    assert (done.change.files, done.summary, bool(done.vendor_version)) == (("calc.py",), "Mended.", True)
    assert (done.session_id, done.usage.turns) == (work.session_id, 2)
    assert all(request.headers.get("authorization") == f"Bearer {KEY}" for request in model.requests)
    # The agent's own shell printed its environment to the model: the key was not in it.
    assert "Mend the sum." in model.requests[0].text
    assert not any(KEY in request.text for request in model.requests)


async def test_a_session_that_was_cut_off_is_gone_on_with_and_one_that_is_gone_is_begun_again(
    place: World, model: FakeModel, tmp_path: Path
) -> None:
    task = ids.fresh()
    base = (await place.prepared(task)).base_commit
    cut_off = await place.desk.order(
        place.agent(task, base, "gpt-5.5", vendor="codex", prompt="Mend, and wait."), task=task
    )
    await seconds_until(lambda: any(tmp_path.glob("w/**/home/waiting")))
    await place.desk.stop(cut_off)
    await place.desk.body(cut_off, JobStopped)
    more = {"vendor": "codex", "resume": True, "prompt": "Only the hint.", "fresh_prompt": "The whole history."}
    # What codex calls its thread, nobody was ever told.
    before = len(model.requests)
    work = place.agent(task, base, "gpt-5.5", **more)
    job = await place.desk.order(work, task=task)
    await model.arrived(before + 1)
    said = model.requests[before].text
    assert "Mend, and wait." in said
    assert "Only the hint." in said
    await place.desk.stop(job)
    await place.desk.body(job, JobStopped)
    other = more | {"session_id": "1f0c2a52-0000-4000-8000-000000000002"}
    before = len(model.requests)
    job = await place.desk.order(place.agent(task, base, "gpt-5.5", **other), task=task)
    assert (await place.desk.body(job, AgentSucceeded)).session_restarted
    assert "The whole history." in model.requests[before].text
    assert "Only the hint." not in model.requests[before].text


async def test_a_limit_says_when_to_come_back(place: World) -> None:
    task = ids.fresh()
    base = (await place.prepared(task)).base_commit
    failed = await place.step(
        task, place.agent(task, base, "gpt-5.5", vendor="codex", prompt="Too often."), AgentFailed
    )
    assert (failed.error_class, failed.transient, failed.retry_at is not None) == ("vendor.rate_limit", True, True)

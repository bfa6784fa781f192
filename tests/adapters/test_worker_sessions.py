"""Given a session of a real agent program on one host that is gone for good, when another goes on, then with the whole of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest
from agent_programs import agent_path, claude_or_skip, codex_or_skip, gemini_or_skip, qwen_or_skip
from executor_world import World, world
from fake_model import Conversation, FakeModel, Say, Script, bash
from servers import NatsForTest
from whole import Remote, calc_remote

from penstock import ids
from penstock import subjects as s
from penstock.events import AgentSucceeded, PrepareSucceeded
from penstock.jobs import AgentWork
from penstock.values import Kept

pytestmark = pytest.mark.anyio

RUN_SECONDS_MAX: Final = 600.0
"""Programs on node take their time to begin."""

KEY: Final = "sk-the-key-that-stays-outside"
MENDS: Final = bash("printf 'def add(a, b):\\n    return a + b\\n' > calc.py", "I mend.")
SCRIPT: Final = Script((Conversation((MENDS, Say("Mended."), Say("As it was."))),))


PROGRAMS: Final[Mapping[str, Callable[[], object]]] = MappingProxyType(
    {"claude": claude_or_skip, "codex": codex_or_skip, "gemini": gemini_or_skip, "qwen": qwen_or_skip}
)
PREFIXES: Final = {"claude": "anthropic", "codex": "openai", "gemini": "gemini", "qwen": "qwen"}
PATHS: Final = {"claude": "", "codex": "/v1", "gemini": "", "qwen": "/v1"}


@pytest.fixture
async def model() -> AsyncIterator[FakeModel]:
    async with FakeModel(SCRIPT) as found:
        yield found


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture(params=sorted(PROGRAMS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, remote) as found:
        yield found


def settings_for(vendor: str, model: FakeModel) -> dict[str, str]:
    PROGRAMS[vendor]()
    prefix = PREFIXES[vendor]
    return {
        "vendors": f"scripted,{vendor}",
        f"{vendor}_path": str(agent_path(vendor)),
        f"{prefix}_base_url": model.base_url + PATHS[vendor],
        f"{prefix}_api_key": KEY,
    }


async def ran(place: World, task: str, work: AgentWork, host: str = "h1") -> AgentSucceeded:
    job = await place.desk.order(work, task=task, host=host)
    body = (await place.desk.report(job, within_seconds=RUN_SECONDS_MAX)).body
    assert isinstance(body, AgentSucceeded), body
    return body


async def test_a_session_goes_on_where_the_task_goes_on(place: World, model: FakeModel, vendor: str) -> None:
    settings, task = settings_for(vendor, model), ids.fresh()
    first = await place.start("h1", **settings)
    base = (await place.prepared(task)).base_commit
    words = {"vendor": vendor, "prompt": "The first words.", "share_work": True, "wall_seconds_max": RUN_SECONDS_MAX}
    done = await ran(place, task, place.agent(task, base, "a-model", **words))
    assert done.parcel is not None
    assert done.parcel.session is not None
    await asyncio.to_thread(first.kill)

    # Another folder: what a session remembers of paths is what the agent saw.
    await place.start("h2", data="elsewhere", **settings)
    kept = Kept(ref=done.parcel.ref, commit=done.change.commit)
    work = place.prepare(task, base_commit=base, kept=kept, parcel=done.parcel)
    await place.step(task, work, PrepareSucceeded, host="h2")
    before = len(model.requests)
    more = {"vendor": vendor, "resume": True, "prompt": "Only the hint.", "fresh_prompt": "The whole history."}
    again = place.agent(task, base, "a-model", parcel=done.parcel, **more)
    gone_on = await ran(place, task, again, host="h2")
    said = model.requests[before].text
    assert "The first words." in said
    assert "Only the hint." in said
    assert "The whole history." not in said
    assert not gone_on.session_restarted
    assert gone_on.session_id == done.session_id


async def test_a_session_that_is_not_there_any_more_is_begun_again(place: World, model: FakeModel) -> None:
    settings, task = settings_for("claude", model), ids.fresh()
    first = await place.start("h1", **settings)
    base = (await place.prepared(task)).base_commit
    words = {"vendor": "claude", "prompt": "The first words.", "share_work": True}
    done = await place.step(task, place.agent(task, base, "", **words), AgentSucceeded)
    assert done.parcel is not None
    assert done.parcel.session is not None
    await asyncio.to_thread(first.kill)
    subject = s.artifact_chunk(task, done.parcel.job, done.parcel.session.name, 0)
    await place.desk.nc.jetstream().publish(subject, b"\0" * 1024, stream=s.ARTIFACTS)

    await place.start("h2", **settings)
    parcel = done.parcel
    kept = Kept(ref=parcel.ref, commit=done.change.commit)
    await place.step(task, place.prepare(task, base_commit=base, kept=kept, parcel=parcel), PrepareSucceeded, host="h2")
    before = len(model.requests)
    more = {"vendor": "claude", "resume": True, "prompt": "Only the hint.", "fresh_prompt": "The whole history."}
    job = await place.desk.order(place.agent(task, base, "", parcel=parcel, **more), task=task, host="h2")
    assert (await place.desk.body(job, AgentSucceeded)).session_restarted
    assert "The whole history." in model.requests[before].text
    await place.desk.says(job, "the session of another host")

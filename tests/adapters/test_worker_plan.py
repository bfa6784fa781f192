"""Given an order for a plan or a summary, when an agent has answered, then that is reported and the clone is as it was."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agent_programs import claude_or_skip
from executor_world import COMMIT, MEND, World, world
from fake_model import Call, Calls, Conversation, FakeModel, Say, Script
from servers import NatsForTest
from whole import CALC, CALC_MENDED, Remote, calc_remote

from penstock import ids
from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    CompactFailed,
    CompactSucceeded,
    JobStopped,
    PlanFailed,
    PlanProposed,
)
from penstock.jobs import CompactWork, PlanWork
from penstock_agent_exec.steps.running import WORK_INSIDE

pytestmark = pytest.mark.anyio

PLAN: dict[str, Any] = {
    "summary": "Add, not subtract",
    "approach": "Change the operator.",
    "steps": ["edit calc.py", "run the tests"],
    "files_to_touch": ["calc.py"],
    "risks": ["none that I see"],
    "risk": "low",
    "acceptance_check": "the tests pass",
}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def empty(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """A world without an executor."""
    async with world(tmp_path / "w", nats, remote) as found:
        yield found


@pytest.fixture
async def place(empty: World) -> World:
    """A world with one running executor, h1."""
    await empty.start()
    return empty


@pytest.fixture
def task() -> str:
    return ids.fresh()


def given(place: World, task: str, base: str, model: str, more: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "repo": place.repo,
        "branch": f"agent/{task}",
        "base_commit": base,
        "vendor": "scripted",
        "model": model,
        "session_id": "1f0c2a52-0000-4000-8000-00000000000a",
        "prompt": "Plan how to mend it.",
        "max_turns": 30,
        "max_cost_usd": None,
        "wall_seconds_max": 600.0,
    }
    return fields | more


def plan(place: World, task: str, base: str, model: str, **more: Any) -> PlanWork:
    return PlanWork(**given(place, task, base, model, more))


def compact(place: World, task: str, base: str, model: str, **more: Any) -> CompactWork:
    return CompactWork(**given(place, task, base, model, more))


def case(run: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"when": {"run": run}, "steps": list(steps)}


def repo(place: World, task: str) -> Path:
    return place.folder / "h1" / "tasks" / task / "repo"


async def test_a_plan_is_proposed_with_what_it_cost(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    usage = {"do": "usage", "turns": 3, "input_tokens": 900, "cost_usd": 0.25}
    place.cases("plans", case("plan", {"do": "say", "text": "I look."}, usage, {"do": "plan", "plan": PLAN}))
    proposed = await place.step(task, plan(place, task, base, "plans"), PlanProposed)
    assert proposed.plan.summary == "Add, not subtract"
    assert (proposed.plan.files_to_touch, proposed.plan.risk) == (("calc.py",), "low")
    assert (proposed.usage.turns, proposed.usage.cost_usd) == (3, 0.25)
    assert re.fullmatch(r"bwrap, no network, \w+, read-only", proposed.sandbox)


async def test_a_plan_longer_than_anything_people_are_shown_is_read_whole(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    long = PLAN | {"steps": [f"step {number}: {'x' * 400}" for number in range(30)]}
    place.cases("plans", case("plan", {"do": "plan", "plan": long}))
    proposed = await place.step(task, plan(place, task, base, "plans"), PlanProposed)
    assert len(proposed.plan.steps) == 30


async def test_an_answer_that_is_no_plan_fails_and_says_what_was_wrong(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.cases("rambles", case("plan", {"do": "say", "text": "I would rather not."}))
    failed = await place.step(task, plan(place, task, base, "rambles"), PlanFailed)
    assert (failed.error_class, failed.transient) == ("plan.unreadable", False)
    assert failed.message
    assert failed.usage.cost_usd == 0.0


async def test_a_planner_at_its_limit_says_when_to_come_back(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.cases("limited", case("plan", {"do": "rate_limit", "retry_after_seconds": 600}))
    failed = await place.step(task, plan(place, task, base, "limited"), PlanFailed)
    assert (failed.error_class, failed.transient) == ("vendor.rate_limit", True)
    assert failed.retry_at is not None


async def test_a_planner_cannot_write_into_the_clone(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.cases("writes", case("plan", {"do": "write", "path": "calc.py", "content": "spoilt\n"}))
    failed = await place.step(task, plan(place, task, base, "writes"), PlanFailed)
    assert failed.error_class == "agent.crashed"
    assert "Read-only" in failed.message
    assert (repo(place, task) / "calc.py").read_text() == CALC


async def test_without_a_sandbox_what_a_planner_changed_is_put_back_and_that_is_said(empty: World, task: str) -> None:
    place = empty
    await place.start(sandbox="none")
    base = (await place.prepared(task)).base_commit
    spoils = [
        {"do": "write", "path": "calc.py", "content": "spoilt\n"},
        {"do": "commit", "message": "Spoil"},
        {"do": "write", "path": "more/left.txt", "content": "left\n"},
    ]
    # Work of an attempt that failed is there, uncommitted, and stays.
    place.cases(
        "mixed",
        case(
            "agent", {"do": "write", "path": "kept.txt", "content": "kept\n"}, {"do": "fail", "class": "agent.crashed"}
        ),
        case("plan", *spoils, {"do": "plan", "plan": PLAN}),
    )
    await place.step(task, place.agent(task, base, "mixed"), AgentFailed)
    job = await place.desk.order(plan(place, task, base, "mixed"), task=task)
    proposed = await place.desk.body(job, PlanProposed)
    assert re.fullmatch(r"no sandbox, \w+, changes discarded", proposed.sandbox)
    assert (repo(place, task) / "calc.py").read_text() == CALC
    assert (repo(place, task) / "kept.txt").read_text() == "kept\n"
    assert not (repo(place, task) / "more").exists()
    await place.desk.says(job, "put back as it was")
    untouched = case("plan", {"do": "plan", "plan": PLAN})
    place.cases("looks", untouched)
    looked = await place.step(task, plan(place, task, base, "looks"), PlanProposed)
    assert re.fullmatch(r"no sandbox, \w+", looked.sandbox)


async def test_a_planner_that_is_told_to_stop_is_stopped(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.cases("hangs", case("plan", {"do": "say", "text": "at work"}, {"do": "hang"}))
    job = await place.desk.order(plan(place, task, base, "hangs"), task=task)
    await place.desk.says(job, "at work")
    await place.desk.stop(job, "cancelled")
    assert (await place.desk.body(job, JobStopped)).reason == "cancelled"


async def test_a_script_without_a_plan_is_refused_for_a_plan(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("mends", [MEND, COMMIT])
    failed = await place.step(task, plan(place, task, base, "mends"), PlanFailed)
    assert failed.error_class == "vendor.bad_request"
    assert "nothing for this run (plan)" in failed.message


async def test_a_summary_is_handed_back_clipped_to_what_an_event_holds(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    text = "It went like this. " + "word " * 10_000 + "and so it ended."
    place.cases("tells", case("compact", {"do": "usage"}, {"do": "summary", "text": text}))
    done = await place.step(task, compact(place, task, base, "tells"), CompactSucceeded)
    assert done.summary.startswith("It went like this.")
    assert done.summary.endswith("and so it ended.")
    assert len(done.summary) <= 20_000
    assert done.usage.turns == 1


async def test_a_summary_that_fails_has_the_class_of_its_failure(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.cases("cannot", case("compact", {"do": "context_full"}))
    failed = await place.step(task, compact(place, task, base, "cannot"), CompactFailed)
    assert failed.error_class == "vendor.context_overflow"


async def test_claude_plans_with_what_only_reads(empty: World, task: str) -> None:
    claude = claude_or_skip()
    place = empty
    looks = Calls(
        (
            Call("Read", {"file_path": f"{WORK_INSIDE}/calc.py"}),
            Call("Bash", {"command": "git log --oneline", "description": "look"}),
            Call("Bash", {"command": "echo spoilt > calc.py", "description": "spoil"}),
            Call("Write", {"file_path": f"{WORK_INSIDE}/new.py", "content": "spoilt"}),
        ),
        "I look.",
    )
    answer = Say("Here it is:\n```json\n" + json.dumps(PLAN, indent=1) + "\n```\n")
    async with FakeModel(Script((Conversation((looks, answer)),))) as model:
        await place.start(
            vendors="scripted,claude",
            claude_path=str(claude.program),
            anthropic_base_url=model.base_url,
            anthropic_api_key="sk-ant-x",
        )
        base = (await place.prepared(task)).base_commit
        work = plan(place, task, base, "", vendor="claude")
        job = await place.desk.order(work, task=task)
        proposed = await place.desk.body(job, PlanProposed)
        assert proposed.plan.files_to_touch == ("calc.py",)
        assert re.fullmatch(r"bwrap, no network, \w+, read-only, model by gate", proposed.sandbox)
        told = model.requests[-1].text
    assert "a - b" in told
    assert "As it was" in told
    assert (repo(place, task) / "calc.py").read_text() == CALC
    assert not (repo(place, task) / "new.py").exists()


async def test_after_a_plan_the_agent_works_in_the_same_clone(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    script = (case("plan", {"do": "plan", "plan": PLAN}), case("agent", MEND, COMMIT))
    place.cases("both", *script)
    await place.step(task, plan(place, task, base, "both"), PlanProposed)
    done = await place.step(task, place.agent(task, base, "both"), AgentSucceeded)
    assert done.change.files == ("calc.py",)
    assert (repo(place, task) / "calc.py").read_text() == CALC_MENDED

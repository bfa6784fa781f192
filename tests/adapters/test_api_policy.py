"""Tasks over HTTP as far as the whole policy goes: every wish, new tasks out of old ones, the queue, and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from adapters.api_house import (
    DEADLINE_SECONDS,
    House,
    cancelled,
    database_of,
    house_for_many,
    submitted,
    the_api_waits,
)
from msgspec import UNSET, structs
from servers import PostgresForTest

from penstock import ids
from penstock.commands import (
    CompactTask,
    ContinueTask,
    PrioritizeTask,
    RefusedReply,
    RetryTask,
    SubmitTask,
    UnblockTask,
    WakeTask,
    Why,
)
from penstock.events import BudgetWarned, GateScored, PriorityChanged, TaskAdmitted, TaskParked
from penstock.values import Forecast, PlanGate, Signal, Window
from penstock.wish import Wish
from penstock_api.routes.wishes import WishBody

pytestmark = pytest.mark.anyio

WHOLE: dict[str, object] = {
    "repo": "shop",
    "title": "t",
    "description": "d",
    "acceptance": "a",
    "priority": 2,
    "labels": ["x"],
    "mode": "interactive",
    "plan_gate": {"silence": "park", "silence_seconds": 60},
    "depends_on": ["d" * 26],
    "vendor": "claude",
    "model": "m",
    "backup_vendor": "codex",
    "backup_model": "n",
    "billing": "subscription",
    "account": "team",
    "flow": "patch",
    "max_attempts": 5,
    "max_turns": None,
    "max_cost_usd": 1.5,
    "max_wall_seconds": 60,
    "skip_verify": True,
    "window": {"opens": "22:00", "closes": "06:00", "timezone": "Europe/Berlin"},
    "scope": ["src/"],
}


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


async def seen(house: House, task: str, seq: int) -> dict[str, object]:
    """The task once the read model has come so far."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (found := (await house.client.get(f"/v1/tasks/{task}")).json())["seq"] < seq:
            await asyncio.sleep(0.01)
    return dict(found)


def refused(answer: httpx2.Response, status: int, field: str) -> dict[str, str]:
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    return dict(answer.json())


def test_a_body_has_every_field_of_the_wish_and_no_other() -> None:
    assert WishBody.__struct_fields__ == Wish.__struct_fields__ == tuple(WHOLE)


async def test_every_field_that_is_said_reaches_the_orchestrator(house: House) -> None:
    assert (await house.client.post("/v1/tasks", json=WHOLE)).status_code == 201
    heard = house.orchestrator.heard[-1]
    assert isinstance(heard, SubmitTask)
    said = {name: getattr(heard, name) for name in Wish.__struct_fields__}
    assert said == WHOLE | {
        "labels": ("x",),
        "depends_on": ("d" * 26,),
        "plan_gate": PlanGate(silence="park", silence_seconds=60),
        "window": Window(opens="22:00", closes="06:00", timezone="Europe/Berlin"),
        "scope": ("src/",),
    }


async def test_what_is_left_out_is_left_to_the_orchestrator(house: House) -> None:
    await house.submit("only this")
    heard = house.orchestrator.heard[-1]
    assert isinstance(heard, SubmitTask)
    assert {name for name, value in structs.asdict(heard).items() if value is UNSET} == {
        *Wish.__struct_fields__,
        "template",
    } - {"repo", "title"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mode": "careful"}, "mode"),
        ({"billing": "free"}, "billing"),
        ({"backup_vendor": "gpt"}, "backup_vendor"),
        ({"depends_on": ["x"]}, "depends_on[0]"),
        ({"depends_on": ["d" * 26] * 2}, "depends_on"),
        ({"depends_on": [f"{n:026d}" for n in range(51)]}, "depends_on"),
        ({"plan_gate": {"silence": "yes"}}, "plan_gate.silence"),
        ({"plan_gate": {"silence": "deny"}}, "plan_gate.silence_seconds"),
        ({"plan_gate": {"silnece": "deny"}}, "plan_gate.silnece"),
        ({"window": {"opens": "25:00", "closes": "06:00"}}, "window.opens"),
        ({"window": {"opens": "06:00", "closes": "06:00"}}, "window.closes"),
        ({"window": {"opens": "22:00", "closes": "06:00", "timezone": "Moon/Base"}}, "window.timezone"),
        ({"window": {"opens": "22:00", "closes": "06:00", "timezone": "../etc"}}, "window.timezone"),
        ({"window": {"opens": "22:00", "closes": "06:00", "timezone": "Europe"}}, "window.timezone"),
        ({"window": {"opens": "22:00"}}, "window.closes"),
        ({"template": "nowhere"}, "template"),
        ({"template": 7}, "template"),
        ({"origin": {"kind": "schedule"}}, "origin"),
        ({"as_agent_of": "x"}, "as_agent_of"),
    ],
)
async def test_a_wish_that_cannot_be_taken_is_refused_by_field(
    house: House, change: dict[str, object], field: str
) -> None:
    heard = len(house.orchestrator.heard)
    body = refused(await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t"} | change), 422, field)
    assert body["hint"]
    assert len(house.orchestrator.heard) == heard


async def test_repo_and_title_may_come_from_the_template(house: House) -> None:
    await house.client.put("/v1/templates/whole", json={"task": {"repo": "shop", "title": "the usual"}})
    await house.client.put("/v1/templates/half", json={"task": {"repo": "shop"}})
    assert (await house.client.post("/v1/tasks", json={"template": "whole"})).status_code == 201
    heard = house.orchestrator.heard[-1]
    assert isinstance(heard, SubmitTask)
    assert (heard.template, heard.repo, heard.title) == ("whole", UNSET, UNSET)
    refused(await house.client.post("/v1/tasks", json={"template": "half"}), 422, "title")
    refused(await house.client.post("/v1/tasks", json={"title": "t"}), 422, "repo")
    answer = await house.client.post("/v1/tasks", json={"template": "hlaf", "title": "t", "repo": "shop"})
    assert "half" in refused(answer, 422, "template")["hint"]


@pytest.mark.parametrize(("verb", "body"), [("retry", None), ("continue", {"title": "and this", "description": "d"})])
async def test_a_new_task_out_of_an_old_one_is_one_task_however_often_it_is_asked_for(
    house: House, verb: str, body: dict[str, str] | None
) -> None:
    of, key = await house.submit("old"), {"Idempotency-Key": "again"}
    answers = [await house.client.post(f"/v1/tasks/{of}/{verb}", json=body, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    new = answers[0].json()["task"]
    assert new != of
    assert answers[0].headers["location"] == f"/v1/tasks/{new}"
    assert (await house.client.get(f"/v1/tasks/{new}")).status_code == 200
    heard = house.orchestrator.heard[-1]
    assert isinstance(heard, RetryTask | ContinueTask)
    assert (heard.of, heard.task, heard.via) == (of, new, "http")
    assert heard.requested_by.startswith("first (")
    keyless = await house.client.post(f"/v1/tasks/{of}/{verb}", json=body)
    assert keyless.json()["task"] != new


async def test_a_continuation_under_a_used_key_that_says_something_else_is_refused(house: House) -> None:
    of, key = await house.submit("old"), {"Idempotency-Key": "twice"}
    await house.client.post(f"/v1/tasks/{of}/continue", json={"title": "one"}, headers=key)
    answer = await house.client.post(f"/v1/tasks/{of}/continue", json={"title": "two"}, headers=key)
    refused(answer, 409, "Idempotency-Key")


async def test_a_continuation_of_what_has_not_ended_is_refused_in_the_orchestrator_s_words(house: House) -> None:
    of = await house.submit("old")
    house.orchestrator.refusals.append(RefusedReply(code="not_possible", message="it has not ended", field="of"))
    answer = await house.client.post(f"/v1/tasks/{of}/continue", json={"title": "t"})
    assert refused(answer, 409, "task")["detail"] == "it has not ended"
    refused(await house.client.post(f"/v1/tasks/{of}/continue", json={"description": "no title"}), 422, "title")


@pytest.mark.parametrize(
    ("path", "body", "kind", "said"),
    [
        ("wake", None, WakeTask, {}),
        ("compact", None, CompactTask, {}),
        ("prioritize", {"priority": 1}, PrioritizeTask, {"priority": 1}),
        (
            "unblock",
            {"max_cost_usd": 9.5, "max_wall_seconds": 600},
            UnblockTask,
            {"max_cost_usd": 9.5, "max_wall_seconds": 600},
        ),
        ("unblock", None, UnblockTask, {"max_cost_usd": None, "max_wall_seconds": None}),
    ],
)
async def test_a_verb_reaches_the_orchestrator_with_who_asked_and_which_way(
    house: House, path: str, body: dict[str, object] | None, kind: type, said: dict[str, object]
) -> None:
    task = await house.submit("a task")
    await house.client.post(f"/v1/tasks/{task}/{path}", json=body)
    heard = house.orchestrator.heard[-1]
    assert isinstance(heard, kind)
    found = structs.asdict(heard)
    assert found | said == found
    assert (found["task"], found["via"], found["as_agent_of"]) == (task, "http", "")
    assert found["requested_by"].startswith("first (")
    assert (await house.client.post(f"/v1/tasks/{ids.fresh()}/{path}", json=body)).status_code == 404


@pytest.mark.parametrize("priority", [0, 10, "1", None, 1.5])
async def test_a_priority_out_of_its_bounds_is_refused(house: House, priority: object) -> None:
    answer = await house.client.post(f"/v1/tasks/{ids.fresh()}/prioritize", json={"priority": priority})
    assert "from 1 to 9" in refused(answer, 422, "priority")["hint"]


async def test_why_comes_from_the_orchestrator_and_where_it_is_silent_from_the_row(house: House) -> None:
    task = await house.submit("a task")
    row = (await house.client.get(f"/v1/tasks/{task}")).json()
    assert row["why"] == {
        "live": False,
        "phase": row["phase"],
        "why": row["waiting_for"],
        "can_move": row["can_move"],
        "wake_at": None,
        "position": None,
    }
    house.orchestrator.why = Why(
        task=task, seq=1, phase="queued", why="repo shop has its one slot taken", can_move="task x", position=3
    )
    try:
        live = (await house.client.get(f"/v1/tasks/{task}")).json()["why"]
        house.orchestrator.mood = "silent"
        began = asyncio.get_running_loop().time()
        with the_api_waits(0.5, "penstock_api.orders.WHY_SECONDS"):
            silent = (await house.client.get(f"/v1/tasks/{task}")).json()["why"]
        took = asyncio.get_running_loop().time() - began
    finally:
        house.orchestrator.why, house.orchestrator.mood = None, "willing"
    assert (live["live"], live["position"], live["why"]) == (True, 3, "repo shop has its one slot taken")
    assert silent == row["why"]
    # Not sooner, and not only when a command would have been given up.
    assert 0.4 < took < DEADLINE_SECONDS / 2
    await house.stop_orchestrator()
    try:
        assert (await house.client.get(f"/v1/tasks/{task}")).json()["why"]["live"] is False
    finally:
        await house.start_orchestrator()


async def test_a_task_that_has_ended_waits_for_nothing(house: House) -> None:
    task = await house.submit("a task")
    ended = await seen(house, task, await house.append(task, cancelled()))
    assert ended["why"] is None


async def test_the_queue_is_in_the_order_of_priority_and_age_and_leaves_out_who_has_a_slot(house: House) -> None:
    tasks = [ids.fresh() for _ in range(5)]
    for task in tasks:
        await house.append(task, submitted(task), repo="queue")
    first, urgent, admitted, parked, last = tasks
    await house.append(urgent, PriorityChanged(priority=1, changed_by="ana"), repo="queue")
    await house.append(admitted, TaskAdmitted(number=1, priority=5, waited_seconds=0.5), repo="queue")
    wake_at = datetime.now(UTC) + timedelta(hours=1)
    await house.append(parked, TaskParked(reason="x", message="m", wake_at=wake_at, number=1), repo="queue")
    seq = await house.append(last, PriorityChanged(priority=4, changed_by="ana"), repo="queue")
    assert (await seen(house, last, seq))["priority"] == 4
    answer = (await house.client.get("/v1/queue", params={"limit": 200})).json()
    mine = [task["task"] for task in answer["tasks"] if task["repo"] == "queue"]
    assert mine == [urgent, last, first]
    assert answer["ageing_seconds"] == 900
    # With quick ageing the one that has waited longest is first, whatever it was given.
    await house.client.put("/v1/settings", json={"ageing_seconds": 0.0001})
    try:
        answer = (await house.client.get("/v1/queue", params={"limit": 200})).json()
    finally:
        await house.client.put("/v1/settings", json={})
    assert [task["task"] for task in answer["tasks"] if task["repo"] == "queue"] == [first, urgent, last]


async def test_a_task_shows_its_score_its_forecast_and_its_budget(house: House) -> None:
    task = await house.submit("a task")
    await house.append(
        task,
        GateScored(
            score=34.5,
            confidence="low",
            signals=(Signal(source="history", value=0.5, weight=1.0, why="3 of 6\0"),),
            warnings=("an open pull request",),
            forecast=Forecast(samples=6, chance=0.5, wall_seconds=300.0, turns=12),
        ),
    )
    shown = await seen(house, task, await house.append(task, BudgetWarned(budget="cost", spent=4.0, limit=5.0)))
    assert (shown["score"], shown["confidence"], shown["gate_warnings"]) == (34.5, "low", ["an open pull request"])
    assert shown["forecast"] == {"samples": 6, "chance": 0.5, "wall_seconds": 300.0, "turns": 12}
    assert shown["signals"] == [{"source": "history", "value": 0.5, "weight": 1.0, "why": "3 of 6\ufffd"}]
    assert (shown["budget_warned"], shown["max_wall_seconds"], shown["cost_usd"]) == (["cost"], 3_600, 0)
    assert (shown["mode"], shown["admitted"], shown["plan_state"], shown["depends_on"]) == (
        "autonomous",
        False,
        None,
        [],
    )

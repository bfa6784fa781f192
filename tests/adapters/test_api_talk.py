"""Plans, messages and decisions over HTTP, for people and for agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from adapters.api_house import DEADLINE_SECONDS, House, database_of, house_for_many
from msgspec import structs
from servers import PostgresForTest

from penstock import events as e
from penstock import ids
from penstock.commands import (
    AnswerDecision,
    ApprovePlan,
    CommentPlan,
    RaiseDecision,
    RefusedReply,
    RejectPlan,
    SendMessage,
)
from penstock.values import Plan, Usage

pytestmark = pytest.mark.anyio

PLAN = Plan(
    summary="Round half to even.",
    steps=("Pin it in a test.", "Change `total`."),
    files_to_touch=("round.py",),
    risk="low",
)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


async def at(house: House, task: str, seq: int) -> None:
    """Returns once the read model has come so far."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await house.client.get(f"/v1/tasks/{task}")).json()["seq"] < seq:
            await asyncio.sleep(0.01)


async def running(house: House, task: str, request: e.KnownEvent) -> str:
    """A job that was asked for by this event and has begun, epoch 1; its id."""
    job = ids.fresh()
    await house.append(task, request, id=job)
    await house.append(task, e.JobClaimed(job=job, host="h1", epoch=1))
    return job


async def planned(house: House, number: int = 1, task: str = "") -> tuple[str, int]:
    """A task whose plan waits for a person, and the last sequence."""
    task = task or await house.submit("with a plan")
    job = await running(house, task, e.PlanRequested(number=number, host="h1", session_id="s"))
    usage = Usage(turns=3, cost_usd=0.25)
    return task, await house.append(task, e.PlanProposed(job=job, epoch=1, plan=PLAN, usage=usage))


async def test_a_task_without_a_plan_says_so(house: House) -> None:
    task = await house.submit("no plan")
    answer = await house.client.get(f"/v1/tasks/{task}/plan")
    assert (answer.status_code, "interactive" in answer.json()["hint"]) == (404, True)
    assert (await house.client.get(f"/v1/tasks/{ids.fresh()}/plan")).status_code == 404


async def test_the_last_plan_is_shown_with_what_was_said_of_all_of_them_and_by_whom(house: House) -> None:
    task, seq = await planned(house)
    await at(house, task, seq)
    plan = (await house.client.get(f"/v1/tasks/{task}/plan")).json()
    assert (plan["number"], plan["state"], plan["answered_by"], plan["comments"]) == (1, "waiting", None, [])
    assert plan["plan"]["steps"] == list(PLAN.steps)
    step = (await house.client.get(f"/v1/tasks/{task}")).json()["steps"][0]
    assert (step["kind"], step["ended"], step["cost_usd"], step["job"]) == ("plan", "succeeded", 0.25, plan["job"])
    await house.append(task, e.PlanCommented(number=1, comment="smaller\0", commented_by="ana", via="chat"))
    await planned(house, 2, task)
    await house.append(task, e.PlanCommented(number=1, comment="too late", commented_by="ana"))
    await at(house, task, await house.append(task, e.PlanApproved(number=2, approved_by="bo", via="http")))
    plan = (await house.client.get(f"/v1/tasks/{task}/plan")).json()
    assert (plan["number"], plan["state"], plan["answered_by"], plan["via"]) == (2, "approved", "bo", "http")
    assert [(said["number"], said["comment"], said["commented_by"]) for said in plan["comments"]] == [
        (1, "smaller\ufffd", "ana")
    ]
    shown = (await house.client.get(f"/v1/tasks/{task}")).json()
    assert (shown["plan_number"], shown["plan_state"]) == (2, "approved")


@pytest.mark.parametrize(
    ("meaning", "state"), [("park", "unanswered"), ("deny", "rejected"), ("approve", "approved")], ids=str
)
async def test_silence_is_shown_as_silence(house: House, meaning: str, state: str) -> None:
    task, _ = await planned(house)
    silent = e.PlanUnanswered(number=1, waited_seconds=60, meaning=meaning)
    await at(house, task, await house.append(task, silent))
    plan = (await house.client.get(f"/v1/tasks/{task}/plan")).json()
    assert (plan["state"], plan["silence"], plan["answered_by"], plan["answered_at"]) == (state, meaning, None, None)


@pytest.mark.parametrize(
    ("verb", "body", "kind"),
    [
        ("approve", {"number": 1}, ApprovePlan),
        ("reject", {"number": 1, "reason": "not worth it"}, RejectPlan),
        ("comment", {"number": 2, "comment": "keep the old API"}, CommentPlan),
    ],
)
async def test_an_answer_to_a_plan_names_its_number_and_its_no_comes_back(
    house: House, verb: str, body: dict[str, object], kind: type
) -> None:
    task = await house.submit("with a plan")
    path = f"/v1/tasks/{task}/plan/{verb}"
    assert (await house.client.post(path, json=body)).status_code == 202
    heard = house.orchestrator.heard[-1]
    assert isinstance(heard, kind)
    assert structs.asdict(heard) == structs.asdict(heard) | body | {"via": "http", "task": task}
    house.orchestrator.refusals.append(RefusedReply(code="not_possible", message="plan 2 waits now", field="number"))
    answer = await house.client.post(path, json=body)
    assert (answer.status_code, answer.json()["detail"]) == (409, "plan 2 waits now")
    for wrong in ({}, body | {"number": 0}, body | {"number": "1"}):
        answer = await house.client.post(path, json={key: wrong[key] for key in wrong})
        assert (answer.status_code, answer.json()["field"]) == (422, "number")


@pytest.mark.parametrize("comment", ["", "  \n", "a\0b", "x" * 4_001, 7])
async def test_a_comment_that_says_nothing_is_refused(house: House, comment: object) -> None:
    path = f"/v1/tasks/{ids.fresh()}/plan/comment"
    answer = await house.client.post(path, json={"number": 1, "comment": comment})
    assert (answer.status_code, answer.json()["field"]) == (422, "comment")


async def messages(house: House, task: str, **params: int) -> dict[str, Any]:
    answer = await house.client.get(f"/v1/tasks/{task}/messages", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_message_is_followed_from_its_acceptance_to_its_end(house: House) -> None:
    task = await house.submit("talk")
    answer = await house.client.post(f"/v1/tasks/{task}/messages", json={"text": "leave the schema alone"})
    assert answer.status_code == 201
    made = answer.json()
    await at(house, task, made["seq"])
    (message,) = (await messages(house, task))["messages"]
    assert (message["message"], message["text"], message["from_task"]) == (
        made["message"],
        "leave the schema alone",
        None,
    )
    assert message["sender"].startswith("first (")
    assert (message["delivered_at"], message["consumed_at"]) == (None, None)
    await house.append(task, e.MessageDelivered(message=made["message"], job="j" * 26))
    await at(house, task, await house.append(task, e.MessageConsumed(message=made["message"], job="j" * 26)))
    (message,) = (await messages(house, task))["messages"]
    assert message["accepted_at"] <= message["delivered_at"] <= message["consumed_at"]
    assert message["job"] == "j" * 26


async def test_messages_come_in_pages_and_none_is_no_error(house: House) -> None:
    task = await house.submit("talk")
    assert await messages(house, task) == {"messages": [], "next": None}
    for number in range(5):
        made = (await house.client.post(f"/v1/tasks/{task}/messages", json={"text": f"{number}"})).json()
    await at(house, task, made["seq"])
    texts, after = [], 0
    while True:
        page = await messages(house, task, after=after, limit=2)
        texts += [message["text"] for message in page["messages"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert texts == ["0", "1", "2", "3", "4"]
    assert (await house.client.get(f"/v1/tasks/{ids.fresh()}/messages")).status_code == 404
    assert (await house.client.post(f"/v1/tasks/{ids.fresh()}/messages", json={"text": "x"})).status_code == 404


async def test_a_message_under_the_same_key_is_one_and_another_text_under_it_is_refused(house: House) -> None:
    task, key = await house.submit("talk"), {"Idempotency-Key": "m-1"}
    path = f"/v1/tasks/{task}/messages"
    answers = await asyncio.gather(*(house.client.post(path, json={"text": "once"}, headers=key) for _ in range(5)))
    assert {answer.text for answer in answers} == {answers[0].text}
    answer = await house.client.post(path, json={"text": "twice"}, headers=key)
    assert (answer.status_code, answer.json()["field"]) == (409, "Idempotency-Key")
    assert len((await messages(house, task))["messages"]) == 1
    other = await house.submit("talk")
    elsewhere = await house.client.post(f"/v1/tasks/{other}/messages", json={"text": "once"}, headers=key)
    assert elsewhere.json()["message"] != answers[0].json()["message"]


async def test_an_agent_writes_as_its_task_to_any_task_and_reads_its_own(house: House) -> None:
    mine, other = await house.submit("mine"), await house.submit("other")
    async with house.as_holder_of(await house.token("agent", mine)) as agent:
        answer = await agent.post(f"/v1/tasks/{other}/messages", json={"text": "the schema has moved"})
        assert answer.status_code == 201
        heard = house.orchestrator.heard[-1]
        assert isinstance(heard, SendMessage)
        assert (heard.task, heard.as_agent_of) == (other, mine)
        await at(house, other, answer.json()["seq"])
        assert (await agent.get(f"/v1/tasks/{mine}/messages")).json()["messages"] == []
        for path in (f"/v1/tasks/{other}/messages", f"/v1/tasks/{mine}", "/v1/tasks", "/v1/stream"):
            answer = await agent.get(path)
            assert answer.status_code == 403, path
            assert "raise a decision" in answer.json()["hint"]
    (message,) = (await messages(house, other))["messages"]
    assert message["from_task"] == mine


async def test_a_no_of_the_orchestrator_to_an_agent_is_forbidden(house: House) -> None:
    mine = await house.submit("mine")
    house.orchestrator.refusals.append(RefusedReply(code="forbidden", message="an agent may not"))
    async with house.as_holder_of(await house.token("agent", mine)) as agent:
        answer = await agent.post(f"/v1/tasks/{mine}/messages", json={"text": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (403, "an agent may not")


async def test_an_agent_raises_a_decision_for_its_own_task_and_nobody_else_does(house: House) -> None:
    mine, other = await house.submit("mine"), await house.submit("other")
    question = {"subject": "irreversible", "question": "Drop the old table?", "options": ["yes", "no"]}
    async with house.as_holder_of(await house.token("agent", mine)) as agent:
        made = await agent.post(f"/v1/tasks/{mine}/decisions", json=question)
        assert made.status_code == 201
        heard = house.orchestrator.heard[-1]
        assert isinstance(heard, RaiseDecision)
        assert (heard.id, heard.subject, heard.options, heard.as_agent_of) == (
            made.json()["decision"],
            "irreversible",
            ("yes", "no"),
            mine,
        )
        assert (await agent.post(f"/v1/tasks/{other}/decisions", json=question)).status_code == 403
        answered = await agent.post(f"/v1/tasks/{mine}/decisions/{heard.id}/answer", json={"answer": "yes"})
        assert answered.status_code == 403
        for change, field in (
            ({"subject": "Spend Money"}, "subject"),
            ({"question": " "}, "question"),
            ({"options": ["x"] * 11}, "options"),
            ({"job": "j"}, "job"),
        ):
            answer = await agent.post(f"/v1/tasks/{mine}/decisions", json=question | change)
            assert (answer.status_code, answer.json()["field"]) == (422, field)
    answer = await house.client.post(f"/v1/tasks/{mine}/decisions", json=question)
    assert (answer.status_code, "role agent" in answer.json()["detail"]) == (403, True)


async def test_a_decision_is_followed_from_the_question_to_the_told_answer(house: House) -> None:
    task, decision = await house.submit("a question"), ids.fresh()
    job = await running(house, task, e.AgentRequested(attempt=1, host="h1", session_id="s"))
    raised = e.DecisionRaised(
        job=job, epoch=1, decision=decision, subject="spend_money", question="Buy it?", options=("yes", "no")
    )
    stale = e.DecisionRaised(job=job, epoch=9, decision=ids.fresh(), subject="x", question="from before")
    await house.append(task, raised)
    await at(house, task, await house.append(task, stale))
    path = f"/v1/tasks/{task}/decisions"
    (shown,) = (await house.client.get(path)).json()["decisions"]
    assert (shown["decision"], shown["job"], shown["options"], shown["answer"]) == (decision, job, ["yes", "no"], None)
    assert (await house.client.get(f"/v1/tasks/{task}")).json()["decisions_open"] == 1
    assert (await house.client.post(f"{path}/{decision}/answer", json={"answer": "no"})).status_code == 202
    heard = house.orchestrator.heard[-1]
    assert isinstance(heard, AnswerDecision)
    assert (heard.decision, heard.answer, heard.via) == (decision, "no", "http")
    await house.append(task, e.DecisionAnswered(decision=decision, answer="no", answered_by="ana", via="chat"))
    await house.append(task, e.DecisionAnswered(decision=decision, answer="yes", answered_by="bo"))
    await at(house, task, await house.append(task, e.MessageDelivered(message=decision, job="j" * 26)))
    (shown,) = (await house.client.get(path)).json()["decisions"]
    assert (shown["answer"], shown["answered_by"], shown["via"]) == ("no", "ana", "chat")
    assert shown["raised_at"] <= shown["answered_at"] <= shown["delivered_at"]
    assert (await house.client.get(f"/v1/tasks/{ids.fresh()}/decisions")).status_code == 404
    answer = await house.client.post(f"{path}/nonsense/answer", json={"answer": "no"})
    assert answer.status_code == 404

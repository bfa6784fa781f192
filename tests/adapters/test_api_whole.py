"""The api before the real orchestrator and a real executor: what the stand-in of the other tests promises in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from whole import AT_ONCE, CALC, CALC_TEST, Remote, Whole, whole

from penstock import ids

pytestmark = pytest.mark.anyio

PLAN = {"summary": "Subtract no more.", "steps": ["Add."], "files_to_touch": ["calc.py"], "risk": "low"}
SMALLER = PLAN | {"summary": "One character."}
ASKS = {"do": "decision", "subject": "ambiguous", "question": "May floats change?", "options": ["yes", "no"]}
PLANNED = {
    "cases": [
        {"when": {"run": "plan", "prompt_contains": "smaller please"}, "steps": [{"do": "plan", "plan": SMALLER}]},
        {"when": {"run": "plan"}, "steps": [{"do": "plan", "plan": PLAN}]},
        {"when": {"prompt_contains": "leave the floats"}, "steps": AT_ONCE["attempts"][0]},
        {"steps": [ASKS, {"do": "say", "text": "I wait for an answer."}]},
    ]
}


async def prepared(place: Whole, folder: Path) -> None:
    """A repo with a failing test, and a template for it."""
    place.script("at-once", AT_ONCE)
    place.script("planned", PLANNED)
    folder.mkdir()
    remote = Remote(folder, {"calc.py": CALC, "test_calc.py": CALC_TEST})
    await place.add_repo("calc", str(remote.path))
    await done(
        place, "PUT", "/v1/templates/usual", {"task": {"repo": "calc", "vendor": "scripted", "model": "at-once"}}
    )


async def done(place: Whole, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
    """The answer's body; it must be a good one. What was asked without an answer is asked again, and is done once."""
    answer = await place.call(method, path, json=body, headers={"Idempotency-Key": ids.fresh()} | headers)
    assert answer.status_code < 300, answer.text
    return dict(answer.json()) if answer.content else {}


async def refused(place: Whole, method: str, path: str, body: object = None, **headers: str) -> str:
    answer = await place.call(method, path, json=body, headers=headers)
    assert answer.status_code == 409, answer.text
    return str(answer.json()["detail"])


async def held(place: Whole, words: str) -> None:
    """Returns when the orchestrator holds new tasks for this reason: what the api was told comes to it a moment later."""
    while True:
        probe = (await done(place, "POST", "/v1/tasks", {"template": "usual", "title": "probe"}))["task"]
        found = await place.task(
            probe, lambda found: not found["why"] or found["admitted"] or words in found["why"]["why"]
        )
        await place.call("POST", f"/v1/tasks/{probe}/cancel")
        await ended(place, probe)
        if found["why"] and not found["admitted"]:
            return


async def ended(place: Whole, task: str) -> dict[str, Any]:
    return await place.task(task, lambda found: found["outcome"] is not None)


async def test_a_held_queue_says_why_and_what_was_said_meanwhile_reaches_the_agent(tmp_path: Path) -> None:
    async with whole(tmp_path / "whole") as place:
        await prepared(place, tmp_path / "remote")
        await done(place, "PUT", "/v1/controls/repo/calc", {"mode": "pause", "reason": "the forge is moving"})
        await held(place, "the forge is moving")
        first = (await done(place, "POST", "/v1/tasks", {"template": "usual", "title": "first"}))["task"]
        second = (await done(place, "POST", "/v1/tasks", {"template": "usual", "title": "second"}))["task"]
        after = {"template": "usual", "title": "third", "depends_on": [first]}
        third = (await done(place, "POST", "/v1/tasks", after))["task"]
        await place.task(third)
        assert [task["task"] for task in (await done(place, "GET", "/v1/queue"))["tasks"]] == [first, second]
        await done(place, "POST", f"/v1/tasks/{second}/prioritize", {"priority": 1})
        await place.task(second, lambda found: found["priority"] == 1)
        assert [task["task"] for task in (await done(place, "GET", "/v1/queue"))["tasks"]] == [second, first]
        # Where the orchestrator has not answered within a second, the api says what the row says.
        why = (await place.task(first, lambda found: found["why"]["live"]))["why"]
        assert why["position"] == 2
        assert "the forge is moving" in why["why"]
        assert first in (await place.task(third, lambda found: found["why"]["live"]))["why"]["why"]

        said = {"text": "mind the gap"}
        messages = f"/v1/tasks/{first}/messages"
        sent = [await done(place, "POST", messages, said, **{"Idempotency-Key": "m"}) for _ in range(2)]
        assert sent[0] == sent[1]
        assert "has not ended" in await refused(place, "POST", f"/v1/tasks/{first}/retry")
        assert "no plan" in await refused(place, "POST", f"/v1/tasks/{first}/plan/approve", {"number": 1})
        made = await done(place, "POST", "/v1/tokens", {"name": "a", "role": "agent", "task": second})
        agent = {"Authorization": f"Bearer {made['token']}"}
        await done(place, "POST", messages, {"text": "from the other"}, **agent)
        question = {"subject": "publish", "question": "now?"}
        assert "at work" in await refused(place, "POST", f"/v1/tasks/{second}/decisions", question, **agent)

        await done(place, "DELETE", "/v1/controls/repo/calc")
        assert (await ended(place, first))["outcome"] == "succeeded"
        mail = (await done(place, "GET", messages))["messages"]
        assert [(one["text"], one["from_task"]) for one in mail] == [
            ("mind the gap", None),
            ("from the other", second),
        ]
        assert all(one["accepted_at"] < one["delivered_at"] < one["consumed_at"] for one in mail)
        assert (await ended(place, third))["outcome"] == "succeeded"
        again = (await done(place, "POST", f"/v1/tasks/{first}/retry", **{"Idempotency-Key": "r"}))["task"]
        assert again == (await done(place, "POST", f"/v1/tasks/{first}/retry", **{"Idempotency-Key": "r"}))["task"]
        retried = await ended(place, again)
        assert (retried["outcome"], retried["retry_of"], retried["template"]) == ("succeeded", first, "usual")
        more = (await done(place, "POST", f"/v1/tasks/{first}/continue", {"title": "and more"}))["task"]
        continued = await ended(place, more)
        # The script adds nothing to what is there already.
        assert (continued["outcome"], continued["continues_task"]) == ("no_change", first)


async def test_a_plan_is_commented_and_approved_and_a_decision_answered(tmp_path: Path) -> None:
    async with whole(tmp_path / "whole") as place:
        await prepared(place, tmp_path / "remote")
        wish = {"template": "usual", "title": "planned", "mode": "interactive", "model": "planned"}
        task = (await done(place, "POST", "/v1/tasks", wish))["task"]
        waiting = await place.task(task, lambda found: found["phase"] == "awaiting_approval")
        assert (waiting["plan_number"], waiting["plan_state"], waiting["admitted"]) == (1, "waiting", False)
        path = f"/v1/tasks/{task}/plan"
        assert (await done(place, "GET", path))["plan"]["summary"] == "Subtract no more."
        await done(place, "POST", f"{path}/comment", {"number": 1, "comment": "smaller please"})
        await place.task(task, lambda found: found["plan_number"] == 2)
        plan = await done(place, "GET", path)
        assert plan["plan"]["summary"] == "One character."
        assert [(said["number"], said["comment"], said["via"]) for said in plan["comments"]] == [
            (1, "smaller please", "http")
        ]
        assert await refused(place, "POST", f"{path}/approve", {"number": 1})
        await done(place, "POST", f"{path}/approve", {"number": 2})

        await place.task(task, lambda found: found["phase"] == "blocked" and found["decisions_open"] == 1)
        plan = await done(place, "GET", path)
        assert (plan["state"], plan["via"]) == ("approved", "http")
        assert plan["answered_by"].startswith("first (")
        (decision,) = (await done(place, "GET", f"/v1/tasks/{task}/decisions"))["decisions"]
        assert (decision["subject"], decision["options"]) == ("ambiguous", ["yes", "no"])
        answer = f"/v1/tasks/{task}/decisions/{decision['decision']}/answer"
        await done(place, "POST", answer, {"answer": "leave the floats"})
        assert (await ended(place, task))["outcome"] == "succeeded"
        (decision,) = (await done(place, "GET", f"/v1/tasks/{task}/decisions"))["decisions"]
        assert decision["answer"] == "leave the floats"
        assert decision["answered_at"] < decision["delivered_at"] < decision["consumed_at"]

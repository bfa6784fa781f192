"""A task's history over HTTP: as data, as a table, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from adapters.api_house import House, database_of, house_for_many
from servers import PostgresForTest

from penstock import ids
from penstock.commands import RefusedReply, Transition

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        running.orchestrator.told = tuple(step(seq) for seq in (11, 12, 13))
        yield running


def step(seq: int) -> Transition:
    return Transition(
        seq=seq,
        at=NOON,
        event="task_failed",
        before="running",
        after="failed",
        kind="decision",
        rule="attempts_spent",
        facts=(("attempts spent", "3 of 3"), ("last failure", "\x1b[2Jtest.failed")),
        says="the task has failed, because no attempt is left",
        agrees=seq != 13,
        instead="" if seq != 13 else "task_blocked",
    )


async def test_a_history_comes_page_by_page(house: House) -> None:
    task = await house.submit()
    first = (await house.client.get(f"/v1/tasks/{task}/explain")).json()
    assert [one["sequence"] for one in first["transitions"]] == [11, 12]
    assert first["next"] == 12
    assert first["transitions"][0] == {
        "sequence": 11,
        "time": "2026-03-02T12:00:00Z",
        "event": "task_failed",
        "before": "running",
        "after": "failed",
        "kind": "decision",
        "rule": "attempts_spent",
        "facts": {"attempts spent": "3 of 3", "last failure": "\x1b[2Jtest.failed"},
        "says": "the task has failed, because no attempt is left",
        "agrees": True,
        "instead": "",
    }
    last = (await house.client.get(f"/v1/tasks/{task}/explain", params={"after": 12})).json()
    assert [(one["sequence"], one["agrees"], one["instead"]) for one in last["transitions"]] == [
        (13, False, "task_blocked")
    ]
    assert last["next"] is None


async def test_a_table_is_for_people_and_their_terminals(house: House) -> None:
    task = await house.submit()
    answer = await house.client.get(f"/v1/tasks/{task}/explain", params={"format": "text"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "decision by attempts_spent: the task has failed, because no attempt is left" in answer.text
    assert "attempts spent: 3 of 3" in answer.text
    assert "\x1b" not in answer.text
    assert answer.text.endswith("there is more: ask with after=12\n")
    rest = await house.client.get(f"/v1/tasks/{task}/explain", params={"format": "text", "after": 12})
    assert rest.text.startswith("!      13  2026-03-02 12:00:00  task_failed: running > failed")
    assert "there is more" not in rest.text


async def test_what_cannot_be_explained_says_why(house: House) -> None:
    assert (await house.client.get(f"/v1/tasks/{ids.fresh()}/explain")).status_code == 404
    task = await house.submit()
    wrong = await house.client.get(f"/v1/tasks/{task}/explain", params={"format": "xml"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "format")
    house.orchestrator.refusals.append(RefusedReply(code="not_possible", message="the log cannot be read"))
    refused = await house.client.get(f"/v1/tasks/{task}/explain")
    assert (refused.status_code, refused.json()["detail"]) == (409, "the log cannot be read")

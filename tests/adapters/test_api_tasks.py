"""Tasks over HTTP: what is accepted, what is refused and in which words, what is shown."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx2
import msgspec
import pytest
from adapters.api_house import (
    DEADLINE_SECONDS,
    House,
    cancelled,
    database_of,
    eventually,
    house_for_many,
    submitted,
    the_api_waits,
)
from servers import PostgresForTest

from penstock import artifacts, ids
from penstock.commands import CancelTask, RefusedReply, SubmitTask
from penstock.events import PublishSucceeded
from penstock.values import Delivery

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


def problem(answer: httpx2.Response, status: int) -> dict[str, str]:
    """The problem details of the answer, which must be one of that status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == status
    body = {key: str(value) for key, value in answer.json().items()}
    assert body["type"]
    assert body["title"]
    assert "Traceback" not in answer.text
    return body


async def test_a_task_is_accepted_at_a_place_in_the_log_and_can_be_looked_at_at_once(house: House) -> None:
    answer = await house.client.post(
        "/v1/tasks", json={"repo": "shop", "title": "Make it pass", "priority": 2, "labels": ["a", "b"]}
    )
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/tasks/{made['task']}"
    assert made["seq"] > 0
    seen = (await house.client.get(f"/v1/tasks/{made['task']}")).json()
    assert (seen["title"], seen["repo"], seen["outcome"]) == ("Make it pass", "shop", None)
    assert seen["waiting_for"]
    assert seen["can_move"]
    command = house.orchestrator.heard[-1]
    assert isinstance(command, SubmitTask)
    assert (command.priority, command.labels, command.title) == (2, ("a", "b"), "Make it pass")
    assert command.submitted_by.startswith("first (")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"repo": "nowhere"}, "repo"),
        ({"repo": "Not A Name"}, "repo"),
        ({"repo": None}, "repo"),
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": 7}, "title"),
        ({"description": "x" * 20_001}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"priority": 0}, "priority"),
        ({"priority": 10}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"priority": 2.5}, "priority"),
        ({"labels": "a"}, "labels"),
        ({"labels": ["x" * 101]}, "labels[0]"),
        ({"labels": ["x"] * 21}, "labels"),
        ({"vendor": "gpt"}, "vendor"),
        ({"vendor": "Claude Code"}, "vendor"),
        ({"flow": "merge"}, "flow"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": -1}, "max_attempts"),
        ({"max_turns": -5}, "max_turns"),
        ({"max_cost_usd": -0.01}, "max_cost_usd"),
        ({"max_cost_usd": 1e300}, "max_cost_usd"),
        ({"max_wall_seconds": -1}, "max_wall_seconds"),
        ({"skip_verify": "yes"}, "skip_verify"),
        ({"titel": "typo"}, "titel"),
    ],
)
async def test_a_value_that_cannot_be_taken_is_named_with_what_would_be_right(
    house: House, change: dict[str, object], field: str
) -> None:
    heard = len(house.orchestrator.heard)
    answer = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t"} | change)
    body = problem(answer, 422)
    assert body["field"] == field
    assert body["hint"]
    assert len(body.get("value", "")) <= 110
    assert len(house.orchestrator.heard) == heard


async def test_an_unknown_vendor_is_answered_with_the_known_ones(house: House) -> None:
    answer = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t", "vendor": "gpt"})
    assert problem(answer, 422)["hint"] == "known: claude, codex, gemini, qwen, scripted"


async def test_an_unknown_repo_is_answered_with_the_known_ones(house: House) -> None:
    body = problem(await house.client.post("/v1/tasks", json={"repo": "nowhere", "title": "t"}), 422)
    assert body["value"] == "nowhere"
    assert "shop" in body["hint"]


async def test_a_missing_field_is_named(house: House) -> None:
    assert problem(await house.client.post("/v1/tasks", json={"repo": "shop"}), 422)["field"] == "title"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"nothing",
        b'{"repo": "shop", "title": "\xff\xfe"}',
        b'{"repo": "shop", "title": "\\ud800"}',
        b"[" * 20_000 + b"]" * 20_000,
        b'{"x":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"repo":"shop","title":"t","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b"\x00\x01\x02",
        b'{"repo": "shop", "title": "t"}{"repo": "shop", "title": "t"}',
    ],
    ids=["cut", "empty", "word", "not utf-8", "surrogate", "deep list", "deep object", "deep unknown", "nul", "two"],
)
async def test_bytes_that_are_no_json_are_refused_and_never_an_error_of_ours(house: House, body: bytes) -> None:
    answer = await house.client.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})
    problem(answer, 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_json_under_another_content_type_is_refused(house: House, kind: str) -> None:
    body = json.dumps({"repo": "shop", "title": "t"}).encode()
    answer = await house.client.post("/v1/tasks", content=body, headers={"Content-Type": kind})
    assert "application/json" in problem(answer, 415)["hint"]


async def test_a_body_over_the_limit_is_refused_whether_or_not_its_length_is_announced(house: House) -> None:
    body = b'{"repo": "shop", "title": "t", "description": "' + b"x" * 300_000 + b'"}'
    json_type = {"Content-Type": "application/json"}
    problem(await house.client.post("/v1/tasks", content=body, headers=json_type), 413)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    problem(await house.client.post("/v1/tasks", content=pieces(), headers=json_type), 413)


async def test_the_same_key_with_the_same_body_gives_the_same_task(house: House) -> None:
    key = {"Idempotency-Key": "order-17"}
    wish = {"repo": "shop", "title": "once"}
    first, second = [await house.client.post("/v1/tasks", json=wish, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


async def test_twenty_at_once_with_the_same_key_make_one_task(house: House) -> None:
    key = {"Idempotency-Key": "order-at-once"}
    wish = {"repo": "shop", "title": "once"}
    answers = await asyncio.gather(*(house.client.post("/v1/tasks", json=wish, headers=key) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1


async def test_the_same_key_with_another_body_is_refused(house: House) -> None:
    key = {"Idempotency-Key": "order-18"}
    await house.client.post("/v1/tasks", json={"repo": "shop", "title": "one thing"}, headers=key)
    answer = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "another"}, headers=key)
    body = problem(answer, 409)
    assert body["field"] == "Idempotency-Key"
    assert body["value"] == "order-18"


async def test_the_same_key_of_another_token_is_another_task(house: House) -> None:
    key, wish = {"Idempotency-Key": "order-19"}, {"repo": "shop", "title": "mine"}
    mine = await house.client.post("/v1/tasks", json=wish, headers=key)
    async with house.as_holder_of(await house.token("operator")) as other:
        theirs = await other.post("/v1/tasks", json=wish, headers=key)
    assert mine.json()["task"] != theirs.json()["task"]


@pytest.mark.parametrize("key", ["a b", "x" * 201, "tab\there"])
async def test_a_key_that_is_none_is_refused(house: House, key: str) -> None:
    answer = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t"}, headers={"Idempotency-Key": key})
    assert problem(answer, 400)["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("code", "status"),
    [("invalid", 422), ("conflict", 409), ("not_possible", 409), ("unknown_task", 404), ("of_a_later_version", 409)],
)
async def test_a_refusal_of_the_orchestrator_comes_in_its_own_words(house: House, code: str, status: int) -> None:
    house.orchestrator.refusals.append(RefusedReply(code=code, message="because I say so", field="title"))
    answer = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t"})
    body = problem(answer, status)
    assert status == 404 or body["detail"] == "because I say so"


async def test_a_repo_that_the_orchestrator_does_not_know_yet_is_asked_for_again(house: House) -> None:
    refusal = RefusedReply(code="unknown_repo", message="there is no repo", field="repo")
    house.orchestrator.refusals.extend([refusal, refusal])
    answer = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t"})
    assert answer.status_code == 201
    ids_heard = [command.id for command in house.orchestrator.heard[-3:] if isinstance(command, SubmitTask)]
    assert len(set(ids_heard)) == 1


async def test_an_answer_that_is_not_ready_is_asked_for_again_with_the_same_command(house: House) -> None:
    house.orchestrator.mood = "busy"
    heard = len(house.orchestrator.heard)
    asking = asyncio.create_task(house.client.post("/v1/tasks", json={"repo": "shop", "title": "t"}))
    await eventually(lambda: len(house.orchestrator.heard) > heard + 1)
    house.orchestrator.mood = "willing"
    assert (await asking).status_code == 201
    assert len({repr(command) for command in house.orchestrator.heard[heard:]}) == 1


async def test_without_an_orchestrator_the_answer_says_so_and_when_to_ask_again(house: House) -> None:
    await house.stop_orchestrator()
    try:
        with the_api_waits(0.5, "penstock_api.orders.ORDER_SECONDS_MAX"):
            answer = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t"})
    finally:
        await house.start_orchestrator()
    assert problem(answer, 503)["detail"].startswith("orchestrator: ")
    assert int(answer.headers["retry-after"]) > 0


async def test_cancel_and_unblock_reach_the_orchestrator_and_its_no_comes_back(house: House) -> None:
    unknown = ids.fresh()
    problem(await house.client.post(f"/v1/tasks/{unknown}/cancel", json={"reason": "changed my mind"}), 404)
    command = house.orchestrator.heard[-1]
    assert isinstance(command, CancelTask)
    assert (command.task, command.reason) == (unknown, "changed my mind")
    answer = await house.client.post(f"/v1/tasks/{await house.submit()}/unblock")
    assert problem(answer, 409)["detail"] == "the task is not blocked"


async def test_cancelling_needs_no_body_but_refuses_a_wrong_one(house: House) -> None:
    unknown = ids.fresh()
    problem(await house.client.post(f"/v1/tasks/{unknown}/cancel"), 404)
    body = problem(await house.client.post(f"/v1/tasks/{unknown}/cancel", json={"why": "x"}), 422)
    assert body["field"] == "why"


async def test_a_task_that_was_never_asked_for_is_not_found(house: House) -> None:
    for path in ("", "/events", "/patch", "/stream"):
        problem(await house.client.get(f"/v1/tasks/{ids.fresh()}{path}"), 404)
        problem(await house.client.get(f"/v1/tasks/NOT-AN-ID{path}"), 404)


async def test_the_events_are_the_stored_bytes_with_their_sequence(house: House) -> None:
    task = await house.submit("with events")
    last = await house.append(task, cancelled())
    await _projected(house, task, last)
    answer = await house.client.get(f"/v1/tasks/{task}/events")
    first, second = answer.json()
    assert first["event"]["type"] == "penstock.task_submitted"
    assert first["event"]["specversion"] == "1.0"
    assert (second["sequence"], second["event"]["data"]["cancelled_by"]) == (last, "a test")
    after = await house.client.get(f"/v1/tasks/{task}/events", params={"after": first["sequence"], "limit": 1})
    assert [entry["sequence"] for entry in after.json()] == [last]
    assert (await house.client.get(f"/v1/tasks/{task}/events", params={"after": last})).json() == []


async def test_a_list_goes_on_where_the_page_before_ended(house: House) -> None:
    repo = "pages"
    wanted = [ids.fresh() for _ in range(7)]
    for task in wanted:
        await house.append(task, submitted(task), repo=repo)
    last = wanted[-1]
    await _projected(house, last, await house.append(last, cancelled(), repo=repo))
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        params = {"repo": repo, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await house.client.get("/v1/tasks", params=params)).json()
        seen += [task["task"] for task in page["tasks"]]
        cursor = page["next"]
    assert cursor is None
    assert sorted(seen) == sorted(wanted)
    ended = await house.client.get("/v1/tasks", params={"repo": repo, "phase": "cancelled", "outcome": "cancelled"})
    assert [task["task"] for task in ended.json()["tasks"]] == [last]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"phase": "sleeping"}, "phase"),
        ({"outcome": "fine"}, "outcome"),
        ({"cursor": "junk"}, "cursor"),
        ({"cursor": "w6TDtsO8"}, "cursor"),
        ({"cursor": "MDAwMS0wMS0wMVQwMDowMDowMCswMDowMHxh"}, "cursor"),
        ({"repo": "a\0b"}, "repo"),
        ({"repo": "x" * 64}, "repo"),
    ],
)
async def test_a_parameter_that_cannot_be_taken_is_named(house: House, params: dict[str, str], field: str) -> None:
    assert problem(await house.client.get("/v1/tasks", params=params), 422)["field"] == field


async def test_a_patch_is_handed_out_whole_and_only_when_it_is_the_one_of_the_log(house: House) -> None:
    task, job = await house.submit("a patch"), ids.fresh()
    problem(await house.client.get(f"/v1/tasks/{task}/patch"), 404)
    mbox = b"From 0123 Mon Sep 17 00:00:00 2001\n" + b"+line\n" * 200_000
    stored = await artifacts.store(
        house.executor, task=task, job=job, name="patch", body=mbox, media_type="application/mbox"
    )
    last = await house.append(task, cancelled())
    await _projected(house, task, last)
    connection = await asyncpg.connect(house.dsn)
    try:
        await connection.execute(
            "update penstock.task set patch = $2, patch_job = $3 where task = $1",
            task,
            msgspec.json.encode(stored).decode(),
            job,
        )
        answer = await house.client.get(f"/v1/tasks/{task}/patch")
        assert answer.content == mbox
        assert answer.headers["content-type"] == "application/mbox"
        assert answer.headers["content-disposition"] == f'attachment; filename="{task}.patch"'
        # Somebody stores other bytes in its place: they are not handed out.
        await artifacts.store(
            house.executor, task=task, job=job, name="patch", body=mbox[:-6] + b"+evil\n", media_type="application/mbox"
        )
        problem(await house.client.get(f"/v1/tasks/{task}/patch"), 502)
        await connection.execute("update penstock.task set patch_job = $2 where task = $1", task, ids.fresh())
        problem(await house.client.get(f"/v1/tasks/{task}/patch"), 410)
    finally:
        await connection.close()


async def _projected(house: House, task: str, seq: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await house.client.get(f"/v1/tasks/{task}")).json()["seq"] < seq:
            await asyncio.sleep(0.01)


async def test_what_an_agent_has_printed_is_handed_out_by_its_job(house: House) -> None:
    task, job = await house.submit("a transcript"), ids.fresh()
    problem(await house.client.get(f"/v1/tasks/{task}/transcripts/{job}"), 404)
    printed = gzip.compress(b'{"type":"result"}\n')
    stored = await artifacts.store(
        house.executor, task=task, job=job, name="transcript", body=printed, media_type="text/html"
    )
    connection = await asyncpg.connect(house.dsn)
    try:
        await connection.execute(
            "insert into penstock.step (job, task, kind, attempt, requested_at, transcript)"
            " values ($1, $2, 'agent', 1, now(), $3)",
            job,
            task,
            msgspec.json.encode(stored).decode(),
        )
        steps = (await house.client.get(f"/v1/tasks/{task}")).json()["steps"]
        assert [step["transcript"]["sha256"] for step in steps] == [stored.sha256]
        answer = await house.client.get(f"/v1/tasks/{task}/transcripts/{job}")
        assert answer.content == printed
        assert answer.headers["content-type"] == "application/gzip"
        assert answer.headers["content-disposition"] == f'attachment; filename="{task}-{job}.jsonl.gz"'
        problem(await house.client.get(f"/v1/tasks/{task}/transcripts/{ids.fresh()}"), 404)
        problem(await house.client.get(f"/v1/tasks/{ids.fresh()}/transcripts/{job}"), 404)
    finally:
        await connection.close()


async def test_a_patch_is_handed_out_commit_by_commit_as_the_log_names_them(house: House) -> None:
    task, job = await house.submit("a patch of two commits"), ids.fresh()
    problem(await house.client.get(f"/v1/tasks/{task}/patches/1"), 404)
    mboxes = (b"From 0001\n+one\n", b"From 0002\n+two\n")
    parts = [
        await artifacts.store(
            house.executor, task=task, job=job, name=f"patch-{n}", body=mbox, media_type="application/mbox"
        )
        for n, mbox in enumerate(mboxes, 1)
    ]
    delivery = Delivery(kind="patch", commit="c" * 40, patches=tuple(parts))
    await house.append(task, PublishSucceeded(job=job, epoch=1, delivery=delivery))
    for n, mbox in enumerate(mboxes, 1):
        answer = await house.client.get(f"/v1/tasks/{task}/patches/{n}")
        assert (answer.content, answer.headers["content-type"]) == (mbox, "application/mbox")
    problem(await house.client.get(f"/v1/tasks/{task}/patches/3"), 404)
    problem(await house.client.get(f"/v1/tasks/{task}/patches/0"), 404)

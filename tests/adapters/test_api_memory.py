"""What is remembered of earlier work, over HTTP: found by its words, corrected, added to, forgotten, and always back again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest
from adapters.api_house import DEADLINE_SECONDS, House, cancelled, database_of, house_for_many
from servers import PostgresForTest

from penstock import events as e
from penstock import ids
from penstock import subjects as s
from penstock.catalog import Control
from penstock.codec import encode
from penstock.values import Change, Delivery, Recalled, RepoSnapshot, Usage
from penstock_launcher.folder import FIRST_TOKEN, DataFolder, Running
from penstock_launcher.memory import memory

pytestmark = pytest.mark.anyio

KEYS = {
    "memory": "memory",
    "memory_of_task": "memory",
    "memory_note": "memory",
    "memory_recall": "memory, task",
    "memory_word": "repo, word, number",
    "memory_common": "repo, word",
    "memory_total": "repo",
    "memory_position": "seq",
}
HEAD = "c" * 40


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        for repo in ("corrected", "forgotten", "dropped", "aged", "listed"):
            await running.put_repo(repo)
        yield running


async def ended(house: House, title: str, repo: str = "shop", *, good: bool = True, description: str = "") -> str:
    """A task of one attempt, from its submission to its end; its id."""
    task, prepare, agent, publish = ids.fresh(), ids.fresh(), ids.fresh(), ids.fresh()
    snapshot = RepoSnapshot(name=repo, clone_url="https://example.com/x.git")
    change = Change(
        commit=HEAD, commits=1, files=("shop/price_list.py",), files_changed=1, lines_added=1, lines_removed=1
    )
    delivery = Delivery(kind="pull_request", commit=HEAD, branch="b", url="https://example.com/pulls/7")
    log: list[tuple[e.KnownEvent, str]] = [
        (e.TaskSubmitted(title=title, description=description, repo=snapshot), ""),
        (e.PrepareRequested(number=1), prepare),
        (e.JobClaimed(job=prepare, host="h1", epoch=1), ""),
        (e.PrepareSucceeded(job=prepare, epoch=1, host="h1", base_commit="b" * 40, branch="b"), ""),
        (e.AgentRequested(attempt=1, host="h1", session_id="s"), agent),
        (e.JobClaimed(job=agent, host="h1", epoch=2), ""),
    ]
    if good:
        did = e.AgentSucceeded(job=agent, epoch=2, change=change, summary="Rounded half to even.", usage=Usage(turns=4))
        log += [
            (did, ""),
            (e.VerifySkipped(attempt=1, commit=HEAD, reason="skip_verify"), ""),
            (e.PublishRequested(number=1, host="h1", commit=HEAD, branch="b", flow="branch", verified=False), publish),
            (e.JobClaimed(job=publish, host="h1", epoch=3), ""),
            (e.PublishSucceeded(job=publish, epoch=3, delivery=delivery), ""),
            (e.TaskUnverified(delivery=delivery, attempts=1, usage=Usage(turns=4), reason="skip_verify"), ""),
        ]
    else:
        message = "AssertionError: totals differ"
        log += [
            (e.AgentFailed(job=agent, epoch=2, error_class="test.failed", message=message), ""),
            (e.TaskFailed(error_class="test.failed", message=message, attempts=1, usage=Usage()), ""),
        ]
    for event, id_ in log:
        await house.append(task, event, repo=repo, id=id_)
    await shown(house, task)
    return task


async def shown(house: House, memory: str, status: int = 200) -> dict[str, object]:
    """The memory, as soon as the answer has this status."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (answer := await house.client.get(f"/v1/memories/{memory}")).status_code != status:
            await asyncio.sleep(0.02)
    found = answer.json()
    assert isinstance(found, dict)
    return found


async def found(house: House, repo: str, q: str) -> list[dict[str, object]]:
    answer = await house.client.get("/v1/memories", params={"repo": repo, "q": q})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["memories"])


async def added(house: House, repo: str, title: str, text: str, **more: object) -> str:
    body = {"repo": repo, "kind": "lesson", "title": title, "text": text} | more
    answer = await house.client.post("/v1/memories", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/memories/{answer.json()['memory']}"
    return str(answer.json()["memory"])


async def dump(dsn: str) -> dict[str, list[str]]:
    connection = await asyncpg.connect(dsn)
    try:
        return {
            table: [
                row[0]
                for row in await connection.fetch(f"select row(t.*)::text from penstock.{table} t order by {key}")
            ]
            for table, key in KEYS.items()
        }
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return {}
    finally:
        await connection.close()


async def test_what_a_task_has_come_to_is_remembered_as_it_was(house: House) -> None:
    good = await ended(house, "Round prices half to even", description="see Money.round_to")
    bad = await ended(house, "Round totals up", good=False)
    success, failure = await shown(house, good), await shown(house, bad)
    assert (success["kind"], success["outcome"], success["attempts"], success["turns"]) == (
        "success",
        "unverified",
        1,
        4,
    )
    assert (success["url"], success["files"]) == ("https://example.com/pulls/7", ["shop/price_list.py"])
    assert "nothing has checked it" in str(success["happened"])
    assert "Rounded half to even." in str(success["happened"])
    assert success["asked"] == "see Money.round_to"
    assert (failure["kind"], failure["outcome"], failure["error_class"]) == ("failure", "failed", "test.failed")
    assert "AssertionError: totals differ" in str(failure["happened"])


async def test_a_task_that_nobody_has_worked_on_leaves_nothing(house: House) -> None:
    task = ids.fresh()
    snapshot = RepoSnapshot(name="shop", clone_url="https://example.com/x.git")
    await house.append(task, e.TaskSubmitted(title="Never mind", repo=snapshot))
    await house.append(task, cancelled())
    await ended(house, "A later one")
    answer = await house.client.get(f"/v1/memories/{task}")
    assert answer.status_code == 404


@pytest.mark.parametrize("words", ["price_list", "priceList", "PRICE LIST rounding", "rounds prices", "Money.roundTo"])
async def test_identifiers_are_found_however_they_are_spelled(house: House, words: str) -> None:
    await ended(house, "Keep the changelog short", good=False)
    task = await ended(house, "Round prices half to even", description="see Money.round_to")
    first, *_ = await found(house, "shop", words)
    assert first["title"] == "Round prices half to even"
    similarity = first["similarity"]
    assert isinstance(similarity, float)
    assert 0.3 < similarity <= 1.0
    assert task in [one["memory"] for one in await found(house, "shop", words)]


async def test_nothing_is_found_in_another_repo_or_by_words_that_say_nothing(house: House) -> None:
    await ended(house, "Round prices half to even")
    assert await found(house, "corrected", "rounds prices") == []
    assert await found(house, "shop", "the of and with") == []
    assert await found(house, "shop", "?!…") == []
    refused = await house.client.get("/v1/memories", params={"q": "prices"})
    assert (refused.status_code, refused.json()["field"]) == (422, "repo")


async def test_a_correction_holds_whatever_the_task_had_left(house: House) -> None:
    task = await ended(house, "Round prices half up", "corrected", good=False)
    body = {"kind": "lesson", "title": "Never round before tax", "text": "The tax office rounds per invoice."}
    answer = await house.client.patch(f"/v1/memories/{task}", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["kind"], told["title"], told["happened"]) == tuple(body.values())
    assert told["corrected"]
    assert told["outcome"] == "failed"
    assert [one["memory"] for one in await found(house, "corrected", "invoices of the tax office")] == [task]
    assert await found(house, "corrected", "half up") == []
    pinned = await house.client.patch(f"/v1/memories/{task}", json={"pinned": True})
    assert (pinned.json()["pinned"], pinned.json()["title"]) == (True, body["title"])


async def test_what_people_write_down_is_found_and_added_once_under_one_key(house: House) -> None:
    body = {"repo": "shop", "kind": "decision", "title": "Prices are cents", "text": "Floats have lost a cent."}
    key = {"Idempotency-Key": "one"}
    first = await house.client.post("/v1/memories", json=body, headers=key)
    again = await house.client.post("/v1/memories", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = await house.client.post("/v1/memories", json=body | {"text": "No."}, headers=key)
    assert (other.status_code, other.json()["field"]) == (409, "Idempotency-Key")
    told = await shown(house, first.json()["memory"])
    assert (told["kind"], told["task"], told["corrected"]) == ("decision", None, False)
    assert str(told["written_by"])
    assert first.json()["memory"] in [one["memory"] for one in await found(house, "shop", "lost cents of floats")]


async def test_what_cannot_be_taken_is_named(house: House) -> None:
    good = {"repo": "shop", "kind": "lesson", "title": "t", "text": "x"}
    for field, value in (("repo", "nowhere"), ("kind", "success"), ("title", ""), ("text", " "), ("text", "\0")):
        answer = await house.client.post("/v1/memories", json=good | {field: value})
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    memory = await added(house, "shop", "Corrected by nothing", "It stays as it is.")
    before = await shown(house, memory)
    nothing = await house.client.patch(f"/v1/memories/{memory}", json={})
    assert (nothing.status_code, nothing.json()["hint"]) == (422, "give at least one of: kind, title, text, pinned")
    assert await shown(house, memory) == before
    for method, path, status in (
        ("GET", ids.fresh(), 404),
        ("PATCH", ids.fresh(), 404),
        ("DELETE", ids.fresh(), 404),
        ("GET", "no-id", 404),
    ):
        body: dict[str, object] | None = {} if method == "PATCH" else None
        answer = await house.client.request(method, f"/v1/memories/{path}", json=body)
        assert answer.status_code == status, answer.text


async def test_viewers_look_and_agents_do_not(house: House) -> None:
    memory = await added(house, "shop", "Look before you leap", "Read the instructions of the repository.")
    async with house.as_holder_of(await house.token("viewer")) as viewer:
        assert (await viewer.get("/v1/memories")).status_code == 200
        assert (await viewer.get(f"/v1/memories/{memory}")).status_code == 200
        assert await _statuses(viewer, memory) == [403, 403, 403]
    async with house.as_holder_of(await house.token("agent", await house.submit())) as agent:
        assert (await agent.get("/v1/memories")).status_code == 403
        assert await _statuses(agent, memory) == [403, 403, 403]


async def _statuses(client: httpx2.AsyncClient, memory: str) -> list[int]:
    body = {"repo": "shop", "kind": "lesson", "title": "t", "text": "x"}
    return [
        (await client.post("/v1/memories", json=body)).status_code,
        (await client.patch(f"/v1/memories/{memory}", json={"pinned": True})).status_code,
        (await client.delete(f"/v1/memories/{memory}")).status_code,
    ]


async def test_what_is_forgotten_is_shown_nowhere_any_more(house: House, database: str) -> None:
    task = await ended(house, "Rotate the zebrafish key", "forgotten", good=False)
    memory = await added(house, "forgotten", "Zebrafish lesson", "The zebrafish key was leaked.")
    later = ids.fresh()
    snapshot = RepoSnapshot(name="forgotten", clone_url="https://example.com/x.git")
    await house.append(later, e.TaskSubmitted(title="Another", repo=snapshot), repo="forgotten")
    items = tuple(
        Recalled(memory=one, kind="lesson", title="Zebrafish", happened="zebrafish", similarity=0.5)
        for one in (memory, task)
    )
    last = await house.append(later, e.MemoryRecalled(items=items), repo="forgotten")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await shown(house, memory))["recalls"] != 1:
            await asyncio.sleep(0.02)
    for one in (memory, task):
        assert (await house.client.delete(f"/v1/memories/{one}")).status_code == 204
        assert (await house.client.get(f"/v1/memories/{one}")).status_code == 410
        assert (await house.client.delete(f"/v1/memories/{one}")).status_code == 410
        assert (await house.client.patch(f"/v1/memories/{one}", json={"title": "t"})).status_code == 410
    assert await found(house, "forgotten", "zebrafish") == []
    listed = await house.client.get("/v1/memories", params={"repo": "forgotten"})
    assert listed.json()["memories"] == []
    events = (await house.client.get(f"/v1/tasks/{later}/events")).json()
    assert events[-1]["sequence"] == last
    assert "ebrafish" not in json.dumps(events)
    assert [item["memory"] for item in events[-1]["event"]["data"]["items"]] == [memory, task]
    rows = await dump(database)
    assert not any("ebrafish" in row for table in ("memory", "memory_note", "memory_word") for row in rows[table])
    # Not even the entry's own past has it.
    stream = await house.writer.jetstream().stream_info(
        s.kv_stream(s.CATALOG), subjects_filter=f"{s.kv(s.CATALOG, 'memory')}.>"
    )
    assert (stream.state.subjects or {})[s.kv(s.CATALOG, s.catalog_memory(memory))] == 1


async def test_dropped_tables_come_back_byte_for_byte_with_what_people_have_said(house: House, database: str) -> None:
    task = await ended(house, "Parse HTTPHeaders in the proxy", "dropped")
    gone = await ended(house, "Forget me", "dropped")
    memory = await added(house, "dropped", "A lesson", "Never parse headers by hand.", pinned=True)
    await house.client.patch(f"/v1/memories/{task}", json={"title": "Parse the headers of the proxy"})
    await house.client.delete(f"/v1/memories/{gone}")
    later = ids.fresh()
    await house.append(
        later,
        e.TaskSubmitted(title="Later", repo=RepoSnapshot(name="dropped", clone_url="https://e.com/x.git")),
        repo="dropped",
    )
    item = Recalled(memory=memory, kind="lesson", title="A lesson", happened="", similarity=0.5)
    await house.append(later, e.MemoryRecalled(items=(item,)), repo="dropped")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await shown(house, memory))["recalls"] != 1:
            await asyncio.sleep(0.02)
    before = await dump(database)
    assert len(before["memory"]) >= 3
    connection = await asyncpg.connect(database)
    try:
        # Both readers notice it by themselves: one with the next event, the other by looking.
        await connection.execute("drop schema penstock cascade")
    finally:
        await connection.close()
    await house.append(later, e.CompactionAsked(asked_by="ana"), repo="dropped")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await dump(database) != before:
            await asyncio.sleep(0.1)


async def test_lists_are_paged_newest_first_and_by_kind(house: House) -> None:
    made = [await added(house, "listed", f"Lesson {number}", "x y z") for number in range(5)]
    decision = await added(house, "listed", "A decision", "chosen", kind="decision")
    seen: list[str] = []
    params: dict[str, str | int] = {"repo": "listed", "limit": 2}
    while True:
        page = (await house.client.get("/v1/memories", params=params)).json()
        seen += [one["memory"] for one in page["memories"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert seen == [decision, *reversed(made)]
    only = await house.client.get("/v1/memories", params={"repo": "listed", "kind": "decision"})
    assert [one["memory"] for one in only.json()["memories"]] == [decision]


async def test_age_and_archive_are_the_fleets_to_set(house: House) -> None:
    task = await ended(house, "Tune the garbage collector", "aged")
    answer = await house.client.put(
        "/v1/settings", json={"memory": {"half_life_days": 30, "archive_after_days": 0.000001}}
    )
    assert answer.status_code == 200, answer.text
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            # The smallest age that can be set is a tenth of a second, which a quick machine has not needed.
            while not (await shown(house, task))["archived"]:
                await asyncio.sleep(0.02)
        pinned = await house.client.patch(f"/v1/memories/{task}", json={"pinned": True})
        assert pinned.json()["archived"] is False
        lesson = await added(house, "aged", "Garbage", "Collect it.")
        assert (await shown(house, lesson))["archived"] is False
    finally:
        await house.client.put("/v1/settings", json={})


async def test_an_entry_that_cannot_be_read_changes_nothing(house: House) -> None:
    memory = await added(house, "shop", "Stays as it is", "Whatever comes.")
    nc = await house.nats.connect()
    try:
        js = nc.jetstream()
        await js.publish(s.kv(s.CATALOG, s.catalog_memory(memory)), b"{not json")
        await js.publish(s.kv(s.CATALOG, s.catalog_memory(memory)), encode(Control(mode="pause")))
    finally:
        await nc.close()
    after = await added(house, "shop", "Comes later", "And is there.")
    await shown(house, after)
    assert (await shown(house, memory))["title"] == "Stays as it is"


async def test_the_command_line_does_all_of_it(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(tmp_path)
    with folder.locked():
        folder.say_running(
            Running(
                pid=1, http_url=house.url, nats_url="", nats_monitor_url="", postgres_port=1, admin_urls={}, parts={}
            )
        )
        folder.secret_file(FIRST_TOKEN).write_text(house.admin_token)

        async def said(*arguments: str) -> tuple[int, str]:
            code = await asyncio.to_thread(memory, ["--data", str(tmp_path), *arguments], {})
            return code, "\n".join(line for line in capsys.readouterr().out.splitlines() if "http.request" not in line)

        code, added_id = await said(
            "add", "listed", "--kind", "lesson", "--title", "Otters", "--text", "Otters\x1b[31m bite."
        )
        assert code == 0
        await shown(house, added_id.strip())
        assert f"{added_id.strip()} 1.00 lesson listed: Otters" in (await said("search", "listed", "otters"))[1]
        assert "Otters" in (await said("list", "--repo", "listed", "--kind", "lesson"))[1]
        code, corrected = await said("correct", added_id.strip(), "--title", "Otters bite", "--pin")
        assert code == 0
        assert "pinned:" in corrected
        assert "Otters [31m bite." in (await said("show", added_id.strip()))[1]
        assert (await said("forget", added_id.strip())) == (0, "forgotten")
        code, gone = await said("show", added_id.strip())
        assert code == 1
        assert gone == f"memory {added_id.strip()} was forgotten"
        # What was wrong and what would be right, whole; and no name leads elsewhere or into Python's own words.
        code, refused = await said("add", "listed", "--kind", "lesson", "--title", "", "--text", "x")
        assert (code, refused.partition(":")[0]) == (1, "title")
        assert "text of 1 to 200 characters, on one line, not blank" in refused
        for name in ("ü", "a b", "a\nb", "../repos/shop", "x?kind=lesson"):
            for verb in ("show", "forget"):
                code, refused = await said(verb, name)
                assert code == 1
                assert "there is no" in refused
        assert await said("list", "--repo", "nowhere") == (0, "")
        for blank in (("show", ""), ("forget", " "), ("correct", added_id.strip())):
            with pytest.raises(SystemExit, match="2"):
                memory(["--data", str(tmp_path), *blank], {})
        assert "nothing to correct: give --kind, --title, --text, --pin or --unpin" in capsys.readouterr().err
    assert await asyncio.to_thread(memory, ["--data", str(tmp_path), "list"], {}) == 3

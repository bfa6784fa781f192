"""Live streams over HTTP: nothing missing, nothing twice, in order, whoever dies and comes back in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from adapters.api_house import (
    DEADLINE_SECONDS,
    House,
    SseFrame,
    cancelled,
    database_of,
    eventually,
    frames_of,
    house_for_many,
    submitted,
    take,
)
from servers import NatsForTest, PostgresForTest

from penstock import ids
from penstock.events import TaskParked
from penstock_api import follow, hub, serve

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


def parked(number: int, message: str = "wait") -> TaskParked:
    return TaskParked(reason="rate_limit", message=message, wake_at=datetime.now(UTC), number=number)


async def task_with(house: House, events: int) -> tuple[str, list[int]]:
    """A task with so many events; its id and their sequences."""
    task = ids.fresh()
    seqs = [await house.append(task, submitted())]
    seqs += [await house.append(task, parked(number)) for number in range(1, events)]
    return task, seqs


async def until_end(frames: AsyncIterator[SseFrame]) -> list[SseFrame]:
    found: list[SseFrame] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for frame in frames:
            found.append(frame)
            if frame.event == "end":
                return found
    return found


async def test_a_stream_begins_with_the_past_goes_on_live_and_ends_with_the_task(house: House) -> None:
    task, seqs = await task_with(house, 3)
    async with house.following(f"/v1/tasks/{task}/stream") as frames:
        past = await take(frames, 3)
        seqs.append(await house.append(task, parked(9)))
        seqs.append(await house.append(task, cancelled()))
        rest = await until_end(frames)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
    assert [frame.event for frame in past + rest] == [
        "task_submitted",
        *["task_parked"] * 3,
        "task_cancelled",
        "end",
    ]
    assert [int(frame.id) for frame in past + rest[:-1]] == seqs
    document = json.loads(past[0].data)
    assert (document["specversion"], document["taskid"]) == ("1.0", task)


async def test_a_stream_may_go_on_for_ever_after_the_end(house: House) -> None:
    task, _ = await task_with(house, 1)
    await house.append(task, cancelled())
    async with house.following(f"/v1/tasks/{task}/stream?follow=forever") as frames:
        assert [frame.event for frame in await take(frames, 2)] == ["task_submitted", "task_cancelled"]
        await house.print(task, 1)
        assert [frame.event for frame in await take(frames, 1)] == ["output"]


async def test_who_comes_later_sees_output_and_events_in_the_order_of_those_who_stayed(house: House) -> None:
    task, (event,) = await task_with(house, 1)
    outputs = []
    async with house.following(f"/v1/tasks/{task}/stream") as frames:
        stayed = await take(frames, 1)
        for number in (1, 2):
            outputs.append(await house.print(task, number))
            stayed += await take(frames, 1)
        parked_at = await house.append(task, parked(1))
        stayed += await take(frames, 1)
        outputs.append(await house.print(task, 3))
        stayed += await take(frames, 1)
        ended_at = await house.append(task, cancelled())
        stayed += await until_end(frames)
    assert [frame.id for frame in stayed] == [
        f"{event}",
        f"{event}:{outputs[0]}",
        f"{event}:{outputs[1]}",
        f"{parked_at}:{outputs[1]}",
        f"{parked_at}:{outputs[2]}",
        f"{ended_at}:{outputs[2]}",
        f"{ended_at}:{outputs[2]}",
    ]
    assert json.loads(stayed[1].data)["lines"][0]["text"] == "a line"
    async with house.following(f"/v1/tasks/{task}/stream") as frames:
        assert await until_end(frames) == stayed


async def test_what_was_stored_before_the_start_comes_in_the_order_of_its_writing(
    nats: NatsForTest, postgres: str, tmp_path: Path
) -> None:
    async with House(nats, postgres, tmp_path) as earlier:
        task, _ = await task_with(earlier, 1)
        for number in range(1, 4):
            await earlier.print(task, number)
            await earlier.append(task, parked(number))
        await earlier.append(task, cancelled())
    async with (
        House(nats, postgres, tmp_path, first_token=earlier.admin_token) as later,
        later.following(f"/v1/tasks/{task}/stream") as frames,
    ):
        found = await until_end(frames)
    kinds = [frame.event for frame in found]
    assert kinds == ["task_submitted", *["output", "task_parked"] * 3, "task_cancelled", "end"]


async def test_coming_back_with_any_id_gives_exactly_the_rest(house: House) -> None:
    task, _ = await task_with(house, 2)
    for number in range(1, 4):
        await house.print(task, number)
        await house.append(task, parked(number))
    await house.append(task, cancelled())
    for _ in range(2):
        # What comes back is in the order in which the api was told. By the end of the first time it was told everything.
        async with house.following(f"/v1/tasks/{task}/stream") as frames:
            whole = await until_end(frames)
    for position, frame in enumerate(whole[:-2]):
        async with house.following(f"/v1/tasks/{task}/stream", last_event_id=frame.id) as frames:
            assert await until_end(frames) == whole[position + 1 :]
        async with house.following(f"/v1/tasks/{task}/stream?after={frame.id}") as frames:
            assert await until_end(frames) == whole[position + 1 :]


async def test_a_browser_that_comes_back_after_the_end_is_told_to_stay_away(house: House) -> None:
    task, _ = await task_with(house, 1)
    await house.print(task, 1)
    await house.append(task, cancelled())
    async with house.following(f"/v1/tasks/{task}/stream") as frames:
        last = (await until_end(frames))[-1]
    answer = await house.client.get(f"/v1/tasks/{task}/stream", headers={"Last-Event-ID": last.id})
    assert answer.status_code == 204


@pytest.mark.parametrize("place", ["junk", "-1", "1:2:3", "1:", ":1", "9" * 30, "1.5", "0x10", "１２"])
async def test_a_place_that_is_none_is_refused(house: House, place: str) -> None:
    task, _ = await task_with(house, 1)
    for path in (f"/v1/tasks/{task}/stream", "/v1/stream"):
        answer = await house.client.get(path, params={"after": place})
        assert answer.status_code == 400
        assert answer.json()["field"] == "after"
        if place.isascii():
            answer = await house.client.get(path, headers={"Last-Event-ID": place})
            assert (answer.status_code, answer.json()["field"]) == (400, "Last-Event-ID")


async def test_a_place_ahead_of_the_log_is_refused(house: House) -> None:
    answer = await house.client.get("/v1/stream", headers={"Last-Event-ID": "999999999"})
    assert answer.status_code == 400
    assert "the log ends at" in answer.json()["detail"]


async def test_the_stream_of_all_shows_every_task_and_no_output(house: House) -> None:
    # From now on means: from what the api was told last. That is this, and none of the events before it.
    _, (zero,) = await task_with(house, 1)
    async with house.following(f"/v1/stream?after={zero - 1}") as frames:
        assert [int(frame.id) for frame in await take(frames, 1)] == [zero]
    async with house.following("/v1/stream") as frames:
        first, (one,) = await task_with(house, 1)
        await house.print(first, 1)
        second, (two,) = await task_with(house, 1)
        found = await take(frames, 2)
    assert [(int(frame.id), json.loads(frame.data)["taskid"]) for frame in found] == [(one, first), (two, second)]
    async with house.following(f"/v1/stream?after={one - 1}") as frames:
        assert [int(frame.id) for frame in await take(frames, 2)] == [one, two]
    async with house.following("/v1/stream?after=0") as frames:
        assert int((await take(frames, 1))[0].id) == 1


async def test_forty_clients_that_join_and_leave_in_a_flood_see_every_event_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A short memory: most of the past has to come from the stream, and the splice is under fire all the time.
    monkeypatch.setattr(hub, "MEMORY_MESSAGES", 16)
    monkeypatch.setattr("penstock_api.history.PAGE_MESSAGES", 8)
    task, seqs = await task_with(house, 40)

    async def flood() -> None:
        for number in range(160):
            seqs.append(await house.append(task, parked(number, "x" * (number % 50))))
        seqs.append(await house.append(task, cancelled()))

    async def one(client: int) -> list[int]:
        """Stays for some frames, leaves, and comes back, until there is nothing more."""
        seen: list[str] = []
        for visit in itertools.count(1):
            headers = {"Last-Event-ID": seen[-1]} if seen else {}
            async with house.client.stream("GET", f"/v1/tasks/{task}/stream", headers=headers) as answer:
                if answer.status_code == 204:
                    break
                async with asyncio.timeout(DEADLINE_SECONDS), contextlib.aclosing(frames_of(answer)) as frames:
                    async for frame in frames:
                        if frame.event == "end":
                            return [int(id_) for id_ in seen]
                        seen.append(frame.id)
                        if len(seen) > visit * (20 + client):
                            break
        return [int(id_) for id_ in seen]

    flooding = asyncio.create_task(flood())
    everything = await asyncio.gather(*(one(client) for client in range(40)))
    await flooding
    assert everything == [seqs] * 40


async def test_a_client_that_does_not_read_is_cut_and_the_others_are_not_held_up(house: House) -> None:
    before = hub.CUT._value.get()
    task, _ = await task_with(house, 1)
    request = (
        f"GET /v1/tasks/{task}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.admin_token}\r\n\r\n"
    ).encode()
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(stalled, ("127.0.0.1", house.port))
    await loop.sock_sendall(stalled, request)
    received = len(await loop.sock_recv(stalled, 64))
    sent: dict[int, float] = {}
    delays: list[float] = []
    got = 0

    async def read(frames: AsyncIterator[SseFrame]) -> None:
        nonlocal got
        async for frame in frames:
            if frame.event == "output":
                got += 1
                number = json.loads(frame.data)["number"]
                delays.append(time.monotonic() - sent[number])

    async with house.following(f"/v1/tasks/{task}/stream") as frames:
        reading = asyncio.create_task(read(frames))
        for number in range(1, 500):
            sent[number] = time.monotonic()
            await house.print(task, number, "x" * 3_900, lines=10)
            if hub.CUT._value.get() > before:
                break
        printed = number
        await eventually(lambda: got == printed)
        reading.cancel()
    assert hub.CUT._value.get() == before + 1
    # The kernel drops who takes nothing after half a minute; nobody has waited for that.
    assert sorted(delays)[len(delays) * 99 // 100] < serve.UNSENT_MILLISECONDS / 1_000 / 6
    async with asyncio.timeout(DEADLINE_SECONDS):
        while piece := await loop.sock_recv(stalled, 65_536):
            received += len(piece)
    assert received < printed * 39_000
    stalled.close()


async def test_places_for_streams_are_limited_and_come_free_again(
    nats: NatsForTest, postgres: str, tmp_path: Path
) -> None:
    async with House(nats, postgres, tmp_path, sse_connections_max=2) as house:
        await house.put_repo()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(house.following("/v1/stream"))
            answer = await house.client.get("/v1/stream")
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await _status(house)) == 503:
                await asyncio.sleep(0.01)
        await eventually(lambda: follow.FOLLOWERS._value.get() <= 2)


async def _status(house: House) -> int:
    async with house.client.stream("GET", "/v1/stream") as answer:
        return int(answer.status_code)


async def test_a_broker_that_is_killed_and_comes_back_leaves_no_gap_and_no_repetition(
    nats: NatsForTest, postgres: str, tmp_path: Path
) -> None:
    async with House(nats, postgres, tmp_path) as house:
        task, seqs = await task_with(house, 5)
        async with (
            house.following(f"/v1/tasks/{task}/stream") as of_task,
            house.following("/v1/stream?after=0") as of_all,
        ):
            found = await take(of_task, 5)
            seen = await take(of_all, 5)
            for round_ in range(3):
                nats.kill()
                nats.start()
                for number in range(20):
                    seqs.append(await house.append(task, parked(round_ * 100 + number)))
            seqs.append(await house.append(task, cancelled()))
            found += await until_end(of_task)
            seen += await take(of_all, len(seqs) - 5)
    assert [int(frame.id) for frame in found[:-1]] == seqs
    assert [int(frame.id) for frame in seen] == seqs


async def test_streams_end_at_once_when_the_service_stops(
    nats: NatsForTest, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "GRACE_SECONDS", 2 * DEADLINE_SECONDS)
    async with House(nats, postgres, tmp_path) as house:
        async with house.following("/v1/stream?after=0") as frames:
            house.runtime.stop.set()
            began = time.monotonic()
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(anext(frames), DEADLINE_SECONDS)
            await asyncio.wait_for(asyncio.shield(house._live), DEADLINE_SECONDS)
            assert time.monotonic() - began < serve.GRACE_SECONDS
        assert house.runtime.exit_code == 0


async def test_a_stream_ends_when_its_token_is_withdrawn(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "RECHECK_SECONDS", 0.05)
    monkeypatch.setattr(follow, "KEEP_ALIVE_SECONDS", 0.05)
    made = (await house.client.post("/v1/tokens", json={"name": "guest", "role": "viewer"})).json()
    async with house.as_holder_of(made["token"]) as guest, house.following("/v1/stream", guest) as frames:
        assert (await house.client.delete(f"/v1/tokens/{made['made']['id']}")).status_code == 204
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(frames), DEADLINE_SECONDS)

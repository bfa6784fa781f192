"""The log on a real server: appends that conflict, answers that get lost, servers that die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from servers import NatsForTest

from penstock import ids
from penstock import subjects as s
from penstock.codec import decode_event, encode_event
from penstock.events import TaskCancelRequested
from penstock.log import LogConflict, LogWriter, OutcomeUnknown, load_task
from penstock.reader import Reader, StreamGone

pytestmark = pytest.mark.anyio
AT = datetime(2026, 1, 2, tzinfo=UTC)


def body(event_id: str, task: str, text: str = "x") -> bytes:
    return encode_event(
        TaskCancelRequested(requested_by=text),
        id=event_id,
        repo="r",
        task=task,
        at=AT,
        causation_id="c",
        source="/test",
    )


async def put(
    writer: LogWriter, task: str, after: int, event_id: str | None = None, timeout: float = WAIT_SECONDS_MAX
) -> int:
    event_id = event_id or ids.fresh()
    appended = await writer.append(
        repo="r",
        task=task,
        type_="task_cancel_requested",
        id=event_id,
        body=body(event_id, task),
        after=after,
        timeout=timeout,
    )
    return appended.seq


@pytest.fixture
async def nc(nats: NatsForTest) -> AsyncIterator[Client]:
    client = await nats.connect()
    yield client
    await client.close()


async def test_of_fifty_writers_that_follow_the_same_event_one_wins(nc: Client) -> None:
    task = ids.fresh()
    outcomes = await asyncio.gather(*(put(LogWriter(nc), task, 0) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, LogConflict) for outcome in outcomes) == 49


async def test_the_same_append_said_twice_is_stored_once_and_answered_alike(nc: Client) -> None:
    task, event_id = ids.fresh(), ids.fresh()
    first = await put(LogWriter(nc), task, 0, event_id)
    again = await put(LogWriter(nc), task, 0, event_id)
    assert first == again
    assert len(await load_task(nc, "r", task)) == 1


async def test_an_append_that_was_followed_by_another_still_finds_itself(nc: Client) -> None:
    task, event_id = ids.fresh(), ids.fresh()
    first = await put(LogWriter(nc), task, 0, event_id)
    await put(LogWriter(nc), task, first)
    assert await put(LogWriter(nc), task, 0, event_id) == first


async def test_an_append_while_the_server_is_away_is_stored_exactly_once(nats: NatsForTest, nc: Client) -> None:
    task = ids.fresh()
    first = await put(LogWriter(nc), task, 0)
    nats.kill()
    pending = asyncio.create_task(put(LogWriter(nc), task, first))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(nats.restart)
    second = await pending
    stored = await load_task(nc, "r", task)
    assert [event.seq for event in stored] == [first, second]


async def test_an_outcome_that_nobody_can_tell_is_said_to_be_unknown(nats: NatsForTest, nc: Client) -> None:
    nats.kill()
    with pytest.raises(OutcomeUnknown):
        await put(LogWriter(nc), ids.fresh(), 0, timeout=0.1)


async def test_two_tasks_do_not_disturb_each_other(nc: Client) -> None:
    first, second = ids.fresh(), ids.fresh()
    await put(LogWriter(nc), first, 0)
    assert await put(LogWriter(nc), second, 0) == 2


async def test_a_reader_delivers_every_event_once_and_in_order_over_a_killed_server(
    nats: NatsForTest, nc: Client
) -> None:
    writer, task, last = LogWriter(nc), ids.fresh(), 0
    for _ in range(30):
        last = await put(writer, task, last)
    reader = Reader(nc, s.EVENTS, heartbeat_seconds=0.5)
    seen: list[int] = []

    async def follow() -> None:
        async with aclosing(reader.batches()) as batches:
            async for batch in batches:
                seen.extend(decode_event(stored.body, stored.seq).seq for stored in batch)
                if len(seen) >= 60:
                    return

    following = asyncio.create_task(follow())
    await asyncio.wait_for(reader.caught_up.wait(), WAIT_SECONDS_MAX)
    await asyncio.to_thread(nats.restart)
    for _ in range(30):
        last = await put(writer, task, last)
    await asyncio.wait_for(following, WAIT_SECONDS_MAX)
    assert seen == list(range(1, 61))


async def test_a_reader_whose_consumer_is_deleted_goes_on_without_a_gap(nc: Client) -> None:
    writer, task, last = LogWriter(nc), ids.fresh(), 0
    reader = Reader(nc, s.EVENTS, heartbeat_seconds=0.5, name="doomed")
    seen: list[int] = []
    batches = reader.batches()
    async with aclosing(batches):
        for _ in range(5):
            last = await put(writer, task, last)
        while len(seen) < 5:
            seen.extend(stored.seq for stored in await anext(batches))
        js = nc.jetstream()
        for info in await js.consumers_info(s.EVENTS):
            if info.name.startswith("doomed"):
                await js.delete_consumer(s.EVENTS, info.name)
        for _ in range(5):
            last = await put(writer, task, last)
        while len(seen) < 10:
            seen.extend(stored.seq for stored in await asyncio.wait_for(anext(batches), WAIT_SECONDS_MAX))
    assert seen == list(range(1, 11))
    assert reader.restarts >= 1


async def test_a_reader_begins_where_it_is_told_to(nc: Client) -> None:
    writer, task, last = LogWriter(nc), ids.fresh(), 0
    for _ in range(10):
        last = await put(writer, task, last)
    async with aclosing(Reader(nc, s.EVENTS, after=7).batches()) as batches:
        batch = await anext(batches)
    assert batch[0].seq == 8


async def test_a_reader_of_an_empty_stream_is_caught_up_at_once(nc: Client) -> None:
    reader = Reader(nc, s.EVENTS)
    async with aclosing(reader.batches()) as batches:
        waiting = asyncio.create_task(anext(batches))
        await asyncio.wait_for(reader.caught_up.wait(), WAIT_SECONDS_MAX)
        await put(LogWriter(nc), ids.fresh(), 0)
        assert (await waiting)[0].seq == 1


async def test_a_reader_of_a_stream_that_does_not_exist_says_so(nc: Client) -> None:
    with pytest.raises(StreamGone):
        await anext(Reader(nc, "NOSUCH").batches())


async def test_a_long_task_is_loaded_whole_by_batches(nc: Client) -> None:
    js = nc.jetstream()
    task = ids.fresh()
    for _ in range(1_200):
        event_id = ids.fresh()
        await js.publish_async(s.event_ingest("r", task, "task_cancel_requested"), body(event_id, task))
    await js.publish_async_completed()
    assert len(await load_task(nc, "r", task)) == 1_200
    assert len(await load_task(nc, "r", task, after=1_100)) == 100
    assert await load_task(nc, "r", ids.fresh()) == ()

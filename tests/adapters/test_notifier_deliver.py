"""Events become deliveries and deliveries arrive: the notifier as a process, a real broker, real HTTP at the other end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from adapters.notifier_process import (
    SECRET,
    append,
    failed,
    give_out_again,
    give_out_again_after,
    notifier,
    put_route,
    stored,
    until,
    webhook,
)
from adapters.webhook_receiver import Received, Receiver, answers, drips, waits_for
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from patience import WAIT_SECONDS_MAX
from ports import free_port
from servers import NatsForTest
from standardwebhooks.webhooks import Webhook

from penstock import ids
from penstock import subjects as s
from penstock.catalog import Route
from penstock.codec import decode_event, encode
from penstock.events import JobClaimed
from penstock_notifier.channels.webhook import TRY_SECONDS_MAX
from penstock_notifier.lane import AT_ONCE_MAX

pytestmark = pytest.mark.anyio


@pytest.fixture
async def admin(nats: NatsForTest) -> AsyncIterator[Client]:
    nc = await nats.connect()
    yield nc
    await nc.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening


def id_of(received: Received) -> str:
    """The webhook's id, once its signature has been verified as a receiver should."""
    Webhook(SECRET).verify(received.body, received.headers)
    return received.headers["webhook-id"]


async def dead_letter(nc: Client, name: str) -> tuple[str, bytes]:
    """Reason and bytes of the last dead letter of this name, waited for."""

    async def there() -> bool:
        with contextlib.suppress(NotFoundError):
            await nc.jetstream().get_last_msg(s.DEAD, s.dead_letter("notify", name))
            return True
        return False

    await until(there, what=lambda: f"a dead letter of {name}")
    message = await nc.jetstream().get_last_msg(s.DEAD, s.dead_letter("notify", name))
    assert message.headers is not None
    return message.headers["Penstock-Reason"], message.data or b""


async def nothing_left(nc: Client) -> None:
    async def empty() -> bool:
        events = await nc.jetstream().consumer_info(s.EVENTS, s.NOTIFIER_DURABLE)
        return await stored(nc, s.DELIVERIES) == 0 and not events.num_pending and not events.num_ack_pending

    await until(empty, what=lambda: "all events judged and all deliveries ended")


async def test_an_event_arrives_signed_as_the_very_document_of_the_log(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n"):
        event_id = await append(admin, failed())
        (received,) = await receiver.wait_for("/hook", 1)
        await nothing_left(admin)
    assert id_of(received) == f"{event_id}.team"
    assert received.headers["content-type"] == "application/cloudevents+json"
    in_the_log = await admin.jetstream().get_msg(s.EVENTS, seq=1)
    assert received.body == in_the_log.data
    assert decode_event(received.body, 1).data == failed()
    assert len(receiver.received) == 1


async def test_only_matching_events_are_sent_and_each_route_gets_its_own(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    await put_route(admin, webhook("ends", receiver.port, "/ends"))
    await put_route(admin, webhook("claims", receiver.port, "/claims", types=("job_claimed",)))
    await put_route(admin, webhook("other", receiver.port, "/other", repos=("bakery",)))
    await put_route(admin, webhook("off", receiver.port, "/off", enabled=False))
    async with notifier(nats, tmp_path / "n"):
        claimed = await append(admin, JobClaimed(job=ids.fresh(), host="h1", epoch=3))
        shop, bakery = await append(admin, failed()), await append(admin, failed(), repo="bakery")
        await receiver.wait_for("/ends", 2)
        await receiver.wait_for("/claims", 1)
        await receiver.wait_for("/other", 1)
        await nothing_left(admin)
    assert {id_of(received) for received in receiver.at("/ends")} == {f"{shop}.ends", f"{bakery}.ends"}
    assert [id_of(received) for received in receiver.at("/claims")] == [f"{claimed}.claims"]
    assert [id_of(received) for received in receiver.at("/other")] == [f"{bakery}.other"]
    assert receiver.at("/off") == []


async def test_a_route_put_changed_and_removed_counts_from_the_next_event_on(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    async with notifier(nats, tmp_path / "n") as running:
        await append(admin, failed("before there was a route"))
        await nothing_left(admin)
        await running.has_counted('penstock_notifier_events_total{outcome="unmatched"}', 1)
        await put_route(admin, webhook("team", receiver.port, "/one"))
        await put_route(admin, webhook("mark", receiver.port, "/mark"))
        first = await _append_until_seen(admin, receiver, "/mark")
        await until(lambda: f"{first}.team" in {id_of(received) for received in receiver.at("/one")})
        await put_route(admin, webhook("team", receiver.port, "/two"))
        await put_route(admin, webhook("mark", receiver.port, "/mark2"))
        await _append_until_seen(admin, receiver, "/mark2")
        await receiver.wait_for("/two", 1)
        await nothing_left(admin)
        await admin.jetstream().publish(s.kv(s.CATALOG, "route.team"), b"", headers={s.KV_OPERATION: "DEL"})
        await put_route(admin, webhook("mark", receiver.port, "/mark3"))
        await _append_until_seen(admin, receiver, "/mark3")
        last = await _append_until_seen(admin, receiver, "/mark3")
        left = await admin.jetstream().stream_info(s.DELIVERIES, subjects_filter=s.delivery("team", last))
        assert not left.state.subjects
    assert last not in {id_of(received).partition(".")[0] for received in receiver.at("/two")}


async def _append_until_seen(admin: Client, receiver: Receiver, path: str) -> str:
    """The first new event that came to `path`: since then, what was put before that route is in force."""
    appended: set[str] = set()
    while True:
        appended.add(await append(admin, failed()))
        with contextlib.suppress(AssertionError):
            await receiver.wait_for(path, len(receiver.at(path)) + 1, seconds=0.5)
        for received in receiver.at(path):
            if (event_id := id_of(received).partition(".")[0]) in appended:
                return event_id


async def test_killed_after_the_effect_it_repeats_under_the_same_id(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    never = asyncio.Event()
    receiver.behaviours["/hook"] = waits_for(never, answers(204))
    async with notifier(nats, tmp_path / "n") as running:
        event_id = await append(admin, failed())
        await receiver.wait_for("/hook", 1)
        await running.kill()
    await give_out_again(admin)
    receiver.behaviours["/hook"] = answers(204)
    async with notifier(nats, tmp_path / "n"):
        await receiver.wait_for("/hook", 2)
        await nothing_left(admin)
    assert [id_of(received) for received in receiver.at("/hook")] == [f"{event_id}.team"] * 2


async def test_killed_before_the_effect_it_is_delivered_once_afterwards(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    """The event waits in the log, then the delivery in its queue, while no notifier lives."""
    port = free_port()
    await put_route(admin, webhook("team", port, "/hook"))
    async with notifier(nats, tmp_path / "n") as running:
        event_id = await append(admin, failed())
        await until(lambda: _stored(admin), what=lambda: "the delivery to be stored")
        await running.kill()
    await give_out_again(admin)
    later = await append(admin, failed())
    back = Receiver()
    async with back.listening(port=port), notifier(nats, tmp_path / "n"):
        await back.wait_for("/hook", 2)
        await nothing_left(admin)
    assert sorted(id_of(received) for received in back.received) == sorted([f"{event_id}.team", f"{later}.team"])


async def _stored(nc: Client) -> bool:
    return await stored(nc, s.DELIVERIES) == 1


async def test_two_notifiers_deliver_each_event_once(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "a"), notifier(nats, tmp_path / "b"):
        sent = [await append(admin, failed()) for _ in range(40)]
        await receiver.wait_for("/hook", 40)
        await nothing_left(admin)
    assert sorted(id_of(received) for received in receiver.received) == sorted(f"{id}.team" for id in sent)


async def test_a_broker_that_is_killed_and_comes_back_loses_no_delivery(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    await give_out_again_after(admin, 2.0)
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n") as running:
        first = await append(admin, failed())
        await receiver.wait_for("/hook", 1)
        nats.kill()
        nats.start()
        second = await append(admin, failed())
        await until(lambda: f"{second}.team" in {id_of(received) for received in receiver.received})
        assert running.process.returncode is None
        await nothing_left(admin)
    assert {id_of(received) for received in receiver.received} == {f"{first}.team", f"{second}.team"}


async def test_a_failing_endpoint_is_tried_again_until_it_takes_the_delivery(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    failures = [503, 500, 429, 302]

    async def recovers(received: Received, writer: asyncio.StreamWriter) -> None:
        status = failures.pop(0) if failures else 200
        await answers(status, headers="Location: http://127.0.0.1:1/\r\n" if status == 302 else "")(received, writer)

    receiver.behaviours["/hook"] = recovers
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n") as running:
        event_id = await append(admin, failed())
        await receiver.wait_for("/hook", 5)
        await nothing_left(admin)
        await running.has_counted('penstock_notifier_deliveries_total{channel="webhook",outcome="retried"}', 4)
        await running.has_counted('penstock_notifier_deliveries_total{channel="webhook",outcome="delivered"}', 1)
    assert [id_of(received) for received in receiver.at("/hook")] == [f"{event_id}.team"] * 5
    assert await stored(admin, s.DEAD) == 0


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_refusal_is_a_dead_letter_at_once(
    status: int, nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.behaviours["/hook"] = answers(status, body=b"go \x1b[31maway\r\n")
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n"):
        await append(admin, failed())
        reason, body = await dead_letter(admin, "team")
        await nothing_left(admin)
    assert reason == f"answered {status}: go [31maway"
    assert body == receiver.received[0].body
    assert len(receiver.received) == 1


async def test_a_delivery_that_has_had_its_time_is_a_dead_letter(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.behaviours["/hook"] = answers(500)
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n", delivery_seconds_max="1"):
        await append(admin, failed())
        reason, _ = await dead_letter(admin, "team")
        await nothing_left(admin)
    assert reason == "answered 500"
    assert len(receiver.received) == 4


async def test_dead_and_slow_endpoints_do_not_delay_another_route(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    """A hundred deliveries each wait for two endpoints that are no good: more than any one of them may hold."""
    at_once = most_at_once = 0

    async def slow(received: Received, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        try:
            await drips(received, writer)
        finally:
            at_once -= 1

    receiver.behaviours |= {"/down": answers(503), "/slow": slow}
    for name in ("down", "slow"):
        await put_route(admin, webhook(name, receiver.port, f"/{name}"))
    async with notifier(nats, tmp_path / "n") as running:
        for _ in range(100):
            await append(admin, failed())
        await receiver.wait_for("/down", 4)
        await receiver.wait_for("/slow", 4)
        await until(lambda: _pending(admin, 200), what=lambda: "all deliveries to be given out or put off")
        await put_route(admin, webhook("good", receiver.port, "/good"))
        asked_at = asyncio.get_running_loop().time()
        await _append_until_seen(admin, receiver, "/good")
        # Nobody has waited for the end of a try of theirs.
        assert asyncio.get_running_loop().time() - asked_at < TRY_SECONDS_MAX
        # Those whose time has just ended may be seen beside those that came after them.
        assert most_at_once <= 2 * AT_ONCE_MAX
        assert await running.counted('penstock_notifier_deliveries_total{channel="webhook",outcome="put_off"}') > 0


async def _pending(nc: Client, count: int) -> bool:
    info = await nc.jetstream().consumer_info(s.DELIVERIES, s.DELIVERIES_DURABLE)
    return bool(info.num_ack_pending == count)


async def test_deliveries_of_a_removed_route_become_dead_letters(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.behaviours["/hook"] = answers(503)
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n"):
        await append(admin, failed())
        await receiver.wait_for("/hook", 1)
        await put_route(admin, webhook("team", receiver.port, "/hook", enabled=False))
        reason, _ = await dead_letter(admin, "team")
        await nothing_left(admin)
    assert reason == "its route was removed or switched off"


async def test_nothing_on_the_event_stream_stops_the_events_behind_it(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    js, task = admin.jetstream(), ids.fresh()
    subject = s.event_ingest("shop", task, "task_failed")
    broken = [b"", b"\xff\xfe", b"{", b"null", b"[" * 100_000, b'{"specversion":"1.0"}', b"\x00" * 50]
    for body in broken:
        await js.publish(subject, body, stream=s.EVENTS)
    later = b'{"specversion":"1.0","id":"0123456789abcdefghjkmnpqrs","source":"/x","type":"penstock.task_reviewed"'
    later += b',"subject":"a/b","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","repo":"shop"'
    later += b',"taskid":"0123456789abcdefghjkmnpqrs","correlationid":"","causationid":""'
    later += b',"data":{"type":"task_reviewed","stars":5}}'
    await js.publish(subject, later, stream=s.EVENTS)
    async with notifier(nats, tmp_path / "n") as running:
        event_id = await append(admin, failed())
        (received,) = await receiver.wait_for("/hook", 1)
        await nothing_left(admin)
        await running.has_counted('penstock_notifier_events_total{outcome="undecodable"}', len(broken))
        await running.has_counted('penstock_notifier_events_total{outcome="unknown"}', 1)
        assert await stored(admin, s.DEAD) == len(broken)
        reason, body = await dead_letter(admin, "_undecodable")
    assert id_of(received) == f"{event_id}.team"
    assert body == broken[-1]
    assert reason


async def test_a_catalogue_entry_that_is_no_route_harms_no_other_route(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    for key, body in (("broken", b"{"), ("alias", encode(webhook("team", receiver.port, "/alias")))):
        await admin.jetstream().publish(s.kv(s.CATALOG, s.catalog_route(key)), body)
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n"):
        await append(admin, failed())
        await receiver.wait_for("/hook", 1)
        await nothing_left(admin)
    assert receiver.at("/alias") == []


async def test_the_console_gets_one_plain_line_per_event(nats: NatsForTest, admin: Client, tmp_path: Path) -> None:
    await put_route(admin, Route(name="here", channel="console"))
    async with notifier(nats, tmp_path / "n") as running:
        await append(admin, failed("nothing\n\x1b[31musable"))
        await append(admin, failed("again nothing"))
        assert running.process.stdout is not None
        told = running.process.stdout
        lines = [(await asyncio.wait_for(told.readline(), WAIT_SECONDS_MAX)).decode() for _ in range(2)]
        await nothing_left(admin)
    assert any(
        line.endswith(" task_failed no_change (1 attempt, cost unknown): nothing [31musable\n") for line in lines
    )
    assert any(line.endswith(": again nothing\n") for line in lines)


async def test_asked_to_end_it_finishes_what_it_began(
    nats: NatsForTest, admin: Client, receiver: Receiver, tmp_path: Path
) -> None:
    go_on = asyncio.Event()
    receiver.behaviours["/hook"] = waits_for(go_on, answers(204))
    await put_route(admin, webhook("team", receiver.port, "/hook"))
    async with notifier(nats, tmp_path / "n") as running:
        await append(admin, failed())
        await receiver.wait_for("/hook", 1)
        ending = asyncio.create_task(running.terminate())
        await until(lambda: _is_stopping(running.ask), what=lambda: "the notifier to say that it stops")
        go_on.set()
        assert await ending == 0
    await nothing_left(admin)
    assert len(receiver.received) == 1


async def _is_stopping(ask: object) -> bool:
    assert callable(ask)
    status, text = await ask("/readyz")
    return status == 503 and "stopping" in text


async def test_without_its_streams_it_waits_and_says_for_what(tmp_path: Path) -> None:
    bare = NatsForTest(tmp_path / "nats")
    bare.start()
    try:
        async with notifier(bare, tmp_path / "n", wait=False) as running:

            async def says_so() -> bool:
                status, text = await running.ask("/readyz")
                return status == 503 and "stream EVENTS does not exist" in text

            await until(says_so, what=running.errors.read_text)
            await bare.provision()
            await running.until_ready()
            assert await running.terminate() == 0
    finally:
        bare.kill()

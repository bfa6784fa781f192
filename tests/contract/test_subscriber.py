"""A subscriber as a stranger writes it: nats-py, the published schemas, and nothing of ours; and the examples of the how-to.

The tests play the orchestrator and the admin; what stands between the two lines is all that a subscriber needs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import nats
import pytest
from contract.golden import EXPECTED, FOLDER, type_in
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig
from patience import WAIT_SECONDS_MAX
from ports import free_port
from servers import PASSWORD, NatsForTest

from penstock.catalog import Route
from penstock_notifier.channels import Delivered, Delivery, Never
from penstock_notifier.channels.webhook import Webhook, new_transport

pytestmark = pytest.mark.anyio


# --- the subscriber ---------------------------------------------------------------------------------------------------


async def read_all(url: str, user: str, password: str, schemas: Path, expected: int) -> list[dict[str, Any]]:
    """Every event so far, by the durable that an admin has made, each one checked against its published schema."""
    validators = {
        path.stem: jsonschema.Draft202012Validator(json.loads(path.read_bytes()))
        for path in (schemas / "events").glob("*.json")
    }
    nc = await nats.connect(url, user=user, password=password, inbox_prefix=f"_INBOX.{user}")
    subscription = await nc.jetstream().pull_subscribe_bind("subscriber", "EVENTS")
    events: list[dict[str, Any]] = []
    skipped = 0
    while len(events) + skipped < expected:
        for message in await subscription.fetch(10, timeout=WAIT_SECONDS_MAX):
            type_ = message.subject.split(".")[-1]
            if type_ in validators:
                event = json.loads(message.data)
                validators[type_].validate(event)
                events.append(event)
            else:
                skipped += 1
            await message.ack()
    await nc.close()
    return events


async def listen(url: str, user: str, password: str) -> tuple[Client, Subscription]:
    """From now on, events as they happen; none of before, and none again."""
    nc = await nats.connect(url, user=user, password=password, inbox_prefix=f"_INBOX.{user}")
    subscription = await nc.subscribe("task.event.>")
    await nc.flush()
    return nc, subscription


# --- end of the subscriber --------------------------------------------------------------------------------------------


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[NatsForTest]:
    server = NatsForTest(tmp_path / "nats")
    server.start()
    try:
        await server.provision()
        yield server
    finally:
        server.kill()


async def publish(server: NatsForTest, documents: dict[str, bytes]) -> None:
    nc = await server.connect()
    task = EXPECTED["task_failed"].task
    for name, body in documents.items():
        await nc.jetstream().publish(f"penstock.in.event.shop.{task}.{type_in(name)}", body, stream="EVENTS")
    await nc.close()


async def make_durable(server: NatsForTest) -> None:
    """What an admin does for a subscriber: `docs/how-to/subscribe.md` says how."""
    nc = await server.connect()
    config = ConsumerConfig(durable_name="subscriber", ack_policy=AckPolicy.EXPLICIT, filter_subject="task.event.>")
    await nc.jetstream().add_consumer("EVENTS", config)
    await nc.close()


async def test_a_stranger_who_comes_later_reads_everything_and_finds_it_as_published(broker: NatsForTest) -> None:
    documents = {name: (FOLDER / f"{name}.json").read_bytes() for name in EXPECTED}
    tomorrow = json.loads(documents["task_failed"]) | {
        "type": "penstock.task_reviewed",
        "data": {"type": "task_reviewed"},
    }
    await publish(broker, documents | {"task_reviewed": json.dumps(tomorrow).encode()})
    await make_durable(broker)
    schemas = Path(__file__).parents[2] / "schemas"
    events = await read_all(broker.url, "subscriber", PASSWORD, schemas, len(documents) + 1)
    assert [event["type"] for event in events] == [f"penstock.{type_in(name)}" for name in EXPECTED]
    assert {event["specversion"] for event in events} == {"1.0"}


async def test_a_stranger_who_listens_sees_each_event_once_as_it_is_stored(broker: NatsForTest) -> None:
    documents = {type_: (FOLDER / f"{type_}.json").read_bytes() for type_ in ("task_submitted", "task_failed")}
    nc, subscription = await listen(broker.url, "subscriber", PASSWORD)
    await publish(broker, documents)
    task = EXPECTED["task_failed"].task
    for type_, body in documents.items():
        message = await subscription.next_msg(timeout=WAIT_SECONDS_MAX)
        assert message.subject == f"task.event.shop.{task}.{type_}"
        assert message.data == body
    assert subscription.pending_msgs == 0
    await nc.close()


def example(containing: str) -> str:
    """The Python example of the how-to that has these words."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "subscribe.md").read_text()
    (found,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if containing in block]
    return str(found)


async def start_example(containing: str, **environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        example(containing),
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
    )


async def said(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        return (await process.stdout.readline()).decode().strip()


async def test_the_subscriber_of_the_how_to_prints_what_happened(broker: NatsForTest) -> None:
    await publish(
        broker, {type_: (FOLDER / f"{type_}.json").read_bytes() for type_ in ("task_submitted", "task_failed")}
    )
    await make_durable(broker)
    process = await start_example("pull_subscribe_bind", NATS_URL=broker.url, NATS_PASSWORD=PASSWORD)
    try:
        subject = f"shop/{EXPECTED['task_failed'].task}"
        assert await said(process) == f"2026-03-01T09:30:00Z penstock.task_submitted {subject}"
        assert await said(process) == f"2026-03-01T09:30:00Z penstock.task_failed {subject}"
    finally:
        process.kill()
        await process.wait()


async def test_the_receiver_of_the_how_to_verifies_and_skips_repeats(tmp_path: Path) -> None:
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    (tmp_path / "team-hook").write_text(secret)
    port = free_port()
    process = await start_example("BaseHTTPRequestHandler", HOOK_SECRET=secret, PORT=str(port))
    route = Route(name="team", channel="webhook", url=f"http://127.0.0.1:{port}/", secret_ref="file:team-hook")
    bodies = [(FOLDER / f"{type_}.json").read_bytes() for type_ in ("task_blocked", "task_blocked", "task_failed")]
    try:
        async with new_transport(at_once_max=1) as transport, asyncio.timeout(WAIT_SECONDS_MAX):
            webhook = Webhook(transport, secrets_dir=tmp_path, allow_private=True)
            for id_, body in zip(("a.team", "a.team", "b.team"), bodies, strict=True):
                while await webhook.send(route, Delivery(id_, body)) != Delivered():
                    await asyncio.sleep(0.05)
            (tmp_path / "team-hook").write_text("whsec_" + base64.b64encode(b"x" * 32).decode())
            assert await webhook.send(route, Delivery("c.team", bodies[0])) == Never("answered 401")
        assert "penstock.task_blocked" in await said(process)
        assert "penstock.task_failed" in await said(process)
    finally:
        process.kill()
        await process.wait()

"""Who may do what on the broker: tried on a real server, as each user, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

import nats as nats_py
import pytest
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from servers import NatsForTest

from penstock import artifacts
from penstock import subjects as s
from penstock.catalog import LeaseValue
from penstock.lease import Lease
from penstock.log import LogWriter, load_task
from penstock.reader import Reader
from penstock.streams import check, host_consumer, provision
from penstock_launcher.nats_conf import ADMIN, AGENT_EXEC, API, NOTIFIER, ORCHESTRATOR, SUBSCRIBER, USERS
from penstock_launcher.subscribers import ensure_subscriber

pytestmark = pytest.mark.anyio

NOBODY: Final[frozenset[str]] = frozenset()

PUBLISH: Final[Mapping[str, frozenset[str]]] = {
    # The log and what outsiders take for the log.
    "penstock.in.event.r.t.task_submitted": frozenset({ORCHESTRATOR}),
    "task.event.r.t.task_submitted": NOBODY,
    "task.output.r.t.j": frozenset({AGENT_EXEC}),
    # Work and what is said about it.
    "penstock.job.pool.scripted.t.j": frozenset({ORCHESTRATOR}),
    "penstock.job.host.h1.t.j": frozenset({ORCHESTRATOR}),
    "penstock.report.t.j.agent": frozenset({AGENT_EXEC}),
    "penstock.control.stop.j": frozenset({ORCHESTRATOR}),
    "penstock.artifact.t.j.patch.0": frozenset({AGENT_EXEC}),
    "penstock.deliver.route.e": frozenset({NOTIFIER}),
    "penstock.dead.report.x": frozenset({ORCHESTRATOR, NOTIFIER}),
    # Commands.
    "penstock.cmd.task.submit": frozenset({API}),
    "penstock.cmd.task.cancel": frozenset({API}),
    "penstock.cmd.plan.approve": frozenset({API}),
    "penstock.cmd.decision.answer": frozenset({API}),
    "penstock.cmd.job.claim": frozenset({AGENT_EXEC}),
    # Leases and settings.
    "$KV.LEASES.leader": frozenset({ORCHESTRATOR}),
    "$KV.LEASES.job.j": frozenset({ORCHESTRATOR, AGENT_EXEC}),
    "$KV.LEASES.host.h1": frozenset({ORCHESTRATOR, AGENT_EXEC}),
    "$KV.LEASES.host.somebody": frozenset({ORCHESTRATOR}),
    "$KV.CATALOG.repo.r": frozenset({API}),
    # Other services' durables: not to be read, changed or removed.
    "$JS.API.CONSUMER.MSG.NEXT.REPORTS.orchestrator": frozenset({ORCHESTRATOR}),
    "$JS.API.CONSUMER.MSG.NEXT.INTAKE.orchestrator": frozenset({ORCHESTRATOR}),
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.notifier": frozenset({NOTIFIER}),
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.subscriber": frozenset({SUBSCRIBER}),
    "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.deliver": frozenset({NOTIFIER}),
    "$JS.API.CONSUMER.MSG.NEXT.JOBS.pool-scripted": frozenset({AGENT_EXEC}),
    "$JS.API.CONSUMER.MSG.NEXT.JOBS.pool-publish": frozenset({AGENT_EXEC}),
    "$JS.API.CONSUMER.MSG.NEXT.JOBS.host-h1": frozenset({AGENT_EXEC}),
    "$JS.API.CONSUMER.MSG.NEXT.JOBS.host-somebody": NOBODY,
    "$JS.ACK.JOBS.pool-scripted.1.1.1.1.0": frozenset({AGENT_EXEC}),
    "$JS.ACK.EVENTS.notifier.1.1.1.1.0": frozenset({NOTIFIER}),
    "$JS.ACK._.acc.EVENTS.notifier.1.1.1.1.0": frozenset({NOTIFIER}),
    "$JS.API.CONSUMER.CREATE.EVENTS.notifier": NOBODY,
    "$JS.API.CONSUMER.CREATE.EVENTS.notifier.task.event.>": NOBODY,
    "$JS.API.CONSUMER.CREATE.EVENTS.subscriber.task.event.>": NOBODY,
    "$JS.API.CONSUMER.CREATE.EVENTS": NOBODY,
    "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.mine": NOBODY,
    "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.host-h1": frozenset({AGENT_EXEC}),
    "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.pool-scripted": NOBODY,
    "$JS.API.CONSUMER.DELETE.EVENTS.notifier": NOBODY,
    "$JS.API.CONSUMER.DELETE.REPORTS.orchestrator": NOBODY,
    "$JS.API.CONSUMER.RESET.EVENTS.notifier": NOBODY,
    "$JS.API.CONSUMER.PAUSE.EVENTS.notifier": NOBODY,
    # Readers of one's own.
    "$JS.API.CONSUMER.CREATE.EVENTS.r1.task.event.>": frozenset({ORCHESTRATOR, API}),
    "$JS.API.CONSUMER.CREATE.OUTPUT.r1.task.output.>": frozenset({API}),
    "$JS.API.CONSUMER.CREATE.KV_LEASES.r1": frozenset({ORCHESTRATOR, AGENT_EXEC, API}),
    "$JS.API.CONSUMER.CREATE.KV_CATALOG.r1": frozenset({ORCHESTRATOR, NOTIFIER, API}),
    "$JS.API.DIRECT.GET.ARTIFACTS.penstock.artifact.t.j.patch.0": frozenset({AGENT_EXEC, API}),
    # The streams themselves.
    "$JS.API.STREAM.DELETE.EVENTS": NOBODY,
    "$JS.API.STREAM.PURGE.EVENTS": NOBODY,
    "$JS.API.STREAM.UPDATE.EVENTS": NOBODY,
    "$JS.API.STREAM.CREATE.MINE": NOBODY,
    "$JS.API.STREAM.MSG.DELETE.EVENTS": NOBODY,
    "$JS.API.STREAM.SNAPSHOT.EVENTS": NOBODY,
    "$JS.API.STREAM.RESTORE.EVENTS": NOBODY,
    "$JS.API.STREAM.LIST": NOBODY,
    # Somebody else's inbox: only who answers requests.
    "_INBOX.api.x.y": frozenset({ORCHESTRATOR}),
}

SUBSCRIBE: Final[Mapping[str, frozenset[str]]] = {
    "task.event.>": frozenset({SUBSCRIBER}),
    "task.output.>": frozenset({SUBSCRIBER}),
    "penstock.>": NOBODY,
    "penstock.in.event.>": NOBODY,
    "penstock.cmd.>": frozenset({ORCHESTRATOR}),
    "penstock.cmd.task.submit": frozenset({ORCHESTRATOR}),
    "penstock.control.stop.*": frozenset({AGENT_EXEC}),
    "penstock.report.>": NOBODY,
    "$KV.>": NOBODY,
    "$JS.>": NOBODY,
    "$SYS.>": NOBODY,
    "_INBOX.>": NOBODY,
    **{f"_INBOX.{user}.>": frozenset({user}) for user in USERS if user != ADMIN},
}


@contextlib.asynccontextmanager
async def connected(nats: NatsForTest, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A connection and the refusals it has met."""
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        refusals.append(str(error))

    nc = await nats_py.connect(
        nats.url,
        user=user,
        password=nats.password,
        inbox_prefix=f"_INBOX.{user}",
        error_cb=note,
        allow_reconnect=False,
        connect_timeout=round(WAIT_SECONDS_MAX),
    )
    try:
        yield nc, refusals
    finally:
        await nc.close()


async def accepted(nc: Client, refusals: list[str], tried: Iterable[str]) -> set[str]:
    """Which of the subjects the server has not refused. A refusal is on the wire before the answer to the flush, and its
    callback has run by the answer to the next. The client library gives the text in lower case."""
    for _ in range(2):
        await nc.flush(timeout=round(WAIT_SECONDS_MAX))
    return {subject for subject in tried if not any(f'"{subject.lower()}"' in refusal for refusal in refusals)}


@pytest.mark.parametrize("user", [user for user in USERS if user != ADMIN])
async def test_a_user_may_publish_where_its_work_is_and_nowhere_else(nats: NatsForTest, user: str) -> None:
    async with connected(nats, user) as (nc, refusals):
        for subject in PUBLISH:
            await nc.publish(subject, b"", reply=f"_INBOX.{user}.nobody")
        found = await accepted(nc, refusals, PUBLISH)
    assert found == {subject for subject, users in PUBLISH.items() if user in users}


@pytest.mark.parametrize("user", [user for user in USERS if user != ADMIN])
async def test_a_user_hears_what_its_work_needs_and_nothing_else(nats: NatsForTest, user: str) -> None:
    async with connected(nats, user) as (nc, refusals):
        for subject in SUBSCRIBE:
            await nc.subscribe(subject)
        found = await accepted(nc, refusals, SUBSCRIBE)
    assert found == {subject for subject, users in SUBSCRIBE.items() if user in users}


async def test_without_a_user_nobody_gets_in(nats: NatsForTest) -> None:
    with pytest.raises(nats_py.errors.Error, match=r"(?i)authorization"):
        await nats_py.connect(nats.url, allow_reconnect=False)


async def test_each_service_can_do_its_work_with_its_own_rights(nats: NatsForTest) -> None:
    """The rights as they are used: an event, a lease, a job, its report, its patch, and everybody who reads along."""
    async with contextlib.AsyncExitStack() as stack:
        (orchestrator, _), (executor, _), (notifier, _), (api, _) = [
            await stack.enter_async_context(connected(nats, user)) for user in (ORCHESTRATOR, AGENT_EXEC, NOTIFIER, API)
        ]
        await check(orchestrator, streams=[s.EVENTS, s.REPORTS, s.JOBS], consumers=[(s.REPORTS, s.REPORTS_DURABLE)])
        writer = LogWriter(orchestrator)
        first = await writer.append(repo="r", task="t", type_="x", id="e1", body=b"{}", after=0)
        # The retry of an append reads the log to see whose the place is.
        again = await writer.append(repo="r", task="t", type_="x", id="e1", body=b"{}", after=0)
        assert again.seq == first.seq
        await load_task(orchestrator, "r", "t", after=first.seq)

        await orchestrator.jetstream().publish(s.job_for_pool("scripted", "t", "j"), b"job", stream=s.JOBS)
        lease = await Lease.acquire(executor, s.job_lease("j"), LeaseValue(holder="h1", instance="i"))
        await lease.renew(LeaseValue(holder="h1", instance="i"))
        pull = await executor.jetstream().pull_subscribe_bind(consumer=s.pool_durable("scripted"), stream=s.JOBS)
        job = (await pull.fetch(1, timeout=WAIT_SECONDS_MAX))[0]
        await job.ack_sync(timeout=WAIT_SECONDS_MAX)
        await executor.jetstream().add_consumer(s.JOBS, host_consumer("h1"))
        await executor.jetstream().publish(s.report("t", "j", "agent"), b"{}")
        patch = await artifacts.store(executor, task="t", job="j", name="patch", body=b"diff", media_type="text/x-diff")
        assert b"".join([chunk async for chunk in artifacts.load(api, patch, task="t", job="j")]) == b"diff"

        reports = await orchestrator.jetstream().pull_subscribe_bind(consumer=s.REPORTS_DURABLE, stream=s.REPORTS)
        assert (await reports.fetch(1, timeout=WAIT_SECONDS_MAX))[0].data == b"{}"
        events = await notifier.jetstream().pull_subscribe_bind(consumer=s.NOTIFIER_DURABLE, stream=s.EVENTS)
        await (await events.fetch(1, timeout=WAIT_SECONDS_MAX))[0].ack_sync(timeout=WAIT_SECONDS_MAX)
        await api.jetstream().publish(s.kv(s.CATALOG, "repo.r"), b"{}")
        for nc, stream in ((orchestrator, s.EVENTS), (api, s.EVENTS), (api, "KV_LEASES"), (notifier, "KV_CATALOG")):
            async with contextlib.aclosing(Reader(nc, stream, last_per_subject=True).batches()) as batches:
                assert len(await asyncio.wait_for(anext(batches), WAIT_SECONDS_MAX)) == 1, stream


async def test_a_command_is_answered_on_the_askers_inbox(nats: NatsForTest) -> None:
    async with connected(nats, ORCHESTRATOR) as (orchestrator, _), connected(nats, API) as (api, _):
        commands = await orchestrator.subscribe("penstock.cmd.>")
        await orchestrator.flush()
        asked = asyncio.create_task(api.request("penstock.cmd.task.submit", b"?", timeout=WAIT_SECONDS_MAX))
        await orchestrator.publish((await commands.next_msg(timeout=WAIT_SECONDS_MAX)).reply, b"accepted")
        assert (await asked).data == b"accepted"


async def test_a_subscriber_reads_live_and_from_the_durable_made_for_it(nats: NatsForTest) -> None:
    assert await ensure_subscriber(nats.url, nats.password, SUBSCRIBER, "task.event.>")
    assert not await ensure_subscriber(nats.url, nats.password, SUBSCRIBER, "task.event.>")
    async with connected(nats, ORCHESTRATOR) as (orchestrator, _), connected(nats, SUBSCRIBER) as (subscriber, refused):
        live = await subscriber.subscribe("task.event.>")
        await subscriber.flush()
        await LogWriter(orchestrator).append(repo="r", task="t", type_="x", id="e1", body=b"{}", after=0)
        assert (await live.next_msg(timeout=WAIT_SECONDS_MAX)).subject == "task.event.r.t.x"
        later = await subscriber.jetstream().pull_subscribe_bind(consumer=SUBSCRIBER, stream=s.EVENTS)
        message = (await later.fetch(1, timeout=WAIT_SECONDS_MAX))[0]
        await message.ack_sync(timeout=WAIT_SECONDS_MAX)
        assert (message.subject, refused) == ("task.event.r.t.x", [])


async def test_provisioning_again_changes_nothing(nats: NatsForTest) -> None:
    async with connected(nats, ADMIN) as (nc, _):
        assert await provision(nc, pools=("scripted", "claude", "publish")) == ()

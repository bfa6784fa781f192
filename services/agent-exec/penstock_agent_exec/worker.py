"""The executor at work: a name, a slot for each job, orders for the free ones, and an end that leaves nothing behind.

Rule of this room: an order is taken off the queue only when its claim has been accepted, and a slot is free again only when
nothing of its job is left.
"""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from typing import Any, Final, assert_never

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.errors import APIError
from prometheus_client import Counter, Gauge

from penstock import subjects as s
from penstock.bounds import LINE_LENGTH_MAX
from penstock.catalog import HostState, LeaseValue
from penstock.codec import Undecodable, jobs, type_of
from penstock.jobs import Job
from penstock.lease import Held, Lost
from penstock.service import Runtime
from penstock.streams import Drift, check
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.claim import acknowledge, claim, give_back, refuse
from penstock_agent_exec.git.mirror import repos_of
from penstock_agent_exec.host import NameTaken, ask_orders_back, end_leases_of_predecessors, keep_name, take_name
from penstock_agent_exec.pull import Orders
from penstock_agent_exec.report import report_of, send
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.perform import perform
from penstock_agent_exec.stream_output import output_stream
from penstock_agent_exec.tenure import Stop, Stopped, Tenure, hold
from penstock_agent_exec.vendors import versions_of

log = structlog.get_logger()

WAIT_PAUSE_SECONDS: Final = 1.0
STOPPING_SECONDS_MAX: Final = 60.0
"""How long jobs that were told to end may take to keep their work, before they are cut off."""

DRAIN: Final = "drain"
REPOS_NAMED_MAX: Final = 100
STREAMS: Final = (s.JOBS, s.REPORTS, s.OUTPUT, s.ARTIFACTS, s.kv_stream(s.LEASES))

JOBS_ENDED: Final = Counter("penstock_jobs_ended", "jobs that were reported", ["kind", "outcome"])
JOBS_RUNNING: Final = Gauge("penstock_jobs_running", "jobs that hold a slot")
LEASES_LOST: Final = Counter("penstock_leases_lost", "jobs that were cut off because their lease was lost")
ORDERS_REFUSED: Final = Counter("penstock_orders_refused", "orders that could not be read or claimed", ["why"])


class Worker:
    """One executor. `notes` are what this host lacks, in words."""

    def __init__(self, runtime: Runtime, bench: Bench, notes: tuple[str, ...]) -> None:
        self._runtime = runtime
        self._bench = bench
        self._nc = bench.nc
        self._notes = tuple(shown(bench.secrets.redactor().text(note), LINE_LENGTH_MAX) for note in notes)
        self._started_at = datetime.now(UTC)
        self._named = asyncio.Event()
        self._pulled_before = False
        self._hurry = asyncio.Event()
        self._slots: set[asyncio.Task[None]] = set()
        self._claiming: dict[str, Stop] = {}
        self._running: dict[str, Stop] = {}
        self._orders = Orders(self._nc, bench.settings.host, bench.pools, free=self._free, take=self._take)

    async def serve(self) -> None:
        """Until the service is told to stop, and then until its jobs have ended."""
        self._listen_for_signals()
        if not await self._streams_stand():
            return
        presence = asyncio.create_task(self._be_present())
        pulling = asyncio.create_task(self._pull())
        stopped = asyncio.create_task(self._runtime.stop.wait())
        try:
            await asyncio.wait({presence, pulling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            self._say_what_broke(presence, pulling)
            self._runtime.stop.set()
            await _end(pulling)
            await self._drain()
        finally:
            for task in (presence, pulling, stopped):
                await _end(task)

    def _listen_for_signals(self) -> None:
        """The first one drains; each further one skips what is being waited for."""

        def told() -> None:
            if self._runtime.stop.is_set():
                self._hurry.set()
            self._runtime.stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told)

    def _say_what_broke(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                log.error("worker.broken", exc_info=error)
                self._runtime.fail(f"{type(error).__name__}: {error}")

    async def _streams_stand(self) -> bool:
        """Wait for the broker to be as this version needs it; False when the service is to stop first."""
        durables = [(s.JOBS, s.pool_durable(pool)) for pool in self._bench.pools]
        while not self._runtime.stop.is_set():
            try:
                await check(self._nc, streams=STREAMS, consumers=durables)
            except (Drift, nats.errors.Error, APIError, OSError) as error:
                await self._wait_for("streams", str(error) or type(error).__name__)
            else:
                self._runtime.ready("streams")
                return True
        return False

    async def _wait_for(self, part: str, reason: str) -> None:
        if self._runtime.waiting_for.get(part) != reason:
            log.warning("worker.waiting", part=part, reason=reason)
        self._runtime.waiting_for[part] = reason
        await self._runtime.stopped_within(WAIT_PAUSE_SECONDS)

    # -- the host's name ---------------------------------------------------------------------------------------------

    async def _be_present(self) -> None:
        """Hold the host's name for as long as this process lives; nothing is pulled while it is not held."""
        folder = self._bench.folder
        while not self._runtime.stop.is_set():
            try:
                lease = await take_name(self._nc, self._state())
                ended = await end_leases_of_predecessors(self._nc, folder.installation, folder.instance)
                if not self._pulled_before:
                    await ask_orders_back(self._nc, self._bench.settings.host)
            except (NameTaken, nats.errors.Error, APIError, OSError) as error:
                await self._wait_for("name", str(error) or type(error).__name__)
                continue
            log.info("host.present", host=self._bench.settings.host, instance=folder.instance, ended=ended)
            self._runtime.ready("name")
            self._runtime.ready()
            self._pulled_before = True
            self._named.set()
            self._orders.wake()
            try:
                await keep_name(lease, self._state)
            except Lost:
                log.warning("host.name_lost", host=self._bench.settings.host)
            except asyncio.CancelledError:
                await lease.release()
                raise
            finally:
                self._named.clear()

    def _state(self) -> HostState:
        return HostState(
            host=self._bench.settings.host,
            instance=self._bench.folder.instance,
            installation=self._bench.folder.installation,
            started_at=self._started_at,
            slots=self._bench.settings.slots,
            busy=len(self._slots),
            vendors=tuple(self._bench.offers),
            notes=self._notes,
            roles=tuple(self._bench.settings.roles.split(",")),
            pools=self._bench.pools,
            repos=repos_of(self._bench.folder.path)[:REPOS_NAMED_MAX],
            versions=versions_of(self._bench.offers),
        )

    # -- slots -------------------------------------------------------------------------------------------------------

    async def _pull(self) -> None:
        await self._named.wait()
        await self._orders.run()

    def _free(self) -> int:
        if self._runtime.stop.is_set() or not self._named.is_set():
            return 0
        return self._bench.settings.slots - len(self._slots)

    def _take(self, order: Msg) -> bool:
        """Begin work on an order; False where no slot is free. Must not wait."""
        if self._free() <= 0:
            return False
        task = asyncio.create_task(self._work_on(order))
        self._slots.add(task)
        JOBS_RUNNING.set(len(self._slots))
        task.add_done_callback(self._slot_free)
        return True

    def _slot_free(self, task: asyncio.Task[None]) -> None:
        self._slots.discard(task)
        JOBS_RUNNING.set(len(self._slots))
        self._orders.wake()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease is released and the order not acknowledged, or its job reported lost: nothing hangs on this.
            log.error("order.broken", exc_info=error)

    async def _work_on(self, order: Msg) -> None:
        try:
            job = jobs.decode(order.data)
        except Undecodable as error:
            log.error("order.undecodable", subject=order.subject, reason=str(error))
            ORDERS_REFUSED.labels("undecodable").inc()
            await refuse(self._nc, order, f"undecodable: {error}")
            return
        if job.id in self._claiming or job.id in self._running:
            # Our own order again, because claiming it took long, or its acknowledgement was lost.
            await give_back(order)
            return
        try:
            await self._under_lease(order, job)
        except Held:
            log.info("order.held_elsewhere", task=job.task, job=job.id)
            await give_back(order)
        except Stopped:
            await give_back(order)
        except Lost:
            LEASES_LOST.inc()
            log.warning("job.lease_lost", task=job.task, job=job.id)
        except (nats.errors.Error, APIError, OSError) as error:
            log.warning("order.given_back", task=job.task, job=job.id, reason=str(error) or type(error).__name__)
            await give_back(order)
        finally:
            self._claiming.pop(job.id, None)
            self._running.pop(job.id, None)

    async def _under_lease(self, order: Msg, job: Job) -> None:
        """Raises Held, Lost, Stopped, and the client's errors."""
        settings, folder = self._bench.settings, self._bench.folder
        value = LeaseValue(holder=settings.host, instance=folder.instance, installation=folder.installation)
        async with hold(self._nc, job.id, value, seconds=settings.job_lease_seconds) as tenure:
            self._claiming[job.id] = tenure.stop
            if self._runtime.stop.is_set():
                raise Stopped(DRAIN)
            asking = claim(self._nc, order, job, host=settings.host, instance=folder.instance, epoch=tenure.epoch)
            answer = await tenure.while_held(tenure.stop.unless_asked(asking))
            del self._claiming[job.id]
            match answer:
                case "accepted":
                    self._running[job.id] = tenure.stop
                    await tenure.while_held(acknowledge(order))
                    await self._run(job, tenure)
                case "refused":
                    ORDERS_REFUSED.labels("refused").inc()
                    await acknowledge(order)
                case "not_ready":
                    ORDERS_REFUSED.labels("not_ready").inc()
                    await give_back(order)
                case "no_answer":
                    log.warning("claim.gave_up", task=job.task, job=job.id)
                    await give_back(order)
                case _:
                    assert_never(answer)

    async def _run(self, job: Job, tenure: Tenure) -> None:
        """The job's work and its one report. Raises Lost."""
        kind = str(job.work.__struct_config__.tag)
        log.info("job.begun", task=job.task, job=job.id, kind=kind, epoch=tenure.epoch)
        redactor = self._bench.secrets.redactor()
        async with output_stream(self._nc, job, tenure.epoch, redactor) as output:
            hand = InHand(job=job, tenure=tenure, output=output, redactor=redactor)
            body = await tenure.while_held(perform(self._bench, hand))
        report = report_of(hand, self._bench.settings.host, body)
        await tenure.while_held(send(self._nc, report, tenure.must_hold))
        outcome = type_of(report.body)
        JOBS_ENDED.labels(kind, outcome).inc()
        log.info("job.reported", task=job.task, job=job.id, kind=kind, outcome=outcome, report=report.id)

    # -- the end -----------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Let running jobs go on for a while, then end them with their work kept, then cut off what is left."""
        for stop in list(self._claiming.values()):
            stop.ask(DRAIN)
        log.info("worker.draining", running=list(self._running))
        await self._jobs_end_within(self._bench.settings.drain_grace_seconds)
        for stop in [*self._claiming.values(), *self._running.values()]:
            stop.ask(DRAIN)
        await self._jobs_end_within(STOPPING_SECONDS_MAX)
        for task in list(self._slots):
            task.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)

    async def _jobs_end_within(self, seconds: float) -> None:
        """Also over when a signal says to hurry."""
        self._hurry.clear()
        hurry = asyncio.create_task(self._hurry.wait())
        until = asyncio.get_running_loop().time() + seconds
        while self._slots and not hurry.done() and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait({hurry, *self._slots}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        await _end(hurry)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel and await; what it raised has been looked at, or does not matter any more."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""`penstock-orchestrator [run]`, `penstock-orchestrator provision [--check]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from functools import partial

import asyncpg
import nats
import nats.errors
import structlog
from nats.aio.client import Client

from penstock import streams
from penstock import subjects as s
from penstock.service import Runtime
from penstock.service import main as service_main
from penstock.settings import BadSettings, environment, load
from penstock_orchestrator import migrate
from penstock_orchestrator.clock import Clock
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.embeddings import Embeddings
from penstock_orchestrator.fold import Fold
from penstock_orchestrator.leader import Candidate
from penstock_orchestrator.memory_notes import Notes
from penstock_orchestrator.projector import Projector
from penstock_orchestrator.recall import Recall
from penstock_orchestrator.settings import Settings
from penstock_orchestrator.tables import Catalogue, Leases

SERVICE = "orchestrator"
CHECK_PAUSE_SECONDS = 1.0

log = structlog.get_logger()


def settings() -> Settings:
    return load(Settings, SERVICE, environment())


async def serve(runtime: Runtime) -> None:
    """Check the ground, then fold and lead until told to stop."""
    given = settings()
    nc = runtime.nc
    if not await _ground_is_good(runtime, given):
        return
    fleet = Fleet()
    fold, leases, catalogue = Fold(nc, fleet), Leases(nc), Catalogue(nc, fleet)
    projector = Projector(runtime, given.database_url.reveal())
    clock = Clock(given.clock_offset_file)
    dsn = given.database_url.reveal()
    embeddings = None
    if given.embeddings_url and given.embeddings_model:
        embeddings = Embeddings(dsn, given.embeddings_url, given.embeddings_model, given.embeddings_key)
    recall = Recall(dsn, settings=lambda: fleet.settings.memory, clock=clock, embeddings=embeddings)
    candidate = Candidate(
        runtime,
        given,
        fold,
        leases,
        catalogue,
        clock=clock,
        recall=recall,
        instance=f"{os.getpid()}-{os.urandom(4).hex()}",
    )
    notes = Notes(runtime, given.database_url.reveal())
    candidate.duties += [projector.run, notes.run]
    if embeddings is not None:
        candidate.duties.append(partial(embeddings.run, runtime))
    duties = [asyncio.create_task(part.run()) for part in (fold, leases, catalogue, candidate)]
    stopped = asyncio.create_task(runtime.stop.wait())
    runtime.waiting_for["leader"] = "the log is being read, and a leader found"
    runtime.ready()
    try:
        await asyncio.wait([*duties, stopped], return_when=asyncio.FIRST_COMPLETED)
        with contextlib.suppress(TimeoutError):
            # The leader gives its lease back, so that the next one need not wait for it to end.
            async with asyncio.timeout(3.0):
                await asyncio.shield(duties[-1])
    finally:
        await recall.close()
        if embeddings is not None:
            await embeddings.close()
        for duty in duties:
            duty.cancel()
        for outcome in await asyncio.gather(*duties, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                log.error("orchestrator.broken", exc_info=outcome)
                runtime.fail(f"{type(outcome).__name__}: {outcome}")
        stopped.cancel()


async def _ground_is_good(runtime: Runtime, given: Settings) -> bool:
    """Wait for the broker's streams to be as they must; drift ends the process with words, absence is waited for."""
    while not runtime.stop.is_set():
        try:
            grade = await streams.check_server(runtime.nc, given.nats_monitor_url, allow_volatile=given.allow_volatile)
            await streams.check(
                runtime.nc,
                streams=(s.EVENTS, s.REPORTS, s.JOBS, s.INTAKE, s.DEAD, s.kv_stream(s.LEASES), s.kv_stream(s.CATALOG)),
                consumers=((s.REPORTS, s.REPORTS_DURABLE), (s.INTAKE, s.INTAKE_DURABLE)),
            )
        except streams.Drift as error:
            runtime.fail(str(error))
            return False
        except (nats.errors.Error, OSError, TimeoutError) as error:
            runtime.waiting_for["start"] = f"the broker does not answer: {str(error) or type(error).__name__}"
            await runtime.stopped_within(CHECK_PAUSE_SECONDS)
            continue
        log.info("broker.checked", durability=grade)
        return True
    return False


async def provision(given: Settings, *, check_only: bool) -> int:
    """Streams, consumers, buckets, schema: create or update, or only look. Returns the exit code."""
    nc = await _connect_once(given)
    try:
        if check_only:
            await streams.check(nc, streams=[str(config.name) for config in streams.stream_configs()])
            print("broker: as it should be")
        else:
            for line in await streams.provision(nc, pools=(*given.vendors, *given.publishing), replicas=given.replicas):
                print(f"broker: {line}")
        grade = await streams.check_server(nc, given.nats_monitor_url, allow_volatile=given.allow_volatile)
        print(f"broker: {grade}")
    finally:
        await nc.close()
    if not given.database_url:
        raise BadSettings("PENSTOCK_DATABASE_URL (or PENSTOCK_DATABASE_URL_FILE) is missing")
    if check_only:
        connection = await asyncpg.connect(given.database_url.reveal())
        try:
            await migrate.check(connection)
        finally:
            await connection.close()
        print("database: as it should be")
    else:
        for line in await migrate.migrate(given.database_url.reveal()):
            print(f"database: {line}")
    return 0


async def _connect_once(given: Settings) -> Client:
    return await nats.connect(
        given.nats_url,
        user=given.nats_user or None,
        password=given.nats_password.reveal() or None,
        inbox_prefix=f"_INBOX.{given.nats_user or 'provision'}",
        allow_reconnect=False,
        connect_timeout=5,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="penstock-orchestrator", description=__doc__)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("run", help="fold, decide and lead (the default)")
    verb = verbs.add_parser("provision", help="create or update streams, consumers, buckets and the schema")
    verb.add_argument("--check", action="store_true", help="only look; exit 1 where something differs")
    arguments = parser.parse_args()
    if arguments.verb != "provision":
        service_main(SERVICE, settings, serve)
        return
    try:
        sys.exit(asyncio.run(provision(settings(), check_only=arguments.check)))
    except (streams.Drift, migrate.SchemaProblem, BadSettings) as error:
        sys.exit(f"penstock-orchestrator provision: {error}")
    except (nats.errors.Error, OSError, asyncpg.PostgresError) as error:
        sys.exit(f"penstock-orchestrator provision: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()

"""The executor's double as a process of its own: prepares every task at once, claims the agent's job, and says no more."""

from __future__ import annotations

import os

import uvloop
from executor_double import ExecutorDouble, all_well

from penstock.connection import Connection
from penstock.jobs import Job, PrepareWork
from penstock.reports import ReportBody
from penstock_launcher.nats_conf import AGENT_EXEC

LEASE_SECONDS = 3_600


def prepares_only(job: Job, epoch: int) -> ReportBody | None:
    return all_well(job, epoch) if isinstance(job.work, PrepareWork) else None


async def execute() -> None:
    nc = Connection()
    await nc.connect(
        os.environ["BENCH_NATS_URL"],
        user=AGENT_EXEC,
        password=os.environ["BENCH_NATS_PASSWORD"],
        inbox_prefix=f"_INBOX.{AGENT_EXEC}",
    )
    await ExecutorDouble(nc, plan=prepares_only, lease_seconds=LEASE_SECONDS).run()


if __name__ == "__main__":
    uvloop.run(execute())

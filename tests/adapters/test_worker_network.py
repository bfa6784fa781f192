"""Given a repo with named hosts, agents and checks are let out to these alone, and what was kept inside is in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from executor_world import COMMIT, MEND, NEWS, World, world
from servers import NatsForTest
from whole import Remote, calc_remote

from penstock import ids
from penstock.events import AgentSucceeded, NetworkDenied, VerifySucceeded
from penstock.jobs import Job
from penstock.reports import ReportBody
from penstock_agent_exec.broker.denials import TOLD_MAX
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

HOSTS = ("registry.example:443", "*.files.example:443")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start()
        yield found


@pytest.fixture
def task() -> str:
    return ids.fresh()


def visits(*urls: str) -> str:
    """A shell command that passes, whatever becomes of the visits."""
    python = "import sys, urllib.request\\nfor url in sys.argv[1:]:\\n try: urllib.request.urlopen(url, timeout=20)\\n"
    python += " except OSError as error: print(url, error)"
    return f'python3 -c "$(printf "{python}")" {" ".join(urls)}'


def runs(command: str) -> dict[str, Any]:
    return {"do": "run", "argv": ["sh", "-c", command]}


async def all_of(place: World, job: Job) -> list[ReportBody]:
    """Every report of a job, to its end."""
    found: list[ReportBody] = []
    async with asyncio.timeout(60), aclosing(place.desk.told(job)) as told:
        async for report in told:
            found.append(report.body)
            if not isinstance(report.body, NEWS):
                return found
    raise AssertionError


def denied(bodies: list[ReportBody]) -> list[tuple[str, str, int]]:
    return [(body.what, body.target, body.count) for body in bodies if isinstance(body, NetworkDenied)]


async def test_what_an_agent_was_kept_from_is_told_before_its_end(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    urls = ("https://evil.example/", "http://169.254.169.254/latest/", "https://registry.example:8443/")
    place.script("looks", [runs(visits(*urls, urls[0])), MEND, COMMIT])
    place.repo = msgspec.structs.replace(place.repo, egress=HOSTS)
    job = await place.desk.order(place.agent(task, base, "looks"), task=task)
    bodies = await all_of(place, job)
    done = bodies[-1]
    assert isinstance(done, AgentSucceeded)
    assert done.sandbox.endswith("egress to 2 named hosts")
    assert denied(bodies) == [
        ("egress", "evil.example:443", 1),
        ("egress", "http://169.254.169.254/latest/", 1),
        ("egress", "registry.example:8443", 1),
        ("egress", "", 1),
    ]


async def test_a_flood_of_denials_is_told_as_a_number(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("looks", [runs(visits(*(f"https://h{n}.example/" for n in range(40)))), MEND, COMMIT])
    place.repo = msgspec.structs.replace(place.repo, egress=HOSTS)
    job = await place.desk.order(place.agent(task, base, "looks"), task=task)
    told = denied(await all_of(place, job))
    assert len(told) == TOLD_MAX + 1
    assert told[-1] == ("egress", "", 40 - TOLD_MAX)


async def test_checks_are_let_out_like_agents_and_kept_inside_like_them(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.repo = msgspec.structs.replace(place.repo, egress=HOSTS)
    work = place.verify(task, base, test=visits("https://evil.example/"), lint=visits("https://other.example/"))
    bodies = await all_of(place, await place.desk.order(work, task=task))
    done = bodies[-1]
    assert isinstance(done, VerifySucceeded)
    assert done.sandbox.endswith("egress to 2 named hosts")
    assert "403" in done.commands[0].tail
    assert denied(bodies) == [("egress", "evil.example:443", 1), ("egress", "other.example:443", 1)]


async def test_a_repo_that_names_no_host_has_no_way_out_and_no_proxy(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    looks = 'test -z "$https_proxy$HTTPS_PROXY" && ! '
    looks += "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8010), 2)'"
    bodies = await all_of(place, await place.desk.order(place.verify(task, base, test=looks), task=task))
    done = bodies[-1]
    assert isinstance(done, VerifySucceeded), done
    assert "egress" not in done.sandbox
    assert denied(bodies) == []

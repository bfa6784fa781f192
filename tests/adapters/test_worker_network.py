"""Given a repo with named hosts, agents and checks are let out to these alone, and what was kept inside is in the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from agent_programs import claude_or_skip
from executor_world import COMMIT, MEND, NEWS, World, world
from fake_model import FakeModel, Say, bash, endless, script, write_file
from patience import WAIT_SECONDS_MAX
from servers import NatsForTest
from whole import Remote, calc_remote

from penstock import ids
from penstock.events import AgentFailed, AgentSucceeded, NetworkDenied, VerifySucceeded
from penstock.jobs import Job
from penstock.reports import ReportBody
from penstock.values import Price
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
    python = "import sys, urllib.request\\nfor url in sys.argv[1:]:\\n try: urllib.request.urlopen(url, timeout=120)\\n"
    python += " except OSError as error: print(url, error)"
    return f'python3 -c "$(printf "{python}")" {" ".join(urls)}'


def runs(command: str) -> dict[str, Any]:
    return {"do": "run", "argv": ["sh", "-c", command]}


async def all_of(place: World, job: Job) -> list[ReportBody]:
    """Every report of a job, to its end."""
    found: list[ReportBody] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX), aclosing(place.desk.told(job)) as told:
        async for report in told:
            found.append(report.body)
            if not isinstance(report.body, NEWS):
                return found
    raise AssertionError


def denied(bodies: list[ReportBody]) -> list[tuple[str, str, int]]:
    return [(body.what, body.target, body.count) for body in bodies if isinstance(body, NetworkDenied)]


# -- through the model's gate --------------------------------------------------------------------------------------------

PRICE = Price(input_usd=3.0, output_usd=15.0)
ONE_ANSWER_USD = (1_200 * 3.0 + 40 * 15.0) / 1e6
ASKS_FOR_FILES = """python3 - <<'END'
import os, socket
one = socket.socket(socket.AF_UNIX)
one.connect(os.environ["ANTHROPIC_UNIX_SOCKET"])
one.sendall(b"POST /v1/files HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 0\\r\\n\\r\\n")
print(one.recv(1000))
END"""


@contextlib.asynccontextmanager
async def claude_world(tmp_path: Path, nats: NatsForTest, remote: Remote, model: FakeModel) -> AsyncIterator[World]:
    claude = claude_or_skip()
    async with world(tmp_path / "c", nats, remote) as found:
        await found.start(
            vendors="scripted,claude",
            claude_path=str(claude.program),
            anthropic_base_url=model.base_url,
            anthropic_api_key="sk-ant-the-key-that-stays-outside",
        )
        yield found


async def test_a_run_is_ended_at_its_budget_by_what_the_gate_has_counted(
    tmp_path: Path, nats: NatsForTest, remote: Remote, task: str
) -> None:
    async with FakeModel(script(endless())) as model, claude_world(tmp_path, nats, remote, model) as place:
        base = (await place.prepared(task)).base_commit
        limit_usd = 2.5 * ONE_ANSWER_USD
        work = place.agent(task, base, "", vendor="claude", price=PRICE, max_cost_usd=limit_usd)
        failed = await place.step(task, work, AgentFailed)
        assert len(model.model_requests) == 3
    assert (failed.error_class, failed.transient) == ("vendor.budget", False)
    assert (failed.usage.input_tokens, failed.usage.output_tokens) == (3_600, 120)
    assert failed.usage.cost_usd == pytest.approx(3 * ONE_ANSWER_USD)


async def test_what_an_agent_may_not_ask_of_its_models_api_is_in_the_log(
    tmp_path: Path, nats: NatsForTest, remote: Remote, task: str
) -> None:
    steps = (bash(ASKS_FOR_FILES), write_file("made.py", "made = True\n"), Say("Done."))
    async with FakeModel(script(*steps)) as model, claude_world(tmp_path, nats, remote, model) as place:
        base = (await place.prepared(task)).base_commit
        job = await place.desk.order(place.agent(task, base, "", vendor="claude", price=PRICE), task=task)
        bodies = await all_of(place, job)
    done = bodies[-1]
    assert isinstance(done, AgentSucceeded), done
    assert done.usage.cost_usd == pytest.approx(3 * ONE_ANSWER_USD)
    assert denied(bodies) == [("model", "POST /v1/files", 1)]


# -- to other hosts ------------------------------------------------------------------------------------------------------


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

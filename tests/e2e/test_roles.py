"""A host that runs and holds nothing of a forge, a host that hands over and runs nobody's code, and a host that dies for good: a
task goes in over HTTP, and its change is on the remote once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest
from orchestrator_fixtures import tags
from whole import AT_ONCE, CALC_MENDED, HAPPY, TEST_COMMAND, Remote, Whole, calc_remote, whole

from penstock import subjects as s
from penstock.events import AgentSucceeded, JobClaimed, PrepareSucceeded, PublishRequested, PublishSucceeded, Recorded

pytestmark = pytest.mark.anyio

T = TypeVar("T")
FORGE_TOKEN = "ghp_only-for-the-host-that-publishes"
RUNS, PUBLISHES = {"roles": "run"}, {"roles": "publish"}
NAMES = ("orchestrator", "agent-exec", "agent-exec2", "notifier", "api")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Whole]:
    """h1 and h3 run, h2 publishes; h3 is not started yet. A host that is away is given two seconds."""
    token = tmp_path / "forge-token"
    token.write_text(f"{FORGE_TOKEN}\n")
    more = {
        "orchestrator": {"host_patience_seconds": "2"},
        "agent-exec": RUNS | {"job_lease_seconds": "8", "mounts_file": str(held(tmp_path))},
        "agent-exec2": PUBLISHES | {"git_token_file": str(token)},
        "agent-exec3": RUNS | {"job_lease_seconds": "8"},
    }
    async with whole(tmp_path / "w", NAMES, programs={}, more=more) as found:
        answer = await found.call("PUT", "/v1/settings", json={"publish_pool": "publish"})
        assert answer.status_code in (200, 201), answer.text
        yield found


def held(folder: Path) -> Path:
    """Mounts of a host on which a check that asks for it waits for ever."""
    (folder / "held").mkdir()
    (folder / "held" / "here").touch()
    mounts = folder / "mounts.toml"
    mounts.write_text(f'[[mount]]\npath = "{folder}/held"\ninside = "/opt/held"\n')
    return mounts


def happened(events: list[Recorded], kind: type[T]) -> list[T]:
    return [event.data for event in events if isinstance(event.data, kind)]


async def test_one_host_runs_and_another_hands_over(house: Whole, remote: Remote, tmp_path: Path) -> None:
    await house.add_repo("calc", str(remote.path))
    task = await house.submit()
    events = await house.until(task)
    assert [tags(event) for event in events] == HAPPY
    by_job = {event.id: tags(event) for event in events}
    claims = {by_job[claim.job]: claim.host for claim in happened(events, JobClaimed)}
    assert claims == {
        "prepare_requested": "h1",
        "agent_requested": "h1",
        "verify_requested": "h1",
        "publish_requested": "h2",
    }
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
    assert len(remote.pushes) == 1
    _has_nothing_of_the_forge(house, tmp_path)


def _has_nothing_of_the_forge(house: Whole, tmp_path: Path) -> None:
    """Neither in the environment of the host that runs, nor in any of its files, nor beside a broker's artifact."""
    secret = FORGE_TOKEN.encode()
    environ = Path(f"/proc/{house.services['agent-exec'].pid}/environ").read_bytes()
    assert secret not in environ
    assert b"GIT_TOKEN" not in environ
    for folder in (house.folder / "h1", house.folder / "agent-exec"):
        for path in folder.rglob("*"):
            assert not (path.is_file() and not path.is_symlink() and secret in path.read_bytes()), path
    there = Path(f"/proc/{house.services['agent-exec2'].pid}/environ").read_bytes()
    assert str(tmp_path / "forge-token").encode() in there
    # And no agent has ever been on the host that has it.
    assert not (house.folder / "h2" / "tasks").exists()


async def end(house: Whole, name: str) -> None:
    """Killed, and not coming back: its lease on its name ends, as it would by itself half a minute later."""
    await asyncio.to_thread(house.services[name].kill)
    host = {"agent-exec": "h1", "agent-exec2": "h2"}[name]
    subject = s.kv(s.LEASES, s.host_lease(host))
    await house.nc.jetstream().publish(subject, b"", headers={s.KV_OPERATION: "DEL"}, msg_ttl=60)


async def test_a_host_that_dies_after_its_agent_is_not_needed_to_hand_over(house: Whole, remote: Remote) -> None:
    await house.add_repo("calc", str(remote.path), test=None)
    await end(house, "agent-exec2")
    task = await house.submit()
    await house.until(task, lambda recorded: isinstance(recorded.data, PublishRequested))
    await end(house, "agent-exec")
    house.services["agent-exec2"].start()
    events = await house.until(task)
    assert tags(events[-1]) == "task_unverified"
    assert len(happened(events, AgentSucceeded)) == len(happened(events, PublishSucceeded)) == 1
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
    assert len(remote.pushes) == 1


async def test_a_host_that_dies_before_the_check_is_gone_on_from_by_another(house: Whole, remote: Remote) -> None:
    await house.add_repo(
        "calc", str(remote.path), test=f"while [ -e /opt/held/here ]; do sleep 0.1; done; {TEST_COMMAND}"
    )
    task = await house.submit()
    await house.until(task, lambda recorded: isinstance(recorded.data, AgentSucceeded))
    await end(house, "agent-exec")
    house.services["agent-exec3"].start()
    events = await house.until(task)
    assert tags(events[-1]) == "task_succeeded", [tags(event) for event in events]
    # The change was not made again, but checked where it was carried to.
    assert len(happened(events, AgentSucceeded)) == 1
    assert [prepared.host for prepared in happened(events, PrepareSucceeded)] == ["h1", "h3"]
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
    assert len(remote.pushes) == 1


async def test_a_host_that_dies_in_the_middle_of_a_run_costs_no_more_than_that_run(
    house: Whole, remote: Remote
) -> None:
    await house.add_repo("calc", str(remote.path))
    half = [{"do": "write", "path": "half.txt", "content": "half\n"}, {"do": "turn_limit"}]
    cases = [{"when": {"resumed": False}, "steps": half}, {"when": {"resumed": True}, "steps": [{"do": "hang"}]}]
    house.script("in-parts", {"cases": cases})
    task = await house.submit(model="in-parts")
    claims: list[str] = []

    def second_run(recorded: Recorded) -> bool:
        claims.extend([recorded.id] if isinstance(recorded.data, JobClaimed) else [])
        return len(claims) == 3

    await house.until(task, second_run)
    await end(house, "agent-exec")
    house.script("in-parts", AT_ONCE)
    house.services["agent-exec3"].start()
    events = await house.until(task)
    assert tags(events[-1]) == "task_succeeded", [tags(event) for event in events]
    assert remote.file(f"agent/{task}", "half.txt") == "half\n"
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
    assert len(remote.pushes) == 1

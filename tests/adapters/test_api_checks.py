"""What the api takes and gives of checks: how closely they are looked at, and all that they printed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import msgspec
import pytest
from adapters.api_house import DEADLINE_SECONDS, PAUSE_SECONDS, House, database_of, house_for_many, submitted
from servers import PostgresForTest

from penstock import artifacts, ids
from penstock.events import PrepareSucceeded
from penstock.values import CommandResult, ProposedCheck, Rerun

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


async def test_all_that_a_check_printed_is_handed_out_by_its_stage(house: House) -> None:
    task, job = await house.submit("an output"), ids.fresh()
    assert (await house.client.get(f"/v1/tasks/{task}/outputs/{job}/test")).status_code == 404
    first, second = gzip.compress(b"1 failed\n"), gzip.compress(b"1 passed\n")
    kept = [
        await artifacts.store(house.executor, task=task, job=job, name=name, body=body, media_type="text/html")
        for name, body in (("output-test", first), ("output-test-again", second))
    ]
    again = Rerun(exit_code=0, ended="exited", wall_seconds=1.0, output=kept[1])
    test = CommandResult(stage="test", command="t", exit_code=1, wall_seconds=1.0, output=kept[0], again=again)
    lint = CommandResult(stage="lint", command="l", exit_code=0, wall_seconds=1.0)
    connection = await asyncpg.connect(house.dsn)
    try:
        await connection.execute(
            "insert into penstock.step (job, task, kind, attempt, requested_at, commands)"
            " values ($1, $2, 'verify', 1, now(), $3)",
            job,
            task,
            msgspec.json.encode((test, lint)).decode(),
        )
        for stage, printed in (("test", first), ("test-again", second)):
            answer = await house.client.get(f"/v1/tasks/{task}/outputs/{job}/{stage}")
            assert answer.content == printed
            assert answer.headers["content-type"] == "application/gzip"
            assert answer.headers["content-disposition"] == f'attachment; filename="{task}-{job}-{stage}.txt.gz"'
        for stage in ("lint", "build"):
            assert (await house.client.get(f"/v1/tasks/{task}/outputs/{job}/{stage}")).status_code == 404
        assert (await house.client.get(f"/v1/tasks/{task}/outputs/{job}/..%2Ftest")).status_code in (400, 404, 422)
    finally:
        await connection.close()


async def test_how_closely_checks_are_looked_at_is_a_setting_of_the_repo(house: House) -> None:
    plain = {"clone_url": "https://forge.example/shop.git", "verify": {"test": "make test"}}
    put = await house.client.put("/v1/repos/closely", json=plain)
    assert put.json()["checking"] == {
        "rerun": "test",
        "flaky_passes": True,
        "baseline": "off",
        "failed_before": "unverified",
    }
    more = plain | {"checking": {"baseline": "failed"}, "verify": {"test": "make test", "reports": ["out/**/*.xml"]}}
    put = await house.client.put("/v1/repos/closely", json=more)
    assert (put.json()["checking"]["baseline"], put.json()["checking"]["rerun"]) == ("failed", "test")
    assert put.json()["verify"]["reports"] == ["out/**/*.xml"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"checking": {"baseline": "sometimes"}},
        {"checking": {"reruns": "test"}},
        {"verify": {"test": "t", "reports": ["../out.xml"]}},
        {"verify": {"test": "t", "reports": ["/out.xml"]}},
        {"verify": {"test": "t", "reports": ["a"] * 21}},
    ],
)
async def test_a_setting_of_checks_that_is_none_is_refused(house: House, wrong: dict[str, object]) -> None:
    answer = await house.client.put("/v1/repos/closely", json={"clone_url": "https://forge.example/shop.git", **wrong})
    assert answer.status_code in (400, 422)


LINT = ProposedCheck(stage="lint", command="make lint", confidence="medium", source="Makefile", why="the target lint")
TEST = ProposedCheck(
    stage="test", command="pytest", confidence="high", source="pyproject.toml", why="settings", reports=("junit.xml",)
)
MORE = ProposedCheck(stage="test", command="make test", confidence="medium", source="Makefile", why="the target test")


async def prepared(house: House, repo: str, *proposed: ProposedCheck, looked: bool = True) -> str:
    """A task of the repo whose host has made its clone, and read there what could check it; the task."""
    task = ids.fresh()
    await house.append(task, submitted(), repo)
    done = PrepareSucceeded(
        job=ids.fresh(),
        epoch=1,
        host="h1",
        base_commit="1" * 40,
        branch=f"agent/{task}",
        proposed=proposed if looked else None,
    )
    await house.append(task, done, repo)
    return task


async def checks_of(house: House, repo: str, task: str = "") -> dict[str, Any]:
    """What the api says of them, once it says it of this task."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            answer = await house.client.get(f"/v1/repos/{repo}/checks")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            if not task or (found["proposed"] or {}).get("task") == task:
                return found
            await asyncio.sleep(PAUSE_SECONDS)


async def test_a_repo_without_checks_says_what_its_own_files_propose_and_takes_it_as_it_was_told(house: House) -> None:
    plain = {"clone_url": "https://forge.example/unchecked.git"}
    assert (await house.client.get("/v1/repos/unchecked/checks")).status_code == 404
    await house.client.put("/v1/repos/unchecked", json=plain)
    nothing: dict[str, object] = {"pre": None, "build": None, "test": None, "lint": None, "reports": []}
    assert await checks_of(house, "unchecked") == {"verify": nothing, "proposed": None}
    await prepared(house, "unchecked", LINT)
    newest = await prepared(house, "unchecked", TEST, MORE, LINT)
    told = (await checks_of(house, "unchecked", newest))["proposed"]
    assert told["commit"] == "1" * 40
    assert told["verify"] == nothing | {"test": "pytest", "lint": "make lint", "reports": ["junit.xml"]}
    assert [(one["stage"], one["command"], one["confidence"], one["source"]) for one in told["commands"]] == [
        ("test", "pytest", "high", "pyproject.toml"),
        ("test", "make test", "medium", "Makefile"),
        ("lint", "make lint", "medium", "Makefile"),
    ]
    put = await house.client.put("/v1/repos/unchecked", json=plain | {"verify": told["verify"]})
    assert put.status_code == 200, put.text
    assert await checks_of(house, "unchecked") == {"verify": told["verify"], "proposed": None}


async def test_what_was_looked_for_and_not_found_is_not_what_nobody_has_looked_for(house: House) -> None:
    await house.client.put("/v1/repos/bare", json={"clone_url": "https://forge.example/bare.git"})
    looked = await prepared(house, "bare")
    await prepared(house, "bare", looked=False)
    found = await checks_of(house, "bare", looked)
    assert found["proposed"]["commands"] == []
    assert (await prepared(house, "others", LINT)) != looked
    assert (await checks_of(house, "bare", looked))["proposed"]["commands"] == []

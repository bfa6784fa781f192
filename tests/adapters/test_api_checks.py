"""What the api takes and gives of checks: how closely they are looked at, and all that they printed."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterator

import asyncpg
import msgspec
import pytest
from adapters.api_house import House, database_of, house_for_many
from servers import PostgresForTest

from penstock import artifacts, ids
from penstock.values import CommandResult, Rerun

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

"""The servers of the launcher: they start, survive what they must survive, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from nats import connect
from nats.errors import Error as NatsError
from patience import WAIT_SECONDS_MAX
from ports import free_port
from servers import NatsForTest, PostgresForTest

from penstock.streams import check_server
from penstock_launcher.child import ChildFailed
from penstock_launcher.servers import PostgresServer

pytestmark = pytest.mark.anyio
DEADLINE_SECONDS = WAIT_SECONDS_MAX


async def test_what_nats_acknowledged_is_there_after_kill_nine_and_a_restart(nats: NatsForTest) -> None:
    before = await nats.connect()
    ack = await before.jetstream().publish("penstock.report.t.j.k", b"kept")
    nats.kill()
    nats.start()
    after = await nats.connect()
    message = await after.jetstream().get_msg("REPORTS", ack.seq)
    await before.close()
    await after.close()
    assert message.data == b"kept"


async def test_a_wrong_password_is_refused_by_nats(nats: NatsForTest) -> None:
    with pytest.raises(NatsError, match=r"(?i)authorization violation"):
        await connect(nats.url, user="api", password="wrong", allow_reconnect=False)


async def test_the_durable_server_says_that_it_syncs_always(nats_server: NatsForTest) -> None:
    nc = await nats_server.connect()
    assert await check_server(nc, nats_server.monitor_url, allow_volatile=False) == "sync always"
    await nc.close()


async def test_databases_of_two_tests_do_not_see_each_other(postgres_server: PostgresForTest, postgres: str) -> None:
    other = postgres_server.create()
    here = await asyncpg.connect(postgres)
    await here.execute("create table only_here (n int)")
    there = await asyncpg.connect(postgres_server.server.dsn(other))
    found = await there.fetchval("select count(*) from pg_tables where tablename = 'only_here'")
    await here.close()
    await there.close()
    postgres_server.drop(other)
    assert found == 0


async def test_a_wrong_password_is_refused_by_postgres(postgres: str, postgres_server: PostgresForTest) -> None:
    right = postgres_server.server.dsn().split("@")[0].rpartition(":")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.replace(right, "wrong"))


async def test_postgres_recovers_from_kill_nine_with_what_was_committed(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", password="p-of-test", port=free_port())
    server.start()
    try:
        server.sql("create table t (n int)")
        server.sql("insert into t values (7)")
        server.kill()
        server.start()
        assert server.sql("select n from t") == "7"
    finally:
        server.stop()
    assert server.pid is None
    assert not (tmp_path / "pg" / "postmaster.pid").exists()


async def test_a_pid_file_of_another_program_does_not_keep_postgres_from_starting(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", password="p-of-test", port=free_port(), durable=False)
    server.start()
    kept = (tmp_path / "pg" / "postmaster.pid").read_text()
    server.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "pg" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *kept.split("\n")[1:]]))
        server.start()
        assert server.sql("select 1") == "1"
    finally:
        server.stop()
        stranger.kill()
        stranger.wait()


async def test_a_taken_port_is_an_error_with_the_servers_own_words(nats: NatsForTest, tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", password="p", port=int(nats.url.rpartition(":")[2]), durable=False)
    with pytest.raises(ChildFailed, match="Address already in use"):
        server.start()


STARTER = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from servers import NatsForTest, PostgresForTest
nats = NatsForTest(Path(sys.argv[1]) / "n")
nats.start()
postgres = PostgresForTest(Path(sys.argv[1]))
postgres.start()
print(nats.pid, postgres.server.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
async def test_no_server_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", STARTER, str(tmp_path), str(Path(__file__).parents[1])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pids = [int(word) for word in starter.stdout.readline().split()]
        starter.kill()
    assert len(pids) == 2
    wait_until(lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)

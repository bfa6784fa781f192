"""`up`, `status` and `down` with everything that is real: two servers, four services, one data folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import nats
import pytest
from patience import WAIT_SECONDS_MAX
from ports import free_port

from penstock.subjects import parse_event
from penstock_launcher import sample
from penstock_launcher.client import ApiSaidNo, Client, JsonObject
from penstock_launcher.folder import FIRST_TOKEN, PORT_NAMES, DataFolder, Running
from penstock_launcher.servers import write_private
from penstock_launcher.up import not_ready

READY_SECONDS_MAX = WAIT_SECONDS_MAX
PARTS = ("nats-server", "postgresql", "orchestrator", "agent-exec", "notifier", "api")


def launcher(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "penstock_launcher", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(launcher(*arguments), capture_output=True, text=True, timeout=READY_SECONDS_MAX, check=False)


def ready(folder: DataFolder) -> Running:
    """Wait until every part says that it is."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while (running := folder.running()) is None or not_ready(running):
        assert time.monotonic() < deadline, running and not_ready(running)
        time.sleep(0.05)
    return running


def started(folder: DataFolder, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """`up`, on ports that it has had before, as it believes: what it would draw by itself, others may draw meanwhile."""
    if not folder.path.exists():
        folder.path.mkdir(mode=0o700)
        write_private(folder.path / "ports.json", json.dumps({name: free_port() for name in PORT_NAMES}))
        write_private(folder.path / "http-port", str(free_port()))
    return subprocess.Popen(launcher("up", "--data", str(folder.path)), stdout=stdout)


def answered(client: Client, path: str) -> JsonObject:
    """What the api says when it has found its way back to all parts."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            return client.json("GET", path)
        except ApiSaidNo as error:
            if ": 503 " not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFolder]:
    folder = DataFolder(tmp_path_factory.mktemp("up") / "data")
    process = started(folder)
    try:
        ready(folder)
        yield folder
    finally:
        process.terminate()
        process.wait(READY_SECONDS_MAX)


def test_status_shows_every_part_and_says_by_its_exit_code_that_all_are_ready(up: DataFolder) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    # Ready a moment ago is not ready for ever, on a machine that is short of breath.
    while (done := run("status", "--data", str(up.path))).returncode != 0:
        assert time.monotonic() < deadline, done.stdout
    assert [line.split()[::2] for line in done.stdout.splitlines()[1:]] == [[part, "ready"] for part in PARTS]
    assert done.returncode == 0


def test_a_second_up_says_who_has_the_folder(up: DataFolder) -> None:
    done = run("up", "--data", str(up.path))
    assert done.returncode == 1
    assert f"(pid {up.holder()})" in done.stdout


def test_an_occupied_port_is_named(up: DataFolder, tmp_path: Path) -> None:
    running = up.running()
    assert running is not None
    port = running.http_url.rpartition(":")[2]
    done = run("up", "--data", str(tmp_path / "other"), "--port", port)
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in done.stdout


def test_a_task_comes_to_its_end_and_no_service_lacked_a_right(up: DataFolder, tmp_path: Path) -> None:
    running = ready(up)
    remote = sample.make_sample(tmp_path)
    sample.write_script(up.path / "scripts")
    client = Client(running.http_url, up.secret_file(FIRST_TOKEN).read_text().strip())
    client.json("PUT", "/v1/repos/shop", {"clone_url": str(remote), "verify": {"test": sample.TEST_COMMAND}})
    asked: dict[str, object] = {
        "repo": "shop",
        "title": "T",
        "vendor": "scripted",
        "model": sample.SCRIPT,
        "flow": "branch",
    }
    task = client.json("POST", "/v1/tasks", asked)["task"]
    events = [frame.event for frame in client.stream(f"/v1/tasks/{task}/stream") if frame.event != "output"]
    assert events[-2:] == ["task_succeeded", "end"]
    assert (
        anyio.run(heard_by_the_subscriber, running.nats_url, up.secret("nats-subscriber"), len(events) - 1)
        == events[:-1]
    )
    refusals = [line for log in up.logs.glob("*.log") for line in log.read_text().splitlines() if "permission" in line]
    assert refusals == []


async def heard_by_the_subscriber(nats_url: str, password: str, count: int) -> list[str]:
    """The types of the first `count` events, read as anybody would who was given that user."""
    nc = await nats.connect(nats_url, user="subscriber", password=password, inbox_prefix="_INBOX.subscriber")
    try:
        durable = await nc.jetstream().pull_subscribe_bind(consumer="subscriber", stream="EVENTS")
        messages = await durable.fetch(count, timeout=WAIT_SECONDS_MAX)
        for message in messages:
            await message.ack_sync(timeout=WAIT_SECONDS_MAX)
        return [parse_event(message.subject).type for message in messages]
    finally:
        await nc.close()


@pytest.mark.parametrize("part", PARTS)
def test_kill_nine_of_any_part_heals(up: DataFolder, part: str) -> None:
    before = ready(up).parts[part]
    assert before is not None
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + READY_SECONDS_MAX
    while (running := up.running()) is None or running.parts[part] in (before, None):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    after = ready(up)
    client = Client(after.http_url, up.secret_file(FIRST_TOKEN).read_text().strip())
    assert answered(client, "/v1/tasks")["next"] is None


def test_nothing_in_the_folder_is_for_others_to_read(up: DataFolder) -> None:
    assert stat.S_IMODE(up.path.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in up.secrets.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_process_has_a_secret_in_its_arguments_or_in_its_environment(up: DataFolder) -> None:
    secrets = [path.read_text().strip() for path in up.secrets.iterdir()]
    for pid in ready(up).parts.values():
        seen = Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
        assert not [secret for secret in secrets if secret in seen]


def test_nobody_who_reads_any_more_keeps_it_from_healing_and_from_an_orderly_end(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    process = started(folder, subprocess.PIPE)
    try:
        before = ready(folder).parts["notifier"]
        assert process.stdout is not None
        process.stdout.close()
        assert before is not None
        os.kill(before, signal.SIGKILL)  # of which it says something
        deadline = time.monotonic() + READY_SECONDS_MAX
        while (running := folder.running()) is None or running.parts["notifier"] in (before, None):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        ready(folder)
    finally:
        process.terminate()
        ended = process.wait(READY_SECONDS_MAX)
    assert ended == 0
    log = (folder.logs / "postgresql.log").read_text()
    assert "database system is shut down" in log  # asked to, and not killed


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("moment", ["initdb", "provision"])
def test_ctrl_c_while_it_starts_is_an_orderly_end_and_not_a_failure(tmp_path: Path, moment: str) -> None:
    folder = DataFolder(tmp_path / "data")
    # Of a group of its own, as in a terminal, where Ctrl-C goes to all that are in it.
    process = subprocess.Popen(
        launcher("up", "--data", str(folder.path)), stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not any(moment in argv for argv in arguments_of_children(process.pid)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=READY_SECONDS_MAX)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(READY_SECONDS_MAX)
    assert process.returncode == 0, said
    assert "failed" not in said
    assert "could not" not in said
    assert folder.holder() is None


def arguments_of_children(pid: int) -> list[str]:
    """The command line of each child; of one that ends meanwhile, nothing."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append((process / "cmdline").read_text())
    return found


def test_down_ends_everything_and_the_next_up_has_the_same_addresses(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    process = started(folder)
    first = ready(folder)
    assert run("down", "--data", str(folder.path)).returncode == 0
    assert process.wait(READY_SECONDS_MAX) == 0
    assert [pid for pid in first.parts.values() if pid and lives(pid)] == []
    assert run("status", "--data", str(folder.path)).returncode == 3
    assert run("down", "--data", str(folder.path)).returncode == 0
    again = started(folder)
    try:
        second = ready(folder)
        assert (second.http_url, second.nats_url, second.admin_urls) == (
            first.http_url,
            first.nats_url,
            first.admin_urls,
        )
    finally:
        again.kill()
        again.wait()
    # Killed, not stopped: the lock is free, nothing runs, and nobody says otherwise.
    deadline = time.monotonic() + READY_SECONDS_MAX
    while [pid for pid in second.parts.values() if pid and lives(pid)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert folder.running() is None

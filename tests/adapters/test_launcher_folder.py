"""The data folder: one holder, private secrets, ports that stay, and clear words about a port that is taken."""

from __future__ import annotations

import errno
import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from patience import WAIT_SECONDS_MAX
from ports import free_port

from penstock_launcher.folder import PORT_NAMES, DataFolder, FolderInUse, PortTaken, default_path


def test_whoever_comes_second_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "d"), DataFolder(tmp_path / "d")
    with first.locked():
        assert second.holder() == multiprocessing.current_process().pid
        with pytest.raises(FolderInUse, match=f"pid {multiprocessing.current_process().pid}"), second.locked():
            raise AssertionError("two hold one folder")
    assert second.holder() is None


def test_those_who_look_do_not_keep_the_next_holder_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody looks as often as these do: on a slow machine the instant without a look may be long in coming.
    monkeypatch.setattr("penstock_launcher.folder.LOCK_SECONDS_MAX", WAIT_SECONDS_MAX)
    folder, done = DataFolder(tmp_path / "d"), threading.Event()
    with folder.locked():
        pass

    def look() -> None:
        while not done.is_set():
            DataFolder(folder.path).holder()

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(100):
            with folder.locked():
                assert (folder.path / "lock").read_text()
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()


def test_secrets_are_drawn_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "d")
    with folder.locked():
        drawn, token = folder.secret("nats-api"), folder.first_token()
    assert (DataFolder(tmp_path / "d").secret("nats-api"), folder.first_token()) == (drawn, token)
    assert len(drawn) == 43
    assert [len(part) for part in token.split("_", 2)] == [8, 16, 43]
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(folder.secrets.iterdir())] == [0o600, 0o600]
    assert stat.S_IMODE(folder.secrets.stat().st_mode) == 0o700


def test_ports_stay_the_same_and_only_a_taken_one_is_drawn_anew(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "d")
    with folder.locked():
        first = folder.ports()
        assert set(first) == set(PORT_NAMES)
        assert len(set(first.values())) == len(PORT_NAMES)
        with listening(first["nats"]):
            again = folder.ports()
    assert again["nats"] != first["nats"]
    assert again == first | {"nats": again["nats"]}


def test_a_port_asked_for_that_is_taken_is_named(tmp_path: Path) -> None:
    folder, port = DataFolder(tmp_path / "d"), free_port()
    with folder.locked():
        with listening(port), pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1 is in use"):
            folder.http_port(port)
        assert folder.http_port(port) == port
        assert folder.http_port(None) == port


def test_a_port_that_is_not_for_everybody_is_not_said_to_be_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    folder, port = DataFolder(tmp_path / "d"), free_port()
    with folder.locked(), monkeypatch.context() as on_this_system:
        on_this_system.setattr("socket.socket.bind", refused, raising=False)
        with pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1 is not for ordinary accounts"):
            folder.http_port(port)


@pytest.mark.parametrize("verb", ["up", "status", "down", "memory list"])
def test_a_data_folder_without_a_name_is_refused_and_not_taken_for_the_one_where_one_stands(
    tmp_path: Path, verb: str
) -> None:
    first, *rest = verb.split()
    done = launched(tmp_path, *([first, "--data", "", *rest] if rest else [first, "--data", ""]))
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "it names no folder" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="nobody can make a folder in /proc")
def test_a_place_for_the_data_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    done = launched(tmp_path, "up", XDG_DATA_HOME="/proc/nobody")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("the data folder /proc/nobody/penstock cannot be used: ")


def launched(where: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock_launcher", *arguments],
        cwd=where,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS_MAX,
        check=False,
    )


def test_the_place_follows_xdg_where_that_is_an_absolute_path() -> None:
    assert default_path({"XDG_DATA_HOME": "/x"}) == Path("/x/penstock")
    assert default_path({"XDG_DATA_HOME": "x"}) == default_path({}) == Path.home() / ".local/share/penstock"


def listening(port: int) -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", port))
    taken.listen()
    return taken

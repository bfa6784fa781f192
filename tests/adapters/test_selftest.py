"""Given the selftest, it holds on this host for root and for an ordinary account, and it can fail: a weakened sandbox shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from penstock_agent_exec.sandbox import Bind, Profile, python_binds
from penstock_agent_exec.sandbox_probe import probe
from penstock_agent_exec.selftest.bombs import BOMBS, bomb_all
from penstock_agent_exec.selftest.planted import Planted, planted
from penstock_agent_exec.selftest.probes import WORDS, How, Result, attempt_all
from penstock_agent_exec.selftest.table import as_table

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

ORDINARY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
FOUND = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
# What root could not do here either, or what depends on the machine.
UNPROVEN_AS_ROOT = {
    "setuid-program",
    "remount",
    "unmount",
    "host-sockets",
    "metadata-address",
    "internet",
    "name-server",
    "interfaces",
    "vsock",
    "kernel-crypto",
    "sysrq",
    "kernel-memory",
    "kernel-module",
    "kexec",
    "tcp6-loopback",
    "io-uring",
    "file-handle",
    "control-group",
    "host-id",
    "devices",
    "fanotify",
    "userfaultfd",
    "perf-events",
    "bpf",
    "terminal-input",
    "core-pattern",
    "kernel-setting",
    "clock",
}


def report(*before: str, python: str = sys.executable, **environ: str) -> tuple[int, dict[str, Any], str]:
    ran = subprocess.run(
        [*before, python, "-m", "penstock_agent_exec.selftest", "--json"],
        env={"HOME": "/nonexistent"} | FOUND | environ,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {}, ran.stderr


def test_every_attempt_is_held_on_this_host() -> None:
    code, said, errors = report()
    escaped = [row for row in said["attempts"] if not row["held"]]
    assert (escaped, errors, code) == ([], "", 0)
    assert said["of"] == said["held"] == len(WORDS) + len(BOMBS) + 2 >= 40
    assert said["host"]["sandbox"].startswith("bwrap, no network, ")
    if os.geteuid() == 0:
        unproven = {row["name"] for row in said["attempts"] if not row["proven"] and row["name"] in WORDS}
        assert unproven <= UNPROVEN_AS_ROOT
    assert sum(row["proven"] for row in said["attempts"]) >= 40


@pytest.mark.skipif(os.geteuid() != 0, reason="this account is an ordinary one already")
def test_every_attempt_is_held_for_an_ordinary_account_too() -> None:
    python, places = python_of_everybody()
    code, said, errors = report(*ORDINARY, python=python, PYTHONPATH=places, PYTHONDONTWRITEBYTECODE="1")
    escaped = [row for row in said.get("attempts", ()) if not row["held"]]
    assert (escaped, errors, code) == ([], "", 0)
    assert said["host"]["sandbox"] == "bwrap, no network, rlimits"
    assert said["held"] == said["of"] >= 40
    assert sum(row["proven"] for row in said["attempts"]) >= 40


# It starts itself: root's setpriv gives up its rights only after it has found the program.
ASK = (
    "import subprocess, sys, penstock_agent_exec.selftest.__main__; "
    "subprocess.run([sys.executable, '-c', ''], check=True, stderr=subprocess.DEVNULL)"
)


def python_of_everybody() -> tuple[str, str]:
    """A Python that an ordinary account may run, and where it finds this project: this one may lie in root's home."""
    names = ("penstock_agent_exec", "msgspec", "penstock")
    found = [Path(str(spec.origin)).parent.parent for name in names if (spec := find_spec(name)) is not None]
    places = ":".join(dict.fromkeys(map(str, found)))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            tried = subprocess.run(
                [*ORDINARY, candidate, "-c", ASK],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"},
                cwd="/",
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return candidate, places
    pytest.skip(f"no Python {version} with this project's packages can be run by an ordinary account here")


def usual(there: Planted) -> Profile:
    binds = (Bind(there.objects), Bind(there.clone, "/work", writable=True), *python_binds())
    return Profile(cwd="/work", binds=binds)


async def outcome(there: Planted, profile: Profile, *names: str) -> set[str]:
    """Which of these got out."""
    results = await attempt_all(there, profile, names)
    assert not [result for result in results if result.inside == "broken" or result.outside == "broken"], results
    shutil.rmtree(there.root / "without")
    return {result.name for result in results if not result.held}


async def test_a_hole_in_the_sandbox_is_found_by_the_attempts_that_it_lets_out() -> None:
    with planted() as there:
        kept = usual(there)
        files = {"host-file", "other-task-read", "symlink-read", "data-folder"}
        assert await outcome(there, kept, *files) == set()
        assert await outcome(there, replace(kept, binds=(*kept.binds, Bind(there.root))), *files) == files
        writable = replace(kept, binds=(*kept.binds, Bind(there.root, writable=True)))
        assert await outcome(there, writable, "write-outside", "mirror-write") == {"write-outside", "mirror-write"}
        services = {"tcp-loopback", "udp-loopback", "unix-abstract", "connections"}
        assert await outcome(there, kept, *services) == set()
        assert await outcome(there, replace(kept, network=True), *services) == services
        told = replace(kept, env={"PENSTOCK_FORGE_TOKEN": there.canary})
        assert await outcome(there, told, "own-environment", "environments") == {"own-environment", "environments"}
        shared = replace(kept, binds=(*kept.binds, Bind(Path("/dev/shm"), "/dev/shm")))
        assert await outcome(there, shared, "shared-file") == {"shared-file"}
        host_sys = replace(kept, binds=(*kept.binds, Bind(Path("/sys"))))
        assert await outcome(there, host_sys, "sysfs") == {"sysfs"}


async def test_without_its_filter_a_sandbox_lets_through_what_only_the_filter_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("penstock_agent_exec.sandbox.SYSTEM_CALLS", None)
    with planted() as there:
        out = await outcome(there, usual(there), "uevent-socket", "session-keyring", "keyring")
    assert out == {"uevent-socket", "session-keyring", "keyring"}


async def test_limits_that_are_not_held_are_found_by_the_bombs() -> None:
    with planted() as there:
        results = {
            result.name: result
            for name in ("file-bomb", "descriptor-bomb", "tmp-bomb")
            for result in await bomb_all(usual(there), [name])
        }
        assert all(result.held for result in results.values()), results
    wide = replace(BOMBS["file-bomb"].limits, file_size_bytes=1 << 30, open_files=4_096, scratch_bytes=1 << 30)
    with planted() as there, pytest.MonkeyPatch.context() as patched:
        for name in ("file-bomb", "descriptor-bomb", "tmp-bomb"):
            patched.setitem(BOMBS, name, replace(BOMBS[name], limits=wide))
            assert not (await bomb_all(usual(there), [name]))[0].held


def row(name: str, inside: How, outside: How | None) -> Result:
    return Result(
        name=name,
        words=name,
        inside=inside,
        inside_saw="seen",
        outside=outside,
        outside_saw="why",
    )


def test_the_table_says_what_got_out_what_is_broken_and_what_was_not_proven() -> None:
    rows = [
        row("one", "kept", "did"),
        row("two", "did", "did"),
        row("three", "broken", "did"),
        row("four", "kept", "kept"),
    ]
    table = as_table(rows, {"account": "somebody"}, colours=False)
    lines = {line.split()[1]: line for line in table.splitlines() if line.startswith(("held", "ESCAPED", "BROKEN"))}
    assert lines["one"].endswith("succeeds")
    assert lines["two"].startswith("ESCAPED")
    assert lines["three"].startswith("BROKEN")
    assert lines["four"].endswith("fails too: why")
    assert "2 of 4 attempts held; 3 of them succeeded here without the sandbox" in table
    assert "NOT SAFE: two, three" in table
    assert "\x1b[31mESCAPED" in as_table(rows, {}, colours=True)


def test_a_host_without_a_sandbox_is_told_so_and_nothing_is_tried(tmp_path: Path) -> None:
    (tmp_path / "git").symlink_to(str(shutil.which("git")))
    ran = subprocess.run(
        [sys.executable, "-m", "penstock_agent_exec.selftest"],
        env=FOUND | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "install the package `bubblewrap`" in ran.stderr
    assert ran.stdout == ""

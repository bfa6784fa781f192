"""Given a profile, a child in the sandbox sees and may do this and nothing else. Every test runs the real bubblewrap."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from process_watch import command_lines

from penstock_agent_exec.limits import ResourceLimits
from penstock_agent_exec.process import ChildInput, Ending, Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, bwrap_options, launch
from penstock_agent_exec.sandbox_probe import explain, probe

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not probe().ok, reason=probe().message),
]


async def inside(script: str, profile: Profile) -> tuple[Ending, str]:
    """How a shell script ended in the sandbox, and what it printed."""
    printed: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        printed.append(chunk)

    watch = Watch(wall_seconds=600)
    ending = await run_child(["sh", "-c", script], profile, watch=watch, on_stdout=keep, on_stderr=keep)
    return ending, b"".join(printed).decode()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


async def test_a_child_sees_its_own_environment_and_no_other(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_FORGE_TOKEN", "of-the-executor")
    profile = Profile(cwd="/work", env={"GREETING": "hello"}, binds=(Bind(work, "/work", writable=True),))
    ending, printed = await inside("env | sort; tr '\\0' '\\n' < /proc/1/environ", profile)
    assert ending.exit_code == 0
    assert {line.split("=")[0] for line in printed.splitlines()} == {
        "GREETING",
        "PATH",
        "PWD",
        "PYTHONDONTWRITEBYTECODE",
    }


async def test_the_environment_stands_in_no_argv_of_the_host(work: Path) -> None:
    profile = Profile(cwd="/", env={"TOKEN": "do-not-show-me"}, binds=(Bind(work, "/work", writable=True),))
    found: list[bytes] = []
    child_input = ChildInput()

    async def look(_chunk: bytes) -> None:
        found.extend(command_lines().values())
        await child_input.close()

    watch = Watch(wall_seconds=600)
    command = ["sh", "-c", "echo $TOKEN; read wait"]
    await run_child(command, profile, watch=watch, on_stdout=look, on_stderr=look, stdin=child_input)
    assert any(b"--json-status-fd" in argv for argv in found)
    assert not any(b"do-not-show-me" in argv for argv in found)


async def test_only_named_paths_are_there_and_only_writable_ones_can_be_written(work: Path, tmp_path: Path) -> None:
    readable = tmp_path / "readable"
    readable.mkdir()
    (readable / "note").write_text("text")
    profile = Profile(cwd="/work", binds=(Bind(work, "/work", writable=True), Bind(readable, "/readable")))
    ending, printed = await inside(
        f"ls -A {tmp_path} /root /home /run; cat /readable/note; echo new > /work/made"
        "; for place in /readable/x /usr/x /etc/x /x /dev/x; do echo no > $place; done",
        profile,
    )
    assert ending.exit_code != 0
    assert "text" in printed
    assert printed.count("Read-only file system") == 5
    assert (work / "made").read_text() == "new\n"
    assert [path.name for path in readable.iterdir()] == ["note"]


async def test_there_is_no_secret_of_the_host_in_etc(work: Path) -> None:
    _, printed = await inside("ls /etc; cat /etc/passwd", Profile(cwd="/"))
    assert "shadow" not in printed
    assert "gitconfig" not in printed
    assert "agent:x:1000:1000" in printed


async def test_a_child_has_no_network_unless_its_profile_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        knock = f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {server.getsockname()[1]}), 2)'"
        alone, _ = await inside(knock, Profile(cwd="/"))
        sharing, _ = await inside(knock, Profile(cwd="/", network=True))
    assert (alone.exit_code, sharing.exit_code) == (1, 0)


async def test_a_child_sees_no_process_but_its_own() -> None:
    _, printed = await inside("ls -d /proc/[0-9]*", Profile(cwd="/"))
    assert len(printed.split()) <= 4


async def test_a_child_has_no_capability_and_can_make_no_user_namespace() -> None:
    _, printed = await inside("grep Cap /proc/self/status; unshare --user true", Profile(cwd="/"))
    sets = [line.split()[1] for line in printed.splitlines() if line.startswith("Cap")]
    assert set(sets) == {"0000000000000000"}
    assert "unshare" in printed


async def test_a_child_of_a_root_executor_cannot_write_kernel_settings() -> None:
    script = "find /proc/sys /proc/[a-z]* -maxdepth 3 -type f -writable 2>/dev/null | grep -v '^/proc/\\(self\\|thread-self\\)'"
    ending, printed = await inside(script, Profile(cwd="/"))
    assert (printed, ending.exit_code) == ("", 1)


async def test_limits_hold_inside() -> None:
    limits = ResourceLimits(file_size_bytes=4096, open_files=64, scratch_bytes=1024 * 1024)
    profile = Profile(cwd="/tmp", limits=limits)
    _, printed = await inside("ulimit -c; ulimit -n; head -c 9999 /dev/zero > big; wc -c < big", profile)
    assert printed.split()[:2] == ["0", "64"]
    assert printed.split()[-1] == "4096"


async def test_scratch_space_is_bounded() -> None:
    profile = Profile(cwd="/tmp", limits=ResourceLimits(scratch_bytes=1024 * 1024))
    _, printed = await inside("head -c 9999999 /dev/zero > big; wc -c < big", profile)
    assert int(printed.split()[-1]) <= 1024 * 1024


@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel exempts root from the limit on processes")
async def test_a_fork_bomb_is_stopped_by_the_limit_on_processes() -> None:
    profile = Profile(cwd="/", limits=ResourceLimits(processes=30))
    _, printed = await inside("i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done", profile)
    assert "Cannot fork" in printed


async def test_without_a_sandbox_is_only_what_was_asked_for_by_name(work: Path) -> None:
    ending, printed = await inside(
        "echo $GREETING; pwd", Profile(cwd=str(work), env={"GREETING": "hi"}, unsandboxed=True)
    )
    assert (ending.exit_code, printed) == (0, f"hi\n{work}\n")
    assert Profile(cwd="/").label == "bwrap, no network, rlimits"
    assert Profile(cwd="/", network=True).label == "bwrap, host's network, rlimits"
    assert Profile(cwd="/", unsandboxed=True).label == "no sandbox, rlimits"


def test_without_a_sandbox_nothing_can_be_shown_elsewhere(work: Path) -> None:
    with pytest.raises(ValueError, match="without a sandbox"):
        launch(Profile(cwd="/", binds=(Bind(work, "/work"),), unsandboxed=True), ["true"])


def test_the_options_are_a_pure_function_of_the_profile(work: Path) -> None:
    profile = Profile(cwd="/work", env={"A": "1"}, binds=(Bind(work, "/work", writable=True), Bind(work / "x")))
    options = bwrap_options(profile)
    assert options == bwrap_options(profile)
    assert "--unshare-net" in options
    assert "--unshare-net" not in bwrap_options(Profile(cwd="/", network=True))
    assert options.index("--remount-ro") < options.index("--chdir")
    at = options.index("--bind")
    assert options[at : at + 6] == ("--bind", str(work), "/work", "--ro-bind", str(work / "x"), str(work / "x"))


def test_a_host_without_bubblewrap_is_told_what_to_install() -> None:
    seen = probe("no-such-bubblewrap")
    assert not seen.ok
    assert "install the package `bubblewrap`" in seen.message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("echo bubblewrap 0.6.1", "0.8.0 or newer is needed"),
        (
            '[ "$1" = --version ] && echo bubblewrap 0.9.0 && exit; echo "Can\'t mount proc on /newroot/proc" >&2; exit 1',
            "bubblewrap said: Can't mount proc",
        ),
    ],
)
def test_a_host_that_cannot_is_told_why(body: str, says: str, tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    seen = probe(str(program))
    assert not seen.ok
    assert says in seen.message


@pytest.mark.parametrize(
    ("settings", "output", "advice"),
    [
        ({"kernel.apparmor_restrict_unprivileged_userns": "1"}, "setting up uid map: Permission denied", "AppArmor"),
        ({"kernel.unprivileged_userns_clone": "0"}, "No permissions", "kernel.unprivileged_userns_clone=1"),
        ({"user.max_user_namespaces": "0"}, "No space left", "user.max_user_namespaces"),
        ({}, "Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"),
        ({}, "Creating new namespace failed: Operation not permitted", "seccomp=unconfined"),
        ({}, "something new", "could not make a sandbox"),
    ],
)
def test_the_reason_names_the_setting_to_change(settings: dict[str, str], output: str, advice: str) -> None:
    assert advice in explain(output, settings)

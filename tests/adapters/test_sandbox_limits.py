"""Given limits, a whole tree of processes is held to them: by control groups where this host has them, and otherwise by looking.

Groups are made below the one that the tests run in, and are gone afterwards; where this account may make none, the tests say so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from patience import WAIT_SECONDS_MAX
from process_watch import alive_with, seconds_until

from penstock_agent_exec import cgroups
from penstock_agent_exec.agents.vendor import why_we_stopped
from penstock_agent_exec.cgroups import PREFIX, RLIMITS, Group, Means, NotEnclosed, find_means
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.limits import MIB, ResourceLimits, limits_for
from penstock_agent_exec.process import Ending, Watch, run_child
from penstock_agent_exec.sandbox import Profile, python_binds, python_program
from penstock_agent_exec.sandbox_probe import probe
from penstock_agent_exec.watchdog import over_limit

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

NAME = f"tests{os.getpid()}"  # nobody else's: what is swept is killed
BEST = find_means(NAME)
grouped = pytest.mark.skipif(BEST.kind == "rlimits", reason="this account may make no control groups")
SMALL = ResourceLimits(memory_bytes=150 * MIB, processes=40)
PYTHON = str(python_program())
GREEDY = "held = []\nfor _ in range(60): held.append(bytearray(10 << 20))\nprint('had it all')"


async def run(
    *command: str, means: Means, limits: ResourceLimits = SMALL, unsandboxed: bool = False
) -> tuple[Ending, str]:
    printed: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        printed.append(chunk)

    profile = Profile(cwd="/", limits=limits, means=means, binds=python_binds(), unsandboxed=unsandboxed)
    ending = await run_child(command, profile, watch=Watch(wall_seconds=600), on_stdout=keep, on_stderr=keep)
    return ending, b"".join(printed).decode(errors="replace")


def groups_left() -> list[Path]:
    return [left for folder in BEST.folders.values() for left in folder.glob(f"{PREFIX}{NAME}-{os.getpid()}-*")]


@pytest.mark.parametrize("means", [RLIMITS, pytest.param(BEST, marks=grouped)], ids=lambda means: means.kind)
async def test_a_child_that_wants_too_much_memory_is_ended_and_said_to_have_wanted_it(means: Means) -> None:
    ending, printed = await run(PYTHON, "-I", "-S", "-c", GREEDY, means=means)
    assert ending.out_of_memory
    assert "had it all" not in printed
    assert ending.why == ("memory_limit" if means.kind == "rlimits" else "exited")
    assert ending.nothing_left
    assert why_we_stopped(ending) == ("env.out_of_memory", False)
    assert groups_left() == []


@pytest.mark.parametrize("means", [RLIMITS, pytest.param(BEST, marks=grouped)], ids=lambda means: means.kind)
async def test_many_small_processes_together_are_one_large(means: Means) -> None:
    each = "import time; held = bytearray(30 << 20); time.sleep(60)"
    script = f'for i in 1 2 3 4 5 6 7 8; do {PYTHON} -I -S -c "{each}" & done; wait; exit 3'
    ending, _ = await run("sh", "-c", script, means=means)
    assert ending.out_of_memory


@pytest.mark.parametrize("means", [RLIMITS, pytest.param(BEST, marks=grouped)], ids=lambda means: means.kind)
async def test_what_stays_within_its_memory_is_left_alone(means: Means) -> None:
    script = "import time; held = bytearray(60 << 20); time.sleep(0.6); print('had it')"
    ending, printed = await run(PYTHON, "-I", "-S", "-c", script, means=means)
    assert (ending.why, ending.exit_code, ending.out_of_memory, printed) == ("exited", 0, False, "had it\n")


@grouped
async def test_a_part_that_was_killed_for_its_memory_need_not_end_the_whole() -> None:
    ending, printed = await run("sh", "-c", f'{PYTHON} -I -S -c "{GREEDY}"; echo went on', means=BEST)
    assert (ending.why, ending.exit_code, ending.out_of_memory) == ("exited", 0, True)
    assert printed.endswith("went on\n")


BOMB = "i=0; while [ $i -lt 300 ]; do sleep 60 & i=$((i+1)); done; echo all of them; wait"


@grouped
async def test_a_fork_bomb_meets_the_limit_of_its_group() -> None:
    ending, printed = await run("sh", "-c", BOMB, means=BEST)
    assert "Cannot fork" in printed
    assert "all of them" not in printed
    assert ending.nothing_left


async def test_without_groups_a_fork_bomb_meets_the_kernel_or_us() -> None:
    ending, printed = await run("sh", "-c", BOMB, means=RLIMITS)
    # The kernel exempts root from the limit on processes; then it is counted.
    assert ending.why == "process_limit" if os.geteuid() == 0 else "Cannot fork" in printed
    assert ending.nothing_left


@grouped
async def test_processor_time_is_held_to_its_share() -> None:
    spin = "import time\nwhile time.process_time() < 0.4: pass"
    ending, _ = await run(
        PYTHON, "-I", "-S", "-c", spin, means=BEST, limits=ResourceLimits(cpus=0.25, memory_bytes=None)
    )
    assert ending.exit_code == 0
    assert ending.wall_seconds > 1.0


@grouped
async def test_without_a_sandbox_a_group_finds_what_has_left_the_process_group() -> None:
    seconds = f"61.{uuid.uuid4().int % 10**12}"
    sleeper = f"setsid sh -c 'setsid sleep {seconds} &' & sleep 0.1; exit 0"
    ending, _ = await run("sh", "-c", sleeper, means=BEST, unsandboxed=True)
    assert ending.exit_code == 0
    await seconds_until(lambda: not alive_with(seconds))
    assert groups_left() == []


@grouped
def test_what_a_killed_process_has_left_is_swept_by_the_next() -> None:
    script = (
        "import os, subprocess, sys\n"
        "from penstock_agent_exec.cgroups import find_means\n"
        "from penstock_agent_exec.limits import ResourceLimits\n"
        f"group = find_means({NAME!r}).enclose(ResourceLimits())\n"
        "left = subprocess.Popen([*group.joining(), 'sleep', '600'], start_new_session=True, stdout=2)\n"
        "while b'sleep' not in open(f'/proc/{left.pid}/cmdline', 'rb').read()[:5]: pass\n"
        "print(os.getpid(), left.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    maker, sleeper = ran.stdout.split()
    left = [found for folder in BEST.folders.values() for found in folder.glob(f"{PREFIX}{NAME}-{maker}-*")]
    try:
        assert left
        assert BEST.sweep() >= 1
        assert [folder for folder in left if folder.exists()] == []
    finally:
        subprocess.run(["kill", "-9", sleeper], check=False, stderr=subprocess.DEVNULL)


@grouped
async def test_what_a_namesake_with_the_same_number_has_left_is_in_nobodys_way() -> None:
    first = BEST.enclose(SMALL)
    assert first is not None
    (number,) = {int(folder.name.rsplit("-", 1)[1]) for folder in groups_left()}
    assert first.remove()
    namesake = Group(
        BEST.kind, {kind: to / f"{PREFIX}{NAME}-{os.getpid()}-{number + 1}" for kind, to in BEST.folders.items()}
    )
    namesake.make(SMALL)
    sleeping = subprocess.Popen([*namesake.joining(), "sleep", "600"])
    try:
        procs = [folder / "cgroup.procs" for folder in groups_left()]
        await seconds_until(lambda: all(path.read_text() for path in procs))
        second = BEST.enclose(SMALL)
        assert second is not None
        assert sleeping.wait(timeout=WAIT_SECONDS_MAX) == -9
        assert second.remove()
    finally:
        sleeping.kill()
        namesake.remove()
    assert groups_left() == []


def test_a_group_that_cannot_be_made_starts_no_child(tmp_path: Path) -> None:
    means = Means(kind="cgroup1", folders={"memory": tmp_path / "nowhere", "pids": tmp_path / "nowhere"}, name=NAME)
    with pytest.raises(NotEnclosed, match="no control group"):
        means.enclose(SMALL)


async def test_a_child_without_its_group_is_not_the_commands_failure(tmp_path: Path) -> None:
    means = Means(kind="cgroup1", folders={"memory": tmp_path / "nowhere", "pids": tmp_path / "nowhere"}, name=NAME)
    with pytest.raises(ChildNotStarted, match="no control group"):
        await run("true", means=means)


def test_version_two_is_told_the_same_limits_in_its_own_words(tmp_path: Path) -> None:
    for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.weight", "cpu.max"):
        (tmp_path / "g").mkdir(exist_ok=True)
        (tmp_path / "g" / name).write_text("")
    limits = replace(SMALL, cpus=1.5)
    for _, name, value in cgroups._settings("cgroup2", limits):
        (tmp_path / "g" / name).write_text(value)
    said = {path.name: path.read_text() for path in (tmp_path / "g").iterdir()}
    assert said == {
        "memory.max": str(150 * MIB),
        "memory.swap.max": "0",
        "pids.max": "44",
        "cpu.weight": "50",
        "cpu.max": "150000 100000",
    }


@pytest.mark.parametrize(
    ("events", "was"), [("low 0\noom 3\noom_kill 2\n", True), ("low 0\noom 3\noom_kill 0\n", False)]
)
def test_version_two_tells_of_a_kill_for_memory(tmp_path: Path, events: str, was: bool) -> None:
    (tmp_path / "memory.events").write_text(events)
    assert Group("cgroup2", {"memory": tmp_path}).ran_out_of_memory() is was


MOUNTINFO = """\
30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
31 23 0:27 /docker/abc /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
"""


def test_the_hierarchies_are_read_as_the_kernel_writes_them() -> None:
    found = cgroups._hierarchies(MOUNTINFO)
    assert found[""] == ("/", Path("/sys/fs/cgroup"))
    assert found["memory"] == ("/docker/abc", Path("/sys/fs/cgroup/memory"))
    assert found["cpu"] == ("/", Path("/sys/fs/cgroup/cpu,cpuacct"))
    homes = cgroups._homes("4:memory:/docker/abc\n2:cpu,cpuacct:/user\n0::/user.slice/a b:c\n")
    assert homes == {"memory": "/docker/abc", "cpu": "/user", "cpuacct": "/user", "": "/user.slice/a b:c"}


@pytest.fixture
def unified() -> Path:
    """A folder of a real version 2 hierarchy of this host, for a test to divide."""
    found = cgroups._place(
        cgroups._hierarchies(Path("/proc/self/mountinfo").read_text()),
        cgroups._homes(Path("/proc/self/cgroup").read_text()),
        "",
    )
    if found is None or not os.access(found / "cgroup.procs", os.W_OK):
        pytest.skip("this account may make no groups of version 2")
    return found


async def test_a_group_of_version_two_is_entered_killed_and_removed_on_a_real_hierarchy(unified: Path) -> None:
    # Without its controllers, which version 1 may have here: joining, killing at once and removing are the same.
    group = Group("cgroup2", {"memory": unified / f"{PREFIX}{NAME}-{os.getpid()}-v2"})
    group.make(SMALL)
    sleeping = subprocess.Popen([*group.joining(), "sh", "-c", "setsid sleep 600 & sleep 600"])
    try:
        procs = unified / f"{PREFIX}{NAME}-{os.getpid()}-v2" / "cgroup.procs"
        await seconds_until(lambda: len(procs.read_text().split()) == 3)
        group.kill()
        assert sleeping.wait(timeout=WAIT_SECONDS_MAX) == -9
        await seconds_until(group.remove)
    finally:
        sleeping.kill()
        group.remove()


def test_a_child_never_gets_more_than_the_host_can_miss() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert limits_for(memory_bytes=1 << 44, processes=10, cpus=0).memory_bytes == int(total * 0.75)
    assert limits_for(memory_bytes=1 << 20, processes=10, cpus=2.0) == ResourceLimits(
        memory_bytes=1 << 20, processes=10, cpus=2.0
    )


def test_what_has_ended_takes_nothing() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert over_limit(ended.pid, SMALL) is None

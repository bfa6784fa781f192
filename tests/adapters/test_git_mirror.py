"""Given a repo, its mirror follows the remote, is nobody else's meanwhile, and comes back from whatever was killed in it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from adapters.git_world import OTHER_TASK, TASK, World, gone, host_git, make_world, until
from patience import WAIT_SECONDS_MAX

from penstock import ids
from penstock_agent_exec.folder import MARK, sweep
from penstock_agent_exec.git.command import git_output, run, trusted_environment
from penstock_agent_exec.git.failures import (
    AuthRefused,
    BadName,
    DiskFull,
    GitFailed,
    HookRejected,
    MirrorBusy,
    MirrorDamaged,
    NonFastForward,
    ProtectedBranch,
    RefMissing,
    RepositoryMissing,
    TimedOut,
    Unreachable,
    failure_from,
)
from penstock_agent_exec.git.mirror import (
    forget_task,
    has_commit,
    held,
    in_thread,
    kept_commit,
    maintain_mirror,
    mirror_of,
    resolve_base,
    task_ref,
    update_mirror,
)
from penstock_agent_exec.git.names import check_remote
from penstock_agent_exec.git.work import commit_leftovers, keep_work, take_result

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


async def test_the_mirror_follows_new_moved_and_deleted_branches(world: World) -> None:
    await update_mirror(world.mirror, world.remote)
    assert await resolve_base(world.mirror, "main") == world.on_remote("main")
    first = world.somebody_pushes("a", "a.txt", "1")
    await update_mirror(world.mirror, world.remote)
    assert await resolve_base(world.mirror, "a") == first
    second = world.somebody_pushes("a", "a.txt", "2")
    assert second != first
    await update_mirror(world.mirror, world.remote)
    assert await resolve_base(world.mirror, "a") == second
    host_git(world.origin, "branch", "-D", "a")
    host_git(world.origin, "branch", "a/b", "main")  # a name that could not stand beside the old one
    await update_mirror(world.mirror, world.remote)
    assert await resolve_base(world.mirror, "a/b") == world.on_remote("main")
    with pytest.raises(RefMissing, match="no branch a"):
        await resolve_base(world.mirror, "a")
    assert await has_commit(world.mirror, first), "a clone may still borrow it"


async def test_tags_are_not_fetched_and_an_empty_remote_has_no_branch(world: World) -> None:
    host_git(world.origin, "tag", "v1", "main")
    await update_mirror(world.mirror, world.remote)
    assert host_git(world.root, f"--git-dir={world.mirror.path}", "tag") == ""
    empty = world.root / "empty.git"
    empty.mkdir()
    host_git(empty, "init", "-q", "--bare")
    mirror = mirror_of(world.data, "empty")
    await update_mirror(mirror, check_remote(str(empty), allow_local=True))
    with pytest.raises(RefMissing):
        await resolve_base(mirror, "main")
    with pytest.raises(BadName):
        await resolve_base(mirror, "main:refs/x")


async def test_a_fetch_does_not_touch_what_tasks_have_handed_in_and_forgetting_a_task_touches_no_other(
    world: World,
) -> None:
    heads = {}
    for task in (TASK, OTHER_TASK):
        clone = await world.clone(task)
        await world.agent(clone, "echo x > x.txt")
        await keep_work(clone, world.mirror, 1, world.sandbox)
        await commit_leftovers(clone, world.sandbox)
        heads[task] = (await take_result(clone, world.mirror, world.sandbox)).head
    await update_mirror(world.mirror, world.remote)
    assert await kept_commit(world.mirror, task_ref(TASK)) == heads[TASK]
    await forget_task(world.mirror, TASK)
    await forget_task(world.mirror, TASK)
    left = host_git(
        world.root, f"--git-dir={world.mirror.path}", "for-each-ref", "--format=%(refname)", "refs/penstock"
    )
    assert left.splitlines() == [f"refs/penstock/task/{OTHER_TASK}", f"refs/penstock/wip/{OTHER_TASK}/1"]


LEFTOVERS = [
    "HEAD.lock",
    "config.lock",
    "packed-refs.lock",
    "shallow.lock",
    "FETCH_HEAD.lock",
    "refs/heads/main.lock",
    f"refs/penstock/task/{TASK}.lock",
    "objects/maintenance.lock",
    "objects/info/commit-graphs/commit-graph-chain.lock",
    "objects/pack/multi-pack-index.lock",
    "objects/pack/tmp_pack_half",
    "objects/pack/.tmp-1-pack-half.pack",
    "objects/aa/tmp_obj_half",
    "objects/tmp_objdir-incoming-half/pack/x.pack",
    "objects/incoming-half/aa/bb",
    "refs/heads/empty",
]


@pytest.mark.parametrize("leftover", LEFTOVERS)
async def test_what_a_killed_git_left_in_the_mirror_is_cleared_by_the_next_holder(world: World, leftover: str) -> None:
    await world.base()
    new = world.somebody_pushes("main", "new.txt", "x")
    path = world.mirror.path / leftover
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    await update_mirror(world.mirror, world.remote)
    assert not path.exists()
    assert await resolve_base(world.mirror, "main") == new
    await maintain_mirror(world.mirror)


async def test_a_branch_file_emptied_by_a_power_cut_is_fetched_again(world: World) -> None:
    base = await world.base()
    (world.mirror.path / "refs" / "heads" / "main").write_text("")
    await update_mirror(world.mirror, world.remote)
    assert await resolve_base(world.mirror, "main") == base


async def test_a_mirror_cut_off_while_it_was_made_is_made_anew(world: World) -> None:
    half = world.mirror.path.with_suffix(".making")
    (half / "objects").mkdir(parents=True)
    (half / "config.lock").write_text("x")
    assert await world.base() == world.on_remote("main")


async def test_while_somebody_holds_the_mirror_another_waits_no_longer_than_it_may(world: World) -> None:
    await world.base()
    async with held(world.mirror):
        with pytest.raises(MirrorBusy) as busy:
            await update_mirror(world.mirror, world.remote, lock_seconds=0.2)
        assert busy.value.transient
    await update_mirror(world.mirror, world.remote, lock_seconds=0.2)


async def test_a_cancelled_holder_keeps_the_mirror_until_its_healing_has_ended(world: World) -> None:
    await world.base()
    for number in range(20_000):
        (world.mirror.path / f"{number}.lock").touch()

    async def hold() -> None:
        async with held(world.mirror):
            pass

    holding = asyncio.create_task(hold())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while left_over(world.mirror.path) == 20_000:
            await asyncio.sleep(0)
    holding.cancel()
    await asyncio.wait({holding})
    assert left_over(world.mirror.path) == 0


def left_over(folder: Path) -> int:
    return sum(path.suffix == ".lock" for path in folder.iterdir())


async def test_work_in_a_thread_has_ended_when_its_cancellation_is_known() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(WAIT_SECONDS_MAX)
        ended.set()

    working = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, WAIT_SECONDS_MAX)
    for _ in range(3):
        working.cancel()
        await asyncio.sleep(0)
        assert not working.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended.is_set()


FETCHER = """
import asyncio, sys
from pathlib import Path
from penstock_agent_exec.git.mirror import mirror_of, update_mirror
from penstock_agent_exec.git.names import check_remote
asyncio.run(update_mirror(mirror_of(Path(sys.argv[1]), "sample"), check_remote("git@host:repo.git", allow_local=False)))
"""


async def test_after_kill_9_of_the_executor_the_mirror_stays_locked_until_its_last_git_is_gone(world: World) -> None:
    """The fetch speaks to an `ssh` that never answers. Git dies with the executor, its `ssh` does not, and has the lock."""
    await world.base()
    programs, started = world.root / "bin", world.root / "started"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ > {started}.part; mv {started}.part {started}; exec sleep 1000\n")
    ssh.chmod(0o755)
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    executor = await asyncio.create_subprocess_exec(sys.executable, "-c", FETCHER, str(world.data), env=env)
    await until(started)
    executor.kill()
    await executor.wait()
    lock = world.mirror.path / "refs" / "heads" / "main.lock"
    lock.write_text("")
    with pytest.raises(MirrorBusy):
        await update_mirror(world.mirror, world.remote, lock_seconds=0.2)
    assert lock.exists(), "its owner may be alive"
    os.kill(int(started.read_text()), signal.SIGKILL)
    await update_mirror(world.mirror, world.remote, lock_seconds=WAIT_SECONDS_MAX)
    assert not lock.exists()


async def test_after_kill_9_of_the_executor_its_git_is_dead_and_the_next_one_finds_what_that_has_started(
    world: World,
) -> None:
    await world.base()
    programs, started, installation = world.root / "bin", world.root / "started", ids.fresh()
    programs.mkdir()
    ssh = programs / "ssh"
    # Between git and its `ssh` there is a shell.
    above = "$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)"
    ssh.write_text(f"#!/bin/sh\necho $$ {above} > {started}.part; mv {started}.part {started}; exec sleep 1000\n")
    ssh.chmod(0o755)
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", MARK: installation}
    executor = await asyncio.create_subprocess_exec(sys.executable, "-c", FETCHER, str(world.data), env=env)
    await until(started)
    stray, its_git = map(int, started.read_text().split())
    executor.kill()
    await executor.wait()
    assert await gone(its_git)
    assert stray in await asyncio.to_thread(sweep, installation)
    assert await gone(stray)
    await update_mirror(world.mirror, world.remote, lock_seconds=WAIT_SECONDS_MAX)


async def test_a_remote_that_does_not_answer_is_a_timeout_and_nothing_is_left_running(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, started = world.root / "bin", world.root / "started"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ > {started}.part; mv {started}.part {started}; exec sleep 1000\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    fetch = asyncio.create_task(
        update_mirror(world.mirror, check_remote("git@host:repo.git", allow_local=False), timeout_seconds=8)
    )
    await until(started)
    pid = int(started.read_text())
    with pytest.raises(TimedOut) as late:
        await fetch
    assert late.value.transient
    assert await gone(pid)
    await update_mirror(world.mirror, world.remote, lock_seconds=WAIT_SECONDS_MAX)


async def test_ten_updates_at_the_same_time_all_end_well(world: World) -> None:
    await asyncio.gather(*(update_mirror(world.mirror, world.remote) for _ in range(10)))
    assert await resolve_base(world.mirror, "main") == world.on_remote("main")


async def test_maintenance_packs_and_drops_nothing_that_a_clone_borrows(world: World) -> None:
    start = world.somebody_pushes("gone", "gone.txt", "x")
    await maintain_mirror(world.mirror)
    await world.base()
    clone = await world.clone(start=start)
    host_git(world.origin, "branch", "-D", "gone")
    for number in range(3):
        world.somebody_pushes("main", "n.txt", str(number))
        await update_mirror(world.mirror, world.remote)
        await maintain_mirror(world.mirror)
    await maintain_mirror(world.mirror)  # loose objects go once they are seen to be in a pack
    assert not list(world.mirror.objects.glob("[0-9a-f][0-9a-f]/*"))
    assert await world.agent(clone, "git show HEAD:gone.txt; git fsck --no-dangling 2>&1") == "x"


async def test_objects_of_the_mirror_cannot_be_pruned_even_by_hand(world: World) -> None:
    start = world.somebody_pushes("gone", "gone.txt", "x")
    await world.base()
    host_git(world.origin, "branch", "-D", "gone")
    await world.base()
    with pytest.raises(AssertionError, match="precious"):
        host_git(world.root, f"--git-dir={world.mirror.path}", "prune", "--expire=now")
    host_git(world.root, f"--git-dir={world.mirror.path}", "gc", "--prune=now")
    assert await has_commit(world.mirror, start)


async def test_a_remote_that_is_not_there_is_told_by_what_is_wrong(world: World) -> None:
    with pytest.raises(RepositoryMissing):
        await update_mirror(world.mirror, check_remote(str(world.root / "none.git"), allow_local=True))
    with pytest.raises(Unreachable) as gone:
        await update_mirror(world.mirror, check_remote("https://127.0.0.1:1/o/r.git", allow_local=False))
    assert gone.value.transient
    assert gone.value.error_class == "git.unreachable"


async def test_git_speaks_only_the_protocol_that_the_address_has(world: World) -> None:
    await world.base()
    for protocol, address in (("https", str(world.origin)), ("file", "ext::sh -c true"), ("", str(world.origin))):
        with pytest.raises(GitFailed, match="not allowed"):
            await git_output(world.mirror.path, "fetch", address, protocol=protocol)


async def test_nothing_of_the_services_own_environment_reaches_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "GIT_DIR",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_PARAMETERS",
        "PENSTOCK_TOKEN",
        "SSH_AUTH_SOCK",
        "GIT_EXTERNAL_DIFF",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("GIT_SSL_CAINFO", "/etc/ca.pem")
    env = trusted_environment()
    assert env["GIT_SSL_CAINFO"] == "/etc/ca.pem"
    assert "x" not in env.values()


async def test_a_command_that_says_too_much_is_stopped_and_one_that_is_cancelled_dies(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"]}
    loud = await run(["yes"], env=env, timeout_seconds=WAIT_SECONDS_MAX, stdout_bytes_max=100_000)
    assert (loud.truncated, len(loud.stdout)) == (True, 100_000)
    pid = tmp_path / "pid"
    script = f"echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 1000"
    hanging = asyncio.create_task(run(["sh", "-c", script], env=env, timeout_seconds=WAIT_SECONDS_MAX))
    await until(pid)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await gone(int(pid.read_text()))
    with pytest.raises(GitFailed, match="could not be started"):
        await run(["no-such-program"], env=env, timeout_seconds=WAIT_SECONDS_MAX)


async def test_a_grandchild_that_keeps_stdout_open_ends_with_the_time_limit_not_later(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    stray = f"setsid sh -c 'echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 1000' &"
    with pytest.raises(TimedOut):
        await run(["sh", "-c", stray], env={"PATH": os.environ["PATH"]}, timeout_seconds=5)
    await until(pid)
    os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("words", "failure"),
    [
        ("remote: Invalid username or password.\nfatal: Authentication failed for 'https://host/o/r/'", AuthRefused),
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", AuthRefused),
        ("git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.", AuthRefused),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", AuthRefused),
        ("fatal: unable to access 'https://h/r/': The requested URL returned error: 403", AuthRefused),
        ("fatal: unable to access 'https://h/r/': server certificate verification failed. CAfile: none", AuthRefused),
        ("remote: Repository not found.\nfatal: repository 'https://github.com/o/r/' not found", RepositoryMissing),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", RepositoryMissing),
        ("fatal: unable to access 'https://h/r/': The requested URL returned error: 301", RepositoryMissing),
        ("fatal: unable to access 'https://h/r/': Could not resolve host: h", Unreachable),
        ("fatal: unable to access 'https://h/r/': The requested URL returned error: 502", Unreachable),
        ("fatal: unable to access 'https://h/r/': The requested URL returned error: 429", Unreachable),
        (
            "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.",
            Unreachable,
        ),
        ("fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF", Unreachable),
        ("fatal: couldn't find remote ref refs/heads/x", RefMissing),
        ("!\ta:refs/heads/b\t[rejected] (stale info)", NonFastForward),
        ("!\ta:refs/heads/b\t[rejected] (fetch first)", NonFastForward),
        ("!\ta:refs/heads/main\t[remote rejected] (protected branch hook declined)", ProtectedBranch),
        (
            "remote: error: GH006: Protected branch update failed for refs/heads/main.\n[remote rejected]",
            ProtectedBranch,
        ),
        ("remote: GitLab: You are not allowed to push code to protected branches on this project.", ProtectedBranch),
        ("!\ta:refs/heads/b\t[remote rejected] (pre-receive hook declined)", HookRejected),
        ("error: file write error: No space left on device\nfatal: unable to write loose object file", DiskFull),
        (
            "error: object file objects/aa/bb is empty\nfatal: loose object aabb (stored in objects/aa/bb) is corrupt",
            MirrorDamaged,
        ),
        ("fatal: something new", GitFailed),
    ],
)
def test_gits_words_are_told_apart(words: str, failure: type[GitFailed]) -> None:
    told = failure_from(words.encode())
    assert type(told) is failure
    assert str(told).startswith(failure.__doc__ or "-")


def test_a_failure_shows_no_control_characters_and_only_the_end_of_a_long_story() -> None:
    told = failure_from(b"word " * 2_000 + b"\x1b[31mfatal: no\x00 good\xff")
    assert told.detail.endswith("�[31mfatal: no� good�")
    assert len(told.detail) < 2_100

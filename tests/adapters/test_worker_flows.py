"""Given a change that has passed, when it is handed over by this flow or that, then it is there once, or not at all."""

from __future__ import annotations

import os
import random
import string
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from executor_world import COMMIT, MEND, World, world
from msgspec.structs import replace
from secrets_of_all_kinds import secrets_of_all_kinds
from servers import NatsForTest
from whole import CALC, CALC_MENDED, Remote, calc_remote, git

from penstock import artifacts, ids
from penstock.events import AgentSucceeded, PrepareFailed, PrepareSucceeded, PublishFailed, PublishSucceeded
from penstock.values import Preflight, RepoSnapshot
from penstock_agent_exec.forge.recording import plant, recorded
from penstock_agent_exec.preflight.scanner import SCAN_SECONDS_MAX

pytestmark = pytest.mark.anyio


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """A world with one running executor, h1."""
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start()
        yield found


@pytest.fixture
def task() -> str:
    return ids.fresh()


async def made(place: World, task: str, *steps: dict[str, Any]) -> tuple[str, str]:
    """(base, commit) of a task whose agent has done this."""
    base = (await place.prepared(task)).base_commit
    place.script("does", list(steps) or [MEND, COMMIT])
    done = await place.step(task, place.agent(task, base, "does"), AgentSucceeded)
    return base, done.change.commit


def write(path: str, content: str) -> dict[str, Any]:
    return {"do": "write", "path": path, "content": content}


def somebody_pushes(remote: Remote, folder: Path, path: str, content: str) -> str:
    """Another person's commit on main."""
    if not folder.exists():
        git(folder.parent, "clone", "-q", str(remote.path), str(folder))
    git(folder, "pull", "-q")
    (folder / path).write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"Write {path}")
    git(folder, "push", "-q", "origin", "main")
    return git(folder, "rev-parse", "HEAD")


# What speaks against a change


async def test_a_change_that_holds_what_it_must_not_is_held_back_with_the_list_and_nothing_is_pushed(
    place: World, task: str, remote: Remote
) -> None:
    token = secrets_of_all_kinds()[12]
    big = {"do": "run", "argv": ["sh", "-c", "head -c 2097152 /dev/urandom > big.bin; ln -s /etc/passwd here"]}
    base, commit = await made(
        place, task, MEND, write("settings.py", f"a = 1\n{token.line}\n"), write(".env", "A=1\n"), big
    )
    failed = await place.step(task, place.publish(task, base, commit, provider="recording"), PublishFailed)
    found = [(one.rule, one.severity, one.file, one.line) for one in failed.findings]
    assert found == [
        ("secret", "hard", "settings.py", 2),
        ("forbidden_file", "hard", ".env", None),
        ("symlink", "hard", "here", None),
        ("size", "hard", "big.bin", None),
    ]
    assert (failed.error_class, failed.transient) == ("preflight.secret", False)
    assert "settings.py:2: [secret] " in failed.message
    assert token.secret not in failed.message
    assert remote.pushes == []
    assert recorded(place.folder / "h1" / "forge") == []


async def test_what_is_flagged_is_said_in_the_report_and_in_the_pull_request(
    place: World, task: str, remote: Remote
) -> None:
    base, commit = await made(place, task, MEND, write(".github/workflows/ci.yml", "on: push\n"))
    done = await place.step(task, place.publish(task, base, commit, provider="recording"), PublishSucceeded)
    assert [(one.rule, one.file) for one in done.findings] == [("workflow", ".github/workflows/ci.yml")]
    (pull_request,) = recorded(place.folder / "h1" / "forge")
    assert "Worth a look" in pull_request.body
    assert ".github/workflows/ci.yml: [workflow]" in pull_request.body


async def test_a_workflow_is_blocked_where_the_repo_says_so_until_a_person_has_let_it_pass(
    place: World, task: str, remote: Remote
) -> None:
    base, commit = await made(place, task, MEND, write(".github/workflows/ci.yml", "on: push\n"))
    place.repo = RepoSnapshot(
        name="calc", clone_url=str(remote.path), preflight=Preflight(workflows="block", scope=("**",))
    )
    failed = await place.step(task, place.publish(task, base, commit), PublishFailed)
    assert failed.error_class == "preflight.workflow"
    assert remote.pushes == []
    work = place.publish(task, base, commit, waived=("preflight.workflow",))
    done = await place.step(task, work, PublishSucceeded)
    assert [(one.rule, one.can_do) for one in done.findings] == [("workflow", "a person has let it pass")]


async def test_what_is_outside_the_scope_is_named(place: World, task: str, remote: Remote) -> None:
    base, commit = await made(place, task, MEND, write("other.py", "x = 1\n"))
    failed = await place.step(task, place.publish(task, base, commit, scope=("calc.py",)), PublishFailed)
    assert failed.error_class == "preflight.scope"
    assert [(one.file, one.severity) for one in failed.findings] == [("other.py", "recoverable")]
    assert remote.pushes == []


async def test_a_scanner_that_crashes_holds_the_change_back(
    tmp_path: Path, nats: NatsForTest, remote: Remote, task: str
) -> None:
    """The extra as it is installed, with a program in it that does not come to its end."""
    site = tmp_path / "site"
    program = site / "kingfisher" / "bin" / "kingfisher"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    facts = site / "kingfisher_bin-9.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: kingfisher-bin\nVersion: 9\n")
    async with world(tmp_path / "w", nats, remote) as place:
        executor = place.executor()
        executor.use_environment({"PYTHONPATH": str(site)})
        executor.start()
        await executor.ready()
        base, commit = await made(place, task)
        failed = await place.step(task, place.publish(task, base, commit), PublishFailed)
        assert (failed.error_class, [one.rule for one in failed.findings]) == ("preflight.failed", ["failed"])
        assert "kingfisher ended with 3" in failed.message
        assert remote.pushes == []


KINGFISHER = os.environ.get("PENSTOCK_TEST_KINGFISHER", "")
"""A folder with the extra `secrets` in it, as by `uv pip install --target <folder> kingfisher-bin`."""


@pytest.mark.skipif(not KINGFISHER, reason="needs PENSTOCK_TEST_KINGFISHER")
async def test_the_real_scanner_lets_an_honest_change_pass_and_finds_a_key_in_its_sandbox(
    tmp_path: Path, nats: NatsForTest, remote: Remote
) -> None:
    async with world(tmp_path / "w", nats, remote) as place:
        executor = place.executor()
        executor.use_environment({"PYTHONPATH": KINGFISHER})
        executor.start()
        await executor.ready()
        honest, leaking = ids.fresh(), ids.fresh()
        base, commit = await made(place, honest)
        # The first time it compiles its rules.
        job = await place.desk.order(place.publish(honest, base, commit), task=honest)
        done = (await place.desk.report(job, within_seconds=SCAN_SECONDS_MAX)).body
        assert isinstance(done, PublishSucceeded), done
        assert done.findings == ()
        # A kind that is none of ours, so that it must have been the scanner.
        key = "NRAK-" + "".join(random.Random(5).choices(string.ascii_uppercase + string.digits, k=27))
        base, commit = await made(place, leaking, MEND, write("relic.py", f'a = 1\nnew_relic = "{key}"\n'))
        failed = await place.step(leaking, place.publish(leaking, base, commit), PublishFailed)
        assert [(one.rule, one.file, one.line) for one in failed.findings] == [("secret", "relic.py", 2)]
        assert "kingfisher: " in failed.findings[0].message


# The flow `commit`


async def test_a_commit_lands_once_on_the_default_branch_however_often_it_is_asked_for(
    place: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    base, commit = await made(
        place, task, MEND, COMMIT, write("more.py", "x = 1\n"), {"do": "commit", "message": "More"}
    )
    work = place.publish(task, base, commit, flow="commit", on_tip=True)
    done = await place.step(task, work, PublishSucceeded)
    landed = done.delivery
    assert (landed.kind, landed.branch, landed.adopted) == ("commit", "main", False)
    assert remote.branches() == {"main": landed.commit}
    assert git(remote.path, "rev-list", "--count", f"{base}..main") == "1"
    assert git(remote.path, "rev-parse", "main^{tree}") == git(
        place.folder / "h1" / "mirrors" / "calc.git", "rev-parse", f"{commit}^{{tree}}"
    )
    assert f"Penstock-Task: {task}" in git(remote.path, "log", "-1", "--format=%B", "main")
    again = await place.step(task, work, PublishSucceeded)
    assert (again.delivery.commit, again.delivery.adopted) == (landed.commit, True)
    somebody_pushes(remote, tmp_path / "other", "later.py", "y = 1\n")
    below = await place.step(task, work, PublishSucceeded)
    assert (below.delivery.commit, below.delivery.adopted) == (landed.commit, True)
    assert len(remote.pushes) == 2


async def test_a_commit_that_has_landed_is_not_held_back_by_a_rule_that_came_later(
    place: World, task: str, remote: Remote
) -> None:
    base, commit = await made(place, task, MEND, write("other.py", "x = 1\n"))
    strict = place.publish(task, base, commit, flow="commit", on_tip=True, scope=("calc.py",))
    await place.step(task, strict, PublishFailed)
    assert remote.pushes == []
    first = await place.step(task, place.publish(task, base, commit, flow="commit", on_tip=True), PublishSucceeded)
    again = await place.step(task, strict, PublishSucceeded)
    assert (again.delivery.commit, again.delivery.adopted) == (first.delivery.commit, True)
    assert [(one.rule, one.file) for one in again.findings] == [("scope", "other.py")]
    assert len(remote.pushes) == 1


async def test_a_commit_that_has_landed_is_known_though_the_host_has_another_name_by_now(
    tmp_path: Path, nats: NatsForTest, remote: Remote, task: str
) -> None:
    async with world(tmp_path / "w", nats, remote) as place:
        first = await place.start()
        base, commit = await made(place, task)
        work = place.publish(task, base, commit, flow="commit", on_tip=True)
        landed = (await place.step(task, work, PublishSucceeded)).delivery
        first.end()
        await place.start(author_name="Another Bot", author_email="bot@example.com")
        again = await place.step(task, work, PublishSucceeded)
        assert (again.delivery.commit, again.delivery.adopted) == (landed.commit, True)
        somebody_pushes(remote, tmp_path / "other", "calc.py", "def add(a, b):\n    return sum((a, b))\n")
        below = await place.step(task, work, PublishSucceeded)
        assert (below.delivery.commit, below.delivery.adopted) == (landed.commit, True)
        assert len(remote.pushes) == 2


async def test_a_commit_whose_base_has_moved_is_not_pushed_it_is_put_on_top_and_then_lands(
    place: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    base, commit = await made(place, task)
    tip = somebody_pushes(remote, tmp_path / "other", "other.py", "y = 1\n")
    failed = await place.step(task, place.publish(task, base, commit, flow="commit", on_tip=True), PublishFailed)
    assert (failed.error_class, failed.transient) == ("git.base_moved", False)
    assert remote.branches() == {"main": tip}
    work = place.prepare(task, base_commit=base, rebase=commit)
    stands = await place.step(task, work, PrepareSucceeded)
    assert (stands.base_commit, stands.conflicts) == (tip, ())
    assert stands.change is not None
    assert (stands.change.files, stands.change.commits) == (("calc.py",), 1)
    again = await place.step(task, work, PrepareSucceeded)
    assert again.change == stands.change
    work_again = place.publish(task, tip, stands.change.commit, flow="commit", on_tip=True)
    done = await place.step(task, work_again, PublishSucceeded)
    assert remote.branches() == {"main": done.delivery.commit}
    assert remote.file("main", "calc.py") == CALC_MENDED
    assert remote.file("main", "other.py") == "y = 1\n"


# The base has moved


async def test_a_branch_is_put_on_top_commit_by_commit_under_its_own_messages(
    place: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    steps = (MEND, COMMIT, write("a.py", "a = 1\n"), {"do": "commit", "message": "Second"})
    base, commit = await made(place, task, *steps)
    tip = somebody_pushes(remote, tmp_path / "other", "other.py", "y = 1\n")
    failed = await place.step(task, place.publish(task, base, commit, on_tip=True), PublishFailed)
    assert failed.error_class == "git.base_moved"
    stands = await place.step(task, place.prepare(task, base_commit=base, rebase=commit), PrepareSucceeded)
    assert stands.change is not None
    assert stands.change.commits == 2
    done = await place.step(task, place.publish(task, tip, stands.change.commit), PublishSucceeded)
    messages = git(remote.path, "log", "--format=%s", f"{tip}..{done.delivery.branch}").splitlines()
    assert messages == ["Second", "Add, as the name says"]
    # The agent goes on from there: its next change is counted from the new base.
    place.script("on", [write("b.py", "b = 1\n")])
    more = await place.step(task, place.agent(task, tip, "on"), AgentSucceeded)
    assert more.change.files == ("a.py", "b.py", "calc.py")
    assert more.change.commits == 3


async def test_a_branch_that_was_pushed_before_its_base_moved_is_adopted(
    place: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    base, commit = await made(place, task)
    work = place.publish(task, base, commit, on_tip=True)
    await place.step(task, work, PublishSucceeded)
    somebody_pushes(remote, tmp_path / "other", "other.py", "y = 1\n")
    assert (await place.step(task, work, PublishSucceeded)).delivery.adopted


@pytest.mark.parametrize("on_tip", [True, False])
async def test_what_was_merged_before_its_handing_over_was_told_is_handed_over_and_its_branch_stays_away(
    place: World, task: str, remote: Remote, tmp_path: Path, on_tip: bool
) -> None:
    base, commit = await made(place, task)
    work = place.publish(task, base, commit, provider="recording", on_tip=on_tip)
    await place.step(task, work, PublishSucceeded)
    somebody_pushes(remote, tmp_path / "other", "calc.py", CALC_MENDED)
    merged = {"state": "merged", "head_commit": commit}
    plant(place.folder / "h1" / "forge", "calc", 1, lambda entry: replace(entry, **merged))
    git(remote.path, "update-ref", "-d", f"refs/heads/agent/{task}")
    delivery = (await place.step(task, work, PublishSucceeded)).delivery
    assert (delivery.kind, delivery.commit, delivery.number, delivery.adopted) == ("pull_request", commit, 1, True)
    assert list(remote.branches()) == ["main"]


async def test_a_conflict_is_named_and_the_agent_finds_both_sides_in_its_work_tree(
    place: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    base, commit = await made(place, task)
    theirs = "def add(a, b):\n    return sum((a, b))\n"
    tip = somebody_pushes(remote, tmp_path / "other", "calc.py", theirs)
    stands = await place.step(task, place.prepare(task, base_commit=base, rebase=commit), PrepareSucceeded)
    assert (stands.base_commit, stands.change, stands.conflicts) == (tip, None, ("calc.py",))
    place.script("lazy", [{"do": "say", "text": "fine as it is"}])
    lazy = await place.step(task, place.agent(task, tip, "lazy"), AgentSucceeded)
    failed = await place.step(task, place.publish(task, tip, lazy.change.commit), PublishFailed)
    assert (failed.error_class, failed.findings[0].file) == ("preflight.conflict", "calc.py")
    assert remote.branches() == {"main": tip}
    place.script("mends", [MEND, COMMIT])
    done = await place.step(task, place.agent(task, tip, "mends"), AgentSucceeded)
    published = await place.step(task, place.publish(task, tip, done.change.commit), PublishSucceeded)
    assert remote.file(published.delivery.branch, "calc.py") == CALC_MENDED


async def test_a_default_branch_that_holds_the_change_by_now_is_said(
    place: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    base, commit = await made(place, task)
    somebody_pushes(remote, tmp_path / "other", "calc.py", CALC_MENDED)
    failed = await place.step(task, place.prepare(task, base_commit=base, rebase=commit), PrepareFailed)
    assert failed.error_class == "git.nothing_left"


async def test_what_stands_on_the_new_base_is_left_for_the_host_that_hands_it_over(
    tmp_path: Path, nats: NatsForTest, remote: Remote, task: str
) -> None:
    async with world(tmp_path / "w", nats, remote) as place:
        await place.start(roles="run")
        await place.start("h2", roles="publish")
        base, commit = await made(place, task)
        tip = somebody_pushes(remote, tmp_path / "other", "other.py", "y = 1\n")
        work = place.prepare(task, base_commit=base, rebase=commit, share_work=True)
        stands = await place.step(task, work, PrepareSucceeded)
        assert stands.change is not None
        assert stands.parcel is not None
        publish = place.publish(task, tip, stands.change.commit, parcel=stands.parcel, flow="commit", on_tip=True)
        job = await place.desk.order(publish, task=task, host=None, pool="publish")
        done = await place.desk.body(job, PublishSucceeded)
        assert remote.branches() == {"main": done.delivery.commit}


# The flow `patch`


async def test_a_patch_is_there_whole_and_commit_by_commit_and_both_apply(
    place: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    steps = (MEND, COMMIT, write("a.py", "a = 1\n"), {"do": "commit", "message": "Second"})
    base, commit = await made(place, task, *steps)
    job = await place.desk.order(place.publish(task, base, commit, flow="patch"), task=task)
    delivery = (await place.desk.body(job, PublishSucceeded)).delivery
    assert delivery.patch is not None
    whole = await artifacts.load_whole(place.desk.nc, delivery.patch, task=task, job=job.id)
    each = [await artifacts.load_whole(place.desk.nc, one, task=task, job=job.id) for one in delivery.patches]
    assert len(each) == 2
    assert b"".join(each) == whole
    git(tmp_path, "clone", "-q", str(remote.path), "here")
    for number, one in enumerate(each):
        (tmp_path / f"{number}.mbox").write_bytes(one)
        git(tmp_path / "here", "am", "-q", str(tmp_path / f"{number}.mbox"))
    assert (tmp_path / "here" / "calc.py").read_text() == CALC_MENDED
    assert remote.pushes == []


# A folder of this host, without any remote


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Somebody's repository, with a branch of theirs checked out and something of theirs lying about."""
    folder = tmp_path / "home" / "shop"
    folder.mkdir(parents=True)
    (folder / "calc.py").write_text(CALC)
    (folder / "other.py").write_text("x = 1\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "As it was")
    (folder / "notes.txt").write_text("mine\n")
    return folder


@pytest.fixture
async def home(tmp_path: Path, nats: NatsForTest, remote: Remote, shop: Path) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start(local_folders=str(shop.parent), allow_local_remotes="false")
        found.repo = RepoSnapshot(name="shop", clone_url=str(shop), provider="local")
        yield found


def standing(folder: Path) -> tuple[str, str, str]:
    """What of a repository's own must not move: its branches, its HEAD, its index."""
    return (
        git(folder, "for-each-ref"),
        (folder / ".git" / "HEAD").read_text(),
        git(folder, "ls-files", "--stage"),
    )


async def test_edits_are_made_in_the_folder_and_nothing_is_committed(home: World, task: str, shop: Path) -> None:
    before = standing(shop)
    base, commit = await made(home, task, MEND, COMMIT, write("new/deep.py", "y = 1\n"))
    assert (shop / "calc.py").read_text() == CALC
    work = home.publish(task, base, commit, flow="untracked", provider="local")
    delivery = (await home.step(task, work, PublishSucceeded)).delivery
    assert (delivery.kind, delivery.url) == ("untracked", shop.as_uri())
    assert delivery.patch is not None
    assert (shop / "calc.py").read_text() == CALC_MENDED
    assert (shop / "new" / "deep.py").read_text() == "y = 1\n"
    assert (shop / "notes.txt").read_text() == "mine\n"
    assert standing(shop) == before
    await home.step(task, work, PublishSucceeded)
    assert sorted(path.name for path in shop.iterdir()) == [".git", "calc.py", "new", "notes.txt", "other.py"]


async def test_edits_are_refused_where_somebody_has_edited_and_none_is_made(home: World, task: str, shop: Path) -> None:
    base, commit = await made(home, task, MEND, write("other.py", "x = 2\n"))
    (shop / "other.py").write_text("x = 3\n")
    work = home.publish(task, base, commit, flow="untracked", provider="local")
    failed = await home.step(task, work, PublishFailed)
    assert (failed.error_class, failed.transient) == ("local.in_the_way", False)
    assert "other.py" in failed.message
    assert ((shop / "calc.py").read_text(), (shop / "other.py").read_text()) == (CALC, "x = 3\n")


async def test_a_patch_of_a_folder_leaves_it_alone_and_what_is_not_committed_there_stops_it_first(
    home: World, task: str, shop: Path
) -> None:
    (shop / "other.py").write_text("x = 3\n")
    before = standing(shop)
    failed = await home.step(task, home.prepare(task, clean=True), PrepareFailed)
    assert (failed.error_class, failed.transient) == ("local.dirty", False)
    assert "other.py" in failed.message
    (shop / "other.py").write_text("x = 1\n")
    await home.step(task, home.prepare(task, clean=True), PrepareSucceeded)
    base, commit = await made(home, task)
    work = home.publish(task, base, commit, flow="patch", provider="local")
    assert (await home.step(task, work, PublishSucceeded)).delivery.patch is not None
    assert (shop / "calc.py").read_text() == CALC
    assert standing(shop) == before


@pytest.mark.parametrize("flow", ["branch", "commit"])
async def test_nothing_is_ever_pushed_to_a_folder(home: World, task: str, shop: Path, flow: str) -> None:
    before = standing(shop)
    base, commit = await made(home, task)
    failed = await home.step(task, home.publish(task, base, commit, flow=flow, provider="local"), PublishFailed)
    assert failed.error_class == "publish.unknown_flow"
    assert standing(shop) == before


async def test_a_folder_that_the_host_does_not_allow_is_not_even_looked_at(
    home: World, task: str, remote: Remote, tmp_path: Path
) -> None:
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    for address in (str(remote.path), str(tmp_path / "home" / "link" / "home" / "shop"), "/etc"):
        home.repo = RepoSnapshot(name="shop", clone_url=address, provider="local")
        failed = await home.step(ids.fresh(), home.prepare(task), PrepareFailed)
        assert (failed.error_class, failed.transient) == ("local.refused", False)


async def test_a_link_is_no_edit_and_that_is_said_before_anything_is_touched(
    home: World, task: str, shop: Path
) -> None:
    base, commit = await made(home, task, MEND, {"do": "run", "argv": ["ln", "-s", "calc.py", "alias.py"]})
    failed = await home.step(task, home.publish(task, base, commit, flow="untracked", provider="local"), PublishFailed)
    assert (failed.error_class, (shop / "calc.py").read_text()) == ("local.unfit", CALC)

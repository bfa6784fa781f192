"""Given a branch that has moved on under a change, when that is put on top, then it is there, or its conflicts are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapters.git_world import AGENT, TASK, World, host_git, make_world

from penstock_agent_exec.git import rebase as rebase_file
from penstock_agent_exec.git.change import commits_of
from penstock_agent_exec.git.clone import find_clone
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import resolve_base, update_mirror
from penstock_agent_exec.git.rebase import Rebased, move_clone, rebase
from penstock_agent_exec.git.work import commit_leftovers, take_result

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


async def on_top(world: World, script: str, name: str, content: str) -> tuple[str, Rebased]:
    """The new base, and what an agent's script has come to on it, after somebody has pushed a file."""
    clone = await world.clone()
    await world.agent(clone, script)
    await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    world.somebody_pushes("main", name, content)
    await update_mirror(world.mirror, world.remote)
    tip = await resolve_base(world.mirror, "main")
    put = await rebase(world.mirror, TASK, base=result.base, head=result.head, onto=tip, identity=AGENT)
    assert await rebase(world.mirror, TASK, base=result.base, head=result.head, onto=tip, identity=AGENT) == put
    return tip, put


def shown(world: World, commit: str, path: str) -> str:
    return host_git(world.mirror.path, "--git-dir=.", "show", f"{commit}:{path}")


async def subjects(world: World, base: str, head: str) -> list[str]:
    return [commit.subject for commit in await commits_of(world.mirror, base, head)]


TWO = "echo a > a && git add a && git commit -qm 'First' && echo b > b && git add b && git commit -qm 'Second'"


async def test_commits_stay_what_they_are_with_their_authors_and_messages(world: World) -> None:
    tip, put = await on_top(world, TWO, "theirs", "x\n")
    assert put.conflicts == ()
    assert await subjects(world, tip, put.commit) == ["First", "Second"]
    assert {commit.author_email for commit in await commits_of(world.mirror, tip, put.commit)} == {AGENT.email}
    assert [shown(world, put.commit, name) for name in ("a", "b", "theirs")] == ["a", "b", "x"]


async def test_a_commit_that_is_there_already_is_left_out(world: World) -> None:
    tip, put = await on_top(world, TWO, "a", "a\n")
    assert await subjects(world, tip, put.commit) == ["Second"]


async def test_a_history_with_merges_becomes_one_commit(world: World) -> None:
    script = f"git checkout -q -b side && {TWO} && git checkout -q - && echo c > c && git add c && git commit -qm C"
    tip, put = await on_top(world, f"{script} && git merge -q --no-edit side", "theirs", "x\n")
    assert len(await subjects(world, tip, put.commit)) == 1
    assert [shown(world, put.commit, name) for name in ("a", "b", "c", "theirs")] == ["a", "b", "c", "x"]


async def test_commits_beyond_the_limit_become_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebase_file, "PICKED_MAX", 1)
    tip, put = await on_top(world, TWO, "theirs", "x\n")
    assert await subjects(world, tip, put.commit) == ["Second"]
    assert shown(world, put.commit, "a") == "a"


async def test_what_does_not_fit_is_named_and_both_sides_are_in_the_work_tree_not_committed(world: World) -> None:
    script = "printf 'ours\\n' > README && git commit -qam 'Ours' && echo n > new"
    tip, put = await on_top(world, script, "README", "theirs\n")
    assert put.conflicts == ("README",)
    clone = find_clone(world.data, TASK)
    assert clone is not None
    await heal_clone(clone, world.sandbox)
    moved = await move_clone(clone, world.sandbox, base=tip, to=put)
    again = await move_clone(moved, world.sandbox, base=tip, to=put)
    assert again == moved == find_clone(world.data, TASK)
    text = (clone.path / "README").read_text()
    assert "<<<<<<< " in text
    assert "ours\n=======" in text or "theirs\n=======" in text
    assert (clone.path / "new").read_text() == "n\n"
    assert await world.agent(clone, "git rev-parse HEAD") == tip
    status = await world.agent(clone, "git status --porcelain")
    assert set(status.split("\n")) == {"M README", "?? new"}


async def test_a_file_that_others_have_deleted_is_named_too(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo more >> README && git commit -qam 'More'")
    result = await take_result(clone, world.mirror, world.sandbox)
    host_git(world.work, "rm", "-q", "README")
    host_git(world.work, "commit", "-q", "-m", "Less")
    host_git(world.work, "push", "-q", "origin", "main")
    await update_mirror(world.mirror, world.remote)
    tip = await resolve_base(world.mirror, "main")
    put = await rebase(world.mirror, TASK, base=result.base, head=result.head, onto=tip, identity=AGENT)
    assert put.conflicts == ("README",)


async def test_attributes_and_settings_of_the_repository_run_nothing(world: World) -> None:
    ran = world.root / "ran"
    script = (
        f"echo '* merge=evil filter=evil diff=evil' > .gitattributes && git config merge.evil.driver 'touch {ran}'"
        " && echo ours > README && git add -A && git -c filter.evil.clean=cat commit -qm 'Attributes'"
    )
    _, put = await on_top(world, script, "README", "theirs\n")
    assert put.conflicts == ("README",)
    assert not ran.exists()

"""Given a repo whose content is partly elsewhere, what a clone of it lacks is said by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapters.git_world import World, host_git, make_world

from penstock_agent_exec.git.left_out import NAMES_SHOWN_MAX, left_out

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def pointer(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{1:064d}\nsize 9\n")


def push(world: World) -> None:
    host_git(world.work, "add", "-A")
    host_git(world.work, "commit", "-q", "-m", "More")
    host_git(world.work, "push", "-q", "origin", "main")


async def test_an_ordinary_repo_lacks_nothing_and_what_only_looks_like_a_pointer_is_none(world: World) -> None:
    assert await left_out(world.mirror, await world.base()) == ()
    pointer(world.work / "example.txt")
    push(world)
    assert await left_out(world.mirror, await world.base()) == ()


async def test_empty_submodules_and_pointers_of_lfs_are_named(world: World) -> None:
    (world.work / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer(world.work / "src" / "model.bin")
    (world.work / "real.bin").write_bytes(b"\0" * 100)
    for number in range(NAMES_SHOWN_MAX + 2):
        name = "odd\x1b[31m" if number == 0 else f"sub{number}"
        host_git(world.work, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{name}")
        (world.work / name).mkdir()
    push(world)
    submodules, files = await left_out(world.mirror, await world.base())
    assert submodules == "the folders of its submodules are empty: odd�[31m, sub1, sub2, sub3, sub4, and 2 more"
    assert files == "files of Git LFS are pointers to their content, which is not here: src/model.bin"


async def test_a_clone_of_such_a_repo_has_an_empty_folder_and_the_pointer_as_it_is(world: World) -> None:
    (world.work / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer(world.work / "model.bin")
    host_git(world.work, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    (world.work / "sub").mkdir()
    push(world)
    clone = await world.clone()
    assert list((clone.path / "sub").iterdir()) == []
    assert (clone.path / "model.bin").read_text() == (world.work / "model.bin").read_text()
    assert await world.agent(clone, "git status --porcelain") == ""

"""Given a task that is over, the next one of its repo gets its work tree, and nothing of what was done to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from adapters.git_world import OTHER_TASK, TASK, World, host_git, make_world

from penstock_agent_exec.git.clone import Clone, drop_clone
from penstock_agent_exec.git.command import Completed
from penstock_agent_exec.git.failures import CloneDamaged
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.git.spare import Doubtful, Spare, make_spare, spares_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Besides the usual files: a program, a link, a folder in a folder, an odd name, attributes, and Windows' line ends."""
    world = make_world(tmp_path)
    work = world.work
    (work / "run.sh").write_text("#!/bin/sh\necho hello\n")
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("src/app.py")
    (work / "deep" / "er").mkdir(parents=True)
    (work / "deep" / "er" / 'odd "name"\n*').write_text("odd\n")
    (work / ".gitattributes").write_text("*.txt text=auto\n*.bin -text\n")
    (work / "notes.txt").write_text("one\ntwo\n")
    (work / "dos.bin").write_bytes(b"one\r\ntwo\r\n")
    host_git(work, "add", "-A")
    host_git(work, "commit", "-q", "-m", "More kinds of files")
    host_git(work, "push", "-q", "origin", "main")
    return world


async def spare_of(world: World, clone: Clone) -> Spare:
    """What the collection makes of a clone that nobody comes back to."""
    leaving = world.data / "leaving" / "x"
    (leaving / "tasks").mkdir(parents=True)
    (world.data / "tasks" / clone.task).rename(leaving / "tasks" / clone.task)
    clone.record.unlink()
    moved = Clone(leaving, clone.task, clone.base, clone.objects, clone.identity)
    try:
        return await make_spare(moved, world.mirror, world.sandbox, data=world.data)
    finally:
        shutil.rmtree(leaving)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder, git's own aside: its mode and links, and what is in it."""
    found: dict[str, tuple[int, bytes]] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if name == ".git" or name.startswith(".git/"):
            continue
        mode = path.lstat().st_mode
        inside = bytes(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[name] = (mode, inside)
        if not path.is_dir():
            assert path.lstat().st_nlink == 1, name
    return found


async def is_like_a_fresh_one(world: World, clone: Clone) -> bool:
    """Whether the clone has what one has that was made from nothing: files, modes, and git's view of them."""
    root = world.root / "fresh"
    assert not spares_of(root, "sample")
    fresh = await make_clone(
        root, world.mirror, clone.task, base=clone.base, identity=clone.identity, sandbox=world.sandbox
    )
    assert contents(clone.path) == contents(fresh.path)
    ask = (
        "git status --porcelain --ignored; git rev-parse HEAD; git symbolic-ref HEAD; git ls-files -s -v -t;"
        " git config --list --local; cat .git/objects/info/alternates; git stash list; git for-each-ref;"
        " find .git -type f ! -name index ! -path '.git/logs/*' | sort"
    )
    assert await world.agent(clone, ask) == await world.agent(fresh, ask)
    await drop_clone(root, clone.task)
    return True


async def test_a_new_task_takes_the_spare_and_writes_no_file_that_is_the_same(world: World) -> None:
    first = await world.clone()
    inode = (first.path / "README").stat().st_ino
    await world.agent(first, "echo changed > src/app.py; mkdir build; echo x > build/x; git add -A; git commit -qm x")
    await spare_of(world, first)
    calls = len(world.sandbox.calls)
    second = await world.clone(OTHER_TASK)
    assert (second.path / "README").stat().st_ino == inode
    assert len(world.sandbox.calls) == calls + 1
    assert not spares_of(world.data, "sample")
    assert not (second.path.parent / "spare").exists()
    assert await is_like_a_fresh_one(world, second)


DONE_TO_IT = {
    "nothing": ":",
    "ignored and new files": "mkdir build; echo x > build/evil; echo x > new; echo x > src/x.pyc",
    "a .env that git is told to ignore": (
        "mkdir .git/info; echo .env >> .git/info/exclude; echo TOKEN=x > .env; echo .env >> .gitignore"
    ),
    "a repository in the tree": "git init -q inner; echo x > inner/x; git -C inner add -A; mkdir -p src/.git/hooks",
    "a bare repository in the tree": "git init -q --bare inner; git init -q --bare src/bare",
    "a .git file below": "echo 'gitdir: /etc' > src/.git; echo 'gitdir: /etc' > deep/.git",
    "hard links between files": "ln README second; ln README src/third; rm run.sh; ln README run.sh",
    "a folder that is a link to outside": "rm -r src; ln -s /etc src",
    "a folder that is a link to another": "rm -r deep; ln -s src deep",
    "a file that is a link": "rm README; ln -s /etc/passwd README; rm link; ln -s /etc link",
    "a file that is a folder": "rm README; mkdir README; echo x > README/x; rm link; mkdir link",
    "a folder that is a file": "rm -r src; echo x > src",
    "a pipe": "rm README; mkfifo README; mkfifo src/pipe",
    "content with its old time": (
        "touch -r README /tmp/t; printf 'evils\\n' > README; touch -r /tmp/t README; git update-index --refresh || true"
    ),
    "an index that vouches for it": (
        "git update-index --assume-unchanged README; git update-index --skip-worktree run.sh;"
        " echo evil > README; echo evil > run.sh"
    ),
    "an index with an own idea": "echo evil > README; git add README; git rm -q --cached src/app.py; git add -A",
    "a sparse checkout": "git sparse-checkout set --no-cone /README 2>/dev/null; git config core.sparseCheckout true",
    "line ends that attributes explain away": "printf 'one\\r\\ntwo\\r\\n' > notes.txt; printf 'one\\ntwo\\n' > dos.bin",
    "attributes of its own": "echo '* text=auto ident' > .gitattributes; printf 'one\\r\\ntwo\\r\\n' > notes.txt",
    "attributes in a folder": (
        "echo '* text eol=crlf' > src/.gitattributes; printf \"print('one')\\r\\nprint('two')\\r\\n\" > src/app.py"
    ),
    "a filter": (
        "mkdir .git/info;"
        " git config filter.x.clean 'echo hello'; git config filter.x.smudge 'echo evil'; git config filter.x.required true;"
        " echo 'README filter=x' > .git/info/attributes; echo evil > README"
    ),
    "other modes": "chmod 777 README src; chmod 4755 run.sh; chmod 644 run.sh; chmod 1777 deep",
    "files nobody may read": "chmod 0 README src/app.py src; mkdir shut; chmod 0 shut",
    "odd names": "touch -- '-rf' \"$(printf 'a\\nb')\" \"$(printf '\\377\\376')\"; mkdir -- '--help'; echo x > '.gıt'",
    "upper case": "mkdir SRC .GIT; echo x > SRC/app.py; echo x > readme",
    "a deep pit": "d=x; for i in 1 2 3 4 5 6; do d=$d/$d; mkdir -p $d; cd $d; done",
    "all files deleted": "rm -rf ./* .gitignore .gitattributes",
    "git gone": "rm -rf .git",
    "a .git that leads away": "rm -rf .git; ln -s /etc .git",
    "hooks and settings": (
        "mkdir -p .git/hooks; echo 'touch fired' > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout;"
        " git config core.fsmonitor 'touch fired'; git config core.hooksPath .git/hooks; git config core.worktree /"
    ),
    "extended attributes": "setfattr -n user.evil -v x README 2>/dev/null || true",
}


@pytest.mark.parametrize("how", DONE_TO_IT)
async def test_whatever_a_task_did_to_its_work_tree_the_next_one_sees_nothing_of_it(world: World, how: str) -> None:
    first = await world.clone()
    await world.agent(first, DONE_TO_IT[how])
    await spare_of(world, first)
    second = await world.clone(OTHER_TASK)
    assert not spares_of(world.data, "sample")
    assert await is_like_a_fresh_one(world, second)


async def test_a_file_that_has_a_second_name_outside_of_the_tree_is_written_anew(world: World) -> None:
    first = await world.clone()
    outside = world.root / "outside"
    os.link(first.path / "README", outside)
    await spare_of(world, first)
    second = await world.clone(OTHER_TASK)
    outside.write_text("changed through the other name\n")
    assert await is_like_a_fresh_one(world, second)


async def test_the_remote_may_have_moved_on_in_the_meantime(world: World) -> None:
    first = await world.clone()
    inode = (first.path / "README").stat().st_ino
    await spare_of(world, first)
    host_git(world.work, "rm", "-q", "-r", "src", "link")
    world.somebody_pushes("main", "run.sh", "#!/bin/sh\necho other\n")
    second = await world.clone(OTHER_TASK)
    assert second.base == world.on_remote("main") != first.base
    assert (second.path / "README").stat().st_ino == inode
    assert await is_like_a_fresh_one(world, second)


async def test_attributes_that_have_changed_meanwhile_are_a_doubt_and_the_clone_is_made_from_nothing(
    world: World,
) -> None:
    first = await world.clone()
    inode = (first.path / "notes.txt").stat().st_ino
    await spare_of(world, first)
    world.somebody_pushes("main", ".gitattributes", "*.txt text eol=crlf\n")
    second = await world.clone(OTHER_TASK)
    assert (second.path / "notes.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert (second.path / "notes.txt").stat().st_ino != inode
    assert await is_like_a_fresh_one(world, second)


@pytest.mark.parametrize(
    "attributes", ["* text eol=crlf", "x ident", "[attr]y working-tree-encoding=UTF-16", "* EOL=crlf"]
)
async def test_a_repo_whose_attributes_change_content_leaves_no_spare(world: World, attributes: str) -> None:
    world.somebody_pushes("main", ".gitattributes", f"{attributes}\n")
    first = await world.clone()
    with pytest.raises(Doubtful, match="attributes"):
        await spare_of(world, first)
    assert not spares_of(world.data, "sample")


async def test_a_repo_with_submodules_leaves_no_spare(world: World) -> None:
    await world.base()
    host_git(world.work, "update-index", "--add", "--cacheinfo", f"160000,{world.on_remote('main')},sub")
    host_git(world.work, "commit", "-q", "-m", "A submodule")
    host_git(world.work, "push", "-q", "origin", "HEAD:main")
    first = await world.clone()
    with pytest.raises(Doubtful, match="submodules"):
        await spare_of(world, first)


async def test_a_work_tree_that_became_a_link_leaves_no_spare_and_what_is_behind_it_is_left_alone(world: World) -> None:
    first = await world.clone()
    first.path.rename(world.root / "moved")
    first.path.symlink_to(world.root / "moved")
    before = contents(world.root / "moved")
    with pytest.raises(Doubtful, match="not a folder"):
        await spare_of(world, first)
    assert contents(world.root / "moved") == before


async def test_a_spare_that_git_cannot_use_is_dropped_and_the_clone_is_made_from_nothing(world: World) -> None:
    spare = await spare_of(world, await world.clone())
    (spare.path / "index").write_bytes(b"nothing of the kind")
    assert await is_like_a_fresh_one(world, await world.clone(OTHER_TASK))
    assert not spares_of(world.data, "sample")


async def test_a_spare_without_its_files_is_filled_up(world: World) -> None:
    spare = await spare_of(world, await world.clone())
    shutil.rmtree(spare.path / "tree")
    assert await is_like_a_fresh_one(world, await world.clone(OTHER_TASK))


async def test_cut_off_anywhere_in_its_making_there_is_no_spare(world: World) -> None:
    for at in range(4):
        first = await world.clone()
        calls = 0

        async def cut_off(
            argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float, at: int = at
        ) -> Completed:
            nonlocal calls
            calls += 1
            if calls > at:
                raise CloneDamaged("cut off")
            return await world.sandbox(argv, cwd=cwd, env=env, timeout_seconds=timeout_seconds)

        with pytest.raises(CloneDamaged, match="cut off"):
            await make_spare(first, world.mirror, cut_off, data=world.data)
        assert calls == at + 1
        assert not spares_of(world.data, "sample")
        await drop_clone(world.data, TASK)

"""Given words to look for, when a clone is prepared, then the report holds what the repository knows of them, and what failed."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from adapters.git_world import World as GitWorld
from adapters.git_world import host_git, make_world
from executor_world import World, world
from msgspec import structs
from servers import NatsForTest
from whole import GIT_ENVIRON, Remote, git

from penstock import ids
from penstock.bounds import MAP_LENGTH_MAX
from penstock.events import PrepareSucceeded
from penstock.values import Evidence, VerifyCommands
from penstock_agent_exec.forge.recording import RecordingForge
from penstock_agent_exec.git.evidence import TELLING_MAX, known_words
from penstock_agent_exec.git.failures import TimedOut

pytestmark = pytest.mark.anyio

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
STAGES = ("pre", "build", "test", "lint")
FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "src/userProfile.ts": "export {}\n",
    "src/user/load.ts": "export {}\n",
    "docs/HTTPServer_notes.md": "notes\n",
    "unrelated.txt": "x\n",
}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path / "calc", FILES)


@pytest.fixture
async def empty(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """A world without an executor."""
    async with world(tmp_path / "w", nats, remote) as found:
        yield found


@pytest.fixture
async def place(empty: World) -> World:
    """A world with one running executor, h1."""
    await empty.start()
    return empty


async def found(place: World, *words: str, provider: str = "git") -> Evidence:
    task = ids.fresh()
    repo = structs.replace(place.repo, provider=provider)
    work = structs.replace(place.prepare(task), repo=repo, words=words)
    evidence = (await place.step(task, work, PrepareSucceeded)).evidence
    assert evidence is not None
    return evidence


async def test_no_words_ask_for_no_evidence(place: World) -> None:
    assert (await place.prepared(ids.fresh())).evidence is None


async def test_words_are_found_in_the_parts_of_paths_and_the_paths_that_know_most_come_first(place: World) -> None:
    seen = await found(place, "user", "profile", "userprofile", "http", "elephant", "src/user/load.ts")
    assert (seen.words, seen.overlap) == (6, 5)
    assert seen.paths == ("src/userProfile.ts", "src/user/load.ts", "docs/HTTPServer_notes.md")
    assert (seen.recent_commits, seen.recent_commits_all) == (1, 1)
    assert seen.open_pull_requests is None
    assert seen.degraded == ("open_pull_requests: no forge configured",)


async def test_words_are_found_in_what_files_define_and_their_paths_count_with_the_others(place: World) -> None:
    seen = await found(place, "add", "elephant")
    assert (seen.words, seen.overlap, seen.symbols, seen.paths) == (2, 1, 1, ())
    assert seen.recent_commits == 1


async def test_the_map_comes_with_the_evidence_without_secrets_and_is_remembered_by_the_host(
    place: World, remote: Remote
) -> None:
    tree = remote.path.parent / "tree"
    (tree / "keys.py").write_text(f'def connect(key="{TOKEN}"): ...\nLONG = "{"x " * 80}{TOKEN}"\n')
    for number in range(300):
        (tree / f"part{number}.py").write_text(f"def add_part_{number}(numbers): return add(number, {number})\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "More")
    git(tree, "push", "-q", str(remote.path), "main")
    seen = await found(place, "connect", "keys", "add")
    assert seen.map.startswith("keys.py\n     1: def connect(key=")
    assert "[secret]" in seen.map
    assert TOKEN[:12] not in seen.map
    assert "not shown: " in seen.map
    assert 4_000 < len(seen.map) <= MAP_LENGTH_MAX
    assert (place.folder / "h1" / "maps" / "calc.sqlite").is_file()


async def test_a_map_that_is_not_whole_says_what_was_not_read(place: World, remote: Remote) -> None:
    tree = remote.path.parent / "tree"
    (tree / "deep.cpp").write_text("f<" * 100 + "\n" + ("f<" * 100 + "\n") * 2_000)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "Deep")
    git(tree, "push", "-q", str(remote.path), "main")
    seen = await found(place, "add")
    assert "def add" in seen.map
    # Which of the two comes first is the machine's business: it takes all its own time, or all that there is for the map.
    whys = ("parser took too long", "no time left")
    assert set(seen.degraded) & {f"repo_map: not read: 1 files: {why}" for why in whys}


async def test_a_repo_without_checks_has_its_own_files_asked_and_what_cannot_be_told_as_it_stands_is_left_out(
    place: World, remote: Remote
) -> None:
    tree = remote.path.parent / "tree"
    (tree / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tree / "Makefile").write_text("lint:\n\ttrue\n")
    (tree / ".github" / "workflows").mkdir(parents=True)
    lines = ("npm test", f"npm test -- --token={TOKEN}", "npm test \u202e-- x", "npm test " + "-- a " * 30)
    steps = "".join(f"      - run: {line}\n" for line in lines)
    (tree / ".github" / "workflows" / "ci.yml").write_text(f"jobs:\n  test:\n    steps:\n{steps}")
    (tree / "package.json").write_text("{")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "Tools")
    git(tree, "push", "-q", str(remote.path), "main")
    task = ids.fresh()
    asked = structs.replace(place.prepare(task), wants_evidence=True)
    seen = (await place.step(task, asked, PrepareSucceeded)).proposed
    assert seen is not None
    told = [(one.stage, one.command, one.source) for one in seen]
    assert ("lint", "make lint", "Makefile") in told
    assert ("test", "npm test", ".github/workflows/ci.yml") in told
    assert {source for _, _, source in told} == {"pyproject.toml", "Makefile", ".github/workflows/ci.yml"}
    assert not [command for _, command, _ in told if TOKEN[:12] in command or not command.isprintable()]
    assert [stage for stage, _, _ in told] == sorted((stage for stage, _, _ in told), key=STAGES.index)

    again = ids.fresh()
    has_one = structs.replace(place.repo, verify=VerifyCommands(test="make test"))
    asked = structs.replace(place.prepare(again), repo=has_one, wants_evidence=True)
    assert (await place.step(again, asked, PrepareSucceeded)).proposed is None
    assert (await place.prepared(ids.fresh())).proposed is None


async def test_words_that_nothing_knows_touch_no_commit(place: World) -> None:
    seen = await found(place, "elephant")
    assert (seen.overlap, seen.paths, seen.recent_commits, seen.recent_commits_all) == (0, (), 0, 1)


async def test_commits_that_are_older_than_two_weeks_or_elsewhere_do_not_count(
    place: World, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = remote.path.parent / "tree"
    monkeypatch.setitem(GIT_ENVIRON, "GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
    git(tree, "commit", "-q", "--amend", "-m", "Long ago")
    monkeypatch.delitem(GIT_ENVIRON, "GIT_COMMITTER_DATE")
    (tree / "unrelated.txt").write_text("y\n")
    git(tree, "commit", "-q", "-a", "-m", "Elsewhere")
    git(tree, "push", "-q", "-f", str(remote.path), "main")
    seen = await found(place, "calc")
    assert (seen.paths, seen.recent_commits, seen.recent_commits_all) == (("calc.py",), 0, 1)


async def test_open_pull_requests_on_the_same_paths_are_counted(place: World, remote: Remote) -> None:
    tree = remote.path.parent / "tree"
    forge = RecordingForge(place.folder / "h1" / "forge", "calc")
    for branch, name in (("same", "calc.py"), ("other", "unrelated.txt")):
        git(tree, "checkout", "-q", "-B", branch, "main")
        (tree / name).write_text("changed\n")
        git(tree, "commit", "-q", "-a", "-m", f"Change {name}")
        git(tree, "push", "-q", str(remote.path), branch)
        await forge.open(branch, base="main", title=branch, body="")
    await forge.open("gone", base="main", title="a branch that is not there", body="")
    seen = await found(place, "calc", provider="recording")
    assert seen.open_pull_requests == 1
    assert seen.degraded == (
        "open_pull_requests: the branches of 1 are not in this repository, and were not looked at",
    )


async def test_a_source_that_takes_too_long_fails_alone_and_is_named(empty: World) -> None:
    slow = empty.slow_git("ls-tree -r -z --name-only")
    process = empty.executor(path=slow.path)
    process.start()
    await process.ready()
    seen = await found(empty, "calc")
    assert (seen.overlap, seen.symbols, seen.paths, seen.recent_commits) == (1, 0, (), 1)
    assert "def add" in seen.map
    assert [line.split(":")[0] for line in seen.degraded] == ["repo_map", "open_pull_requests"]
    slow.go()


async def test_without_a_map_the_paths_are_still_known(empty: World) -> None:
    process = empty.executor(path=failing_git(empty.folder / "git", "ls-tree -r -z -l"))
    process.start()
    await process.ready()
    seen = await found(empty, "calc", "add")
    assert (seen.overlap, seen.symbols, seen.map, seen.paths, seen.recent_commits) == (1, None, "", ("calc.py",), 1)
    assert seen.degraded[0].startswith("repo_map: ")
    assert "it broke" in seen.degraded[0]


async def test_without_paths_and_map_nothing_on_them_is_known(empty: World) -> None:
    process = empty.executor(path=failing_git(empty.folder / "git", "ls-tree -r -z -l", "ls-tree -r -z --name-only"))
    process.start()
    await process.ready()
    seen = await found(empty, "calc")
    assert (seen.overlap, seen.symbols, seen.map, seen.paths, seen.recent_commits) == (None, None, "", (), None)
    assert seen.recent_commits_all == 1
    said = [line.split(":")[0] for line in seen.degraded]
    assert list(dict.fromkeys(said)) == ["repo_map", "recent_commits", "open_pull_requests"]


def failing_git(folder: Path, *commands: str) -> str:
    """A PATH with a git that breaks at these."""
    folder.mkdir()
    cases = "".join(f'case " $* " in *" {command} "*) echo it broke >&2; exit 128;; esac\n' for command in commands)
    (folder / "git").write_text(f'#!/bin/sh\n{cases}exec {shutil.which("git")} "$@"\n')
    (folder / "git").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


async def test_a_forge_that_fails_is_named_and_the_others_stand(place: World) -> None:
    (place.folder / "h1" / "forge").mkdir()
    (place.folder / "h1" / "forge" / "pull-requests.json").write_text("not JSON")
    seen = await found(place, "calc", provider="recording")
    assert (seen.overlap, seen.recent_commits, seen.open_pull_requests) == (1, 1, None)
    assert [line.split(":")[0] for line in seen.degraded] == ["open_pull_requests"]


# -- the mirror by itself ----------------------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path) -> GitWorld:
    return make_world(tmp_path)


async def test_of_many_paths_some_are_shown(repo: GitWorld) -> None:
    for number in range(200):
        (repo.work / f"thing{number}").mkdir()
        (repo.work / f"thing{number}" / "user.py").write_text("")
    (repo.work / "user_load.py").write_text("")
    host_git(repo.work, "add", "-A")
    host_git(repo.work, "commit", "-q", "-m", "Many")
    host_git(repo.work, "push", "-q", "origin", "main")
    known = await known_words(repo.mirror, await repo.base(), ("user", "load"), timeout_seconds=10)
    assert (known.words, len(known.paths), known.more) == (2, TELLING_MAX, False)
    assert known.paths[0] == b"user_load.py"


async def test_time_for_a_source_is_limited(repo: GitWorld) -> None:
    base = await repo.base()
    with pytest.raises(TimedOut):
        await known_words(repo.mirror, base, ("user",), timeout_seconds=0.0)

"""Given words to look for, when a clone is prepared, then the report holds what the repository knows of them, and what failed."""

from __future__ import annotations

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
from penstock.events import PrepareSucceeded
from penstock.values import Evidence
from penstock_agent_exec.forge.recording import RecordingForge
from penstock_agent_exec.git.evidence import TELLING_MAX, known_words
from penstock_agent_exec.git.failures import TimedOut

pytestmark = pytest.mark.anyio

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
    assert (seen.open_pull_requests, seen.degraded) == (1, ())


async def test_a_source_that_takes_too_long_fails_alone_and_is_named(empty: World) -> None:
    slow = empty.slow_git("ls-tree -r -z --name-only")
    process = empty.executor(path=slow.path)
    process.start()
    await process.ready()
    seen = await found(empty, "calc")
    assert (seen.overlap, seen.paths, seen.recent_commits) == (None, (), None)
    assert seen.recent_commits_all == 1
    assert [line.split(":")[0] for line in seen.degraded] == ["repo_map", "recent_commits", "open_pull_requests"]
    slow.go()


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

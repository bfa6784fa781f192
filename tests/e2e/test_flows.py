"""Every way of handing over, end to end: a task goes in over HTTP, and what it has come to is there once, or nowhere at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from orchestrator_fixtures import tags
from secrets_of_all_kinds import secrets_of_all_kinds
from whole import CALC, CALC_MENDED, CALC_TEST, LET_GO, Remote, Whole, calc_remote, git, whole

from penstock.events import (
    AgentRequested,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
    TaskBlocked,
    TaskSucceeded,
    VerifySucceeded,
)

pytestmark = pytest.mark.anyio
MEND: dict[str, Any] = {"do": "write", "path": "calc.py", "content": CALC_MENDED}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Below it, folders may be repos."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, home: Path) -> AsyncIterator[Whole]:
    """One for all of these tests; each has a repo of its own."""
    more = {"agent-exec": {"local_folders": str(home)}}
    async with whole(tmp_path_factory.mktemp("whole") / "w", more=more) as found:
        yield found


def commit(message: str) -> dict[str, Any]:
    return {"do": "commit", "message": message}


async def test_commits_that_are_made_at_once_land_one_by_one_each_checked_where_it_landed(
    house: Whole, remote: Remote
) -> None:
    await house.add_repo("onebyone", str(remote.path), parallel_max=2)
    tasks = []
    for name in ("one", "two"):
        held = {"do": "wait", "file": LET_GO, "seconds": 3_600}
        write = {"do": "write", "path": f"{name}.py", "content": "x = 1\n"}
        house.script(name, {"attempts": [[held, MEND if name == "one" else write, commit(f"Write {name}")]]})
        tasks.append(await house.submit(repo="onebyone", model=name, flow="commit", skip_verify=name == "two"))
    # Both stand on the same commit before any of them hands over.
    for task in tasks:
        await house.until(task, lambda event: isinstance(event.data, AgentRequested))
    for task in tasks:
        await house.let_go(task)
    done = await asyncio.gather(*(house.until(task) for task in tasks))
    assert [tags(events[-1]) for events in done] == ["task_succeeded", "task_unverified"]
    branches = remote.branches()
    assert set(branches) == {"main"}
    assert len(remote.pushes) == 2
    assert git(remote.path, "rev-list", "--count", "main") == "3"
    landed = [event.data.delivery for events in done for event in events if isinstance(event.data, PublishSucceeded)]
    assert sorted(one.commit for one in landed) == sorted(git(remote.path, "rev-list", "-2", "main").splitlines())
    moved = [event.data for events in done for event in events if isinstance(event.data, PublishFailed)]
    stands = [event.data for events in done for event in events if isinstance(event.data, PrepareSucceeded)]
    assert [one.error_class for one in moved] == ["git.base_moved"]
    assert [one.change is not None for one in stands].count(True) == 1
    assert remote.file("main", "calc.py") == CALC_MENDED


async def test_a_conflict_with_what_others_have_pushed_is_mended_once_checked_again_and_handed_over(
    house: Whole, remote: Remote, tmp_path: Path
) -> None:
    await house.add_repo("conflict", str(remote.path))
    held = {"do": "wait", "file": LET_GO, "seconds": 3_600}
    house.script("slow-then-mends", {"attempts": [[held, MEND, commit("Add")], [MEND, commit("Both")]]})
    task = await house.submit(repo="conflict", model="slow-then-mends")
    await house.until(task, lambda event: isinstance(event.data, AgentRequested))
    git(tmp_path, "clone", "-q", str(remote.path), "other")
    (tmp_path / "other" / "calc.py").write_text("def add(a, b):\n    return sum([a, b, 1])\n")
    git(tmp_path / "other", "commit", "-q", "-am", "Sum up")
    git(tmp_path / "other", "push", "-q", "origin", "main")
    await house.let_go(task)
    events = await house.until(task)
    assert tags(events[-1]) == "task_succeeded"
    stands = [event.data for event in events if isinstance(event.data, PrepareSucceeded)]
    assert [one.conflicts for one in stands] == [(), ("calc.py",)]
    hint = [event.data for event in events if isinstance(event.data, AgentRequested)][1].hint
    assert "both sides marked in: calc.py" in hint
    checked = [event.data.commit for event in events if isinstance(event.data, VerifySucceeded)]
    ended = events[-1].data
    assert isinstance(ended, TaskSucceeded)
    assert (checked[-1], len(checked)) == (ended.delivery.commit, 2)
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED


async def test_a_secret_is_held_back_with_its_line_never_pushed_and_taken_out_when_a_person_says_so(
    house: Whole, remote: Remote
) -> None:
    token = secrets_of_all_kinds()[12]
    await house.add_repo("leaky", str(remote.path), provider="recording")
    first = [MEND, {"do": "write", "path": "keys.py", "content": f"a = 1\n{token.line}\n"}, commit("With a key")]
    second = [
        {"do": "run", "argv": ["sh", "-c", "git reset -q --soft HEAD^ && git rm -q -f keys.py"]},
        commit("Without"),
    ]
    house.script("leaks", {"attempts": [first, second]})
    task = await house.submit(repo="leaky", model="leaks")
    events = await house.until(task, lambda event: isinstance(event.data, TaskBlocked))
    held_back = next(event.data for event in events if isinstance(event.data, PublishFailed))
    assert [(one.rule, one.file, one.line) for one in held_back.findings] == [("secret", "keys.py", 2)]
    shown = await house.task(task, lambda found: found["phase"] == "blocked")
    assert "keys.py:2: [secret]" in str(shown["steps"])
    assert remote.pushes == []
    answer = await house.call("POST", f"/v1/tasks/{task}/unblock", json={})
    assert answer.status_code in (200, 202), answer.text
    events = await house.until(
        task, lambda event: isinstance(event.data, PublishSucceeded | TaskBlocked) and event.seq > events[-1].seq
    )
    assert isinstance(events[-1].data, PublishSucceeded), tags(events[-1])
    assert len(remote.pushes) == 1
    assert token.secret not in git(remote.path, "log", "-p", "--all")
    assert token.secret not in str(events)


async def test_edits_go_into_a_folder_and_a_patch_comes_commit_by_commit(house: Whole, home: Path) -> None:
    shop = home / "shop"
    shop.mkdir()
    for name, text in (("calc.py", CALC), ("test_calc.py", CALC_TEST), (".gitignore", "__pycache__/\n")):
        (shop / name).write_text(text)
    git(shop, "init", "-q", "-b", "main")
    git(shop, "add", "-A")
    git(shop, "commit", "-q", "-m", "As it was")
    await house.add_repo("shop", str(shop), provider="local")
    refused = await house.call(
        "POST",
        "/v1/tasks",
        json={"repo": "shop", "title": "x", "vendor": "scripted"},
        headers={"Idempotency-Key": "k1"},
    )
    assert (refused.status_code, refused.json()["field"]) == (422, "flow")
    house.script("two", {"attempts": [[MEND, commit("Add"), {"do": "write", "path": "b.py", "content": "b = 1\n"}]]})
    patched = await house.submit(repo="shop", model="two", flow="patch")
    assert tags((await house.until(patched))[-1]) == "task_succeeded"
    assert (shop / "calc.py").read_text() == CALC
    for number in (1, 2):
        answer = await house.call("GET", f"/v1/tasks/{patched}/patches/{number}")
        assert answer.status_code == 200
        assert b"Subject: [PATCH" in answer.content
    edited = await house.submit(repo="shop", model="two", flow="untracked")
    assert tags((await house.until(edited))[-1]) == "task_succeeded"
    assert (shop / "calc.py").read_text() == CALC_MENDED
    assert git(shop, "status", "--porcelain") == "M calc.py\n?? b.py"
    assert git(shop, "rev-list", "--count", "--all") == "1"

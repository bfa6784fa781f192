"""A host that looks at a pull request, and one that says on it what a fix run has done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from executor_world import COMMIT, MEND, World, world
from msgspec.structs import replace
from servers import NatsForTest
from whole import Remote, calc_remote, git

from penstock import ids
from penstock.events import AgentSucceeded, ObserveFailed, PublishFailed, PublishSucceeded, PullRequestObserved
from penstock.jobs import ObserveWork, PublishWork
from penstock.values import RepoSnapshot
from penstock_agent_exec.forge import Check, Comment, State
from penstock_agent_exec.forge.recording import add, plant, recorded
from penstock_agent_exec.steps.observe import CHECKS_MAX, COMMENTS_MAX

pytestmark = pytest.mark.anyio


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start()
        yield found


def looking(place: World, task: str, provider: str = "recording", **more: object) -> ObserveWork:
    repo = RepoSnapshot(name="calc", clone_url=str(place.remote.path), provider=provider)
    return ObserveWork(repo=repo, branch=f"agent/{task}", **more)  # type: ignore[arg-type]  # a test's own keywords


async def opened(place: World, task: str) -> tuple[str, str]:
    """(base, commit) of a task whose pull request is open."""
    base = (await place.prepared(task)).base_commit
    place.script("mends", [MEND, COMMIT])
    commit = (await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)).change.commit
    done = await place.step(task, place.publish(task, base, commit, provider="recording"), PublishSucceeded)
    assert done.delivery.number == 1
    return base, commit


async def test_what_stands_there_is_told_once_and_within_bounds(place: World, remote: Remote) -> None:
    task, forge = ids.fresh(), place.folder / "h1" / "forge"
    base, commit = await opened(place, task)
    fresh = await place.step(task, looking(place, task), PullRequestObserved)
    assert (fresh.pull_request, fresh.state, fresh.head_commit, fresh.checks) == (1, "open", commit, "none")
    assert (fresh.comments, fresh.more, fresh.url) == ((), False, "recording://calc/pull/1")

    said = [Comment(f"c{nth}", "ann", "x" * 4_000 + "\x1b[2J", "calc.py", nth) for nth in range(COMMENTS_MAX + 4)]
    own = Comment("own", "penstock", "I have done it.", is_own=True)
    red = tuple(Check(f"ci {nth}", "https://ci.example", "é" * 2_000) for nth in range(40))
    plant(forge, "calc", 1, lambda entry: replace(entry, comments=(own, *said), checks="failed", failed_checks=red))
    first = await place.step(task, looking(place, task, number=1), PullRequestObserved)
    assert [one.id for one in first.comments] == [f"c{nth}" for nth in range(COMMENTS_MAX)]
    assert first.more
    assert all(len(one.text) <= 2_000 and "\x1b" not in one.text for one in first.comments)
    assert len(first.failed_checks) == CHECKS_MAX
    known = tuple(one.id for one in first.comments)
    rest = await place.step(task, looking(place, task, number=1, known=known), PullRequestObserved)
    assert ([one.id for one in rest.comments], rest.more) == (
        [f"c{nth}" for nth in range(COMMENTS_MAX, len(said))],
        False,
    )

    plant(forge, "calc", 1, lambda entry: replace(entry, failed_checks=(), state="merged", comments=()))
    last = await place.step(task, looking(place, task, number=1), PullRequestObserved)
    assert (last.state, [one.name for one in last.failed_checks]) == ("merged", ["checks"])
    assert base != commit


async def test_strangers_keep_nobody_waiting_who_counts(place: World) -> None:
    task, forge = ids.fresh(), place.folder / "h1" / "forge"
    await opened(place, task)
    strangers = [Comment(f"m{nth}", "mallory", "Buy!", is_trusted=False) for nth in range(250)]
    others = [Comment("a1", "ann", "Not so."), Comment("b1", "a-bot", "Nor so.", is_trusted=False)]
    plant(forge, "calc", 1, lambda entry: replace(entry, comments=(*strangers, *others)))
    first = await place.step(task, looking(place, task, number=1), PullRequestObserved)
    assert [one.id for one in first.comments[:2]] == ["a1", "m52"]
    assert (first.more, first.left_out) == (True, True)
    named = await place.step(task, looking(place, task, number=1, reviewers=("a-bot",)), PullRequestObserved)
    assert named.comments[0].id == "b1"


async def test_a_forge_that_does_not_answer_is_a_passing_failure_and_one_that_has_none_is_not(place: World) -> None:
    task = ids.fresh()
    await opened(place, task)
    (place.folder / "h1" / "forge" / "fault.json").write_text('{"kind": "fail", "at": "look"}')
    failed = await place.step(task, looking(place, task, number=1), ObserveFailed)
    assert (failed.error_class, failed.transient) == ("forge.unreachable", True)
    missing = await place.step(task, looking(place, task, number=77), ObserveFailed)
    assert (missing.error_class, missing.transient) == ("forge.missing", False)
    nowhere = await place.step(task, looking(place, ids.fresh()), ObserveFailed)
    assert (nowhere.error_class, nowhere.transient) == ("observe.missing", False)
    plain = await place.step(task, looking(place, task, provider="git"), ObserveFailed)
    assert (plain.error_class, plain.transient) == ("observe.no_forge", False)


async def test_a_host_without_the_role_does_not_look(tmp_path: Path, nats: NatsForTest, remote: Remote) -> None:
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start(roles="run")
        failed = await found.step(ids.fresh(), looking(found, ids.fresh()), ObserveFailed)
        assert (failed.error_class, failed.transient) == ("host.role_missing", True)


async def fixed(place: World, task: str) -> PublishWork:
    """The handing over of what a fix run has made."""
    base, commit = await opened(place, task)
    place.script("again", [{"do": "write", "path": "calc.py", "content": "def add(a, b):\n    return b + a\n"}, COMMIT])
    done = await place.step(task, place.agent(task, base, "again"), AgentSucceeded)
    work = place.publish(task, base, done.change.commit, provider="recording")
    return replace(work, expected=commit, number=1, says="Fix run 1: done.", title="Mend the sum", body="Anew.")


async def test_a_fix_run_brings_the_same_pull_request_up_to_date_and_speaks_once(place: World, remote: Remote) -> None:
    task, forge = ids.fresh(), place.folder / "h1" / "forge"
    work = await fixed(place, task)
    for _ in range(2):
        delivery = (await place.step(task, work, PublishSucceeded)).delivery
        assert (delivery.commit, delivery.number, delivery.adopted) == (work.commit, 1, True)
    (entry,) = recorded(forge)
    assert entry.said == ("Fix run 1: done.",)
    assert entry.body.startswith("Anew.")
    assert f"Penstock task `{task}`" in entry.body
    assert remote.branches()[f"agent/{task}"] == work.commit


async def test_what_somebody_has_opened_from_the_same_branch_is_theirs(place: World) -> None:
    task, forge = ids.fresh(), place.folder / "h1" / "forge"
    work = await fixed(place, task)
    (mine,) = recorded(forge)
    theirs = add(forge, replace(mine, base="release", title="Bring it to the release", body="Ask ann first."))
    delivery = (await place.step(task, work, PublishSucceeded)).delivery
    assert (delivery.number, delivery.url) == (1, mine.url)
    ours, still = recorded(forge)
    assert ours.said == ("Fix run 1: done.",)
    assert still == theirs


@pytest.mark.parametrize("state", ["merged", "closed"])
async def test_what_was_ended_before_its_handing_over_was_told_is_handed_over_and_its_branch_stays_away(
    place: World, remote: Remote, state: State
) -> None:
    task, forge = ids.fresh(), place.folder / "h1" / "forge"
    work = await fixed(place, task)
    await place.step(task, work, PublishSucceeded)
    plant(forge, "calc", 1, lambda entry: replace(entry, state=state, head_commit=work.commit))
    git(remote.path, "update-ref", "-d", f"refs/heads/agent/{task}")
    delivery = (await place.step(task, work, PublishSucceeded)).delivery
    assert (delivery.commit, delivery.number, delivery.adopted) == (work.commit, 1, True)
    assert list(remote.branches()) == ["main"]
    other = replace(work, commit=work.base_commit, expected=None)
    assert (await place.step(task, other, PublishFailed)).error_class == "forge.refused"

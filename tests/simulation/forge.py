"""The made-up forge: reviewers comment, checks fail, people push, merge and close, and hints of it come or do not.

Rule of this room: what stands here is so, whoever looks; a hint says no more than that somebody should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from penstock.commands import StirPullRequest
from penstock.events import ObserveFailed, PullRequestObserved
from penstock.jobs import ObserveWork
from penstock.values import FailedCheck, Follow, ReviewComment
from simulation.dice import Dice

if TYPE_CHECKING:
    from simulation.runs import Run
    from simulation.world import World

FOLLOWS: Final = (
    Follow(look_seconds=30.0, look_seconds_max=20_000.0, settle_seconds=0.0, fix_runs_max=1),
    Follow(look_seconds=30.0, look_seconds_max=20_000.0, settle_seconds=40.0, fix_runs_max=2),
    Follow(look_seconds=60.0, look_seconds_max=20_000.0, settle_seconds=5.0, fix_runs_max=3, reviewers=("ann",)),
    Follow(look_seconds=60.0, look_seconds_max=20_000.0, settle_seconds=5.0, fix_runs_max=0),
)
TOLD_AT_ONCE: Final = 3
"""So many comments are told by one look."""


NAGS: Final = 3
"""Of so many pull requests one is merged as it is when all is quiet; the others are remarked on once or twice before."""


class Said(NamedTuple):
    id: str
    author: str


class Pull(Struct):
    """A pull request. `red`: commits whose checks have failed; `others`: commits that people have pushed to it. `nagged`: so
    often somebody had one more remark when all was quiet."""

    task: str
    number: int
    branch: str
    state: str = "open"
    said: tuple[Said, ...] = ()
    nagged: int = 0
    red: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()


def opened(world: World, task: str, branch: str) -> Pull:
    """The task's pull request, made where there is none."""
    found = world.pulls.get(task)
    if found is None:
        found = world.pulls[task] = Pull(task=task, number=len(world.pulls) + 1, branch=branch)
    return found


def happens(world: World, dice: Dice) -> str:
    """Somebody does something to a pull request; its task."""
    pull = dice.pick(list(world.pulls.values()))
    if pull.state != "open":
        return pull.task
    throw = dice.below(100)
    if throw < 40:
        pull.said = (*pull.said, Said(world.fresh("m"), dice.pick(("ann", "ann", "eve"))))
    elif throw < 70:
        pull.red = pull.red | {world.remote[pull.branch]}
    elif throw < 80:
        commit = f"{int(world.fresh('k')[1:]):040x}"
        world.remote[pull.branch] = commit
        pull.others = pull.others | {commit}
    elif throw < 89:
        pull.state = "merged"
    elif throw < 96:
        pull.state = "closed"
    return pull.task


def hint(world: World, task: str) -> StirPullRequest:
    """What the forge's webhook becomes."""
    pull = world.pulls[task]
    return StirPullRequest(
        id=world.fresh("c"), repo=world.tasks[task].repo, number=pull.number, branch=pull.branch, what="review"
    )


def look(world: World, dice: Dice, run: Run, order: ObserveWork) -> PullRequestObserved | ObserveFailed:
    """What a host sees there."""
    job, epoch = run.job.id, run.epoch
    if world.stormy and dice.percent(world.trouble // 2):
        known = dice.pick((("forge.unreachable", True), ("forge.rate_limited", True), ("forge.auth", False)))
        return ObserveFailed(job=job, epoch=epoch, error_class=known[0], message="not now", transient=known[1])
    pull = world.pulls[run.job.task]
    head = world.remote[pull.branch]
    fresh = [one for one in pull.said if one.id not in order.known]
    return PullRequestObserved(
        job=job,
        epoch=epoch,
        pull_request=pull.number,
        state=pull.state,
        head_commit=head,
        checks="failed" if head in pull.red else dice.pick(("none", "pending", "passed")) if world.stormy else "passed",
        failed_checks=(FailedCheck(name="ci"), FailedCheck(name="lint")) if head in pull.red else (),
        comments=tuple(ReviewComment(id=one.id, author=one.author, text="why?") for one in fresh[:TOLD_AT_ONCE]),
        more=len(fresh) > TOLD_AT_ONCE,
    )


def at_rest(world: World) -> bool:
    """Who waits for nothing but the end gets it, though maybe not at once: somebody merges; whether anybody did anything."""
    merged = False
    for pull in world.pulls.values():
        task = world.tasks[pull.task]
        seen, follow = task.review, task.spec.policy.follow
        if pull.state != "open" or task.outcome is not None or seen is None or follow is None or seen.fix is not None:
            continue
        # A task that goes on with another one knows the comments that were answered before, too.
        heard = {one.id for one in pull.said} <= set(seen.known) and not (seen.comments or seen.checks)
        if not (heard or seen.taken_over or not follow.fix_runs_max) or task.blocked is not None:
            continue
        merged = True
        if pull.nagged < pull.number % NAGS:
            pull.nagged += 1
            pull.said = (*pull.said, Said(world.fresh("m"), "ann"))
        else:
            pull.state = "merged"
    return merged

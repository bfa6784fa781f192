"""The scenes of what a task begins with and comes to: what it is told of earlier work, what is looked at before a change leaves,
how it is handed over, and what happens to its pull request.

Rule of this room: as for the other scenes, and what people and checks do on the forge is done in the file that is the forge.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from string import ascii_letters, digits
from typing import Final

from msgspec.structs import replace

from penstock import events as e
from penstock.events import Recorded
from penstock.values import Finding, Recalled
from penstock_agent_exec.forge import Check, Comment
from penstock_launcher.demo import DemoFailed, escaped
from penstock_launcher.show.stage import RIGHT, WRONG, Stage, Steps, write

WORKFLOW: Final = ".github/workflows/ci.yml"
BACK_TO_THE_BASE: Final = "git reset -q --hard $(git rev-list --max-parents=0 HEAD)"
"""A scene's repo begins with one commit."""

BASKET: Final = """\
def total(prices, percent_off=0):
    return sum(prices) * (100 - percent_off) // 100


def discount(prices, percent_off):
    return sum(prices) - total(prices, percent_off)
"""
LETTER: Final = """\
from shop.basket import total


def letter(name, prices):
    return f"Dear {name}, that makes {total(prices)}"
"""
FIRST_TITLE: Final = "Round the total of a basket"
ASKED_TIMES_MAX: Final = 10
SECOND_TITLE: Final = "Round the total of a basket once more, with a discount"


def memory(stage: Stage) -> None:
    """A first task is told what the repository defines, the most telling first: its scripted agent knows the answer only from
    there. When it is done, it is remembered. A second task is told of it, and knows the answer only from that."""
    stage.repo({"shop/__init__.py": "", "shop/basket.py": BASKET, "shop/letter.py": LETTER})
    mapped = stage.script(
        "mapped",
        write(WRONG + "40\n", "A guess"),
        cases=[{"when": {"prompt_contains": "def total(prices, percent_off=0):"}, "steps": write()}],
    )
    told = stage.script(
        "told",
        write(WRONG + "40\n", "A guess"),
        cases=[{"when": {"prompt_contains": "A task that succeeded"}, "steps": write()}],
    )
    first = stage.submit("first", mapped, title=FIRST_TITLE, flow="patch", max_attempts=1)
    prepared = stage.until(first, "prepare_succeeded").data
    assert isinstance(prepared, e.PrepareSucceeded)
    found = "" if prepared.evidence is None else prepared.evidence.map
    top = found.splitlines()[:5]
    stage.say("the map begins:\n      " + "\n      ".join(escaped(line) for line in top))
    stage.same("first of the map", "shop/basket.py 1: def total(prices, percent_off=0):", _first_of(top))
    stage.ended(first, "succeeded")

    (kept,) = stage.memories()
    stage.same("remembered", f"success: {FIRST_TITLE}", f"{kept['kind']}: {kept['title']}")
    second, items = _asked(stage, told)
    stage.same("recalled for the second task", first, ", ".join(item.task for item in items if item.task == first))
    stage.ended(second, "succeeded")
    stage.explain(second)


def _asked(stage: Stage, model: str) -> tuple[str, tuple[Recalled, ...]]:
    """The second task, and what it was told. Memory has two seconds to answer: where a slow machine has it say nothing, and the
    task goes on without, another task asks again."""
    why = ""
    for _ in range(ASKED_TIMES_MAX):
        task = stage.submit("second", model, title=SECOND_TITLE, flow="patch", max_attempts=1)
        recalled = stage.until(task, "memory_recalled").data
        assert isinstance(recalled, e.MemoryRecalled)
        if not (why := recalled.degraded):
            return task, recalled.items
        stage.until(task, "task_succeeded", "task_failed")
    raise DemoFailed(f"the memory did not answer {ASKED_TIMES_MAX} times: {why}")


def _first_of(lines: list[str]) -> str:
    return " ".join(" ".join(lines[:2]).split())


def preflight(stage: Stage) -> None:
    """An agent brings along a file that nobody asked for: it gets the list, and takes it back without a person. What else is
    found is for a person: a key, a link out of the tree, a change of the forge's own automation, each named with file, line
    and rule. Nothing is pushed and no pull request is opened. Unblocked, the agent makes its commits anew."""
    # Of letters and digits that are all different: nothing that could be taken for an example.
    key = "ghp_" + "".join(secrets.SystemRandom().sample(ascii_letters + digits, 36))
    may_touch = ["answer.txt", "settings.py", "etc", ".github"]
    stage.repo(provider="recording", preflight={"scope": may_touch, "workflows": "block"})
    planted: Steps = [
        {"do": "write", "path": "settings.py", "content": f'DEBUG = False\nTOKEN = "{key}"\n'},
        {"do": "write", "path": WORKFLOW, "content": "on: push\n"},
        {"do": "write", "path": "unasked.txt", "content": "While I am at it.\n"},
        {"do": "run", "argv": ["ln", "-sfn", "/etc", "etc"]},
        *write(),
    ]
    cleaned: Steps = [{"do": "run", "argv": ["sh", "-c", BACK_TO_THE_BASE]}, *write()]
    taken_back: Steps = [
        {"do": "run", "argv": ["git", "rm", "-q", "-f", "--ignore-unmatch", "unasked.txt"]},
        {"do": "commit", "message": "Take back what nobody asked for"},
    ]
    model = stage.script(
        "planter",
        planted,
        cases=[
            {"when": {"prompt_contains": "preflight.secret"}, "steps": cleaned},
            {"when": {"prompt_contains": "what it may touch: unasked.txt"}, "steps": taken_back},
        ],
    )
    task = stage.submit("planter", model)
    back = stage.until(task, "preflight_failed").data
    assert isinstance(back, e.PreflightFailed)
    stage.same(
        "given back to the agent", "preflight.scope: unasked.txt", f"{back.error_class}: {', '.join(back.files)}"
    )

    held = stage.until(task, "publish_failed").data
    assert isinstance(held, e.PublishFailed)
    stage.until(task, "task_blocked")
    for finding in held.findings:
        stage.say(f"    {escaped(_where(finding)):<36} {finding.severity:<5} {escaped(finding.message)}")
    named = ", ".join(_where(finding) for finding in held.findings)
    stage.same("held back", f"settings.py:2 [secret], etc [symlink], {WORKFLOW} [workflow]", named)
    stage.same("branches of the remote", "main", stage.branches())
    stage.same("pull requests", 0, len(stage.pull_requests()))

    stage.why(task)
    stage.post(f"/v1/tasks/{task}/unblock")
    stage.ended(task, "succeeded")
    branch = f"agent/{task}"
    changed = stage.git("-C", str(stage.remote), "log", "--name-only", "--format=", f"main..{branch}").split()
    stage.same(f"changed on {branch}, in all of its commits", "answer.txt", ", ".join(sorted(set(changed))))
    said = stage.client.bytes("GET", f"/v1/tasks/{task}/events?limit=200").decode()
    stage.same("times that the key stands in the task's events", 0, said.count(key))
    stage.explain(task)


def _where(finding: Finding) -> str:
    line = "" if finding.line is None else f":{finding.line}"
    return f"{finding.file}{line} [{finding.rule}]"


def flows(stage: Stage) -> None:
    """The same two commits of an agent, handed over in each way that is no pull request: as one commit on the default branch, as
    a patch (all of it, and commit by commit), and as edits in a folder of this host, where nothing is committed."""
    stage.repo()
    name, folder = stage.folder()
    reason: Steps = [
        {"do": "write", "path": "why.txt", "content": "Everything adds up to it.\n"},
        {"do": "commit", "message": "Say why"},
    ]
    model = stage.script("two-commits", write() + reason)
    patch = stage.submit("patch", model, flow="patch")
    commit = stage.submit("commit", model, flow="commit")
    apart = stage.submit("apart", model, repo=name, flow="patch")

    base = str(stage.ended(patch, "succeeded")["base_commit"])
    whole = _tree_of(stage, patch, base, "patch")
    parts = _tree_of(stage, patch, base, "patches/1", "patches/2")
    stage.same("files that the patch leads to, whole and commit by commit", whole, parts)

    stage.ended(commit, "succeeded")
    form = "%T, for task %(trailers:key=Penstock-Task,valueonly,separator=)"
    landed = stage.git("-C", str(stage.remote), "log", f"--format={form}", f"{base}..main")
    stage.same("commits on main", f"{whole}, for task {commit}", landed.strip())
    stage.same("branches of the remote", "main", stage.branches())

    stage.ended(apart, "succeeded")
    stage.same("git status of the folder, after a patch was made of it", "", _status(stage, folder))
    inside = stage.submit("untracked", model, repo=name, flow="untracked")
    stage.ended(inside, "succeeded")
    stage.same(
        "git status of the folder, after edits were made in it", " M answer.txt, ?? why.txt", _status(stage, folder)
    )
    stage.same("answer.txt there", RIGHT.strip(), (folder / "answer.txt").read_text().strip())
    stage.same("commits there", "1", stage.git("-C", str(folder), "rev-list", "--count", "--all").strip())
    stage.explain(commit, inside)


def _tree_of(stage: Stage, task: str, base: str, *parts: str) -> str:
    """The tree that comes of these parts of the patch, each as a commit in a fresh clone."""
    clone = stage.remote.with_name(f"{stage.scene}-clone-{len(parts)}")
    stage.git("clone", "--quiet", str(stage.remote), str(clone))
    stage.git("-C", str(clone), "checkout", "--quiet", "--detach", base)
    for number, part in enumerate(parts, 1):
        mail = clone.with_name(f"{clone.name}-{number}.patch")
        mail.write_bytes(stage.client.bytes("GET", f"/v1/tasks/{task}/{part}"))
        stage.say(f"GET /v1/tasks/{task}/{part}, applied in a fresh clone")
        stage.git("-C", str(clone), "am", "--quiet", str(mail))
    return stage.git("-C", str(clone), "rev-parse", "HEAD^{tree}").strip()


def _status(stage: Stage, folder: Path) -> str:
    return ", ".join(stage.git("-C", str(folder), "status", "--porcelain").splitlines())


def review(stage: Stage) -> None:
    """A pull request gets three comments and two failed checks: one fix run answers all of them, on the same pull request. Then a
    person pushes a commit of their own, and from there on the pull request is theirs: what is said on it leads to nothing any
    more, and the merge ends the task."""
    stage.repo(provider="recording", follow=True, hook_secret_ref=stage.hook_secret())
    mended = "The answer is 42, because everything adds up to it.\n"
    fix: Steps = [
        {"do": "write", "path": "README.md", "content": mended},
        {"do": "commit", "message": "Say why"},
        {"do": "say", "text": "README says why now."},
    ]
    model = stage.script(
        "author", write(), cases=[{"when": {"prompt_contains": "Feedback on your pull request"}, "steps": fix}]
    )
    task = stage.submit("author", model)
    opened = stage.until(task, "publish_succeeded").data
    assert isinstance(opened, e.PublishSucceeded)
    number, first = opened.delivery.number or 0, opened.delivery.commit
    red = (Check("ci / test", "https://ci.example/1", "1 of 9 failed"), Check("ci / lint"))
    three = tuple(
        Comment(f"c{nth}", who, "Say why.", "README.md", nth) for nth, who in enumerate(("ann", "ben", "cy"), 1)
    )
    stage.on_forge(
        number,
        "three comments and two failed checks",
        # The checks are of this very commit, whatever comes after it.
        lambda entry: replace(entry, head_commit=first, checks="failed", failed_checks=red, comments=three),
    )
    stage.hook("pull_request_review", number)
    again = stage.until(task, "publish_succeeded", count=2).data
    assert isinstance(again, e.PublishSucceeded)
    stage.same("fix runs", "fix run 1 for ci / test, ci / lint, c1, c2, c3", _fix_runs(stage, task))
    (entry,) = stage.pull_requests()
    stage.same("pull request", f"{number}, updated 1 times", f"{entry.number}, updated {entry.updates} times")
    stage.same("comments of ours below it", 1, len(entry.said))
    stage.say(f"    {escaped(entry.said[0].splitlines()[0])}")
    _taken_over(stage, task, number, again.delivery.branch)


def _taken_over(stage: Stage, task: str, number: int, branch: str) -> None:
    work = stage.remote.with_name("review-ann")
    stage.git("clone", "--quiet", "--branch", branch, str(stage.remote), str(work))
    (work / "notes.txt").write_text("checked by Ann\n")
    stage.git("-C", str(work), "add", "--all")
    stage.git("-C", str(work), "commit", "--quiet", "--message=A note by Ann")
    stage.git("-C", str(work), "push", "--quiet", "origin", branch)
    stage.on_forge(
        number,
        "Ann pushes a commit of her own, the checks pass",
        lambda entry: replace(entry, head_commit="", checks="passed", failed_checks=()),
    )
    stage.hook("push", number)
    stage.until(task, "pull_request_taken_over")
    late = Comment("c4", "ben", "And in the manual?")
    stage.on_forge(number, "one more comment", lambda entry: replace(entry, comments=(*entry.comments, late)))
    stage.hook("pull_request_comment", number)
    stage.until(task, "pull_request_observed", where=_tells_of(late))
    stage.why(task)
    # Of this the forge says nothing: a look by the clock finds it.
    stage.on_forge(number, "the pull request is merged", lambda entry: replace(entry, state="merged"))
    stage.ended(task, "succeeded")
    stage.same("fix runs in the end", "fix run 1 for ci / test, ci / lint, c1, c2, c3", _fix_runs(stage, task))
    log = stage.git("-C", str(stage.remote), "log", "--format=%an: %s", f"main..{branch}").splitlines()
    stage.same("the newest commit on its branch", "Ann: A note by Ann", log[0])
    stage.explain(task)


def _fix_runs(stage: Stage, task: str) -> str:
    runs = [event.data for event in stage.events(task) if isinstance(event.data, e.FeedbackAccepted)]
    return "; ".join(f"fix run {run.number} for {', '.join((*run.checks, *run.comments))}" for run in runs)


def _tells_of(comment: Comment) -> Callable[[Recorded], bool]:
    def told(event: Recorded) -> bool:
        seen = event.data
        return isinstance(seen, e.PullRequestObserved) and comment.id in {one.id for one in seen.comments}

    return told

"""The scenes, and first those of how work is steered. Each is a function whose docstring tells what will be seen.

Rule of this room: a scene speaks HTTP, git on its own remote, and the clock; nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from penstock import events as e
from penstock_launcher.client import JsonObject
from penstock_launcher.show.results import flows, memory, preflight, review
from penstock_launcher.show.stage import WRONG, Stage, Steps, wait, write

HOUR: Final = 3600.0
RESET_SECONDS: Final = 3 * HOUR


def budget(stage: Stage) -> None:
    """A task with 1 USD to spend meets its limit in the middle of a run: a warning at 80 %, a stop at 100 %, its work kept.
    A person gives it more, and it goes on."""
    stage.repo()
    spend: Steps = []
    for _ in range(12):
        spend += [{"do": "usage", "turns": 1, "output_tokens": 500, "cost_usd": 0.15}, {"do": "sleep", "seconds": 0.4}]
    model = stage.script("spender", cases=[{"when": {"resumed": False}, "steps": spend}, {"steps": write()}])
    task = stage.submit("spender", model, max_cost_usd=1.0, flow="patch")
    warned = stage.until(task, "budget_warned").data
    stage.expect(isinstance(warned, e.BudgetWarned) and warned.limit == 1.0, "the warning names another limit")
    stage.until(task, "task_blocked")
    why = stage.why(task)
    stage.expect("budget" in str(why["why"]), "it is blocked for another reason")
    stage.post(f"/v1/tasks/{task}/unblock", {"max_cost_usd": 5.0})
    stage.ended(task, "succeeded")
    stage.explain(task)


def limit(stage: Stage) -> None:
    """A vendor answers 429 and names a reset in three hours. The task parks and gives its slot back, another task of the same
    account is held with it, a task of another account goes on. Then the clock is put forward."""
    stage.repo()
    limited: Steps = [{"do": "rate_limit", "retry_after_seconds": RESET_SECONDS, "message": "429: try again later"}]
    first = stage.script("limited", cases=[{"when": {"resumed": False}, "steps": limited}, {"steps": write()}])
    good = stage.script("good", write())
    hit = stage.submit("hit", first, account="team-a", flow="patch")
    parked = stage.until(hit, "task_parked").data
    stage.expect(isinstance(parked, e.TaskParked) and parked.reason == "vendor.rate_limit", "parked for another reason")
    held = stage.submit("held", good, account="team-a", flow="patch")
    other = stage.submit("other", good, account="team-b", flow="patch")
    stage.ended(other, "succeeded")
    for task in (hit, held):
        why = stage.why(task)
        stage.expect(why["wake_at"] is not None, "nobody says when it goes on by itself")
    stage.later(RESET_SECONDS + 60)
    stage.ended(hit, "succeeded")
    stage.ended(held, "succeeded")
    stage.explain(hit, held)


def failover(stage: Stage) -> None:
    """The agent fails the same check twice: a fresh session starts from a summary of what was tried. When that fails too, the
    backup model takes over, with a fresh count of attempts."""
    stage.repo()
    weak = stage.script("weak", write("40\n", "A guess"), write("43\n", "Another guess"))
    strong = stage.script("strong", write())
    task = stage.submit("weak", weak, backup_model=strong, max_attempts=3, flow="patch")
    over = stage.until(task, "failed_over").data
    stage.expect(isinstance(over, e.FailedOver) and over.to_model == strong, "it went over to another model")
    stage.until(task, "history_compacted")
    stage.ended(task, "succeeded")
    stage.explain(task)


def plan(stage: Stage) -> None:
    """An interactive task proposes a plan and waits without a slot. A person comments, gets a new plan, and approves it; the
    change may touch the plan's files and no others."""
    stage.repo()
    first = _plan("Write the answer and a page about it", ["answer.txt", "docs/answer.md"], "medium")
    second = _plan("Write the answer, and nothing else", ["answer.txt"], "low")
    model = stage.script(
        "planner",
        write(),
        cases=[
            {"when": {"run": "plan", "prompt_contains": "no documentation"}, "steps": [{"do": "plan", "plan": second}]},
            {"when": {"run": "plan"}, "steps": [{"do": "plan", "plan": first}]},
        ],
    )
    task = stage.submit("planner", model, mode="interactive", flow="patch")
    stage.until(task, "plan_proposed")
    why = stage.why(task)
    stage.expect(why["phase"] == "awaiting_approval", f"it is {why['phase']}")
    stage.post(f"/v1/tasks/{task}/plan/comment", {"number": 1, "comment": "no documentation, please"})
    stage.until(task, "plan_proposed", count=2)
    shown = stage.client.json("GET", f"/v1/tasks/{task}/plan")
    stage.expect(shown["number"] == 2, f"the plan that waits is number {shown['number']}")
    stage.post(f"/v1/tasks/{task}/plan/approve", {"number": 2})
    stage.ended(task, "succeeded")
    stage.explain(task)


def dependencies(stage: Stage) -> None:
    """`api` needs `schema`, `page` needs `api`, `docs` needs `schema`. `api` fails: `docs` is done, `page` waits for a person.
    `api` is mended and asked for once more; `page` goes on by itself."""
    stage.repo()
    good = stage.script("good", write())
    bad = stage.script("bad", write(WRONG + "41\n", "No answer"))
    schema = stage.submit("schema", good, flow="patch")
    api = stage.submit("api", bad, depends_on=[schema], max_attempts=1, flow="patch")
    page = stage.submit("page", good, depends_on=[api], flow="patch")
    docs = stage.submit("docs", good, depends_on=[schema], flow="patch")
    stage.why(page)
    stage.ended(schema, "succeeded")
    stage.ended(docs, "succeeded")
    stage.ended(api, "failed")
    stage.until(page, "task_blocked")
    stage.why(page)
    stage.script("bad", write())
    again = stage.post(f"/v1/tasks/{api}/retry")
    stage.ended(stage.called(str(again["task"]), "api again"), "succeeded")
    stage.ended(page, "succeeded")
    stage.explain(page)


def priorities(stage: Stage) -> None:
    """One slot, three tasks in the queue: 1 is first whenever it came, and a person may move the others."""
    stage.repo(parallel_max=1)
    busy = stage.script("busy", wait() + write())
    good = stage.script("good", write())
    first = stage.submit("busy", busy, flow="patch")
    stage.until(first, "agent_requested")
    tasks = {name: stage.submit(name, good, priority=priority, flow="patch") for name, priority in _RANKS.items()}
    stage.post(f"/v1/tasks/{tasks['moved']}/prioritize", {"priority": 2})
    for task in tasks.values():
        stage.why(task)
    stage.go(first)
    stage.ended(first, "succeeded")
    for task in tasks.values():
        stage.ended(task, "succeeded")
    began = {name: stage.until(task, "task_admitted").seq for name, task in tasks.items()}
    order = sorted(began, key=began.__getitem__)
    stage.say(f"slots were given in the order: {', '.join(order)}")
    stage.expect(order == ["urgent", "moved", "idle"], "the order is another one")
    stage.explain(tasks["urgent"], tasks["moved"])


_RANKS: Final = {"idle": 9, "moved": 8, "urgent": 1}


def schedule(stage: Stage) -> None:
    """A task every night at three. The orchestrator's clock jumps over three nights: the last fire is made up for, and the
    task says how many were let go."""
    stage.repo()
    good = stage.script("good", write())
    wish: JsonObject = {"repo": stage.scene, "title": "Put the right answer into answer.txt", "vendor": "scripted"}
    wish |= {"model": good, "flow": "patch"}
    body: JsonObject = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "missed": "last", "task": wish}
    stage.put(f"/v1/schedules/{stage.scene}", body)
    shown = stage.client.json("GET", f"/v1/schedules/{stage.scene}")
    stage.say(f"GET /v1/schedules/{stage.scene}: next {shown.get('next')}")
    stage.later(3 * 24 * HOUR)
    task = stage.called(stage.first_task(), "nightly")
    submitted = stage.until(task, "task_submitted").data
    assert isinstance(submitted, e.TaskSubmitted)
    origin = submitted.origin
    stage.expect(origin is not None and origin.kind == "schedule", "it does not say that a schedule asked for it")
    assert origin is not None
    stage.say(f"asked for by schedule {origin.name} for {origin.scheduled_for}, {origin.missed} fires let go before")
    stage.expect(origin.missed >= 1, "it does not say how many fires were missed")
    stage.ended(task, "succeeded")
    stage.client.bytes("DELETE", f"/v1/schedules/{stage.scene}")
    stage.explain(task)


def continuation(stage: Stage) -> None:
    """A finished task is gone on with: the same branch, with a person's commit in between, one more commit on top."""
    stage.repo()
    good = stage.script(
        "good",
        cases=[
            {
                "when": {"prompt_contains": "say so in README"},
                "steps": [
                    {"do": "write", "path": "README.md", "content": "The answer is 42, in answer.txt.\n"},
                    {"do": "commit", "message": "Say the answer in README"},
                ],
            },
            {"steps": write()},
        ],
    )
    task = stage.submit("first", good)
    branch = str(stage.ended(task, "succeeded")["branch"])
    work = stage.remote.with_name("continuation-ann")
    stage.git("clone", "--quiet", "--branch", branch, str(stage.remote), str(work))
    (work / "notes.txt").write_text("checked by Ann\n")
    stage.git("-C", str(work), "add", "--all")
    stage.git("-C", str(work), "commit", "--quiet", "--message=A note by Ann")
    stage.git("-C", str(work), "push", "--quiet", "origin", branch)
    stage.say(f"Ann has pushed a commit of her own to {branch}")
    more = stage.post(f"/v1/tasks/{task}/continue", {"title": "say so in README"})
    second = stage.called(str(more["task"]), "second")
    state = stage.ended(second, "succeeded")
    stage.expect(state["branch"] == branch, f"it went to branch {state['branch']}")
    log = stage.git("-C", str(stage.remote), "log", "--format=%an: %s", f"main..{branch}")
    stage.say(f"git log main..{branch}\n      " + "\n      ".join(log.strip().splitlines()))
    stage.expect(len(log.strip().splitlines()) == 3, "the branch has other commits than the three")
    stage.explain(second)


def message(stage: Stage) -> None:
    """A person writes to a task at work. The message is accepted at once, told with the next run, and consumed by it."""
    stage.repo()
    told: JsonObject = {"when": {"prompt_contains": "it is 42"}, "steps": write()}
    model = stage.script("listener", wait() + write("40\n", "A guess"), cases=[told])
    task = stage.submit("listener", model, flow="patch")
    stage.until(task, "agent_requested")
    stage.post(f"/v1/tasks/{task}/messages", {"text": "I know the answer: it is 42"})
    stage.go(task)
    stage.until(task, "message_delivered")
    stage.until(task, "message_consumed")
    stage.ended(task, "succeeded")
    answer = stage.client.bytes("GET", f"/v1/tasks/{task}/messages").decode()
    stage.say(f"GET /v1/tasks/{task}/messages: {answer}")
    stage.explain(task)


def decision(stage: Stage) -> None:
    """The agent will not do something without a person: the task waits for the answer and goes on with it."""
    stage.repo()
    ask: Steps = [
        {"do": "decision", "subject": "irreversible", "question": "Overwrite answer.txt?", "options": ["yes", "no"]},
        {"do": "sleep", "seconds": 1},
    ]
    told: JsonObject = {"when": {"prompt_contains": "The answer: yes"}, "steps": write()}
    task = stage.submit("careful", stage.script("careful", ask, cases=[told]), flow="patch")
    stage.until(task, "task_blocked")
    why = stage.why(task)
    stage.expect("decision.irreversible" in str(why["why"]), "it waits for something else")
    raised = stage.until(task, "decision_raised").data
    assert isinstance(raised, e.DecisionRaised)
    stage.post(f"/v1/tasks/{task}/decisions/{raised.decision}/answer", {"answer": "yes"})
    stage.ended(task, "succeeded")
    stage.explain(task)


def abstain(stage: Stage) -> None:
    """A task that has nothing to do with its repository is not begun: a score from evidence, before any agent runs. A person
    may let it run all the same."""
    stage.repo(abstain_below=70)
    good = stage.script("good", write())
    task = stage.submit(
        "stranger", good, flow="patch", title="Tune the Kubernetes ingress for quantum blockchain teleportation"
    )
    scored = stage.until(task, "gate_scored").data
    assert isinstance(scored, e.GateScored)
    for signal in scored.signals:
        stage.say(f"    {signal.source:<20} {signal.value:4.2f} x {signal.weight:4.2f}  {signal.why}")
    stage.until(task, "task_blocked")
    why = stage.why(task)
    stage.expect("gate.abstained" in str(why["why"]), "it is blocked for another reason")
    stage.post(f"/v1/tasks/{task}/unblock")
    stage.ended(task, "succeeded")
    stage.explain(task)


def _plan(summary: str, files: list[str], risk: str) -> JsonObject:
    return cast(
        "JsonObject",
        {
            "summary": summary,
            "approach": "Change the one line.",
            "steps": [f"Edit {name}" for name in files],
            "files_to_touch": files,
            "risks": [],
            "risk": risk,
            "acceptance_check": "the check passes",
        },
    )


SCENES: Final[dict[str, Callable[[Stage], None]]] = {
    scene.__name__: scene
    for scene in (
        budget,
        limit,
        failover,
        plan,
        dependencies,
        priorities,
        schedule,
        continuation,
        message,
        decision,
        abstain,
        memory,
        preflight,
        flows,
        review,
    )
}

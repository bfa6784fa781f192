"""What a scene has at hand: repos, scripts, tasks over HTTP, a clock that can be put forward, and eyes on the timeline.

Rule of this room: what is printed was answered by the API; what a scene waits for has a deadline.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast

from rich.console import Console

from penstock.codec import decode_event
from penstock.events import Recorded
from penstock_launcher.client import Client, JsonObject
from penstock_launcher.demo import COLOURS, DemoFailed, escaped
from penstock_launcher.timeline import line_of

WAIT_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.1
GIT_SECONDS_MAX: Final = 30.0
CHECK: Final = "grep -qx 42 answer.txt"
WRONG: Final = "41\n"
RIGHT: Final = "42\n"
QUIET: Final = frozenset({"job_claimed", "prepare_requested", "verify_requested", "task_admitted"})
"""Events that are left out of the printed timeline for its length; `explain` has them."""

Steps = list[dict[str, object]]


class Stage:
    """One scene's own repo, scripts and tasks."""

    def __init__(self, console: Console, client: Client, results: Path, clock: Path, scene: str) -> None:
        self.console = console
        self.client = client
        self.scene = scene
        self.remote = results / f"{scene}.git"
        self._results, self._clock = results, clock
        self._scripts = results / "running" / "scripts"
        self._shown: dict[str, int] = {}
        self._names: dict[str, str] = {}

    # What a scene sets up -----------------------------------------------------------------------------------------------

    def repo(self, **settings: object) -> None:
        """A bare repository whose check wants 42 in answer.txt, and its entry in the catalogue."""
        work = self._results / f"{self.scene}-author"
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.git("init", "--quiet", "--initial-branch=main", str(work))
        (work / "answer.txt").write_text(WRONG)
        (work / "README.md").write_text("The answer to everything, in answer.txt.\n")
        self.git("-C", str(work), "add", "--all")
        self.git("-C", str(work), "commit", "--quiet", "--message=An answer, nearly")
        self.git("-C", str(work), "push", "--quiet", str(self.remote), "main")
        body: JsonObject = {"clone_url": str(self.remote), "verify": {"test": CHECK}, "parallel_max": 4}
        self.client.json("PUT", f"/v1/repos/{self.scene}", body | settings)

    def script(self, name: str, *attempts: Steps, cases: Iterable[JsonObject] = ()) -> str:
        """Write down what the scripted agent will do; returns the model to ask for."""
        script = {"attempts": list(attempts), "cases": list(cases)}
        model = f"{self.scene}-{name}"
        (self._scripts / f"{model}.json").write_text(json.dumps({key: value for key, value in script.items() if value}))
        return model

    def submit(self, name: str, model: str, **more: object) -> str:
        """Ask for a change; returns the task's id. `name` is how the timeline calls it."""
        body: JsonObject = {"repo": self.scene, "title": f"Put the right answer into answer.txt ({name})"}
        body |= {"vendor": "scripted", "model": model}
        answer = self.client.json("POST", "/v1/tasks", body | more)
        return self.called(str(answer["task"]), name)

    def called(self, task: str, name: str) -> str:
        self._names[task] = name
        self._shown.setdefault(task, 0)
        said = f"[cyan]{escaped(name)}[/]" if name else ""
        self.say(f"{said} is task {task}")
        return task

    def post(self, path: str, body: JsonObject | None = None) -> JsonObject:
        """Send a command and show it."""
        self.say(f"POST {path} {escaped(json.dumps(body)) if body else ''}".rstrip())
        return self.client.json("POST", path, body or {})

    def put(self, path: str, body: JsonObject) -> JsonObject:
        self.say(f"PUT {path} {escaped(json.dumps(body))}")
        return self.client.json("PUT", path, body)

    def first_task(self) -> str:
        """The first task of the scene's repo that nobody submitted by hand, once there is one."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            found = cast("list[JsonObject]", self.client.json("GET", f"/v1/tasks?repo={self.scene}")["tasks"])
            if found:
                return str(found[-1]["task"])
            if time.monotonic() > deadline:
                raise DemoFailed("no task was submitted")
            time.sleep(POLL_SECONDS)

    def later(self, seconds: float) -> None:
        """Put the orchestrator's clock forward."""
        self._clock.write_text(str(float(self._clock.read_text()) + seconds))
        self.say(f"the orchestrator's clock is put forward by {seconds / 3600:g} h")

    # What a scene sees --------------------------------------------------------------------------------------------------

    def until(self, task: str, *types: str, count: int = 1) -> Recorded:
        """Show the task's timeline until one of these events has come `count` times; that event."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            found = [event for event in self._look(task) if tag(event) in types]
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > deadline:
                raise DemoFailed(f"{self._names[task]}: waited for {' or '.join(types)}; it is {self.state(task)}")
            time.sleep(POLL_SECONDS)

    def ended(self, task: str, outcome: str) -> JsonObject:
        """Show the timeline to the task's end. Raises DemoFailed unless the outcome is this one."""
        self.until(task, "task_succeeded", "task_unverified", "task_failed", "task_cancelled")
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while (state := self.client.json("GET", f"/v1/tasks/{task}"))["outcome"] is None:
            if time.monotonic() > deadline:
                raise DemoFailed("the read model does not follow the log")
            time.sleep(POLL_SECONDS)
        self.expect(state["outcome"] == outcome, f"{self._names[task]} ended as {state['outcome']}, not as {outcome}")
        return state

    def why(self, task: str) -> JsonObject:
        """Show why the task is not moving, who can move it, and when it moves by itself."""
        why = cast("JsonObject", self.client.json("GET", f"/v1/tasks/{task}")["why"])
        self.say(
            f"GET /v1/tasks/{task}: {self._names[task]} is [bold]{why['phase']}[/]\n"
            f"      why       {escaped(str(why['why']))}\n"
            f"      can move  {escaped(str(why['can_move']))}\n"
            f"      by itself {why['wake_at'] or 'never'}"
        )
        return why

    def state(self, task: str) -> str:
        found = self.client.json("GET", f"/v1/tasks/{task}")
        return f"{found['phase']}: {found['waiting_for'] or found['message']}"

    def explain(self, *tasks: str) -> None:
        """Show for each task what was decided by which rule, and what the rule looked at. Raises DemoFailed where today's
        rules would not decide the same."""
        for task in tasks:
            answer = self.client.json("GET", f"/v1/tasks/{task}/explain")
            steps = cast("list[JsonObject]", answer["transitions"])
            decided = [step for step in steps if step["kind"] == "decision"]
            self.say(f"GET /v1/tasks/{task}/explain: {len(steps)} steps, {len(decided)} of them decided here")
            for step in decided:
                facts = "; ".join(f"{name} {value}" for name, value in cast("JsonObject", step["facts"]).items())
                self.console.print(f"    [dim]{step['event']!s:<20}[/] {escaped(str(step['says']))}")
                self.console.print(f"    [dim]{'':<20} rule {step['rule']}: {escaped(facts)}[/]")
            others = [str(step["event"]) for step in steps if not step["agrees"]]
            self.expect(not others, f"explained, it would be decided otherwise: {', '.join(others)}")
        self.say("[dim](?format=text has every step with all its facts)[/]")

    def expect(self, true: bool, otherwise: str) -> None:
        if not true:
            raise DemoFailed(otherwise)

    def say(self, text: str) -> None:
        self.console.print(f"  {text}")

    def git(self, *arguments: str) -> str:
        """Real git, as the person in the scene. Raises subprocess.CalledProcessError."""
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        done = subprocess.run(
            ["git", *who, *arguments], capture_output=True, text=True, timeout=GIT_SECONDS_MAX, check=True
        )
        return done.stdout

    def _look(self, task: str) -> list[Recorded]:
        """All events of the task so far; those that are new are shown."""
        answer = json.loads(self.client.bytes("GET", f"/v1/tasks/{task}/events?limit=200"))
        events = [decode_event(json.dumps(one["event"]).encode(), one["sequence"]) for one in answer]
        for event in events:
            if event.seq > self._shown[task]:
                self._shown[task] = event.seq
                self._show(task, event)
        return events

    def _show(self, task: str, event: Recorded) -> None:
        if tag(event) in QUIET:
            return
        line = line_of(event.data)
        words = f"[{COLOURS[line.mood]}]{escaped(line.text)}[/]  {escaped(line.detail)}".rstrip()
        self.console.print(f"    [cyan]{escaped(self._names[task]):<10}[/] {words}")


def tag(event: Recorded) -> str:
    """The event's type."""
    return str(event.data.__struct_config__.tag or "unknown")


def write(text: str = RIGHT, message: str = "Answer") -> Steps:
    """Steps that write answer.txt and commit it."""
    return [{"do": "write", "path": "answer.txt", "content": text}, {"do": "commit", "message": message}]

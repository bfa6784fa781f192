"""What a scene has at hand: repos, scripts, tasks over HTTP, a clock that can be put forward, a forge that is a file, and eyes on
the timeline.

Rule of this room: what is printed was answered by the API; what a scene waits for has a deadline.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from rich.console import Console

from penstock.codec import decode_event
from penstock.events import Recorded
from penstock_agent_exec.forge import recording
from penstock_launcher.client import Client, JsonObject
from penstock_launcher.demo import COLOURS, DemoFailed, escaped
from penstock_launcher.servers import write_private
from penstock_launcher.timeline import line_of

WAIT_SECONDS_MAX: Final = 180.0
"""For a machine much slower than any that we know: what comes is not waited for any longer than it takes."""
POLL_SECONDS: Final = 0.1
GIT_SECONDS_MAX: Final = 30.0
CHECK: Final = "grep -qx 42 answer.txt"
WRONG: Final = "41\n"
RIGHT: Final = "42\n"
FOLDERS: Final = "folders"
"""Below it, in a scene's results, folders of this host may be repos."""
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
        running = results / "running"
        self._scripts = running / "scripts"
        self._tasks = running / "executor" / "tasks"
        self._forge = running / "executor" / "forge"
        self._hook_secret = running / "hook-secrets" / scene
        self._shown: dict[str, int] = {}
        self._names: dict[str, str] = {}

    # What a scene sets up -----------------------------------------------------------------------------------------------

    def repo(self, files: Mapping[str, str] = MappingProxyType({}), **settings: object) -> None:
        """A bare repository whose check wants 42 in answer.txt, and its entry in the catalogue. `files`: what else is in it."""
        work = self._results / f"{self.scene}-author"
        self._begin(work, files)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.git("-C", str(work), "push", "--quiet", str(self.remote), "main")
        self._catalogued(self.scene, self.remote, settings)

    def folder(self) -> tuple[str, Path]:
        """The same as a folder of this host, without any remote: its repo's name, and where it is."""
        name, path = f"{self.scene}-folder", self._results / FOLDERS / self.scene
        self._begin(path, {})
        self._catalogued(name, path, {"provider": "local"})
        return name, path

    def _begin(self, work: Path, files: Mapping[str, str]) -> None:
        self.git("init", "--quiet", "--initial-branch=main", str(work))
        readme = {"README.md": "The answer to everything, in answer.txt.\n"}
        for name, text in ({"answer.txt": WRONG} | readme | dict(files)).items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
        self.git("-C", str(work), "add", "--all")
        self.git("-C", str(work), "commit", "--quiet", "--message=An answer, nearly")

    def _catalogued(self, name: str, where: Path, settings: Mapping[str, object]) -> None:
        body: JsonObject = {"clone_url": str(where), "verify": {"test": CHECK}, "parallel_max": 4}
        self.client.json("PUT", f"/v1/repos/{name}", body | dict(settings))

    def script(self, name: str, *attempts: Steps, cases: Iterable[JsonObject] = ()) -> str:
        """Write down what the scripted agent will do; returns the model to ask for."""
        script = {"attempts": list(attempts), "cases": list(cases)}
        model = f"{self.scene}-{name}"
        (self._scripts / f"{model}.json").write_text(json.dumps({key: value for key, value in script.items() if value}))
        return model

    def go(self, task: str) -> None:
        """Let the task's agent go on, which waits for the file `go`."""
        home = self._tasks / task / "home"
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not home.is_dir():
            if time.monotonic() > deadline:
                raise DemoFailed(f"{self._names[task]}: no agent has begun; it is {self.state(task)}")
            time.sleep(POLL_SECONDS)
        (home / "go").touch()

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
        return str(self._some("tasks")[-1]["task"])

    def memories(self) -> list[JsonObject]:
        """What is remembered of the scene's repo, once there is any."""
        return self._some("memories")

    def _some(self, kind: str) -> list[JsonObject]:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            found = cast("list[JsonObject]", self.client.json("GET", f"/v1/{kind}?repo={self.scene}")[kind])
            if found:
                return found
            if time.monotonic() > deadline:
                raise DemoFailed(f"there are no {kind} of the repo {self.scene}")
            time.sleep(POLL_SECONDS)

    def on_forge(self, number: int, said: str, change: Callable[[recording.Recorded], recording.Recorded]) -> None:
        """Make something happen on the forge that people or checks do there."""
        recording.plant(self._forge, self.scene, number, change)
        self.say(f"on the forge: {said}")

    def hook(self, event: str, number: int) -> None:
        """The forge's webhook about a pull request, signed; delivered twice, of which one is taken."""
        secret = self._hook_secret.read_text()
        body: JsonObject = {"action": event, "pull_request": {"number": number}, "sender": {"login": "ann"}}
        headers = {
            "X-Gitea-Event": event,
            "X-Gitea-Delivery": secrets.token_hex(16),
            "X-Gitea-Signature": hmac.new(secret.encode(), json.dumps(body).encode(), hashlib.sha256).hexdigest(),
        }
        path = f"/v1/hooks/gitea/{self.scene}"
        self.say(f"POST {path} ({event}), delivered twice")
        answers = [json.loads(self.client.bytes("POST", path, body, headers))["outcome"] for _ in range(2)]
        self.same("taken as", "told, known", ", ".join(answers))

    def hook_secret(self) -> str:
        """A secret that the forge and the api know; how a repo's settings refer to it."""
        write_private(self._hook_secret, secrets.token_urlsafe(32))
        return f"file:{self._hook_secret.name}"

    def later(self, seconds: float) -> None:
        """Put the orchestrator's clock forward."""
        self._clock.write_text(str(float(self._clock.read_text()) + seconds))
        self.say(f"the orchestrator's clock is put forward by {seconds / 3600:g} h")

    # What a scene sees --------------------------------------------------------------------------------------------------

    def until(
        self, task: str, *types: str, count: int = 1, where: Callable[[Recorded], bool] = lambda _: True
    ) -> Recorded:
        """Show the task's timeline until one of these events, of those that fit `where`, has come `count` times; that event."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            found = [event for event in self.events(task) if tag(event) in types and where(event)]
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > deadline:
                raise DemoFailed(f"{self._names[task]}: waited for {' or '.join(types)}; it is {self.state(task)}")
            time.sleep(POLL_SECONDS)

    def events(self, task: str) -> list[Recorded]:
        """All events of the task so far; those that are new are shown."""
        answer = json.loads(self.client.bytes("GET", f"/v1/tasks/{task}/events?limit=200"))
        events = [decode_event(json.dumps(one["event"]).encode(), one["sequence"]) for one in answer]
        for event in events:
            if event.seq > self._shown[task]:
                self._shown[task] = event.seq
                self._show(task, event)
        return events

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
            f"      why       {escaped(_hung(str(why['why']), 16))}\n"
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
                self.console.print(f"    [dim]{step['event']!s:<20}[/] {escaped(_hung(str(step['says']), 25))}")
                self.console.print(f"    [dim]{'':<20} rule {step['rule']}: {escaped(facts)}[/]")
            others = [str(step["event"]) for step in steps if not step["agrees"]]
            self.expect(not others, f"explained, it would be decided otherwise: {', '.join(others)}")
        self.say("[dim](?format=text has every step with all its facts)[/]")

    def pull_requests(self) -> list[recording.Recorded]:
        """Those of the scene's repo that the forge has, the oldest first."""
        return [one for one in recording.recorded(self._forge) if one.repo == self.scene]

    def branches(self) -> str:
        """Those of the remote, by name."""
        return ", ".join(self.git("-C", str(self.remote), "branch", "--format=%(refname:short)").split())

    def same(self, what: str, expected: object, seen: object) -> None:
        """Show what was expected and what is seen. Raises DemoFailed where it is not the same."""
        colour = "green" if expected == seen else "bold red"
        told = f"{escaped(what)}: expected [bold]{escaped(str(expected))}[/], seen"
        self.say(f"{told} [{colour}]{escaped(str(seen))}[/]")
        self.expect(expected == seen, f"{what}: expected {expected}, seen {seen}")

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

    def _show(self, task: str, event: Recorded) -> None:
        if tag(event) in QUIET:
            return
        line = line_of(event.data)
        words = f"[{COLOURS[line.mood]}]{escaped(line.text)}[/]  {escaped(line.detail)}".rstrip()
        self.console.print(f"    [cyan]{escaped(self._names[task]):<10}[/] {words}")


def _hung(text: str, columns: int) -> str:
    """Its lines one below the other, where the first begins at that column."""
    return text.replace("\n", "\n" + " " * columns)


def tag(event: Recorded) -> str:
    """The event's type."""
    return str(event.data.__struct_config__.tag or "unknown")


def write(text: str = RIGHT, message: str = "Answer") -> Steps:
    """Steps that write answer.txt and commit it."""
    return [{"do": "write", "path": "answer.txt", "content": text}, {"do": "commit", "message": message}]


def wait() -> Steps:
    """Steps that wait until the stage says `go`."""
    return [{"do": "wait", "file": "go", "seconds": WAIT_SECONDS_MAX}]

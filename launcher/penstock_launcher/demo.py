"""`demo`: one task from submission to a checked patch, on a stack of its own in a temporary folder.

Rule of this room: it says what really happened. The exit code is 0 only when the task succeeded and the patch, tried here in
a fresh clone, makes the failing test pass.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.syntax import Syntax

from penstock.codec import Undecodable, batches, decode_event
from penstock_launcher import sample
from penstock_launcher.child import ends_with_launcher
from penstock_launcher.client import ApiSaidNo, Client, JsonObject
from penstock_launcher.folder import FIRST_TOKEN, DataFolder, Running
from penstock_launcher.servers import free_port
from penstock_launcher.timeline import Line, line_of, lines_of, plain
from penstock_launcher.up import not_ready

START_SECONDS_MAX: Final = 150.0
TASK_SECONDS_MAX: Final = 150.0
VIEW_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.1
PYTHON_OF_SANDBOX: Final = "/usr/local/bin:/usr/bin:/bin"

COLOURS: Final = {"step": "bold", "good": "bold green", "bad": "bold red", "note": "yellow", "dim": "dim"}


class DemoFailed(RuntimeError):
    """The demo did not come to its good end; the message says where it stopped."""


def demo(environ: Mapping[str, str]) -> int:
    """Run it. Exit code 0: the task succeeded and its patch was tried and is good."""
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    results = Path(tempfile.mkdtemp(prefix="penstock-demo-"))
    folder = DataFolder(results / "running")
    try:
        check_machine(environ)
        remote = sample.make_sample(results)
        _print_beginning(console)
        with own_stack(console, folder, environ) as running:
            sample.write_script(folder.path / "scripts")
            client = Client(running.http_url, folder.secret_file(FIRST_TOKEN).read_text().strip())
            task = _submit(client, remote)
            _follow(console, client, task)
            patch = _checked_patch(console, client, task, remote, results)
    except (DemoFailed, ApiSaidNo, OSError, subprocess.SubprocessError) as error:
        console.print(f"\n[bold red]The demo failed:[/] {escaped(words_of(error))}")
        console.print(f"Everything of this run, its logs too, is kept in {results}")
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(results, ignore_errors=True)
        console.print("\nstopped; nothing is kept")
        return 130
    shutil.rmtree(folder.path, ignore_errors=True)
    _print_end(console, patch, time.monotonic() - began)
    return 0


def check_machine(environ: Mapping[str, str]) -> None:
    """Raises DemoFailed with the line that installs what is missing."""
    for program, package in (("git", "git"), ("bwrap", "bubblewrap")):
        if shutil.which(program, path=environ.get("PATH")) is None:
            raise DemoFailed(f"{program} is not installed: sudo apt-get install -y {package}")
    if shutil.which("python3", path=PYTHON_OF_SANDBOX) is None:
        raise DemoFailed("the sandbox shows agents the system's own programs only, and the system has no python3")


@contextmanager
def own_stack(console: Console, folder: DataFolder, environ: Mapping[str, str]) -> Iterator[Running]:
    """`up`, as a user would run it, from start to end. Raises DemoFailed."""
    # Not the port that clients of an installation know: two demos that start together would both find it free.
    port = str(free_port())
    command = [sys.executable, "-m", "penstock_launcher", "up", "--data", str(folder.path), "--port", port]
    said = folder.path.with_name("up.log")
    with said.open("wb") as log:
        process = subprocess.Popen(
            ends_with_launcher(command, signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environ),
            process_group=0,
        )
    try:
        with console.status("starting nats-server, PostgreSQL and four services"):
            began, waiting = time.monotonic(), dict[str, list[str]]()
            while (running := folder.running()) is None or (waiting := not_ready(running)):
                if process.poll() is not None:
                    raise DemoFailed(f"the start ended with exit code {process.returncode}: {said.read_text().strip()}")
                if time.monotonic() - began > START_SECONDS_MAX:
                    raise DemoFailed(f"not all is ready after {START_SECONDS_MAX:g} s: {waiting}")
                time.sleep(POLL_SECONDS)
        console.print(
            f"[dim]nats-server, PostgreSQL and four services ready after {time.monotonic() - began:.1f} s[/]\n"
        )
        yield running
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    said.unlink()


def _submit(client: Client, remote: Path) -> str:
    """Register the repo, ask for the change; returns the task's id."""
    client.json(
        "PUT",
        f"/v1/repos/{sample.REPO}",
        {"clone_url": str(remote), "default_branch": "main", "verify": {"test": sample.TEST_COMMAND}},
    )
    accepted = client.json(
        "POST",
        "/v1/tasks",
        {
            "repo": sample.REPO,
            "title": sample.TITLE,
            "description": sample.DESCRIPTION,
            "acceptance": sample.ACCEPTANCE,
            "vendor": "scripted",
            "model": sample.SCRIPT,
            "flow": "patch",
            "max_attempts": 3,
        },
    )
    return str(accepted["task"])


def _follow(console: Console, client: Client, task: str) -> None:
    """Show the live stream until the task's end."""
    console.print(f"[dim]GET /v1/tasks/{task}/stream[/]")
    began = time.monotonic()
    with console.status("the task is on its way") as status:
        for frame in client.stream(f"/v1/tasks/{task}/stream"):
            if frame.event == "end":
                return
            for line in _lines(frame.event, frame.data):
                _print_line(console, time.monotonic() - began, line)
                if line.mood != "dim":
                    status.update(f"{line.text} {escaped(line.detail)}")
            if time.monotonic() - began > TASK_SECONDS_MAX:
                raise DemoFailed(f"the task has not ended after {TASK_SECONDS_MAX:g} s")
    raise DemoFailed("the live stream broke off before the task's end")


def _lines(event: str, data: bytes) -> list[Line]:
    try:
        if event == "output":
            return lines_of(batches.decode(data))
        return [line_of(decode_event(data, 0).data)]
    except Undecodable as error:
        return [Line("note", "unreadable", plain(str(error)))]


def _checked_patch(console: Console, client: Client, task: str, remote: Path, results: Path) -> Path:
    """Fetch the patch, try it in a fresh clone, and show what it changes. Raises DemoFailed unless all is as it should be."""
    state = _ended(client, task)
    if state.get("outcome") != "succeeded":
        raise DemoFailed(f"the task's outcome is {state.get('outcome')}: {state.get('message') or state.get('reason')}")
    patch = results / f"{sample.SCRIPT}.patch"
    patch.write_bytes(client.bytes("GET", f"/v1/tasks/{task}/patch"))
    checked = sample.check_patch(remote, str(state["base_commit"]), patch, results / "clone")
    console.print()
    console.print(Syntax(checked.diff, "diff", theme="ansi_dark", background_color="default"))
    if not checked.good:
        raise DemoFailed(f"the patch was tried in a fresh clone and is not good: {checked}")
    console.print("[green]Tried in a fresh clone:[/] the test fails without the patch and passes with it.")
    return patch


def _ended(client: Client, task: str) -> JsonObject:
    """The task as the API shows it; its view follows the log by moments."""
    deadline = time.monotonic() + VIEW_SECONDS_MAX
    while (state := client.json("GET", f"/v1/tasks/{task}"))["outcome"] is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return state


def _print_beginning(console: Console) -> None:
    console.print(
        "[bold]Penstock demo[/]: a repository with a failing test, and a task to repair it.\n"
        "[dim]The agent is scripted: it plays back steps from a file and calls no model. All else is real: the servers, git,\n"
        "the sandbox, the event log, the checks. Its first attempt is wrong on purpose.[/]\n"
    )


def _print_line(console: Console, seconds: float, line: Line) -> None:
    colour = COLOURS[line.mood]
    console.print(f"[dim]{seconds:5.1f} s[/]  [{colour}]{escaped(line.text)}[/]  {escaped(line.detail)}".rstrip())


def _print_end(console: Console, patch: Path, seconds: float) -> None:
    console.print(
        f"\n[bold green]Done[/] in {seconds:.1f} s. The servers of the demo are gone; what is kept:\n"
        f"  the patch             {patch}\n"
        f"  a clone that has it   {patch.parent / 'clone'}\n"
        "No model was called and nothing was paid: the agent was a script.\n\n"
        "Next:\n"
        "  ./penstock up        keeps all of it running, prints the address, the token, and how to follow the events\n"
        "  ./penstock status    shows every part\n"
        "With ANTHROPIC_API_KEY set and the claude CLI on PATH, vendor `claude` does real work in your repositories."
    )


def words_of(error: Exception) -> str:
    """What a person needs of the error."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"{' '.join(map(str, error.cmd))}: {str(error.stderr).strip()}"
    return str(error)


def escaped(text: str) -> str:
    """Text for the console's markup, taken as it is."""
    return text.replace("[", r"\[")

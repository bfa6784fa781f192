"""The scripted agent's program. Scripted agent: no model is called.

Runs inside the sandbox, with the standard library only: reads its steps as one JSON document from standard input, does them in
the working directory, and prints one fact per line. The shape of both is in `agents/scripted.py` and `agents/facts.py`; every
step comes to the same when it is done twice.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import NoReturn, TypedDict

TAIL_LENGTH = 500
LOOK_SECONDS = 0.05
COUNTED = ("turns", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")

# One shape for all steps; which of the fields a step has, its kind says.
Step = TypedDict(
    "Step",
    {
        "do": str,
        "text": str,
        "path": str,
        "file": str,
        "content": str,
        "old": str,
        "new": str,
        "argv": list[str],
        "message": str,
        "seconds": float,
        "count": int,
        "line_bytes": int,
        "deaf": bool,
        "class": str,
        "transient": bool,
        "retry_after_seconds": float,
        "resets_at": str | None,
        "window": bool,
        "turns": int,
        "input_tokens": int,
        "output_tokens": int,
        "cache_read_tokens": int,
        "cache_write_tokens": int,
        "cost_usd": float | None,
        "plan": dict[str, object],
        "subject": str,
        "question": str,
        "options": list[str],
    },
)


class Failed(Exception):
    """The run ends as a failure."""

    def __init__(self, error_class: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.transient = transient


class Run:
    """What the script says was used, and the answer it gives."""

    def __init__(self) -> None:
        self.used: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self.cost_usd: float | None = 0.0
        self.answers = 0
        self.answer = ""

    def use(self, step: Step) -> None:
        counts = {
            "turns": step["turns"],
            "input_tokens": step["input_tokens"],
            "output_tokens": step["output_tokens"],
            "cache_read_tokens": step["cache_read_tokens"],
            "cache_write_tokens": step["cache_write_tokens"],
        }
        self.used = {name: self.used[name] + count for name, count in counts.items()}
        cost_usd = step["cost_usd"]
        self.cost_usd = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd
        self.answers += 1
        tell("usage", message_id=str(self.answers), cost_usd=cost_usd, **counts)

    def give(self, answer: str) -> None:
        self.answer = answer
        tell("text", text=answer)


class Inbox:
    """What comes in, by the line: the order first, then whatever is said."""

    def __init__(self) -> None:
        self._held = b""

    def line(self, seconds: float | None = None) -> bytes:
        """The next line, or the rest where there is no more; empty where none came within `seconds`."""
        while b"\n" not in self._held:
            if not select.select([0], [], [], seconds)[0]:
                return b""
            part = os.read(0, 65_536)
            if not part:
                break
            self._held += part
        line, _, self._held = self._held.partition(b"\n")
        return line


INBOX = Inbox()


def main() -> int:
    order = json.loads(INBOX.line())
    session, run = order["session_id"], Run()
    tell("started", session_id=session, model=order["script"], vendor_version="1", key_source="none")
    tell("text", text="scripted agent: no model is called")
    end: dict[str, object] = {"is_error": False, "kind": "success"}
    try:
        for step in order["steps"]:
            do(step, run)
    except Failed as error:
        reason = "transient" if error.transient else ""
        end = {"is_error": True, "kind": error.error_class, "reason": reason, "text": str(error)}
    except OSError as error:
        end = {"is_error": True, "kind": "agent.crashed", "text": f"{error.filename}: {error.strerror}"}
    except KeyboardInterrupt:
        end = {"is_error": True, "kind": "agent.interrupted", "text": "interrupted"}
    tell("finished", session_id=session, cost_usd=run.cost_usd, answer=run.answer, **end, **run.used)
    return 1 if end["is_error"] else 0


def do(step: Step, run: Run) -> None:
    """One step. Raises Failed."""
    match step["do"]:
        case "say":
            tell("text", text=step["text"])
        case "write":
            write(step["path"], step["content"])
        case "replace":
            replace(step)
        case "run":
            show_run(step["argv"])
        case "commit":
            commit(step["message"])
        case "sleep":
            time.sleep(step["seconds"])
        case "wait":
            wait(Path.home() / step["file"], step["seconds"])
        case "listen":
            listen(step["seconds"])
        case "emit":
            emit(step["count"], step["line_bytes"])
        case "hang":
            hang(step["deaf"])
        case "usage":
            run.use(step)
        case "plan":
            run.give(json.dumps(step["plan"]))
        case "summary":
            run.give(step["text"])
        case "decision":
            tell("decision", subject=step["subject"], question=step["question"], options=step["options"])
        case _:
            end_badly(step)


def end_badly(step: Step) -> NoReturn:
    """A step that ends the run. Raises Failed."""
    match step["do"]:
        case "fail":
            if step["retry_after_seconds"]:
                limited("scripted", time.time() + step["retry_after_seconds"])
            raise Failed(step["class"], step["message"], transient=step["transient"])
        case "rate_limit":
            after, at = step["retry_after_seconds"], step["resets_at"]
            limited("scripted", datetime.fromisoformat(at).timestamp() if at else after and time.time() + after)
            raise Failed(
                "vendor.usage_window" if step["window"] else "vendor.rate_limit", step["message"], transient=True
            )
        case "turn_limit":
            raise Failed("vendor.max_turns", "the turns are used up")
        case "context_full":
            raise Failed("vendor.context_overflow", "the session is too long for the model")
        case unknown:
            raise Failed("vendor.bad_request", f"no step is called {unknown!r}")


def tell(fact: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"fact": fact, **fields}) + "\n")
    sys.stdout.flush()


def inside(path: str) -> Path:
    full = Path(path).resolve()
    if not full.is_relative_to(Path.cwd()):
        raise Failed("agent.crashed", f"{path} is outside the work")
    return full


def write(path: str, content: str) -> None:
    full = inside(path)
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_text(content, encoding="utf-8")
    tell("file_changed", path=path)


def replace(step: Step) -> None:
    path, old, new = inside(step["path"]), step["old"], step["new"]
    before = path.read_text(encoding="utf-8")
    done = new in before and (old in new or old not in before)
    if not done and old not in before:
        raise Failed("agent.crashed", f"{step['path']} holds neither the old text nor the new")
    if not done:
        path.write_text(before.replace(old, new), encoding="utf-8")
        tell("file_changed", path=step["path"])


def ended(argv: list[str]) -> tuple[int, str]:
    """A command's exit code and the end of what it printed; 127 where there is no such command."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode(errors="replace")[-TAIL_LENGTH:]


def show_run(argv: list[str]) -> None:
    tell("tool_use", id="run", name="run", summary=" ".join(argv)[:TAIL_LENGTH])
    code, tail = ended(argv)
    tell("tool_result", id="run", ok=code == 0, summary=f"exit code {code}\n{tail}")


def commit(message: str) -> None:
    tell("tool_use", id="commit", name="commit", summary=message)
    must("git", "add", "-A")
    if ended(["git", "diff", "--cached", "--quiet"])[0] == 0:
        tell("tool_result", id="commit", ok=True, summary="nothing to commit")
        return
    must("git", "commit", "-q", "-m", message)
    tell("tool_result", id="commit", ok=True, summary=must("git", "rev-parse", "HEAD"))


def must(*argv: str) -> str:
    code, tail = ended(list(argv))
    if code != 0:
        raise Failed("agent.crashed", f"{' '.join(argv[:2])}: exit code {code}: {tail}")
    return tail.strip()


def emit(count: int, line_bytes: int) -> None:
    empty = json.dumps({"fact": "noise", "kind": "emit", "filler": ""})
    line = empty[:-2] + "x" * max(0, line_bytes - len(empty) - 1) + '"}\n'
    for _ in range(count):
        sys.stdout.write(line)
    sys.stdout.flush()


def hang(deaf: bool) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM) if deaf else ():
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()


def limited(kind: str, resets_at: float) -> None:
    tell("rate_limited", kind=kind, refused=True, resets_at=resets_at)


def wait(file: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not file.exists():
        time.sleep(LOOK_SECONDS)


def listen(seconds: float) -> None:
    """Repeat the next thing that is said."""
    if line := INBOX.line(seconds):
        tell("text", text=f"heard: {json.loads(line)}")


if __name__ == "__main__":
    sys.exit(main())

"""The scripted agent's program. Scripted agent: no model is called.

Runs inside the sandbox, with the standard library only: reads its steps as one JSON document from standard input, does them in
the working directory, and prints one fact per line. The shape of both is in `agents/scripted.py` and `agents/facts.py`; every
step comes to the same when it is done twice.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn, TypedDict

TAIL_LENGTH = 500

# One shape for all steps; which of the fields a step has, its kind says.
Step = TypedDict(
    "Step",
    {
        "do": str,
        "text": str,
        "path": str,
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
        "turns": int,
        "input_tokens": int,
        "output_tokens": int,
    },
)


class Failed(Exception):
    """The run ends as a failure."""

    def __init__(self, error_class: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.transient = transient


class Used:
    """What the script says was used."""

    turns = 0
    input_tokens = 0
    output_tokens = 0


def main() -> int:
    order = json.load(sys.stdin)
    session, used = order["session_id"], Used()
    tell("started", session_id=session, model=order["script"], vendor_version="1", key_source="none")
    tell("text", text="scripted agent: no model is called")
    end: dict[str, object] = {"is_error": False, "kind": "success"}
    try:
        for step in order["steps"]:
            do(step, used)
    except Failed as error:
        reason = "transient" if error.transient else ""
        end = {"is_error": True, "kind": error.error_class, "reason": reason, "text": str(error)}
    except OSError as error:
        end = {"is_error": True, "kind": "agent.crashed", "text": f"{error.filename}: {error.strerror}"}
    except KeyboardInterrupt:
        end = {"is_error": True, "kind": "agent.interrupted", "text": "interrupted"}
    numbers = {"turns": used.turns, "input_tokens": used.input_tokens, "output_tokens": used.output_tokens}
    tell("finished", session_id=session, cost_usd=0.0, **end, **numbers)
    return 1 if end["is_error"] else 0


def do(step: Step, used: Used) -> None:
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
        case "emit":
            emit(step["count"], step["line_bytes"])
        case "hang":
            hang(step["deaf"])
        case "fail":
            fail(step)
        case "usage":
            used.turns += step["turns"]
            used.input_tokens += step["input_tokens"]
            used.output_tokens += step["output_tokens"]
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


def run(argv: list[str]) -> tuple[int, str]:
    """A command's exit code and the end of what it printed; 127 where there is no such command."""
    try:
        ended = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as error:
        return 127, str(error)
    return ended.returncode, ended.stdout.decode(errors="replace")[-TAIL_LENGTH:]


def show_run(argv: list[str]) -> None:
    tell("tool_use", id="run", name="run", summary=" ".join(argv)[:TAIL_LENGTH])
    code, tail = run(argv)
    tell("tool_result", id="run", ok=code == 0, summary=f"exit code {code}\n{tail}")


def commit(message: str) -> None:
    tell("tool_use", id="commit", name="commit", summary=message)
    must("git", "add", "-A")
    if run(["git", "diff", "--cached", "--quiet"])[0] == 0:
        tell("tool_result", id="commit", ok=True, summary="nothing to commit")
        return
    must("git", "commit", "-q", "-m", message)
    tell("tool_result", id="commit", ok=True, summary=must("git", "rev-parse", "HEAD"))


def must(*argv: str) -> str:
    code, tail = run(list(argv))
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


def fail(step: Step) -> NoReturn:
    if step["retry_after_seconds"]:
        resets_at = time.time() + step["retry_after_seconds"]
        tell("rate_limited", kind="scripted", refused=True, resets_at=resets_at)
    raise Failed(step["class"], step["message"], transient=step["transient"])


if __name__ == "__main__":
    sys.exit(main())

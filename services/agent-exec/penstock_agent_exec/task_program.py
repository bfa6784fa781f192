"""Runs inside a sandbox: what an agent may do about its own task besides working on it.

    /workspace/task inbox                                   what people and other tasks have written to this one meanwhile
    /workspace/task ask SUBJECT QUESTION [--option TEXT]... ask a person to decide

One line of JSON to the control socket beside it, one line back. It can do nothing else there: approve nothing, submit nothing,
and see no other task. Only the standard library: nothing else is in the sandbox.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path

ANSWER_BYTES_MAX = 4 * 1024 * 1024
SECONDS_MAX = 30.0


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="/workspace/task", description="what you may do about your own task")
    verbs = parser.add_subparsers(dest="do", required=True)
    verbs.add_parser("inbox", help="what was written to this task meanwhile")
    ask = verbs.add_parser(
        "ask", help="ask a person to decide, then end your turn: the answer comes with your next message"
    )
    ask.add_argument("subject", help="spend_money, send_message, publish, irreversible, ambiguous, or another word")
    ask.add_argument("question")
    ask.add_argument("--option", dest="options", action="append", default=[], help="an answer to choose from")
    given = vars(parser.parse_args(words))
    try:
        answer = asked(given)
    except (OSError, ValueError) as error:
        print(f"this cannot be done now: {error}", file=sys.stderr)
        return 1
    print(answer.get("text", ""))
    return 0 if answer.get("ok") else 1


def asked(request: dict[str, object]) -> dict[str, object]:
    """The answer of the control socket. Raises OSError, and ValueError for an answer that is none."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(SECONDS_MAX)
        control.connect(str(Path(__file__).parent / "control"))
        control.sendall(json.dumps(request).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < ANSWER_BYTES_MAX:
            part = control.recv(65_536)
            if not part:
                break
            answer += part
    found = json.loads(answer)
    if not isinstance(found, dict):
        raise ValueError("no answer")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

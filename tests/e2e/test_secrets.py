"""Fifty secrets in eight forms, printed by an agent and by a check, and the services' own: nobody gets to see one."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import secrets
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from orchestrator_fixtures import tags
from planted_secrets import eight_ways, planted
from whole import CALC, CALC_MENDED, CALC_TEST, TEST_COMMAND, Remote, Whole, git, whole

from penstock.events import AgentSucceeded, DecisionRaised, PlanProposed, PublishFailed, Recorded, TaskBlocked
from penstock_agent_exec.forge.recording import recorded

pytestmark = pytest.mark.anyio

PLANTED: Final = planted(50, seed=23)
FORMS: Final = tuple(dict.fromkeys(form for secret in PLANTED.values() for form in eight_ways(secret)))
ALL_OF_THEM: Final = b"\n".join(b"one " + form + b" and" for form in FORMS)
AS_TEXT: Final = ALL_OF_THEM.decode(errors="ignore")

LEAK: Final = '''"""Prints what it must not, to both outputs, in pieces of any size."""
import os, random
dice = random.Random(3)
text = bytes(byte ^ 0x5A for byte in bytes.fromhex("{hidden}"))
coloured = b"\\n".join(line[:9] + b"\\x1b[31m" + line[9:] + b"\\x1b[0m" for line in text.split(b"\\n"))
for lines in (text, b"\\x1b[1m" + text.replace(b"one ", b"one\\t"), text.replace(b"\\n", b" "), coloured):
    at = 0
    while at < len(lines):
        size = dice.choice((1, 3, 17, 150, 900, 5000))
        os.write(dice.choice((1, 1, 1, 2)) if lines[at - 1 : at] == b"\\n" else 1, lines[at : at + size])
        at += size
    os.write(1, b"\\n")
'''


class Onlookers:
    """Somebody who reads every process's arguments and environment, as long as it lives, again and again."""

    def __init__(self, roots: frozenset[int], wanted: dict[str, bytes]) -> None:
        self.found: set[str] = set()
        self.seen: set[str] = set()
        self._roots = roots
        self._wanted = wanted
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Onlookers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for pid in _descendants(self._roots):
                for part in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):  # it may end while we look
                        text = Path(f"/proc/{pid}/{part}").read_bytes()
                        self.seen.add(text.split(b"\0")[0].decode(errors="replace") if part == "cmdline" else "")
                        self.found |= {
                            f"{name} in {part} of {text[:60]!r}" for name, s in self._wanted.items() if s in text
                        }


def _descendants(roots: frozenset[int]) -> set[int]:
    """`roots` and everything below them."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    family = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    hidden = bytes(byte ^ 0x5A for byte in ALL_OF_THEM).hex()
    files = {"calc.py": CALC, "test_calc.py": CALC_TEST, ".gitignore": "__pycache__/\n"}
    return Remote(tmp_path / "calc", files | {"leak.py": LEAK.replace("{hidden}", hidden)})


OWN: Final = {
    "anthropic_api_key": "sk-ant-api03-" + secrets.token_urlsafe(40),
    "openai_api_key": "sk-proj-" + secrets.token_urlsafe(40),
    "claude_oauth_token": "sk-ant-oat01-" + secrets.token_urlsafe(40),
}
FORGE_TOKEN: Final = "ghp_" + secrets.token_hex(18)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Whole]:
    (tmp_path / "hidden").write_text("\n".join(PLANTED.values()) + "\n")
    (tmp_path / "forge-token").write_text(FORGE_TOKEN + "\n")
    settings = OWN | {"secrets_file": str(tmp_path / "hidden"), "git_token_file": str(tmp_path / "forge-token")}
    async with whole(tmp_path / "w", more={"agent-exec": settings}, secrets_in_files=True) as found:
        yield found


def scripts(house: Whole) -> None:
    mended = [{"do": "write", "path": "calc.py", "content": CALC_MENDED}, {"do": "commit", "message": "Add"}]
    leak = {"do": "run", "argv": ["python3", "leak.py"]}
    house.script(
        "prints", {"attempts": [[leak, {"do": "say", "text": AS_TEXT}, *mended, {"do": "say", "text": said()}]]}
    )
    house.script("fails", {"attempts": [[leak, {"do": "fail", "class": "agent.failed", "message": said()}]]})
    house.script(
        "asks", {"attempts": [[{"do": "decision", "subject": "publish", "question": said(), "options": [said()]}]]}
    )
    plan = {"summary": said(), "approach": said(), "steps": [said()], "files_to_touch": ["calc.py"], "risks": [said()]}
    house.script("plans", {"cases": [{"when": {"run": "plan"}, "steps": [{"do": "plan", "plan": plan}]}]})
    keeps = {"do": "write", "path": "notes.txt", "content": f"the token is {next(iter(PLANTED.values()))}\n"}
    house.script("keeps", {"attempts": [[keeps, *mended]]})


def said() -> str:
    """Some of them, as much as fits into a line of a report."""
    return " ".join(random.Random(4).sample([form.decode() for form in FORMS if len(form) < 60 and form.isascii()], 3))


@pytest.mark.timeout(1_800)
async def test_of_fifty_secrets_in_eight_forms_nobody_sees_one(house: Whole, remote: Remote, tmp_path: Path) -> None:
    scripts(house)
    passwords = {"nats": house.nats.password, "postgres": house.postgres.dsn().split(":")[2].split("@")[0]}
    own = OWN | passwords | {"forge": FORGE_TOKEN, "api": house.token}
    roots = frozenset(service.pid for service in house.services.values())
    wanted = {name: secret.encode() for name, secret in (own | PLANTED).items()}
    with Onlookers(roots, wanted) as onlookers:
        await everything_happens(house, remote)
    assert onlookers.found == set()
    assert {Path(program).name for program in onlookers.seen} >= {"bwrap", "git", Path(sys.executable).name}

    sinks = {name: blob async for name, blob in stored(house.nc)} | {name: blob async for name, blob in rows(house)}
    sinks |= {f"log of {name}": service.log.encode() for name, service in house.services.items()}
    sinks |= {str(path): path.read_bytes() for path in tmp_path.glob("w/h1/**/config")}
    forge = recorded(tmp_path / "w" / "h1" / "forge")
    sinks |= {"pull requests": repr(forge).encode(), "pushed": pushed(remote).encode()}
    looked_for = dict(numbered())
    looked_for |= {f"some of {name}": secret[:14].encode() for name, secret in PLANTED.items()}
    looked_for |= {
        f"{name}, quoted": json.dumps(form.decode(errors="replace"))[1:-1].encode() for name, form in numbered()
    }
    looked_for |= {name: secret.encode() for name, secret in own.items()}
    leaks = {f"{what} in {where}" for where, blob in sinks.items() for what, form in looked_for.items() if form in blob}
    assert leaks == set()
    assert_they_were_printed(sinks)
    assert len(forge) == 1


def numbered() -> list[tuple[str, bytes]]:
    return [
        (f"form {n} of {name}", form) for name, secret in PLANTED.items() for n, form in enumerate(eight_ways(secret))
    ]


async def everything_happens(house: Whole, remote: Remote) -> None:
    """Every way of a printed text to somebody: facts, lines, tails, messages, plans, questions, a patch, a pull request."""
    loud = f"python3 leak.py; {TEST_COMMAND}"
    await house.add_repo("calc", str(remote.path), loud, provider="recording")
    await house.add_repo("bad", str(remote.path), "python3 leak.py; exit 1")
    done = await house.until(await house.submit(model="prints"))
    assert tags(done[-1]) == "task_succeeded", done[-1]
    await assert_the_transcript_can_be_had(house, done)
    for repo, model in (("calc", "fails"), ("bad", "prints")):
        ended = await house.until(await house.submit(repo=repo, model=model, max_attempts=1), _is_over)
        assert tags(ended[-1]) in ("task_failed", "task_blocked"), ended[-1]
    planned = await house.submit(model="plans", mode="interactive")
    await house.until(planned, lambda event: isinstance(event.data, PlanProposed))
    asked = await house.submit(model="asks", max_attempts=1)
    await house.until(asked, lambda event: isinstance(event.data, DecisionRaised))
    for flow in ("patch", "branch"):
        kept = await house.until(await house.submit(model="keeps", flow=flow), _is_over)
        refused = [event.data for event in kept if isinstance(event.data, PublishFailed)]
        assert [failure.error_class for failure in refused] == ["publish.secret"]
        assert isinstance(kept[-1].data, TaskBlocked)


async def assert_the_transcript_can_be_had(house: Whole, events: list[Recorded]) -> None:
    worked = next(event.data for event in events if isinstance(event.data, AgentSucceeded))
    assert worked.transcript is not None
    answer = await house.call("GET", f"/v1/tasks/{events[0].task}/transcripts/{worked.job}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/gzip"
    assert gzip.decompress(answer.content).count(b"[secret]") >= 300


def _is_over(event: Recorded) -> bool:
    return tags(event).startswith(("task_blocked", "task_failed", "task_succeeded"))


async def stored(nc: Client) -> AsyncIterator[tuple[str, bytes]]:
    """What is in the broker, by stream; of transcripts what is in them."""
    js = nc.jetstream()
    for info in await js.streams_info():
        name, blobs = str(info.config.name), []
        for seq in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
            with contextlib.suppress(NotFoundError):
                message = await js.get_msg(name, seq)
                body = message.data or b""
                blobs += [
                    body,
                    gzip.decompress(body) if body.startswith(b"\x1f\x8b") else b"",
                    str(message.headers).encode(),
                ]
        yield f"stream {name}", b"\n".join(blobs)


async def rows(house: Whole) -> AsyncIterator[tuple[str, bytes]]:
    """What is in the database, by table."""
    connection = await asyncpg.connect(house.postgres.dsn())
    try:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        for table in tables:
            found = await connection.fetch(f"select t::text as line from {table['name']} t")
            yield f"table {table['name']}", "\n".join(row["line"] for row in found).encode()
    finally:
        await connection.close()


def pushed(remote: Remote) -> str:

    return "\n".join(
        git(remote.path, "log", "-p", f"main..{branch}") for branch in remote.branches() if branch != "main"
    )


def assert_they_were_printed(sinks: dict[str, bytes]) -> None:
    """The test is worth something: where they were looked for, their marks stand."""
    for name in ("OUTPUT", "EVENTS", "REPORTS", "ARTIFACTS"):
        assert sinks[f"stream {name}"].count(b"[secret]") >= 20, name
    assert sum(blob.count(b"[secret]") for name, blob in sinks.items() if name.startswith("table ")) >= 20
    transcript = json.dumps(sinks["stream ARTIFACTS"].decode(errors="replace"))
    assert transcript.count("[secret]") >= 2 * 300
    assert any(name.endswith("config") for name in sinks)

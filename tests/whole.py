"""The whole of Penstock for a test: a broker, a database, the four services as processes, a git remote that counts pushes.

Rule of this room: a test waits on the log or on a file, never on the clock; whatever is started here ends with the test.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx2
from agent_programs import agent_path
from nats.aio.client import Client
from orchestrator_fixtures import is_end, tags
from patience import WAIT_SECONDS_MAX
from ports import free_port
from processes import ServiceProcess
from servers import POOLS, NatsForTest

from penstock import subjects as s
from penstock.codec import decode_event
from penstock.events import Recorded
from penstock.reader import Reader
from penstock_launcher.servers import PostgresServer
from penstock_orchestrator.migrate import migrate

GIT_ENVIRON: Final = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
}

HAPPY: Final = [
    "task_submitted",
    "task_admitted",
    "prepare_requested",
    "job_claimed",
    "prepare_succeeded",
    "gate_scored",
    "memory_recalled",
    "agent_requested",
    "job_claimed",
    "agent_succeeded",
    "verify_requested",
    "job_claimed",
    "verify_succeeded",
    "publish_requested",
    "job_claimed",
    "publish_succeeded",
    "task_succeeded",
]
"""What happens to a task with which everything goes well."""

CALC: Final = "def add(a, b):\n    return a - b\n"
CALC_MENDED: Final = "def add(a, b):\n    return a + b\n"
CALC_TEST: Final = (
    "import unittest\nfrom calc import add\n\n\nclass T(unittest.TestCase):\n"
    "    def test_add(self):\n        self.assertEqual(add(2, 2), 4)\n"
)
TEST_COMMAND: Final = "python3 -m unittest -q test_calc"

FIRST_TRY_WRONG: Final = {
    "attempts": [
        [
            {"do": "say", "text": "I think a product will do."},
            {"do": "write", "path": "calc.py", "content": "def add(a, b):\n    return a * b + 1\n"},
            {"do": "commit", "message": "Multiply"},
        ],
        [
            {"do": "say", "text": "The hint is clear: it must be a sum."},
            {"do": "write", "path": "calc.py", "content": CALC_MENDED},
            {"do": "commit", "message": "Add, as the name says"},
        ],
    ]
}
AT_ONCE: Final = {"attempts": [FIRST_TRY_WRONG["attempts"][1]]}
LET_GO: Final = "on"
SLOW: Final = {"attempts": [[{"do": "say", "text": "working"}, {"do": "sleep", "seconds": 3}, *AT_ONCE["attempts"][0]]]}

HELD: Final = {
    "attempts": [
        [
            {"do": "say", "text": "working"},
            {"do": "wait", "file": LET_GO, "seconds": 3_600},
            *AT_ONCE["attempts"][0],
        ]
    ]
}
"""Until it is let go, however long that takes: `Whole.let_go`."""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=GIT_ENVIRON, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Remote:
    """A bare repository that writes every push it takes into a file."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        tree = folder / "tree"
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        self._make(folder, tree)

    @classmethod
    def of_tree(cls, folder: Path, tree: Path) -> Remote:
        """A remote whose one commit is what stands in `tree`."""
        remote = cls.__new__(cls)
        remote._make(folder, tree)
        return remote

    def _make(self, folder: Path, work: Path) -> None:
        self.path = folder / "remote.git"
        self._pushes = folder / "pushes"
        git(work, "init", "-q", "-b", "main")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "As it was")
        git(work, "clone", "-q", "--bare", str(work), str(self.path))
        hook = self.path / "hooks" / "post-receive"
        hook.write_text(f"#!/bin/sh\ncat >> {self._pushes}\n")
        hook.chmod(0o755)

    @property
    def pushes(self) -> list[str]:
        """One line for each ref of each push: old, new, name."""
        return self._pushes.read_text().splitlines() if self._pushes.exists() else []

    def branches(self) -> dict[str, str]:
        lines = git(self.path, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads").splitlines()
        return dict(line.split() for line in lines)

    def file(self, branch: str, name: str) -> str:
        return git(self.path, "show", f"{branch}:{name}") + "\n"


@dataclass
class Whole:
    """Everything at once. `kill` and `start` take a service's name, or `nats`, or `postgres`."""

    folder: Path
    nats: NatsForTest
    postgres: PostgresServer
    services: dict[str, ServiceProcess]
    http: httpx2.AsyncClient
    nc: Client
    token: str
    processes: list[ServiceProcess] = field(default_factory=list)

    def script(self, name: str, steps: object) -> None:
        (self.folder / "scripts" / f"{name}.json").write_text(json.dumps(steps))

    async def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """One request; asked again while a service is away, as a client would that got 503 or no answer."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                try:
                    answer = await self.http.request(method, path, **more)
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code != 503:
                    return answer
                await asyncio.sleep(0.1)

    async def add_repo(self, name: str, clone_url: str, test: str | None = TEST_COMMAND, **more: Any) -> None:
        body = {"clone_url": clone_url, "verify": {"test": test} if test else {}} | more
        answer = await self.call("PUT", f"/v1/repos/{name}", json=body)
        assert answer.status_code in (200, 201), answer.text

    async def submit(self, key: str = "", **more: Any) -> str:
        body = {"repo": "calc", "title": "Mend the sum", "vendor": "scripted", "model": "at-once"} | more
        key = key or secrets.token_hex(8)
        answer = await self.call("POST", "/v1/tasks", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["task"])

    async def until(self, task: str, wanted: Callable[[Recorded], bool] = is_end) -> list[Recorded]:
        """The task's events up to the first that is wanted."""
        seen: list[Recorded] = []
        try:
            async with (
                asyncio.timeout(WAIT_SECONDS_MAX),
                aclosing(Reader(self.nc, s.EVENTS, filters=[f"task.event.*.{task}.>"]).batches()) as batches,
            ):
                async for batch in batches:
                    for stored in batch:
                        seen.append(decode_event(stored.body, stored.seq))
                        if wanted(seen[-1]):
                            return seen
        except TimeoutError:
            pass
        raise AssertionError(f"{[tags(event) for event in seen]}\n{self.logs()}")

    async def until_count(self, task: str, count: int) -> list[Recorded]:
        seen = 0

        def enough(_: Recorded) -> bool:
            nonlocal seen
            seen += 1
            return seen >= count

        return await self.until(task, enough)

    async def task(self, task: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The task as the api shows it, as soon as it shows what is wanted."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while True:
                    answer = await self.call("GET", f"/v1/tasks/{task}")
                    if answer.status_code == 200:
                        found = answer.json()
                        if wanted(found):
                            return found
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{found}\n{self.logs()}") from None

    async def frames(self, task: str, **more: Any) -> AsyncIterator[tuple[str, str, Any]]:
        """(event, id, data) of the task's live stream, to its end."""
        event, id_, data = "", "", ""
        async with self.http.stream("GET", f"/v1/tasks/{task}/stream", timeout=WAIT_SECONDS_MAX, **more) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("id: "):
                    id_ = line[4:]
                elif line.startswith("data: "):
                    data += line[6:]
                elif not line and event:
                    yield event, id_, json.loads(data) if data else None
                    event, data = "", ""

    async def let_go(self, task: str, host: str = "h1") -> None:
        """Let an agent of this host go on that waits for LET_GO, as soon as it has a place to see that in."""
        home = self.folder / host / "tasks" / task / "home"
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not home.is_dir():
                await asyncio.sleep(0.05)
        (home / LET_GO).touch()

    async def kill(self, name: str) -> None:
        if name == "nats":
            await asyncio.to_thread(self.nats.kill)
        elif name == "postgres":
            await asyncio.to_thread(self.postgres.kill)
        else:
            for service in self._all_of(name):
                await asyncio.to_thread(service.kill)

    async def start(self, name: str) -> None:
        if name == "nats":
            await asyncio.to_thread(self.nats.start)
        elif name == "postgres":
            await asyncio.to_thread(self.postgres.start)
        else:
            for service in self._all_of(name):
                service.start()

    def _all_of(self, name: str) -> list[ServiceProcess]:
        return [self.services[one] for one in (name, name + "2") if one in self.services]

    def logs(self) -> str:
        return "\n".join(f"== {name}\n{process.log[-2500:]}" for name, process in self.services.items())


REAL_KEY: Final = "sk-ant-the-real-key-of-this-test"
"""What the executor knows and no agent may see, for every vendor."""

_OF_VENDOR: Final = {
    "claude": ("anthropic", ""),
    "codex": ("openai", "/v1"),
    "gemini": ("gemini", ""),
    "qwen": ("qwen", "/v1"),
}


def _agents(programs: Mapping[str, str], model_url: str) -> dict[str, str]:
    """The executor's settings for the agents' programs, and for where their models are."""
    found = {"vendors": ",".join(("scripted", *programs))}
    for name, program in programs.items():
        api, path = _OF_VENDOR[name]
        found |= {f"{name}_path": program, f"{api}_api_key": REAL_KEY}
        if model_url:
            found[f"{api}_base_url"] = model_url + path
    return found


def _services(
    folder: Path,
    nats: NatsForTest,
    dsn: str,
    port: int,
    agents: dict[str, str],
    more: Mapping[str, Mapping[str, str]],
) -> dict[str, ServiceProcess]:
    executor = {
        "slots": "2",
        "scripts_dir": str(folder / "scripts"),
        "allow_local_remotes": "true",
        "drain_grace_seconds": "5",
    } | agents
    orchestrator = {
        "database_url": dsn,
        "nats_monitor_url": nats.monitor_url,
        "pools": ",".join(POOLS),
        "leader_lease_seconds": "3",
        "reconcile_seconds": "0.5",
        "park_seconds_min": "0.5",
        "park_seconds_max": "2",
    }
    api = {
        "database_url": dsn,
        "http_port": str(port),
        "first_token_file": str(folder / "token"),
        "allow_local_remotes": "true",
    }
    notifier = {"secrets_dir": str(folder / "secrets"), "allow_private_webhooks": "true"}

    def one(module: str, user: str, name: str, settings: dict[str, str]) -> ServiceProcess:
        return ServiceProcess(module, user, nats, folder / name, **(settings | dict(more.get(name, {}))))

    return {
        "orchestrator": one("penstock_orchestrator", "orchestrator", "orchestrator", orchestrator),
        "orchestrator2": one("penstock_orchestrator", "orchestrator", "orchestrator2", orchestrator),
        "agent-exec": one(
            "penstock_agent_exec",
            "agent-exec",
            "agent-exec",
            executor | {"host": "h1", "data_dir": str(folder / "h1")},
        ),
        "agent-exec2": one(
            "penstock_agent_exec",
            "agent-exec",
            "agent-exec2",
            executor | {"host": "h2", "data_dir": str(folder / "h2")},
        ),
        "agent-exec3": one(
            "penstock_agent_exec",
            "agent-exec",
            "agent-exec3",
            executor | {"host": "h3", "data_dir": str(folder / "h3")},
        ),
        "notifier": one("penstock_notifier", "notifier", "notifier", notifier),
        "api": one("penstock_api", "api", "api", api),
    }


ONE_OF_EACH: Final = ("orchestrator", "agent-exec", "notifier", "api")
TWO_OF_SOME: Final = (*ONE_OF_EACH, "orchestrator2", "agent-exec2")


@asynccontextmanager
async def whole(
    folder: Path,
    names: Iterable[str] = (),
    *,
    model_url: str = "",
    programs: Mapping[str, str] | None = None,
    secrets_in_files: bool = False,
    more: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> AsyncIterator[Whole]:
    """Start it, wait until every part is ready, stop it. With PENSTOCK_TWO=1 every suite runs on two of some. `programs`: of
    agents, by vendor; Claude Code where there is one and nothing else is said. `more`: further settings, by service.
    `secrets_in_files`: no service has a secret in its environment."""
    if programs is None:
        programs = {"claude": claude} if (claude := agent_path("claude")) else {}
    names = tuple(names) or (TWO_OF_SOME if os.environ.get("PENSTOCK_TWO") == "1" else ONE_OF_EACH)
    for name in ("scripts", "secrets"):
        (folder / name).mkdir(parents=True)
    token = f"penstock_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
    (folder / "token").write_text(token)
    nats = NatsForTest(folder / "nats", sync_always=True)
    postgres = PostgresServer(folder / "postgres", password=secrets.token_hex(8), port=free_port())
    port = free_port()
    services = _services(folder, nats, postgres.dsn(), port, _agents(programs, model_url), more)
    if secrets_in_files:
        for service in services.values():
            service.keep_secrets_in_files()
    await asyncio.to_thread(nats.start)
    try:
        await asyncio.to_thread(postgres.start)
        await nats.provision()
        await migrate(postgres.dsn())
        for name in names:
            services[name].start()
        for name in names:
            await services[name].ready()
        nc = await nats.connect()
        http = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        running = {name: services[name] for name in dict.fromkeys((*names, *more))}
        try:
            house = Whole(folder, nats, postgres, running, http, nc, token)
            house.script("first-try-wrong", FIRST_TRY_WRONG)
            house.script("at-once", AT_ONCE)
            house.script("slow", SLOW)
            house.script("held", HELD)
            yield house
        finally:
            await http.aclose()
            await nc.close()
    finally:
        for service in services.values():
            service.end()
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(nats.kill)


def calc_remote(folder: Path) -> Remote:
    return Remote(folder, {"calc.py": CALC, "test_calc.py": CALC_TEST, ".gitignore": "__pycache__/\n"})


def python() -> str:
    return sys.executable


KILL: Final = signal.SIGKILL

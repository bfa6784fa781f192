"""The api over real servers, in the test's own loop, and what stands around it: a projector, and a stand-in for the
orchestrator that speaks the wire format.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import httpx2
import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from patience import WAIT_SECONDS_MAX
from ports import free_port
from servers import NatsForTest, PostgresForTest

from penstock import codec, ids
from penstock import subjects as s
from penstock.commands import (
    Accepted,
    CancelTask,
    Command,
    ContinueTask,
    Explained,
    ExplainTask,
    NotReady,
    PrioritizeTask,
    RefusedReply,
    Reply,
    RetryTask,
    SendMessage,
    StirPullRequest,
    Stirred,
    SubmitTask,
    Transition,
    UnblockTask,
    Why,
    WhyTask,
)
from penstock.events import KnownEvent, MessageAccepted, PriorityChanged, TaskCancelled, TaskSubmitted
from penstock.log import LogWriter
from penstock.output import OutputBatch, OutputLine
from penstock.service import Runtime
from penstock.settings import Secret
from penstock.values import RepoSnapshot, Usage
from penstock_api.__main__ import live
from penstock_api.settings import ApiSettings
from penstock_api.tokens import Role, fresh_token
from penstock_launcher import nats_conf
from penstock_orchestrator.memory_notes import Notes
from penstock_orchestrator.projector import Projector

DEADLINE_SECONDS: Final = WAIT_SECONDS_MAX
PAUSE_SECONDS: Final = 0.01
REPO: Final = RepoSnapshot(name="shop", clone_url="https://example.com/shop.git")
Mood = Literal["willing", "silent", "busy"]
WAITS: Final = (
    *("penstock_api.catalog.WRITE_SECONDS", "penstock_api.catalog.TABLE_SECONDS"),
    *("penstock_api.database.CONNECT_SECONDS", "penstock_api.database.ACQUIRE_SECONDS"),
    *("penstock_api.orders.ORDER_SECONDS_MAX", "penstock_api.orders.WHY_SECONDS"),
    *(f"penstock_api.routes.{room}.PROJECTION_SECONDS" for room in ("tasks", "talk", "memory")),
    "penstock_api.routes.submit.NEW_REPO_SECONDS",
)


@contextlib.contextmanager
def the_api_waits(seconds: float, *names: str) -> Iterator[None]:
    """So long for each of these limits, all of them where none is named. They are a second or a few, for people who ask again;
    in a house a slow machine may take its time, and a test of a limit makes it short while it tries it."""
    with pytest.MonkeyPatch.context() as patched:
        for name in names or WAITS:
            patched.setattr(name, seconds)
        yield


async def eventually(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Returns when the condition holds; fails when it does not come to."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(PAUSE_SECONDS)


def submitted(title: str = "Make it pass", fingerprint: str = "") -> TaskSubmitted:
    return TaskSubmitted(title=title, repo=REPO, fingerprint=fingerprint)


def cancelled() -> TaskCancelled:
    return TaskCancelled(cancelled_by="a test", usage=Usage())


class Orchestrator:
    """Decides like the real one as far as the api can see: one log entry per wish, the same answer for the same wish.
    `why`: what it says to that question; where it is None it is not ready to say. `told`: the history of every task, a page
    of `page` steps at a time. `follows`: tasks that follow any pull request."""

    def __init__(self, nc: Client) -> None:
        self.mood: Mood = "willing"
        self.refusals: deque[RefusedReply] = deque()
        self.heard: list[Command] = []
        self.why: Why | None = None
        self.told: tuple[Transition, ...] = ()
        self.page = 2
        self.follows: tuple[str, ...] = ()
        self.last: dict[str, int] = {}
        self._log = LogWriter(nc)
        self._wishes: dict[str, tuple[bytes, int]] = {}

    async def answer(self, message: Msg) -> None:
        command = codec.commands.decode(message.data)
        if isinstance(command, WhyTask):
            why = (
                NotReady(message="not now")
                if self.why is None
                else msgspec.structs.replace(self.why, task=command.task)
            )
            if self.mood != "silent":
                await message.respond(codec.encode(why))
            return
        self.heard.append(command)
        if self.mood == "silent":
            return
        await message.respond(codec.encode(await self._reply(command)))

    async def _reply(self, command: Command) -> Reply:
        if self.mood == "busy":
            return NotReady(message="the log is being folded")
        if self.refusals:
            return self.refusals.popleft()
        match command:
            case SubmitTask():
                # What the template says is the real one's business.
                title = "from the template" if command.title is msgspec.UNSET else command.title
                return await self._new(command, submitted(title))
            case RetryTask():
                return await self._new(command, submitted("once more"))
            case ContinueTask():
                return await self._new(command, submitted(command.title))
            case StirPullRequest():
                return Stirred(tasks=self.follows)
            case _ if command.task not in self.last:
                return RefusedReply(code="unknown_task", message=f"there is no task {command.task}", field="task")
            case ExplainTask():
                rest = tuple(one for one in self.told if one.seq > command.after)
                return Explained(task=command.task, transitions=rest[: self.page], more=len(rest) > self.page)
            case SendMessage():
                said = MessageAccepted(
                    message=command.id, text=command.text, sender=command.requested_by, from_task=command.as_agent_of
                )
                return await self._once(command.id, command.task, said)
            case PrioritizeTask():
                event = PriorityChanged(priority=command.priority, changed_by=command.requested_by)
                return await self._once(command.id, command.task, event)
            case CancelTask() | UnblockTask():
                return RefusedReply(code="not_possible", message="the task is not blocked")
            case _:
                return Accepted(task=command.task, seq=self.last[command.task])

    async def _new(self, command: SubmitTask | RetryTask | ContinueTask, event: TaskSubmitted) -> Reply:
        wish = msgspec.json.encode(msgspec.structs.replace(command, id="0" * 26))
        known = self._wishes.get(command.task)
        if known is not None and known[0] != wish:
            return RefusedReply(
                code="conflict", message="exists already and was asked for something else", field="task"
            )
        answer = await self._once(command.id, command.task, event)
        self._wishes[command.task] = (wish, answer.seq)
        return answer

    async def _once(self, command: str, task: str, event: KnownEvent) -> Accepted:
        if command not in self._wishes:
            self._wishes[command] = (b"", await self.append(task, event))
        return Accepted(task=task, seq=self._wishes[command][1])

    async def append(self, task: str, event: KnownEvent, repo: str = "shop", id: str = "") -> int:
        """One more event of the task, in the log; its sequence."""
        id = id or ids.fresh()
        body = codec.encode_event(
            event, id=id, repo=repo, task=task, at=datetime.now(UTC), causation_id=id, source="/penstock/test"
        )
        done = await self._log.append(
            repo=repo, task=task, type_=codec.type_of(event), id=id, body=body, after=self.last.get(task, 0)
        )
        self.last[task] = done.seq
        return done.seq


class SseFrame(NamedTuple):
    id: str
    event: str
    data: bytes


class House:
    """A running api. `client` has the admin's token."""

    def __init__(self, nats: NatsForTest, dsn: str, folder: Path, *, first_token: str = "", **settings: object) -> None:
        self.nats, self.dsn = nats, dsn
        self.admin_token = first_token or fresh_token()
        self.port = free_port()
        token_file = folder / f"first-token-{ids.fresh()}"
        token_file.write_text(self.admin_token)
        given: dict[str, object] = {"request_seconds_max": WAIT_SECONDS_MAX} | settings
        self.settings = ApiSettings(
            database_url=Secret(dsn),
            http_port=self.port,
            first_token_file=str(token_file),
            log_level="error",
            **given,  # type: ignore[arg-type]  # the settings that a test varies
        )
        self.runtime = Runtime("api")
        self.url = f"http://127.0.0.1:{self.port}"
        self.orchestrator: Orchestrator
        self.writer: Client
        self.executor: Client
        self.client: httpx2.AsyncClient
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> House:
        await self._stack.__aenter__()
        self._stack.enter_context(the_api_waits(WAIT_SECONDS_MAX))
        self.runtime._nc = await self._connected(nats_conf.API)
        self.writer = await self._connected(nats_conf.ORCHESTRATOR)
        self.executor = await self._connected(nats_conf.AGENT_EXEC)
        self.orchestrator = Orchestrator(self.writer)
        await self.start_orchestrator()
        self._projector = asyncio.create_task(self._project())
        self._live = asyncio.create_task(live(self.runtime, self.settings))
        self._stack.push_async_callback(self._end)
        self.client = await self._stack.enter_async_context(self.as_holder_of(self.admin_token))
        await eventually(lambda: not self.runtime.waiting_for)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.__aexit__(None, None, None)

    def as_holder_of(self, token: str) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=DEADLINE_SECONDS)

    async def start_orchestrator(self) -> None:
        self._subscription = await self.writer.subscribe("penstock.cmd.>", cb=self.orchestrator.answer)
        await self.writer.flush()

    async def stop_orchestrator(self) -> None:
        await self._subscription.unsubscribe()
        await self.writer.flush()

    async def restart_projector(self) -> None:
        self._projector.cancel()
        await asyncio.wait({self._projector})
        self._projector = asyncio.create_task(self._project())

    async def put_repo(self, name: str = "shop") -> None:
        answer = await self.client.put(f"/v1/repos/{name}", json={"clone_url": f"https://example.com/{name}.git"})
        assert answer.status_code == 200, answer.text

    async def token(self, role: Role, task: str | None = None) -> str:
        answer = await self.client.post("/v1/tokens", json={"name": role, "role": role, "task": task})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    async def submit(self, title: str = "Make it pass", **headers: str) -> str:
        """A task made over HTTP; its id."""
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        answer = await self.client.post("/v1/tasks", json={"repo": "shop", "title": title}, headers=names)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["task"])

    async def append(self, task: str, event: KnownEvent, repo: str = "shop", id: str = "") -> int:
        """One more event of the task, in the log; its sequence."""
        return await self.orchestrator.append(task, event, repo, id)

    async def print(self, task: str, number: int, text: str = "a line", repo: str = "shop", lines: int = 1) -> int:
        """One batch of the task's output, so many lines of that text; its sequence."""
        batch = OutputBatch(
            task=task,
            repo=repo,
            job=task,
            epoch=1,
            number=number,
            at=datetime.now(UTC),
            lines=(OutputLine(kind="text", text=text),) * lines,
        )
        subject = s.output(repo, task, task)
        ack = await self.executor.jetstream().publish(subject, codec.encode(batch), stream=s.OUTPUT)
        return ack.seq

    @contextlib.asynccontextmanager
    async def following(
        self, path: str, client: httpx2.AsyncClient | None = None, **headers: str
    ) -> AsyncGenerator[AsyncIterator[SseFrame]]:
        """The frames of a stream as they come. `last_event_id` becomes the header."""
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        async with (client or self.client).stream("GET", path, headers=names) as answer:
            assert answer.status_code == 200, (await answer.aread()).decode()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield frames_of(answer)

    async def _end(self) -> None:
        self.runtime.stop.set()
        await asyncio.wait_for(self._live, DEADLINE_SECONDS)
        self._projector.cancel()
        await asyncio.wait({self._projector})

    async def _connected(self, user: str) -> Client:
        nc = await self.nats.connect(user)
        self._stack.push_async_callback(nc.close)
        return nc

    async def _project(self) -> None:
        runtime = Runtime("projector")
        runtime._nc = self.writer
        await asyncio.gather(Projector(runtime, self.dsn).run(), Notes(runtime, self.dsn).run())


async def frames_of(answer: httpx2.Response) -> AsyncGenerator[SseFrame]:
    """Frames of a stream, without comments. As strict as a browser about what is a frame."""
    fields: dict[str, list[str]] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        else:
            if "data" in fields:
                yield SseFrame(fields["id"][-1], fields["event"][-1], "\n".join(fields["data"]).encode())
            fields = {}


async def take(frames: AsyncIterator[SseFrame], count: int) -> list[SseFrame]:
    """The next so many frames; fails when they do not come."""
    found: list[SseFrame] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(found) < count:
            found.append(await anext(frames))
    return found


@contextlib.contextmanager
def database_of(server: PostgresForTest) -> Iterator[str]:
    """The address of a fresh, migrated database. Not inside of a running loop."""
    name = server.create()
    try:
        yield server.server.dsn(name)
    finally:
        server.drop(name)


@contextlib.asynccontextmanager
async def house_for_many(
    folder: Path, dsn: str, *, request_seconds_max: float = WAIT_SECONDS_MAX
) -> AsyncGenerator[House]:
    """One running api for a whole file, over a broker of its own; every test uses names of its own."""
    nats = NatsForTest(folder / "nats")
    nats.start()
    try:
        await nats.provision()
        async with House(nats, dsn, folder, request_seconds_max=request_seconds_max) as running:
            await running.put_repo()
            yield running
    finally:
        nats.kill()

"""An agent's own line to its task while it works: a unix socket in its sandbox, at which it can read its inbox and ask a person.

The rule of this room: who speaks here is a stranger. What it can do is in `Request` and there is no more: nothing can be
approved, submitted or read of another task, because nothing of that is behind this socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Self, TypeAlias

import msgspec
from msgspec import Meta, Struct

from penstock_agent_exec.agents.facts import Decision
from penstock_agent_exec.sandbox import Bind, python_binds, python_program
from penstock_agent_exec.unix_socket import listening_at

PLACE: Final = "/workspace"
"""Inside: the folder with the socket `control` and the program `task`."""
PROGRAM: Final = Path(__file__).parent / "task_program.py"

REQUEST_BYTES_MAX: Final = 64 * 1024
REQUESTS_MAX: Final = 500
"""Of one run."""
CONNECTIONS_MAX: Final = 8
SECONDS_MAX: Final = 30.0
ASKED: Final = "A person is asked. End your turn now; the answer comes with your next message."

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=10_000)]


class _Request(Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    """What an agent may ask for."""


class Inbox(_Request, frozen=True, kw_only=True, tag="inbox"):
    """What was written to this task and has not been told."""


class Ask(_Request, frozen=True, kw_only=True, tag="ask"):
    """Have a person decide."""

    subject: Annotated[str, Meta(min_length=1, max_length=100)]
    question: Text
    options: Annotated[tuple[Text, ...], Meta(max_length=20)] = ()


class _Answer(Struct, frozen=True, kw_only=True):
    ok: bool
    text: str


Request: TypeAlias = Inbox | Ask


class Control:
    """Serves `<folder>/control` while it is open. `ask` takes a decision; `inbox` gives the texts that were not told, once each.
    Neither may wait."""

    def __init__(self, folder: Path, *, ask: Callable[[Decision], None], inbox: Callable[[], tuple[str, ...]]) -> None:
        self._folder = folder
        self._ask = ask
        self._inbox = inbox
        self._requests = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def binds(self) -> tuple[Bind, ...]:
        """What a sandbox needs to reach it."""
        folder = self._folder
        return (
            Bind(folder / "control", f"{PLACE}/control"),
            Bind(PROGRAM, f"{PLACE}/{PROGRAM.name}"),
            Bind(folder / "task", f"{PLACE}/task"),
            *python_binds(),
        )

    async def __aenter__(self) -> Self:
        run = shlex.join([str(python_program()), "-I", "-S", f"{PLACE}/{PROGRAM.name}"])
        (self._folder / "task").write_text(f'#!/bin/sh\nexec {run} "$@"\n')
        (self._folder / "task").chmod(0o555)
        listener = listening_at(self._folder / "control")
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=REQUEST_BYTES_MAX)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) < CONNECTIONS_MAX:
            self._connections.add(task)
            with contextlib.suppress(ConnectionError, TimeoutError, ValueError, asyncio.CancelledError):
                async with asyncio.timeout(SECONDS_MAX):
                    answer = self._answer(await reader.readline())
                    writer.write(msgspec.json.encode(answer) + b"\n")
                    await writer.drain()
            self._connections.discard(task)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _answer(self, line: bytes) -> _Answer:
        self._requests += 1
        if self._requests > REQUESTS_MAX:
            return _Answer(ok=False, text=f"not more than {REQUESTS_MAX} requests in one run")
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _Answer(ok=False, text=f"not understood: {str(error)[:500]}")
        if isinstance(request, Ask):
            self._ask(Decision(subject=request.subject, question=request.question, options=request.options))
            return _Answer(ok=True, text=ASKED)
        told = self._inbox()
        return _Answer(ok=True, text="\n\n".join(told) or "Nothing new.")

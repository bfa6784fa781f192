"""Given a stranger at the gate's socket, nothing but its dialect's own requests get out, with our key and no other."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from adapters.broker_world import PATHS, Answer, Api, Says, answer_of, ask, read_answer
from patience import WAIT_SECONDS_MAX

from penstock.settings import Secret
from penstock_agent_exec.broker import client as client_room
from penstock_agent_exec.broker.denials import Denial, Denials
from penstock_agent_exec.broker.dialect import Dialect, upstream_target
from penstock_agent_exec.broker.gate import CONNECTIONS_MAX, ModelGate

pytestmark = pytest.mark.anyio

EVERY = list(Dialect)
KEY = "sk-ours"
KEY_HEADERS = {"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "proxy-authorization"}


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        yield Path(folder) / "model"


@contextlib.asynccontextmanager
async def opened(
    path: Path, dialect: Dialect, denied: list[Denial] | None = None
) -> AsyncIterator[tuple[ModelGate, Api]]:
    async with Api(lambda asked: Says(body=answer_of(dialect))) as api:
        denials = Denials((denied if denied is not None else []).append)
        gate = ModelGate(path, upstream=api.base_url, key=Secret(KEY), dialect=dialect, denials=denials)
        async with gate:
            yield gate, api


async def say(path: Path, raw: bytes) -> Answer:
    """Whatever bytes, and what is answered to them."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    with contextlib.suppress(ConnectionError):
        writer.write(raw)
        await writer.drain()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        answer = await read_answer(reader)
    writer.close()
    return answer


OTHERS = (
    "GET {path}",
    "PUT {path}",
    "DELETE {path}",
    "POST {path}/",
    "POST {path}/../files",
    "POST {path};x=1",
    "POST {path}%00",
    "POST /{path}",
    "POST http://elsewhere.example{path}",
    "POST https://api.anthropic.com{path}",
    "POST /v1/files",
    "POST /v1/messages/batches",
    "POST /v1/organizations/x/api_keys",
    "GET /v1/models",
    "GET /v1/files/f/content",
    "POST /v1/responses/r1/cancel",
    "GET /v1/responses/r1",
    "POST /v1/embeddings",
    "POST /v1/images/generations",
    "POST /v1/fine_tuning/jobs",
    "POST /v1/chat/completions/../../files",
    "POST /v1beta/models/m:batchGenerateContent",
    "POST /v1beta/models/m:generateContent/x",
    "POST /v1beta/models/../files:generateContent",
    "POST /v1beta/models/a/b:generateContent",
    "POST /v1beta/models/%2e%2e:generateContent",
    "POST /v1beta/models/:generateContent",
    "POST /v1beta/tunedModels/m:generateContent",
    "POST /upload/v1beta/files",
    "POST /v1beta/cachedContents",
    "CONNECT elsewhere.example:443",
    "OPTIONS *",
    "TRACE {path}",
)


@pytest.mark.parametrize("dialect", EVERY)
async def test_every_other_request_is_refused_told_and_goes_nowhere(dialect: Dialect, socket_path: Path) -> None:
    path = PATHS[dialect].partition("?")[0]
    async with opened(socket_path, dialect) as (gate, api):
        for other in OTHERS:
            head = other.format(path=path)
            answer = await say(socket_path, f"{head} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            assert answer.status == 403, head
        assert api.asked == []
    assert len(gate.refused) == len(OTHERS)


@pytest.mark.parametrize("dialect", EVERY)
def test_what_one_dialect_asks_is_not_open_in_another(dialect: Dialect) -> None:
    for other in EVERY:
        is_open = upstream_target(dialect, "POST", PATHS[other]) is not None
        assert is_open is (other is dialect)


@pytest.mark.parametrize("dialect", EVERY)
async def test_whatever_the_client_shows_as_its_key_only_ours_goes_out(dialect: Dialect, socket_path: Path) -> None:
    own = [f"{name}: sk-theirs" for name in KEY_HEADERS]
    own += ["X-API-KEY: sk-theirs", "anthropic-auth: sk-theirs", "openai-organization: org-theirs"]
    own += ["x-goog-user-project: theirs", "x-forwarded-for: 10.0.0.1", "x-amz-security-token: sk-theirs", "host: y"]
    target = (
        PATHS[dialect].partition("?")[0] + "?key=sk-theirs&access_token=sk-theirs&alt=sse&beta=true&%6bey=sk-theirs"
    )
    async with opened(socket_path, dialect) as (_gate, api):
        answer = await ask(socket_path, dialect, target=target, headers=tuple(own[:-1]))
    assert answer.status == 200
    (asked,) = api.asked
    assert "theirs" not in asked.target
    assert not [name for name, value in asked.headers.items() if "theirs" in value]
    shown = {name: value for name, value in asked.headers.items() if name in KEY_HEADERS}
    assert list(shown.values()) in ([KEY], [f"Bearer {KEY}"])
    assert asked.headers["accept-encoding"] == "identity"


SMUGGLED = (
    # two lengths, and a request in what one of them leaves over
    b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    b"content-length: 0\r\ncontent-length: 60\r\n\r\n",
    b"content-length: 0, 60\r\n\r\n",
    b"content-length: +0\r\n\r\n",
    b"content-length: -1\r\n\r\n",
    b"content-length: 0x10\r\n\r\n",
    b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"content-length: 5\r\n\r\n",
    b"x: a\rtransfer-encoding: chunked\r\n\r\n",
    b"x: a\x00b\r\n\r\n",
    b"content-length: 99999999999999999999\r\n\r\n",
    b"upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n",
    b"expect: 100-continue\r\ncontent-length: 0\r\n\r\n",
)


@pytest.mark.parametrize("head", SMUGGLED)
async def test_no_request_is_smuggled_behind_another(head: bytes, socket_path: Path) -> None:
    hidden = b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    async with opened(socket_path, Dialect.ANTHROPIC) as (_gate, api):
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
        with contextlib.suppress(ConnectionError):
            writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n" + head + hidden)
            writer.write_eof()
            await reader.read()
        writer.close()
        # The gate is as it was.
        assert (await ask(socket_path, Dialect.ANTHROPIC)).status == 200
    assert {asked.target for asked in api.asked} == {"/v1/messages"}
    assert not [asked for asked in api.asked if "upgrade" in asked.headers or "expect" in asked.headers]


async def test_who_sends_ahead_without_end_is_let_go(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood behind a request that is being answered would be kept somewhere."""
    monkeypatch.setattr(client_room, "AHEAD_BYTES_MAX", 500_000)
    never = asyncio.Event()

    async def hang() -> AsyncIterator[bytes]:
        yield b"data: {}\n\n"
        await never.wait()

    async with (
        Api(lambda asked: Says(body=hang)) as api,
        ModelGate(socket_path, upstream=api.base_url, key=Secret(KEY)),
    ):
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
        writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
        await reader.readuntil(b"{}")
        sent_bytes = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while sent_bytes < 50_000_000:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
                    sent_bytes += 65_536
        writer.close()
    assert sent_bytes < 5_000_000


async def test_more_connections_than_there_may_be_are_ended_and_the_others_served(socket_path: Path) -> None:
    async with opened(socket_path, Dialect.CHAT) as (_gate, _api):
        held = [await asyncio.open_unix_connection(str(socket_path)) for _ in range(CONNECTIONS_MAX)]
        reader, late = await asyncio.open_unix_connection(str(socket_path))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert await reader.read() == b""
        late.close()
        for _, writer in held:
            writer.close()

        async def served() -> bool:
            with contextlib.suppress(ConnectionError):
                return (await ask(socket_path, Dialect.CHAT)).status == 200
            return False

        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not await served():
                pass


async def test_a_refused_request_is_told_once_and_then_counted(socket_path: Path) -> None:
    denied: list[Denial] = []
    async with opened(socket_path, Dialect.CHAT, denied) as (gate, _api):
        for _ in range(150):
            assert (await ask(socket_path, Dialect.CHAT, target="/v1/files?secret=1")).status == 403
    assert denied == [Denial("model", "POST /v1/files", "agents may not ask the model's API for this")]
    assert len(gate.refused) == 100

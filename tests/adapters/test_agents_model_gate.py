"""Given the gate's socket, a stranger reaches the model and nothing else; what passes is streamed, the key stays outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fake_model import Break, Fail, FakeModel, Hang, Say, Step, script
from patience import WAIT_SECONDS_MAX

from penstock.settings import Secret
from penstock_agent_exec.broker import client as gate_client
from penstock_agent_exec.broker import gate as model_gate
from penstock_agent_exec.broker.gate import ModelGate

pytestmark = pytest.mark.anyio

KEY = "sk-real"
BODY = json.dumps(
    {"model": "m", "stream": True, "tools": [{}], "messages": [{"role": "user", "content": "hi"}]}
).encode()


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        yield Path(folder) / "model.sock"


class Stranger:
    """A client that writes bytes as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, head: str, body: bytes = b"", *headers: str) -> None:
        lines = [f"{head} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)
        await self.writer.drain()

    async def heard(self, wanted: bytes) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            return await self.reader.readuntil(wanted)

    async def rest(self) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            return await self.reader.read()


@contextlib.asynccontextmanager
async def visit(socket_path: Path) -> AsyncIterator[Stranger]:
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    try:
        yield Stranger(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class Open:
    """A gate with a fake model behind it."""

    def __init__(self, socket_path: Path, *steps: Step) -> None:
        self.model = FakeModel(script(*steps))
        self.path = socket_path

    async def __aenter__(self) -> tuple[ModelGate, FakeModel]:
        await self.model.__aenter__()
        self.gate = ModelGate(self.path, upstream=self.model.base_url, key=Secret(KEY), clock=lambda: 1_000.0)
        await self.gate.__aenter__()
        return self.gate, self.model

    async def __aexit__(self, *_: object) -> None:
        await self.gate.__aexit__(None, None, None)
        await self.model.__aexit__(None, None, None)


async def test_a_request_arrives_with_the_real_key_and_none_of_the_clients(socket_path: Path) -> None:
    async with Open(socket_path, Say("hello")) as (gate, model), visit(socket_path) as client:
        shown = [
            "x-api-key: sk-mine",
            "authorization: Bearer mine",
            "cookie: a=b",
            "x-goog-api-key: mine",
            "x-app: cli",
        ]
        await client.ask("POST /v1/messages?beta=true", BODY, *shown, "connection: close")
        answer = await client.rest()
        headers = model.requests[0].headers
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"message_stop" in answer
    assert headers["x-api-key"] == KEY
    assert headers["x-app"] == "cli"
    assert not {"authorization", "cookie", "x-goog-api-key"} & set(headers)
    assert gate.refused == []


@pytest.mark.parametrize(
    "head",
    [
        "GET /v1/messages",
        "POST /v1/files",
        "POST /v1/messages/batches",
        "POST /v1/messages/",
        "POST /v1/messages/../files",
        "POST /v1/%6dessages",
        "POST //v1/messages",
        "POST /v1/messages;x",
        "POST http://elsewhere.example/v1/messages",
        "DELETE /v1/messages",
        "GET /",
        "CONNECT elsewhere.example:443",
        "OPTIONS *",
    ],
)
async def test_every_other_request_is_refused_and_noted(socket_path: Path, head: str) -> None:
    async with Open(socket_path, Say("hello")) as (gate, model), visit(socket_path) as client:
        await client.ask(head)
        answer = await client.rest()
        assert model.requests == []
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"permission_error" in answer
    assert len(gate.refused) == 1


@pytest.mark.parametrize(
    "noise",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GARBAGE\r\n\r\n", b"POST /v1/messages HTTP/1.1\r\n\r\n", b"x" * 200_000],
)
async def test_what_is_no_request_ends_the_connection_and_nothing_else(socket_path: Path, noise: bytes) -> None:
    async with Open(socket_path, Say("hello")) as (_gate, model), visit(socket_path) as client:
        client.writer.write(noise)
        client.writer.write_eof()
        assert b"200" not in await client.rest()
        async with visit(socket_path) as other:
            await other.ask("POST /v1/messages", BODY, "connection: close")
            assert b"message_stop" in await other.rest()
            assert len(model.requests) == 1


async def test_an_answer_is_passed_on_while_it_is_being_made(socket_path: Path) -> None:
    async with Open(socket_path, Hang("some words, then silence")) as (_gate, model), visit(socket_path) as client:
        await client.ask("POST /v1/messages", BODY)
        assert b"some " in await client.heard(b"some ")
        client.writer.close()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await model.model_requests[0].abandoned.wait()


async def test_a_client_that_leaves_before_any_answer_leaves_no_request_behind(socket_path: Path) -> None:
    async with Open(socket_path, Hang()) as (_gate, model), visit(socket_path) as client:
        await client.ask("POST /v1/messages", BODY)
        seen = await model.arrived(1)
        client.writer.close()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await seen.abandoned.wait()


async def test_an_answer_that_is_cut_off_reaches_the_client_cut_off(socket_path: Path) -> None:
    async with Open(socket_path, Break("cut")) as (_gate, _model), visit(socket_path) as client:
        await client.ask("POST /v1/messages", BODY, "connection: close")
        answer = await client.rest()
    assert b"message_start" in answer
    assert not answer.endswith(b"0\r\n\r\n")


async def test_one_connection_takes_many_requests(socket_path: Path) -> None:
    async with Open(socket_path, Say("hello")) as (_gate, model), visit(socket_path) as client:
        await client.ask("HEAD /")
        assert (await client.heard(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        for _ in range(3):
            await client.ask("POST /v1/messages", BODY)
            assert b"message_stop" in await client.heard(b"0\r\n\r\n")
        assert len(model.requests) == 4


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_a_model_behind_tls_is_reached_if_its_certificate_is_trusted(
    socket_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    new += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(new, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with FakeModel(script(Say("hello")), tls) as model:
        answers = []
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        for trusted in (False, True):
            if trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            model_gate._certificates.cache_clear()
            async with ModelGate(socket_path, upstream=model.base_url, key=Secret(KEY)), visit(socket_path) as client:
                await client.ask("POST /v1/messages", BODY, "connection: close")
                answers.append(await client.rest())
    model_gate._certificates.cache_clear()
    assert answers[0].startswith(b"HTTP/1.1 502")
    assert b"message_stop" in answers[1]


async def test_a_model_that_cannot_be_reached_is_a_502(socket_path: Path) -> None:
    async with ModelGate(socket_path, upstream="http://127.0.0.1:9", key=Secret(KEY)), visit(socket_path) as client:
        await client.ask("POST /v1/messages", BODY)
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 502")
    assert KEY.encode() not in answer


async def test_a_body_without_end_is_not_passed_on_for_ever(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_client, "BODY_BYTES_MAX", 100_000)
    async with Open(socket_path, Say("hello")) as (_gate, model), visit(socket_path) as client:
        await client.ask("POST /v1/messages", b"x" * 200_000)
        assert b"200" not in await client.rest()
        assert model.requests == []


@pytest.mark.parametrize(
    ("status", "headers", "resets_at"),
    [
        (429, {"retry-after": "60"}, 1_060.0),
        (429, {"anthropic-ratelimit-unified-reset": "5000", "retry-after": "60"}, 5_000.0),
        (529, {}, 0.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        (429, {"retry-after": "nan"}, 0.0),
    ],
)
async def test_a_refusal_for_a_limit_is_noted_with_its_end(
    socket_path: Path, status: int, headers: dict[str, str], resets_at: float
) -> None:
    refusal = Fail(status, "rate_limit_error", "slow down", headers)
    async with Open(socket_path, refusal) as (gate, _model), visit(socket_path) as client:
        await client.ask("POST /v1/messages", BODY, "connection: close")
        answer = await client.rest()
    assert answer.startswith(f"HTTP/1.1 {status}".encode())
    assert gate.rate_limited is not None
    assert gate.rate_limited.resets_at == resets_at


async def test_the_socket_is_for_its_owner_alone_and_goes_with_the_gate(socket_path: Path) -> None:
    socket_path.write_text("left behind by one that was killed")
    async with Open(socket_path, Say("hello")):
        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    assert not socket_path.exists()

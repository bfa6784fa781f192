"""The admin port and its client: right answers, and nothing a client does can hold it up."""

from __future__ import annotations

import asyncio
import json

import pytest
from patience import WAIT_SECONDS_MAX

from penstock import CONTRACT_VERSION, admin, health
from penstock.admin import admin_port

pytestmark = pytest.mark.anyio


async def talk(port: int, sent: bytes, *, half_close: bool = False) -> bytes:
    """Everything that is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_it_says_what_it_knows() -> None:
    problems: list[str] = []
    async with admin_port("notifier", "127.0.0.1", 0, lambda: problems) as port:
        assert (await talk(port, get("/healthz"))).endswith(b"\r\n\r\nok\n")
        assert b" 200 OK" in await talk(port, get("/readyz?verbose=1"))
        problems.append("nats: not connected")
        answer = await talk(port, get("/readyz"))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.split(b"\r\n\r\n")[1]) == {"ready": False, "problems": ["nats: not connected"]}
        version = json.loads((await talk(port, get("/version"))).split(b"\r\n\r\n")[1])
        assert (version["service"], version["contract"]) == ("notifier", CONTRACT_VERSION)
        assert version["version"] != "unknown"
        assert b"python_info" in await talk(port, get("/metrics"))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get("/"), b"404"),
        (get("/healthz/x"), b"404"),
        (get("/../../etc/passwd"), b"404"),
        (get("http://127.0.0.1/healthz"), b"404"),
        (get("/healthz", "POST"), b"405"),
        (get("/healthz", "DELETE"), b"405"),
        (b"\r\n\r\n", b"405"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"405"),
        (b"GET\r\n\r\n", b"405"),
    ],
)
async def test_what_it_does_not_know_is_refused(sent: bytes, status: bytes) -> None:
    async with admin_port("notifier", "127.0.0.1", 0, list) as port:
        assert (await talk(port, sent, half_close=True)).split(b" ")[1] == status


async def test_a_huge_line_is_not_read_to_its_end() -> None:
    async with admin_port("notifier", "127.0.0.1", 0, list) as port:
        for huge in (b"GET /" + b"a" * 1_000_000, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 1_000_000):
            assert b"200" not in await talk(port, huge + b"\r\n\r\n")
        assert b"200 OK" in await talk(port, get("/healthz"))


async def test_endless_headers_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One short header line after the other, never the empty one."""
    monkeypatch.setattr(admin, "REQUEST_SECONDS_MAX", 0.5)
    async with admin_port("notifier", "127.0.0.1", 0, list) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                # The end of the connection, in whichever way: that it comes is the point.
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await reader.readexactly(1)
        finally:
            dripping.cancel()
            writer.close()


async def test_silent_clients_do_not_keep_it_from_answering_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # Also the time of the one who does speak, on a machine that is short of breath.
    monkeypatch.setattr(admin, "REQUEST_SECONDS_MAX", 3.0)
    async with admin_port("notifier", "127.0.0.1", 0, list) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        assert b"200 OK" in await talk(port, get("/healthz"))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert [await reader.read() for reader, _ in silent] == [b""] * 50
        for _, writer in silent:
            writer.close()


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with admin_port("notifier", "127.0.0.1", 0, list) as port:
        with pytest.raises(OSError, match="in use"):
            async with admin_port("notifier", "127.0.0.1", port, list):
                pytest.fail("it shares the port")


async def test_a_health_check_follows_readiness(capsys: pytest.CaptureFixture[str]) -> None:
    problems: list[str] = []
    async with admin_port("notifier", "127.0.0.1", 0, lambda: problems) as port:
        url = f"http://127.0.0.1:{port}/readyz"
        assert await asyncio.to_thread(health.main, [url]) == 0
        problems.append("nats: not connected")
        assert await asyncio.to_thread(health.main, [url]) == 1
        assert "nats: not connected" in capsys.readouterr().out
    assert await asyncio.to_thread(health.main, [url]) == 1
    assert health.main(["not a url"]) == 1
    assert health.main([]) == 2

"""Given a program that knows no unix sockets, in a real sandbox without a network, its loopback leads out and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from adapters.broker_world import Api, Says, answer_of
from patience import WAIT_SECONDS_MAX
from ports import free_port
from process_watch import alive_with, seconds_until

from penstock.settings import Secret
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.gate import ModelGate
from penstock_agent_exec.loopback import LOOPBACK_PROGRAM
from penstock_agent_exec.process import Ending, Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

PORT = 8009


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="loop-") as name:
        yield Path(name)


async def inside(script: str, socket_path: Path, *, port: int = PORT, seconds: float = 60) -> tuple[Ending, str]:
    """What a Python program prints that runs behind the loopback program in the sandbox."""
    printed: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        printed.append(chunk)

    binds = (*python_binds(), Bind(LOOPBACK_PROGRAM), Bind(socket_path))
    python = str(python_program())
    own = [python, "-I", "-S", "-c", textwrap.dedent(script)]
    argv = [python, "-I", "-S", str(LOOPBACK_PROGRAM), f"{port}={socket_path}", "--", *own]
    watch = Watch(wall_seconds=seconds)
    ending = await run_child(argv, Profile(cwd="/", binds=binds), watch=watch, on_stdout=keep, on_stderr=keep)
    return ending, b"".join(printed).decode()


class Echo:
    """A unix socket that says back what it hears, and ends when its client has; `open_now` are its connections."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open_now = 0
        self.most = 0

    async def __aenter__(self) -> Echo:
        self._server = await asyncio.start_unix_server(self._serve, path=str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.most = max(self.most, self.open_now)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.write(b"<end>")
            await writer.drain()
        writer.close()
        self.open_now -= 1


@pytest.mark.parametrize("depth", ["", "deep/" * 40], ids=["short", "longer than a socket's address"])
async def test_a_request_goes_out_and_its_answer_comes_in(folder: Path, depth: str) -> None:
    place = folder / depth
    place.mkdir(parents=True, exist_ok=True)
    async with Api(lambda asked: Says(body=answer_of(Dialect.CHAT))) as api:
        gate = ModelGate(place / "model", upstream=api.base_url, key=Secret("real"), dialect=Dialect.CHAT)
        async with gate:
            ending, printed = await inside(
                """
                import http.client
                one = http.client.HTTPConnection("127.0.0.1", 8009, timeout=120)
                for _ in range(3):
                    one.request("POST", "/v1/chat/completions", b"{}", {"authorization": "Bearer mine"})
                    answer = one.getresponse()
                    print(answer.status, len(answer.read()))
                """,
                gate.socket_path,
            )
    assert ending.exit_code == 0, printed
    assert printed.split() == ["200", str(len(answer_of(Dialect.CHAT)))] * 3
    assert [asked.headers["authorization"] for asked in api.asked] == ["Bearer real"] * 3


async def test_an_end_in_one_direction_leaves_the_other_open(folder: Path) -> None:
    async with Echo(folder / "echo") as echo:
        ending, printed = await inside(
            """
            import socket
            one = socket.create_connection(("127.0.0.1", 8009), timeout=120)
            one.sendall(b"hello")
            one.shutdown(socket.SHUT_WR)
            heard = b""
            while data := one.recv(65536):
                heard += data
            print(heard.decode())
            """,
            echo.path,
        )
    assert (ending.exit_code, printed.strip()) == (0, "hello<end>")


async def test_who_is_slow_makes_the_other_side_wait_and_loses_nothing(folder: Path) -> None:
    async with Echo(folder / "echo") as echo:
        ending, printed = await inside(
            """
            import hashlib, os, socket, threading
            one = socket.create_connection(("127.0.0.1", 8009), timeout=120)
            sent, heard = hashlib.sha256(), hashlib.sha256()
            def send():
                for n in range(200):
                    part = os.urandom(50_000)
                    sent.update(part)
                    one.sendall(part)
                sent.update(b"<end>")
                one.shutdown(socket.SHUT_WR)
            thread = threading.Thread(target=send)
            thread.start()
            while data := one.recv(1_000_000):
                heard.update(data)
            thread.join()
            print(sent.hexdigest() == heard.hexdigest())
            """,
            echo.path,
        )
    assert (ending.exit_code, printed.strip()) == (0, "True")


async def test_an_answer_arrives_though_the_gate_has_not_read_the_request(folder: Path) -> None:
    async with ModelGate(folder / "model", upstream="http://127.0.0.1:9", key=Secret("k")) as gate:
        ending, printed = await inside(
            """
            import http.client
            one = http.client.HTTPConnection("127.0.0.1", 8009, timeout=120)
            one.request("POST", "/v1/files", b"x" * 2_000_000)
            print(one.getresponse().status)
            """,
            gate.socket_path,
        )
    assert (ending.exit_code, printed.strip()) == (0, "403")


async def test_many_come_and_go_and_nothing_is_left_of_them(folder: Path) -> None:
    async with Echo(folder / "echo") as echo:
        ending, printed = await inside(
            """
            import os, socket, threading, time
            def others():
                return [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())]
            def fds():
                count = 0
                for pid in others():
                    try:
                        count = max(count, len(os.listdir(f"/proc/{pid}/fd")))
                    except PermissionError:
                        pass
                return count
            before = fds()
            kept = []
            def visit(n):
                one = socket.create_connection(("127.0.0.1", 8009), timeout=120)
                one.sendall(b"%d" % n)
                assert one.recv(100) == b"%d" % n
                if n % 3 == 0:
                    one.close()
                elif n % 3 == 1:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\x01\\0\\0\\0\\0\\0\\0\\0")
                    one.close()
                else:
                    one.shutdown(socket.SHUT_WR)
                    while one.recv(100):
                        pass
                    one.close()
            for _ in range(3):
                threads = [threading.Thread(target=visit, args=(n,)) for n in range(100)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
            deadline = time.monotonic() + 120
            while fds() > before and time.monotonic() < deadline:
                time.sleep(0.05)
            print(before > 0, fds() == before)
            """,
            echo.path,
        )
    assert (ending.exit_code, printed.strip()) == (0, "True True")
    assert echo.most <= 64


async def test_beyond_the_bound_they_wait_and_are_served_in_the_end(folder: Path) -> None:
    async with Echo(folder / "echo") as echo:
        ending, printed = await inside(
            """
            import socket
            held = []
            for n in range(64):
                one = socket.create_connection(("127.0.0.1", 8009), timeout=120)
                one.sendall(b"x"); assert one.recv(1) == b"x"
                held.append(one)
            late = socket.create_connection(("127.0.0.1", 8009), timeout=120)
            late.sendall(b"late")
            late.settimeout(0.3)
            try:
                print(late.recv(10))
            except TimeoutError:
                print("waits")
            held.pop().close()
            late.settimeout(120)
            print(late.recv(10).decode())
            """,
            echo.path,
        )
    assert (ending.exit_code, printed.split()) == (0, ["waits", "late"])


async def test_nothing_else_of_the_loopback_or_the_world_is_reached(folder: Path) -> None:
    async with Api(lambda asked: Says(body=b"")) as api:
        port = int(api.base_url.rpartition(":")[2])
        async with Echo(folder / "echo") as echo:
            ending, printed = await inside(
                f"""
                import socket
                for where in (("127.0.0.1", {port}), ("127.0.0.2", 8009), ("1.1.1.1", 443), ("169.254.169.254", 80)):
                    try:
                        socket.create_connection(where, timeout=3)
                        print("reached", where)
                    except OSError as error:
                        print("no")
                """,
                echo.path,
            )
    assert (ending.exit_code, printed.split()) == (0, ["no"] * 4)
    assert api.asked == []


async def test_where_the_socket_is_gone_a_connection_just_ends(folder: Path) -> None:
    path = folder / "nobody"
    path.touch()
    ending, printed = await inside(
        """
        import socket
        one = socket.create_connection(("127.0.0.1", 8009), timeout=120)
        try:
            print(one.recv(10))
        except ConnectionError:
            print(b"")
        """,
        path,
    )
    assert (ending.exit_code, printed.strip()) == (0, "b''")


async def test_it_has_no_thread_and_no_child_for_a_program_to_stumble_over(folder: Path) -> None:
    async with Echo(folder / "echo") as echo:
        ending, printed = await inside(
            """
            import json, os, socket
            links = [socket.create_connection(("127.0.0.1", 8009), timeout=120) for _ in range(20)]
            for one in links:
                one.sendall(b"x"); one.recv(1)
            tasks = {}
            for pid in os.listdir("/proc"):
                if pid.isdigit() and int(pid) not in (1, os.getpid()):
                    tasks[pid] = len(os.listdir(f"/proc/{pid}/task"))
            mine = [open(f"/proc/{pid}/stat").read().split(")")[-1].split()[1] for pid in tasks]
            print(json.dumps([list(tasks.values()), str(os.getpid()) in mine]))
            """,
            echo.path,
        )
    assert ending.exit_code == 0, printed
    assert json.loads(printed) == [[1], False]


@pytest.fixture
async def outside(folder: Path) -> AsyncIterator[int]:
    """Its own process and the one that forwards, without a sandbox: nobody ends them but themselves."""
    async with Echo(folder / "echo") as echo:
        port = free_port()
        argv = ["-I", "-S", str(LOOPBACK_PROGRAM), f"{port}={echo.path}", "--", "sleep", "0.5"]
        child = await asyncio.create_subprocess_exec(sys.executable, *argv)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert await child.wait() == 0
        yield port


async def test_without_a_sandbox_it_ends_with_the_program(outside: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", outside)
            except OSError:
                break
            writer.close()
            await asyncio.sleep(0.05)
    # It stops listening first.
    await seconds_until(lambda: not alive_with(f"{outside}="))

"""Given a repo's list of hosts, its sandboxes reach these and nothing else, and every refusal is told."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from adapters.broker_world import Api, Asked, Says, read_answer
from patience import WAIT_SECONDS_MAX

from penstock.addresses import is_public
from penstock_agent_exec.broker import tunnel
from penstock_agent_exec.broker.addresses import Opened, Refused, parse_destination
from penstock_agent_exec.broker.denials import TOLD_MAX, Denial, Denials
from penstock_agent_exec.broker.egress import EgressProxy
from penstock_agent_exec.broker.tunnel import Streams
from penstock_agent_exec.loopback import LOOPBACK_PROGRAM
from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program
from penstock_agent_exec.sandbox_probe import probe

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
OPEN = ("registry.example:443", "registry.example:80", "*.files.example:443", "odd.example:8443")

# What a name on the list may not lead to.
NOT_PUBLIC = (
    # this host, in both families and in each other's clothes
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:7f00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    # private networks
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "::ffff:10.0.0.1",
    "::ffff:192.168.1.1",
    "64:ff9b::10.0.0.1",
    "2002:a00:1::1",
    "2002:c0a8:1::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fdff:ffff::1",
    "fec0::1",
    # link-local, and what clouds tell their machines
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.169.123",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.170",
    # documentation, benchmarks, relays, reserved, many at once
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "198.18.0.1",
    "198.19.255.255",
    "192.88.99.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    # no address at all
    "",
    "localhost",
    "1",
    "0x7f000001",
    "fe80::1%eth0",
)

# What a list never opens, however it is written.
NO_NAMES = (
    "registry.example:000001" + "9" * 5_000,
    "127.0.0.1:443",
    "127.1:443",
    "2130706433:443",
    "0x7f.0.0.1:443",
    "0177.0.0.1:443",
    "[::1]:443",
    "[::ffff:127.0.0.1]:443",
    "::1:443",
    "169.254.169.254:80",
    "localhost:443",
    "LOCALHOST:443",
    "registry.example",
    "registry.example:",
    "registry.example:0",
    "registry.example:65536",
    "registry.example:4433333333",
    "registry.example:-443",
    "registry.example:+443",
    "registry.example:４４３",
    "registry.example@evil.example:443",
    "evil.example#registry.example:443",
    "registry.example\x00.evil.example:443",
    "registry..example:443",
    ".registry.example:443",
    "-registry.example:443",
    "registry.example..:443",
    "①②⑦.⓪.⓪.①:443",
    "x" * 300 + ".example:443",
    "*.files.example:443",
    "/etc/passwd:443",
    ":443",
    "",
)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_of_the_open_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:82f::200e"])
def test_an_address_of_the_open_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_is_no_name_with_a_port_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_destination(text)


@pytest.mark.parametrize(
    ("host", "port", "opened"),
    [
        ("registry.example", 443, True),
        ("registry.example", 80, True),
        ("registry.example", 22, False),
        ("evil-registry.example", 443, False),
        ("www.registry.example", 443, False),
        ("registry.example.evil.example", 443, False),
        ("a.files.example", 443, True),
        ("a.b.files.example", 443, True),
        ("files.example", 443, False),
        ("evilfiles.example", 443, False),
        ("a.files.example", 80, False),
        ("odd.example", 8443, True),
        ("odd.example", 443, False),
        ("example", 443, False),
    ],
)
def test_a_list_opens_exactly_what_it_names(host: str, port: int, opened: bool) -> None:
    assert ((host, port) in Opened(OPEN)) is opened


def test_case_and_a_last_dot_do_not_matter() -> None:
    assert parse_destination("Registry.EXAMPLE.:443") == ("registry.example", 443)


# -- through the proxy ---------------------------------------------------------------------------------------------------


class World:
    """A proxy, what names resolve to, and a server that stands for the whole internet. `dialled` are the addresses asked for."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "egress"
        self.names: dict[str, tuple[str, ...]] = {}
        self.looked_up: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.denied: list[Denial] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def open(self, port: int, entries: tuple[str, ...] = OPEN) -> AsyncIterator[EgressProxy]:
        self.port = port
        denials = Denials(self.denied.append)
        proxy = EgressProxy(self.path, entries, denials=denials, resolve=self.resolve, dial=self.dial)
        async with proxy:
            yield proxy
        denials.end()

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        self.looked_up.append(host)
        if host not in self.names:
            raise OSError("no such name")
        return self.names[host]

    async def dial(self, address: str, port: int) -> Streams:
        self.dialled.append((address, port))
        if address == "93.184.216.1":
            raise ConnectionRefusedError
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, head: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the proxy's answer."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(head.encode("utf-8") + b"\r\n\r\n" + body)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            answer = await read_answer(reader)
        writer.close()
        return answer.status, answer.body

    async def connect(self, target: str) -> int:
        """The status of the answer to a CONNECT."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            line = await reader.readline()
        writer.close()
        return int(line.split()[1]) if line else 0


@pytest.fixture
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="way-") as folder:
        found = World(Path(folder))
        found.names = {"registry.example": (PUBLIC,), "a.files.example": (PUBLIC,), "odd.example": (PUBLIC,)}
        yield found


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_on_the_list_that_leads_inside_is_refused_and_not_dialled(address: str, world: World) -> None:
    for found in ((address,), (PUBLIC, address), (address, PUBLIC)):
        world.names["registry.example"] = found
        async with world.open(9):
            assert await world.connect("registry.example:443") == 403
    assert world.dialled == []
    assert [(denial.what, denial.target) for denial in world.denied] == [("egress", "registry.example:443")] * 3


@pytest.mark.parametrize("target", [name for name in NO_NAMES if name.isascii() and name.isprintable() and name])
async def test_what_is_no_name_is_not_even_looked_up(target: str, world: World) -> None:
    async with world.open(9):
        assert await world.connect(target) in (403, 0)
    assert world.dialled == []
    assert world.looked_up == []


async def test_a_name_that_is_not_on_the_list_is_not_looked_up_either(world: World) -> None:
    async with world.open(9):
        assert await world.connect("my-secret.evil.example:443") == 403
        assert await world.connect("registry.example:22") == 403
    assert (world.looked_up, world.dialled) == ([], [])
    assert world.denied == [
        Denial("egress", "my-secret.evil.example:443", "it is not open to this repo"),
        Denial("egress", "registry.example:22", "it is not open to this repo"),
    ]


async def test_a_name_is_looked_up_once_and_the_checked_address_is_the_one_dialled(world: World) -> None:
    """A second look-up would give another answer."""
    answers = [(PUBLIC,), ("127.0.0.1",)]

    async def rebinding(host: str, port: int) -> tuple[str, ...]:
        return answers.pop(0)

    world.resolve = rebinding  # type: ignore[method-assign]  # the resolver of this one
    async with Api(lambda asked: Says(body=b"here")) as api, world.open(int(api.base_url.rpartition(":")[2])):
        assert await world.connect("registry.example:443") == 200
    assert world.dialled == [(PUBLIC, 443)]
    assert len(answers) == 1


async def test_the_next_address_is_tried_where_one_does_not_answer(world: World) -> None:
    world.names["registry.example"] = ("93.184.216.1", PUBLIC)
    async with Api(lambda asked: Says(body=b"here")) as api, world.open(int(api.base_url.rpartition(":")[2])):
        assert await world.connect("registry.example:443") == 200
    assert [address for address, _ in world.dialled] == ["93.184.216.1", PUBLIC]


async def test_a_name_without_an_address_and_a_host_that_is_down_are_no_denials(world: World) -> None:
    world.names["odd.example"] = ("93.184.216.1",)
    async with world.open(9):
        assert await world.connect("a.b.files.example:443") == 502
        assert await world.connect("odd.example:8443") == 502
    assert world.denied == []


async def test_a_tunnel_carries_both_ways_and_an_end_in_one_leaves_the_other(world: World) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read()
        writer.write(heard.upper() + b"!" * 1_000_000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server, world.open(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_unix_connection(str(world.path))
        # What comes right behind the request belongs to the tunnel.
        writer.write(b"CONNECT a.files.example:443 HTTP/1.1\r\nhost: x\r\n\r\nhello ")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"world")
            writer.write_eof()
            assert await reader.read() == b"HELLO WORLD" + b"!" * 1_000_000
        writer.close()
    assert (proxy.traffic.sent_bytes, proxy.traffic.received_bytes) == (11, 1_000_011)


async def test_a_plain_request_is_framed_anew_and_what_follows_it_stays_inside(world: World) -> None:
    async with (
        Api(lambda asked: Says(body=b"page")) as api,
        world.open(int(api.base_url.rpartition(":")[2])),
    ):
        status, body = await world.ask(
            "POST http://registry.example/simple?q=1 HTTP/1.1\r\nhost: evil.example\r\nproxy-authorization: Basic eA==\r\n"
            "connection: keep-alive\r\nx-own: 1\r\ncontent-length: 5",
            b"helloGET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        )
    assert (status, body) == (200, b"page")
    (asked,) = api.asked
    assert (asked.method, asked.target, asked.body_bytes) == ("POST", "/simple?q=1", 5)
    assert asked.headers["host"] == "registry.example"
    assert "proxy-authorization" not in asked.headers
    assert asked.headers["x-own"] == "1"
    assert world.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nhost: registry.example",
        "GET https://registry.example/ HTTP/1.1\r\nhost: x",
        "GET ftp://registry.example/ HTTP/1.1\r\nhost: x",
        "GET http://user:pw@registry.example/ HTTP/1.1\r\nhost: x",
        "GET http://registry.example@evil.example/ HTTP/1.1\r\nhost: x",
        "GET http://evil.example/ HTTP/1.1\r\nhost: registry.example",
        "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nhost: registry.example",
        "GET http://[::1]/ HTTP/1.1\r\nhost: registry.example",
        "GET http://[::1 HTTP/1.1\r\nhost: registry.example",
        "GET //registry.example/ HTTP/1.1\r\nhost: x",
        "GET http:/registry.example/ HTTP/1.1\r\nhost: x",
        "OPTIONS * HTTP/1.1\r\nhost: x",
        "CONNECT http://registry.example:443/ HTTP/1.1\r\nhost: x",
        "CONNECT /var/run/docker.sock HTTP/1.1\r\nhost: x",
    ],
)
async def test_every_other_form_is_refused_and_told(head: str, world: World) -> None:
    async with world.open(9):
        status, _ = await world.ask(head)
    assert status == 403
    assert world.dialled == []
    assert len(world.denied) == 1


@pytest.mark.parametrize(
    "noise", [b"\x05\x01\x00", b"\x16\x03\x01\x02\x00\x01\x00", b"GARBAGE\r\n\r\n", b"x" * 200_000, b""]
)
async def test_what_is_no_request_ends_the_connection(noise: bytes, world: World) -> None:
    async with world.open(9):
        reader, writer = await asyncio.open_unix_connection(str(world.path))
        writer.write(noise)
        writer.write_eof()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert b"200" not in await reader.read()
        writer.close()
        assert await world.connect("evil.example:443") == 403


async def test_a_job_that_sends_too_much_is_cut_off_and_that_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "SENT_BYTES_MAX", 1_000_000)

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server, world.open(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_unix_connection(str(world.path))
        writer.write(b"CONNECT registry.example:443 HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                writer.write(b"x" * 65_536)
                await writer.drain()
            await reader.read()
        writer.close()
        assert proxy.traffic.sent_bytes < 1_200_000
        assert await world.connect("a.files.example:443") == 403
    assert [denial.reason for denial in world.denied][-1].startswith("this job has sent")


async def test_many_denials_are_told_one_by_one_only_at_first() -> None:
    told: list[Denial] = []
    denials = Denials(told.append)
    for n in range(1_000):
        denials.note("egress", f"h{n % 50}.example:443", "no")
        denials.note("model", "GET /v1/models", "no")
    assert len(told) == TOLD_MAX
    denials.end()
    assert sum(denial.count for denial in told) == 2_000
    assert {(denial.what, denial.target) for denial in told[TOLD_MAX:]} == {("egress", ""), ("model", "")}
    denials.end()
    assert sum(denial.count for denial in told) == 2_000


# -- from a real sandbox -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not probe().ok, reason=probe().message)
async def test_a_program_in_the_sandbox_reaches_what_is_open_by_its_usual_environment(world: World) -> None:
    def page(asked: Asked) -> Says:
        return Says(headers={"content-type": "text/plain"}, body=f"{asked.target} of {asked.headers['host']}".encode())

    script = """
        import urllib.request, urllib.error, socket
        print(urllib.request.urlopen("http://registry.example/simple/", timeout=120).read().decode())
        for url in ("http://evil.example/", "https://evil.example/", "http://169.254.169.254/"):
            try:
                urllib.request.urlopen(url, timeout=120)
                print("reached")
            except OSError as error:
                print("403" in str(error))
        try:
            socket.getaddrinfo("registry.example", 80)
            print("resolved")
        except OSError:
            print("no names inside")
    """
    printed: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        printed.append(chunk)

    async with Api(page) as api, world.open(int(api.base_url.rpartition(":")[2])):
        binds = (*python_binds(), Bind(LOOPBACK_PROGRAM), Bind(world.path))
        python = str(python_program())
        own = [python, "-I", "-S", "-c", textwrap.dedent(script)]
        argv = [python, "-I", "-S", str(LOOPBACK_PROGRAM), f"8010={world.path}", "--", *own]
        env = {"http_proxy": "http://127.0.0.1:8010", "https_proxy": "http://127.0.0.1:8010"}
        await run_child(
            argv, Profile(cwd="/", binds=binds, env=env), watch=Watch(wall_seconds=600), on_stdout=keep, on_stderr=keep
        )
    assert b"".join(printed).decode().splitlines() == [
        "/simple/ of registry.example",
        "True",
        "True",
        "True",
        "no names inside",
    ]
    assert {denial.target for denial in world.denied} == {
        "evil.example:80",
        "evil.example:443",
        "http://169.254.169.254/",
    }

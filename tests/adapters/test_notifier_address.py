"""No webhook reaches this machine, a private network or a cloud's host service, however its URL is written."""

from __future__ import annotations

import asyncio

import pytest
from patience import WAIT_SECONDS_MAX

from penstock.addresses import is_public, system_resolver
from penstock_notifier.address import RefusedAddress, checked_addresses, parse

pytestmark = pytest.mark.anyio

# As they stand, without a resolver's help: the host is an address in some spelling, or the form is wrong.
REFUSED_URLS = (
    # loopback and its spellings
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/hook",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::]/",
    "https://0.0.0.0/",
    "https://0/",
    "https://0.1.2.3/",
    # loopback and private in IPv6's clothes
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a00:1::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456:789a::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://[2001:db8::1]/",
    "https://[2001:10::1]/",
    "https://[3fff::1]/",
    "https://[5f00::1]/",
    # private, shared, link-local, and what only looks public
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://167772161/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.0.1/",
    "https://0xc0a80001/",
    "https://100.64.0.1/",
    "https://100.100.100.200/latest/meta-data/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/latest/meta-data/",
    "https://0xa9.0xfe.0xa9.0xfe/",
    "https://169.254.170.2/v2/credentials",
    "https://168.63.129.16/machine",
    "https://192.0.0.192/opc/v2/instance/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://192.88.99.1/",
    "https://224.0.0.1/",
    "https://239.255.255.255/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    # other forms and schemes
    "http://93.184.216.34/",
    "ftp://93.184.216.34/",
    "file:///etc/passwd",
    "gopher://93.184.216.34:25/_HELO",
    "unix:///var/run/docker.sock",
    "//93.184.216.34/",
    "93.184.216.34/hook",
    "https:///hook",
    "https://",
    "",
    "https://user:password@93.184.216.34/",
    "https://93.184.216.34@127.0.0.1/",
    "https://127.0.0.1#@93.184.216.34/",
    "https://127.0.0.1\\@93.184.216.34/",
    "https://93.184.216.34:99999/",
    "https://93.184.216.34:0/",
    "https://[::1/",
    "https://exa\nmple.com/",
    "https://exa\x00mple.com/",
    "https://" + "a" * 300 + ".example/",
)


async def refusal(url: str) -> str:
    """Why a webhook there is refused, by the checks and the system's own resolver; fails the test if it is not."""
    with pytest.raises(RefusedAddress) as refused:
        await checked_addresses(parse(url, allow_private=False), system_resolver, allow_private=False)
    return str(refused.value)


def test_the_corpus_is_as_long_as_it_should_be() -> None:
    assert len(set(REFUSED_URLS)) == len(REFUSED_URLS) >= 60


@pytest.mark.parametrize("url", REFUSED_URLS, ids=[repr(url)[:60] for url in REFUSED_URLS])
async def test_it_is_refused(url: str) -> None:
    assert await refusal(url)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "11.0.0.1",
     "168.63.129.15", "2606:2800:220:1:248:1893:25c8:1946", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888"],
)  # fmt: skip
async def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(address)
    host = f"[{address}]" if ":" in address else address
    url = parse(f"https://{host}/hook", allow_private=False)
    assert await checked_addresses(url, system_resolver, allow_private=False) == (address,)


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "::ffff:1.1.1.1"])
def test_what_is_not_known_to_be_public_is_not(text: str) -> None:
    assert not is_public(text)


async def test_a_name_with_one_address_inside_is_refused_whatever_the_others_are() -> None:
    async def mixed(host: str, port: int) -> tuple[str, ...]:
        return ("93.184.216.34", "10.0.0.7")

    with pytest.raises(RefusedAddress, match=r"10\.0\.0\.7, which is not public"):
        await checked_addresses(parse("https://hooks.example/", allow_private=False), mixed, allow_private=False)


async def test_a_name_without_an_address_is_not_refused_but_absent() -> None:
    async def nothing(host: str, port: int) -> tuple[str, ...]:
        return ()

    with pytest.raises(OSError, match="no address"):
        await checked_addresses(parse("https://hooks.example/", allow_private=False), nothing, allow_private=False)


async def test_private_addresses_and_plain_http_are_allowed_by_name_only_and_credentials_never() -> None:
    url = parse("http://127.0.0.1:8080/hook", allow_private=True)
    assert await checked_addresses(url, system_resolver, allow_private=True) == ("127.0.0.1",)
    with pytest.raises(RefusedAddress, match="user or a password"):
        parse("http://me:secret@127.0.0.1/", allow_private=True)
    with pytest.raises(RefusedAddress, match="scheme is ftp"):
        parse("ftp://127.0.0.1/", allow_private=True)


async def test_the_system_resolver_gives_each_address_once() -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        addresses = await system_resolver("localhost", 443)
    assert addresses
    assert len(set(addresses)) == len(addresses)

"""One webhook, one try: what is sent, what is made of the answer, and what a hostile other end cannot do."""

from __future__ import annotations

import asyncio
import base64
import gzip
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest
from adapters.webhook_receiver import Receiver, answers, drips, pours
from patience import WAIT_SECONDS_MAX
from ports import free_port
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from penstock.addresses import Resolve, system_resolver
from penstock.catalog import Route
from penstock_notifier.channels import Delivered, Delivery, Never, NotNow, Outcome
from penstock_notifier.channels.webhook import Webhook, new_transport, retry_after_seconds

pytestmark = pytest.mark.anyio

NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
BODY = '{"specversion":"1.0","data":{"title":"Größe €"}}'.encode()
DELIVERY = Delivery("evt.team", BODY)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "hook").write_text(NEW + "\n")
    return tmp_path


def route(url: str, secret_ref: str = "file:hook") -> Route:
    return Route(name="team", channel="webhook", url=url, secret_ref=secret_ref)


async def send(
    to: Route,
    secrets: Path | None,
    *,
    delivery: Delivery = DELIVERY,
    allow_private: bool = True,
    resolve: Resolve = system_resolver,
    seconds: float = WAIT_SECONDS_MAX,
) -> Outcome:
    async with new_transport(at_once_max=4) as transport:
        webhook = Webhook(
            transport, secrets_dir=secrets, allow_private=allow_private, resolve=resolve, try_seconds_max=seconds
        )
        return await webhook.send(to, delivery)


async def test_the_body_goes_out_unchanged_with_a_signature_that_the_reference_library_verifies(
    receiver: Receiver, secrets: Path
) -> None:
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/a/b?token=1"), secrets)
    assert outcome == Delivered()
    (received,) = receiver.received
    assert (received.path, received.body) == ("/a/b?token=1", BODY)
    Verifier(NEW).verify(received.body, received.headers)
    assert received.headers["webhook-id"] == "evt.team"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    with pytest.raises(WebhookVerificationError):
        Verifier(OLD).verify(received.body, received.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(NEW).verify(received.body + b" ", received.headers)


async def test_while_a_secret_is_replaced_both_the_new_and_the_old_one_verify(
    receiver: Receiver, secrets: Path
) -> None:
    (secrets / "hook").write_text(f"{NEW}\n{OLD}\n")
    assert await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets) == Delivered()
    (received,) = receiver.received
    Verifier(NEW).verify(received.body, received.headers)
    Verifier(OLD).verify(received.body, received.headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_success_is_one(status: int, receiver: Receiver, secrets: Path) -> None:
    receiver.behaviours["/"] = answers(status)
    assert await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets) == Delivered()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 422, 451])
async def test_a_refusal_will_not_change(status: int, receiver: Receiver, secrets: Path) -> None:
    receiver.behaviours["/"] = answers(status, body=b"no")
    assert await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets) == Never(f"answered {status}: no")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_these_answers_are_worth_another_try(status: int, receiver: Receiver, secrets: Path) -> None:
    receiver.behaviours["/"] = answers(status, headers="Retry-After: 7\r\n")
    assert await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets) == NotNow(f"answered {status}", 7.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int, receiver: Receiver, secrets: Path) -> None:
    receiver.behaviours["/"] = answers(status, headers=f"Location: http://127.0.0.1:{receiver.port}/inside\r\n")
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets)
    assert outcome == NotNow(f"answered {status}: redirects are not followed")
    assert receiver.at("/inside") == []


async def test_an_answer_that_drips_is_given_its_time_and_no_more(receiver: Receiver, secrets: Path) -> None:
    receiver.behaviours["/"] = drips
    started = asyncio.get_running_loop().time()
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets, seconds=1.0)
    assert outcome == NotNow("no answer within 1 s")
    assert asyncio.get_running_loop().time() - started < WAIT_SECONDS_MAX / 2


async def test_of_an_endless_answer_only_the_beginning_is_read_and_made_harmless(
    receiver: Receiver, secrets: Path
) -> None:
    receiver.behaviours["/"] = pours
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets)
    assert isinstance(outcome, NotNow)
    assert len(outcome.reason) < 300
    assert outcome.reason.isprintable()


async def test_a_compressed_answer_is_not_unpacked(receiver: Receiver, secrets: Path) -> None:
    bomb = gzip.compress(b"a" * 5_000_000)
    receiver.behaviours["/"] = answers(500, headers="Content-Encoding: gzip\r\n", body=bomb)
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets)
    assert isinstance(outcome, NotNow)
    assert "aaaa" not in outcome.reason


async def test_cookies_of_one_answer_are_not_sent_with_the_next_delivery(receiver: Receiver, secrets: Path) -> None:
    receiver.behaviours["/"] = answers(200, headers="Set-Cookie: session=1; Path=/\r\n")
    async with new_transport(at_once_max=4) as transport:
        webhook = Webhook(transport, secrets_dir=secrets, allow_private=True)
        for _ in range(2):
            await webhook.send(route(f"http://127.0.0.1:{receiver.port}/"), DELIVERY)
    assert len(receiver.received) == 2
    assert all("cookie" not in received.headers for received in receiver.received)


@pytest.mark.parametrize(
    "garbage", [b"", b"HTTP/9.9 hello\r\n\r\n", b"\x16\x03\x01\x00", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000]
)
async def test_what_is_not_http_is_worth_another_try(garbage: bytes, receiver: Receiver, secrets: Path) -> None:
    async def behave(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        await writer.drain()

    receiver.behaviours["/"] = behave
    assert isinstance(await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets), NotNow)


async def test_nobody_listening_is_worth_another_try(secrets: Path) -> None:
    outcome = await send(route(f"http://127.0.0.1:{free_port()}/secret-path?token=abc"), secrets)
    assert isinstance(outcome, NotNow)
    assert "secret-path" not in outcome.reason
    assert "abc" not in outcome.reason


async def test_a_name_that_is_not_found_is_worth_another_try(secrets: Path) -> None:
    async def not_found(host: str, port: int) -> tuple[str, ...]:
        raise OSError("Name or service not known")

    outcome = await send(route("https://hooks.example/"), secrets, allow_private=False, resolve=not_found)
    assert outcome == NotNow("OSError: Name or service not known")


async def test_an_address_inside_is_refused_before_anything_is_sent(receiver: Receiver, secrets: Path) -> None:
    outcome = await send(route(f"https://127.0.0.1:{receiver.port}/"), secrets, allow_private=False)
    assert outcome == Never("the route's url is refused: its host has the address 127.0.0.1, which is not public")
    assert receiver.received == []


async def test_the_name_is_looked_up_once_and_the_checked_address_is_the_one_dialled(
    receiver: Receiver, secrets: Path
) -> None:
    """A name that answers with another address at the second look gets no second look."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",) if len(asked) == 1 else ("127.0.0.99",)

    outcome = await send(route(f"http://hooks.example:{receiver.port}/"), secrets, resolve=rebinding)
    assert outcome == Delivered()
    assert asked == ["hooks.example"]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_an_address_that_takes_no_connection_is_followed_by_the_next(receiver: Receiver, secrets: Path) -> None:
    async def two(host: str, port: int) -> tuple[str, ...]:
        return ("::1", "127.0.0.1")

    assert await send(route(f"http://hooks.example:{receiver.port}/"), secrets, resolve=two) == Delivered()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.example with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, crt, pem = folder / "key", folder / "crt", folder / "both.pem"
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hooks.example"
    arguments += f" -addext subjectAltName=DNS:hooks.example -keyout {key} -out {crt}"
    subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)
    pem.write_text(key.read_text() + crt.read_text())
    return pem


@pytest.mark.parametrize(("host", "arrives"), [("hooks.example", True), ("other.example", False)])
async def test_the_certificate_is_checked_for_the_name_though_the_address_is_dialled(
    host: str, arrives: bool, certificate: Path, secrets: Path
) -> None:
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)

    async def here(host: str, port: int) -> tuple[str, ...]:
        return ("127.0.0.1",)

    trusting = ssl.create_default_context(cafile=str(certificate))
    async with Receiver().listening(tls=serving) as receiver, httpx2.AsyncHTTPTransport(verify=trusting) as transport:
        webhook = Webhook(transport, secrets_dir=secrets, allow_private=True, resolve=here)
        outcome = await webhook.send(route(f"https://{host}:{receiver.port}/"), DELIVERY)
        assert (outcome == Delivered()) is arrives
        assert len(receiver.received) == arrives
    if not arrives:
        assert isinstance(outcome, NotNow)
        assert "certificate" in outcome.reason.lower()


@pytest.mark.parametrize(
    ("ref", "content", "says"),
    [
        ("", None, "secret_ref must be file:<name>"),
        ("env:HOME", None, "secret_ref must be file:<name>"),
        ("file:../hook", None, "secret_ref must be file:<name>"),
        ("file:/etc/passwd", None, "secret_ref must be file:<name>"),
        ("file:.hidden", None, "secret_ref must be file:<name>"),
        ("file:hook\n", None, "secret_ref must be file:<name>"),
        ("file:absent", None, "the secret absent cannot be read"),
        ("file:hook", b"", "one or two lines of whsec_"),
        ("file:hook", b"plain text\n", "one or two lines of whsec_"),
        ("file:hook", f"{NEW}\n{NEW}\n{NEW}\n".encode(), "one or two lines of whsec_"),
        ("file:hook", b"\xff\xfe", "is not text"),
        ("file:hook", b"whsec_a\n", "is not base64"),
        ("file:hook", b"whsec_\n", "is not base64"),
    ],
)
async def test_without_a_good_secret_nothing_is_sent(
    ref: str, content: bytes | None, says: str, receiver: Receiver, secrets: Path
) -> None:
    if content is not None:
        (secrets / "hook").write_bytes(content)
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/", ref), secrets)
    assert isinstance(outcome, NotNow)
    assert says in outcome.reason
    assert NEW not in outcome.reason
    assert receiver.received == []


async def test_what_is_not_text_is_not_sent_and_harms_nobody(receiver: Receiver, secrets: Path) -> None:
    delivery = Delivery("evt.team", b'{"nobody knows":"\xff"}')
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/"), secrets, delivery=delivery)
    assert outcome == Never("the document is not UTF-8")
    assert receiver.received == []


async def test_without_a_folder_for_secrets_nothing_is_sent(receiver: Receiver) -> None:
    outcome = await send(route(f"http://127.0.0.1:{receiver.port}/"), None)
    assert outcome == NotNow("PENSTOCK_SECRETS_DIR is not set")


def test_retry_after_is_understood_in_both_forms_and_kept_within_bounds() -> None:
    now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    in_a_minute = format_datetime(now + timedelta(seconds=60), usegmt=True)
    cases = {"": 0, "5": 5, " 12 ": 12, in_a_minute: 60, "999999999": 3_600, "-5": 0, "1e9": 0, "soon": 0, "9" * 400: 0}
    cases |= {"Mon, 01 Jan 2024 00:00:00 +99999999999999999999": 0, "Fri, 31 Dec 9999 23:59:59 -2359": 3_600}
    assert {text: retry_after_seconds(text, now) for text in cases} == cases
    assert retry_after_seconds(format_datetime(now - timedelta(hours=1), usegmt=True), now) == 0

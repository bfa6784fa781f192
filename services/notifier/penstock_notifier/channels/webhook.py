"""Webhooks: the event's own document, signed by the Standard Webhooks rules, to an address that was checked.

Rule of this room: one time limit over everything, one limit on what is read back, no redirects, no cookies, no proxy, and
no secret, path or query of a URL in any text.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx2
from standardwebhooks.webhooks import EmptyWebhookSecretError
from standardwebhooks.webhooks import Webhook as Signer

from penstock import subjects as s
from penstock.addresses import Resolve, system_resolver
from penstock.catalog import Route
from penstock_notifier.address import RefusedAddress, checked_addresses, parse
from penstock_notifier.channels import Delivered, Delivery, Never, NotNow, Outcome
from penstock_notifier.lane import RETRY_AFTER_SECONDS_MAX
from penstock_notifier.render import clean

TRY_SECONDS_MAX: Final = 10.0
CONNECT_SECONDS_MAX: Final = 4.0
ADDRESSES_TRIED_MAX: Final = 2
ANSWER_BYTES_MAX: Final = 2_048
EXCERPT_LENGTH_MAX: Final = 200
SECRET_FILE_BYTES_MAX: Final = 4_096
SECRETS_MAX: Final = 2
"""While a secret is being replaced its file holds the new and the old one, a line each; both sign."""

_SECRET_REF: Final = re.compile(r"file:([A-Za-z0-9_-][A-Za-z0-9._-]{0,99})")
_STATUS_WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429})


class NoSecret(LookupError):
    """The route's secret cannot be read."""


def new_transport(*, at_once_max: int) -> httpx2.AsyncHTTPTransport:
    """What all webhooks share: the bare transport, which knows no redirects, cookies or proxies.

    Connections are not kept: the pool knows them by address alone, and two names behind one address would share a
    connection whose certificate was checked for the first one. The environment's proxies are not used: behind a proxy
    nobody could say which address is dialled."""
    return httpx2.AsyncHTTPTransport(
        trust_env=False, limits=httpx2.Limits(max_connections=at_once_max, max_keepalive_connections=0)
    )


class Webhook:
    """`secrets_dir` is where `file:<name>` is looked up, at every try, so that a new secret needs no restart."""

    def __init__(
        self,
        transport: httpx2.AsyncHTTPTransport,
        *,
        secrets_dir: Path | None,
        allow_private: bool,
        resolve: Resolve = system_resolver,
        try_seconds_max: float = TRY_SECONDS_MAX,
    ) -> None:
        self._transport = transport
        self._secrets_dir = secrets_dir
        self._allow_private = allow_private
        self._resolve = resolve
        self._try_seconds_max = try_seconds_max

    async def send(self, route: Route, delivery: Delivery) -> Outcome:
        try:
            async with asyncio.timeout(self._try_seconds_max):
                url = parse(route.url, allow_private=self._allow_private)
                headers = _headers(delivery, self._secrets_of(route), datetime.now(UTC))
                addresses = await checked_addresses(url, self._resolve, allow_private=self._allow_private)
                return await self._post(url, addresses, headers, delivery.body)
        except RefusedAddress as error:
            return Never(f"the route's url is refused: {error}")
        except TimeoutError:
            return NotNow(f"no answer within {self._try_seconds_max:g} s")
        except NoSecret as error:
            return NotNow(str(error))
        except UnicodeDecodeError:
            # The decoder does not look into fields that nobody knows; what is signed is text.
            return Never("the document is not UTF-8")
        except (httpx2.HTTPError, OSError) as error:
            return NotNow(clean(f"{type(error).__name__}: {error}"))

    async def _post(self, url: httpx2.URL, addresses: tuple[str, ...], headers: dict[str, str], body: bytes) -> Outcome:
        """At the first address that takes a connection."""
        refusal: httpx2.TransportError | None = None
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            request = httpx2.Request(
                "POST",
                url.copy_with(host=address),
                headers={"Host": url.netloc.decode("ascii")} | headers,
                content=body,
                extensions={
                    # TLS asks for, and verifies, the name and not the address.
                    "sni_hostname": url.raw_host.decode("ascii"),
                    "timeout": {"connect": CONNECT_SECONDS_MAX},
                },
            )
            try:
                response = await self._transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                refusal = error
                continue
            try:
                return await _outcome(response)
            finally:
                await response.aclose()
        assert refusal is not None
        raise refusal

    def _secrets_of(self, route: Route) -> list[Signer]:
        found = _SECRET_REF.fullmatch(route.secret_ref)
        if found is None:
            raise NoSecret("the route's secret_ref must be file:<name>")
        if self._secrets_dir is None:
            raise NoSecret("PENSTOCK_SECRETS_DIR is not set")
        name = found.group(1)
        try:
            with (self._secrets_dir / name).open("rb") as file:
                lines = file.read(SECRET_FILE_BYTES_MAX).decode("ascii").split()
        except OSError as error:
            raise NoSecret(f"the secret {name} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise NoSecret(f"the secret {name} is not text") from error
        if not 1 <= len(lines) <= SECRETS_MAX or not all(line.startswith("whsec_") for line in lines):
            raise NoSecret(f"the secret {name} must be one or two lines of whsec_ and base64")
        try:
            return [Signer(line) for line in lines]
        except (binascii.Error, EmptyWebhookSecretError) as error:
            raise NoSecret(f"the secret {name} is not base64 after whsec_") from error


def _headers(delivery: Delivery, signers: list[Signer], now: datetime) -> dict[str, str]:
    text = delivery.body.decode("utf-8")
    return {
        "Content-Type": s.CLOUDEVENTS_JSON,
        "Accept-Encoding": "identity",
        "User-Agent": "penstock-notifier",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signer.sign(delivery.id, now, text) for signer in signers),
    }


async def _outcome(response: httpx2.Response) -> Outcome:
    status = response.status_code
    if 200 <= status < 300:
        return Delivered()
    reason = f"answered {status}"
    if 300 <= status < 400:
        # Followed, it could lead anywhere; kept for a while, since somebody may put the new address into the route.
        return NotNow(f"{reason}: redirects are not followed")
    if excerpt := await _excerpt(response):
        reason = f"{reason}: {excerpt}"
    if 400 <= status < 500 and status not in _STATUS_WORTH_ANOTHER_TRY:
        return Never(reason)
    return NotNow(reason, retry_after_seconds(response.headers.get("retry-after", ""), datetime.now(UTC)))


async def _excerpt(response: httpx2.Response) -> str:
    """The beginning of what was answered, as it came over the wire: nothing is decompressed."""
    found = b""
    async for chunk in response.aiter_raw():
        found += chunk
        if len(found) >= ANSWER_BYTES_MAX:
            break
    return clean(found[:ANSWER_BYTES_MAX].decode("utf-8", "replace"), EXCERPT_LENGTH_MAX)


def retry_after_seconds(header: str, now: datetime) -> float:
    """What the header asks for, in seconds or as a date, within bounds; 0 where it says nothing usable."""
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    else:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return 0.0
        seconds = (at - now).total_seconds() if at.tzinfo is not None else 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)

"""Stored messages of a stream by pages: the past, for those who ask for it.

Rule of this room: a page is bounded in messages and in bytes, and says how many are left.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import nats.errors
from anyio import CancelScope
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from penstock.reader import Stored

PAGE_MESSAGES: Final = 256
PAGE_BYTES: Final = 1024 * 1024
PAGE_SECONDS: Final = 3.0
TIME_STAMP: Final = "Nats-Time-Stamp"


class Page(NamedTuple):
    """Some messages in order. `more`: there are further ones behind them."""

    messages: list[Stored]
    more: bool


async def read_page(nc: Client, stream: str, filter_: str, seq: int, *, limit: int = PAGE_MESSAGES) -> Page:
    """Up to `limit` messages from sequence `seq` on, by one batched direct read. Raises TimeoutError or nats' errors.

    A replica that answers may lag behind the stream's leader: what was stored this moment may be missing."""
    inbox = nc.new_inbox()
    subscription = await nc.subscribe(inbox)
    found: list[Stored] = []
    request = {"seq": seq, "next_by_subj": filter_, "batch": limit, "max_bytes": PAGE_BYTES}
    try:
        await nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
        while True:
            message = await subscription.next_msg(timeout=PAGE_SECONDS)
            headers = message.headers or {}
            match headers.get("Status"):
                case None:
                    found.append(Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data, headers))
                case "204":
                    return Page(found, int(headers.get("Nats-Num-Pending", "0")) > 0)
                case "404":
                    return Page(found, False)
                case status:
                    raise TimeoutError(f"direct read of {stream}: {status} {headers.get('Description', '')}")
    except nats.errors.TimeoutError as error:
        raise TimeoutError(f"direct read of {stream}: no answer within {PAGE_SECONDS:g} s") from error
    finally:
        # Whoever is cancelled here must still give the inbox back.
        with CancelScope(shield=True):
            await subscription.unsubscribe()


async def last_message(nc: Client, stream: str, filter_: str) -> Stored | None:
    """The newest message that matches, from the stream's leader: what was acknowledged is seen. None where there is none."""
    try:
        message = await nc.jetstream(timeout=PAGE_SECONDS).get_last_msg(stream, filter_)
    except NotFoundError:
        return None
    assert message.seq is not None
    assert message.subject is not None
    return Stored(message.seq, message.subject, message.data or b"", message.headers)


async def last_sequence(nc: Client, stream: str) -> int:
    """The newest sequence of the whole stream, 0 where it is empty."""
    return int((await nc.jetstream(timeout=PAGE_SECONDS).stream_info(stream)).state.last_seq)

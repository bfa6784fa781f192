"""Our connection reads headers as nats-py does, only later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from servers import NatsForTest

from penstock import subjects as s
from penstock.connection import Connection, Headers

pytestmark = pytest.mark.anyio

NAMES = st.from_regex(r"[!-9;-~]{1,50}", fullmatch=True)
VALUES = st.binary(max_size=60).map(lambda value: value.replace(b"\r\n", b"").removesuffix(b"\r").removeprefix(b"\n"))
PAIRS = st.tuples(NAMES | st.sampled_from(["Twice", s.MSG_ID]), VALUES)


@given(st.lists(PAIRS, max_size=6))
async def test_headers_are_read_as_nats_py_reads_them(pairs: list[tuple[str, bytes]]) -> None:
    raw = b"".join(b"\r\n" + name.encode() + b": " + value for name, value in pairs) + b"\r\n\r\n"
    theirs = await Client()._process_headers(b"NATS/1.0" + raw)
    ours = await Connection()._process_headers(b"NATS/1.0" + raw)
    assert ours is not None
    assert dict(ours) == (theirs or {})
    assert s.EXPECTED_LAST not in ours


async def test_what_is_published_arrives_with_its_headers_and_a_status_is_a_status(nats: NatsForTest) -> None:
    nc = Connection()
    await nc.connect(nats.url, user="admin", password=nats.password, inbox_prefix="_INBOX.admin")
    subscription = await nc.subscribe("some.where")
    sent = {s.MSG_ID: "01jqa0", "Odd": "a: b, ü"}
    await nc.publish("some.where", b"body", headers=sent)
    message = await subscription.next_msg(timeout=WAIT_SECONDS_MAX)
    inbox = nc.new_inbox()
    answers = await nc.subscribe(inbox)
    await nc.publish(f"$JS.API.DIRECT.GET.{s.EVENTS}", b'{"seq": 7}', reply=inbox)
    status = await answers.next_msg(timeout=WAIT_SECONDS_MAX)
    await nc.close()
    assert isinstance(message.headers, Headers), "a later nats-py no longer asks: events are read slowly"
    assert (message.data, dict(message.headers)) == (b"body", sent)
    assert (status.headers or {})["Status"] == "404"

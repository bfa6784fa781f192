"""The log: append one event to a task, load one task, follow everything.

Rule of this room: an outcome that is not known is looked up, never assumed. A time-out does not mean "not stored" (the
client sends its buffer after a reconnect), and "wrong last sequence" does not mean "not ours" (a lone server checks the
expectation before it looks for duplicates).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final, NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NotFoundError

from penstock import subjects as s
from penstock.codec import Undecodable, decode_event
from penstock.events import Recorded

WRONG_LAST_SEQUENCE: Final = 10071
WRITE_IN_FLIGHT: Final = 10164
"""A replicated stream's word for "another write on this filter is on its way": like 10071, but without a number."""

ATTEMPT_SECONDS: Final = 2.0
TASK_EVENTS_MAX: Final = 20_000


class LogConflict(Exception):
    """Somebody else has appended to this task first: fold again, decide again."""


class OutcomeUnknown(Exception):
    """The broker did not say within the time given whether the event was stored; it may be, now or later."""


class Appended(NamedTuple):
    """Where the event stands. `resolved`: the first answer was lost, and it was found by looking."""

    seq: int
    resolved: bool


class LogWriter:
    """The one way into the log. Only the orchestrator's credentials may publish there."""

    def __init__(self, nc: Client) -> None:
        self._js = nc.jetstream(timeout=ATTEMPT_SECONDS)
        self._nc = nc

    async def append(
        self, *, repo: str, task: str, type_: str, id: str, body: bytes, after: int, timeout: float = 20.0
    ) -> Appended:
        """Store `body` as the task's next event if the task's last sequence is `after` (0: it has none yet).

        Raises LogConflict when another event took the place, OutcomeUnknown when `timeout` seconds did not suffice."""
        deadline = asyncio.get_running_loop().time() + timeout
        subject, filter_ = s.event_ingest(repo, task, type_), s.events_of_task(repo, task)
        resolved = False
        while True:
            try:
                ack = await self._js.publish(
                    subject,
                    body,
                    stream=s.EVENTS,
                    headers={s.MSG_ID: id, s.EXPECTED_LAST: str(after), s.EXPECTED_LAST_SUBJECT: filter_},
                )
                return Appended(ack.seq, resolved)
            except APIError as error:
                if error.err_code not in (WRONG_LAST_SEQUENCE, WRITE_IN_FLIGHT):
                    raise
                found = await self._taken_by(filter_, after, id, deadline)
                if found is not None:
                    return Appended(found, True)
                # 10164 with nothing stored yet: the other write may still fail, so the place may still be free.
            except (nats.errors.Error, OSError):
                # Timed out, no responders, or disconnected: maybe stored, maybe on its way, maybe gone. Say it again
                # with the same id and expectation; the answer to that tells which it was.
                resolved = True
            if asyncio.get_running_loop().time() > deadline:
                raise OutcomeUnknown(f"append of {type_} to task {task} after {after}")
            await asyncio.sleep(0.05)

    async def _taken_by(self, filter_: str, after: int, id: str, deadline: float) -> int | None:
        """The sequence of our own event if it is the one that followed `after`; None if nothing followed yet."""
        while True:
            try:
                message = await self._js.get_msg(s.EVENTS, seq=after + 1, next=True, subject=filter_)
            except NotFoundError:
                return None
            except (nats.errors.Error, OSError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise OutcomeUnknown(f"append of event {id}: the place after {after} could not be read") from error
                await asyncio.sleep(0.05)
                continue
            if (message.headers or {}).get(s.MSG_ID) == id:
                assert message.seq is not None
                return message.seq
            raise LogConflict(f"the place after {after} of {filter_} holds another event")


async def load_task(nc: Client, repo: str, task: str, *, after: int = 0, timeout: float = 5.0) -> tuple[Recorded, ...]:
    """All events of one task after sequence `after`, in order, by one batched direct read.

    Raises Undecodable for an event that is not one, and TimeoutError when the broker does not answer."""
    events: list[Recorded] = []
    position = after
    while True:
        batch, pending = await _direct_batch(nc, s.EVENTS, s.events_of_task(repo, task), position + 1, timeout)
        events += [decode_event(body, seq) for seq, body in batch]
        if len(events) > TASK_EVENTS_MAX:
            raise Undecodable(f"task {task} has more than {TASK_EVENTS_MAX} events")
        if not batch or pending == 0:
            return tuple(events)
        position = batch[-1][0]


async def _direct_batch(
    nc: Client, stream: str, filter_: str, seq: int, timeout: float
) -> tuple[list[tuple[int, bytes]], int]:
    """(sequence, body) of up to 1,000 messages from `seq` on, and how many are left. nats-py has no call for this."""
    found: list[tuple[int, bytes]] = []
    ended: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    async def receive(message: Msg) -> None:
        # A callback for each: waiting for each by `next_msg` would cost more than all the rest.
        headers = message.headers or {}
        if "Status" not in headers:
            found.append((int(headers["Nats-Sequence"]), message.data))
        elif not ended.done():
            ended.set_result(headers)

    inbox = nc.new_inbox()
    subscription = await nc.subscribe(inbox, cb=receive)
    try:
        request = {"seq": seq, "next_by_subj": filter_, "batch": 1000}
        await nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
        while not ended.done():
            before = len(found)
            await asyncio.wait([ended], timeout=timeout)
            if not ended.done() and len(found) == before:
                raise TimeoutError(f"direct read of {stream} was silent for {timeout} s, {before} read")
    finally:
        await subscription.unsubscribe()
    headers = ended.result()
    match headers["Status"]:
        case "204":
            return found, int(headers.get("Nats-Num-Pending", "0"))
        case "404":
            return found, 0
        case status:
            raise TimeoutError(f"direct read of {stream}: {status} {headers.get('Description', '')}")

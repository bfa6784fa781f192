"""What people and other tasks say to an agent while it works: heard on the job's control subject, said once each.

Rule of this room: an order to say something is a hint that comes again until the log has it that it was said. What the program
does not take lies in the run's inbox until its agent looks there; what nobody has read goes into the next prompt.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock import subjects as s
from penstock.codec import Codec, Undecodable
from penstock.jobs import SayOrder
from penstock.output import OutputLine
from penstock_agent_exec.agents.facts import Decision, shown
from penstock_agent_exec.agents.run import Message, Steering
from penstock_agent_exec.control import Control
from penstock_agent_exec.sandbox import Bind
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.middle import Middle

log = structlog.get_logger()

MESSAGES_MAX: Final = 200
"""In one run; what comes after them is told with the next one."""

say_orders: Final[Codec[SayOrder]] = Codec(msgspec.json.Decoder(SayOrder))


@contextlib.asynccontextmanager
async def hearing(
    nc: Client, hand: InHand, steering: Steering, middle: Middle, *, listens: bool
) -> AsyncIterator[Ears]:
    """While inside, orders for this job are passed on: to the run's program where it `listens`, into its inbox where it does
    not. What was taken is told. Raises what the client raises."""
    ears = Ears(hand, steering, middle, listens=listens)
    subscription = await nc.subscribe(s.say_order(hand.job.id), cb=ears.hear)
    try:
        yield ears
    finally:
        with contextlib.suppress(nats.errors.Error, OSError):
            # A broker that is away has forgotten the subscription by itself.
            await subscription.unsubscribe()


@contextlib.asynccontextmanager
async def own_line(bench: Bench, hand: InHand, middle: Middle, ears: Ears) -> AsyncIterator[tuple[Bind, ...]]:
    """What an agent needs in its sandbox to speak of its own task; nothing where there is no sandbox to show it in."""
    if bench.bwrap is None:
        yield ()
        return

    def ask(decision: Decision) -> None:
        middle.hear((decision,))
        hand.output.add(OutputLine(kind="decision", text=shown(f"{decision.subject}: {decision.question}")))

    with tempfile.TemporaryDirectory(prefix=bench.folder.socket_prefix) as folder:
        async with Control(Path(folder), ask=ask, inbox=ears.inbox) as control:
            yield control.binds


class Ears:
    """One run's."""

    def __init__(self, hand: InHand, steering: Steering, middle: Middle, *, listens: bool) -> None:
        self._hand = hand
        self._listens = listens
        self._unread: dict[str, str] = {}
        self._steering = steering
        self._middle = middle
        self._on_their_way: set[str] = set()

    async def hear(self, message: Msg) -> None:
        try:
            order = say_orders.decode(message.data)
        except Undecodable as error:
            log.warning("say_order.undecodable", job=self._hand.job.id, reason=str(error))
            return
        known = order.message in self._on_their_way
        if order.job != self._hand.job.id or known or len(self._on_their_way) >= MESSAGES_MAX:
            return
        if not self._listens:
            self._on_their_way.add(order.message)
            self._unread[order.message] = order.text
            return
        if self._steering.messages.full():
            return  # the order comes again
        self._on_their_way.add(order.message)
        self._steering.messages.put_nowait(Message(order.message, order.text, partial(self._said, order.message)))

    def inbox(self) -> tuple[str, ...]:
        """What nobody has read yet; from now on it counts as told."""
        unread, self._unread = self._unread, {}
        for message in unread:
            self._middle.told(message)
        return tuple(unread.values())

    def _said(self, message: str, taken: bool) -> None:
        if taken:
            self._middle.told(message)
            self._hand.note("the agent was told a message")
        else:
            # Perhaps later: before its first turn a program may not listen yet.
            self._on_their_way.discard(message)

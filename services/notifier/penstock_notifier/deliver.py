"""From deliveries to the outside: each one on its own, until it is made or given up.

Rule of this room: a delivery is acknowledged after the other end has said yes or its dead letter is stored; a restart in
between repeats it under the same id. What one route's endpoint does is felt by that route alone.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, assert_never

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import Counter

from penstock.catalog import Route
from penstock_notifier import dead
from penstock_notifier.channels import Channel, Delivered, Delivery, Never, NotNow
from penstock_notifier.lane import Lane, is_given_up, pause_seconds
from penstock_notifier.pulls import Pulls
from penstock_notifier.routes import Routes

log = structlog.get_logger()

DELIVERIES_IN_HAND_MAX: Final = 256
TABLE_LAG_SECONDS_MAX: Final = 60.0
"""A route that another notifier already knew may take so long to come into this one's table."""

worked = Counter("penstock_notifier_deliveries", "Deliveries by what became of a try", ["channel", "outcome"])


class Deliverer:
    def __init__(
        self, nc: Client, routes: Routes, channels: Mapping[str, Channel], *, delivery_seconds_max: float
    ) -> None:
        self._nc = nc
        self._routes = routes
        self._channels = channels
        self._delivery_seconds_max = delivery_seconds_max
        self._lanes: defaultdict[str, Lane] = defaultdict(Lane)

    async def run(self, pulls: Pulls) -> None:
        """Until the pulls are stopped and what was begun has ended."""
        async with asyncio.TaskGroup() as tries:
            async for message in pulls.messages():
                tries.create_task(self._work(message, pulls))

    async def _work(self, message: Msg, pulls: Pulls) -> None:
        try:
            await self._deliver(message)
        except (nats.errors.Error, OSError) as error:
            # The broker did not take the dead letter or the answer: the delivery comes again after its time.
            log.warning("delivery.again", subject=message.subject, reason=str(error) or type(error).__name__)
        finally:
            pulls.done()

    async def _deliver(self, message: Msg) -> None:
        _, _, name, event_id = message.subject.split(".")
        route = self._routes.get(name)
        if route is None or not route.enabled:
            await self._without_route(message, name, event_id)
            return
        lane, now = self._lanes[name], asyncio.get_running_loop().time()
        if not lane.enter(now):
            if lane.failing_with and self._is_given_up(message):
                await self._bury(message, route.channel, name, event_id, lane.failing_with)
            else:
                worked.labels(route.channel, "put_off").inc()
                await message.nak(lane.return_seconds(now))
            return
        await self._try(message, route, lane, event_id)

    async def _try(self, message: Msg, route: Route, lane: Lane, event_id: str) -> None:
        delivery = Delivery(f"{event_id}.{route.name}", message.data)
        outcome = await self._channels[route.channel].send(route, delivery)
        match outcome:
            case Delivered():
                lane.succeeded()
                await message.ack()
                worked.labels(route.channel, "delivered").inc()
                log.info("delivery.made", route=route.name, event_id=event_id, given_out=_given_out(message))
            case NotNow(reason=reason, retry_after_seconds=retry_after):
                chance = random.random()  # noqa: S311 - spreads the tries of several notifiers, guards nothing
                closed = lane.failed(asyncio.get_running_loop().time(), reason, retry_after, chance)
                if self._is_given_up(message):
                    await self._bury(message, route.channel, route.name, event_id, reason)
                    return
                pause = max(pause_seconds(_age_seconds(message), chance), closed)
                await message.nak(pause)
                worked.labels(route.channel, "retried").inc()
                log.warning(
                    "delivery.later", route=route.name, event_id=event_id, reason=reason, seconds=round(pause, 1)
                )
            case Never(reason=reason):
                lane.ended()
                await self._bury(message, route.channel, route.name, event_id, reason)
            case _:
                assert_never(outcome)

    async def _without_route(self, message: Msg, name: str, event_id: str) -> None:
        if self._routes.get(name) is None and _age_seconds(message) < TABLE_LAG_SECONDS_MAX:
            await message.nak(pause_seconds(_age_seconds(message), 0.5))
            return
        await self._bury(message, "none", name, event_id, "its route was removed or switched off")

    async def _bury(self, message: Msg, channel: str, name: str, event_id: str, reason: str) -> None:
        await dead.keep(self._nc, name, message.data, id=f"{event_id}.{name}", origin=message.subject, reason=reason)
        await message.ack()
        worked.labels(channel, "dead").inc()
        log.error("delivery.dead", route=name, event_id=event_id, reason=reason, given_out=_given_out(message))

    def _is_given_up(self, message: Msg) -> bool:
        return is_given_up(_age_seconds(message), _given_out(message), self._delivery_seconds_max)


def _age_seconds(message: Msg) -> float:
    """Since the delivery was stored, by the broker's clock against ours."""
    return max(time.time() - message.metadata.timestamp.timestamp(), 0.0)


def _given_out(message: Msg) -> int:
    return message.metadata.num_delivered

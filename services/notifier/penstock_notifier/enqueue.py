"""From events to deliveries: every event is judged against the routes, and each match is stored as a delivery of its own.

Rule of this room: an event is acknowledged after its deliveries are stored, never before; whatever its bytes, it does not
stop the events behind it.
"""

from __future__ import annotations

from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError
from prometheus_client import Counter

from penstock import subjects as s
from penstock.codec import Undecodable, decode_event
from penstock.events import Recorded, Unknown
from penstock_notifier import dead
from penstock_notifier.pulls import Pulls
from penstock_notifier.route import matching
from penstock_notifier.routes import Routes

log = structlog.get_logger()

EVENTS_IN_HAND_MAX: Final = 32
AGAIN_SECONDS: Final = 2.0
SUBJECT_TAKEN: Final = 10077
"""The stream's word for "this subject has its one message": the delivery is already there."""

judged = Counter("penstock_notifier_events", "Events judged against the routes", ["outcome"])


class Enqueuer:
    def __init__(self, nc: Client, routes: Routes) -> None:
        self._nc = nc
        self._js = nc.jetstream()
        self._routes = routes

    async def run(self, pulls: Pulls) -> None:
        """Until the pulls are stopped. One after the other: a task's deliveries are stored in the order of its events."""
        async for message in pulls.messages():
            try:
                await self._judge(message)
                await message.ack()
            except (nats.errors.Error, OSError) as error:
                log.warning("event.again", subject=message.subject, reason=str(error) or type(error).__name__)
                await message.nak(AGAIN_SECONDS)
            finally:
                pulls.done()

    async def _judge(self, message: Msg) -> None:
        seq = message.metadata.sequence.stream
        try:
            event = decode_event(message.data, seq)
        except Undecodable as error:
            log.error("event.undecodable", seq=seq, subject=message.subject, reason=str(error))
            await dead.keep(
                self._nc, dead.UNDECODABLE, message.data, id=f"event.{seq}", origin=message.subject, reason=str(error)
            )
            judged.labels("undecodable").inc()
            return
        if isinstance(event.data, Unknown):
            log.info("event.unknown_type", seq=seq, type=event.data.type)
            judged.labels("unknown").inc()
            return
        routes = matching(self._routes.all(), event.repo, event.data)
        for route in routes:
            await self._enqueue(route.name, event, message.data)
        judged.labels("matched" if routes else "unmatched").inc()

    async def _enqueue(self, route: str, event: Recorded, body: bytes) -> None:
        try:
            await self._js.publish(
                s.delivery(route, event.id),
                body,
                stream=s.DELIVERIES,
                headers={s.MSG_ID: f"{event.id}.{route}", s.CONTENT_TYPE: s.CLOUDEVENTS_JSON},
            )
        except APIError as error:
            if error.err_code != SUBJECT_TAKEN:
                raise

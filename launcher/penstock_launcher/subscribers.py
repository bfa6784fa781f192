"""Durables for readers outside Penstock, made for them by the admin: they have no right to make one.

Rule of this room: an existing durable keeps its place in the log; only a missing one is made.
"""

from __future__ import annotations

from typing import Final

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from penstock import subjects as s
from penstock_launcher.nats_conf import ADMIN

ACK_WAIT_SECONDS: Final = 30.0
ACK_PENDING_MAX: Final = 1_000


async def ensure_subscriber(nats_url: str, admin_password: str, name: str, filter_subject: str) -> bool:
    """A pull consumer of the log named `name`, from the first event on; True where it had to be made."""
    nc = await nats.connect(nats_url, user=ADMIN, password=admin_password, inbox_prefix=f"_INBOX.{ADMIN}")
    try:
        js = nc.jetstream()
        try:
            await js.consumer_info(s.EVENTS, name)
        except NotFoundError:
            config = ConsumerConfig(
                durable_name=name,
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_SECONDS,
                max_ack_pending=ACK_PENDING_MAX,
                filter_subject=filter_subject,
            )
            await js.add_consumer(s.EVENTS, config)
            return True
        return False
    finally:
        await nc.close()

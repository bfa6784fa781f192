"""The notifier: tells people and systems what happened to tasks.

Rule of this room: it wires the parts together and ends them in order; no event is judged before the routes are known.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

import nats.errors
import structlog

from penstock import service
from penstock import subjects as s
from penstock.service import Runtime
from penstock.settings import environment, load
from penstock.streams import Drift, check
from penstock_notifier.channels import Channel
from penstock_notifier.channels.console import Console
from penstock_notifier.channels.webhook import Webhook, new_transport
from penstock_notifier.deliver import DELIVERIES_IN_HAND_MAX, Deliverer
from penstock_notifier.enqueue import EVENTS_IN_HAND_MAX, Enqueuer
from penstock_notifier.pulls import Pulls
from penstock_notifier.routes import Routes
from penstock_notifier.settings import NotifierSettings

log = structlog.get_logger()

CHECK_PAUSE_SECONDS: Final = 2.0
STREAMS: Final = (s.EVENTS, s.DELIVERIES, s.DEAD, s.kv_stream(s.CATALOG))
DURABLES: Final = ((s.EVENTS, s.NOTIFIER_DURABLE), (s.DELIVERIES, s.DELIVERIES_DURABLE))


async def serve(runtime: Runtime, settings: NotifierSettings) -> None:
    """Until the runtime stops."""
    if not await _streams_stand(runtime):
        return
    nc = runtime.nc
    routes = Routes(nc)
    events = Pulls(nc, s.EVENTS, s.NOTIFIER_DURABLE, hands=EVENTS_IN_HAND_MAX)
    deliveries = Pulls(nc, s.DELIVERIES, s.DELIVERIES_DURABLE, hands=DELIVERIES_IN_HAND_MAX)
    async with new_transport(at_once_max=DELIVERIES_IN_HAND_MAX) as transport, asyncio.TaskGroup() as parts:
        channels: dict[str, Channel] = {
            "console": Console(sys.stdout),
            "webhook": Webhook(
                transport,
                secrets_dir=Path(settings.secrets_dir) if settings.secrets_dir else None,
                allow_private=settings.allow_private_webhooks,
            ),
        }
        following = parts.create_task(routes.follow())
        if await _before_the_end(runtime, routes.caught_up()):
            parts.create_task(Enqueuer(nc, routes).run(events))
            deliverer = Deliverer(nc, routes, channels, delivery_seconds_max=settings.delivery_seconds_max)
            parts.create_task(deliverer.run(deliveries))
            runtime.ready()
            await runtime.stop.wait()
        events.stop()
        deliveries.stop()
        following.cancel()
    with contextlib.suppress(nats.errors.Error, OSError):
        # The last acknowledgements, if there is somebody to take them.
        await nc.flush(timeout=2)


async def _streams_stand(runtime: Runtime) -> bool:
    """Wait for the streams to be as this version needs them; False when the service is to stop first."""
    while not runtime.stop.is_set():
        try:
            await check(runtime.nc, streams=STREAMS, consumers=DURABLES)
        except (Drift, nats.errors.Error, OSError) as error:
            reason = str(error) or type(error).__name__
            runtime.waiting_for["start"] = f"streams: {reason}"
            log.warning("streams.waiting", reason=reason)
            await runtime.stopped_within(CHECK_PAUSE_SECONDS)
        else:
            return True
    return False


async def _before_the_end(runtime: Runtime, wanted: Coroutine[None, None, None]) -> bool:
    """Wait for `wanted`, but not longer than the service lives; True when it came."""
    waits = {asyncio.ensure_future(wanted), asyncio.ensure_future(runtime.stop.wait())}
    _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in pending:
        wait.cancel()
    return not runtime.stop.is_set()


def main() -> None:
    settings: NotifierSettings

    def read() -> NotifierSettings:
        nonlocal settings
        settings = load(NotifierSettings, "notifier", environment())
        return settings

    service.main("notifier", read, lambda runtime: serve(runtime, settings))


if __name__ == "__main__":
    main()

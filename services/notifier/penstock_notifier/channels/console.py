"""The console: one line per event on standard output, for people who look at the process or its log."""

from __future__ import annotations

from typing import TextIO

from penstock.catalog import Route
from penstock.codec import Undecodable, decode_event
from penstock_notifier.channels import Delivered, Delivery, Never, NotNow, Outcome
from penstock_notifier.render import line


class Console:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    async def send(self, route: Route, delivery: Delivery) -> Outcome:
        try:
            event = decode_event(delivery.body, 0)
        except Undecodable as error:
            return Never(f"not an event: {error}")
        try:
            self._out.write(line(event) + "\n")
            self._out.flush()
        except OSError as error:
            return NotNow(f"standard output: {error.strerror}")
        return Delivered()

"""Dead letters: what the notifier could not deliver or not read, kept with the reason beside the very bytes.

Rule of this room: the original is acknowledged only after its dead letter is stored.
"""

from __future__ import annotations

from typing import Final

from nats.aio.client import Client

from penstock import subjects as s
from penstock_notifier.render import clean

SOURCE: Final = "notify"
UNDECODABLE: Final = "_undecodable"
"""No route can have this name: it would begin with a letter or a digit."""
REASON: Final = "Penstock-Reason"
ORIGIN: Final = "Penstock-Origin"
REASON_LENGTH_MAX: Final = 400


async def keep(nc: Client, name: str, body: bytes, *, id: str, origin: str, reason: str) -> None:
    """Store `body` under `penstock.dead.notify.<name>`; `origin` is the subject it came on. Raises what the broker raises."""
    # Header values are one line of ASCII: the client and other readers of headers differ on anything else.
    text = clean(reason, REASON_LENGTH_MAX).encode("ascii", "replace").decode("ascii")
    await nc.jetstream().publish(
        s.dead_letter(SOURCE, name),
        body,
        stream=s.DEAD,
        headers={s.MSG_ID: f"dead.{id}", REASON: text, ORIGIN: origin},
    )

"""Settings of the notifier.

Rule of this room: a secret is a file's name here, never its content.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from penstock.settings import Common


class NotifierSettings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`secrets_dir`: the folder in which `file:<name>` of a route is looked up. `allow_private_webhooks`: webhooks may go
    to this machine and to private networks, and without TLS. `delivery_seconds_max`: how long an endpoint may be down
    before its deliveries are given up."""

    secrets_dir: str = ""
    allow_private_webhooks: bool = False
    delivery_seconds_max: Annotated[float, Meta(ge=1, le=30 * 86_400)] = 86_400.0

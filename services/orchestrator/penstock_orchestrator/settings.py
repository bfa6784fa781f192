"""The orchestrator's settings, `PENSTOCK_…`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from penstock.bounds import NAME_PATTERN, Count, Seconds
from penstock.settings import Common, Secret


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`pools`: the vendors that tasks may ask for, separated by commas. `nats_monitor_url`: the server's HTTP monitor,
    which alone tells whether an acknowledged event is on disk. `leader_lease_seconds`: how long a dead leader is waited
    for. The `park_` and other limits below are copied into every new task."""

    database_url: Secret = Secret("")
    nats_monitor_url: str = ""
    allow_volatile: bool = False
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    pools: Annotated[str, Meta(pattern=NAME_PATTERN.replace("(?!\\n)$", "(,[a-z0-9][a-z0-9_-]{0,62})*(?!\\n)$"))] = (
        "claude,scripted"
    )
    leader_lease_seconds: Annotated[int, Meta(ge=2, le=300)] = 6
    reconcile_seconds: Annotated[float, Meta(gt=0, le=60)] = 3.0
    stop_patience_seconds: Seconds = 45.0
    park_seconds_min: Seconds = 5.0
    park_seconds_max: Seconds = 600.0
    parks_max: Count = 200
    host_patience_seconds: Seconds = 600.0

    @property
    def vendors(self) -> tuple[str, ...]:
        return tuple(self.pools.split(","))

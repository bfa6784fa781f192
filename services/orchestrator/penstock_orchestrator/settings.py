"""The orchestrator's settings, `PENSTOCK_…`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from penstock.bounds import NAME_PATTERN, RECALLED_MAX, Count, PublicUrl, Score, Seconds, Share, Word
from penstock.settings import Common, Secret
from penstock.subjects import PUBLISH_POOL

Names = Annotated[str, Meta(pattern=NAME_PATTERN.replace("(?!\\n)$", "(,[a-z0-9][a-z0-9_-]{0,62})*(?!\\n)$"))]


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`pools`: the vendors that tasks may ask for, separated by commas. `publish_pools`: pools of hosts that hand changes over,
    of which the fleet's settings may name one. `nats_monitor_url`: the server's HTTP monitor, which alone tells whether an
    acknowledged event is on disk. `public_url`: where people find
    the api, for links in pull requests. `leader_lease_seconds`: how long a dead leader is waited for. `clock_offset_file`: for
    demonstrations and tests only, a file with the seconds by which this orchestrator's clock goes ahead. The limits from
    `park_seconds_min` to `recall_max` are copied into every new task. `embeddings_url`, `embeddings_model`: an endpoint in the
    manner of OpenAI's (`<url>/embeddings`) and a model of it, for a memory that finds meanings beside words; without both,
    words alone are searched, and nothing is asked of anybody. `embeddings_key`: its bearer token, where it wants one."""

    database_url: Secret = Secret("")
    nats_monitor_url: str = ""
    allow_volatile: bool = False
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    pools: Names = "claude,codex,gemini,qwen,scripted"
    publish_pools: Names = PUBLISH_POOL
    leader_lease_seconds: Annotated[int, Meta(ge=2, le=300)] = 6
    reconcile_seconds: Annotated[float, Meta(gt=0, le=60)] = 3.0
    stop_patience_seconds: Seconds = 45.0
    clock_offset_file: str = ""
    park_seconds_min: Seconds = 5.0
    park_seconds_max: Seconds = 600.0
    parks_max: Count = 200
    lost_max: Count = 8
    pauses_max: Count = 5
    host_patience_seconds: Seconds = 600.0
    failures_alike_max: Count = 2
    reset_seconds_max: Seconds = 8 * 86_400.0
    compact_after_attempts: Count = 3
    compaction: Annotated[str, Meta(pattern=r"^(rules|agent)(?!\n)$")] = "rules"
    abstain_below: Score = 0.0
    budget_warning: Share = 0.8
    plan_turns_max: Count = 30
    plan_seconds_max: Seconds = 900.0
    plans_max: Count = 10
    rebases_max: Count = 1
    public_url: PublicUrl = ""
    look_seconds_min: Seconds = 5.0
    look_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    look_seconds_max: Seconds = 1_800.0
    settle_seconds: Seconds = 20.0
    fix_runs_max: Count = 3
    embeddings_url: Annotated[str, Meta(pattern=r"^(https?://[^\s/@]+(/[^\s@]*)?)?(?!\n)$", max_length=500)] = ""
    embeddings_model: Word = ""
    embeddings_key: Secret = Secret("")
    recall_max: Annotated[int, Meta(ge=0, le=RECALLED_MAX)] = 3

    @property
    def vendors(self) -> tuple[str, ...]:
        return tuple(self.pools.split(","))

    @property
    def publishing(self) -> tuple[str, ...]:
        return tuple(self.publish_pools.split(","))

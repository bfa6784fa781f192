"""What must stand on the broker before a service starts: streams, consumers, buckets, and the server's own settings.

Rule of this room: definitions are data; `provision` creates or updates, `check` only looks and says what differs. Services
check and refuse to start on drift; they do not repair, so that two versions cannot fight over a stream.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    PersistMode,
    RePublish,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
    SubjectTransform,
)
from nats.js.errors import NotFoundError

from penstock import subjects as s

SERVER_VERSION_MIN: Final = (2, 14, 3)
"""Older servers have open holes in their permission checks, and lack batched direct reads as used here."""

JOB_ACK_SECONDS: Final = 12.0
"""Until an order that a host took and did not claim is given to another: longer than any claim that is getting somewhere
is left without a sign of life, and short, since an order whose taker was killed waits for it."""

_DAY = 86_400.0
_MIB = 1024 * 1024


class Drift(RuntimeError):
    """The broker is not as this version needs it."""


def stream_configs(replicas: int = 1) -> tuple[StreamConfig, ...]:
    """Every stream and bucket, complete: an update sends the whole configuration."""
    return (*_log(replicas), *_work(replicas), *_kept(replicas), *_buckets(replicas))


def _log(replicas: int) -> tuple[StreamConfig, ...]:
    """What happened, and what is said about it."""
    return (
        # The log. Purge is not denied, since a secret that leaked into an event must be removable by the admin,
        # but no service's user may call it.
        StreamConfig(
            name=s.EVENTS,
            subjects=[f"{s.EVENTS_INGEST}.*.*.*"],
            subject_transform=SubjectTransform(src=f"{s.EVENTS_INGEST}.>", dest=f"{s.EVENTS_PUBLIC}.>"),
            republish=RePublish(src=f"{s.EVENTS_PUBLIC}.>", dest=f"{s.EVENTS_PUBLIC}.>"),
            discard=DiscardPolicy.NEW,
            compression=StoreCompression.S2,
            allow_direct=True,
            deny_delete=True,
            max_msg_size=_MIB // 2,
            **_common(replicas),
        ),
        StreamConfig(
            name=s.REPORTS,
            subjects=["penstock.report.*.*.*"],
            max_age=14 * _DAY,
            max_msg_size=_MIB // 2,
            **_common(replicas),
        ),
        StreamConfig(
            name=s.OUTPUT,
            subjects=[f"{s.OUTPUT_PUBLIC}.*.*.*"],
            max_age=7 * _DAY,
            max_bytes=2048 * _MIB,
            discard=DiscardPolicy.OLD,
            compression=StoreCompression.S2,
            allow_direct=True,
            persist_mode=PersistMode.ASYNC if replicas == 1 else None,
            max_msg_size=_MIB,
            **_common(replicas),
        ),
    )


def _work(replicas: int) -> tuple[StreamConfig, ...]:
    """Work queues: one stored message per thing to do."""
    return (
        # One stored order per subject: the job's subject is its idempotency key (a second enqueue is refused with 10077).
        StreamConfig(
            name=s.JOBS,
            subjects=["penstock.job.>"],
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            max_msg_size=_MIB,
            **_common(replicas, RetentionPolicy.WORK_QUEUE),
        ),
        StreamConfig(
            name=s.INTAKE,
            subjects=[s.INTAKE_SUBJECT],
            max_bytes=256 * _MIB,
            discard=DiscardPolicy.NEW,
            max_msg_size=_MIB // 4,
            **_common(replicas, RetentionPolicy.WORK_QUEUE),
        ),
        StreamConfig(
            name=s.DELIVERIES,
            subjects=["penstock.deliver.*.*"],
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            **_common(replicas, RetentionPolicy.WORK_QUEUE),
        ),
    )


def _kept(replicas: int) -> tuple[StreamConfig, ...]:
    """What is kept for people to look at, for a time."""
    return (
        StreamConfig(
            name=s.DEAD,
            subjects=["penstock.dead.>"],
            max_age=90 * _DAY,
            max_bytes=256 * _MIB,
            discard=DiscardPolicy.OLD,
            allow_direct=True,
            **_common(replicas),
        ),
        StreamConfig(
            name=s.ARTIFACTS,
            subjects=["penstock.artifact.>"],
            max_age=90 * _DAY,
            max_bytes=4096 * _MIB,
            max_msgs_per_subject=1,
            discard=DiscardPolicy.OLD,
            allow_direct=True,
            max_msg_size=_MIB,
            **_common(replicas),
        ),
        StreamConfig(
            name=s.ADVISORY,
            subjects=[
                "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
                "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
            ],
            max_age=7 * _DAY,
            max_bytes=64 * _MIB,
            discard=DiscardPolicy.OLD,
            **_common(replicas),
        ),
    )


def _buckets(replicas: int) -> tuple[StreamConfig, ...]:
    """Key-value buckets, as the streams they are."""
    return (
        # Leases live for seconds; the marker tells a reader that one has expired.
        StreamConfig(
            name=s.kv_stream(s.LEASES),
            subjects=[f"$KV.{s.LEASES}.>"],
            max_msgs_per_subject=1,
            discard=DiscardPolicy.NEW,
            allow_direct=True,
            allow_rollup_hdrs=True,
            deny_delete=True,
            allow_msg_ttl=True,
            subject_delete_marker_ttl=60.0,
            **_common(replicas),
        ),
        StreamConfig(
            name=s.kv_stream(s.CATALOG),
            subjects=[f"$KV.{s.CATALOG}.>"],
            max_msgs_per_subject=64,
            discard=DiscardPolicy.NEW,
            allow_direct=True,
            allow_rollup_hdrs=True,
            deny_delete=True,
            **_common(replicas),
        ),
    )


def _common(replicas: int, retention: RetentionPolicy = RetentionPolicy.LIMITS) -> dict[str, Any]:
    return {"retention": retention, "storage": StorageType.FILE, "num_replicas": replicas, "duplicate_window": 120.0}


def consumer_configs(pools: Iterable[str]) -> tuple[tuple[str, ConsumerConfig], ...]:
    """(stream, durable) of every shared consumer; hosts make their own, since hosts come and go."""
    return (
        (s.REPORTS, _durable(s.REPORTS_DURABLE, ack_wait=10.0, max_ack_pending=1_000)),
        (s.INTAKE, _durable(s.INTAKE_DURABLE, ack_wait=10.0, max_ack_pending=100)),
        (s.EVENTS, _durable(s.NOTIFIER_DURABLE, ack_wait=30.0, max_ack_pending=256)),
        # A delivery that waits for its next try counts as pending: with a low limit, one dead endpoint stops all routes.
        (s.DELIVERIES, _durable(s.DELIVERIES_DURABLE, ack_wait=30.0, max_ack_pending=10_000)),
        *(
            (
                s.JOBS,
                _durable(
                    s.pool_durable(pool), ack_wait=JOB_ACK_SECONDS, max_ack_pending=1_000, filter=s.jobs_of_pool(pool)
                ),
            )
            for pool in pools
        ),
    )


def host_consumer(host: str) -> ConsumerConfig:
    """The durable that brings a host the jobs which must run where the task's clone is."""
    return _durable(s.host_durable(host), ack_wait=JOB_ACK_SECONDS, max_ack_pending=1_000, filter=s.jobs_of_host(host))


def _durable(name: str, *, ack_wait: float, max_ack_pending: int, filter: str | None = None) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=name,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=ack_wait,
        max_ack_pending=max_ack_pending,
        filter_subject=filter,
    )


async def provision(nc: Client, *, pools: Iterable[str], replicas: int = 1) -> tuple[str, ...]:
    """Create what is missing, update what differs. Returns one line per thing that was changed; empty when all stood."""
    js = nc.jetstream()
    done: list[str] = []
    for wanted in stream_configs(replicas):
        name = str(wanted.name)
        try:
            info = await js.stream_info(name)
        except NotFoundError:
            await js.add_stream(wanted)
            done.append(f"created stream {name}")
            continue
        if differences := _differences(wanted, info.config):
            await js.update_stream(wanted)
            done.append(f"updated stream {name}: {'; '.join(differences)}")
    for stream, consumer in consumer_configs(pools):
        if differences := await _consumer_differences(js, stream, consumer):
            await js.add_consumer(stream, consumer)
            done.append(f"set consumer {stream}/{consumer.durable_name}: {'; '.join(differences)}")
    return tuple(done)


async def check(nc: Client, *, streams: Iterable[str], consumers: Iterable[tuple[str, str]] = ()) -> None:
    """Raise Drift, naming each difference and what to do, unless these streams and durables stand as defined."""
    js = nc.jetstream()
    wanted = {str(config.name): config for config in stream_configs()}
    problems: list[str] = []
    for name in streams:
        try:
            info = await js.stream_info(name)
        except NotFoundError:
            problems.append(f"stream {name} does not exist")
            continue
        problems += [f"stream {name}: {difference}" for difference in _differences(wanted[name], info.config)]
    for stream, durable in consumers:
        try:
            await js.consumer_info(stream, durable)
        except NotFoundError:
            problems.append(f"consumer {durable} of stream {stream} does not exist")
    if problems:
        raise Drift("; ".join(problems) + ". Run `penstock-orchestrator provision` with the admin's credentials.")


_CHECKED_STREAM_FIELDS: Final = tuple(
    name
    for name in (field.name for field in fields(StreamConfig))
    # Left out: what an operator may set as he likes (replicas, placement, size caps), and what the server fills in.
    if name
    in {
        "subjects",
        "retention",
        "discard",
        "discard_new_per_subject",
        "max_msgs_per_subject",
        "storage",
        "allow_direct",
        "deny_delete",
        "allow_msg_ttl",
        "subject_transform",
        "republish",
        "persist_mode",
    }
)


def _differences(wanted: StreamConfig, found: StreamConfig) -> list[str]:
    differences = []
    for name in _CHECKED_STREAM_FIELDS:
        left, right = _normal(getattr(wanted, name)), _normal(getattr(found, name))
        if left != right:
            differences.append(f"{name} is {right}, must be {left}")
    return differences


def _normal(value: object) -> object:
    """Server and client write the same nothing in several ways."""
    if value in (None, "", 0, -1, False, "default"):
        return None
    if isinstance(value, SubjectTransform | RePublish):
        return (value.src, value.dest)
    return getattr(value, "value", value)


async def _consumer_differences(js: JetStreamContext, stream: str, wanted: ConsumerConfig) -> list[str]:
    try:
        info = await js.consumer_info(stream, str(wanted.durable_name))
    except NotFoundError:
        return ["new"]
    found = info.config
    names = ("ack_wait", "max_ack_pending", "filter_subject")
    return [
        f"{name} was {getattr(found, name)}"
        for name in names
        if _normal(getattr(wanted, name)) != _normal(getattr(found, name))
    ]


async def check_server(nc: Client, monitor_url: str, *, allow_volatile: bool) -> str:
    """Raise Drift on a server too old, or one that acknowledges before it syncs; returns the durability grade in words.

    `monitor_url`: the server's HTTP monitoring address; it alone tells `sync_interval`. With `allow_volatile` a server
    that is not proven durable is accepted, and the grade says so."""
    version = nc.connected_server_version
    found = (version.major, version.minor, version.patch)
    if found < SERVER_VERSION_MIN:
        raise Drift(
            f"nats-server is {'.'.join(map(str, found))}, at least {'.'.join(map(str, SERVER_VERSION_MIN))} is needed"
        )
    if not monitor_url:
        grade = None
    else:
        grade = await asyncio.to_thread(_sync_grade, monitor_url)
    if grade == "always":
        return "sync always"
    reason = "cannot be read without nats_monitor_url" if grade is None else f"is {grade}"
    if allow_volatile:
        return f"volatile: sync_interval {reason}"
    raise Drift(
        f"sync_interval of nats-server {reason}: a power cut would lose acknowledged events. "
        "Set `jetstream { sync_interval: always }`, or accept the loss by name with PENSTOCK_ALLOW_VOLATILE=true"
    )


def _sync_grade(monitor_url: str) -> str:
    # Straight there: a proxy of the environment is for the outside.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(monitor_url.rstrip("/") + "/varz", timeout=5) as response:
        varz = json.load(response)
    config = varz.get("jetstream", {}).get("config", {})
    return "always" if config.get("sync_always") else f"{config.get('sync_interval', 0) / 1e9:g} s"

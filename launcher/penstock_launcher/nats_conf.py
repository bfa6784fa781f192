"""The configuration of nats-server, as text: one user per service, each with the rights that its work needs.

Rule of this room: rights are lists of what is allowed, and whoever is not named may do nothing. The one use of a refusal
is to take other services' durables out of a service's right to make readers of its own, whose names are drawn by chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from penstock import subjects as s
from penstock.commands import CLAIM_VERB

ADMIN: Final = "admin"
ORCHESTRATOR: Final = "orchestrator"
AGENT_EXEC: Final = "agent-exec"
NOTIFIER: Final = "notifier"
API: Final = "api"
SUBSCRIBER: Final = "subscriber"
USERS: Final = (ADMIN, ORCHESTRATOR, AGENT_EXEC, NOTIFIER, API, SUBSCRIBER)

MAX_PAYLOAD_BYTES: Final = 1024 * 1024


class Rights(NamedTuple):
    """What one user may do: subjects, with the broker's wildcards. `refused` is taken out of `publish`."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    refused: tuple[str, ...] = ()


def render(
    *,
    port: int,
    monitor_port: int,
    store_dir: str,
    passwords: Mapping[str, str],
    pools: Iterable[str],
    hosts: Iterable[str],
    sync_always: bool = True,
) -> str:
    """The whole file. `passwords` has one entry for each of USERS; it holds them in clear, so it must be written 0600.

    `sync_always` False leaves the server's own two minutes: for tests and measurements, never for work."""
    rights = rights_of_all(tuple(pools), tuple(hosts))
    users = ",\n".join(f"    {_user(name, passwords[name], rights[name])}" for name in USERS)
    sync = ", sync_interval: always" if sync_always else ""
    return f"""# Written by the launcher at every start: changes made here are lost.
server_name: penstock
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
max_payload: {MAX_PAYLOAD_BYTES}
jetstream {{ store_dir: {json.dumps(store_dir)}{sync} }}
# The client library cannot read the second form of acknowledgement subjects.
feature_flags {{ js_ack_fc_v2: false }}
authorization {{
  users: [
{users}
  ]
}}
"""


def rights_of_all(pools: tuple[str, ...], hosts: tuple[str, ...]) -> dict[str, Rights]:
    """Who may do what, by user. `pools`: of hosts that run agents."""
    pools = (*pools, s.PUBLISH_POOL)
    return {
        ADMIN: Rights((">",), (">",)),
        ORCHESTRATOR: _orchestrator(pools),
        AGENT_EXEC: _agent_exec(pools, hosts),
        NOTIFIER: _notifier(),
        API: _api(),
        SUBSCRIBER: _subscriber(),
    }


def _orchestrator(pools: tuple[str, ...]) -> Rights:
    return Rights(
        publish=(
            f"{s.EVENTS_INGEST}.>",
            "penstock.job.>",
            "penstock.control.>",
            "penstock.dead.>",
            f"$KV.{s.LEASES}.>",
            # A micro-service answers on the inbox of whoever asks.
            "_INBOX.>",
            *_reads(s.EVENTS),
            *_reads(s.kv_stream(s.LEASES)),
            *_reads(s.kv_stream(s.CATALOG)),
            *_looks_at(s.JOBS, s.REPORTS, s.INTAKE, s.ARTIFACTS, s.OUTPUT, s.DELIVERIES, s.DEAD, s.ADVISORY),
            *_works_on(s.REPORTS, s.REPORTS_DURABLE),
            *_works_on(s.INTAKE, s.INTAKE_DURABLE),
            *(f"$JS.API.CONSUMER.INFO.{s.JOBS}.{s.pool_durable(pool)}" for pool in pools),
        ),
        subscribe=("penstock.cmd.>", "$SRV.>", _inbox(ORCHESTRATOR)),
        refused=_durables_of_others(s.EVENTS),
    )


def _agent_exec(pools: tuple[str, ...], hosts: tuple[str, ...]) -> Rights:
    own = [s.host_durable(host) for host in hosts]
    return Rights(
        publish=(
            "penstock.report.>",
            f"{s.OUTPUT_PUBLIC}.>",
            "penstock.artifact.>",
            s.command(*CLAIM_VERB),
            f"$KV.{s.LEASES}.job.*",
            *(s.kv(s.LEASES, s.host_lease(host)) for host in hosts),
            *_looks_at(s.JOBS, s.REPORTS, s.OUTPUT, s.ARTIFACTS),
            # What another host has left for this one.
            f"$JS.API.DIRECT.GET.{s.ARTIFACTS}.>",
            *_reads(s.kv_stream(s.LEASES)),
            *_works_on(s.JOBS, *(s.pool_durable(pool) for pool in pools), *own),
            *(f"$JS.API.CONSUMER.DURABLE.CREATE.{s.JOBS}.{name}" for name in own),
        ),
        subscribe=("penstock.control.stop.>", "penstock.control.say.>", _inbox(AGENT_EXEC)),
    )


def _notifier() -> Rights:
    return Rights(
        publish=(
            "penstock.deliver.>",
            "penstock.dead.>",
            *_works_on(s.EVENTS, s.NOTIFIER_DURABLE),
            *_works_on(s.DELIVERIES, s.DELIVERIES_DURABLE),
            *_looks_at(s.EVENTS, s.DELIVERIES, s.DEAD),
            *_reads(s.kv_stream(s.CATALOG)),
        ),
        subscribe=(_inbox(NOTIFIER),),
    )


def _api() -> Rights:
    readable = (s.EVENTS, s.OUTPUT, s.ARTIFACTS, s.DEAD, s.kv_stream(s.LEASES), s.kv_stream(s.CATALOG))
    return Rights(
        publish=(
            "penstock.cmd.task.>",
            "penstock.cmd.plan.>",
            "penstock.cmd.decision.>",
            f"$KV.{s.CATALOG}.>",
            *(right for stream in readable for right in _reads(stream)),
        ),
        subscribe=(_inbox(API),),
        refused=_durables_of_others(s.EVENTS),
    )


def _subscriber() -> Rights:
    """Reads along: live, and from the durable that an admin has made for it. It may make no reader of its own, since
    a reader can be told to deliver to any subject."""
    return Rights(
        publish=_works_on(s.EVENTS, SUBSCRIBER),
        subscribe=(f"{s.EVENTS_PUBLIC}.>", f"{s.OUTPUT_PUBLIC}.>", _inbox(SUBSCRIBER)),
    )


def _inbox(user: str) -> str:
    return f"_INBOX.{user}.>"


def _looks_at(*streams: str) -> tuple[str, ...]:
    return tuple(f"$JS.API.STREAM.INFO.{stream}" for stream in streams)


def _reads(stream: str) -> tuple[str, ...]:
    """Any message of the stream, by direct reads and by readers that the user makes and gives up."""
    return (
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
        f"$JS.API.CONSUMER.DELETE.{stream}.*",
    )


def _works_on(stream: str, *durables: str) -> tuple[str, ...]:
    """Fetching from durables that exist, and acknowledging, in both forms of the acknowledgement's subject."""
    return tuple(
        right
        for durable in durables
        for right in (
            f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
            f"$JS.ACK.{stream}.{durable}.>",
            f"$JS.ACK.*.*.{stream}.{durable}.>",
        )
    )


def _durables_of_others(stream: str) -> tuple[str, ...]:
    durables = {s.EVENTS: (s.NOTIFIER_DURABLE, SUBSCRIBER)}[stream]
    return tuple(
        refused
        for durable in durables
        for refused in (
            f"$JS.API.CONSUMER.CREATE.{stream}.{durable}",
            f"$JS.API.CONSUMER.CREATE.{stream}.{durable}.>",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
            f"$JS.API.CONSUMER.DELETE.{stream}.{durable}",
        )
    )


def _user(name: str, password: str, rights: Rights) -> str:
    publish = {"allow": list(rights.publish)} | ({"deny": list(rights.refused)} if rights.refused else {})
    permissions = {"publish": publish, "subscribe": {"allow": list(rights.subscribe)}}
    # The file's language is a superset of JSON.
    return json.dumps({"user": name, "password": password, "permissions": permissions})

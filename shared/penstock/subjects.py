"""Every name on the broker: streams, subjects, durables, buckets, headers. Spelled here and nowhere else.

Rule of this room: ids and names have no dots; a function builds a subject, and the function beside it takes it apart.
"""

from __future__ import annotations

from typing import NamedTuple

# Streams
EVENTS = "EVENTS"
REPORTS = "REPORTS"
JOBS = "JOBS"
OUTPUT = "OUTPUT"
INTAKE = "INTAKE"
DELIVERIES = "DELIVERIES"
DEAD = "DEAD"
ARTIFACTS = "ARTIFACTS"
ADVISORY = "ADVISORY"

# Buckets (key-value); the stream behind a bucket is KV_<bucket>
LEASES = "LEASES"
CATALOG = "CATALOG"

# Durables
REPORTS_DURABLE = "orchestrator"
NOTIFIER_DURABLE = "notifier"
DELIVERIES_DURABLE = "deliver"
INTAKE_DURABLE = "orchestrator"

# Headers. The second one has no constant in nats-py.
MSG_ID = "Nats-Msg-Id"
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_LAST_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
CONTENT_TYPE = "Content-Type"
CLOUDEVENTS_JSON = "application/cloudevents+json"
MARKER_REASON = "Nats-Marker-Reason"
KV_ROLLUP = "Nats-Rollup"
KV_OPERATION = "KV-Operation"
DEAD_REASON = "Penstock-Reason"

PUBLISH_POOL = "publish"
"""The pool of hosts that hand changes over, where nobody has named another."""

COMMAND_SERVICE = "penstock-orchestrator"
INTAKE_SUBJECT = "penstock.intake.task"
EVENTS_INGEST = "penstock.in.event"
EVENTS_PUBLIC = "task.event"
OUTPUT_PUBLIC = "task.output"


class EventSubject(NamedTuple):
    """`task.event.<repo>.<task>.<type>` taken apart."""

    repo: str
    task: str
    type: str


def event_ingest(repo: str, task: str, type_: str) -> str:
    """Where the orchestrator publishes; only it may."""
    return f"{EVENTS_INGEST}.{repo}.{task}.{type_}"


def event(repo: str, task: str, type_: str) -> str:
    """Where the event is stored and seen by everybody."""
    return f"{EVENTS_PUBLIC}.{repo}.{task}.{type_}"


def events_of_task(repo: str, task: str) -> str:
    """The filter of one task. Also the filter of its optimistic concurrency: every append must use this very string,
    since a replicated stream compares filters by their spelling."""
    return f"{EVENTS_PUBLIC}.{repo}.{task}.>"


def parse_event(subject: str) -> EventSubject:
    """The parts of a stored event's subject; raises ValueError on any other subject."""
    tokens = subject.split(".")
    if len(tokens) != 5 or tokens[0] != "task" or tokens[1] != "event":
        raise ValueError(f"not an event subject: {subject!r}")
    return EventSubject(tokens[2], tokens[3], tokens[4])


def report(task: str, job: str, kind: str) -> str:
    return f"penstock.report.{task}.{job}.{kind}"


def job_for_pool(pool: str, task: str, job: str) -> str:
    return f"penstock.job.pool.{pool}.{task}.{job}"


def job_for_host(host: str, task: str, job: str) -> str:
    return f"penstock.job.host.{host}.{task}.{job}"


def jobs_of_pool(pool: str) -> str:
    return f"penstock.job.pool.{pool}.>"


def jobs_of_host(host: str) -> str:
    return f"penstock.job.host.{host}.>"


def pool_durable(pool: str) -> str:
    return f"pool-{pool}"


def host_durable(host: str) -> str:
    return f"host-{host}"


def output(repo: str, task: str, job: str) -> str:
    return f"{OUTPUT_PUBLIC}.{repo}.{task}.{job}"


def output_of_task(repo: str, task: str) -> str:
    return f"{OUTPUT_PUBLIC}.{repo}.{task}.>"


def stop_order(job: str) -> str:
    """Core subject: whoever runs this job should end it now. A hint only: the lost lease is what binds."""
    return f"penstock.control.stop.{job}"


def say_order(job: str) -> str:
    """Core subject: whoever runs this job may tell its agent something. A hint: what is not told goes into the next prompt."""
    return f"penstock.control.say.{job}"


def command(noun: str, verb: str) -> str:
    return f"penstock.cmd.{noun}.{verb}"


def delivery(route: str, event_id: str) -> str:
    return f"penstock.deliver.{route}.{event_id}"


def dead_letter(source: str, name: str) -> str:
    return f"penstock.dead.{source}.{name}"


def artifact_chunk(task: str, job: str, name: str, chunk: int) -> str:
    return f"penstock.artifact.{task}.{job}.{name}.{chunk}"


def kv(bucket: str, key: str) -> str:
    return f"$KV.{bucket}.{key}"


def kv_stream(bucket: str) -> str:
    return f"KV_{bucket}"


def job_lease(job: str) -> str:
    return f"job.{job}"


def host_lease(host: str) -> str:
    return f"host.{host}"


LEADER_LEASE = "leader"


def catalog_repo(name: str) -> str:
    return f"repo.{name}"


def catalog_route(name: str) -> str:
    return f"route.{name}"


def catalog_template(name: str) -> str:
    return f"template.{name}"


def catalog_schedule(name: str) -> str:
    return f"schedule.{name}"


def catalog_memory(memory: str) -> str:
    return f"memory.{memory}"


CATALOG_SETTINGS = "settings"


def catalog_control(scope: str, name: str) -> str:
    """`scope`: fleet (its only name is `all`), repo, vendor or host."""
    return f"control.{scope}.{name}"

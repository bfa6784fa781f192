"""The published documents, as plain JSON values: one schema per event type, the other messages, and AsyncAPI over them.

Rule of this room: pure; the same Structs always give the same documents.
"""

from __future__ import annotations

import inspect
import json
from typing import Final, TypeAlias, get_args

import msgspec
from msgspec import Struct

from penstock import subjects as s
from penstock.codec import DATA_CONTENT_TYPE, SPEC_VERSION, TYPE_PREFIX, Envelope
from penstock.commands import Command, Reply
from penstock.events import Event, KnownEvent
from penstock.jobs import Job
from penstock.output import OutputBatch
from penstock.reports import Report

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Schema: TypeAlias = dict[str, Json]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_VERSION: Final = "3.1.0"
SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"
EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(KnownEvent)

MESSAGES: Final[dict[str, tuple[object, str]]] = {
    "command": (Command, "What may be asked of the orchestrator, by request on penstock.cmd.<noun>.<verb>."),
    "reply": (Reply, "The orchestrator's answer to a command."),
    "job": (Job, "A work order for an executor."),
    "report": (Report, "What an executor says about its own job."),
    "output_batch": (OutputBatch, "Live output of a job, on task.output.<repo>.<task>.<job>."),
}


def tag_of(event: type[Event]) -> str:
    """The type's name on the wire, without its prefix."""
    return str(event.__struct_config__.tag)


def words_of(struct: type[Struct]) -> str:
    """The docstring on one line."""
    return " ".join((inspect.getdoc(struct) or "").split())


def event_schema(event: type[Event]) -> Schema:
    """The schema of a whole document of this event type: the envelope and its data."""
    tag = tag_of(event)
    root, definitions = _schema_of(Envelope[event])  # type: ignore[valid-type]
    envelope = definitions.pop(str(root["$ref"]).rsplit("/", 1)[1])
    assert isinstance(envelope, dict)
    properties = envelope["properties"]
    assert isinstance(properties, dict)
    properties["specversion"] = {"const": SPEC_VERSION}
    properties["type"] = {"const": TYPE_PREFIX + tag}
    properties["datacontenttype"] = {"const": DATA_CONTENT_TYPE}
    return {
        "$schema": DIALECT,
        "$id": f"urn:penstock:schema:event:{tag}",
        "title": TYPE_PREFIX + tag,
        "description": words_of(event),
        "type": "object",
        "properties": properties,
        "required": envelope["required"],
        "$defs": definitions,
    }


def message_schema(name: str) -> Schema:
    """The schema of one of MESSAGES."""
    kind, words = MESSAGES[name]
    root, definitions = _schema_of(kind)
    head: Schema = {"$schema": DIALECT, "$id": f"urn:penstock:schema:{name}", "title": name, "description": words}
    return head | root | {"$defs": definitions}


def asyncapi() -> Schema:
    """The AsyncAPI document: what can be received, where. It refers to the schemas beside it by relative path."""
    events: Schema = {tag_of(event): _event_message(event) for event in EVENT_TYPES}
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Penstock task events",
            "version": "1.0.0",
            "description": "Every step of every task, as CloudEvents on NATS. Read from the stream EVENTS for all of them "
            "from the beginning, at least once; subscribe to the subject for the live ones only. Ignore types and fields "
            "that you do not know.",
        },
        "defaultContentType": s.CLOUDEVENTS_JSON,
        "channels": {
            "taskEvents": {
                "address": f"{s.EVENTS_PUBLIC}.{{repo}}.{{task}}.{{type}}",
                "description": "The log. A task's events are in order.",
                "parameters": {
                    "repo": {"description": "The repo's name in the catalogue."},
                    "task": {"description": "The task's id."},
                    "type": {"description": "The event's type without its prefix.", "enum": list(events)},
                },
                "messages": {tag: {"$ref": f"#/components/messages/{tag}"} for tag in events},
            },
            "taskOutput": {
                "address": f"{s.OUTPUT_PUBLIC}.{{repo}}.{{task}}.{{job}}",
                "description": "Live output, kept for a week. Not part of a task's truth: some of it may be lost.",
                "parameters": {
                    "repo": {"description": "The repo's name in the catalogue."},
                    "task": {"description": "The task's id."},
                    "job": {"description": "The job's id: the id of the event that asked for it."},
                },
                "messages": {"output_batch": {"$ref": "#/components/messages/output_batch"}},
            },
        },
        "operations": {
            "sendTaskEvent": {"action": "send", "channel": {"$ref": "#/channels/taskEvents"}},
            "sendTaskOutput": {"action": "send", "channel": {"$ref": "#/channels/taskOutput"}},
        },
        "components": {"messages": events | {"output_batch": _output_message()}},
    }


def _event_message(event: type[Event]) -> Schema:
    tag = tag_of(event)
    return {
        "name": TYPE_PREFIX + tag,
        "summary": words_of(event),
        "contentType": s.CLOUDEVENTS_JSON,
        "headers": {"type": "object", "properties": {s.MSG_ID: {"type": "string", "description": "The event's id."}}},
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./events/{tag}.json"}},
    }


def _output_message() -> Schema:
    return {
        "name": "output_batch",
        "summary": words_of(OutputBatch),
        "contentType": "application/json",
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": "./output_batch.json"}},
    }


def _schema_of(kind: object) -> tuple[Schema, Schema]:
    """A type's schema and its definitions, with descriptions unwrapped; in JSON's own types, without Python's tuples."""
    (root,), found = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for definition in found.values():
        if isinstance(words := definition.get("description"), str):
            definition["description"] = " ".join(words.split())
    return json.loads(json.dumps(root)), json.loads(json.dumps(found))

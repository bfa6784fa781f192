"""The answer to `ExplainTask`: a page of a task's history, told by today's rules.

Rule of this room: the log is read for each question, and the whole of it: what a rule looked at is the fold of all before.
"""

from __future__ import annotations

import asyncio
from typing import Final

import nats.errors
from nats.aio.client import Client

from penstock.bounds import MESSAGE_LENGTH_MAX, clip
from penstock.codec import Undecodable, encode
from penstock.commands import Explained, ExplainTask, NotReady, RefusedReply, Reply, Transition
from penstock.log import load_task
from penstock_orchestrator.core.explain import explain

PAGE_BYTES_MAX: Final = 400_000
"""Of the transitions of one answer; what the broker takes is a megabyte."""

PAGE_EVENTS_MAX: Final = 500


async def explained(nc: Client, repo: str, command: ExplainTask) -> Reply:
    """The page after `command.after` of a task that the fold knows in `repo`."""
    try:
        log = await load_task(nc, repo, command.task)
    except Undecodable as error:
        message = clip(f"the log holds what this version cannot read: {error}", MESSAGE_LENGTH_MAX)
        return RefusedReply(code="not_possible", message=message)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        message = clip(f"the event log cannot be read: {str(error) or type(error).__name__}", MESSAGE_LENGTH_MAX)
        return NotReady(message=message)
    # A long log takes its time, and leases, claims and reports must not wait for it.
    transitions = await asyncio.to_thread(explain, log)
    return page(command.task, [one for one in transitions if one.seq > command.after])


def page(task: str, transitions: list[Transition]) -> Explained:
    """As many as one answer holds."""
    size, taken = 0, 0
    for one in transitions[:PAGE_EVENTS_MAX]:
        size += len(encode(one)) + 1
        if size > PAGE_BYTES_MAX:
            break
        taken += 1
    return Explained(task=task, transitions=tuple(transitions[:taken]), more=taken < len(transitions))

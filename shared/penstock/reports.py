"""Reports: what an executor says about its own job. The orchestrator turns an accepted one into an event.

Rule of this room: a report names its job and the epoch of the lease it was done under; a stale epoch never reaches the log.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from penstock.bounds import Count, Id, Name
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentSucceeded,
    CompactFailed,
    CompactSucceeded,
    DecisionRaised,
    JobStopped,
    MessageTold,
    NetworkDenied,
    ObserveFailed,
    PlanFailed,
    PlanProposed,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
    PullRequestObserved,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.values import Utc

ReportBody: TypeAlias = (
    PrepareSucceeded
    | PrepareFailed
    | PlanProposed
    | PlanFailed
    | AgentProgressed
    | DecisionRaised
    | MessageTold
    | AgentSucceeded
    | AgentFailed
    | CompactSucceeded
    | CompactFailed
    | VerifySucceeded
    | VerifyFailed
    | PublishSucceeded
    | PublishFailed
    | PullRequestObserved
    | ObserveFailed
    | JobStopped
    | NetworkDenied
)
"""Only these events can begin their life as a report. The body's own `job` and `epoch` must equal the report's."""


class Report(Struct, frozen=True, kw_only=True):
    """One job's end, or (AgentProgressed, DecisionRaised, MessageTold, NetworkDenied) news from its middle. Published
    with `id` as its message id, until the stream has acknowledged it."""

    id: Id
    task: Id
    repo: Name
    job: Id
    epoch: Count
    host: Name
    at: Utc
    body: ReportBody

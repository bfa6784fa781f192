"""The look at a change before it is handed over, as a publish job has it done.

Rule of this room: it comes before anything outside is touched, on the mirror of the host that hands over.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from penstock.events import PublishFailed
from penstock.jobs import PublishWork
from penstock.values import Finding
from penstock_agent_exec.preflight.look import (
    FINDINGS_MAX,
    Change,
    class_of,
    in_words,
    let_pass,
    line_of,
    look_at,
    speaking_against,
)
from penstock_agent_exec.preflight.scanner import installed
from penstock_agent_exec.steps.bench import Bench, InHand

LISTED_MAX = 20
"""Findings that a pull request lists."""


async def preflight(bench: Bench, hand: InHand, work: PublishWork) -> tuple[Finding, ...]:
    """What was found, the worst first, with what a person has let pass. Raises as `look_at`."""
    data = bench.folder.path
    bench.folder.parcels.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="preflight-", dir=bench.folder.parcels) as scratch:
        found = await look_at(
            Change(
                mirror=bench.mirror(work.repo),
                base=work.base_commit,
                head=work.commit,
                known=work.expected,
                author=bench.settings.identity,
                rules=work.repo.preflight,
                scope=work.scope,
                redactor=hand.redactor,
                scanner=installed(data / "kingfisher", bench.sandbox),
                scratch=Path(scratch),
            )
        )
    return let_pass(found, work.waived)


def held_back(hand: InHand, findings: tuple[Finding, ...]) -> PublishFailed | None:
    """The end of the job, where anything speaks against the change."""
    against = speaking_against(findings)
    if not against:
        return None
    return PublishFailed(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        error_class=class_of(against[0]),
        message=in_words(against),
        findings=findings[:FINDINGS_MAX],
    )


def worth_a_look(findings: tuple[Finding, ...]) -> str:
    """What was let pass, for whoever reviews the change; empty where there is nothing."""
    if not findings:
        return ""
    lines = [f"- {line_of(one)}" for one in findings[:LISTED_MAX]]
    more = len(findings) - len(lines)
    return "\n".join(["**Worth a look**", *lines, *([f"- and {more} more"] if more else [])])

"""Leaving for other hosts what a run has come to: its work as a git bundle, and the agent program's own record of its session.

Rule of this room: a session's files were written by an agent, so they are packed and unpacked in a sandbox, never out here. What
cannot be left is said, and costs the run nothing, unless another host was to hand it over.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import nats.errors
import structlog
from nats.js.errors import APIError

from penstock.artifacts import ARTIFACT_BYTES_MAX, ArtifactTooLarge, store
from penstock.jobs import AgentWork
from penstock.values import Artifact, Parcel
from penstock_agent_exec.agents.vendor import Vendor
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.git.bundle import pack
from penstock_agent_exec.git.failures import GitFailed, ParcelGone, ParcelRefused
from penstock_agent_exec.git.mirror import Mirror, task_ref, wip_ref
from penstock_agent_exec.sandbox import Bind
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.parcel import folder_for_parcels, loaded
from penstock_agent_exec.steps.running import Place

log = structlog.get_logger()

BUNDLE: Final = ("work", "application/x-git-bundle")
SESSION: Final = ("session", "application/x-tar")
SESSION_FILES_MAX: Final = 64
SESSION_SECONDS_MAX: Final = 60.0
STORE_TRIES_MAX: Final = 5
STORE_PAUSE_SECONDS: Final = 1.0


async def leave_change(
    bench: Bench, hand: InHand, work: AgentWork, place: Place, vendor: Vendor, commit: str, *, travels: bool = True
) -> None:
    """Leave the result of the run, where hosts share work; `hand.parcel` says what was left. Of one that may not travel, the
    session alone. Raises the client's errors where the broker does not take what another host is to hand over."""
    if work.share_work:
        ref = task_ref(hand.job.task)
        needed = work.publish_elsewhere
        await _leave(bench, hand, work, place, vendor, ref, commit, travels=travels, needed=needed)


async def leave_kept(bench: Bench, hand: InHand, work: AgentWork, place: Place, vendor: Vendor) -> None:
    """Leave what a run without a result has kept, and its session, where hosts share work."""
    if work.share_work:
        kept = hand.kept
        ref = wip_ref(hand.job.task, work.attempt) if kept is None else kept.ref
        commit = None if kept is None else kept.commit
        await _leave(bench, hand, work, place, vendor, ref, commit, travels=True, needed=False)


async def _leave(
    bench: Bench,
    hand: InHand,
    work: AgentWork,
    place: Place,
    vendor: Vendor,
    ref: str,
    commit: str | None,
    *,
    travels: bool,
    needed: bool,
) -> None:
    packed = None
    if commit is not None and travels:
        packed = await _packed_work(bench, hand, place.mirror, place.clone.base, ref, needed=needed)
    bundle = await _left(bench, hand, *BUNDLE, packed, needed=needed)
    session = await _packed_session(bench, hand, place, vendor, work.session_id)
    hand.parcel = Parcel(
        job=hand.job.id,
        ref=ref,
        commit=commit,
        bundle=bundle,
        session=await _left(bench, hand, *SESSION, session, needed=False),
    )


async def leave_rebased(bench: Bench, hand: InHand, mirror: Mirror, base: str, ref: str, commit: str) -> Parcel:
    """Leave what stands on a new base, for others to hand over or to go on with. Raises the client's errors, TooBig."""
    packed = await _packed_work(bench, hand, mirror, base, ref, needed=True)
    return Parcel(
        job=hand.job.id, ref=ref, commit=commit, bundle=await _left(bench, hand, *BUNDLE, packed, needed=True)
    )


async def _packed_work(
    bench: Bench, hand: InHand, mirror: Mirror, base: str, ref: str, *, needed: bool
) -> bytes | None:
    """What the ref of the mirror has beyond the base, which every host can fetch from the remote by itself."""
    try:
        with folder_for_parcels(bench) as folder:
            bundle = folder / "bundle"
            await pack(mirror, bundle, ref=ref, base=base)
            return await asyncio.to_thread(_beginning, bundle)
    except (GitFailed, OSError) as error:
        if needed:
            raise
        hand.note(f"the work could not be packed for other hosts: {error}")
        return None


def _beginning(file: Path) -> bytes:
    """A byte more than an artifact may have is enough to be refused."""
    with file.open("rb") as opened:
        return opened.read(ARTIFACT_BYTES_MAX + 1)


async def _packed_session(bench: Bench, hand: InHand, place: Place, vendor: Vendor, session_id: str) -> bytes | None:
    """The session's files as a tar of paths below the agent's home; None where there are none, or none that can go."""
    found = [str(path.relative_to(place.home)) for path in vendor.session_files(place.home, session_id)]
    names = [f"./{name}" for name in sorted(found) if name.isprintable()][:SESSION_FILES_MAX]
    if not names:
        return None
    argv = ["tar", "--create", "--file=-", "--no-recursion", "--", *names]
    packed = await _in_sandbox(bench, place, argv, Bind(place.home))
    if packed is None:
        hand.note("the session could not be packed for other hosts, or is too large")
    return packed


async def take_session(bench: Bench, hand: InHand, place: Place, parcel: Parcel) -> None:
    """Put the session that another host has left into the agent's home; one that cannot be had is noted. Raises the client's
    errors."""
    if parcel.session is None:
        return
    try:
        body = await loaded(bench, hand.job.task, parcel.job, parcel.session)
    except (ParcelGone, ParcelRefused) as error:
        hand.note(f"the session of another host: {error}")
        return
    place.home.mkdir(mode=0o700, exist_ok=True)
    with folder_for_parcels(bench) as folder:
        packed = folder / "session"
        await asyncio.to_thread(packed.write_bytes, body)
        argv = ["tar", "--extract", f"--file={packed}", "--no-same-owner"]
        done = await _in_sandbox(bench, place, argv, Bind(packed), Bind(place.home, writable=True))
    if done is None:
        hand.note("the session of another host could not be unpacked")


async def _in_sandbox(bench: Bench, place: Place, argv: list[str], *binds: Bind) -> bytes | None:
    """What the command has printed; None where it has failed, or printed more than can be read."""
    try:
        done = await bench.sandbox(*binds)(argv, cwd=str(place.home), env={}, timeout_seconds=SESSION_SECONDS_MAX)
    except (TimeoutError, ChildNotStarted) as error:
        log.warning("session.not_moved", command=argv[:2], reason=str(error) or type(error).__name__)
        return None
    if done.returncode != 0 or done.truncated:
        said = done.stderr[-500:].decode(errors="replace")
        log.warning("session.not_moved", command=argv[:2], status=done.returncode, stderr=said)
        return None
    return done.stdout


async def _left(
    bench: Bench, hand: InHand, name: str, media_type: str, body: bytes | None, *, needed: bool
) -> Artifact | None:
    """Stored for others; tried again for a while, since the run has cost more than that. None, and a note, where it is too large
    or the broker does not take it; what is `needed` raises the client's errors then."""
    if body is None:
        return None
    for tries in range(1, STORE_TRIES_MAX + 1):
        try:
            return await store(
                bench.nc, task=hand.job.task, job=hand.job.id, name=name, body=body, media_type=media_type
            )
        except ArtifactTooLarge:
            hand.note(f"{name}: larger than {ARTIFACT_BYTES_MAX} bytes, not left for other hosts")
            return None
        except (nats.errors.Error, APIError, OSError) as error:
            reason = str(error) or type(error).__name__
            log.warning("parcel.retry", task=hand.job.task, job=hand.job.id, name=name, reason=reason)
            if tries == STORE_TRIES_MAX:
                if needed:
                    raise
                hand.note(f"{name}: not left for other hosts, the broker did not take it: {reason}")
        await asyncio.sleep(STORE_PAUSE_SECONDS)
    return None

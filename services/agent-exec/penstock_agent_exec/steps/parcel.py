"""What another host has left: a bundle that is checked and taken into the mirror, or bytes that are what the event says.

Rule of this room: what comes from another host is checked like what comes from an agent, and begins nothing until it is exactly
what was promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from penstock.artifacts import ARTIFACT_BYTES_MAX, ArtifactDamaged, ArtifactGone, ArtifactTooLarge, load_whole
from penstock.values import Artifact, Parcel
from penstock_agent_exec.git.bundle import take_bundle
from penstock_agent_exec.git.failures import (
    BaseGone,
    BaseLost,
    BundleRefused,
    ParcelGone,
    ParcelRefused,
    RefMissing,
    TooBig,
)
from penstock_agent_exec.git.mirror import Mirror, has_commit, task_ref, wip_ref
from penstock_agent_exec.steps.bench import Bench, InHand


async def take(
    bench: Bench, hand: InHand, mirror: Mirror, parcel: Parcel, *, base: str, descends_from: str | None = None
) -> None:
    """Bring the commit that another host has left into the mirror, which holds whatever the remote has. Once it is there,
    nothing is done. Raises ParcelGone, ParcelRefused, BaseGone, the failures of the mirror, and the client's errors."""
    task, commit = hand.job.task, parcel.commit
    if commit is None or await has_commit(mirror, commit):
        return
    if not _is_ref_of(task, parcel.ref):
        raise ParcelRefused(f"{parcel.ref} is no ref of this task.")
    if not await has_commit(mirror, base):
        raise BaseGone(f"{base}, on no branch of it.")
    body = await loaded(bench, task, parcel.job, parcel.bundle)
    with folder_for_parcels(bench) as folder:
        bundle = folder / "bundle"
        await asyncio.to_thread(bundle.write_bytes, body)
        try:
            await take_bundle(
                mirror,
                bundle,
                ref=parcel.ref,
                into=parcel.ref,
                base=base,
                descends_from=descends_from,
                exactly=commit,
                bundle_bytes_max=ARTIFACT_BYTES_MAX,
            )
        except (BundleRefused, BaseLost, RefMissing, TooBig) as error:
            raise ParcelRefused(str(error)) from error


def _is_ref_of(task: str, ref: str) -> bool:
    works = re.escape(wip_ref(task, 0).removesuffix("0"))
    return ref == task_ref(task) or re.fullmatch(rf"{works}[0-9]{{1,9}}", ref) is not None


async def loaded(bench: Bench, task: str, job: str, artifact: Artifact | None) -> bytes:
    """Raises ParcelGone, ParcelRefused, and the client's errors."""
    if artifact is None:
        raise ParcelGone("It was too large to be left.")
    try:
        return await load_whole(bench.nc, artifact, task=task, job=job)
    except ArtifactGone as error:
        raise ParcelGone(str(error)) from error
    except (ArtifactDamaged, ArtifactTooLarge) as error:
        raise ParcelRefused(str(error)) from error


@contextlib.contextmanager
def folder_for_parcels(bench: Bench) -> Iterator[Path]:
    """A place on the data folder's disk, out of any agent's reach, for as long as something is packed or unpacked."""
    bench.folder.parcels.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench.folder.parcels) as folder:
        yield Path(folder)

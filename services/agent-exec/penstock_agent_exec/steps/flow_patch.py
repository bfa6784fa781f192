"""The flow `patch`: the change as mail, all of it in one mailbox and commit by commit, kept beside the log to be downloaded.

Rule of this room: nothing outside is touched; stored again, it is the same bytes under the same names.
"""

from __future__ import annotations

from typing import Final

from penstock.artifacts import store
from penstock.jobs import PublishWork
from penstock.values import Artifact, Delivery
from penstock_agent_exec.git.change import patches_of
from penstock_agent_exec.steps.bench import Bench, InHand

PATCH_NAME: Final = "change-patch"
PATCH_MEDIA_TYPE: Final = "application/mbox"
PATCHES_MAX: Final = 100
"""A change of more commits is only stored as a whole."""


async def hand_over_patch(bench: Bench, hand: InHand, work: PublishWork) -> Delivery:
    """Raises Stopped, Lost, ArtifactTooLarge, the failures of git and the client's errors."""
    patches = await hand.tenure.stop.unless_asked(patches_of(bench.mirror(work.repo), work.base_commit, work.commit))
    whole = await stored(bench, hand, PATCH_NAME, b"".join(patch.content for patch in patches))
    each: list[Artifact] = []
    if 1 < len(patches) <= PATCHES_MAX:
        for number, patch in enumerate(patches, 1):
            each.append(await stored(bench, hand, f"{PATCH_NAME}-{number}", patch.content))
    return Delivery(kind="patch", commit=work.commit, patch=whole, patches=tuple(each))


async def stored(bench: Bench, hand: InHand, name: str, body: bytes) -> Artifact:
    """One mailbox, under this name of the job."""
    hand.tenure.must_hold()
    return await store(bench.nc, task=hand.job.task, job=hand.job.id, name=name, body=body, media_type=PATCH_MEDIA_TYPE)

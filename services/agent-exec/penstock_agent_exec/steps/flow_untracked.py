"""The flow `untracked`: the change as edits in a folder of this host, for its owner to look at and to commit, or not.

Rule of this room: what is edited is read from the mirror, not from the agent's clone; the patch is kept too, so nothing is lost
where the folder does not take it.
"""

from __future__ import annotations

from pathlib import Path

from penstock.jobs import PublishWork
from penstock.values import Delivery
from penstock_agent_exec.git.change import FileChange, diffstat, format_patch
from penstock_agent_exec.git.command import git_output
from penstock_agent_exec.git.mirror import Mirror, in_thread
from penstock_agent_exec.local.edits import Edit, Side, Unfit, make
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.flow_patch import PATCH_NAME, stored
from penstock_agent_exec.tenure import Stopped

BYTES_MAX = 64 * 1024 * 1024
PLAIN_MODES = ("100644", "100755", "000000")


async def hand_over_edits(bench: Bench, hand: InHand, work: PublishWork) -> Delivery:
    """Raises Stopped before anything was edited, Unfit, InTheWay, NotTaken, FolderRefused, Lost, and the failures of git."""
    folder, mirror = bench.local_folder(work.repo), bench.mirror(work.repo)
    edits = await hand.tenure.stop.unless_asked(_edits(mirror, work.base_commit, work.commit))
    patch = await stored(bench, hand, PATCH_NAME, await format_patch(mirror, work.base_commit, work.commit))
    if hand.tenure.stop.asked.is_set():
        raise Stopped(hand.tenure.stop.reason)
    hand.tenure.must_hold()
    await in_thread(_make, folder, edits)
    return Delivery(kind="untracked", commit=work.commit, url=folder.as_uri(), patch=patch)


def _make(folder: Path, edits: tuple[Edit, ...]) -> None:
    make(folder, edits)


async def _edits(mirror: Mirror, base: str, head: str) -> tuple[Edit, ...]:
    stands = await diffstat(mirror, base, head)
    odd = [file.path for file in stands.files if {file.old_mode, file.new_mode} - set(PLAIN_MODES) or _leads_away(file)]
    if odd:
        raise Unfit(f"Only plain files are edited, which these are not: {', '.join(odd[:10])}.")
    size = sum(file.size_bytes for file in stands.files)
    if size > BYTES_MAX:
        raise Unfit(f"It has {size} bytes; the limit is {BYTES_MAX}.")
    edits: list[Edit] = []
    held_bytes = 0
    for file in stands.files:
        edits.append(edit := await _edit(mirror, base, head, file))
        held_bytes += sum(len(side.content) for side in (edit.before, edit.after) if side is not None)
        if held_bytes > 2 * BYTES_MAX:
            raise Unfit(f"With what it takes away it has more than {2 * BYTES_MAX} bytes.")
    return tuple(edits)


def _leads_away(file: FileChange) -> bool:
    """Git lets no such name into a tree; it is looked at all the same, since it is a path on this host now."""
    return any(part.lower() in ("", ".", "..", ".git") for part in file.path.split("/"))


async def _edit(mirror: Mirror, base: str, head: str, file: FileChange) -> Edit:
    return Edit(
        path=file.path,
        before=await _side(mirror, base, file.path, file.old_mode),
        after=await _side(mirror, head, file.path, file.new_mode),
    )


async def _side(mirror: Mirror, commit: str, path: str, mode: str) -> Side | None:
    if mode == "000000":
        return None
    content = await git_output(mirror.path, "cat-file", "blob", f"{commit}:{path}")
    return Side(content, executable=mode == "100755")

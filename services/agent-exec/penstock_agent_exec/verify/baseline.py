"""What a repo's commands make of the commit at which tasks begin: looked at once by each host, and kept.

Rule of this room: what is kept is known by all that it depends on, so that it is never out of date, and never trusted to be
readable. No check fails for it: where nothing can be found out, nothing is said.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from penstock import ids
from penstock.bounds import Oid
from penstock.jobs import VerifyWork
from penstock_agent_exec.verify.compare import Past

FORMAT: Final = 1
KEPT_MAX: Final = 50
"""Of each repo, the ones used last."""

FILE_BYTES_MAX: Final = 16 * 1024 * 1024


class Known(Struct, frozen=True, kw_only=True):
    """What was found at one commit; a command that was not come to is not in it."""

    commit: Oid
    commands: tuple[Past, ...]

    def of(self, stage: str) -> Past | None:
        return next((one for one in self.commands if one.stage == stage), None)


def path_of(data: Path, work: VerifyWork) -> Path:
    """Where what is known of the work's base commit is kept."""
    depends_on = (
        FORMAT,
        work.repo.clone_url,
        work.base_commit,
        work.commands,
        work.repo.egress,
        work.repo.checking.rerun,
    )
    digest = hashlib.sha256(msgspec.json.encode(depends_on)).hexdigest()
    return data / "baselines" / work.repo.name / f"{digest}.json"


def load(path: Path) -> Known | None:
    """None where nothing is known."""
    try:
        with path.open("rb") as file:
            known = msgspec.json.decode(file.read(FILE_BYTES_MAX), type=Known)
        os.utime(path)
    except (OSError, msgspec.DecodeError):
        return None
    return known


def keep(path: Path, known: Known) -> None:
    """Keep it, and let go what was not used for long. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = path.with_name(f"{ids.fresh()}.making")
    making.write_bytes(msgspec.json.encode(known))
    making.rename(path)
    used: list[tuple[float, Path]] = []
    for other in path.parent.iterdir():
        # Another task may be at the same.
        with suppress(FileNotFoundError):
            used.append((other.stat().st_mtime, other))
    for _, old in sorted(used, reverse=True)[KEPT_MAX:]:
        old.unlink(missing_ok=True)

"""How this host keeps children: its sandbox, its limits and who holds them, and what it shows of itself.

The rule of this room: every child of a job, and every attempt of the selftest, gets its profile here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_agent_exec.cgroups import Means
from penstock_agent_exec.folder import MARK, DataFolder
from penstock_agent_exec.limits import limits_for
from penstock_agent_exec.mounts import Extras, Mounts
from penstock_agent_exec.sandbox import Bind, Profile
from penstock_agent_exec.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """`bwrap` is None where children run without a sandbox, by name."""

    settings: Settings
    folder: DataFolder
    bwrap: Path | None
    means: Means
    mounts: Mounts

    def profile(self, cwd: Path, binds: Sequence[Bind], env: Mapping[str, str] | None = None) -> Profile:
        """A child that sees `binds` and works in `cwd`, without a network."""
        settings = self.settings
        return Profile(
            cwd=str(cwd),
            env={MARK: self.folder.installation} | dict(env or {}),
            binds=tuple(binds),
            limits=limits_for(
                memory_bytes=settings.sandbox_memory_bytes,
                processes=settings.sandbox_processes,
                cpus=settings.sandbox_cpus,
            ),
            means=self.means,
            unsandboxed=self.bwrap is None,
            bwrap=self.bwrap or Path(),
        )

    @property
    def label(self) -> str:
        """In words, for reports."""
        return self.profile(self.folder.path, ()).label

    def extras(self, repo: str) -> Extras:
        """What this host's configuration adds to what agents and checks of the repo see. Makes the folders of its caches."""
        return Extras() if self.bwrap is None else self.mounts.extras(repo, self.folder.caches)

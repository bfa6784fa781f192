"""What every step works with: this host's means, the job in hand, and a sandbox for git in a clone.

Rule of this room: what a child may see is made here, and everything it needs is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from penstock.bounds import LINE_LENGTH_MAX
from penstock.jobs import Job, ObserveWork, PublishWork, Work
from penstock.values import LOCAL, Kept, Parcel, RepoSnapshot, Usage
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.cgroups import RLIMITS, Means
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.folder import DataFolder
from penstock_agent_exec.forge import Forge
from penstock_agent_exec.forge.configured import NO_FORGES, Forges
from penstock_agent_exec.forge.recording import KIND as RECORDING
from penstock_agent_exec.forge.recording import RecordingForge
from penstock_agent_exec.git.command import STDERR_BYTES_KEPT, STDOUT_BYTES_MAX, Completed, Sandboxed
from penstock_agent_exec.git.credential import Credential, NoKey, TokenFile
from penstock_agent_exec.git.mirror import Mirror, mirror_of
from penstock_agent_exec.git.names import Remote, check_remote
from penstock_agent_exec.git.publish import look
from penstock_agent_exec.keeping import Keeping
from penstock_agent_exec.known_secrets import KnownSecrets
from penstock_agent_exec.local.folder import folder_of, remote_of
from penstock_agent_exec.mounts import NO_MOUNTS, Extras, Mounts
from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.redact import NOTHING_KNOWN, Redactor
from penstock_agent_exec.sandbox import Bind, Profile
from penstock_agent_exec.settings import Settings
from penstock_agent_exec.stream_output import OutputStream
from penstock_agent_exec.tenure import Tenure
from penstock_agent_exec.transcript import Transcript
from penstock_agent_exec.vendors import Offer

GIT_STDERR_BYTES_MAX: Final = 64 * 1024 * 1024
NOTHING_USED: Final = Usage(cost_usd=0.0)
SIGNALLED: Final = -9
"""The exit status given for a command whose sandbox was killed before it could say one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """This host, as a step needs to know it. `bwrap` is None where children run without a sandbox, by name."""

    nc: Client
    settings: Settings
    folder: DataFolder
    bwrap: Path | None
    offers: Mapping[str, Offer]
    means: Means = RLIMITS
    mounts: Mounts = NO_MOUNTS
    secrets: KnownSecrets
    forges: Forges = NO_FORGES

    def mirror(self, repo: RepoSnapshot) -> Mirror:
        return mirror_of(self.folder.path, repo.name)

    def remote(self, repo: RepoSnapshot) -> Remote:
        """Raises BadName, FolderRefused."""
        if repo.provider == LOCAL:
            return remote_of(self.local_folder(repo))
        return check_remote(repo.clone_url, allow_local=self.settings.allow_local_remotes)

    def local_folder(self, repo: RepoSnapshot) -> Path:
        """The folder that a repo of the provider `local` is. Raises FolderRefused."""
        return folder_of(repo.clone_url, allowed=self.settings.local_roots, data=self.folder.path)

    def forge(self, repo: RepoSnapshot) -> Forge | None:
        """The forge behind the repo's remote, None where it is a remote and no more."""
        if repo.provider != RECORDING:
            # A host that does not publish speaks to no forge: it has nothing to show one.
            return self.forges.of(repo, self.remote(repo)) if self.settings.publishes else None
        return RecordingForge(self.folder.path / "forge", repo.name, partial(self._head_of, repo))

    async def _head_of(self, repo: RepoSnapshot, branch: str) -> str | None:
        remote = self.remote(repo)
        return await look(self.mirror(repo), remote, branch, credential=self.credential(remote))

    def credential(self, remote: Remote, *, pushes: bool = False) -> Credential | None:
        """What git may show the remote; None for what the account has of itself."""
        settings = self.settings
        if (own := self.forges.git_credential(remote)) is not None:
            return own
        if remote.protocol == "https":
            if self.forges.are_named:
                # Whoever may add a repo could else have the token sent to a host of their own.
                return None
            token = settings.git_token_file
            if not pushes:
                token = settings.git_read_token_file or token
            return TokenFile(Path(token)) if token else None
        return None if settings.publishes else NoKey()

    @property
    def pools(self) -> tuple[str, ...]:
        """Whose orders this host takes besides its own."""
        return (*self.offers, *((self.settings.publish_pool,) if self.settings.publishes else ()))

    def lacks(self, work: Work) -> str:
        """The role that the work needs and this host has not; empty where it has it."""
        if isinstance(work, PublishWork | ObserveWork):
            return "" if self.settings.publishes else "publish"
        return "" if self.settings.runs else "run"

    def profile(self, cwd: Path, binds: Sequence[Bind], env: Mapping[str, str] | None = None) -> Profile:
        """A child that sees `binds` and works in `cwd`, without a network."""
        return self.keeping.profile(cwd, binds, env)

    @property
    def keeping(self) -> Keeping:
        """How this host keeps children."""
        return Keeping(
            settings=self.settings, folder=self.folder, bwrap=self.bwrap, means=self.means, mounts=self.mounts
        )

    def extras(self, repo: RepoSnapshot) -> Extras:
        """What this host's configuration adds to what agents and checks of the repo see. Makes the folders of its caches."""
        return self.keeping.extras(repo.name)

    def git_sandbox(self, work_tree: Path, mirror: Mirror) -> Sandboxed:
        """Where git may run in a clone: its work tree to write, the mirror's objects to read, nothing else."""
        return self.sandbox(Bind(mirror.objects), Bind(work_tree, writable=True))

    def sandbox(self, *binds: Bind) -> Sandboxed:
        """Where a command that touches what an agent wrote may run: with these places, and nothing else."""

        async def run(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
            return await _git(
                argv, self.profile(Path(cwd), binds, {"HOME": "/nonexistent"} | dict(env)), timeout_seconds
            )

        return run


@dataclass(slots=True, kw_only=True)
class InHand:
    """A job while it is worked on. `usage`, `kept`, `parcel`, `session_id`: known so far, for whatever report it comes to.
    `redactor`: for everything that a child of the job prints, and for every word about it."""

    job: Job
    tenure: Tenure
    output: OutputStream
    redactor: Redactor = NOTHING_KNOWN
    transcript: Transcript = field(default_factory=Transcript)
    usage: Usage = NOTHING_USED
    kept: Kept | None = None
    parcel: Parcel | None = None
    session_id: str = ""
    vendor_version: str = ""
    sandbox: str = ""
    session_restarted: bool = False

    def note(self, text: str) -> None:
        """Tell those who watch."""
        self.output.note(shown(self.redactor.text(text), LINE_LENGTH_MAX))


async def _git(argv: Sequence[str], profile: Profile, timeout_seconds: float) -> Completed:
    """Raises TimeoutError, and ChildNotStarted where there is no sandbox for it."""
    out, err = _Head(STDOUT_BYTES_MAX), _Head(STDERR_BYTES_KEPT)
    ending = await run_child(
        argv,
        profile,
        watch=Watch(wall_seconds=timeout_seconds, output_bytes_max=STDOUT_BYTES_MAX + GIT_STDERR_BYTES_MAX, stop=()),
        on_stdout=out.take,
        on_stderr=err.take,
    )
    if ending.why == "wall_limit":
        raise TimeoutError
    if not ending.nothing_left:
        raise ChildNotStarted(f"{argv[0]} in the sandbox does not die")
    code = SIGNALLED if ending.exit_code is None else ending.exit_code
    return Completed(code, out.content, err.content, out.more or ending.why == "output_limit")


class _Head:
    """The beginning of what a child prints, and whether there was more."""

    def __init__(self, bytes_max: int) -> None:
        self.more = False
        self._parts: list[bytes] = []
        self._room = bytes_max

    @property
    def content(self) -> bytes:
        return b"".join(self._parts)

    async def take(self, chunk: bytes) -> None:
        self.more = self.more or len(chunk) > self._room
        self._parts.append(chunk[: self._room])
        self._room = max(self._room - len(chunk), 0)

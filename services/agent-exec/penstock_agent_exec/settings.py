"""The executor's settings, `PENSTOCK_…`.

Rule of this room: whatever can be refused at the start is refused here, by the setting's name; a limit is a setting only
where hosts differ, the others are named where they bite.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from penstock import settings as common
from penstock.bounds import NAME_PATTERN, Name, Seconds
from penstock.settings import BadSettings, Common, Secret
from penstock_agent_exec.agents.known import is_scripted
from penstock_agent_exec.git.failures import BadName
from penstock_agent_exec.git.names import Identity, check_identity
from penstock_agent_exec.sandbox_probe import probe

SERVICE: Final = "agent-exec"
VENDORS_KNOWN: Final = ("claude", "scripted")

_LIST = NAME_PATTERN.replace("(?!\\n)$", "(,[a-z0-9][a-z0-9_-]{0,62})*(?!\\n)$")


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`host`: this host's name, no two executors may have the same. `data_dir`: an absolute path, for this executor alone.
    `vendors`: agents to offer, separated by commas; those that this host lacks are left out and noted; `scripted-` and
    any word is the scripted agent under a second name. `scripts_dir`: where the scripted agent finds its scripts.
    `sandbox`: `none` runs what agents do with all the rights of this process.
    `drain_grace_seconds`: how long a running job may go on after SIGTERM. `agent_silence_seconds`: how
    long an agent may print nothing; one shell command of claude may take 1,800 s. `git_token_file`: a file with a token for https
    remotes. `allow_local_remotes`: repos may be folders of this host."""

    host: Name = ""
    data_dir: str = ""
    slots: Annotated[int, Meta(ge=1, le=64)] = 1
    vendors: Annotated[str, Meta(pattern=_LIST)] = ",".join(VENDORS_KNOWN)
    scripts_dir: str = ""
    allow_local_remotes: bool = False
    git_token_file: str = ""
    claude_path: str = "claude"
    anthropic_base_url: str = "https://api.anthropic.com"
    anthropic_api_key: Secret = Secret("")
    author_name: str = "Penstock"
    author_email: str = "penstock@localhost"
    sandbox: Literal["bwrap", "none"] = "bwrap"
    job_lease_seconds: Annotated[int, Meta(ge=3, le=600)] = 30
    drain_grace_seconds: Seconds = 20.0
    agent_silence_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 1_900.0
    output_bytes_max: Annotated[int, Meta(ge=1, le=1 << 40)] = 1 << 30

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    @property
    def scripts(self) -> Path | None:
        return Path(self.scripts_dir) if self.scripts_dir else None

    @property
    def vendor_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.vendors.split(",")))

    @property
    def identity(self) -> Identity:
        return Identity(self.author_name, self.author_email)


def load(environ: Mapping[str, str]) -> Settings:
    """The settings, checked as far as that goes without a broker. Raises BadSettings."""
    found = common.load(Settings, SERVICE, environ)
    if not found.host:
        raise BadSettings("PENSTOCK_HOST is not set: give this host a name of its own, of a-z, 0-9, - and _")
    for name, path in (("DATA_DIR", found.data_dir), ("SCRIPTS_DIR", found.scripts_dir)):
        if (path or name == "DATA_DIR") and not Path(path).is_absolute():
            raise BadSettings(f"PENSTOCK_{name} must be an absolute path, not {path!r}")
    for vendor in found.vendor_names:
        if vendor not in VENDORS_KNOWN and not is_scripted(vendor):
            raise BadSettings(f"PENSTOCK_VENDORS: unknown vendor {vendor!r}; known: {', '.join(VENDORS_KNOWN)}")
    try:
        check_identity(found.identity)
    except BadName as error:
        raise BadSettings(f"PENSTOCK_AUTHOR_NAME, PENSTOCK_AUTHOR_EMAIL: {error}") from error
    if shutil.which("git") is None:
        raise BadSettings("git is not installed on this host: install the package `git`")
    return found


def bwrap_of(settings: Settings) -> Path | None:
    """Where bubblewrap lies; None where this host is told to go without a sandbox. Raises BadSettings where it cannot work."""
    if settings.sandbox == "none":
        return None
    found = probe()
    if not found.ok or found.bwrap is None:
        raise BadSettings(
            f"no sandbox on this host: {found.message}. Or set PENSTOCK_SANDBOX=none, to run agents with all the rights "
            "of this process"
        )
    return found.bwrap

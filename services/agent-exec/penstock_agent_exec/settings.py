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
from penstock.subjects import PUBLISH_POOL
from penstock_agent_exec.agents.generic_file import BadAgents, Described, read_agents
from penstock_agent_exec.agents.known import NAMES, is_scripted
from penstock_agent_exec.forge.table import NO_HOSTS, BadForges, Hosts, read_hosts
from penstock_agent_exec.git.failures import BadName
from penstock_agent_exec.git.names import Identity, check_identity
from penstock_agent_exec.sandbox_probe import probe
from penstock_agent_exec.upstream import read_upstream

SERVICE: Final = "agent-exec"

FORGE_TOKENS: Final = ("GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN", "FORGEJO_TOKEN")
"""Variables under which tools find a forge's token."""

_LIST = "^$|" + NAME_PATTERN.replace("(?!\\n)$", "(,[a-z0-9][a-z0-9_-]{0,62})*(?!\\n)$")

KeyHeader = Annotated[str, Meta(pattern=r"^([A-Za-z][A-Za-z0-9-]{0,63})?(?!\n)$")]


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`host`: this host's name, no two executors may have the same. `data_dir`: an absolute path, for this executor alone.
    `vendors`: agents to offer, separated by commas, or empty for all that are known and described; those that this host lacks
    are left out and noted; `scripted-` and any word is the scripted agent under a second name. `agents_file`: a TOML file
    that describes other agents (`agents/generic_file.py`). `scripts_dir`: where the scripted agent finds its scripts.
    `sandbox`: `none` runs what agents do with all the rights of this process. `sandbox_…`: what one run of an agent or one check
    may take, all of its processes together; memory never beyond three quarters of the host's, `sandbox_cpus` 0 is no limit and
    needs control groups. `mounts_file`: what repos see of this host, see `mounts.py`.
    `drain_grace_seconds`: how long a running job may go on after SIGTERM. `agent_silence_seconds`: how
    long an agent may print nothing; one shell command of claude may take 1,800 s. `roles`: `run` for agents and checks, `publish`
    for handing changes over: a host with only the first holds nothing that can push, one with only the second runs nobody's
    code. `publish_pool`: whose changes a host with that role hands over, besides its own. `git_token_file`: a file with a token
    for https remotes; `git_read_token_file`: one that can only read, used for fetching where it is set. `forges_file`: TOML
    with the hosts to speak to and the credential for each (`forge/table.py`), in place of the two; without it `git_token_file` is
    shown to every https remote, and to the API of well-known forges. `secrets_file`: one
    secret to a line, hidden wherever it is printed, as those of these settings are. `allow_local_remotes`: repos may be folders
    of this host. `local_folders`: absolute paths, with a colon between them, below which repos of the provider `local` may
    be: folders without any remote, that changes are written into. `keep_days`: how long a task's clone stays that no job
    works with; `disk_bytes_max`: how large the data folder may grow before the oldest of them go sooner, 0 for no limit.

    Of each vendor `…_path` is its program, on PATH or absolute, and `…_base_url` its API or a proxy that speaks like it, with a
    query where every request needs one (Azure: `…/openai?api-version=…`). The key goes into the vendor's own header, or into
    `…_key_header`; into `authorization` as a bearer's. `claude_oauth_token`, from `claude setup-token`, is the login that pays
    for tasks with billing `subscription`."""

    host: Name = ""
    data_dir: str = ""
    slots: Annotated[int, Meta(ge=1, le=64)] = 1
    vendors: Annotated[str, Meta(pattern=_LIST)] = ""
    scripts_dir: str = ""
    allow_local_remotes: bool = False
    local_folders: str = ""
    roles: Annotated[str, Meta(pattern=r"^(run|publish|run,publish|publish,run)(?!\n)$")] = "run,publish"
    publish_pool: Name = PUBLISH_POOL
    git_token_file: str = ""
    git_read_token_file: str = ""
    forges_file: str = ""
    secrets_file: str = ""
    claude_path: str = "claude"
    anthropic_base_url: str = "https://api.anthropic.com"
    anthropic_api_key: Secret = Secret("")
    anthropic_key_header: KeyHeader = ""
    claude_oauth_token: Secret = Secret("")
    codex_path: str = "codex"
    openai_base_url: str = "https://api.openai.com/v1"
    openai_api_key: Secret = Secret("")
    openai_key_header: KeyHeader = ""
    gemini_path: str = "gemini"
    gemini_base_url: str = "https://generativelanguage.googleapis.com"
    gemini_api_key: Secret = Secret("")
    gemini_key_header: KeyHeader = ""
    qwen_path: str = "qwen"
    qwen_base_url: str = "https://dashscope.aliyuncs.com/compatible-mode/v1"
    qwen_api_key: Secret = Secret("")
    qwen_key_header: KeyHeader = ""
    agents_file: str = ""
    author_name: str = "Penstock"
    author_email: str = "penstock@localhost"
    sandbox: Literal["bwrap", "none"] = "bwrap"
    sandbox_memory_bytes: Annotated[int, Meta(ge=64 << 20, le=1 << 44)] = 8 << 30
    sandbox_processes: Annotated[int, Meta(ge=16, le=1 << 20)] = 4_096
    sandbox_cpus: Annotated[float, Meta(ge=0, le=4_096)] = 0.0
    mounts_file: str = ""
    job_lease_seconds: Annotated[int, Meta(ge=3, le=600)] = 30
    drain_grace_seconds: Seconds = 20.0
    agent_silence_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 1_900.0
    output_bytes_max: Annotated[int, Meta(ge=1, le=1 << 40)] = 1 << 30
    keep_days: Annotated[float, Meta(gt=0, le=3_650)] = 14.0
    disk_bytes_max: Annotated[int, Meta(ge=0, le=1 << 50)] = 64 << 30

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    @property
    def scripts(self) -> Path | None:
        return Path(self.scripts_dir) if self.scripts_dir else None

    @property
    def local_roots(self) -> tuple[Path, ...]:
        """Below these, folders may be repos of the provider `local`."""
        return tuple(Path(path) for path in self.local_folders.split(":") if path)

    @property
    def runs(self) -> bool:
        """Whether agents and checks may run on this host."""
        return "run" in self.roles.split(",")

    @property
    def publishes(self) -> bool:
        """Whether this host may hand changes over."""
        return "publish" in self.roles.split(",")

    @property
    def vendor_names(self) -> tuple[str, ...]:
        """Those that are named; empty where none is."""
        return tuple(dict.fromkeys(name for name in self.vendors.split(",") if name))

    @property
    def identity(self) -> Identity:
        return Identity(self.author_name, self.author_email)


def load(environ: Mapping[str, str]) -> Settings:
    """The settings, checked as far as that goes without a broker. Raises BadSettings."""
    found = common.load(Settings, SERVICE, environ)
    if not found.host:
        raise BadSettings("PENSTOCK_HOST is not set: give this host a name of its own, of a-z, 0-9, - and _")
    for name, path in (
        ("DATA_DIR", found.data_dir),
        ("SCRIPTS_DIR", found.scripts_dir),
        ("AGENTS_FILE", found.agents_file),
        ("MOUNTS_FILE", found.mounts_file),
        ("SECRETS_FILE", found.secrets_file),
        ("GIT_TOKEN_FILE", found.git_token_file),
        ("GIT_READ_TOKEN_FILE", found.git_read_token_file),
        ("FORGES_FILE", found.forges_file),
    ):
        if (path or name == "DATA_DIR") and not Path(path).is_absolute():
            raise BadSettings(f"PENSTOCK_{name} must be an absolute path, not {path!r}")
    for root in found.local_roots:
        if not root.is_absolute() or root == Path("/"):
            raise BadSettings(f"PENSTOCK_LOCAL_FOLDERS: {str(root)!r} is not an absolute path of a folder to work in")
    _check_roles(found, environ)
    known = (*NAMES, *described_in(found))
    for vendor in found.vendor_names:
        if vendor not in known and not is_scripted(vendor):
            raise BadSettings(f"PENSTOCK_VENDORS: unknown vendor {vendor!r}; known: {', '.join(known)}")
    _check_addresses(found)
    _check_tokens(found)
    try:
        check_identity(found.identity)
    except BadName as error:
        raise BadSettings(f"PENSTOCK_AUTHOR_NAME, PENSTOCK_AUTHOR_EMAIL: {error}") from error
    if shutil.which("git") is None:
        raise BadSettings("git is not installed on this host: install the package `git`")
    return found


def _check_roles(found: Settings, environ: Mapping[str, str]) -> None:
    """A host that does not publish has nothing to push with, and that is looked at and not believed."""
    if found.publishes:
        return
    held = {"PENSTOCK_GIT_TOKEN_FILE": found.git_token_file, "PENSTOCK_FORGES_FILE": found.forges_file}
    for name in (*held, *FORGE_TOKENS):
        if environ.get(name) or held.get(name):
            raise BadSettings(
                f"{name} is set, and PENSTOCK_ROLES={found.roles} makes this a host that holds no credential of a forge: take "
                "it away. To fetch private repos, name a token that can only read in PENSTOCK_GIT_READ_TOKEN_FILE"
            )


def described_in(found: Settings) -> dict[str, Described]:
    """The agents of `agents_file`, by name. Raises BadSettings."""
    try:
        return read_agents(Path(found.agents_file), NAMES) if found.agents_file else {}
    except BadAgents as error:
        raise BadSettings(f"PENSTOCK_AGENTS_FILE: {error}") from error


def named_hosts(found: Settings) -> Hosts:
    """The hosts that `forges_file` names. Raises BadSettings."""
    try:
        return read_hosts(Path(found.forges_file)) if found.forges_file else NO_HOSTS
    except BadForges as error:
        raise BadSettings(f"PENSTOCK_FORGES_FILE: {error}") from error


def _check_tokens(found: Settings) -> None:
    """A token without a host goes to every host that a repo may name: beside hosts that are named one by one it is not known
    what it is for."""
    if not named_hosts(found):
        return
    for name, path in (("GIT_TOKEN_FILE", found.git_token_file), ("GIT_READ_TOKEN_FILE", found.git_read_token_file)):
        if path:
            raise BadSettings(
                f"PENSTOCK_{name} and PENSTOCK_FORGES_FILE are both set, and which host the token of the first is for is not "
                f'said: name it in the file, with [git."<host>"] and token_file = "{path}" (or [forges."<host>"] where it has '
                f"pull requests), and take PENSTOCK_{name} away"
            )


def _check_addresses(found: Settings) -> None:
    for name, url in (
        ("ANTHROPIC", found.anthropic_base_url),
        ("OPENAI", found.openai_base_url),
        ("GEMINI", found.gemini_base_url),
        ("QWEN", found.qwen_base_url),
    ):
        try:
            read_upstream(url)
        except ValueError as error:
            raise BadSettings(f"PENSTOCK_{name}_BASE_URL: {error}") from error


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

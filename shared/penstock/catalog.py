"""Entries of the catalogue: settings that people edit, kept in a key-value bucket with history; the api writes, all read."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from penstock.bounds import (
    EGRESS_HOSTS_MAX,
    Count,
    EgressHost,
    Id,
    Line,
    Message,
    Name,
    Ref,
    Score,
    Seconds,
    Title,
    Url,
    Usd,
    Word,
)
from penstock.values import Checking, Preflight, Price, PullRequests, RepoSnapshot, Utc, VerifyCommands, Window
from penstock.wish import Wish

Days = Annotated[float, Meta(ge=0, le=36_500)]
MemoryKind = Annotated[str, Meta(pattern=r"^(success|failure|review|decision|lesson)(?!\n)$")]
REVIEWERS_MAX: Final = 100
Slots = Annotated[int, Meta(ge=1, le=100_000)]


class Repo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repository tasks may be asked of. Secrets stand here by reference only. `parallel_max`: how many of its tasks hold a
    slot at once. `max_cost_usd_per_day`: beyond it agents wait for the next day (UTC). `abstain_below`: tasks whose score is
    lower wait for a person. `window`: the time of day in which its agents may run, where a task says nothing else. `egress`: the
    hosts that its agents and checks may reach, as `host:port` or `*.host:port`; none, and they have no network. `follow`:
    whether a task goes on after its pull request was opened, None where the provider decides; `fix_runs_max`: so many fix runs
    for one, then a person is asked, None as the orchestrator is set, 0 for none. `reviewers`: whose comments lead to one, as the
    forge names them; empty: all who may write there. `hook_secret_ref`: the secret of the forge's webhook, as `file:<name>`."""

    name: Name
    clone_url: Url
    default_branch: Ref = "main"
    provider: Word = "git"
    verify: VerifyCommands = VerifyCommands()
    command_timeout_seconds: Seconds = 600.0
    parallel_max: Annotated[int, Meta(ge=1, le=1_000)] = 1
    max_cost_usd_per_day: Usd | None = None
    abstain_below: Score | None = None
    window: Window | None = None
    egress: Annotated[tuple[EgressHost, ...], Meta(max_length=EGRESS_HOSTS_MAX)] = ()
    preflight: Preflight = Preflight()
    checking: Checking = Checking()
    pull_requests: PullRequests = PullRequests()
    follow: bool | None = None
    fix_runs_max: Annotated[int, Meta(ge=0, le=100)] | None = None
    reviewers: Annotated[tuple[Word, ...], Meta(max_length=REVIEWERS_MAX)] = ()
    hook_secret_ref: Line = ""


FORGES: Final = frozenset({"github", "gitea", "forgejo", "gitlab"})
"""Providers where people and checks say something about a pull request."""


def follows(repo: Repo) -> bool:
    """Whether new tasks of the repo go on after their pull request was opened."""
    return repo.provider in FORGES if repo.follow is None else repo.follow


def snapshot(repo: Repo) -> RepoSnapshot:
    """The part of a repo that a task's decisions depend on, as copied into `task_submitted`."""
    return RepoSnapshot(
        name=repo.name,
        clone_url=repo.clone_url,
        default_branch=repo.default_branch,
        provider=repo.provider,
        verify=repo.verify,
        command_timeout_seconds=repo.command_timeout_seconds,
        egress=repo.egress,
        preflight=repo.preflight,
        checking=repo.checking,
        pull_requests=repo.pull_requests,
    )


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events go where. `types` empty: the ends of tasks and whatever needs a person."""

    name: Name
    channel: Annotated[str, Meta(pattern=r"^(console|webhook)(?!\n)$")]
    types: tuple[Word, ...] = ()
    repos: tuple[Name, ...] = ()
    url: Annotated[str, Meta(max_length=1_000)] = ""
    secret_ref: Line = ""
    enabled: bool = True


class HostState(Struct, frozen=True, kw_only=True):
    """What an executor says of itself in its host lease. `instance` changes with every start of the process. `versions`: of
    the vendors' programs, by vendor, where they say one. `roles`: run (agents and checks), publish (hands changes over).
    `pools`: whose orders it takes besides its own. `repos`: those it has a mirror of, the first 100."""

    host: Name
    instance: Word
    installation: Word
    started_at: Utc
    slots: Count
    busy: Count
    vendors: tuple[Word, ...] = ()
    notes: tuple[Line, ...] = ()
    versions: dict[Word, Word] = {}
    roles: tuple[Word, ...] = ("run", "publish")
    pools: tuple[Word, ...] = ()
    repos: tuple[Name, ...] = ()


class LeaseValue(Struct, frozen=True, kw_only=True):
    """Who holds a job's or the leader's lease."""

    holder: Word
    instance: Word
    installation: Word = ""
    revoked: Line = ""


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings by name, for whoever submits a task with `template`."""

    name: Name
    task: Wish


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Submits a task whenever `cron` says so in `timezone`. `missed`: what to do about fires that passed while nobody could
    submit: `skip` them, make up for the `last` one, or for `all`. A fire is missed when it is `grace_seconds` late.
    `since`: fires before are none of this schedule's."""

    name: Name
    cron: Annotated[str, Meta(min_length=9, max_length=100)]
    timezone: Word = "UTC"
    template: Name | None = None
    task: Wish = Wish()
    missed: Annotated[str, Meta(pattern=r"^(skip|last|all)(?!\n)$")] = "last"
    grace_seconds: Seconds = 60.0
    enabled: bool = True
    since: Utc | None = None


class Control(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody's hand on the fleet, a repo, a vendor or a host. `pause`: nothing new begins, a running step ends and the next
    one waits. `drain`: nothing new begins, what has a slot goes on to its end."""

    mode: Annotated[str, Meta(pattern=r"^(pause|drain)(?!\n)$")]
    reason: Line = ""
    set_by: Line = ""
    set_at: Utc | None = None


class PriceOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's price. `model` is the beginning of its name; empty for all of the vendor's; the longest that fits counts."""

    vendor: Name
    model: Word = ""
    price: Price


class MemorySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`half_life_days`: a memory of that age counts half as much as a new one. `archive_after_days`: what a task has left and
    nobody has recalled for so long is put away, unless somebody has pinned it. 0 is off."""

    half_life_days: Days = 0.0
    archive_after_days: Days = 0.0


class MemoryNote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people have written into a repo's memory, or made of what a task has left there; the entry's name is the memory's
    id. None: as the task has left it, which can only be where `of_task` is. `forgotten`: its text is gone for good."""

    memory: Id
    repo: Name
    of_task: bool = False
    kind: MemoryKind | None = None
    title: Title | None = None
    text: Message | None = None
    pinned: bool = False
    forgotten: bool = False
    written_by: Line = ""
    set_by: Line = ""
    set_at: Utc


class FleetSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits over all tasks. `tasks_max`: slots of the whole fleet. `accounts`, `hosts`: slots by vendor account and by host.
    `ageing_seconds`: so long a wait counts as one step of priority. `max_cost_usd_per_day`: of all tasks together (UTC).
    `share_work`: hosts leave what they have done for others, so that a task outlives its host. `publish_pool`: changes are
    handed over by hosts of this pool, which is work shared too. Both are for tasks that are submitted from then on."""

    tasks_max: Slots = 100
    accounts: dict[Word, Slots] = {}
    hosts: dict[Name, Slots] = {}
    ageing_seconds: Annotated[float, Meta(gt=0, le=31_536_000)] = 900.0
    max_cost_usd_per_day: Usd | None = None
    prices: tuple[PriceOf, ...] = ()
    share_work: bool = False
    publish_pool: Name | None = None
    memory: MemorySettings = MemorySettings()

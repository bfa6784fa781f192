"""Repos of the catalogue: what tasks may be asked of.

Rule of this room: what will reach git or a shell is checked here, before it is stored.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from litestar import Response, delete, get, put
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Meta, Struct, structs

from penstock.bounds import (
    COUNT_MAX,
    EGRESS_HOSTS_MAX,
    LABELS_MAX,
    PATHS_MAX,
    REPORT_GLOBS_MAX,
    Glob,
    Label,
    Line,
    Name,
    Ref,
    Score,
    Seconds,
    Shell,
    Url,
    Usd,
    Word,
)
from penstock.catalog import REVIEWERS_MAX, Repo
from penstock.jobs import verify_steps
from penstock.values import LOCAL, Checking, Preflight, PullRequests, VerifyCommands
from penstock_api.hooks import SECRET_REF
from penstock_api.problems import Problem, invalid
from penstock_api.queries_checks import ProposedChecks, read_proposed
from penstock_api.remotes import ACCEPTED, ACCEPTED_LOCAL, branch_problem, clone_url_problem, egress_problem
from penstock_api.request import ApiRequest
from penstock_api.routes import entries
from penstock_api.routes.shapes import EntryName, IfMatch, IfNoneMatch, problems
from penstock_api.routes.wishes import WindowBody, checked_window

Provider: TypeAlias = Literal["git", "github", "gitea", "forgejo", "gitlab", "recording", "local"]
"""What kind of place a repo is on. Another word would be a remote without pull requests, and nobody would be told."""


class Verify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shell commands that say whether a change is good, in this order. A misspelled stage is refused: it would never run.
    `reports`: files that they write about their tests, as paths and globs; none: looked for in the well-known places."""

    pre: Shell | None = None
    build: Shell | None = None
    test: Shell | None = None
    lint: Shell | None = None
    reports: Annotated[tuple[Glob, ...], Meta(max_length=REPORT_GLOBS_MAX)] = ()


class CheckingBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How closely a failed check is looked at. `rerun`: it is run once more on the same commit, where it is the test command,
    whichever it is, or never; `flaky_passes`: whether one that passes then is good enough. `baseline`: the checks are run on
    the commit at which the task began too, to know what had failed before: after a failure, always, or never. `failed_before`:
    what a change is whose failures are all older than itself."""

    rerun: Literal["off", "test", "all"] = "test"
    flaky_passes: bool = True
    baseline: Literal["off", "failed", "always"] = "off"
    failed_before: Literal["unverified", "succeeded"] = "unverified"


class PreflightBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes are looked at for before they are handed over. `file_bytes_max`: of a file. `workflows`: what a change of
    the forge's own automation means: it is flagged, it blocks, or it is allowed. `scope`: what changes may touch, as paths,
    folders and globs; empty is everything. `fixtures`: files whose secrets are made up."""

    file_bytes_max: Annotated[int, Meta(ge=1, le=COUNT_MAX)] = 1_000_000
    workflows: Literal["flag", "block", "allow"] = "flag"
    scope: Annotated[tuple[Line, ...], Meta(max_length=PATHS_MAX)] = ()
    fixtures: Annotated[tuple[Line, ...], Meta(max_length=PATHS_MAX)] = ()


class PullRequestsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pull requests are opened: as drafts, and with which labels."""

    draft: bool = False
    labels: Annotated[tuple[Label, ...], Meta(max_length=LABELS_MAX)] = ()


class RepoBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repo as it is put. `name`, where it is given, is the one in the path. `parallel_max`: how many of its tasks hold a
    slot at once. `max_cost_usd_per_day`: beyond it agents wait for the next day (UTC). `abstain_below`: tasks with a lower score
    wait for a person. `window`: the time of day in which its agents may run. `egress`: the hosts that its agents and checks may
    reach, as `host:port` or `*.host:port`; none, and they have no network at all. `follow`: whether tasks go on after their pull
    request was opened (null: where the provider is a forge); `fix_runs_max`: so many fix runs for one, then a person is asked
    (null: as the orchestrator is set; 0: none). `reviewers`: whose comments lead to one; none: those of all who may write to the
    repository. `pull_requests`: how they are opened. `hook_secret_ref`: the secret of the forge's webhook, as `file:<name>` in
    the api's secrets folder."""

    name: Name | None = None
    clone_url: Url
    default_branch: Ref = "main"
    provider: Provider = "git"
    verify: Verify = Verify()
    command_timeout_seconds: Seconds = 600.0
    parallel_max: Annotated[int, Meta(ge=1, le=1_000)] = 1
    max_cost_usd_per_day: Usd | None = None
    abstain_below: Score | None = None
    window: WindowBody | None = None
    egress: Annotated[tuple[Line, ...], Meta(max_length=EGRESS_HOSTS_MAX)] = ()
    preflight: PreflightBody = PreflightBody()
    checking: CheckingBody = CheckingBody()
    pull_requests: PullRequestsBody = PullRequestsBody()
    follow: bool | None = None
    fix_runs_max: Annotated[int, Meta(ge=0, le=100)] | None = None
    reviewers: Annotated[tuple[Word, ...], Meta(max_length=REVIEWERS_MAX)] = ()
    hook_secret_ref: Annotated[str, Meta(max_length=200)] = ""


class Repos(Struct, frozen=True, kw_only=True):
    """All repos, by name."""

    repos: tuple[Repo, ...]


class Checks(Struct, frozen=True, kw_only=True):
    """`verify`: as the repo was put. `proposed`: where it has no command there, what the repository's own files propose, to be
    tried and put by a person; null where no host has looked yet, which the first task of a repo without checks has one do."""

    verify: VerifyCommands
    proposed: ProposedChecks | None


Body = Annotated[
    RepoBody,
    BodyKwarg(
        media_type="application/json",
        examples=[Example(value={"clone_url": "git@example.com:team/shop.git", "verify": {"test": "make test"}})],
    ),
]


@put(
    "/v1/repos/{name:str}",
    summary="Add or replace a repo",
    responses=problems(404, 412, 413, 415, 422),
    tags=["catalogue"],
)
async def put_repo(
    request: ApiRequest, name: EntryName, data: Body, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> Response[Repo]:
    if data.name not in (None, name):
        raise invalid("name", f"the path says {name}", value=data.name, hint="leave it out, or give the same name")
    local = data.provider == LOCAL
    if local and (not data.clone_url.startswith("/") or "//" in data.clone_url):
        detail = "a repo of the provider local is a folder of a host, named by its absolute path"
        raise Problem(422, "invalid", detail, field="clone_url", hint="such as /home/ann/shop")
    # Which folders may be one, each host says for itself.
    allow_local = local or request.parts.settings.allow_local_remotes
    if reason := clone_url_problem(data.clone_url, allow_local=allow_local):
        # The URL is not repeated: what is wrong with it may be the password in it.
        hint = f"accepted: {ACCEPTED_LOCAL if allow_local else ACCEPTED}"
        raise Problem(422, "invalid", f"this clone URL is refused: {reason}", field="clone_url", hint=hint)
    if reason := branch_problem(data.default_branch):
        raise invalid("default_branch", reason, value=data.default_branch, hint="a branch such as main")
    for host in data.egress:
        if reason := egress_problem(host):
            raise invalid("egress", reason, value=host, hint="such as pypi.org:443 or *.pythonhosted.org:443")
    if data.hook_secret_ref and SECRET_REF.fullmatch(data.hook_secret_ref) is None:
        # Not repeated: it may be the secret itself.
        raise invalid(
            "hook_secret_ref", "it is no reference to a secret", hint="file:<name>, in the api's secrets folder"
        )
    repo = Repo(
        name=name,
        clone_url=data.clone_url,
        default_branch=data.default_branch,
        provider=data.provider,
        verify=VerifyCommands(**structs.asdict(data.verify)),
        command_timeout_seconds=data.command_timeout_seconds,
        parallel_max=data.parallel_max,
        max_cost_usd_per_day=data.max_cost_usd_per_day,
        abstain_below=data.abstain_below,
        window=None if data.window is None else checked_window(data.window, "window"),
        egress=tuple(dict.fromkeys(data.egress)),
        preflight=Preflight(**structs.asdict(data.preflight)),
        checking=Checking(**structs.asdict(data.checking)),
        pull_requests=PullRequests(**structs.asdict(data.pull_requests)),
        follow=data.follow,
        fix_runs_max=data.fix_runs_max,
        reviewers=tuple(dict.fromkeys(data.reviewers)),
        hook_secret_ref=data.hook_secret_ref,
    )
    return await entries.write(request.parts.catalog.repos, name, repo, if_match, if_none_match)


@get("/v1/repos/{name:str}", summary="One repo", responses=problems(404), tags=["catalogue"])
async def get_repo(request: ApiRequest, name: EntryName) -> Response[Repo]:
    return await entries.read(request.parts.catalog.repos, name, f"repo {name}")


@get(
    "/v1/repos/{name:str}/checks",
    summary="What checks a repo's changes, and what could where nothing does",
    responses=problems(404),
    tags=["catalogue"],
)
async def get_checks(request: ApiRequest, name: EntryName) -> Checks:
    parts = request.parts
    verify = entries.present(await parts.catalog.repos.get(name), f"repo {name}").verify
    return Checks(verify=verify, proposed=None if verify_steps(verify) else await read_proposed(parts.database, name))


@get("/v1/repos", summary="All repos", responses=problems(), tags=["catalogue"])
async def list_repos(request: ApiRequest) -> Repos:
    repos = request.parts.catalog.repos.entries
    return Repos(repos=tuple(repos[name] for name in sorted(repos)))


@delete(
    "/v1/repos/{name:str}",
    summary="Remove a repo; its tasks go on with what they have copied",
    responses=problems(404, 412),
    tags=["catalogue"],
)
async def delete_repo(request: ApiRequest, name: EntryName, if_match: IfMatch = None) -> None:
    await entries.remove(request.parts.catalog.repos, name, f"repo {name}", if_match)

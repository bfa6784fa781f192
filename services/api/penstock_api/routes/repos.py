"""Repos of the catalogue: what tasks may be asked of.

Rule of this room: what will reach git or a shell is checked here, before it is stored.
"""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, put
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Struct, structs

from penstock.bounds import Name, Ref, Seconds, Shell, Url, Word
from penstock.catalog import Repo
from penstock.values import VerifyCommands
from penstock_api.problems import Problem, invalid, not_found
from penstock_api.remotes import ACCEPTED, ACCEPTED_LOCAL, branch_problem, clone_url_problem
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import EntryName, problems


class Verify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shell commands that say whether a change is good, in this order. A misspelled stage is refused: it would never run."""

    pre: Shell | None = None
    build: Shell | None = None
    test: Shell | None = None
    lint: Shell | None = None


class RepoBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repo as it is put. `name`, where it is given, is the one in the path."""

    name: Name | None = None
    clone_url: Url
    default_branch: Ref = "main"
    provider: Word = "git"
    verify: Verify = Verify()
    command_timeout_seconds: Seconds = 600.0


class Repos(Struct, frozen=True, kw_only=True):
    """All repos, by name."""

    repos: tuple[Repo, ...]


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
    responses=problems(404, 413, 415, 422),
    tags=["catalogue"],
)
async def put_repo(request: ApiRequest, name: EntryName, data: Body) -> Repo:
    if data.name not in (None, name):
        raise invalid("name", f"the path says {name}", value=data.name, hint="leave it out, or give the same name")
    allow_local = request.parts.settings.allow_local_remotes
    if reason := clone_url_problem(data.clone_url, allow_local=allow_local):
        # The URL is not repeated: what is wrong with it may be the password in it.
        hint = f"accepted: {ACCEPTED_LOCAL if allow_local else ACCEPTED}"
        raise Problem(422, "invalid", f"this clone URL is refused: {reason}", field="clone_url", hint=hint)
    if reason := branch_problem(data.default_branch):
        raise invalid("default_branch", reason, value=data.default_branch, hint="a branch such as main")
    repo = Repo(
        name=name,
        clone_url=data.clone_url,
        default_branch=data.default_branch,
        provider=data.provider,
        verify=VerifyCommands(**structs.asdict(data.verify)),
        command_timeout_seconds=data.command_timeout_seconds,
    )
    await request.parts.catalog.repos.put(name, repo)
    return repo


@get("/v1/repos/{name:str}", summary="One repo", responses=problems(404), tags=["catalogue"])
async def get_repo(request: ApiRequest, name: EntryName) -> Repo:
    if (repo := await request.parts.catalog.repos.get(name)) is None:
        raise not_found(f"repo {name}")
    return repo


@get("/v1/repos", summary="All repos", responses=problems(), tags=["catalogue"])
async def list_repos(request: ApiRequest) -> Repos:
    entries = request.parts.catalog.repos.entries
    return Repos(repos=tuple(entries[name] for name in sorted(entries)))


@delete(
    "/v1/repos/{name:str}",
    summary="Remove a repo; its tasks go on with what they have copied",
    responses=problems(404),
    tags=["catalogue"],
)
async def delete_repo(request: ApiRequest, name: EntryName) -> None:
    if await request.parts.catalog.repos.get(name) is None:
        raise not_found(f"repo {name}")
    await request.parts.catalog.repos.delete(name)

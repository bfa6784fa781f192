"""Where forges say that there is news of a pull request.

Rule of this room: no token, so nothing is told to who does not know the repo's secret; and no delivery counts as taken before
the orchestrator has answered, so that a forge which repeats what we could not take loses nothing.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from litestar import Response, post
from litestar.params import PathParameter
from msgspec import Struct

from penstock.bounds import NAME_PATTERN
from penstock.commands import StirPullRequest
from penstock_api.hooks import SPEAKS, Hint, actor_of, believed, command_id, delivery_of, event_of, hints
from penstock_api.problems import Problem
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import EntryName, problems

HOOK_BYTES_MAX: Final = 1_048_576
"""What a forge says of one event; of a larger one nothing is read, and the pull request is looked at in its time."""

Outcome: TypeAlias = Literal["told", "nobody", "ignored", "known"]
ProviderName: TypeAlias = Annotated[
    str, PathParameter(pattern=NAME_PATTERN, description="whose webhook it is: github, gitea (forgejo too) or gitlab")
]


class HookAnswer(Struct, frozen=True, kw_only=True):
    """What became of a delivery. `told`: whoever follows the pull request looks at it; `nobody` follows it; `ignored`: it is
    about no pull request; `known`: it was taken before, and nothing is done again."""

    outcome: Outcome


@post(
    "/v1/hooks/{provider:str}/{repo:str}",
    status_code=202,
    summary="A forge's webhook about a repo, signed with the repo's secret",
    responses=problems(404, 413, 415, 429),
    request_max_body_size=HOOK_BYTES_MAX,
    tags=["hooks"],
)
async def take_hook(request: ApiRequest, provider: ProviderName, repo: EntryName) -> Response[HookAnswer]:
    parts = request.parts
    async with parts.deliveries.reading():
        body = await request.body()
    # The gate is for those who know a secret: strangers cannot fill it.
    entry = parts.catalog.repos.entries.get(repo)
    known = parts.hook_secrets.of("" if entry is None else entry.hook_secret_ref)
    if not believed(provider, request.headers, body, known):
        raise Problem(401, "unauthorized", "this is not signed with a secret of a repo that is known here")
    _check_provider(provider, repo, "" if entry is None else entry.provider)
    async with parts.deliveries.gate():
        payload = _payload(request, body)
        event, delivery = event_of(provider, request.headers), delivery_of(provider, request.headers)
        if not delivery:
            raise Problem(
                400, "no-delivery-id", "the delivery has no id", hint="the headers that the forge sends with it"
            )
        found = hints(provider, payload)
        if not found:
            return _answer("ignored")
        async with parts.deliveries.once(provider, repo, delivery, body, event) as fresh:
            if not fresh:
                return _answer("known")
            told = [
                await parts.orders.stir(_command(provider, repo, delivery, nth, hint, event, actor_of(payload)))
                for nth, hint in enumerate(found)
            ]
        return _answer("told" if any(told) else "nobody")


def _check_provider(provider: str, repo: str, configured: str) -> None:
    """Raises Problem where the repo is not on such a forge."""
    speaks = SPEAKS.get(configured)
    if speaks == provider:
        return
    detail = f"the repo {repo} is of the provider {configured}, and this is the path of webhooks of {provider}"
    right = f"the address /v1/hooks/{speaks}/{repo}" if speaks else "no webhook: such a repo is on no forge"
    hint = f"{right}; or another provider in the repo's settings"
    raise Problem(404, "other-provider", detail, field="provider", value=provider, hint=hint)


def _command(provider: str, repo: str, delivery: str, nth: int, hint: Hint, event: str, by: str) -> StirPullRequest:
    return StirPullRequest(
        id=command_id(provider, repo, delivery, nth),
        repo=repo,
        number=hint.number,
        branch=hint.branch,
        what=event,
        by=by,
        via=provider,
    )


def _payload(request: ApiRequest, body: bytes) -> object:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":
        hint = "give the webhook the content type application/json"
        raise Problem(415, "unsupported-media-type", "the body is not declared as JSON", hint=hint)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed-json", "the body is not JSON") from error


def _answer(outcome: Outcome) -> Response[HookAnswer]:
    return Response(HookAnswer(outcome=outcome), status_code=202 if outcome == "told" else 200)

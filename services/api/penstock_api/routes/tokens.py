"""Tokens: made, listed, withdrawn by admins.

Rule of this room: the whole token is in one answer, once.
"""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Meta, Struct

from penstock.bounds import Id
from penstock_api.problems import invalid
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import TokenId, problems
from penstock_api.routes.tasks import find
from penstock_api.tokens import Role, TokenRow

Label = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f]*(?!\n)$")]
Days = Annotated[int, Meta(ge=1, le=3_650)]


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token that is asked for. `task`: the one whose agent gets it, with role agent alone. `expires_in_days` null: it does
    not expire."""

    name: Label
    role: Role
    task: Id | None = None
    expires_in_days: Days | None = 90


class MadeToken(Struct, frozen=True, kw_only=True):
    """`token` is shown this once and stored nowhere."""

    token: str
    made: TokenRow


class TokenList(Struct, frozen=True, kw_only=True):
    """All tokens, without their secrets."""

    tokens: tuple[TokenRow, ...]


Body = Annotated[
    NewToken,
    BodyKwarg(media_type="application/json", examples=[Example(value={"name": "ci", "role": "operator"})]),
]


@post("/v1/tokens", summary="Make a token", responses=problems(404, 413, 415, 422), tags=["tokens"])
async def make_token(request: ApiRequest, data: Body) -> MadeToken:
    if (data.role == "agent") != (data.task is not None):
        detail = "an agent's token is of one task" if data.role == "agent" else "only an agent's token is of a task"
        raise invalid("task", detail, value=data.task, hint="the task's id with role agent, nothing with another role")
    if data.task is not None:
        await find(request.parts, data.task)
    row, whole = await request.parts.tokens.add(data.name, data.role, data.expires_in_days, data.task)
    return MadeToken(token=whole, made=row)


@get("/v1/tokens", summary="All tokens", responses=problems(), tags=["tokens"])
async def list_tokens(request: ApiRequest) -> TokenList:
    return TokenList(tokens=await request.parts.tokens.all())


@delete("/v1/tokens/{id:str}", summary="Withdraw a token", responses=problems(404, 409), tags=["tokens"])
async def delete_token(request: ApiRequest, id: TokenId) -> None:
    await request.parts.tokens.remove(id)

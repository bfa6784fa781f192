"""Tokens: made, listed, withdrawn by admins.

Rule of this room: the whole token is in one answer, once.
"""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Meta, Struct

from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import TokenId, problems
from penstock_api.tokens import Role, TokenRow

Label = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f]*(?!\n)$")]
Days = Annotated[int, Meta(ge=1, le=3_650)]


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token that is asked for. `expires_in_days` null: it does not expire."""

    name: Label
    role: Role
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


@post("/v1/tokens", summary="Make a token", responses=problems(413, 415, 422), tags=["tokens"])
async def make_token(request: ApiRequest, data: Body) -> MadeToken:
    row, whole = await request.parts.tokens.add(data.name, data.role, data.expires_in_days)
    return MadeToken(token=whole, made=row)


@get("/v1/tokens", summary="All tokens", responses=problems(), tags=["tokens"])
async def list_tokens(request: ApiRequest) -> TokenList:
    return TokenList(tokens=await request.parts.tokens.all())


@delete("/v1/tokens/{id:str}", summary="Withdraw a token", responses=problems(404, 409), tags=["tokens"])
async def delete_token(request: ApiRequest, id: TokenId) -> None:
    await request.parts.tokens.remove(id)

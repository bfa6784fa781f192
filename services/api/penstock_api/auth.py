"""Who may do what: three roles, and the one table of what each route asks for.

Rule of this room: a route that is not in the table does not exist (the app refuses to start).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler

from penstock_api.problems import Problem
from penstock_api.tokens import Role, Tokens

RANK: Final[Mapping[str, int]] = {"viewer": 1, "operator": 2, "admin": 3}

ACCESS: Final[Mapping[tuple[str, str], Role | None]] = {
    # None: without a token.
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/v1/openapi.json"): None,
    ("GET", "/v1/tasks"): "viewer",
    ("POST", "/v1/tasks"): "operator",
    ("GET", "/v1/tasks/{task}"): "viewer",
    ("POST", "/v1/tasks/{task}/cancel"): "operator",
    ("POST", "/v1/tasks/{task}/unblock"): "operator",
    ("GET", "/v1/tasks/{task}/events"): "viewer",
    ("GET", "/v1/tasks/{task}/stream"): "viewer",
    ("GET", "/v1/tasks/{task}/patch"): "viewer",
    ("GET", "/v1/stream"): "viewer",
    ("GET", "/v1/hosts"): "viewer",
    ("GET", "/v1/repos"): "viewer",
    ("GET", "/v1/repos/{name}"): "viewer",
    ("PUT", "/v1/repos/{name}"): "admin",
    ("DELETE", "/v1/repos/{name}"): "admin",
    # The address of a webhook is half a secret, and a dead letter may hold anything.
    ("GET", "/v1/routes"): "operator",
    ("GET", "/v1/routes/{name}"): "operator",
    ("PUT", "/v1/routes/{name}"): "admin",
    ("DELETE", "/v1/routes/{name}"): "admin",
    ("GET", "/v1/dead-letters"): "operator",
    ("GET", "/v1/tokens"): "admin",
    ("POST", "/v1/tokens"): "admin",
    ("DELETE", "/v1/tokens/{id}"): "admin",
}


async def guard(connection: ASGIConnection[BaseRouteHandler, object, object, State], _: BaseRouteHandler) -> None:
    """Before every route. Puts the token into the scope. Raises Problem: 401, 403, 503."""
    scope = connection.scope
    assert scope["type"] == ScopeType.HTTP
    method, template = str(scope["method"]), scope["path_template"]
    if method == "OPTIONS":
        # Answered with the methods of the path, which are public anyway.
        return
    needed = ACCESS[method, template]
    if needed is None:
        return
    tokens: Tokens = connection.app.state.parts.tokens
    token = await tokens.bearer(connection.headers.get("authorization", ""))
    connection.scope["user"] = token
    if RANK[token.role] < RANK[needed]:
        raise Problem(
            403, "forbidden", f"this needs the role {needed}, and the token {token.id} has the role {token.role}"
        )

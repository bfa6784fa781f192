"""Who may do what: three roles for people and programs, one for agents, and the one table of what each route asks for.

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
from penstock_api.tokens import Role, Token, Tokens

RANK: Final[Mapping[str, int]] = {"viewer": 1, "operator": 2, "admin": 3}
"""An agent has no rank: it is let through by AGENT_ROUTES alone."""

AGENT_ROUTES: Final[Mapping[tuple[str, str], bool]] = {
    # True: of its own task only.
    ("GET", "/v1/tasks/{task}/messages"): True,
    ("POST", "/v1/tasks/{task}/messages"): False,
    ("GET", "/v1/tasks/{task}/decisions"): True,
    ("POST", "/v1/tasks/{task}/decisions"): True,
}
AGENT_MAY: Final = (
    "an agent's token may read the messages and decisions of its own task, raise a decision for it, and send messages"
)

ACCESS: Final[Mapping[tuple[str, str], Role | None]] = {
    # None: without a token.
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/v1/openapi.json"): None,
    # Signed with the repo's secret instead.
    ("POST", "/v1/hooks/{provider}/{repo}"): None,
    ("GET", "/v1/tasks"): "viewer",
    ("POST", "/v1/tasks"): "operator",
    ("GET", "/v1/tasks/{task}"): "viewer",
    ("GET", "/v1/queue"): "viewer",
    ("POST", "/v1/tasks/{task}/retry"): "operator",
    ("POST", "/v1/tasks/{task}/continue"): "operator",
    ("POST", "/v1/tasks/{task}/cancel"): "operator",
    ("POST", "/v1/tasks/{task}/unblock"): "operator",
    ("POST", "/v1/tasks/{task}/wake"): "operator",
    ("POST", "/v1/tasks/{task}/prioritize"): "operator",
    ("POST", "/v1/tasks/{task}/compact"): "operator",
    ("GET", "/v1/tasks/{task}/plan"): "viewer",
    ("POST", "/v1/tasks/{task}/plan/approve"): "operator",
    ("POST", "/v1/tasks/{task}/plan/reject"): "operator",
    ("POST", "/v1/tasks/{task}/plan/comment"): "operator",
    ("GET", "/v1/tasks/{task}/messages"): "viewer",
    ("POST", "/v1/tasks/{task}/messages"): "operator",
    ("GET", "/v1/tasks/{task}/decisions"): "viewer",
    # A question to a person: people answer.
    ("POST", "/v1/tasks/{task}/decisions"): "agent",
    ("POST", "/v1/tasks/{task}/decisions/{decision}/answer"): "operator",
    ("GET", "/v1/tasks/{task}/events"): "viewer",
    ("GET", "/v1/tasks/{task}/explain"): "viewer",
    ("GET", "/v1/tasks/{task}/stream"): "viewer",
    ("GET", "/v1/tasks/{task}/patch"): "viewer",
    ("GET", "/v1/tasks/{task}/patches/{number}"): "viewer",
    ("GET", "/v1/tasks/{task}/transcripts/{job}"): "viewer",
    ("GET", "/v1/tasks/{task}/outputs/{job}/{stage}"): "viewer",
    ("GET", "/v1/stream"): "viewer",
    ("GET", "/v1/memories"): "viewer",
    ("POST", "/v1/memories"): "operator",
    ("GET", "/v1/memories/{memory}"): "viewer",
    ("PATCH", "/v1/memories/{memory}"): "operator",
    ("DELETE", "/v1/memories/{memory}"): "operator",
    ("GET", "/v1/hosts"): "viewer",
    ("GET", "/v1/repos"): "viewer",
    ("GET", "/v1/repos/{name}"): "viewer",
    ("GET", "/v1/repos/{name}/checks"): "viewer",
    ("PUT", "/v1/repos/{name}"): "admin",
    ("DELETE", "/v1/repos/{name}"): "admin",
    ("GET", "/v1/templates"): "viewer",
    ("GET", "/v1/templates/{name}"): "viewer",
    ("PUT", "/v1/templates/{name}"): "admin",
    ("DELETE", "/v1/templates/{name}"): "admin",
    ("GET", "/v1/schedules"): "viewer",
    ("GET", "/v1/schedules/{name}"): "viewer",
    ("PUT", "/v1/schedules/{name}"): "admin",
    ("DELETE", "/v1/schedules/{name}"): "admin",
    ("GET", "/v1/controls"): "viewer",
    ("GET", "/v1/controls/{kind}/{name}"): "viewer",
    ("PUT", "/v1/controls/{kind}/{name}"): "operator",
    ("DELETE", "/v1/controls/{kind}/{name}"): "operator",
    ("GET", "/v1/settings"): "viewer",
    ("PUT", "/v1/settings"): "admin",
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
    if token.role == "agent":
        _check_agent(token, method, template, str(connection.path_params.get("task", "")))
    elif needed == "agent" or RANK[token.role] < RANK[needed]:
        raise Problem(
            403, "forbidden", f"this needs the role {needed}, and the token {token.id} has the role {token.role}"
        )


def _check_agent(token: Token, method: str, template: str, task: str) -> None:
    own_only = AGENT_ROUTES.get((method, template))
    if own_only is None or (own_only and task != token.task):
        raise Problem(403, "forbidden", f"the token {token.id} is of the agent of task {token.task}", hint=AGENT_MAY)

"""Every route of the api.

Rule of this room: a list; who may call what is in `auth.ACCESS`.
"""

from __future__ import annotations

from typing import Final

from litestar.types import ControllerRouterHandler

from penstock_api.routes import house, repos, routes, streams, tasks, tokens

ROUTES: Final[list[ControllerRouterHandler]] = [
    tasks.submit_task,
    tasks.list_tasks,
    tasks.get_task,
    tasks.cancel_task,
    tasks.unblock_task,
    tasks.list_events,
    tasks.get_patch,
    streams.stream_task,
    streams.stream_all,
    repos.put_repo,
    repos.get_repo,
    repos.list_repos,
    repos.delete_repo,
    routes.put_route,
    routes.get_route,
    routes.list_routes,
    routes.delete_route,
    tokens.make_token,
    tokens.list_tokens,
    tokens.delete_token,
    house.healthz,
    house.readyz,
    house.get_openapi,
    house.list_hosts,
    house.list_dead_letters,
]

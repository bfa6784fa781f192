"""Every route of the api.

Rule of this room: a list; who may call what is in `auth.ACCESS`.
"""

from __future__ import annotations

from typing import Final

from litestar.types import ControllerRouterHandler

from penstock_api.routes import (
    controls,
    house,
    plans,
    repos,
    routes,
    schedules,
    streams,
    submit,
    talk,
    tasks,
    templates,
    tokens,
    verbs,
)

ROUTES: Final[list[ControllerRouterHandler]] = [
    submit.submit_task,
    submit.retry_task,
    submit.continue_task,
    tasks.list_tasks,
    tasks.list_queue,
    tasks.get_task,
    verbs.cancel_task,
    verbs.unblock_task,
    verbs.wake_task,
    verbs.prioritize_task,
    verbs.compact_task,
    plans.get_plan,
    plans.approve_plan,
    plans.reject_plan,
    plans.comment_plan,
    talk.send_message,
    talk.list_messages,
    talk.raise_decision,
    talk.list_decisions,
    talk.answer_decision,
    tasks.list_events,
    tasks.get_patch,
    streams.stream_task,
    streams.stream_all,
    repos.put_repo,
    repos.get_repo,
    repos.list_repos,
    repos.delete_repo,
    templates.put_template,
    templates.get_template,
    templates.list_templates,
    templates.delete_template,
    schedules.put_schedule,
    schedules.get_schedule,
    schedules.list_schedules,
    schedules.delete_schedule,
    controls.put_control,
    controls.get_control,
    controls.list_controls,
    controls.delete_control,
    controls.get_settings,
    controls.put_settings,
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

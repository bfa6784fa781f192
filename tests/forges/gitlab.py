"""How GitLab speaks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from forges.double import Asked, Double, Project, Pull, Reply, page
from forges.wire import Wrong, check_gitlab

WHEN = "2026-01-26T19:01:12.000Z"


@dataclass
class GitLabDialect:
    prefix: str = "/api/v4"

    def accepts(self, forge: Double, asked: Asked) -> bool:
        bearer = asked.headers.get("authorization") == f"Bearer {forge.token}"
        return bearer or asked.headers.get("private-token") == forge.token

    def refused(self, status: int, why: str) -> Reply:
        return Reply(status, {"message": f"{status} {why}"})

    def check(self, wrong: Wrong, asked: Asked, reply: Reply) -> None:
        check_gitlab(wrong, asked.method, asked.path, asked.query, asked.body, reply.status, reply.content)

    def hook(self, kind: str, content: bytes, delivery: str, secret: str) -> dict[str, str]:
        return {"x-gitlab-event": kind, "x-gitlab-event-uuid": delivery, "x-gitlab-token": secret}

    def reply(self, forge: Double, asked: Asked) -> Reply:
        if asked.path == "/user":
            return Reply(200, _user("penstock-bot"))
        found = re.fullmatch(r"/projects/([^/]+)(?:/(.+))?", asked.path)
        project = forge.projects.get(unquote(found[1])) if found else None
        if project is None or found is None:
            return self.refused(404, "Project Not Found")
        parts = found[2].split("/") if found[2] else []
        match (asked.method, parts):
            case "GET", []:
                return Reply(200, _project(forge, project))
            case "GET", ["merge_requests"]:
                return self._list(forge, project, asked)
            case "POST", ["merge_requests"]:
                return self._open(forge, project, asked)
            case _, ["merge_requests", number, *rest]:
                pull = project.pull(int(number))
                return self.refused(404, "Not found") if pull is None else self._one(forge, project, pull, asked, rest)
            case "GET", ["repository", "commits", sha, "statuses"]:
                some, headers = page(asked, project.statuses.get(sha, []), size="per_page", default=20, most=100)
                return Reply(200, [_status(sha, nth, one) for nth, one in enumerate(some, 1)], headers)
            case "GET", ["pipelines", _, "jobs"]:
                return Reply(200, [])
            case "GET", ["members", "all", key]:
                writer = next((name for name in project.writers if _user(name)["id"] == int(key)), None)
                member = (
                    None
                    if writer is None
                    else {
                        **_user(writer),
                        "expires_at": "",
                        "access_level": 30,
                        "group_saml_identity": None,
                        "email": "",
                    }
                )
                return self.refused(404, "Not found") if member is None else Reply(200, member)
            case _:
                return self.refused(404, "Not Found")

    def _list(self, forge: Double, project: Project, asked: Asked) -> Reply:
        wanted = asked.query.get("state", "all")
        branch = asked.query.get("source_branch")
        shown = [
            one
            for one in forge.shown(project)
            if wanted in ("all", _state(one)) and (branch is None or one.head == branch)
        ]
        some, headers = page(asked, shown, size="per_page", default=20, most=100)
        return Reply(200, [self.merge(forge, project, one) for one in some], headers)

    def _open(self, forge: Double, project: Project, asked: Asked) -> Reply:
        wanted = asked.body
        if project.head(wanted["source_branch"]) is None:
            return Reply(400, {"message": {"source_branch": ["does not exist"]}})
        pull = forge.opened(project, wanted["source_branch"])
        if pull is not None:
            return Reply(
                409, {"message": [f"Another open merge request already exists for this source branch: !{pull.number}"]}
            )
        title = wanted["title"]
        made = forge.make(
            project,
            wanted["source_branch"],
            wanted["target_branch"],
            title,
            wanted["description"],
            draft=title.startswith("Draft:"),
        )
        return Reply(201, self.merge(forge, project, made, whole=True))

    def _one(self, forge: Double, project: Project, pull: Pull, asked: Asked, parts: list[str]) -> Reply:
        match (asked.method, parts):
            case "GET", []:
                return Reply(200, self.merge(forge, project, pull, whole=True))
            case "PUT", []:
                pull.title = asked.body.get("title", pull.title)
                pull.body = asked.body.get("description", pull.body)
                pull.draft = pull.title.startswith("Draft:")
                added = [name for name in asked.body.get("add_labels", "").split(",") if name]
                pull.labels = list(dict.fromkeys([*pull.labels, *added]))
                return Reply(200, self.merge(forge, project, pull, whole=True))
            case "POST", ["notes"]:
                pull.comments.append({"id": len(pull.comments) + 1, "user": "penstock", "body": asked.body["body"]})
                return Reply(201, _note(project, pull, pull.comments[-1]))
            case "GET", ["notes"]:
                notes = sorted([*pull.comments, *pull.lines], key=lambda one: int(one["id"]))
                if asked.query.get("sort", "desc") == "desc":
                    notes.reverse()
                some, headers = page(asked, notes, size="per_page", default=20, most=100)
                return Reply(200, [_note(project, pull, one) for one in some], headers)
            case _:
                return self.refused(404, "Not Found")

    def merge(self, forge: Double, project: Project, pull: Pull, *, whole: bool = False) -> dict[str, Any]:
        sha = project.sha(pull)
        found = {
            **dict.fromkeys(_NULLS),
            **dict.fromkeys(("user_notes_count", "upvotes", "downvotes"), 0),
            **dict.fromkeys(_FALSE, False),
            "id": 5_000 + pull.number,
            "iid": pull.number,
            "project_id": 1,
            "title": pull.title,
            "description": pull.body,
            "state": _state(pull),
            "created_at": WHEN,
            "updated_at": WHEN,
            "web_url": f"{forge.url}/{project.name}/-/merge_requests/{pull.number}",
            "target_branch": pull.base,
            "source_branch": pull.head,
            "author": _user("penstock"),
            "assignees": [],
            "reviewers": [],
            "source_project_id": 2 if pull.fork else 1,
            "target_project_id": 1,
            "labels": pull.labels,
            "draft": pull.draft,
            "work_in_progress": pull.draft,
            "merge_status": "can_be_merged",
            "detailed_merge_status": "mergeable",
            "sha": sha,
            "reference": f"!{pull.number}",
            "references": {
                "short": f"!{pull.number}",
                "relative": f"!{pull.number}",
                "full": f"{project.name}!{pull.number}",
            },
            "time_stats": dict.fromkeys(("time_estimate", "total_time_spent"), 0)
            | dict.fromkeys(("human_time_estimate", "human_total_time_spent")),
            "task_completion_status": {"count": 0, "completed_count": 0},
        }
        if whole:
            found |= dict.fromkeys(_WHOLE_NULLS) | {
                "subscribed": True,
                "changes_count": "1",
                "diff_refs": {"base_sha": sha, "head_sha": sha, "start_sha": sha},
                "first_contribution": False,
                "user": {"can_merge": True},
                "head_pipeline": None if project.pipeline is None else _pipeline(project.pipeline),
            }
        return found


_NULLS = (
    *("merged_by", "merged_at", "closed_by", "closed_at", "assignee", "milestone", "merge_commit_sha", "prepared_at"),
    *("squash_commit_sha", "discussion_locked", "should_remove_source_branch", "approvals_before_merge"),
)
_FALSE = (
    *("merge_when_pipeline_succeeds", "force_remove_source_branch", "squash", "has_conflicts"),
    "blocking_discussions_resolved",
)
_WHOLE_NULLS = (
    *("latest_build_started_at", "latest_build_finished_at", "first_deployed_to_production_at", "pipeline"),
    *("head_pipeline", "merge_error"),
)


def _state(pull: Pull) -> str:
    return "merged" if pull.merged else "opened" if pull.state == "open" else "closed"


def _user(name: str) -> dict[str, Any]:
    key = sum(ord(char) << at for at, char in enumerate(name))
    url = f"https://gitlab.example/{name}"
    return {
        "id": key,
        "username": name,
        "name": name,
        "state": "active",
        "avatar_url": url,
        "web_url": url,
        "created_at": WHEN,
    }


def _note(project: Project, pull: Pull, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "attachment": None,
        "created_at": WHEN,
        "updated_at": WHEN,
        "system": False,
        "noteable_id": 5_000 + pull.number,
        "noteable_type": "MergeRequest",
        "noteable_iid": pull.number,
        "project_id": 1,
        "resolvable": "position" in said,
        **said,
        "author": _user(said["user"]),
    }


def _status(sha: str, nth: int, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": nth,
        "sha": sha,
        "ref": "agent",
        "name": "test",
        "status": "success",
        "created_at": WHEN,
        "allow_failure": False,
        "author": _user("runner"),
        "target_url": "https://gitlab.example/-/jobs/1",
        **said,
    }


def _pipeline(said: dict[str, Any]) -> dict[str, Any]:
    times = dict.fromkeys(("created_at", "updated_at", "started_at", "finished_at"), WHEN)
    return {
        "id": 61,
        "iid": 1,
        "project_id": 1,
        "ref": "agent",
        "source": "push",
        "web_url": "https://gitlab.example/-/pipelines/61",
        "before_sha": "0" * 40,
        "tag": False,
        "user": _user("penstock"),
        "duration": 7,
        "detailed_status": {},
        **times,
        **said,
    }


def _project(forge: Double, project: Project) -> dict[str, Any]:
    name = project.name.rsplit("/", 1)[1]
    return {
        "id": 1,
        "name": name,
        "path": name,
        "path_with_namespace": project.name,
        "web_url": f"{forge.url}/{project.name}",
        "visibility": "private" if project.private else "public",
    }

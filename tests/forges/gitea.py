"""How Gitea and Forgejo speak."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from forges.double import Asked, Double, Project, Pull, Reply, page
from forges.wire import Wrong, check_gitea

WHEN = "2026-01-26T19:01:12Z"


@dataclass
class GiteaDialect:
    """`may_ask_who`: its token has the scope `read:user` too. `page_max`: what its operator lets it give at once."""

    prefix: str = "/api/v1"
    may_ask_who: bool = True
    page_max: int = 50

    def accepts(self, forge: Double, asked: Asked) -> bool:
        return asked.headers.get("authorization") == f"token {forge.token}"

    def refused(self, status: int, why: str) -> Reply:
        return Reply(status, {"message": why, "url": "https://gitea.example/api/swagger"})

    def check(self, wrong: Wrong, asked: Asked, reply: Reply) -> None:
        check_gitea(wrong, asked.method, asked.path, asked.query, asked.body, reply.status, reply.content)

    def hook(self, kind: str, content: bytes, delivery: str, secret: str) -> dict[str, str]:
        signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        return {"x-gitea-event": kind, "x-gitea-delivery": delivery, "x-gitea-signature": signature}

    def reply(self, forge: Double, asked: Asked) -> Reply:
        if asked.path == "/user":
            if self.may_ask_who:
                return Reply(200, _user("penstock-bot"))
            return self.refused(403, "token does not have at least one of required scope(s), required=[read:user]")
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)/(.+)", asked.path)
        project = forge.projects.get(found[1]) if found else None
        if project is None or found is None:
            return self.refused(404, "The target couldn't be found.")
        parts = found[2].split("/")
        match (asked.method, parts):
            case "GET", ["pulls"]:
                state = asked.query.get("state", "open")
                shown = [pull for pull in forge.shown(project) if state in ("all", pull.state)]
                some, headers = page(asked, shown, size="limit", default=30, most=self.page_max)
                return Reply(200, [self.pull(forge, project, one) for one in some], headers)
            case "POST", ["pulls"]:
                return self._open(forge, project, asked)
            case "GET", ["pulls", base, *head] if not base.isdecimal():
                return self._named(forge, project, unquote(base), unquote("/".join(head)))
            case _, ["pulls" | "issues" as kind, number, *rest]:
                pull = project.pull(int(number))
                if pull is None:
                    return self.refused(404, "The target couldn't be found.")
                return self._one(forge, project, pull, asked, [kind, *rest])
            case "GET", ["labels"]:
                labels = [_label(name, key) for name, key in project.labels.items()]
                some, headers = page(asked, labels, size="limit", default=30, most=self.page_max)
                return Reply(200, some, headers)
            case "POST", ["labels"]:
                key = project.labels[asked.body["name"]] = len(project.labels) + 1
                return Reply(201, _label(asked.body["name"], key))
            case "GET", ["git", "refs", "pull", number, "head"]:
                pull = project.pull(int(number))
                if pull is None:
                    return self.refused(404, "The target couldn't be found.")
                commit = {"type": "commit", "sha": project.sha(pull), "url": ""}
                return Reply(200, {"ref": f"refs/pull/{number}/head", "url": "", "object": commit})
            case "GET", ["commits", sha, "status"]:
                statuses = [
                    {
                        "id": nth,
                        "context": "ci",
                        "status": "success",
                        "target_url": "",
                        "description": "",
                        "created_at": WHEN,
                    }
                    | one
                    for nth, one in enumerate(project.statuses.get(sha, []), 1)
                ]
                some, headers = page(asked, statuses, size="limit", default=30, most=self.page_max)
                combined = {"sha": sha, "state": "", "total_count": len(some), "statuses": some}
                return Reply(200, combined, headers | {"x-total-count": str(len(statuses))})
            case "GET", ["collaborators", name, "permission"]:
                may = "write" if unquote(name) in project.writers else "read"
                return Reply(200, {"permission": may, "role_name": may, "user": _user(unquote(name))})
            case _:
                return self.refused(404, "The target couldn't be found.")

    def _open(self, forge: Double, project: Project, asked: Asked) -> Reply:
        wanted = asked.body
        if project.head(wanted["head"]) is None:
            return self.refused(404, "The target couldn't be found.")
        pull = forge.opened(project, wanted["head"])
        if pull is not None and pull.base == wanted["base"]:
            said = f"pull request already exists for these targets [id: {pull.number}, issue_id: {pull.number}, head_repo_id: 1]"
            return self.refused(409, said)
        title = wanted["title"]
        made = forge.make(
            project, wanted["head"], wanted["base"], title, wanted["body"], draft=title.startswith("WIP:")
        )
        return Reply(201, self.pull(forge, project, made))

    def _named(self, forge: Double, project: Project, base: str, head: str) -> Reply:
        for pull in project.pulls:  # The first that was ever made, whatever became of it.
            if (pull.base, pull.head, pull.fork) == (base, head, False) and pull.listed_after <= 0:
                return Reply(200, self.pull(forge, project, pull))
            pull.listed_after -= pull.listed_after > 0 and pull.head == head
        return self.refused(404, "The target could not be found.")

    def _one(self, forge: Double, project: Project, pull: Pull, asked: Asked, parts: list[str]) -> Reply:
        match (asked.method, parts):
            case "GET", ["pulls"]:
                return Reply(200, self.pull(forge, project, pull))
            case "PATCH", ["pulls"]:
                pull.title, pull.body = asked.body.get("title", pull.title), asked.body.get("body", pull.body)
                pull.draft = pull.title.startswith("WIP:")
                return Reply(201, self.pull(forge, project, pull))
            case "POST", ["issues", "comments"]:
                pull.comments.append({"id": len(pull.comments) + 1, "user": "penstock", "body": asked.body["body"]})
                return Reply(201, _said(pull.comments[-1]))
            case "GET", ["issues", "comments"]:
                return Reply(200, [_said(one) for one in pull.comments])
            case "POST", ["issues", "labels"]:
                names = {key: name for name, key in project.labels.items()}
                pull.labels = list(dict.fromkeys([*pull.labels, *(names[key] for key in asked.body["labels"])]))
                return Reply(200, [_label(name, project.labels[name]) for name in pull.labels])
            case "GET", ["pulls", "reviews"]:
                reviews = [
                    {"body": "", "official": False, "dismissed": False, "stale": False, "submitted_at": WHEN}
                    | _said(one)
                    | {"comments_count": sum(line["review"] == one["id"] for line in pull.lines)}
                    for one in pull.reviews
                ]
                some, headers = page(asked, reviews, size="limit", default=30, most=self.page_max)
                return Reply(200, some, headers)
            case "GET", ["pulls", "reviews", key, "comments"]:
                lines = [_said(one) for one in pull.lines if one["review"] == int(key)]
                for one in lines:
                    one["pull_request_review_id"] = one.pop("review")
                return Reply(200, lines)
            case _:
                return self.refused(404, "The target couldn't be found.")

    def pull(self, forge: Double, project: Project, pull: Pull) -> dict[str, Any]:
        repo = {"id": 1, "full_name": project.name, "private": project.private, "name": project.name.split("/")[1]}
        head = repo | {"id": 2, "full_name": "fork/it"} if pull.fork else repo
        # The label alone has the name of a branch that is gone.
        stands = project.head(pull.head)
        ref = pull.head if stands is not None else f"refs/pull/{pull.number}/head"
        return {
            "id": 1_000 + pull.number,
            "number": pull.number,
            "url": f"{forge.url}/{project.name}/pulls/{pull.number}",
            "html_url": f"{forge.url}/{project.name}/pulls/{pull.number}",
            "title": pull.title,
            "body": pull.body,
            "state": pull.state,
            "draft": pull.draft,
            "merged": pull.merged,
            "user": _user("penstock"),
            "head": {"label": pull.head, "ref": ref, "sha": stands or project.sha(pull), "repo_id": 1, "repo": head},
            "base": {"label": pull.base, "ref": pull.base, "sha": "0" * 40, "repo_id": 1, "repo": repo},
            "created_at": WHEN,
        }


def _user(name: str) -> dict[str, Any]:
    return {"id": abs(hash(name)) % 1_000, "login": name, "email": f"{name}@noreply.localhost"}


def _label(name: str, key: int) -> dict[str, Any]:
    return {"id": key, "name": name, "color": "6e7781", "description": "", "exclusive": False}


def _said(said: dict[str, Any]) -> dict[str, Any]:
    return {"created_at": WHEN} | said | {"user": _user(said["user"])}

"""How GitHub speaks: its own examples, with what is true here put into them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from forges.double import Asked, Double, Project, Pull, Reply, page
from forges.wire import Wrong, check_github, sample

WHEN = "2026-01-26T19:01:12Z"
PROFILE = "response-with-public-and-private-profile-information"


@dataclass
class GitHubDialect:
    """As an Enterprise server has it, below `/api/v3`. `app_key`: the public key of an app (PEM), which may ask for tokens."""

    prefix: str = "/api/v3"
    app_key: Path | None = None
    minted: list[dict[str, Any]] = field(default_factory=list)
    token_seconds: float = 3_600.0

    def accepts(self, forge: Double, asked: Asked) -> bool:
        scheme, _, given = asked.headers.get("authorization", "").partition(" ")
        if asked.path == "/app" or asked.path.startswith("/app/") or asked.path.endswith("/installation"):
            return scheme == "Bearer" and self._is_app(given)
        return scheme == "Bearer" and given == forge.token

    def _is_app(self, jwt: str) -> bool:
        if self.app_key is None or jwt.count(".") != 2:
            return False
        said, _, signature = jwt.rpartition(".")
        claims = json.loads(_unurl64(said.split(".")[1]))
        self.minted.append(claims)
        now = time.time()
        if not (claims["iat"] <= now + 1 and now < claims["exp"] <= now + 600):
            return False
        with tempfile.NamedTemporaryFile() as file:
            file.write(_unurl64(signature))
            file.flush()
            command = ["openssl", "dgst", "-sha256", "-verify", str(self.app_key), "-signature", file.name]
            return subprocess.run(command, input=said.encode(), capture_output=True, check=False).returncode == 0

    def refused(self, status: int, why: str) -> Reply:
        return Reply(
            status, {"message": why, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
        )

    def check(self, wrong: Wrong, asked: Asked, reply: Reply) -> None:
        if asked.headers.get("x-github-api-version") != "2022-11-28" or not asked.headers.get("user-agent"):
            wrong.said.append(f"{asked.path}: GitHub wants a version and a user agent")
        check_github(wrong, asked.method, asked.path, asked.query, asked.body, reply.status, reply.content)

    def hook(self, kind: str, content: bytes, delivery: str, secret: str) -> dict[str, str]:
        signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        return {"x-github-event": kind, "x-github-delivery": delivery, "x-hub-signature-256": f"sha256={signature}"}

    def reply(self, forge: Double, asked: Asked) -> Reply:
        if asked.path.startswith("/app/installations/"):
            return self._token(forge)
        if asked.path == "/user":
            return Reply(200, sample(f"private-user-{PROFILE}") | {"login": "penstock-bot"})
        if asked.path == "/app":
            return Reply(200, sample("integration") | {"slug": "penstock-app"})
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)/(.+)", asked.path)
        project = forge.projects.get(found[1]) if found else None
        if project is None or found is None:
            return self.refused(404, "Not Found")
        parts = found[2].split("/")
        match (asked.method, parts):
            case "GET", ["installation"]:
                return Reply(200, sample("installation") | {"id": 77})
            case "GET", ["pulls"]:
                return self._list(forge, project, asked)
            case "POST", ["pulls"]:
                return self._open(forge, project, asked)
            case _, ["pulls" | "issues" as kind, number, *rest]:
                pull = project.pull(int(number))
                if pull is None:
                    return self.refused(404, "Not Found")
                return self._one(forge, project, pull, asked, [kind, *rest])
            case "GET", ["commits", sha, "check-runs"]:
                return self._runs(project, sha, asked)
            case "GET", ["commits", sha, "status"]:
                return self._statuses(project, sha, asked)
            case _:
                return self.refused(404, "Not Found")

    def _token(self, forge: Double) -> Reply:
        until = datetime.now(UTC) + timedelta(seconds=self.token_seconds)
        found = sample("installation-token") | {
            "token": forge.token,
            "expires_at": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return Reply(201, found)

    def _list(self, forge: Double, project: Project, asked: Asked) -> Reply:
        owner, _, branch = asked.query.get("head", "").partition(":")
        state = asked.query.get("state", "open")
        shown = [pull for pull in forge.shown(project) if state in ("all", pull.state)]
        if branch:  # Without an owner GitHub does not look at it at all.
            wanted = project.name.split("/")[0]
            shown = [pull for pull in shown if (owner, pull.head) == ("fork" if pull.fork else wanted, branch)]
        found, headers = page(asked, shown, size="per_page", default=30, most=100)
        return Reply(200, [self.pull(forge, project, one) for one in found], headers)

    def _open(self, forge: Double, project: Project, asked: Asked) -> Reply:
        wanted = asked.body
        owner = project.name.split("/")[0]
        branch = wanted["head"].removeprefix(f"{owner}:")
        if project.head(branch) is None:
            return self._invalid({"resource": "PullRequest", "field": "head", "code": "invalid"})
        pull = forge.opened(project, branch)
        if pull is not None and pull.base == wanted["base"]:
            said = f"A pull request already exists for {owner}:{branch}."
            return self._invalid({"resource": "PullRequest", "code": "custom", "message": said})
        made = forge.make(
            project, branch, wanted["base"], wanted["title"], wanted.get("body", ""), draft=bool(wanted.get("draft"))
        )
        return Reply(201, self.pull(forge, project, made))

    def _invalid(self, error: dict[str, str]) -> Reply:
        return Reply(
            422, {"message": "Validation Failed", "errors": [error], "documentation_url": "https://docs.github.com"}
        )

    def _one(self, forge: Double, project: Project, pull: Pull, asked: Asked, parts: list[str]) -> Reply:
        match (asked.method, parts):
            case "GET", ["pulls"]:
                return Reply(200, self.pull(forge, project, pull))
            case "PATCH", ["pulls"]:
                pull.title = asked.body.get("title", pull.title)
                pull.body = asked.body.get("body", pull.body)
                return Reply(200, self.pull(forge, project, pull))
            case "POST", ["issues", "comments"]:
                pull.comments.append({"id": len(pull.comments) + 1, "user": "penstock", "body": asked.body["body"]})
                return Reply(201, self._said("issue-comment", pull.comments[-1]))
            case "GET", ["issues", "comments"]:
                found, headers = page(asked, pull.comments, size="per_page", default=30, most=100)
                return Reply(200, [self._said("issue-comment", one) for one in found], headers)
            case "POST", ["issues", "labels"]:
                pull.labels = list(dict.fromkeys([*pull.labels, *asked.body["labels"]]))
                kind = sample("label-items")[0]
                return Reply(200, [kind | {"name": name} for name in pull.labels])
            case "GET", ["pulls", "reviews"]:
                found, headers = page(asked, pull.reviews, size="per_page", default=30, most=100)
                return Reply(200, [self._said("pull-request-review-items", one) for one in found], headers)
            case "GET", ["pulls", "comments"]:
                found, headers = page(asked, pull.lines, size="per_page", default=30, most=100)
                return Reply(200, [self._said("pull-request-review-comment-items", one) for one in found], headers)
            case _:
                return self.refused(404, "Not Found")

    def _said(self, kind: str, said: dict[str, Any]) -> dict[str, Any]:
        found: Any = sample(kind)
        found = found[0] if isinstance(found, list) else found
        user = found["user"] | {"login": said["user"]}
        at = {name: WHEN for name in ("created_at", "submitted_at") if name in found}
        told: dict[str, Any] = found | {"author_association": "MEMBER"} | at | said | {"user": user}
        return told

    def _runs(self, project: Project, sha: str, asked: Asked) -> Reply:
        kind = sample("check-run-paginated")["check_runs"][0]
        runs = [
            kind | one | {"head_sha": sha, "output": kind["output"] | one.get("output", {})}
            for one in project.checks.get(sha, [])
        ]
        found, headers = page(asked, runs, size="per_page", default=30, most=100)
        return Reply(200, {"total_count": len(runs), "check_runs": found}, headers)

    def _statuses(self, project: Project, sha: str, asked: Asked) -> Reply:
        kind = sample("combined-commit-status")
        statuses = [kind["statuses"][0] | one for one in project.statuses.get(sha, [])]
        found, headers = page(asked, statuses, size="per_page", default=30, most=100)
        return Reply(200, kind | {"sha": sha, "statuses": found, "total_count": len(statuses)}, headers)

    def pull(self, forge: Double, project: Project, pull: Pull) -> dict[str, Any]:
        found: dict[str, Any] = sample("pull-request")
        owner = "fork" if pull.fork else project.name.split("/")[0]
        repo = project.name if not pull.fork else f"fork/{project.name.split('/')[1]}"
        found["head"] |= {"ref": pull.head, "sha": project.sha(pull), "label": f"{owner}:{pull.head}"}
        found["head"]["repo"] = found["base"]["repo"] | {"full_name": repo, "private": project.private}
        found["base"] |= {"ref": pull.base}
        found["base"]["repo"] = found["base"]["repo"] | {"full_name": project.name, "private": project.private}
        url = f"{forge.url}/{project.name}/pull/{pull.number}"
        found |= {"number": pull.number, "title": pull.title, "body": pull.body, "state": pull.state, "html_url": url}
        # In GitHub's own example the team lacks what GitHub's own schema demands.
        found |= {"requested_teams": []}
        merged_at = WHEN if pull.merged else None
        return found | {
            "draft": pull.draft,
            "merged": pull.merged,
            "merged_at": merged_at,
            "user": found["user"] | {"login": "penstock"},
        }


def _unurl64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

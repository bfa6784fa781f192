"""Whether what went over the wire is what the vendors have published: `specs/`, and how it was made, in `specs/README.md`.

Rule of this room: both sides are looked at, the request that we make and the answer that our double gives.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

SPECS: Final = Path(__file__).parent / "specs"

GITLAB_QUERIES: Final = {
    "merge_requests": {"source_branch", "state", "order_by", "sort", "per_page", "page"},
    "notes": {"sort", "order_by", "per_page", "page"},
    "statuses": {"per_page", "page"},
    "jobs": {"scope[]", "per_page", "page"},
}
GITLAB_BODIES: Final = {
    "POST merge_requests": ({"source_branch", "target_branch", "title"}, {"description", "labels"}),
    "PUT merge_requests/{}": (set[str](), {"title", "description", "add_labels"}),
    "POST notes": ({"body"}, set[str]()),
}
"""Names of GitLab's parameters, from its documentation of API v4: the package that its answers are checked against says them in
its own spelling."""


@dataclass
class Wrong:
    """What did not fit, in words."""

    said: list[str] = field(default_factory=list)

    def check(self, schema: dict[str, Any], root: dict[str, Any], content: object, what: str) -> None:
        for error in Draft202012Validator({**schema, **root}).iter_errors(content):
            self.said.append(f"{what}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")
            return


@cache
def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = _nullable(json.loads((SPECS / f"{name}.json").read_text()))
    return found


def _nullable(part: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema says null."""
    if isinstance(part, list):
        return [_nullable(item) for item in part]
    if not isinstance(part, dict):
        return part
    part = {key: _nullable(value) for key, value in part.items()}
    return {"anyOf": [part, {"type": "null"}]} if part.pop("nullable", None) is True else part


def sample(name: str) -> Any:
    """One of GitHub's own examples, to be altered."""
    return json.loads(json.dumps(spec("github")["samples"][name]))


def _matches(template: str, path: str) -> bool:
    return (
        re.fullmatch(re.sub(r"\{(head|ref)\}", "(?:.+)", re.sub(r"\{(?!head|ref)\w+\}", "[^/]+", template)), path)
        is not None
    )


def check_github(
    wrong: Wrong, method: str, path: str, query: dict[str, str], body: object, status: int, out: object
) -> None:
    document = spec("github")
    found = next(
        ((t, ops) for t, ops in document["paths"].items() if _matches(t, path) and method.lower() in ops), None
    )
    what = f"{method} {path}"
    if found is None:
        wrong.said.append(f"{what}: GitHub has no such operation")
        return
    operation, root = found[1][method.lower()], {"components": document["components"]}
    named = [_resolved(document, one) for one in operation.get("parameters", [])]
    known = {one["name"] for one in named if one["in"] == "query"}
    wrong.said += [f"{what}: no parameter {name}" for name in query if name not in known]
    for one in named:
        if one["in"] == "query" and one["name"] in query:
            value: object = query[one["name"]]
            value = int(query[one["name"]]) if one["schema"].get("type") == "integer" else value
            wrong.check(one["schema"], root, value, f"{what}?{one['name']}")
    if body is not None:
        wrong.check(operation["requestBody"]["content"]["application/json"]["schema"], root, body, f"{what} asked")
    answer = _resolved(document, operation["responses"].get(str(status), {}))
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    if status < 300 and schema is None:
        wrong.said.append(f"{what}: GitHub does not answer {status}")
    elif schema is not None:
        wrong.check(schema, root, out, f"{what} answered")


def _resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = document["components"][kind][name]
    return found


def check_gitea(
    wrong: Wrong, method: str, path: str, query: dict[str, str], body: object, status: int, out: object
) -> None:
    document = spec("gitea")
    what, root = f"{method} {path}", {"schemas": document["schemas"]}
    fits = [key for key in document["operations"] if key.startswith(f"{method} ") and _matches(key.split(" ")[1], path)]
    if not fits:
        wrong.said.append(f"{what}: Gitea has no such operation")
        return
    # `pulls/{base}/{head}` fits `pulls/3/reviews` too.
    operation = document["operations"][max(fits, key=lambda key: len(re.sub(r"\{\w+\}", "", key)))]
    wrong.said += [f"{what}: no parameter {name}" for name in query if name not in operation["query"]]
    if body is not None:
        wrong.check(operation["body"], root, body, f"{what} asked")
        named = document["schemas"][operation["body"]["$ref"].split("/")[-1]]["properties"]
        assert isinstance(body, dict)
        wrong.said += [f"{what}: no field {name}" for name in body if name not in named]
    if status < 300:
        wrong.check(operation["answer"], root, out, f"{what} answered")


def check_gitlab(
    wrong: Wrong, method: str, path: str, query: dict[str, str], body: object, status: int, out: object
) -> None:
    what, root = f"{method} {path}", {"schemas": spec("gitlab")["schemas"]}
    parts = path.split("/")[3:]
    kind = "notes" if "notes" in parts else parts[-1] if parts and not parts[-1].isdecimal() else "one"
    if query:
        wrong.said += [f"{what}: no parameter {name}" for name in query if name not in GITLAB_QUERIES.get(kind, ())]
    if isinstance(body, dict):
        key = (
            f"{method} {'notes' if kind == 'notes' else 'merge_requests' if method == 'POST' else 'merge_requests/{}'}"
        )
        needed, allowed = GITLAB_BODIES[key]
        if not needed <= set(body) <= needed | allowed:
            wrong.said.append(f"{what}: fields {sorted(body)}")
    if status >= 300:
        return
    named = {
        "merge_requests": "MergeRequestSchemaWithBasicLabels",
        "notes": "MergeRequestNoteSchema",
        "statuses": "CommitStatusSchema",
        "jobs": "JobSchema",
    }.get(kind, "ExpandedMergeRequestSchema" if "merge_requests" in parts else "")
    if "members" in parts:
        named = "MemberSchema"
    if path == "/user":
        named = "SimpleUserSchema"
    if not named:
        named = "CondensedProjectSchema"
    schema = {
        "$ref": f"#/schemas/{'ExpandedMergeRequestSchema' if method == 'POST' and kind == 'merge_requests' else named}"
    }
    wrong.check({"type": "array", "items": schema} if isinstance(out, list) else schema, root, out, f"{what} answered")

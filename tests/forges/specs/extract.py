"""How the files beside this one were made, from what the vendors (and two packages that follow them) publish. Not run by tests.

npm pack @octokit/openapi@23.0.2 gitea-js@1.23.0 @gitbeaker/core@43.8.0      # and unpack each
python extract.py github  <octokit>/package/generated/api.github.com.json
python extract.py gitea   <gitea-js>/package/dist/index.d.ts
python extract.py gitlab  <gitbeaker>/package/dist/index.d.ts
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = "/repos/{owner}/{repo}"
GITHUB = (
    ("get", f"{REPO}/pulls"),
    ("post", f"{REPO}/pulls"),
    ("get", f"{REPO}/pulls/{{pull_number}}"),
    ("patch", f"{REPO}/pulls/{{pull_number}}"),
    ("get", f"{REPO}/issues/{{issue_number}}/comments"),
    ("post", f"{REPO}/issues/{{issue_number}}/comments"),
    ("post", f"{REPO}/issues/{{issue_number}}/labels"),
    ("get", f"{REPO}/commits/{{ref}}/check-runs"),
    ("get", f"{REPO}/commits/{{ref}}/status"),
    ("get", f"{REPO}/pulls/{{pull_number}}/reviews"),
    ("get", f"{REPO}/pulls/{{pull_number}}/comments"),
    ("get", f"{REPO}/installation"),
    ("post", "/app/installations/{installation_id}/access_tokens"),
    ("get", "/user"),
    ("get", "/app"),
)
EXAMPLES = (
    *("pull-request", "issue-comment", "label-items", "check-run-paginated", "combined-commit-status"),
    *("pull-request-review-items", "pull-request-review-comment-items", "installation", "installation-token"),
    *("private-user-response-with-public-and-private-profile-information", "integration"),
)
GITEA_OPERATIONS = (
    *("RepoListPullRequests", "RepoCreatePullRequest", "RepoGetPullRequest", "RepoEditPullRequest"),
    *("RepoGetPullRequestByBaseHead", "RepoListPullReviews", "RepoGetPullReviewComments", "IssueGetComments"),
    *("IssueCreateComment", "IssueAddLabel", "IssueListLabels", "IssueCreateLabel", "RepoGetCombinedStatusByRef"),
    *("RepoGetRepoPermissions", "UserGetCurrent", "RepoListGitRefs"),
)
ONE_OR_MORE = ("RepoListGitRefs",)
"""Gitea gives the one thing where there is no more than one, and its Swagger document says so; the package does not."""

GITLAB_TYPES = (
    *("ExpandedMergeRequestSchema", "MergeRequestSchemaWithBasicLabels", "MergeRequestNoteSchema"),
    *("CommitStatusSchema", "JobSchema", "MemberSchema", "ProjectSchema"),
)
SAYS_NOTHING = {"description", "summary", "externalDocs", "x-github", "tags", "operationId", "examples", "example"}
SAYS_NOTHING |= {"title", "deprecated", "format"}


def github(document: dict[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for method, path in GITHUB:
        paths.setdefault(path, {})[method] = _pruned(document["paths"][path][method])
    out: dict[str, Any] = {"paths": paths, "components": {}, "samples": {}}
    left, seen = list(_refs(paths)), set()
    while left:
        ref = left.pop()
        if ref in seen or "/examples/" in ref:
            continue
        seen.add(ref)
        _, _, kind, name = ref.split("/")
        found = _pruned(document["components"][kind][name])
        out["components"].setdefault(kind, {})[name] = found
        left += _refs(found)
    for name in EXAMPLES:
        out["samples"][name] = document["components"]["examples"][name]["value"]
    return out


def _pruned(part: Any, *, names: bool = False) -> Any:
    if isinstance(part, dict):
        kept = {key: value for key, value in part.items() if names or key not in SAYS_NOTHING}
        return {key: _pruned(value, names=key in ("properties", "schemas")) for key, value in kept.items()}
    return [_pruned(item) for item in part] if isinstance(part, list) else part


def _refs(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from _refs(value)
    elif isinstance(part, list):
        for item in part:
            yield from _refs(item)


class Types:
    """Interfaces and types of a file of TypeScript declarations, as JSON schemas."""

    def __init__(self, text: str) -> None:
        self.text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        self.schemas: dict[str, Any] = {}

    def add(self, name: str) -> None:
        if name in self.schemas:
            return
        self.schemas[name] = {}
        if found := re.search(rf"^interface {name}(?: extends ([^{{]+))? \{{(.*?)^\}}", self.text, re.M | re.S):
            parents, body = found.groups()
            schema = self.fields(body)
            above = [one.strip() for one in (parents or "").split(",") if one.strip() and "Record<" not in one]
            # What a type narrows is what it says last.
            self.schemas[name] = {"allOf": [self.of(one) for one in above] + [schema]} if above else schema
        elif found := re.search(rf"^(?:declare )?type {name} = ([^;]+);", self.text, re.M):
            self.schemas[name] = self.of(found[1])

    def fields(self, body: str) -> dict[str, Any]:
        properties, required = {}, []
        for key, optional, kind in re.findall(r"^ {4}(\w+)(\??): (.*?);$", body, re.M | re.S):
            properties[key] = self.of(kind)
            if not optional:
                required.append(key)
        return {"type": "object", "properties": properties, "required": required}

    def of(self, kind: str) -> dict[str, Any]:
        kind = kind.strip()
        plain = {"string": "string", "number": "number", "boolean": "boolean", "null": "null"}
        if kind in plain:
            return {"type": plain[kind]}
        if re.fullmatch(r"'[^']*'|\"[^\"]*\"", kind):
            return {"const": kind[1:-1]}
        if kind.endswith("[]") and "|" not in kind:
            return {"type": "array", "items": self.of(kind[:-2])}
        if omitted := re.fullmatch(r"MappedOmit<(\w+), .*>", kind):
            # What is left out is not named here: nothing of it is wanted.
            self.add(omitted[1])
            schema = json.loads(json.dumps(self.schemas[omitted[1]]))
            schema.get("required", [])[:] = [key for key in schema.get("required", []) if f"'{key}'" not in kind]
            return dict(schema)
        if "|" in kind and "{" not in kind and "<" not in kind.replace("MappedOmit<", ""):
            return {"anyOf": [self.of(part) for part in kind.split(" | ")]}
        if "|" in kind and kind.endswith("| null") and "{" not in kind:
            return {"anyOf": [self.of(kind.removesuffix("| null")), {"type": "null"}]}
        if re.fullmatch(r"\w+", kind) and kind not in ("any", "unknown", "object"):
            self.add(kind)
            return {"$ref": f"#/schemas/{kind}"}
        return {}


def gitea(text: str) -> dict[str, Any]:
    types, operations = Types(text), {}
    for name in GITEA_OPERATIONS:
        pattern = (
            rf"@name {name}\n.*?@request (\w+):(\S+)\n.*?\n +\w+: \((.*?)params\?: RequestParams\)"
            r" => Promise<HttpResponse<(.*?), any>>;"
        )
        found = re.search(pattern, text, re.S)
        assert found is not None, name
        method, path, arguments, answer = found.groups()
        arguments = re.sub(r"/\*.*?\*/", "", arguments, flags=re.S)
        body = re.search(r"body: (\w+)", arguments)
        query = re.search(r"query\?: \{(.*?)\n {8}\}", arguments, re.S)
        operations[f"{method} {path}"] = {
            "query": re.findall(r"^ {12}(\w+)\?:", query[1], re.M) if query else [],
            "body": types.of(body[1]) if body else None,
            "answer": types.of(answer),
        }
        if name in ONE_OR_MORE:
            operations[f"{method} {path}"]["answer"] = {
                "anyOf": [types.of(answer), types.of(answer.removesuffix("[]"))]
            }
    return {"operations": operations, "schemas": types.schemas}


def gitlab(text: str) -> dict[str, Any]:
    types = Types(text)
    for name in GITLAB_TYPES:
        types.add(name)
    return {"schemas": types.schemas}


if __name__ == "__main__":
    which, source = sys.argv[1], Path(sys.argv[2]).read_text()
    made = github(json.loads(source)) if which == "github" else {"gitea": gitea, "gitlab": gitlab}[which](source)
    Path(__file__).with_name(f"{which}.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")

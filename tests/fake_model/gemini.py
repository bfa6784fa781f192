"""The Gemini wire format: POST .../models/<model>:streamGenerateContent?alt=sse, and :generateContent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Final

from fake_model.script import Calls, Fail, Object, Say
from fake_model.tools import native
from fake_model.wire import Asked, Failure, groups, objects, sse, words_of

_FINISH: Final = {"end_turn": "STOP", "max_tokens": "MAX_TOKENS", "refusal": "SAFETY"}

_WHY: Final = {
    "rate_limit": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan."),
    "usage_limit": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "server": (500, "INTERNAL", "An internal error has occurred."),
    "auth": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "forbidden": (403, "PERMISSION_DENIED", "The caller does not have permission"),
    "billing": (400, "FAILED_PRECONDITION", "Please enable billing on your project in Google AI Studio."),
    "model_not_found": (404, "NOT_FOUND", "models/no-such-model is not found for API version v1beta."),
    "context_full": (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "bad_request": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
}
_QUOTAS: Final = {
    "rate_limit": "GenerateRequestsPerMinutePerProjectPerModel",
    "usage_limit": "GenerateRequestsPerDayPerProjectPerModel",
}


class Gemini:
    """The format of Gemini CLI."""

    def asked(self, path: str, headers: Mapping[str, str], body: Object) -> Asked:
        contents = objects(body.get("contents"))
        users = [_text(content) for content in contents if content.get("role") == "user"]
        tools = [tool for kind in objects(body.get("tools")) for tool in objects(kind.get("functionDeclarations"))]
        model, _, verb = path.rpartition("/")[2].partition(":")
        return Asked(
            model=model,
            streams=verb == "streamGenerateContent",
            turns_done=groups([content.get("role") == "model" for content in contents]),
            first_text=users[0] if users else "",
            last_text=users[-1] if users else "",
            told=tuple(text for content in contents if content.get("role") == "user" for text in _told(content)),
            offered=frozenset(str(tool.get("name")) for tool in tools),
            conversation="",
            aside=None if tools else _aside(body),
        )

    def whole(self, step: Say | Calls, asked: Asked) -> Object:
        parts: list[Object] = [{"text": step.text}] if step.text else []
        if isinstance(step, Calls):
            parts += _calls_of(step, asked)
        return _answer(asked, _fresh(), parts, _finish(step), step)

    def events(self, step: Say | Calls, asked: Asked) -> list[bytes]:
        response = _fresh()
        parts: list[Object] = [{"text": word} for word in (words_of(step.text) if step.text else ())]
        if isinstance(step, Calls):
            parts += _calls_of(step, asked)
        found = [sse(_answer(asked, response, [part])) for part in parts]
        return [*found, sse(_answer(asked, response, [{"text": ""}], _finish(step), step))]

    def begun(self, text: str, asked: Asked) -> list[bytes]:
        return self.events(Say(text), asked)[:-1]

    def failure(self, fail: Fail) -> Failure:
        status, kind, text = _WHY.get(fail.type, (500, fail.type, "scripted failure"))
        status = fail.status or status
        error: Object = {"code": status, "message": fail.message or text, "status": kind}
        if details := _details(fail):
            error["details"] = details
        return Failure(status, {"error": error}, fail.headers)

    def failing(self, fail: Fail) -> bytes:
        return sse(self.failure(fail).body)


def _details(fail: Fail) -> list[Object]:
    of = "type.googleapis.com/google.rpc."
    found: list[Object] = []
    if fail.type in _QUOTAS:
        violation = {"quotaMetric": "generate_content_requests", "quotaId": _QUOTAS[fail.type]}
        found.append({"@type": f"{of}QuotaFailure", "violations": [violation]})
    if fail.type == "auth":
        found.append({"@type": f"{of}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
    if fail.seconds is not None:
        found.append({"@type": f"{of}RetryInfo", "retryDelay": f"{fail.seconds:.0f}s"})
    return found


def _aside(body: Object) -> str:
    """A question beside the conversation: it has no tools. Which model to take is asked for as JSON."""
    config = body.get("generationConfig")
    if isinstance(config, dict) and config.get("responseMimeType") == "application/json":
        return json.dumps({"reasoning": "It is simple.", "model_choice": "flash"})
    return "ok"


def _text(content: Object) -> str:
    return "\n".join(str(part["text"]) for part in objects(content.get("parts")) if "text" in part)


def _told(content: Object) -> list[str]:
    found = [_text(content)]
    for part in objects(content.get("parts")):
        answer = part.get("functionResponse")
        response = answer.get("response") if isinstance(answer, dict) else None
        if isinstance(response, dict):
            found += [str(value) for value in response.values()]
    return found


def _calls_of(step: Calls, asked: Asked) -> list[Object]:
    calls = [native(one, asked) for one in step.calls]
    return [{"functionCall": {"name": call.name, "args": call.input, "id": _fresh()}} for call in calls]


def _finish(step: Say | Calls) -> str:
    return "STOP" if isinstance(step, Calls) else _FINISH.get(step.stop_reason, step.stop_reason)


def _answer(
    asked: Asked, response: str, parts: list[Object], finish: str | None = None, step: Say | Calls | None = None
) -> Object:
    candidate: Object = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    found: Object = {"candidates": [candidate], "modelVersion": asked.model, "responseId": response}
    if step is not None:
        found["usageMetadata"] = {
            "promptTokenCount": step.tokens.input,
            "candidatesTokenCount": step.tokens.output,
            "cachedContentTokenCount": step.tokens.cached,
            "totalTokenCount": step.tokens.input + step.tokens.output,
        }
    return found


def _fresh() -> str:
    return uuid.uuid4().hex[:16]

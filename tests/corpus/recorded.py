"""Samples from recordings of agents' programs: how they end when the vendor, or the world, says no.

    PYTHONPATH=tests python -m corpus.recorded DIR

`DIR/<program>/<scenario>.jsonl` is what was printed, `<scenario>.meta.json` how it was run and ended, with its error output.
The rule of this room: the scenario says what was done to the program, and so what the class has to be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from corpus.sample import Sample, write

TEXT_CHARACTERS_MAX: Final = 24_000

_FIRST: Final = {
    "claude": {
        "err_429_json": "vendor.rate_limit", "err_429_text": "vendor.rate_limit", "err_429_retry_after_3600": "vendor.rate_limit",
        "err_529": "vendor.overloaded", "sse_overloaded_mid": "vendor.overloaded", "err_500": "vendor.unavailable",
        "conn_refused_max_retries_2": "vendor.unavailable", "hang_api_timeout": "vendor.unavailable", "err_401": "vendor.auth",
        "err_403": "vendor.auth", "no_creds": "vendor.auth", "err_credit": "vendor.billing", "err_404_model": "vendor.model_not_found",
        "err_400": "vendor.bad_request", "context_too_long": "vendor.context_overflow", "err_413": "vendor.context_overflow",
        "refusal": "vendor.refusal", "max_turns": "vendor.max_turns", "max_budget": "vendor.budget", "max_tokens_stop": "vendor.output_limit",
        "malformed_html": "vendor.bad_answer", "subscription_limit_429": "vendor.usage_window", "resume_unknown": "vendor.session_lost",
        "session_id_reuse": "vendor.session_in_use", "session_id_not_uuid": "agent.misused", "root_no_sandbox_env": "agent.misused",
        "sigint_in_tool": "agent.interrupted", "sigterm_in_stream": "agent.interrupted", "sigkill_in_tool": "agent.interrupted",
        "json_schema_invalid": "vendor.bad_answer", "malformed_cut_nofallback": "vendor.unavailable",
    },
    "codex": {
        "e429": "vendor.rate_limit", "failed_rate": "vendor.rate_limit", "e503": "vendor.overloaded", "e500": "vendor.overloaded",
        "e401": "vendor.auth", "e403": "vendor.auth", "e404": "vendor.model_not_found", "ctx400": "vendor.context_overflow",
        "quota": "vendor.billing", "notincluded": "vendor.billing", "usagelimit": "vendor.usage_window", "conn_refused_bounded": "vendor.unavailable",
        "rollout_budget": "vendor.budget", "incomplete": "vendor.output_limit", "incomplete_filter": "vendor.refusal",
        "malformed": "vendor.bad_answer", "midcut": "vendor.unavailable", "resume_unknown": "vendor.session_lost", "missing_env_key": "vendor.auth",
        "bad_provider": "agent.misused", "nogit_sandboxed": "agent.misused", "e400": "vendor.bad_request",
    },
    "gemini": {
        "e429_max2": "vendor.rate_limit", "e429day": "vendor.usage_window", "e429long": "vendor.usage_window", "e503_max2": "vendor.overloaded",
        "e500_max2": "vendor.unavailable", "e401": "vendor.auth", "no_key": "vendor.auth", "badkey": "vendor.auth", "e404": "vendor.model_not_found",
        "ctx400": "vendor.context_overflow", "maxturns_text": "vendor.max_turns", "e400": "vendor.bad_request", "loop": "agent.loop",
        "resume_unknown": "vendor.session_lost", "session_id_reused": "vendor.session_in_use", "no_trust": "agent.misused", "notsse": "vendor.bad_answer",
    },
    "qwen": {
        "err_429_maxRetries0": "vendor.rate_limit", "err_401": "vendor.auth", "err_500": "vendor.unavailable", "max_turns": "vendor.max_turns",
        "max_tool_calls": "vendor.budget", "max_wall_time": "agent.timeout", "json_schema_invalid": "agent.loop", "no_auth": "vendor.auth",
        "malformed_html": "vendor.bad_answer", "direct_sigint_in_tool": "agent.interrupted", "resume_unknown": "vendor.session_lost",
    },
    "opencode": {"e429": "vendor.rate_limit", "ctx400": "vendor.context_overflow", "resume_unknown": "vendor.session_lost"},
}  # fmt: skip
_SECOND: Final = {
    "claude": {"err_401_max_retries_2": "vendor.auth", "err_429_no_retry_after": "vendor.rate_limit", "malformed_empty": "vendor.bad_answer",
               "plan_mode_stdio_permission": "agent.interrupted", "sse_overloaded": "vendor.overloaded", "sigint_in_stream": "agent.interrupted"},
    "claude/2.1.197": {"err_529": "vendor.overloaded", "err_404_model": "vendor.model_not_found", "err_credit": "vendor.billing",
                       "max_turns": "vendor.max_turns", "refusal": "vendor.refusal", "subscription_limit_429": "vendor.usage_window",
                       "context_too_long": "vendor.context_overflow", "conn_refused_max_retries_2": "vendor.unavailable"},
    "codex": {"e413": "vendor.context_overflow", "failed_quota": "vendor.billing", "failed_server_error": "vendor.unavailable",
              "hang_idle_timeout": "vendor.unavailable", "prompt_too_large": "vendor.context_overflow", "html503": "vendor.unavailable",
              "strict_config_error": "agent.misused", "mcp_server_missing_required": "agent.misused", "failed_ctx": "vendor.context_overflow"},
    "gemini": {"e403": "vendor.auth", "e503_max2_json": "vendor.overloaded", "badkey_json": "vendor.auth", "maxturns_json": "vendor.max_turns",
               "malformed": "vendor.bad_answer", "resume_other_cwd": "vendor.session_lost", "empty_prompt": "agent.misused"},
    "qwen": {"err_403": "vendor.auth", "err_404_model": "vendor.model_not_found", "context_too_long": "vendor.context_overflow",
             "conn_refused": "vendor.unavailable", "sse_error_mid": "vendor.overloaded", "max_turns_json": "vendor.max_turns",
             "malformed_cut": "vendor.bad_answer", "session_id_reuse": "vendor.session_in_use"},
    "qwen/0.15.10": {"err_401_text": "vendor.auth", "err_429_maxRetries0": "vendor.rate_limit", "sse_error_mid": "vendor.overloaded"},
    "opencode": {"e401": "vendor.auth", "e404": "vendor.model_not_found", "e400": "vendor.bad_request"},
}  # fmt: skip


def sample(root: Path, program: str, scenario: str, expected: str) -> Sample:
    meta = json.loads((root / program / f"{scenario}.meta.json").read_text())
    output = root / program / f"{scenario}.jsonl"
    printed = output.read_text(errors="replace") if output.exists() else ""
    text = printed[-TEXT_CHARACTERS_MAX:] + (meta.get("stderr") or "")[-TEXT_CHARACTERS_MAX:]
    code = meta.get("exit_code")
    name = f"{program.replace('/', '_').replace('.', '_')}_{scenario}"
    version = str(meta.get("version") or meta.get("cli_version") or "")
    words = meta.get("argv") or [program]
    return Sample(
        name=name, tool=program.partition("/")[0], version=version, how="recorded", command=" ".join(map(str, words))[:400],
        exit_code=code if isinstance(code, int) else None, stage="agent", source="agent", expected=expected,
        note="recorded against a stand-in for the vendor", text=text,
    )  # fmt: skip


def main() -> None:
    root = Path(sys.argv[1])
    for program, scenarios in _FIRST.items():
        for scenario, expected in scenarios.items():
            write(sample(root, program, scenario, expected), "first")
    for program, scenarios in _SECOND.items():
        for scenario, expected in scenarios.items():
            write(sample(root, program, scenario, expected), "second")


if __name__ == "__main__":
    main()

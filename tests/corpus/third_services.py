r"""Documentation samples of the third part: hosting services, vendors of models, the preflight, traps; see `documentation`.

The rule of this room: the form is the service's, the names are made up, and the class was set down with the text.
"""

from __future__ import annotations

from typing import Final

THIRD: Final = r"""
@@ t_github_password | git | git.auth | publish | git | 128
remote: Invalid username or token. Password authentication is not supported for Git operations.
fatal: Authentication failed for 'https://github.com/example/bill.git/'
@@ t_github_workflow_scope | git | git.auth | publish | git | 1
To https://github.com/example/bill.git
 ! [remote rejected] fix-rate -> fix-rate (refusing to allow a Personal Access Token to create or update workflow `.github/workflows/ci.yml` without `workflow` scope)
error: failed to push some refs to 'https://github.com/example/bill.git'
@@ t_github_sso | git | git.auth | publish | git | 128
ERROR: The 'example' organization has enabled or enforced SAML SSO.
To access this repository, you must re-authorize the OAuth Application `bot`.
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
@@ t_bitbucket_protected | git | git.protected_branch | publish | git | 1
remote: error: Permission denied to update branch main.
remote: Branch refs/heads/main can only be modified through pull requests.
remote: Check your branch permissions configuration with the project administrator.
To bitbucket.org:example/bill.git
 ! [remote rejected] main -> main (pre-receive hook declined)
error: failed to push some refs to 'bitbucket.org:example/bill.git'
@@ t_github_secret_push | git | git.hook_rejected | publish | git | 1
remote: error: GH013: Repository rule violations found for refs/heads/fix-rate.
remote:
remote: - GITHUB PUSH PROTECTION
remote:   —————————————————————————————————————————
remote:     Resolve the following violations before pushing again
remote:
remote:     - Push cannot contain secrets
To github.com:example/bill.git
 ! [remote rejected] fix-rate -> fix-rate (push declined due to repository rule violations)
error: failed to push some refs to 'github.com:example/bill.git'
@@ t_gitlab_too_large | git | git.too_big | publish | git | 1
remote: fatal: pack exceeds maximum allowed size (50.00 MiB)
error: remote unpack failed: index-pack abnormal exit
To gitlab.com:example/bill.git
 ! [remote rejected] fix-rate -> fix-rate (unpacker error)
error: failed to push some refs to 'gitlab.com:example/bill.git'
@@ t_claude_session_limit | claude | vendor.usage_window | agent | agent | 1
You've hit your session limit · resets 7pm (Europe/Berlin)
@@ t_claude_weekly | claude | vendor.usage_window | agent | agent | 1
{"type":"result","subtype":"success","is_error":true,"duration_ms":512,"num_turns":1,"result":"You've hit your weekly limit · resets Mar 9, 9am","session_id":"s","total_cost_usd":0}
@@ t_claude_epoch | claude | vendor.usage_window | agent | agent | 1
Claude AI usage limit reached|1762952400
@@ t_claude_login | claude | vendor.auth | agent | agent | 1
Invalid API key · Please run /login
@@ t_claude_policy | claude | vendor.refusal | agent | agent | 1
API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy (https://www.anthropic.com/legal/aup). Please double press esc to edit your last message or start a new session for Claude Code to assist with a different task.
@@ t_claude_timeout | claude | vendor.unavailable | agent | agent | 1
API Error (Request timed out.) · Retrying in 39 seconds… (attempt 10/10)
API Error: Request timed out.
@@ t_bedrock_throttle | claude | vendor.rate_limit | agent | agent | 1
API Error (429 Too many tokens, please wait before trying again.)
@@ t_bedrock_model | claude | vendor.model_not_found | agent | agent | 1
API Error: 400 The provided model identifier is invalid.
@@ t_codex_pro | codex | vendor.usage_window | agent | agent | 1
ERROR: You've hit your usage limit. Upgrade to Pro (https://openai.com/chatgpt/pricing) or try again in 2 days 17 hours 14 minutes.
@@ t_codex_tpm | codex | vendor.rate_limit | agent | agent | 1
stream error: stream disconnected before completion: Rate limit reached for gpt-5-codex in organization org-x on tokens per min (TPM): Limit 500000, Used 497312, Requested 21094. Please try again in 2.2s.; retrying 5/5 in 3.1s
ERROR: stream disconnected before completion: Rate limit reached for gpt-5-codex in organization org-x on tokens per min (TPM): Limit 500000, Used 497312, Requested 21094.
@@ t_codex_refresh | codex | vendor.auth | agent | agent | 1
ERROR: Your access token could not be refreshed because your refresh token was already used. Please log out and sign in again.
@@ t_openai_context | agent | vendor.context_overflow | agent | agent | 1
Error code: 400 - {'error': {'message': "This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 tokens. Please reduce the length of the messages.", 'type': 'invalid_request_error', 'param': 'messages', 'code': 'context_length_exceeded'}}
@@ t_openai_model | agent | vendor.model_not_found | agent | agent | 1
{"error":{"message":"The model `gpt-9` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}
@@ t_openrouter_credits | agent | vendor.billing | agent | agent | 1
Error: 402 This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 1402.
@@ t_gemini_free_tier | gemini | vendor.rate_limit | agent | agent | 1
[API Error: You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 10 Please retry in 34.2s. (Status: RESOURCE_EXHAUSTED)]
@@ t_gemini_overloaded | gemini | vendor.overloaded | agent | agent | 1
[API Error: {"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}]
@@ t_copilot_premium | copilot | vendor.usage_window | agent | agent | 1
Error: 402 You have exceeded your premium request allowance. Please wait for it to reset at the start of next month, or enable overage in your settings.
@@ t_cursor_auth | cursor-agent | vendor.auth | agent | agent | 1
Error: Authentication required. Please run 'cursor-agent login' first, or set CURSOR_API_KEY environment variable.
@@ t_gcc_german_text | gcc | build.c | build | verify | 1
rate.c: In Funktion »main«:
rate.c:4:12: Fehler: »summe« nicht deklariert (erste Benutzung in dieser Funktion)
    4 |     return summe;
      |            ^~~~~
rate.c:4:12: Anmerkung: jeder nicht deklarierte Bezeichner wird nur einmal für jede Funktion gemeldet, in der er vorkommt
@@ t_gcc_french_text | g++ | build.c | build | verify | 2
g++ -c -o rate.o rate.cpp
rate.cpp: Dans la fonction « int main() »:
rate.cpp:4:12: erreur: « somme » n'a pas été déclaré dans cette portée
make: *** [Makefile:3 : rate.o] Erreur 1
@@ t_javac_german_21 | javac | build.javac | build | verify | 1
Rate.java:7: Fehler: Symbol nicht gefunden
        int n = summe(3);
                ^
  Symbol: Methode summe(int)
  Ort: Klasse Rate
1 Fehler
@@ t_ld_german_text | gcc | build.link | build | verify | 1
/usr/bin/ld: /tmp/rate.o: in Funktion »main«:
rate.c:(.text+0x5): nicht definierter Verweis auf »summe«
collect2: Fehler: ld gab 1 als Ende-Status zurück
@@ t_agent_silence | agent | agent.stalled | agent | agent | 143
the run wrote nothing for 900 seconds and was stopped
@@ t_agent_clock | agent | agent.timeout | agent | agent | 143
the run reached its wall-clock limit of 3600 s and was stopped
@@ t_agent_nothing | agent | agent.no_change | agent | agent | 0
the run ended well, and neither a commit nor a changed file is there
@@ t_preflight_token | preflight | preflight.secret | preflight | preflight | 1
deploy/values.yaml:12: the added line holds what looks like a GitHub token
@@ t_preflight_outside | preflight | preflight.scope | preflight | preflight | 1
1 file outside the plan was changed: infra/main.tf
@@ t_preflight_big | preflight | preflight.size | preflight | preflight | 1
assets/demo.mp4 has 48 MB, over the limit of 5 MB for one file
@@ t_ci_timeout | ci | verify.timeout | test | verify | -
tests/test_server.py ..
the command ran over its limit of 600 s and was stopped
@@ t_trap_phpunit_ok | phpunit | unclassified | test | verify | 0
PHPUnit 12.1.0 by Sebastian Bergmann and contributors.

......                                                              6 / 6 (100%)

[error] 429 Too Many Requests logged by the fake client
OK (6 tests, 9 assertions)
@@ t_trap_dotnet_warning | dotnet | unclassified | build | verify | 0
/app/src/Bill/Rate.cs(9,20): warning CS0168: The variable 'error' is declared but never used [/app/src/Bill/Bill.csproj]

Build succeeded.
    1 Warning(s)
    0 Error(s)
@@ t_trap_rspec_messages | rspec | test.failed | test | verify | 1
F

Failures:

  1) Client reports the limit
     Failure/Error: expect(client.message).to include("rate limit")
       expected "Error 429: usage limit reached, fatal: Authentication failed" to include "rate limit"
     # ./spec/client_spec.rb:5:in `block (2 levels) in <top (required)>'

Finished in 0.01 seconds (files took 0.08 seconds to load)
1 example, 1 failure
"""

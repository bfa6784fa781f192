"""The vendors of models and the programs that speak to them, by what those programs print at the end of a run.

The rule of this room: these rules are asked only about an agent's own output, or where the form is an agent's beyond doubt.
Unwrapped JSON gives lines `json <key>=<value>`; a plain line is the vendor's sentence.
"""

# ruff: noqa: E501  (a rule is one line: its expression is read and compared in one piece)
# fmt: off
from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import Rule, likely, sure

# A vendor's sentence stands at the beginning of a line, behind a word of the program that repeats it.
_SAID: Final = (
    r"^(?:.{1,300}\[API Error: )?(?:\[?(?:API Error|ERROR|Error|error|Failed|stream error|Turn failed|Attempt \d+ failed[^:]{0,60})\]?:? ?\(?|\[|⚠️? ?|■ ?|✕ ?"
    r"|Retrying in \d+s \(attempt [^)]{1,20}\): |Reconnecting\.\.\. \d+/\d+ \(|unexpected status |exceeded retry limit, |json \w+=|litellm\.|openai\.|anthropic\.|google\.\S+\.)*+"
)


def _vendor(detail: str, sentence: str, *, also: str = "", unless: str = "", first: tuple[str, ...] = ()) -> Rule:
    return sure(f"vendor.{detail}", "vendor", rf"{_SAID}(?:\d{{3}} )?(?P<what>{sentence})", also=also, unless=unless, yields_to=first)


_WINDOW: Final = ("vendor.usage_window", "vendor.billing", "vendor.context_overflow")

_LIMITS: Final = (
    _vendor("rate_limit", r"(?:Request rejected \(429\)|(?:last status: )?429 Too Many Requests|rate.?limit(?: |_)?(?:error|exceeded|reached)|Rate limit (?:reached|exceeded)|Resource has been exhausted|RESOURCE_EXHAUSTED|RateLimitError|This request would exceed (?:your|the) (?:organization|account|rate)|429 |Too many (?:requests|tokens)|You exceeded your current quota.*retry in \d{1,3}(?:\.\d+)?s|stream disconnected before completion: Rate limit|TooManyRequests|ThrottlingException|RATE_LIMIT_EXCEEDED).*", first=_WINDOW),
    sure("vendor.rate_limit", "vendor", r"^json (api_error_status|statusCode|status|code|http_status|status_code|error_status)=429$", yields_to=_WINDOW),
    sure("vendor.rate_limit", "vendor", r"^json (type|error|code|reason|name|api_error_type)=(rate_limit(_error|_exceeded)?|RateLimitError|RESOURCE_EXHAUSTED|tokens|requests)$", yields_to=_WINDOW),
    _vendor("usage_window", r"(?:You[’']ve hit your (?:\w+ )?(?:usage )?limit|You have (?:hit|reached|exhausted) your .{0,40}(?:limit|quota|capacity)|Claude (?:AI )?usage limit reached|(?:5-hour|Weekly|Daily|Monthly|weekly|daily|Opus|session) (?:usage )?limit reached|usage limit (?:has been )?(?:reached|exceeded)|usage_limit_reached|.{0,60}(?:exhausted|exceeded) your daily quota|Quota exceeded for quota metric .*(?:per day|PerDay)|You exceeded your current quota(?!.*retry in \d{1,3}(?:\.\d+)?s).*(?:retry|Suggested)|(?:402 )?You have exceeded your .{0,40}(?:allowance|quota)|Individual quota reached|No capacity available for this account|Your limit will reset|.{0,60}resets (?:at )?\d{1,2}(?::\d\d)? ?(?:am|pm)).*", first=("vendor.billing",)),
    sure("vendor.usage_window", "vendor", r"^json rateLimitType=(five_hour|seven_day\w*|weekly|daily)$", also=r"^json status=rejected$"),
    sure("vendor.usage_window", "vendor", r"^json (type|code|name|codexErrorInfo|error|reason)=(usage_limit_reached|usageLimitExceeded|usage_limit_exceeded|QuotaExceeded_day|TerminalQuotaError)$"),
    sure("vendor.usage_window", "vendor", r"^Suggested retry after \d{3,}s"),
    _vendor("overloaded", r"(?:529 |Repeated 529|Overloaded|overloaded_error|The model is (?:currently )?overloaded|.{0,80}(?:currently )?(?:overloaded|experiencing high (?:demand|load|traffic))|Server is (?:too busy|overloaded)|.{0,60}at capacity|engine_overloaded|503 .*(?:overloaded|capacity exceeded)|.{0,60}capacity exceeded).*"),
    sure("vendor.overloaded", "vendor", r"^json (api_error_status|statusCode|status|code|http_status|api_error_type|type)=(529|overloaded_error|serverOverloaded|server_overloaded)$"),
    _vendor("unavailable", r"(?:5\d\d (?:Internal|The server|Service|Bad Gateway|Gateway|Server|status)|50[0-4] |Internal [Ss]erver [Ee]rror|InternalServerError|Connection (?:refused|error|failed|to the API was lost)|Unable to connect to API|Request timed out|The server had an error|An internal error has occurred|stream disconnected before completion|Connection failed|fetch failed|APIConnectionError|APITimeoutError|Service (?:Temporarily )?Unavailable|api_error: |upstream connect error|An error occurred while processing your request|Unexpected server error|Network error|network error|socket hang up|getaddrinfo|ECONNREFUSED|ECONNRESET|ETIMEDOUT).*", first=("vendor.overloaded", "vendor.rate_limit", "vendor.refusal", "vendor.context_overflow", "vendor.usage_window", "vendor.billing", "vendor.output_limit", "vendor.bad_answer")),
    sure("vendor.unavailable", "vendor", r"^json (api_error_status|statusCode|status|code|http_status|httpStatusCode)=(50\d)$", yields_to=("vendor.overloaded",)),
    sure("vendor.unavailable", "vendor", r"^json (type|name|status|error|code)=(server_error|api_error|INTERNAL|UNAVAILABLE|connection_failed|httpConnectionFailed|responseStreamDisconnected|internalServerError)$", yields_to=("vendor.overloaded", "vendor.rate_limit", "vendor.refusal", "vendor.context_overflow", "vendor.model_not_found")),
)

_ACCOUNT: Final = (
    _vendor("auth", r"(?:Authentication required|API key expired|Invalid API key|Incorrect API key|invalid x-api-key|API key not valid|API_KEY_INVALID|Not logged in|Please run /login|Failed to authenticate|authentication_error|AuthenticationError|.{0,80}(?:401|403) (?:Unauthorized|Forbidden|Incorrect|Invalid|Your account)|401 |403 |Unauthorized|UNAUTHENTICATED|PERMISSION_DENIED|OAuth token (?:has expired|revoked)|.{0,80}OAuth (?:authentication|token) .*(?:expired|not supported|revoked)|No auth type is selected|When using Gemini API, you must specify|Missing environment variable: `?\w*(?:KEY|TOKEN)|.{0,60}(?:invalid|expired|missing) (?:api key|API key|credentials|authentication credentials)|Your access token could not be refreshed|not authenticated|No API key|Please set an Auth method|Request had invalid authentication|Permission denied on resource|Your authentication token has|token_expired|The api_key client option must be set|no credentials).*", first=("vendor.billing",)),
    sure("vendor.auth", "vendor", r"^json (api_error_status|statusCode|status|code|http_status)=(401|403)$", yields_to=("vendor.billing",)),
    sure("vendor.auth", "vendor", r"^json (type|error|code|reason|status|name)=(authentication_error|authentication_failed|permission_error|invalid_api_key|API_KEY_INVALID|UNAUTHENTICATED|PERMISSION_DENIED|unauthorized|ProviderAuthError|FatalAuthenticationError|oauth_error)$"),
    _vendor("billing", r"(?:Credit balance is too low|Your credit balance is too low|Quota exceeded\. Check your plan|.{0,60}insufficient_quota|insufficient (?:balance|credits|funds|quota)|Insufficient (?:Balance|credits|funds)|You exceeded your current quota, please check your plan and billing|To use .{0,40} with your .{0,30} plan, upgrade|billing_error|402 |Payment [Rr]equired|.{0,60}(?:purchase|add) (?:more )?credits|Billing (?:hard limit|is not)|Your account is not active|spending limit|No active subscription).*", unless=r"You[’']ve hit your .*limit|[Rr]etry (?:after|in \d)|Suggested retry|daily quota|[Pp]er ?day|request allowance"),
    sure("vendor.billing", "vendor", r"^json (type|error|code|reason|name|codexErrorInfo)=(billing_error|insufficient_quota|usage_not_included|quota_exceeded|payment_required|credit_balance_too_low)$"),
    _vendor("model_not_found", r"(?:There's an issue with the selected model|.{0,20}[Tt]he model [`'\"]?\S*[`'\"]? (?:does not exist|is not (?:supported|available)|was not found)|models?/\S+ (?:is|was) not found|model_not_found|.{0,40}model: \S+$|404 .*model|Model (?:not found|\S+ (?:not found|is not))|ProviderModelNotFoundError|unknown model|Unknown model|The provided model identifier is invalid|[Tt]he [`'\"]?\S+[`'\"]? model is not (?:supported|available)|The requested model|not_found_error).*"),
    sure("vendor.model_not_found", "vendor", r"^json (type|error|code|name)=(model_not_found|not_found_error|ProviderModelNotFoundError|ModelNotFoundError)$"),
    sure("vendor.model_not_found", "vendor", r"^json (api_error_status|statusCode)=404$"),
    _vendor("refusal", r"(?:.{0,60}can't help with this\.|.{0,80}violate[s]? our (?:Usage|usage) [Pp]olic|.{0,80}(?:usage policy|content policy|safety system|content management policy)|.{0,120}reason: content_filter|content_policy_violation|Response (?:was )?blocked|.{0,40}blocked (?:by|due to) (?:safety|content|policy)|invalid_prompt|ResponsibleAIPolicyViolation|The response was filtered|.{0,40}(?:stopped|ended).{0,30}(?:SAFETY|PROHIBITED_CONTENT|RECITATION)).*"),
    sure("vendor.refusal", "vendor", r"^json (stop_reason|terminal_reason|finish_reason|finishReason|reason|code|type|blockReason|error_type)=(refusal|SAFETY|PROHIBITED_CONTENT|BLOCKLIST|content_filter|content_policy_violation|invalid_prompt|cyber_policy)$"),
)

_RUN: Final = (
    _vendor("context_overflow", r"(?:Prompt is too long|prompt is too long|.{0,60}ran out of room in the model's context|.{0,60}maximum context length|The input token count .* exceeds|input length and `?max_tokens`? exceed|.{0,40}context_length_exceeded|.{0,60}exceeds? (?:the |this )?(?:model's )?(?:context (?:window|length|limit)|maximum (?:number of )?tokens)|Input is too long|ContextOverflowError|ContextWindowExceededError|Request too large \(max|413 |.{0,60}Payload Too Large|.{0,80}exceeds the maximum length of \d+ characters|Conversation (?:is )?too long|context window (?:is )?(?:full|exceeded)).*"),
    sure("vendor.context_overflow", "vendor", r"^json (terminal_reason|code|type|name|reason|input_error_code|codexErrorInfo)=(prompt_too_long|blocking_limit|context_length_exceeded|ContextOverflowError|contextWindowExceeded|input_too_large|image_error|request_too_large)$"),
    sure("vendor.context_overflow", "vendor", r"^json (api_error_status|statusCode)=413$"),
    sure("vendor.max_turns", "vendor", r"^(json (subtype|terminal_reason|type)=(error_max_turns|max_turns|FatalTurnLimitedError)|(\[ERROR\] )?.{0,30}Reached max(imum number of)? (session )?turns|.*(maximum|max) (number of )?(turns|steps|iterations) (reached|exceeded)|Max turns)"),
    sure("vendor.budget", "vendor", r"^(json (subtype|terminal_reason)=(error_max_budget_usd|budget_exhausted)|.{0,30}Reached maximum budget|budget reached|Run aborted: (tool-call|cost|token) budget|.*(max(imum)? budget|cost limit|budget limit|token budget) .{0,20}(reached|exceeded))"),
    sure("agent.timeout", "agent", r"^Run aborted: wall-clock budget of .* exceeded"),
    _vendor("output_limit", r"(?:.{0,40}response exceeded the \d+ output token maximum|Incomplete response returned, reason: max_output_tokens|.{0,40}(?:max_tokens|MAX_TOKENS|max output tokens|output token limit) (?:reached|exceeded|limit)|Response (?:was )?truncated (?:due to|because)).*"),
    sure("vendor.output_limit", "vendor", r"^json (error|reason|finishReason|finish_reason|name)=(max_output_tokens|MAX_TOKENS|MessageOutputLengthError|length)$"),
    _vendor("bad_answer", r"(?:API returned an empty or malformed response|Expected property name|Could not parse message into JSON|Model stream ended without|Streaming request received a non-SSE|.{0,80}stream closed before response\.completed|.{0,30}(?:Unterminated string|Unexpected token|Unexpected end of|Incomplete) .{0,20}JSON|Incomplete JSON segment|.{0,60}empty response|Invalid stream|Malformed|Failed to provide valid structured output|Model produced plain text instead).*", first=("vendor.overloaded",)),
    sure("vendor.bad_answer", "vendor", r"^json (subtype|terminal_reason|code|type|name)=(error_max_structured_output_retries|structured_output_retry_exhausted|MALFORMED_FUNCTION_CALL|InvalidStreamError|bad_answer)$"),
    _vendor("bad_request", r"(?:400 |Unsupported parameter|Invalid JSON payload|invalid_request_error|BadRequestError|INVALID_ARGUMENT|Invalid (?:request|schema|value|parameter)|Bad Request|unsupported_parameter|.{0,60}tool_use ids were found without|Unknown parameter|Missing required parameter).*", first=("vendor.context_overflow", "vendor.auth", "vendor.billing", "vendor.refusal", "vendor.model_not_found", "vendor.usage_window", "vendor.rate_limit")),
    sure("vendor.bad_request", "vendor", r"^json (api_error_status|statusCode|status|code|type)=(400|422|invalid_request_error|INVALID_ARGUMENT|badRequest)$", yields_to=("vendor.context_overflow", "vendor.auth", "vendor.billing", "vendor.refusal", "vendor.model_not_found", "vendor.usage_window", "vendor.rate_limit")),
    sure("vendor.session_lost", "vendor", r"^(Error: |Error resuming session: )?(?P<what>(No conversation found with session ID|No saved session found|no rollout found for|thread/resume.*no rollout found|No previous sessions found|Session not found|.*[Ii]nvalid session identifier|Session .* (was )?not found|Could not (find|resume) session|.*no rollout found for thread|conversation not found).*)"),
    sure("vendor.session_in_use", "vendor", r"^(Error: |Error starting session: )?(?P<what>Session I[dD] \S+ (is already in use|already exists).*)"),
    sure("agent.loop", "agent", r"^(.*: )?(?P<what>(Loop detect(ed|ion)|.*consecutive_identical_tool_calls|A potential loop was detected|doom_loop|.*stuck in a loop).*)"),
    sure("agent.misused", "agent", r"^(Error: |error: |Error loading config\.toml: |Fatal error: )?(?P<what>(--dangerously-skip-permissions cannot be used|Invalid (--)?session[- ]?(id|ID)|Not inside a trusted directory|unknown configuration field|.*[Uu]nknown (argument|option|arguments?:|configuration)|unexpected argument|Model provider `.+` not found|required MCP servers failed|No input provided via stdin|.*not (running in )?a trusted (folder|directory|workspace)|.*trusted-folders|Input must be provided either through stdin|.*failed to initialize: required MCP|Error parsing streaming input line|Failed to parse stream-json|Failed to load config|Invalid MCP configuration|The argument '.+' cannot be used with|.*requires --verbose|Cannot use both).*)", yields_to=("vendor.", "agent.interrupted")),
    sure("agent.misused", "agent", r"^.*(Fatal error: Failed to initialize session|Failed to start (the )?sandbox|GEMINI_SANDBOX|sandbox is (set|true) but|FatalSandboxError|failed to determine command for sandbox)(?P<what>.*)", yields_to=("vendor.",)),
    sure("agent.interrupted", "agent", r"^(json terminal_reason=aborted_(tools|streaming)|Operation cancelled\.|\[Operation Cancelled\]|Request interrupted by user|.*interrupted by (user|signal)|Interrupted\b|Aborted\.$|\[API Error: Operation cancelled)", yields_to=("vendor.rate_limit", "agent.timeout")),
    likely("agent.interrupted", "agent", r"^json subtype=error_during_execution$"),
    sure("agent.stalled", "agent", r"^(.*idle timeout waiting for|.*(no (output|progress|activity)|(wrote|printed|said) nothing|silent) for \d+ ?(s|seconds|min)|agent stalled|stalled: )"),
    sure("agent.no_change", "agent", r"^(.*(no (files? )?changes? (were )?(made|to commit|produced)|left the (tree|repository) unchanged|nothing to commit, working tree clean|ended without (a|any) change|neither a commit nor|no commit and no change).*)", yields_to=("vendor.",)),
    sure("agent.hang_after_result", "agent", r"^.*(result (was )?(given|printed|received),? (but|and) .*(did not|has not|never) (end|exit|ended|exited)|Background tasks still running after \d+s; terminating|hang after result|still running after (its )?result).*", yields_to=("vendor.",)),
    sure("agent.timeout", "agent", r"^(agent )?(.*(run|agent|session|attempt) (timed out|exceeded its (wall|time)|ran longer than).*|wall.?(time|clock) limit (reached|exceeded).*|.*(reached|hit|over|exceeded) (its|the) (wall.?(time|clock)|time) limit.*)", yields_to=("vendor.",)),
    sure("agent.crashed", "agent", r"^(An unexpected critical error occurred|thread '.+' panicked at|.*(Bun has crashed|Segmentation fault))", yields_to=("agent.misused", "vendor.")),
)

RULES: Final = (*_LIMITS, *_ACCOUNT, *_RUN)

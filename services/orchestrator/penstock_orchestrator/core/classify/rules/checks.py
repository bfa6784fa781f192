"""What is true of any command: uncaught errors, crashes, timeouts, wrong arguments; and the findings of preflight.

The rule of this room: these are the last to be believed, since every language's errors look a little alike.
"""

# ruff: noqa: E501  (a rule is one line: its expression is read and compared in one piece)
# fmt: off
from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import likely, sure

_ERRORS: Final = (
    likely("verify.exception", "python", r"^(?P<what>(?:[A-Za-z_]\w*\.)*+[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit|Timeout|Missing|NotFound|DoesNotExist|Failed|Invalid)(?:: .*)?)$", also=r"^Traceback \(most recent call last\):"),
    likely("verify.exception", "python", r"^ *\+ Exception Group Traceback \(most recent call last\):"),
    likely("verify.exception", "python", r"^Traceback \(most recent call last\):"),
    likely("verify.exception", "node", r"^(Uncaught )?(?P<what>(?:\w*Error|\w*Exception)(?: \[\w+\])?: .+)", also=r"^ +at .+[:(]\d+|^Node\.js v\d+"),
    likely("verify.exception", "node", r"^(?P<what>\[UnhandledPromiseRejection.*|.*UnhandledPromiseRejection.*|Uncaught .+)", also=r"^Node\.js v\d+|^ +at |node:internal"),
    likely("verify.exception", "java", r"^Exception in thread \"[^\"]+\" (?P<what>.+)"),
    likely("verify.exception", "go", r"^(?P<what>panic: .+)", also=r"^goroutine \d+"),
    likely("verify.exception", "go", r"^(?P<what>fatal error: (all goroutines are asleep|concurrent map|stack overflow|unexpected signal).*)"),
    likely("verify.exception", "rust", r"^thread '(?P<test>[^']+)' .*panicked at (?P<what>.+)"),
    likely("verify.exception", "rust", r"^Error: (?P<what>.+)", also=r"^ *Location:|^Caused by:|^Stack backtrace:"),
    likely("verify.exception", "rails", r"^(?P<what>(bin/)?rails aborted!)$"),
    likely("verify.exception", "ruby", r"^(?P<file>[^\s:]+\.rb):(?P<line>\d+):in [`'](?P<what>.+ \([A-Z][\w:]*\))$"),
    likely("verify.exception", "php", r"^(PHP )?Fatal error: +(?P<what>.+?)( in (?P<file>\S+?)(:| on line )(?P<line>\d+))?$"),
    likely("verify.exception", "dotnet", r"^(\[ERROR\] FATAL UNHANDLED EXCEPTION: |Unhandled [Ee]xception[.:] |Fatal error\.\s*)(?P<what>.+)"),
    likely("verify.exception", "dotnet", r"^(?P<what>System\.(\w+\.)*+\w+Exception: .+)"),
    likely("verify.exception", "haskell", r"^[\w./-]+: (?P<what>(Prelude\.|Maybe\.|Map\.)\S+.*|.*Non-exhaustive patterns.*|divide by zero|<<loop>>|stack overflow)"),
    likely("verify.exception", "elixir", r"^\*\* \((?P<what>(?!Mix|exit)[\w.]+\) .+)"),
    likely("verify.exception", "erlang", r"^(\{\"init terminating in do_boot\"|=CRASH REPORT|escript: exception)"),
    likely("verify.exception", "perl", r"^(?P<what>.+) at (?P<file>\S+\.(pl|pm|t)) line (?P<line>\d+)\.$"),
    likely("verify.exception", "lua", r"^lua\S*: (?P<file>[^\s:]+):(?P<line>\d+): (?P<what>.+)"),
    likely("verify.exception", "swift", r"^(?P<file>\S+\.swift):(?P<line>\d+): Fatal error: (?P<what>.+)|^Fatal error: .+: file \S+\.swift, line \d+"),
    likely("verify.exception", "haskell", r"^\S+: (?P<what>.+)$", also=r"^CallStack \(from HasCallStack\):"),
    likely("verify.exception", "r", r"^(Error in .+ :|Execution halted$)"),
    likely("verify.exception", "julia", r"^ERROR: (LoadError: )?(?P<what>\w+: .+|\w+Error: .+)", also=r"^Stacktrace:"),
    likely("verify.exception", "c++", r"^terminate called after throwing an instance of (?P<what>.+)"),
    likely("verify.exception", "deno", r"^error: (Uncaught )?(\(in promise\) )?(?P<what>\w*Error: .+)", also=r"^ +at "),
    likely("verify.exception", "dart", r"^Unhandled exception:$"),
    likely("verify.crashed", "host", r"^([^\s:]+: )?(line \d+: )?( *\d+ )?(?P<what>(Segmentation fault|Bus error|Illegal instruction|Aborted|Floating point exception)( \(core dumped\))?)"),
    likely("verify.crashed", "host", r"^[^\s:]+: [^\s:]+:\d+: .+: Assertion [`'](?P<what>.+)[`'] failed\."),
    likely("verify.crashed", "host", r"^(\*\*\* stack smashing detected|free\(\): (double free|invalid)|malloc\(\): |double free or corruption|munmap_chunk|corrupted )"),
    likely("verify.crashed", "host", r"^(SIGSEGV: segmentation violation|fatal runtime error: |thread '.*' has overflowed its stack|# A fatal error has been detected by the Java Runtime|qemu: uncaught target signal)"),
)

_USES: Final = (
    sure("verify.usage", "pytest", r"^ERROR: (?P<what>(usage: |file or directory not found|not found: |unrecognized arguments).*)|^\S*pytest\S*: error: (?P<note>.+)"),
    likely("verify.usage", "argparse", r"^[\w./ -]{1,60}: error: (?P<what>(unrecognized arguments|the following arguments are required|argument .+: |invalid choice|no such option|ambiguous option|unknown option|requires? ).*)"),
    likely("verify.usage", "click", r"^(Error: |error: )?(?P<what>(No such (option|command)|[Uu]nknown (option|argument|flag|command|shorthand flag|long flag)|[Uu]nrecognized (option|argument|flag)|[Ii]nvalid (option|value for|choice)|[Uu]nexpected argument|Missing (argument|option)|[Ff]ound argument '.+' which wasn't expected|flag provided but not defined|[Ii]llegal option|bad option).*)"),
    likely("verify.usage", "click", r"^Error: (?P<what>.+)", also=r"^(Usage: |Try '.+ (--help|-h)')"),
    likely("verify.usage", "getopt", r"^[\w./-]{1,80}: (?P<what>(unrecognized option|invalid option|unknown option|illegal option|missing operand|extra operand|bad option|unknown (flag|command)).*)"),
    likely("verify.usage", "maven", r"^\[ERROR\] (?P<what>Unknown lifecycle phase .+|Unrecognized option.*|Error executing Maven.*)"),
    sure("verify.usage", "eslint", r"^(ESLint couldn't find (an eslint\.config|a configuration file|the config)|.*(?P<what>Invalid option '.+' - perhaps you meant|No files matching the pattern .+ were found|All files matched by '.+' are ignored|Failed to load (config|plugin|parser) .+|Could not find config file|Key \"\w+\": .+|ESLint configuration in .+ is invalid).*)", also=r"ESLint|eslint|Oops"),
    sure("verify.usage", "ruff", r"^ruff failed$|^ *Cause: (?P<what>(Failed to parse|unknown field|TOML parse error).*)", also=r"ruff"),
    sure("verify.usage", "jest", r"^(● Validation Error:|Error: (Could not (locate|find) (module|a config)|Can't find a root directory)|.*(?P<what>Module .+ in the (transform|testEnvironment|setupFiles\w*) option was not found|Preset .+ not found|Test environment \S+ cannot be found|Multiple configs found).*)", also=r"jest|Jest|preset|Validation"),
    sure("verify.usage", "mypy", r"^(?P<what>(mypy: (error: |can't read file|error).*|usage: mypy .*|.*: error: Source file found twice under different module names.*|There are no \.py\[i\] files in directory .*|pyproject\.toml: \[mypy\]: .*))"),
    sure("verify.usage", "prettier", r"^\[error\] (?P<what>(No files matching the pattern|Invalid configuration|Cannot find (package|module|plugin)).*)"),
    sure("verify.usage", "golangci-lint", r"^(level=error msg=\"Running error: |Error: (can't load config|unsupported version of the configuration)|level=error msg=\"\[?config|can't load config)(?P<what>.*)"),
    sure("verify.usage", "rubocop", r"^(Error: )?(?P<what>(Configuration file not found|unrecognized cop|RuboCop found unsupported|.*: (Warning: )?unrecognized cop).*)", also=r"[rR]ubo[cC]op|unrecognized cop"),
    sure("verify.usage", "phpunit", r"^(Could not read \"|Unknown option \"|Test file \".+\" not found)(?P<what>.*)"),
    sure("verify.usage", "dotnet", r"^.*?(?P<what>error MSB1001: Unknown switch.*|The test source file .+ provided was not found.*)"),
    sure("verify.usage", "playwright", r"^(error: unknown option|Error: Project\(s\) .+ not found|Error: Cannot find any test config)(?P<what>.*)"),
    sure("verify.usage", "xcodebuild", r"^xcodebuild: error: (?P<what>.+)", yields_to=("deps.swiftpm",)),
    sure("verify.usage", "tox", r"^(?P<what>(ERROR: unknown environment|.*provided environments not found in configuration).*)"),
    sure("verify.usage", "go", r"^(flag provided but not defined: (?P<what>.+)|go: (unknown (command|subcommand)|no such tool).*|go \w+: unknown (command|subcommand).*|unknown (command|subcommand) .+)"),
    sure("verify.usage", "cargo", r"^error: (?P<what>(unexpected argument|Found argument|no (bin|test|example|bench|library|lib) targets? (named|found|in)|a bin target must be available|package ID specification .+ did not match|invalid value .+ for|the argument .+ cannot be used|Unrecognized option).*)"),
)

_ENDS: Final = (
    sure("verify.timeout", "ci", r"^(Error: )?(?P<what>(The (action|job|step|command|operation) .{0,60}(timed out|exceeded the maximum execution time|was canceled because it exceeded)|Command timed out after|[Tt]imed? ?out after \d+ ?(s|seconds|m|minutes|ms)\b|timeout: sending signal|Execution (timed out|exceeded)|ERROR: Job failed: execution took longer than|Killed by timeout|subprocess\.TimeoutExpired|.*timed out after \d+(\.\d+)? seconds|.{0,60}(ran over|exceeded|reached|hit) (its|the) (time |wall.?clock )?limit of \d+).*)", yields_to=("test.",)),
    sure("verify.tree_changed", "git", r"^(?P<what>(error: |Error: |##\[error\])?.*(generated (files|code) (are|is) (not up.to.date|out of date|stale)|(is|are) (out of date|not up to date)[,;.]? (please )?(run|re-?generate|commit)|Please (run|commit) .{0,60}(generate|fmt|format|changes)|uncommitted generated|git diff .*(not empty|--exit-code failed)|codegen .*(out of date|drift)|needs? to be regenerated).*)", yields_to=("deps.", "test.failed")),
    sure("verify.flaky", "retry", r"^.*?(?P<what>\b(flaky tests?|passed on (retry|attempt \d|rerun|second (try|attempt)))\b.*)", yields_to=("test.",)),
)

_PREFLIGHT: Final = (
    sure("preflight.secret", "preflight", r"^(?:\W{0,3}|.{0,60}[: ])(?P<what>(leaks found: [1-9]\d*|.*\b(secret|credential|private key|API key|api key|access token|token|password)s?\b.{0,60}\b(detected|found|in (the )?(added|diff|change)|committed|leak(ed)?)\b.*|Secret Type:.*|Potential secrets about to be committed|.*[Pp]ush cannot contain secrets.*|GITGUARDIAN.*|Found verified result.*|RuleID: +.*|adds .{0,40}(secret|private key|key|token)\b.*|.*looks like an? .{0,40}\b(secret|credential|key|token|password)\b.*))", yields_to=("test.failed", "git.auth", "vendor.", "deps.registry_auth", "lint.", "build.")),
    sure("preflight.forbidden_file", "preflight", r"^.*?(?P<what>((forbidden|prohibited|disallowed|must not be committed|never be committed).{0,80}(file|name|path|\.env|id_rsa|credentials)|(file|name|path) .{0,120}(is forbidden|is not allowed|must not be committed|must never be committed)|refus(ed|ing) to (commit|add) .{0,60}(\.env|id_rsa|credentials|\.pem)).*)", yields_to=("test.failed", "git.")),
    sure("preflight.scope", "preflight", r"^.*?(?P<what>((outside|not in|beyond) (of )?(the )?(plan|scope|allow-?list|allowed (paths|files)|permitted paths)|scope creep|out[- ]of[- ]scope).*)", yields_to=("test.failed", "build.", "lint.")),
    sure("preflight.author", "preflight", r"^.*?(?P<what>(author('s)? (e-?mail|address|identity)|commit author|committer e-?mail).{0,120}(not|differs|expected|instead|wrong|mismatch|unexpected).*)", yields_to=("git.",)),
    sure("preflight.size", "preflight", r"^.*?(?P<what>((file|blob|\S+\.\w+).{0,120}(is (too large|over|larger than|bigger than)|exceeds).{0,40}(limit|MB|MiB|bytes|size)|\S+\.\w+ (has|is) \d+ ?[KMG]i?B.{0,20}\b(over|more than|above) .*limit|too large for (the )?(limit|preflight)|large files? (added|detected)).*)", yields_to=("git.", "test.failed", "env.", "vendor.", "build.", "lint.")),
    sure("preflight.symlink", "preflight", r"^.*?(?P<what>sym(bolic )?link.{0,160}(outside|out of|leaves|escapes|leads|points).*)", yields_to=("test.failed", "build.")),
    sure("preflight.submodule", "preflight", r"^.*?(?P<what>(submodule.{0,80}(added|changed|moved|touch)|(adds|moves|changes|touches) (a |the )?submodule|gitlink).*)", yields_to=("git.",)),
    sure("preflight.workflow", "preflight", r"^.*?(?P<what>((workflow|\.github/workflows|CI (config|workflow|file)|\.gitlab-ci).{0,120}(changed|touched|modified|change|touches|without .?workflows?.? (scope|permission))|(changes|touches|modifies|refusing to allow).{0,80}(workflow|\.github/workflows|\.gitlab-ci)).*)", yields_to=("git.", "lint.")),
)

RULES: Final = (*_ERRORS, *_USES, *_ENDS, *_PREFLIGHT)

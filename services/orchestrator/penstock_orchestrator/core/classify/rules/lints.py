"""Linters, type checkers and formatters: their summary lines, and the form of one finding.

The rule of this room: only errors count. A summary that tells of warnings alone is no failure.
"""

# ruff: noqa: E501  (a rule is one line: its expression is read and compared in one piece)
# fmt: off
from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import Rule, likely, passed, sure

_REPORTED: Final = {
    "eslint": "eslint", "ruff": "ruff", "flake8": "flake8", "mypy": "mypy", "pyright": "pyright", "pylint": "pylint",
    "clippy": "clippy", "golangci-lint": "golangci", "staticcheck": "staticcheck", "shellcheck": "shellcheck",
    "rubocop": "rubocop", "phpstan": "phpstan", "psalm": "phpstan", "phpcs": "phpcs", "detekt": "ktlint", "ktlint": "ktlint",
    "checkstyle": "checkstyle", "pmd": "checkstyle", "spotbugs": "checkstyle", "swiftlint": "swiftlint", "biome": "biome",
    "clang-tidy": "clang_tidy", "hadolint": "hadolint", "bandit": "security", "semgrep": "security", "codeql": "security",
    "gosec": "security", "trivy": "security", "gitleaks": "security", "stylelint": "stylelint", "yamllint": "yamllint",
    "actionlint": "actionlint", "oxlint": "oxlint", "sqlfluff": "sql",
}  # fmt: skip
"""SARIF's name of a tool, in lower case, and the class of its findings."""


def _report(tool: str, detail: str) -> Rule:
    return sure(f"lint.{detail}", tool, rf"^report of {tool}: (?P<count>[1-9]\d*) errors?$")


_PYTHON: Final = (
    sure("lint.ruff", "ruff", r"^Found (?P<count>\d+) errors?( \(\d+ fixed, \d+ remaining\))?\.$", also=r"^([A-Z]{1,5}\d{2,4}|invalid-syntax|SyntaxError)\b|:\d+:\d+: ([A-Z]{1,5}\d{2,4}|SyntaxError|invalid-syntax|E\d+)|\[\*\]|^::error title=[Rr]uff", unless=r"^Found \d+ errors? in \d+ files?"),
    sure("lint.ruff", "ruff", r"^(?P<what>[A-Z]{1,5}\d{2,4} (\[\*\] )?\S.+)$", also=r"^ *--> \S+\.(pyi?|ipynb):\d+:\d+"),
    sure("lint.ruff", "ruff", r"^(?P<file>[^\s:]+\.(pyi?|ipynb)):(?P<line>\d+):1: (?P<what>[A-Z]{1,5}\d{2,4} .+)$", also=r"^report of ruff: [1-9]"),
    sure("lint.ruff", "ruff", r"^::error title=[Rr]uff( \((?P<what>\w+)\))?,file=(?P<file>[^,]+),line=(?P<line>\d+)"),
    sure("lint.ruff", "ruff", r"^\[\*\] \d+ fixable with the `--fix` option|^No fixes available \(\d+ hidden fix", unless=r"^Found 0 "),
    sure("lint.flake8", "flake8", r"^(?P<file>[^\s:]+\.pyi?):(?P<line>\d+):\d+: (?P<what>[A-Z]{1,3}\d{3} .+)", unless=r"^Found \d+ errors?\.|^Your code has been rated", yields_to=("lint.ruff", "lint.pylint", "lint.security")),
    sure("lint.ruff", "ruff", r"^(?P<file>[^\s:]+\.pyi?):(?P<line>\d+): (?P<what>\[[A-Z]+\d{2,4}\] .*`.+)"),
    sure("lint.flake8", "flake8", r"^(?P<file>[^\s:]+\.pyi?):(?P<line>\d+): (?P<what>\[[A-Z]{1,3}\d{3}\] .+)", yields_to=("lint.ruff", "lint.pylint")),
    sure("lint.pylint", "pylint", r"^(?P<file>[^\s:]+\.pyi?):(?P<line>\d+): (?P<what>\[[CRWEF]\d{4}(\(.*?\))?.*\] .+)"),
    likely("lint.flake8", "flake8", r"^(?P<file>[^\s:]+\.pyi?):(?P<line>\d+):(\d+:)? (?P<what>(undefined name|'.+' imported but unused|local variable '.+' is assigned|redefinition of unused).*)"),
    sure("lint.mypy", "mypy", r"^Found (?P<count>\d+) errors? in \d+ files? \("),
    sure("lint.mypy", "mypy", r"^(?P<file>[^\s:]+\.pyi?|pyproject\.toml|mypy\.ini):(?P<line>\d+):(\d+:)? error: (?P<what>.+)", yields_to=("lint.pyright",)),
    sure("lint.mypy", "ty", r"^Found (?P<count>\d+) diagnostics?$"),
    sure("lint.pyright", "pyright", r"^(?P<count>[1-9]\d*) errors?, \d+ warnings?, \d+ (informations?|notes?)"),
    sure("lint.pyright", "pyright", r"^ +(?P<file>[^\s:]+\.pyi?):(?P<line>\d+):\d+ - error: (?P<what>.+)"),
    sure("lint.pyright", "pyre", r"^ƛ Found (?P<count>[1-9]\d*) type errors?!"),
    sure("lint.pylint", "pylint", r"^(?P<file>[^\s:]+\.pyi?):(?P<line>\d+):\d+: (?P<what>[CRWEFI]\d{4}: .+)"),
    sure("lint.imports", "vulture", r"^(?P<file>[^\s:]+\.py):(?P<line>\d+): (?P<what>unused \w+ '.+' \(\d+% confidence)"),
    sure("lint.imports", "import-linter", r"^(Contracts: \d+ kept, (?P<count>[1-9]\d*) broken\.|Broken contracts$)"),
    sure("lint.security", "bandit", r"^>> Issue: (?P<what>\[B\d+:.+)"),
    passed("ruff", r"^All checks passed!$"),
    passed("mypy", r"^Success: no issues found in "),
    passed("pyright", r"^0 errors, \d+ warnings"),
)

_JAVASCRIPT: Final = (
    sure("lint.eslint", "eslint", r"^✖ \d+ problems? \((?P<count>[1-9]\d*) errors?, \d+ warnings?\)", also=r"^ +\d+:\d+ +error +.+", unless=r"^ +\d+:\d+ +(✖|⚠) "),
    sure("lint.eslint", "eslint", r"^ESLint found too many warnings \(maximum: \d+\)"),
    sure("lint.eslint", "eslint", r"^ {2}(?P<line>\d+):\d+ +error +(?P<what>.+)", also=r"^✖ \d+ problem|^/|^[A-Z]:\\|^\.?\.?/?[\w./-]+\.\w+$", yields_to=("lint.yamllint", "lint.stylelint")),
    sure("lint.eslint", "eslint", r"^(?P<file>[^\s:]+\.[cm]?[jt]sx?|\S+\.vue|\S+\.svelte): line (?P<line>\d+), col \d+, Error - (?P<what>.+)"),
    sure("lint.eslint", "eslint", r"^(?P<file>[^\s:]+\.[cm]?[jt]sx?):(?P<line>\d+):\d+: (?P<what>.+ \[Error/\S+\])"),
    sure("lint.eslint", "standard", r"^ {2}(?P<file>[^\s:]+\.[cm]?[jt]sx?):(?P<line>\d+):\d+: (?P<what>.+ \([\w/@-]+\))", also=r"^standard: "),
    sure("lint.eslint", "next", r"^(?P<line>\d+):\d+ +Error: (?P<what>.+ +[@\w/-]+)$"),
    sure("lint.eslint", "xo", r"^ {2}\d+ errors?$", also=r"^ *✖ +\d+:\d+ "),
    sure("lint.stylelint", "stylelint", r"^ +(?P<line>\d+):\d+ +✖ +(?P<what>.+)"),
    sure("lint.stylelint", "stylelint", r"^✖ \d+ problems? \((?P<count>[1-9]\d*) errors?, \d+ warnings?\)", also=r"^ +\d+:\d+ +✖ "),
    sure("lint.biome", "biome", r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+ (?P<what>(lint|assist|suppressions|parse|format|organizeImports)\S*) .*━"),
    sure("lint.biome", "biome", r"^ *(×|✖) +Some errors were emitted while (running checks|applying fixes)", unless=r"^\S+ format ━"),
    sure("lint.oxlint", "oxlint", r"^Found \d+ warnings? and (?P<count>[1-9]\d*) errors?\."),
    sure("lint.markdownlint", "markdownlint", r"^(?P<file>[^\s:]+\.(md|mdx|markdown)):(?P<line>\d+)(:\d+)?:? (error |warning )?(?P<what>MD\d{3}.+)"),
    sure("lint.markdownlint", "remark", r"^⚠ \d+ warnings?$|^✖ [1-9]\d* errors?", also=r"remark-lint"),
    sure("lint.commitlint", "commitlint", r"^✖ +found (?P<count>[1-9]\d*) problems?, \d+ warnings?"),
    sure("lint.commitlint", "gitlint", r"^(gitlint: .*Your commit message contains (the above )?violations|commit message does not follow Conventional Commits)"),
    sure("lint.format", "prettier", r"^\[warn\] (Code style issues|(?P<file>\S+\.\w+)$)", also=r"Code style issues"),
    sure("lint.format", "prettier", r"^\[error\] (?P<file>[^\s:]+): (?P<what>SyntaxError: .+|No parser.+)"),
    sure("lint.format", "prettier", r"^(?P<what>Code style issues found in .+)"),
    sure("lint.format", "biome", r"^(?P<file>\S+) format ━+", yields_to=("lint.biome",)),
    sure("lint.format", "deno", r"^error: Found (?P<count>\d+) not formatted files?"),
    sure("lint.other", "deno", r"^Found (?P<count>\d+) problems?$", also=r"^error\["),
    sure("lint.other", "tslint", r"^ERROR: (?P<file>[^\s:]+\.tsx?):(?P<line>\d+):\d+ - (?P<what>.+)"),
    sure("lint.other", "jshint", r"^(?P<count>[1-9]\d*) errors?$", also=r": line \d+, col \d+, "),
    sure("lint.imports", "knip", r"^Unused (files|dependencies|devDependencies|exports|exported types|listed dependencies) \(\d+\)$|^Unlisted dependencies \(\d+\)$"),
    sure("lint.imports", "dependency-cruiser", r"^(x|✘) +(?P<count>\d+) dependency violations \((?P<what>[1-9]\d* errors)"),
    sure("lint.imports", "madge", r"^✖ Found \d+ circular dependenc"),
    sure("lint.eslint", "svelte-check", r"^svelte-check found (?P<count>[1-9]\d*) errors?"),
    sure("lint.other", "astro", r"^- (?P<count>[1-9]\d*) errors?$", also=r"^Result \(\d+ files?\)"),
    passed("prettier", r"^All matched files use Prettier code style!"),
)

_FORMATS: Final = (
    sure("lint.format", "black", r"^would reformat (?P<file>\S+)"),
    sure("lint.format", "ruff", r"^(Would reformat: (?P<file>\S+)|\d+ files? would be reformatted)"),
    sure("lint.format", "black", r"^error: cannot format (?P<file>[^\s:]+): (?P<what>.+)"),
    sure("lint.format", "black", r"^error: cannot parse: (?P<file>[^\s:]+):(?P<line>\d+)", also=r"reformat"),
    sure("lint.format", "isort", r"^ERROR: (?P<file>\S+) Imports are incorrectly sorted"),
    sure("lint.format", "rustfmt", r"^Diff in (?P<file>[^\s:]+?)(:| at line )(?P<line>\d+):"),
    sure("lint.format", "gofmt", r"^diff (-u )?(?P<file>\S+\.go)(\.orig \S+| gofmt/\S+)"),
    sure("lint.format", "clang-format", r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: (error|warning): code should be clang-formatted"),
    sure("lint.format", "google-java-format", r"^(> )?The following files had format violations:"),
    sure("lint.format", "spotless", r"^\[?(ERROR)?\]? ?(> )?(The following files (had format violations|need formatting)|.*Run '.*spotless(Apply|:apply)' to fix)"),
    sure("lint.format", "ktfmt", r"^.*(Found files? that (is|are) not properly formatted|ktfmtCheck)"),
    sure("lint.format", "scalafmt", r"^(\[error\] )?(?P<file>\S+\.(scala|sbt)) isn't formatted properly|^error: --test failed|^\[error\] \d+ files must be formatted"),
    sure("lint.format", "mix format", r"^(\*\* \(Mix\) )?mix format failed due to --check-formatted"),
    sure("lint.format", "terraform fmt", r"^(?P<file>\S+\.(tf|tfvars|hcl))$", unless=r"(?i)error|\s"),
    sure("lint.format", "dart format", r"^(Changed|Formatted) (?P<file>\S+\.dart)\.?$", also=r"^Formatted \d+ files? \([1-9]\d* changed\)"),
    sure("lint.format", "csharpier", r"^(Error|Warn) \./?(?P<file>\S+) - Was not formatted\."),
    sure("lint.dotnet_analyzer", "dotnet format", r"^ *(?P<file>[^\s(]+\.(cs|vb|fs))\((?P<line>\d+),\d+\): error (?P<what>WHITESPACE|FINALNEWLINE|IMPORTS|CHARSET|ENDOFLINE|IDE\d+|SA\d+|CA\d+|RCS\d+)\b.*"),
    sure("lint.dotnet_analyzer", "dotnet", r"^ *(\d+>)?(?P<file>[^\s(][^(]{0,300}\.(cs|vb|fs))\((?P<line>\d+),\d+\): (?P<what>error (CA|IDE|SA|RCS|S|SCS|MA|VSTHRD|xUnit|NUnit)\d+: .+)", unless=r": error (CS|FS|BC)\d+: "),
    sure("lint.format", "swiftformat", r"^(?P<file>[^\s:]+\.swift):(?P<line>\d+):\d+: (error|warning): \((?P<what>\w+)\) "),
    sure("lint.format", "shfmt", r"^diff (?P<file>\S+\.(sh|bash))(\.orig)? "),
    sure("lint.format", "php-cs-fixer", r"^ *\d+\) (?P<file>\S+\.php)( \(.*\))?$", also=r"Found \d+ of \d+ files that can be fixed"),
    sure("lint.format", "treefmt", r"^(Error: )?fail(ed)? on change|^.*files? (changed|formatted).*--fail-on-change"),
    sure("lint.format", "buildifier", r"^(?P<file>\S*(BUILD|WORKSPACE|\.bzl)\S*) # reformat"),
    sure("lint.format", "stylish", r"^(?P<file>\S+\.hs) (is not formatted|would be reformatted)"),
    sure("lint.format", "taplo", r"^ERROR taplo:format_files: the file is not properly formatted"),
    sure("lint.format", "editorconfig", r"^\d+ errors? found$", also=r"(Wrong indent|Trailing whitespace|final newline|Wrong line ending)"),
)

_COMPILED: Final = (
    sure("lint.golangci", "golangci-lint", r"^(?P<file>[\w./@+-]+\.go):(?P<line>\d+)(:\d+)?: (?P<what>.+ \([a-z]\w+\))$", yields_to=("lint.staticcheck",)),
    sure("lint.golangci", "golangci-lint", r"^(?P<what>.+ \((errcheck|govet|staticcheck|gosimple|unused|ineffassign|revive|gocritic|typecheck|gosec|lll|gocyclo|misspell|unparam|bodyclose|dupl|goconst|stylecheck|depguard|gofmt|goimports|gofumpt|deadcode|structcheck|varcheck|nolintlint|exhaustive|wrapcheck|funlen|noctx)\))$"),
    sure("lint.golangci", "golangci-lint", r"^(?P<count>[1-9]\d*) issues?:$"),
    sure("lint.golangci", "golangci-lint", r"^level=error msg=\"(?P<what>.+)"),
    sure("lint.golangci", "revive", r"^[✗⚠] +https://revive\.run/"),
    sure("lint.staticcheck", "staticcheck", r"^(-: )?(?P<file>[\w./@+-]+\.go):(?P<line>\d+):\d+: (?P<what>.+ \((SA|S|ST|QF|U)\d{4}\))$"),
    sure("lint.security", "gosec", r"^ *Issues +: +[1-9]\d*"),
    sure("lint.security", "semgrep", r"^(│ )?(Ran \d+ rules on \d+ files?: [1-9]\d* findings?|.*\b[1-9]\d* Blocking Code Findings?)"),
    sure("lint.security", "trivy", r"^Total: [1-9]\d* \((UNKNOWN|LOW|HIGH|CRITICAL|MEDIUM): "),
    sure("lint.security", "brakeman", r"^Security Warnings: [1-9]\d*"),
    sure("lint.security", "checkov", r"^Passed checks: \d+, Failed checks: [1-9]\d*"),
    sure("lint.security", "sobelow", r"^.*(High|Medium) Confidence$"),
    sure("lint.checkstyle", "checkstyle", r"^\[(ERROR|WARN)\] (?P<file>[^\s:]+):(?P<line>\d+)(:\d+)?: (?P<what>.+ \[\w+\])$"),
    sure("lint.checkstyle", "checkstyle", r"^\[ERROR\] (?P<file>\S+\.java):\[(?P<line>\d+)(,\d+)?\] (?P<what>\(\w+\) \w+: .+)"),
    sure("lint.checkstyle", "checkstyle", r"^(\[ERROR\] )?(.*: )?(> )?(You have \d+ (Checkstyle|PMD|CPD) violations?|Checkstyle rule violations were found|Checkstyle ends with [1-9]\d* errors|\d+ PMD rule violations were found|SpotBugs (violations|ended with exit code)|(\d+ )?SpotBugs .*violations were found|failed with (?P<count>\d+) bugs? and)"),
    sure("lint.checkstyle", "pmd", r"^\[?\w*\]? ?PMD Failure: (?P<file>[^\s:]+):(?P<line>\d+) (?P<what>.+)"),
    sure("lint.checkstyle", "error-prone", r"^(?P<file>\S+\.java):(?P<line>\d+): error: (?P<what>\[[A-Z]\w+\] .+)"),
    sure("lint.checkstyle", "android lint", r"^(> )?Lint found (?P<count>[1-9]\d*) errors?"),
    sure("lint.ktlint", "ktlint", r"^(?P<file>[^\s:]+\.kts?):(?P<line>\d+):\d+:? (error: )?(?P<what>.+ \([\w:-]+\))$", unless=r"^e: "),
    sure("lint.ktlint", "ktlint", r"^(> )?(KtLint found code style violations|.*ktlint.*found .*(errors|violations))"),
    sure("lint.ktlint", "detekt", r"^(> )?(Analysis failed with (?P<count>\d+) (weighted )?issues|Overall debt: |detekt found (?P<what>.+))|^(?P<file>[^\s:]+\.kts?):(?P<line>\d+):\d+: .+ \[\w+\]$"),
    sure("lint.clang_tidy", "clang-tidy", r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: error: (?P<what>.+ \[(?=[^\]]*-)[\w.,-]*(,-warnings-as-errors)\])$"),
    sure("lint.clang_tidy", "clang-tidy", r"^(?P<count>[1-9]\d*) warnings? treated as errors?$"),
    sure("lint.cppcheck", "cppcheck", r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: (error|warning|style|performance|portability): (?P<what>.+ \[[a-z]\w+\])$", unless=r"warnings-as-errors|^\d+ (warnings?|errors?) generated|\[-W|In function"),
    sure("lint.cppcheck", "cpplint", r"^Total errors found: (?P<count>[1-9]\d*)"),
    sure("lint.swiftlint", "swiftlint", r"^(Done linting! Found \d+ violations?, (?P<count>[1-9]\d*) serious)"),
    sure("lint.swiftlint", "swiftlint", r"^(?P<file>[^\s:]+\.swift):(?P<line>\d+):\d+: error: (?P<what>.+ Violation: .+)"),
    sure("lint.hlint", "hlint", r"^(?P<count>[1-9]\d*) hints?$"),
    sure("lint.dart", "dart", r"^ *(error|warning|info) [-•] (?P<what>.+) [-•] .+ [-•] \w+$|^ *(error|warning|info) - (?P<file>[^\s:]+\.dart):(?P<line>\d+):\d+ - .+", also=r"^(\d+ issues? found\.|Analyzing )"),
)

_SCRIPTS: Final = (
    sure("lint.shellcheck", "shellcheck", r"^In (?P<file>\S+) line (?P<line>\d+):$"),
    sure("lint.shellcheck", "shellcheck", r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: (?P<what>(error|warning|note|style|info): .+ \[SC\d{4}\])"),
    sure("lint.rubocop", "rubocop", r"^\d+ files? inspected, (?P<count>[1-9]\d*) offenses? detected"),
    sure("lint.rubocop", "rubocop", r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: [CWEFRI]: (\[Corrected\] |\[Correctable\] )?(?P<what>[A-Z]\w+/\w+: .+)"),
    sure("lint.rubocop", "standardrb", r"^standard: Use Ruby Standard Style", also=r"\.rb:\d+:\d+: "),
    sure("lint.rubocop", "reek", r"^(?P<count>[1-9]\d*) total warnings?$"),
    sure("lint.rubocop", "sorbet", r"^Errors: (?P<count>[1-9]\d*)$", also=r"srb\.help|https://srb"),
    sure("lint.phpstan", "phpstan", r"^ *\[ERROR\] Found (?P<count>[1-9]\d*) errors?$"),
    sure("lint.phpstan", "psalm", r"^(?P<count>[1-9]\d*) errors? found$|^ERROR: (?P<what>\w+ - (?P<file>[^\s:]+\.php):(?P<line>\d+):\d+ - .+)"),
    sure("lint.phpcs", "phpcs", r"^FOUND (?P<count>[1-9]\d*) ERRORS? (AND \d+ WARNINGS? )?AFFECTING"),
    sure("lint.phpcs", "phpcs", r"^(?P<file>[^\s:]+\.(php|inc|phtml)):(?P<line>\d+):\d+: error - (?P<what>.+)"),
    sure("lint.phpcs", "php-cs-fixer", r"^Found (?P<count>[1-9]\d*) of \d+ files that can be fixed"),
    sure("lint.phpcs", "pint", r"^ *(FAIL) .*\d+ files?, (?P<count>\d+) style issues?"),
    sure("lint.credo", "credo", r"^\d+ mods?/funs?, found (?P<what>.*\d+ .+)\.$"),
    sure("lint.credo", "dialyzer", r"^(done \(warnings were emitted\)|Halting VM with exit status 2)"),
    sure("lint.yamllint", "yamllint", r"^ +(?P<line>\d+):\d+ +error +(?P<what>.+ \([\w-]+\))$", also=r"^\S+\.ya?ml$"),
    sure("lint.yamllint", "yamllint", r"^(?P<file>[^\s:]+\.ya?ml):(?P<line>\d+):\d+: \[error\] (?P<what>.+)"),
    sure("lint.hadolint", "hadolint", r"^(?P<file>[^\s:]*):?(?P<line>\d+) (?P<what>(DL|SC)\d{4} (error|warning|info|style).+)"),
    sure("lint.actionlint", "actionlint", r"^(?P<file>\S*\.github/workflows/[^\s:]+):(?P<line>\d+):\d+: (?P<what>.+ \[[\w-]+\])$"),
    sure("lint.sql", "sqlfluff", r"^(== \[\S+\] FAIL|L: +\d+ \| P: +\d+ \| \w+ \|)"),
    sure("lint.spelling", "codespell", r"^(?P<file>[^\s:]+):(?P<line>\d+): (?P<what>\S+ ==> .+)"),
    sure("lint.spelling", "cspell", r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+ - (?P<what>Unknown word \(.+)|^CSpell: Files checked: \d+, Issues found: [1-9]"),
    sure("lint.spelling", "typos", r"^error: `(?P<what>.+` should be `.+`)"),
    sure("lint.other", "ansible-lint", r"^Failed: [1-9]\d* failure\(s\), \d+ warning\(s\)"),
    sure("lint.other", "luacheck", r"^Total: (?!0 warnings / 0 errors)\d+ warnings? / \d+ errors? in \d+ files?"),
    sure("lint.other", "tflint", r"^(?P<count>[1-9]\d*) issue\(s\) found:"),
    sure("lint.other", "buf", r"^(?P<file>[^\s:]+\.proto):(?P<line>\d+):\d+:(?P<what>[A-Z].+)"),
    sure("lint.other", "spectral", r"^✖ (?P<count>\d+) problems? \([1-9]\d* errors?, \d+ warnings?, \d+ infos?"),
    sure("lint.other", "kube-linter", r"^Error: found (?P<count>\d+) lint errors"),
    sure("lint.other", "vale", r"^✖ (?P<count>[1-9]\d*) errors?, \d+ warnings?"),
    sure("lint.other", "reuse", r"^Unfortunately, your project is not compliant"),
    sure("lint.other", "lintr", r"^(?P<file>[^\s:]+\.[rR](md)?):(?P<line>\d+):\d+: (style|warning|error): \[(?P<what>\w+)\]"),
    likely("lint.other", "lint", r"^.{0,60}\b(?P<count>[1-9]\d*) (lint(er|ing)?|style) (issues?|errors?|problems?|violations?|warnings?)\b"),
    sure("lint.pre_commit", "pre-commit", r"^- hook id: (?P<what>\S+)", also=r"\.{3,}Failed$", yields_to=("test.failed", "lint.eslint", "lint.ruff", "lint.mypy", "lint.flake8", "lint.format", "lint.clippy", "lint.shellcheck")),
    sure("lint.pre_commit", "lefthook", r"^(summary: .*|🥊 +\S+ .*)$", also=r"lefthook"),
    sure("lint.pre_commit", "lint-staged", r"^(✖|\[FAILED\]) +(?P<what>.+)", also=r"lint-staged", yields_to=("test.failed", "lint.eslint", "lint.format", "build.tsc")),
)

RULES: Final = (
    *_PYTHON,
    *_JAVASCRIPT,
    *_FORMATS,
    *_COMPILED,
    *_SCRIPTS,
    *(_report(tool, detail) for tool, detail in _REPORTED.items()),
    sure("lint.other", "report", rf"^report of (?!({'|'.join(_REPORTED)}):)(?P<what>[^:]+): (?P<count>[1-9]\d*) errors?$"),
)

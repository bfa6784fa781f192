"""Package managers: locks that drift, versions that do not fit, packages that are not there.

The rule of this room: where the network or a certificate is the reason, the package manager's own last word yields to it.
"""

# ruff: noqa: E501  (a rule is one line: its expression is read and compared in one piece)
# fmt: off
from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import Rule, likely, sure

_AWAY: Final = ("env.dns", "env.network", "env.tls", "env.disk_full", "env.permission", "deps.registry_auth")


def _why(error_class: str, tool: str, sign: str, *, also: str = "", unless: str = "", first: tuple[str, ...] = ()) -> Rule:
    return sure(error_class, tool, sign, also=also, unless=unless, yields_to=_AWAY + first)


_JAVASCRIPT: Final = (
    _why("deps.npm_lock_drift", "npm", r"^npm (ERR!|error) (code EUSAGE$|.*`npm ci` can only install|.*(Missing|Invalid): .*(from|does not satisfy) .*|.*package-lock\.json.*(not in sync|out of sync))", also=r"npm ci|lock file|package-lock"),
    _why("deps.npm_conflict", "npm", r"^npm (ERR!|error) (?P<what>code (ERESOLVE|EOVERRIDE)|ERESOLVE .+|Override for .+ conflicts with .+|Could not resolve dependency:|Conflicting peer dependency: .+)"),
    _why("deps.npm_not_found", "npm", r"^npm (ERR!|error) (code (E404|ETARGET|ENOVERSIONS)|404 (?P<what>Not Found.+)|notarget (?P<note>No matching version .+))", first=("env.service_down",)),
    _why("deps.registry_auth", "npm", r"^npm (ERR!|error) (code (E401|E403|ENEEDAUTH)|.*(Unable to authenticate|need auth|40[13] (Unauthorized|Forbidden)).*)"),
    _why("deps.integrity", "npm", r"^npm (ERR!|error) (code EINTEGRITY|.*integrity checksum failed)"),
    sure("deps.script_missing", "npm", r"^npm (ERR!|error) (?P<what>Missing script: .+|missing script: .+)"),
    sure("deps.script_missing", "pnpm", r"^\s*ERR_PNPM_NO_SCRIPT\s+(?P<what>.+)|^error (?P<note>Command \"\S+\" not found\.)|^Usage Error: Couldn't find a script named \"(?P<name>[^\"]+)\"|^error: Script not found \"(?P<script>.+)\"", unless=r"node_modules missing"),
    sure("deps.manifest", "npm", r"^npm (ERR!|error) (code EJSONPARSE|JSON\.parse (?P<what>.+)|.*Invalid package\.json.*|code EINVALIDPACKAGENAME|code EUNSUPPORTEDPROTOCOL|code EINVALIDTAGNAME)"),
    sure("deps.manifest", "npm", r"^npm (ERR!|error) (?P<what>Invalid (package name|version|tag name|dependency type).*|Unsupported URL Type .+)"),
    sure("deps.manifest", "pnpm", r"^\s*ERR_PNPM_(JSON_PARSE|BAD_PACKAGE_JSON|INVALID_WORKSPACE\w*|SPEC_NOT_SUPPORTED\w*)\s+(?P<what>.+)"),
    sure("env.file_missing", "npm", r"^npm (ERR!|error) (enoent |syscall open$|.*Could not read package\.json: Error: ENOENT)(?P<what>.*)"),
    sure("env.file_missing", "pnpm", r"^\s*ERR_PNPM_NO_(IMPORTER|PKG)_MANIFEST\w*\s+(?P<what>.+)"),
    sure("env.runtime_version", "npm", r"^npm (ERR!|error) (code EBADENGINE|code EBADPLATFORM|engine (?P<what>Unsupported engine|Not compatible .+)|notsup (?P<note>.+))"),
    sure("env.runtime_version", "pnpm", r"^\s*ERR_PNPM_(UNSUPPORTED_ENGINE|BAD_PM_VERSION)\s+(?P<what>.+)|^error \S+: The engine \"\w+\" is incompatible with this module|^Usage Error: This project's package\.json defines \"packageManager\"|^error This project's package\.json defines \"packageManager\""),
    _why("deps.pnpm_lock_drift", "pnpm", r"^\s*(ERR_PNPM_(OUTDATED_LOCKFILE|NO_LOCKFILE|LOCKFILE_CONFIG_MISMATCH|LOCKFILE_MISSING_DEPENDENCY|FROZEN_LOCKFILE_WITH_OUTDATED_LOCKFILE|BROKEN_LOCKFILE|LOCKFILE_BREAKING_CHANGE))\s+(?P<what>.+)"),
    _why("deps.npm_conflict", "pnpm", r"^\s*ERR_PNPM_PEER_DEP_ISSUES\s+(?P<what>.+)"),
    _why("deps.npm_not_found", "pnpm", r"^\s*ERR_PNPM_(FETCH_404|WORKSPACE_PKG_NOT_FOUND|NO_MATCHING_VERSION\w*|NO_VERSIONS|PACKAGE_NOT_FOUND|NO_OFFLINE_TARBALL|NO_OFFLINE_META)\s+(?P<what>.+)"),
    _why("deps.registry_auth", "pnpm", r"^\s*ERR_PNPM_FETCH_40[13]\s+(?P<what>.+)"),
    _why("deps.integrity", "pnpm", r"^\s*ERR_PNPM_(TARBALL_INTEGRITY|BAD_TARBALL\w*|TARBALL_EXTRACT)\s+(?P<what>.+)|^error .*Integrity check failed|^YN0018: .+|^.*YN0018.*: The remote archive doesn't match"),
    _why("deps.yarn_lock_drift", "yarn", r"^error Your lockfile needs to be updated|^.*(YN0028).*: .*(lockfile would have been (modified|created)|The lockfile would)|^(\S+ )?.?Usage Error: The project in .* doesn't seem to have been installed|^Internal Error: .*This package doesn't seem to be present in your lockfile|^.*The lockfile would have been (modified|created) by this install"),
    _why("deps.npm_not_found", "yarn", r"^error (?P<what>Couldn't find (any versions for|package) .+)|^error An unexpected error occurred: \"https?://\S+: Not found\"|^.*YN(0035|0082|0016|0027).*: (?P<note>.+)"),
    _why("deps.npm_conflict", "yarn", r"^.*(YN0060|YN0086).*: .*(doesn't satisfy|peer dependencies are incorrectly met)", also=r"YN0028|Failed with errors"),
    sure("deps.manifest", "yarn", r"^error package\.json: (?P<what>.+)|^(SyntaxError|error An unexpected error occurred): .*package\.json"),
    _why("deps.bun_lock_drift", "bun", r"^error: lockfile had changes, but lockfile is frozen"),
    _why("deps.npm_not_found", "bun", r"^error: (?P<what>(\S+@?\S* failed to resolve|No version matching|GET https?://\S+ - 404|package \".+\" not found).*)"),
    _why("deps.npm_not_found", "deno", r"^error: (?P<what>(JSR package not found|npm package .* does not exist|Could not find npm package).*)"),
    _why("deps.npm", "npm", r"^npm (ERR!|error) (?P<what>audit endpoint returned an error)"),
    likely("deps.npm", "npm", r"^npm (ERR!|error) (?P<what>code (?!ELIFECYCLE|1$|2$|127$)\w+)", yields_to=_AWAY),
    likely("deps.npm", "pnpm", r"^\s*(?P<what>ERR_PNPM_(?!RECURSIVE|NO_SCRIPT)\w+\s+.+)", yields_to=_AWAY),
    likely("deps.npm", "yarn", r"^error (?P<what>An unexpected error occurred: .+)", yields_to=_AWAY),
    sure("deps.npm", "node-gyp", r"^(npm (ERR!|error) )?gyp ERR! (?P<what>(build error|configure error|stack Error: .+|find Python .+))"),
    sure("deps.vulnerable", "npm", r"^(?P<count>[1-9]\d*) (\w+ severity )?vulnerabilit(y|ies)( \(.+\)| found)?$", also=r"# npm audit report|npm audit|^Severity: "),
    sure("deps.vulnerable", "audit", r"^(Found (?P<count>\d+) known vulnerabilit|error: \d+ vulnerabilit(y|ies) found!|(?P<note>\d+) vulnerabilit(y|ies) found$|Vulnerability #\d+: GO-|Your code is affected by [1-9]\d* vulnerabilit|Vulnerabilities found!|.*has the following vulnerable packages)"),
)

_PYTHON: Final = (
    _why("deps.pip_not_found", "pip", r"^ERROR: (?P<what>(No matching distribution found for|Could not find a version that satisfies the requirement) .+)", first=("env.runtime_version", "deps.pip_conflict")),
    _why("deps.pip_conflict", "pip", r"^ERROR: (?P<what>(ResolutionImpossible|Cannot install .+ because these package versions have conflicting dependencies|pip's dependency resolver does not currently|Double requirement given).*)"),
    sure("deps.pip_conflict", "pip", r"^(?P<what>[\w.-]+ \d\S* requires \S+, which is not installed\.)$"),
    sure("deps.pip_conflict", "pip", r"^(?P<what>\S+ \S+ has requirement .+, but you have .+)", also=r"^ERROR|incompatible"),
    _why("deps.pip_build", "pip", r"^ *(error: (?P<what>(subprocess-exited-with-error|metadata-generation-failed|legacy-install-failure|failed-wheel-build-for-install|command .+ failed with exit (code|status) \d+)).*|ERROR: (Failed building wheel for|Could not build wheels for|Failed to build) (?P<name>.+))", first=("env.command_missing",)),
    _why("deps.pip_build", "uv", r"^ *(×|x|error:|├─▶|╰─▶|Caused by:) ?(?P<what>(Failed to build|Failed to download and build|The build backend returned an error|Call to `.+` failed).*)"),
    sure("deps.integrity", "pip", r"^ERROR: (THESE PACKAGES DO NOT MATCH THE HASHES|Hashes are required in --require-hashes|In --require-hashes mode)"),
    sure("deps.integrity", "uv", r"^ *(╰─▶ |error: )?(?P<what>Hash mismatch for .+)|^Retrieved archive '.+' doesn't match|^ *Hash for .+ from archive .+ not found in known hashes"),
    sure("env.runtime_version", "pip", r"^ERROR: (?P<what>Package '.+' requires a different Python: .+)|^ERROR: Ignored the following versions that require a different python"),
    sure("env.runtime_version", "uv", r"^(error: |  × )?(?P<what>(The (requested|current) (interpreter|Python)|No interpreter found for Python|Because the (current|requested) Python version).+)"),
    sure("env.runtime_version", "poetry", r"^(?P<what>(Current Python version|The currently activated Python version|The current project's (supported )?Python requirement) .+)"),
    sure("env.permission", "pip", r"^error: (?P<what>externally-managed-environment)"),
    sure("env.file_missing", "pip", r"^ERROR: (?P<what>Could not open requirements file: .+)"),
    sure("deps.manifest", "pip", r"^ERROR: (?P<what>(Invalid requirement|Directory '.+' is not installable|file:///\S+ does not appear|\S+ is not a valid editable|Invalid URL).*)"),
    sure("deps.manifest", "python", r"^(pip|tomllib|tomli|toml|tomlkit)[\w.]*\.(TOMLDecodeError|ParseError|TomlDecodeError): (?P<what>.+)", yields_to=("test.failed",)),
    sure("deps.manifest", "python", r"^(error: |  )?(?P<what>(Failed to parse: `?pyproject\.toml|Invalid `?pyproject\.toml|TOML parse error at|configuration error: `project|The Poetry configuration is invalid).*)", also=r"pyproject|uv|[Pp]oetry|\.toml"),
    _why("deps.uv_conflict", "uv", r"^ *(×|x|error:|cause:) ?(?P<what>No solution found when resolving.*)", first=("deps.uv_not_found", "env.runtime_version")),
    _why("deps.uv_not_found", "uv", r"^.*?(?P<what>(Because|because|and) \S+ was not found in the (package registry|provided package locations|cache).*)|^ *(╰─▶ )?Because there (are|is) no versions? of (?P<name>.+)"),
    _why("deps.uv_lock_drift", "uv", r"^error: (?P<what>(The lockfile at `?\S*uv\.lock`? needs to be updated|Unable to find lockfile at).*)|^The lockfile at `\S*uv\.lock` needs to be updated"),
    _why("deps.poetry_lock_drift", "poetry", r"^(?P<what>(Error: )?(pyproject\.toml changed significantly since poetry\.lock|poetry\.lock is not up to date|The lock file is not up to date|Error: poetry\.lock).*)"),
    _why("deps.poetry_lock_drift", "pipenv", r"^(?P<what>(Your Pipfile\.lock \(\S+\) is out of date|Lock file out of date|\[LockfileNotFound\]|Lock file (does not exist|hash doesn't match)|.*Lock file hash doesn't match).*)"),
    _why("deps.poetry_conflict", "poetry", r"^ *(?P<what>(Because .+ depends on .+|So, because .+|.*version solving failed\.|\[ResolutionImpossible\].*|Unable to find a resolution).*)", also=r"version solving failed|Resolution|resolution", unless=r"pubspec|pub get|composer|No solution found when"),
    _why("deps.pip_not_found", "conda", r"^(PackagesNotFoundError|ResolvePackageNotFound|PackagesNotFoundInChannelsError)"),
    _why("deps.pip_conflict", "conda", r"^(LibMambaUnsatisfiableError|UnsatisfiableError)"),
)

_COMPILED: Final = (
    _why("deps.cargo_lock_drift", "cargo", r"^error: (?P<what>(the lock file|cannot update the lock file|failed to parse lock file|.*lock file version) .*)"),
    _why("deps.cargo_not_found", "cargo", r"^error: (?P<what>no matching (package|version) .+)|^error: (?P<note>(could not find `.+` in registry|failed to select a version for the requirement|package `.+` cannot be found|no matching package).*)", first=("deps.cargo_lock_drift",)),
    _why("deps.cargo_not_found", "cargo", r"^(  )?(?P<what>(no matching package named|failed to get `\S+` as a dependency|candidate versions found which didn't match|location searched:) .+)", also=r"^error", first=("deps.manifest", "deps.cargo_lock_drift")),
    _why("deps.cargo_not_found", "cargo", r"^error: (?P<what>(the package|none of the selected packages|package) .+(does not contain|contains?) (this|these|the) features?.*|.* does not have (the|a) feature.*|.* depends on .+ with feature .+ but .+ does not have that feature.*)"),
    _why("deps.cargo_conflict", "cargo", r"^error: (?P<what>failed to select a version for `.+`.*)|^(?P<note>package `.+` depends on `.+` .*but `.+` does not have)"),
    sure("env.runtime_version", "cargo", r"^error: (?P<what>(package `.+` cannot be built because it requires rustc|rustc \S+ is not supported|toolchain '.+' is not installed|.*requires rustc \d).*)|^error: override toolchain '.+' is not installed"),
    sure("deps.manifest", "cargo", r"^error: (?P<what>(failed to (parse|read|load) manifest|invalid (key|character|type|table header)|failed to load manifest for|duplicate key|expected .* table|unclosed table).*)|^(Caused by:)?  (?P<note>failed to (parse|read) (manifest|`.+Cargo\.toml`).*)"),
    sure("env.file_missing", "cargo", r"^error: (?P<what>could not find `Cargo\.toml` in .+)"),
    _why("deps.go_mod", "go", r"^(go: )?(?P<file>[\w./-]+\.go)?(:(?P<line>\d+):\d+: )?(go: )?(?P<what>(no required module provides package|cannot find module providing package|updates to go\.mod needed|go\.mod file not found|inconsistent vendoring|module .* found.*, but does not contain package|.*go\.mod:\d+: |errors parsing go\.mod|cannot find main module|pattern \S+: directory prefix .+ does not contain main module|finding module for package|package \S+ is not in GOROOT).*)", first=("deps.go_sum", "env.runtime_version")),
    _why("deps.go_mod", "go", r"^.*?(?P<what>(is explicitly required in go\.mod, but not marked as explicit|cannot query module due to -mod=vendor|go: -mod may only be set|to add missing requirements, run|is replaced but not required|to sync the vendor directory|is marked as explicit in vendor/modules\.txt).*)", first=("deps.go_sum",)),
    sure("deps.go_mod", "go", r"^diff \S*(?P<file>go\.(mod|sum)) \S+"),
    _why("deps.go_sum", "go", r"^.*?(?P<what>(missing go\.sum entry|checksum mismatch|SECURITY ERROR|verifying module: ).*)", also=r"go\.sum|go mod|\.go:|^go: |verifying"),
    _why("deps.go_not_found", "go", r"^(go: )?.*(?P<what>(unknown revision|invalid version: |: 404 Not Found|: 410 Gone|no matching versions for query|module lookup disabled by|repository .* not found|could not read Username for|unrecognized import path|reading https?://\S+: 40[34]).*)", also=r"^go: |\.go:\d+|go mod|go: downloading", unless=r"^fatal: unable to access"),
    sure("env.runtime_version", "go", r"^go: (?P<what>(go\.mod requires go >=|.*requires go >= |errors parsing.*unknown directive: toolchain|.*invalid go version|download go\d).*)"),
    _why("deps.maven", "maven", r"^\[ERROR\] .*(?P<what>(Could not (resolve dependencies|find artifact|transfer artifact|collect dependencies)|Failure to find|Plugin \S+ or one of its dependencies could not be resolved|Unresolveable build extension|Non-resolvable (parent POM|import POM)|The following artifacts could not be resolved|Failed to read artifact descriptor|was not found in https?://|dependencies could not be resolved).*)"),
    sure("deps.manifest", "maven", r"^\[(ERROR|FATAL)\] +(?P<what>(Non-parseable POM|Malformed POM|'[\w.:/\[\]-]+' .*(is missing|must be|is invalid|is not)|The build could not read|Unrecognised tag|Child module .+ does not exist|The project .+ has \d+ errors?).*)", yields_to=("deps.maven",)),
    sure("env.file_missing", "maven", r"^\[ERROR\] (?P<what>The goal you specified requires a project to execute but there is no POM.+)"),
    _why("deps.gradle", "gradle", r"^ *(> )?(?P<what>(Could not (find|resolve) (project )?:?[\w.-]+:[\w.-]+.*|Could not (download|get resource|GET|HEAD) .+|Could not resolve all .+|No matching (variant|configuration) of .+|Plugin \[id: .+\] was not found|Cannot resolve external dependency .+|Dependency verification failed.*|No cached version of .+))", also=r"Could not resolve|Plugin \[|Dependency verification|Could not determine|[Cc]annot resolve|No cached", first=("deps.gradle_lock",)),
    sure("env.runtime_version", "gradle", r"^(> )?(?P<what>(Unsupported class file major version|Could not determine java version|Your build is currently configured to use incompatible Java|No matching toolchains? |Cannot find a Java installation|.*requires (at least )?(JVM|Java) (runtime )?(version )?\d+.*|Dependency requires at least JVM runtime).*)"),
    sure("env.runtime_version", "maven", r"^.*?(?P<what>(invalid target release: \d+|release version \d+ not supported|error: invalid source release|Source option \d is no longer supported|Target option \d is no longer supported|class file has wrong version).*)"),
    _why("deps.nuget", "nuget", r"^.*?(?P<what>error NU\d{4}: .+)|^error: (?P<note>.*(Unable to (find|resolve) package|There are no versions available for the package).*)"),
    _why("deps.swiftpm", "swiftpm", r"^error: (?P<what>(Dependencies could not be resolved|failed to clone|'.+' dependency|.* could not be resolved|product '.+' required by package|the package manifest at|package '.+' is using Swift tools version|.*Package\.resolved.*out.of.date|an out-of-date resolved file).*)|^(xcodebuild: error: )?Could not resolve package dependencies|^\[!\] CocoaPods could not find compatible versions|^\[!\] Unable to find a specification for|^error: The sandbox is not in sync with the Podfile\.lock"),
    _why("deps.conan", "conan", r"^(ERROR: (?P<what>.*(Package '.+' not resolved|Missing (prebuilt package|binary)|Version conflict|Unable to find '.+' in remotes|Missing prebuilt).*))|^error: (?P<note>(building \S+ failed|in triplet .+: Unable to find|.*vcpkg).+)|^-- Running vcpkg install - failed"),
)

_SCRIPTS: Final = (
    _why("deps.composer", "composer", r"^ *(- )?(?P<what>(Your requirements could not be resolved|Could not find package|The lock file is not up to date|Required package \".+\" is not present in the lock file|Your lock file does not contain a compatible set|Composer could not find a composer\.json|- Root composer\.json requires .+|Installation failed, reverting).*)"),
    sure("deps.script_missing", "composer", r"^ *(?P<what>Script \".+\" is not defined in this package)"),
    sure("deps.manifest", "composer", r"^ *(?P<what>\"?\./composer\.json\"? does not (contain valid JSON|match the expected JSON schema).*)"),
    _why("deps.bundler", "bundler", r"^.*?(?P<what>(Could not find (compatible versions|gem '|\S+ in (any of the sources|locally installed gems|rubygems)|Gemfile)|Could not locate Gemfile|Bundler could not find compatible versions|Your bundle is locked to|The gemspecs? for|The dependencies in your gemfile changed|You are trying to install in deployment mode after changing|Bundler::(GemNotFound|GemfileNotFound|VersionConflict|SolveFailure)|Your lockfile (needs to be|does not)|frozen because|An error occurred while installing \S+ \().*)", unless=r"\.py\", line"),
    sure("env.runtime_version", "bundler", r"^(?P<what>Your Ruby version is \S+, but your Gemfile specified .+)|^rbenv: version `(?P<note>.+)' is not installed|^pyenv: version `.+' is not installed|^(asdf|nvm|mise)\b.*(No version is set|is not (yet )?installed)|^N/A: version \".+\" is not yet installed"),
    _why("deps.hex", "mix", r"^(\*\* \(Mix\) )?(?P<what>(Hex dependency resolution failed|Can't continue due to errors on dependencies|Unknown package|Unchecked dependencies for environment|No package with name|the dependency (is not available|does not match|build is outdated)|Failed to use \"?\S+\"? \(version|lock mismatch: ).*)", also=r"[Mm]ix|[Hh]ex"),
    _why("deps.pub", "pub", r"^(?P<what>(Because .+ (depends on|requires) .+|So, because .+|.*version solving failed\.|Could not find package .+ at https://pub\.dev.*|The current (Dart|Flutter) SDK version is.*))", also=r"pub|[Dd]art|[Ff]lutter|SDK"),
    sure("deps.module_missing", "python", r"^(?P<note>E +)?(.*Error: )?(?P<what>ModuleNotFoundError: No module named '[\w-]+')", yields_to=("build.python_syntax",)),
    sure("deps.module_missing", "python", r"^(?P<what>\S*(python|pypy)\S*: No module named \S+)(?!.*is a package)", unless=r"__main__"),
    sure("deps.module_missing", "pytest", r"^(ERROR: )?(ImportError: )?(?P<what>Error importing plugin .+: No module named .+)"),
    sure("deps.module_missing", "python", r"^(E +)?(ImportError|ModuleNotFoundError): (?P<what>No module named '?[\w-]+'?)$"),
    sure("test.collection", "python", r"^E +ModuleNotFoundError: (?P<what>No module named '[\w-]+\.[\w.-]+'.*)"),
    sure("deps.module_missing", "node", r"^ *(\[cause\]: |Exception during run: |Uncaught |\w+: )?(Error|Error \[ERR_MODULE_NOT_FOUND\]|ResolutionError): (?P<what>Cannot find (module|package) '(?![./\\]|[A-Za-z]:\\|#|node:)[^']+'.*)"),
    sure("deps.module_missing", "jest", r"^ *(?P<what>Cannot find module '(?![./\\#~]|@/)[^']+' from '.+')"),
    sure("deps.module_missing", "vite", r"^.*?(?P<what>Failed to (resolve import|load url) \"?(?![./\\#~$]|@/|virtual:|src/)[\w@][^\s\"]*\"?( from .+|.*))", also=r"[Vv]ite|RUN +v|Failed Suites"),
    sure("deps.module_missing", "vitest", r"^ *MISSING DEPENDENCY +(?P<what>.+)"),
    sure("env.file_missing", "node", r"^Error: (?P<what>Cannot find module '/.+')", also=r"^ +requireStack: \[\]"),
    sure("build.javascript_syntax", "node", r"^ *(Error|Error \[ERR_MODULE_NOT_FOUND\]): (?P<what>Cannot find module '\.[^']*'.*)", yields_to=("test.",)),
    sure("deps.module_missing", "ruby", r"^.*?(?P<what>cannot load such file -- (?![./])[\w/-]+)( \(LoadError\))?$", yields_to=("deps.bundler",)),
    sure("test.collection", "ruby", r"^.*?(?P<what>cannot load such file -- [./].+)", also=r"examples?, |rspec|minitest"),
    sure("deps.module_missing", "perl", r"^(?P<what>Can't locate \S+ in @INC).*at (?P<file>\S+) line (?P<line>\d+)"),
    sure("deps.module_missing", "lua", r"^.*?(?P<what>module '[\w.-]+' not found):$"),
    sure("deps.module_missing", "php", r"^.*Failed opening required '(?P<what>[^']*vendor/autoload\.php)'"),
    sure("deps.module_missing", "r", r"^Error in (library|loadNamespace)\(.*(?P<what>there is no package called .+)"),
    sure("deps.module_missing", "julia", r"^ERROR: (LoadError: )?(ArgumentError: )?(?P<what>Package \S+ not found in current path.*)"),
    sure("deps.module_missing", "haskell", r"^ *(?P<what>Could not (find|load) module ‘.+’.*)", also=r"hidden package|It is not a module in the current|Perhaps you|Use -v"),
    sure("deps.module_missing", "deno", r"^error: (?P<what>(Relative import path \".+\" not prefixed|Import \".+\" not a dependency).*)"),
)

RULES: Final = (*_JAVASCRIPT, *_PYTHON, *_COMPILED, *_SCRIPTS)

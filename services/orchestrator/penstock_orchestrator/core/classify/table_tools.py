"""Rows of the table for what the repository's own tools say: tests, builds, lints, dependencies, and checks as a whole.

The rule of this room: a hint names the place first, then the thing to look at; one or two sentences.
"""

from __future__ import annotations

from typing import Final, Literal

_TEST: Final = """
failed | A test ran and said no. | [{tool}: ][first failing test: {test}. ][See {at}. ]Find what the test expects and mend the code; change the test only if the task asks for other behaviour.
collection | The tests could not be loaded, so none of that file ran. | [{tool} could not load the tests: ][{what}. ][See {at}. ]Mend the import, the name or the syntax first; nothing else can be judged before.
snapshot | Output differs from the recorded snapshot. | [Snapshot differs in {test}. ][See {at}. ]Look at the difference: if the new output is what the task wants, update the snapshot and commit it; otherwise mend the code.
timeout | A test ran longer than the test's own limit. | [{test} ran over its time limit. ][See {at}. ]Look for a promise, callback, lock or channel that is never completed; do not just raise the limit.
coverage | The tests passed, and coverage is under the threshold. | The tests pass, but coverage is below the required threshold[: {what}]. Add tests for the lines you added; do not lower the threshold.
crashed | The test process died before it could report. | The test process itself died[ in {test}][: {what}][ (see {at})]. Look for native code, endless recursion, or an exit call inside the tests.
race | The race detector found unsynchronised access. | The race detector reports a data race[ in {test}][ at {at}]. Guard the shared variable with a lock, a channel or an atomic; the report shows both accesses.
sanitizer | A memory checker found an invalid access or a leak. | The memory checker reports[: {what}][ at {at}]. Mend the first report; those after it often follow from it.
"""

_BUILD: Final = """
tsc | TypeScript does not compile. | TypeScript: [{at}: ][{what}. ]Mend the types at the first error; do not silence it with `any` or a ts-ignore.
javac | Java does not compile. | javac: [{at}: ][{what}. ]Mend the first error; later ones often follow from it.
kotlinc | Kotlin does not compile. | kotlinc: [{at}: ][{what}. ]Mend the first error; warnings (w:) do not stop the build.
scalac | Scala does not compile. | scalac: [{at}: ][{what}. ]Mend the first error, then compile again.
groovy | Groovy does not compile. | groovyc: [{at}: ][{what}. ]Mend the first error, then compile again.
go | Go does not compile. | Go compiler: [{at}: ][{what}. ]Mend this before looking at any test; unused variables and imports are errors too.
go_vet | go vet found a mistake. | go vet: [{at}: ][{what}. ]Mend the call it points at; the code compiles but would misbehave.
rustc | Rust does not compile. | rustc: [{at}: ][{what}. ]Mend the first error; `rustc --explain` tells more of its code.
c | C or C++ does not compile. | C/C++ compiler: [{at}: ][{what}. ]Mend the first error; a missing header or brace causes many after it.
link | The objects compile and do not link. | The linker fails[: {what}]. A function is declared but not built in, or a library is missing on the link line.
dotnet | C#, F# or MSBuild fails. | .NET build: [{at}: ][{what}. ]Mend the first error that has a code; warnings do not stop it unless they are made errors.
swift | Swift does not compile. | swiftc: [{at}: ][{what}. ]Mend the first error, then build again.
bundler | A bundler cannot build the package. | [{tool} ]cannot build the bundle[: {what}][ (see {at})]. Most often an import path is wrong or an export does not exist.
python_syntax | A Python file cannot be parsed. | Python cannot parse [{at}: ][{what}. ]Mend the syntax there; the mark stands at, or just after, the mistake.
javascript_syntax | A JavaScript file cannot be parsed. | JavaScript cannot be parsed[ at {at}][: {what}]. Look at brackets and commas just before the mark.
ruby_syntax | A Ruby file cannot be parsed. | Ruby cannot parse [{at}: ][{what}. ]Look for an `end` or bracket that is missing before it.
php_syntax | A PHP file cannot be parsed. | PHP cannot parse [{at}: ][{what}. ]Look at the line before the mark as well.
perl_syntax | A Perl file does not compile. | Perl does not compile [{at}: ][{what}. ]Look at the end of the line before.
shell_syntax | A shell script cannot be parsed. | The shell cannot parse [{at}: ][{what}. ]Look for a quote, `fi`, `done` or bracket that is missing.
haskell | Haskell does not compile. | GHC: [{at}: ][{what}. ]Mend the first error; type errors further down often follow.
ocaml | OCaml does not compile. | OCaml: [{at}: ][{what}. ]Mend the first error, then build again.
elixir | Elixir or Erlang does not compile. | Elixir: [{at}: ][{what}. ]Mend the first compile error.
dart | Dart or Flutter does not compile. | Dart: [{at}: ][{what}. ]Mend the first error, then build again.
zig | Zig does not compile. | Zig: [{at}: ][{what}. ]Mend the first error; notes under it say where it was called from.
fortran | Fortran does not compile. | Fortran: [{at}: ][{what}. ]Mend the first error, then compile again.
make | Make, rake, just or a like tool has no way to do what it was asked. | [{tool}: ]{what}. The target, its prerequisite or the build file is missing or misspelt; nothing was compiled.
cmake | CMake, meson or autoconf cannot configure. | Configuring fails[ at {at}][: {what}]. A package, a command or a source file that the build description names is not there.
gradle | A Gradle build script or task is wrong. | Gradle: [{what}. ][See {at}. ]Look at the build script or the task's name before the sources.
maven | A Maven goal fails for a reason of its own. | Maven: [{what}. ]Look at the plugin that is named in the failed goal.
docker | An image cannot be built. | The image build stops[: {what}][ (see {at})]. Look at the step of the Dockerfile that is named last.
protobuf | A schema file cannot be compiled. | The schema compiler: [{at}: ][{what}. ]Mend the definition, then generate again.
terraform | A Terraform configuration is not valid. | Terraform: [{what}. ][See {at}. ]Mend the block that is named.
documentation | The documentation does not build. | The documentation does not build[: {what}][ (see {at})]. Mend the reference or the markup it names.
compiler | A compiler that is not known by name reports errors. | The compiler reports [{at}: ][{what}. ]Mend the first error; later ones may follow from it.
"""

_LINT: Final = """
eslint | ESLint reports errors. | ESLint: [{what} ][at {at}]. Mend the code rather than switching the rule off.
ruff | Ruff reports findings. | ruff: [{what} ][at {at}]. Mend the code; `ruff check --fix` does the mechanical part.
flake8 | flake8 reports findings. | flake8: [{what} ][at {at}]. Mend each line it lists.
mypy | mypy reports type errors. | mypy: [{what} ][at {at}]. Mend the types; no cast or ignore unless the checker is wrong.
pyright | pyright reports type errors. | pyright: [{what} ][at {at}]. Mend the types; no ignore unless the checker is wrong.
pylint | pylint reports findings. | pylint: [{what} ][at {at}]. Mend what it lists; the score alone does not matter.
clippy | clippy's warnings are errors here. | clippy: [{what} ][at {at}]. Apply what it suggests under the finding.
golangci | golangci-lint reports findings. | golangci-lint: [{what} ][at {at}]. The linter's name stands in brackets at the end of the line.
staticcheck | staticcheck reports findings. | staticcheck: [{what} ][at {at}]. Mend the line it names.
format | A formatter would change files. | [{tool}: ]files are not formatted[, first {at}]. Run the formatter of this repository in its writing mode and commit the result.
stylelint | stylelint reports errors. | stylelint: [{what} ][at {at}]. Mend the style sheet.
biome | Biome reports errors. | Biome: [{what} ][at {at}]. `biome check --write` mends the mechanical part.
oxlint | oxlint reports errors. | oxlint: [{what} ][at {at}]. Mend the code it names.
shellcheck | ShellCheck reports findings. | ShellCheck: [{what} ][at {at}]. Quote, or rewrite the construct it names.
rubocop | RuboCop reports offenses. | RuboCop: [{what} ][at {at}]. `rubocop -a` mends those marked correctable.
phpstan | PHPStan or Psalm reports type errors. | Static analysis of PHP: [{what} ][at {at}]. Mend the types instead of adding to the baseline.
phpcs | PHP_CodeSniffer or php-cs-fixer reports findings. | PHP coding standard: [{what} ][at {at}]. `phpcbf` mends those marked with [x].
ktlint | ktlint or detekt reports findings. | Kotlin lint: [{what} ][at {at}]. Mend the line it names.
checkstyle | Checkstyle, PMD or SpotBugs reports violations. | Java lint: [{what} ][at {at}]. Mend the first violation it names.
dotnet_analyzer | A .NET style or format check fails. | .NET analysers: [{what} ][at {at}]. Run `dotnet format`, or mend the line.
swiftlint | SwiftLint reports violations. | SwiftLint: [{what} ][at {at}]. Mend the errors; warnings count only in strict mode.
clang_tidy | clang-tidy reports errors. | clang-tidy: [{what} ][at {at}]. The check's name stands in brackets.
cppcheck | cppcheck reports errors. | cppcheck: [{what} ][at {at}]. Mend the access it names.
dart | dart analyze reports issues. | Dart analyser: [{what} ][at {at}]. Mend the line it names.
credo | Credo or Dialyzer reports issues. | Elixir lint: [{what} ][at {at}]. Mend the line it names.
hlint | HLint has suggestions that count as errors. | HLint: [{what} ][at {at}]. Apply the suggestion.
yamllint | yamllint reports errors. | yamllint: [{what} ][at {at}]. Mend indentation, duplicates or line ends there.
markdownlint | markdownlint reports findings. | markdownlint: [{what} ][at {at}]. Mend the markup.
hadolint | hadolint reports findings. | hadolint: [{what} ][at {at}]. Mend the Dockerfile's line.
actionlint | A workflow file is not valid. | Workflow check: [{what} ][at {at}]. Mend the workflow file.
sql | An SQL linter reports violations. | SQL lint: [{what} ][at {at}]. Mend the statement.
commitlint | A commit message breaks the convention. | The commit message breaks the convention[: {what}]. Reword the commit in the form that the repository asks for.
spelling | A spelling check fails. | Spelling: [{what} ][at {at}]. Mend the word, or add it to the repository's list if it is right.
security | A security scanner reports findings. | Security scan: [{what} ][at {at}]. Mend the construct; do not silence the scanner.
pre_commit | A pre-commit hook failed or changed files. | The pre-commit hook failed[: {what}]. If it changed files, commit its changes; else mend what it printed.
imports | A contract on imports or a dead-code check fails. | Import or dead-code check: [{what} ][at {at}]. Respect the boundary rather than changing the contract.
other | A linter that is not known by name reports findings. | Lint: [{what} ][at {at}]. Mend the lines it lists.
"""

_DEPS: Final = """
npm_lock_drift | package.json and package-lock.json disagree, or the lock is missing. | package-lock.json does not match package.json. Bring both into agreement (`npm install --package-lock-only`) and commit the lock, or undo the change of package.json.
pnpm_lock_drift | package.json and pnpm-lock.yaml disagree, or the lock is missing. | pnpm-lock.yaml does not match package.json. Run `pnpm install --lockfile-only` and commit the lock, or undo the change of package.json.
yarn_lock_drift | package.json and yarn.lock disagree. | yarn.lock would have to change. Update it with the dependency and commit both, or undo the change of package.json.
bun_lock_drift | package.json and Bun's lock disagree. | Bun's lockfile would have to change. Update it with the dependency and commit both.
npm_conflict | npm cannot find versions that fit together. | npm cannot resolve peer dependencies[: {what}]. Choose versions that fit; do not reach for --force.
npm_not_found | A package or version is not in the npm registry. | The registry has no such package or version[: {what}]. Check the spelling and the range in package.json.
npm | npm, pnpm or yarn fails for another reason. | Installing JavaScript packages fails[: {what}]. Look at the first `error` line rather than the last.
script_missing | package.json has no such script. | There is no such script in package.json[: {what}]. Add it, or use the name that is there.
manifest | A package manifest cannot be read or is wrong. | The manifest cannot be used[ ({at})][: {what}]. Mend its syntax or the missing field.
pip_conflict | pip cannot find versions that fit together. | pip cannot resolve the requirements[: {what}]. Loosen or align the pins that it names.
pip_not_found | A distribution or version is not on the index. | The index has no such distribution or version[: {what}]. Check the spelling, the pin, and the Python version it needs.
pip_build | A Python package could not be built. | A Python package does not build[: {what}]. Look above for the first compiler error or missing header; a version with wheels often avoids it.
uv_conflict | uv finds no solution. | uv finds no set of versions that fits[: {what}]. Align the requirements it names in its reasoning.
uv_not_found | A distribution is not on the index (uv). | uv finds no such distribution or version[: {what}]. Check the spelling and the pin.
uv_lock_drift | uv.lock is missing or does not match. | uv.lock does not match pyproject.toml. Run `uv lock` and commit the lock, or undo the change of the dependencies.
poetry_lock_drift | poetry.lock or another Python lock does not match. | The lock does not match pyproject.toml. Lock again with the tool of this repository and commit it.
poetry_conflict | Poetry, PDM or Pipenv finds no solution. | Version solving failed[: {what}]. Align the constraints it names.
cargo_lock_drift | Cargo.lock would have to change. | Cargo.lock would have to change, and --locked forbids it. Update the lock with the manifest and commit both.
cargo_not_found | A crate or version is not found. | Cargo finds no such crate, version or feature[: {what}]. Check name and version in Cargo.toml; without network only cached crates are there.
cargo_conflict | Cargo cannot select versions. | Cargo cannot select versions that fit[: {what}]. Align the requirements in Cargo.toml.
go_mod | go.mod does not provide what the code imports, or is not tidy. | go.mod does not fit the code[: {what}]. Run `go mod tidy` (and `go mod vendor` where there is a vendor folder) and commit the result.
go_sum | go.sum has no or another checksum. | go.sum does not cover a module[: {what}]. Run `go mod tidy` and commit go.sum; a mismatch means that the module changed and needs a person.
go_not_found | A Go module or version cannot be fetched. | The Go module or version does not exist[: {what}]. Check path and version.
maven | Maven cannot resolve an artifact. | Maven cannot resolve an artifact or plugin[: {what}]. Check coordinates, version and repositories in pom.xml.
gradle | Gradle cannot resolve a dependency or plugin. | Gradle cannot resolve[: {what}]. Check coordinates, version and the repositories block.
nuget | NuGet cannot restore. | NuGet restore fails[: {what}]. Check the package's id, version and target framework.
composer | Composer cannot resolve. | Composer cannot resolve the packages[: {what}]. Check composer.json against the lock and the PHP version.
bundler | Bundler cannot resolve or install. | Bundler cannot provide the gems[: {what}]. Check Gemfile and Gemfile.lock; lock again if the Gemfile changed.
hex | Mix cannot resolve. | Mix cannot provide the dependencies[: {what}]. Check mix.exs and mix.lock.
swiftpm | Swift Package Manager or CocoaPods cannot resolve. | The Swift packages cannot be resolved[: {what}]. Check Package.swift or Podfile against the lock.
pub | Dart's pub cannot resolve. | pub cannot resolve[: {what}]. Check pubspec.yaml and its SDK constraint.
conan | A C or C++ package manager cannot resolve. | The C/C++ packages cannot be resolved[: {what}]. Check the recipe's name and version.
module_missing | The program imports a module that is not installed. | A module is not installed or is misspelt[: {what}][ (imported at {at})]. If it is a new dependency, declare it in the manifest; else mend the import.
integrity | A downloaded package does not match its recorded checksum. | A package does not match its recorded checksum[: {what}]. Do not work around it: restore the lock from the base branch, or have a person look.
vulnerable | An audit found known vulnerabilities. | The audit reports known vulnerabilities[: {what}]. Move the named package to a version that mends it.
"""

_VERIFY: Final = """
failed | The command ended with an error, and nothing in its output is known here. | The command failed[: {what}]. Its output fits no known tool: read its last lines, and run the same command yourself before changing anything.
timeout | The check did not end within its time. | The check did not end in time. Look for a test or program that waits for ever: a server in the foreground, a prompt, a watch mode, an endless loop.
killed | The check was ended from outside. | The check was ended by a signal from outside. That alone says nothing about the change; run it again.
nothing_ran | The command ran no test at all. | No test ran[: {what}]. Check that the test files are where, and named as, the runner looks for them.
flaky | Tests failed and passed on a second try. | Tests failed once and passed when run again[: {test}][: {what}]. Look for time, order, ports or randomness that the test depends on.
exception | A program ended with an uncaught error. | [{tool} ]ended with an uncaught error[: {what}][ at {at}]. Start from the deepest frame that is in this repository.
crashed | A program was ended by a fault of its own. | A program crashed[: {what}][ at {at}]. Look for a bad pointer, a failed assertion or endless recursion in native code.
tree_changed | The command found files that differ from what is committed. | Files differ from what is committed[: {at}]. Run the generator or formatter of this repository and commit what it changes.
usage | The tool does not accept its arguments or its configuration. | [{tool} ]does not accept its arguments or configuration[: {what}]. Look at the command's flags, paths and the tool's configuration file.
"""

Kind = tuple[str, Literal["recoverable", "hard", "park"], str]

ROWS: Final[tuple[Kind, ...]] = (
    ("test", "recoverable", _TEST),
    ("build", "recoverable", _BUILD),
    ("lint", "recoverable", _LINT),
    ("deps", "recoverable", _DEPS),
    (
        "deps",
        "hard",
        "registry_auth | A package registry refuses the credential. | The package registry refuses the credential[: {what}]. "
        "A person must give the host access to it; the agent cannot.",
    ),
    ("verify", "recoverable", _VERIFY),
)

"""Compilers, linkers, bundlers and build tools, by the form of their diagnostics.

The rule of this room: a diagnostic has its place (file and line) in named groups, so that the hint can name it.
"""

# ruff: noqa: E501  (a rule is one line: its expression is read and compared in one piece)
# fmt: off
from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import likely, sure, wrapper

_JAVASCRIPT: Final = (
    sure("build.tsc", "tsc", r"^(\[tsl\] ERROR in |ERROR in )?(?P<file>[^\s():][^():]{0,300})\((?P<line>\d+),\d+\): (?P<what>error TS\d+: .+)"),
    sure("build.tsc", "tsc", r"^ *(Error: )?(?P<file>[^\s():][^():]{0,300}):(?P<line>\d+):\d+ - (?P<what>error (TS)?-?\d+: .+)"),
    sure("build.tsc", "tsc", r"^ *(Error: )?(?P<what>error TS\d+: .+)"),
    sure("build.tsc", "tsc", r"^(TSError: ⨯ Unable to compile TypeScript|(ERROR|Error|TS\d+) .*\bTS\d{4,5}: )"),
    sure("build.tsc", "tsc", r"^ *(?P<what>TS\d{4,5}: .+)"),
    sure("build.tsc", "next", r"^Type error: (?P<what>.+)"),
    sure("build.tsc", "vue-tsc", r"^(?P<file>\S+\.vue)\((?P<line>\d+),\d+\): (?P<what>error TS\d+: .+)"),
    sure("build.bundler", "esbuild", r"^✘ \[ERROR\] (?P<what>.+)"),
    sure("build.bundler", "webpack", r"^webpack \S+ compiled with (?P<count>\d+) errors? ", yields_to=("build.tsc", "lint.eslint")),
    sure("build.bundler", "webpack", r"^(ERROR in|Module not found: Error: Can't resolve|Module build failed|Module parse failed|HookWebpackError)", yields_to=("build.tsc", "lint.eslint")),
    sure("build.bundler", "rollup", r"^(\[!\] |RollupError: |error during build:|(x|✗|✘) Build failed in |\[vite\]:? |\[commonjs--resolver\] |Build failed with \d+ errors?:)", yields_to=("build.tsc",)),
    sure("build.bundler", "next", r"^(> Build failed because of webpack errors|Failed to compile\.|> Build optimization failed|Error occurred prerendering page)", yields_to=("build.tsc", "lint.eslint")),
    sure("build.bundler", "parcel", r"^🚨 Build failed\.|^@parcel/\S+: "),
    sure("build.bundler", "angular", r"^(Application bundle generation failed|✖ Failed to compile|Error: .* - error NG\d+:|✘ \[ERROR\] (TS|NG)\d+)", yields_to=("build.tsc",)),
    sure("build.bundler", "turbopack", r"^(Error: Turbopack build failed|Turbopack build encountered \d+ )"),
    sure("build.bundler", "metro", r"^(error (Unable to resolve module|: ?SyntaxError: )|Error: Unable to resolve module)"),
    sure("build.bundler", "svelte", r"^(CompileError: |\[vite-plugin-svelte\] )"),
    sure("build.javascript_syntax", "node", r"^SyntaxError: (?P<what>(?!.*(\.py\b|\(<\w+>, line|\bJSON\b)).+)", also=r"^\s+at (\S|.+\()|^Node\.js v|^node:internal|^file://|^\s+\^|^[\w./-]+\.[cm]?[jt]sx?:\d+$", unless=r'^ +File "', yields_to=("test.", "build.bundler", "build.tsc")),
    sure("build.javascript_syntax", "babel", r"^(Module build failed.*: )?SyntaxError: (?P<file>[^\s:]+\.[cm]?[jt]sx?): (?P<what>.+ \((?P<line>\d+):\d+\))", yields_to=("test.", "build.bundler")),
)

_PYTHON: Final = (
    sure("build.python_syntax", "python", r"^(SyntaxError|IndentationError|TabError): (?P<what>.+)", also=r'^ *(\*\*\* )?(Sorry: )?.*File ".+", line \d+', yields_to=("test.",)),
    sure("build.python_syntax", "python", r"^(\*\*\* )?(Sorry: )?(SyntaxError|IndentationError|TabError): (?P<what>.+ \((?P<file>[^,()]+), line (?P<line>\d+)\))", yields_to=("test.",)),
    sure("build.python_syntax", "python", r"^\*\*\* Error compiling '(?P<file>[^']+)'"),
    sure("build.python_syntax", "cython", r"^(?P<file>[\w./-]+\.pyx):(?P<line>\d+):\d+: (?P<what>.+)|^Cython\.Compiler\.Errors\.CompileError"),
)

_GO: Final = (
    sure("build.go", "go", r"^(vet: )?(?P<file>[\w./@+-]+\.go):(?P<line>\d+):\d+: (?P<what>(package \S+ is not in std\b|undefined: |cannot use |syntax error|\S+ redeclared|declared and not used|missing return|too many |not enough |assignment mismatch|invalid operation|undeclared name|expected |could not import|imported and not used|.* (redeclared in this block|declared and not used|imported and not used|is not a type|undefined \(type .*)|.+: undefined|.*does not implement|non-name|cannot |invalid |unknown field|impossible |duplicate |mismatched types|missing |import cycle|use of |unreachable |label |no new variables|initialization ).*)", yields_to=("lint.golangci", "lint.staticcheck", "deps.go_mod", "deps.go_sum")),
    sure("build.go", "go", r"^FAIL\t(?P<what>\S+ \[(build|setup) failed\])", yields_to=("build.go_vet", "deps.go_mod", "deps.go_sum")),
    likely("build.go", "go", r"^# [\w./-]+( \[\S+\.test\])?$", also=r"^\S+\.go:\d+:\d+: "),
    likely("build.go", "go", r"^(?P<file>[\w./@+-]+\.go):(?P<line>\d+):\d+: (?P<what>.+)"),
    sure("build.go", "go", r"^\s*(package \S+: |imports \S+ from \S+: )?(?P<what>build constraints exclude all Go files|import cycle not allowed|found packages \w+ .* and \w+ .* in|.+: no non-test Go files in .+)"),
    sure("build.go", "go", r"^(.*[: ])?cgo: (?P<what>.+)"),
    sure("build.go_vet", "go", r"^(vet: |# \[\S+\]$)", also=r"\.go:\d+:\d+: ", unless=r"^vet: \S+\.go:\d+:\d+: (undefined|cannot|expected|could not)|: undefined: "),
    sure("build.go_vet", "go", r"^(?P<file>[\w./@+-]+\.go):(?P<line>\d+):\d+: (?P<what>(fmt\.)?(Printf|Sprintf|Errorf|Fprintf|Println|\(\*testing\.common\)\.\w+|\w+) (format %|call has|arg list ends|does not support)|(struct field tag|.* (passes|copies) lock by value.*|.* copies lock value.*|composite literal uses unkeyed|the cancel function|assignment copies lock|call of \S+ copies lock|range var .* copies lock|self-assignment|result of .* call not used|suspect or:|loop variable|call to \S+ from a non-test goroutine|unusedresult).*)"),
)

_RUST: Final = (
    sure("build.rustc", "rustc", r"^(?P<what>error\[E\d{4}\]: .+)", yields_to=("lint.clippy",)),
    sure("build.rustc", "rustc", r"^error: (?P<what>could not compile `.+)", yields_to=("lint.clippy", "build.link", "env.", "build.rustc_code")),
    sure("build.rustc", "rustc", r"^error: (?P<what>aborting due to .+)", yields_to=("lint.clippy", "build.link", "env.")),
    likely("build.rustc", "rustc", r"^error: (?P<what>.+)", also=r"^ *--> \S+\.rs:\d+:\d+", yields_to=("lint.clippy",)),
    sure("build.rustc", "cargo", r"^error: failed to run custom build command for `(?P<what>.+)`"),
    sure("build.link", "rustc", r"^error: (?P<what>linking with `\S+` failed.*)", yields_to=("env.disk_full", "env.out_of_memory", "env.command_missing")),
    sure("build.link", "rustc", r"^error: (?P<what>linker `\S+` not found)"),
    sure("lint.clippy", "clippy", r"^ *= (note|help): (`-[DWF] clippy::(?P<what>[\w-]+)|for further information visit https://rust-lang\.github\.io/rust-clippy/\S*#(?P<note>\w+))", also=r"^error(:|\[)"),
    sure("lint.clippy", "clippy", r"^error: (?P<what>.+)", also=r"^ *= note: `#\[(deny|forbid)\(clippy::"),
)

_C: Final = (
    sure("build.c", "gcc", r"^(?P<file>[^\s:][^:]{0,300}\.(c|cc|cpp|cxx|c\+\+|C|h|hh|hpp|hxx|m|mm|cu|cuh|ino|ipp|tpp|inl|S|y|l)):(?P<line>\d+):(\d+:)? (fatal )?error: (?P<what>.+)", yields_to=("lint.clang_tidy", "lint.cppcheck", "env.disk_full", "env.out_of_memory")),
    sure("build.c", "gcc", r"^(cc1|cc1plus|gcc|g\+\+|clang|clang\+\+|x86_64\S+)(: |\.exe: )(fatal )?error: (?P<what>(?!.*([Nn]o such file or directory|[Nn]o input files|No space left|Killed signal|Cannot allocate)).+)", yields_to=("build.link", "env.disk_full", "env.out_of_memory")),
    sure("build.c", "msvc", r"^ *(?P<file>[^\s(][^(]{0,300}\.\w+)\((?P<line>\d+)(,\d+)?\) ?: (fatal )?(?P<what>error C\d{4}: .+)"),
    sure("build.c", "clang", r"^(?P<file>[^\s(][^(]{0,300}\.(c|cc|cpp|cxx|h|hh|hpp|hxx|m|mm))\((?P<line>\d+),\d+\) ?: (fatal )?error: (?P<what>.+)", yields_to=("lint.clang_tidy",)),
    sure("build.c", "gcc", r"^(?P<file>[^\s:]+\.(go|rs|pyx)):(?P<line>\d+):\d+: fatal error: (?P<what>.+\.h\w*: No such file or directory)"),
    sure("build.c", "nvcc", r"^(?P<file>\S+\.cuh?)\((?P<line>\d+)\): error: (?P<what>.+)"),
    sure("build.link", "ld", r"^(.*: )?(?P<what>undefined reference to .+)"),
    sure("build.link", "ld", r"^(\S*ld(\.\w+)?|lld|ld64\.lld|collect2|mold|wasm-ld|rust-lld): (fatal: |fatal error: |error: )?(?P<what>(cannot find|library not found|undefined symbol|symbol\(s\) not found|duplicate symbol|error: ld returned|ld returned|error: undefined symbol|multiple definition|unable to find library|framework not found|.*relocation ).*)", yields_to=("env.disk_full", "env.out_of_memory")),
    sure("build.link", "ld", r"^(.*: )(?P<what>multiple definition of .+)"),
    sure("build.link", "ld", r"^(Undefined symbols? for architecture|duplicate symbol '.+' in:|(clang|gcc|clang\+\+|g\+\+|c\+\+): error: linker command failed|ld: symbol\(s\) not found)", yields_to=("env.disk_full", "env.out_of_memory", "build.swift")),
    sure("build.link", "msvc", r"^.*?(?P<what>(fatal )?error LNK\d{4}: .+)"),
    sure("build.fortran", "gfortran", r"^(Fatal )?Error: (?P<what>.+)", also=r"^\S+\.(f|F|f90|F90|f95|for|f03|f08):\d+:\d+:"),
    sure("build.fortran", "flang", r"^error: .*|^(?P<file>\S+\.[fF]\d*):(?P<line>\d+):\d+: error: (?P<what>.+)", also=r"\.[fF](90|95|03|08)?:\d+"),
    sure("test.sanitizer", "ubsan", r"^SUMMARY: UndefinedBehaviorSanitizer"),
)

_JVM: Final = (
    sure("build.javac", "javac", r"^(\[ERROR\] |\[javac\] +)?(?P<file>[^\s:\[][^:\[]{0,300}\.java):(?P<line>\d+): (?P<what>error: .+)", unless=r"^\[error\] .*\.scala:"),
    sure("build.javac", "javac", r"^(\[ERROR\] )?(?P<file>/?[^\s:\[][^:\[]{0,300}\.java):\[(?P<line>\d+),\d+\] (?P<what>(?!\(\w+\) \w+: ).+)", yields_to=("lint.checkstyle",)),
    sure("build.javac", "javac", r"^(?P<count>\d+) errors?$", also=r"^\S+\.java:\d+: error: "),
    sure("build.javac", "maven", r"^\[ERROR\] COMPILATION ERROR", yields_to=("build.kotlinc", "build.scalac", "build.groovy")),
    sure("build.javac", "javac", r"^(error: (warnings found and -Werror|invalid flag|file not found|release version|invalid (source|target) release)|.*Fatal error compiling: )", yields_to=("env.runtime_version",)),
    sure("build.kotlinc", "kotlinc", r"^e: (?P<file>(file://)?[^\s:][^:]{0,300}\.kts?):? ?[(:](?P<line>\d+)[,:] ?\d+\)?:? (?P<what>.+)"),
    sure("build.kotlinc", "kotlinc", r"^(?P<file>[^\s:][^:]{0,300}\.kts?):(?P<line>\d+):\d+: (?P<what>error: .+)", yields_to=("lint.ktlint",)),
    sure("build.kotlinc", "kotlinc", r"^\[ERROR\] (?P<file>(file://)?\S+\.kts?):? ?[\[(:](?P<line>\d+)[,:] ?\d+[\])]?:? (?P<what>.+)", yields_to=("lint.ktlint",)),
    sure("build.kotlinc", "gradle", r"^(> Task \S*compile\w*Kotlin\w* FAILED|> Compilation error\. See log for more details|Execution failed for task '\S*compile\w*Kotlin\w*')", yields_to=("build.javac", "deps.gradle", "env.runtime_version", "build.gradle")),
    sure("build.kotlinc", "kotlinc", r"^e: (?P<what>.+)", also=r"\.kts?\b|[kK]otlin"),
    sure("build.scalac", "scalac", r"^(\[error\] |\[E\] |-- (\[E\d+\] )?[\w ]*Error: )(\[E\d+\] )?(?P<file>[^\s:]+\.(scala|sbt)):(?P<line>\d+):(\d+:)?(?P<what>.*)"),
    sure("build.scalac", "scalac", r"^(?P<file>[^\s:]+\.(scala|sc)):(?P<line>\d+):(\d+:)? error: (?P<what>.+)"),
    sure("build.scalac", "sbt", r"^\[error\] \((?P<what>.*(compileIncremental|compile).*)\) Compilation failed"),
    sure("build.groovy", "groovyc", r"^(?P<file>[^\s:]+\.groovy): (?P<line>\d+): (?P<what>.+ @ line \d+.*)"),
    sure("build.groovy", "groovyc", r"^org\.codehaus\.groovy\.control\.MultipleCompilationErrorsException", yields_to=("build.gradle",)),
    sure("build.gradle", "gradle", r"^(?P<what>Task '.+' not found in (root )?project .+)"),
    sure("build.gradle", "gradle", r"^(> )?(?P<what>(Could not (find method|get unknown property|set unknown property|compile (build|settings) file)|No such property: |Plugin .* (was not found|is already)|Cannot (locate tasks|add task)|Unable to load class|Project '.+' not found|Could not determine the dependencies of task).*)", yields_to=("deps.gradle",)),
    sure("build.gradle", "gradle", r"^((Build|Settings) file '(?P<file>.+)' line: (?P<line>\d+)|A problem occurred (evaluating|configuring) )", yields_to=("deps.gradle", "env.runtime_version", "build.kotlinc")),
    sure("build.gradle", "gradle", r"^Script compilation errors?:"),
    wrapper("gradle", r"^(FAILURE: Build failed with an exception|BUILD FAILED( in .*)?$|Execution failed for task ')"),
    wrapper("maven", r"^\[(INFO|ERROR)\] BUILD FAILURE"),
    sure("build.maven", "maven", r"^\[ERROR\] (?P<what>(Unknown lifecycle phase|No plugin found for prefix|The plugin \S+ could not be found).+)"),
    likely("build.maven", "maven", r"^\[ERROR\] (?P<what>Failed to execute goal .+)"),
)

_DOTNET: Final = (
    sure("build.dotnet", "dotnet", r"^ *(\d+>)?(?P<file>[^\s(][^(]{0,300}\.(cs|fs|fsx|vb|csproj|fsproj|vbproj|razor|cshtml|xaml|sln|props|targets))(\((?P<line>\d+),\d+(,\d+,\d+)?\))? ?: (?P<what>error ?(CS|FS|BC|RZ|MSB|NETSDK|AD|XC|MC|BL)?\d*: .+)", yields_to=("deps.nuget", "lint.dotnet_analyzer", "env.runtime_version")),
    sure("build.dotnet", "msbuild", r"^ *(\d+>)?(MSBUILD|CSC|VBC|FSC|\S+\.targets\S*|\S*(proj|sln)\S*) ?: (?P<what>error (CS|FS|BC|MSB|NETSDK)\d+: .+)", yields_to=("deps.nuget", "env.runtime_version")),
    sure("build.dotnet", "dotnet", r"^ *Build FAILED\.$", yields_to=("deps.nuget", "lint.dotnet_analyzer", "test.coverage", "build.c", "build.link")),
    sure("build.dotnet", "dotnet", r"^ *Build failed with (?P<count>\d+) error\(s\)|^Compilation failed: \d+ error\(s\)", yields_to=("deps.nuget", "lint.dotnet_analyzer", "test.")),
    likely("build.dotnet", "dotnet", r"^ +(?P<count>[1-9]\d*) Error\(s\)"),
)

_OTHERS: Final = (
    sure("build.swift", "swiftc", r"^(❌ +)?(?P<file>[^\s:][^:]{0,300}\.swift):(?P<line>\d+):\d+: (fatal )?error: (?P<what>.+)", unless=r"^\S+\.swift:\d+(:\d+)?: error: -\[|: error: \S+ : (XCTAssert|failed)", yields_to=("lint.swiftlint",)),
    sure("build.swift", "swiftc", r"^error: (?P<what>no such module '.+')"),
    sure("build.swift", "xcodebuild", r"^(\*\* (BUILD|ARCHIVE) FAILED \*\*|error: fatalError|error: emit-module command failed|The following build commands failed:|error: compile command failed)"),
    sure("build.haskell", "ghc", r"^ *(?P<file>[^\s:][^:]{0,300}\.l?hs)(-boot)?:(?P<line>\d+):\d+(-\d+)?: error:? ?(?P<what>.*)", yields_to=("deps.module_missing",)),
    sure("build.haskell", "cabal", r"^(Error: )?(\[?[Cc]abal\S*\]? ?)?(Failed to build \S+|Error: Cabal-\d+)|^ *Process exited with code: ExitFailure", yields_to=("env.", "test.")),
    sure("build.ocaml", "ocaml", r"^Error: (?P<what>(This expression has type|Unbound |Syntax error|Signature mismatch|The implementation|Some type|Library \".*\" not found|This (pattern|variant|function)|Cannot ).*)", also=r'^File "\S+\.mli?", line'),
    sure("build.ocaml", "dune", r'^File "(?P<file>[^"]+/?dune(-project)?)", line (?P<line>\d+)'),
    sure("build.elixir", "mix", r"^== Compilation error in file (?P<file>\S+) =="),
    sure("build.elixir", "elixir", r"^\*\* \((?P<what>(CompileError|SyntaxError|TokenMissingError|MismatchedDelimiterError)\).*)"),
    sure("build.elixir", "mix", r"^(?P<what>could not compile dependency .+)"),
    sure("build.elixir", "rebar3", r"^(===> Compiling \S+ failed|===> Compilation failed)"),
    sure("build.elixir", "gleam", r"^error: (Type mismatch|Unknown (variable|module|type)|Syntax error)", also=r"┌─ .*\.gleam"),
    sure("build.dart", "dart", r"^(?P<file>[^\s:]+\.dart):(?P<line>\d+):\d+: Error: (?P<what>.+)"),
    sure("build.dart", "flutter", r"^(Target \S+ failed: |FAILURE: .*flutter|Failed to compile application\.)", yields_to=("build.kotlinc", "build.gradle", "build.swift")),
    sure("build.zig", "zig", r"^(?P<file>[^\s:]+\.zig):(?P<line>\d+):\d+: error: (?P<what>.+)"),
    sure("build.ruby_syntax", "ruby", r"^(ruby: )?(?P<file>[^\s:]+\.(rb|ru|rake|gemspec)):(?P<line>\d+): (?P<what>(syntax errors? found|syntax error,).*)", yields_to=("test.",)),
    sure("build.ruby_syntax", "ruby", r"^(?P<file>[^\s:]+\.(rb|ru|rake)):(?P<line>\d+): (?P<what>.*\(SyntaxError\))", yields_to=("test.",)),
    sure("build.ruby_syntax", "ruby", r"^.*: --> .*\.rb$", also=r"SyntaxError|[Ss]yntax error"),
    sure("build.php_syntax", "php", r"^(PHP )?Parse error: +(?P<what>.+?) in (?P<file>\S+) on line (?P<line>\d+)"),
    sure("build.php_syntax", "php", r"^Errors parsing "),
    sure("build.php_syntax", "php", r"^(PHP )?Fatal error: +Uncaught ParseError: (?P<what>.+?) in (?P<file>\S+?):(?P<line>\d+)"),
    sure("build.perl_syntax", "perl", r"^(syntax error at (?P<file>\S+) line (?P<line>\d+)|Global symbol \"\S+\" requires explicit package name|\S+ had compilation errors\.|Execution of \S+ aborted due to compilation errors|BEGIN failed--compilation aborted)", yields_to=("deps.module_missing", "test.")),
    sure("build.shell_syntax", "bash", r"^(?P<file>[^\s:]+): (line )?(?P<line>\d+): (?P<what>([Ss]yntax error|unexpected EOF while looking).*)"),
    sure("build.shell_syntax", "zsh", r"^(zsh|\S+\.z?sh):(?P<line>\d+): parse error"),
    sure("build.compiler", "lua", r"^(luac?\d?(\.\d)?|luajit|lua\S*): (?P<file>[^\s:]+):(?P<line>\d+): (?P<what>.*(near|expected).*)"),
    sure("build.compiler", "elm", r"^-- [A-Z][A-Z ]+ -+ (?P<file>\S+\.elm)"),
    sure("build.compiler", "solc", r"^(Error( \(\d+\))?|\w+Error): (?P<what>.+)", also=r"^ *--> \S+\.(sol|vy):\d+"),
    sure("build.compiler", "nim", r"^(?P<file>[^\s(]+\.nims?)\((?P<line>\d+), \d+\) Error: (?P<what>.+)"),
    sure("build.compiler", "crystal", r"^(In \S+\.cr:\d+:\d+|Error: (undefined|expected|no overload|unexpected|unterminated).*)", also=r"\.cr:\d+:\d+"),
    sure("build.compiler", "dmd", r"^(?P<file>[^\s(]+\.d)\((?P<line>\d+)(,\d+)?\): Error: (?P<what>.+)"),
    sure("build.compiler", "fpc", r"^(?P<file>[^\s(]+\.(pas|pp|lpr|dpr))\((?P<line>\d+),\d+\) (Error|Fatal): (?P<what>.+)"),
    sure("build.compiler", "gnat", r"^(?P<file>[^\s:]+\.ad[bs]):(?P<line>\d+):\d+: (?P<what>(?!warning|note|info|\(style\)).+)"),
    sure("build.compiler", "verilator", r"^%Error(-\w+)?: (?P<file>[^\s:]+):(?P<line>\d+):(\d+:)? (?P<what>.+)"),
    sure("build.compiler", "ansible", r"^(ERROR! (?P<what>.+)|\S.*: FAILED! => )"),
    likely("build.compiler", "compiler", r"^(?P<file>[^\s:(][^:(]{0,200}\.\w{1,8})[:(](?P<line>\d+)[:,](\d+)?[):]?:? ?(?P<what>(fatal )?[Ee]rror(\[\w+\])?: .+)", yields_to=("lint.",)),
)

_TOOLS: Final = (
    sure("build.make", "make", r"^(\S*make(\.exe)?|gmake|ninja|just|task|mage)(\[\d+\])?: (\*\*\* |error: )(?P<what>(.*No rule to make target|No targets specified|missing separator|.*missing separator|multiple target patterns|Recipe commences|target .* (does not exist|not found)|unknown target|loading 'build\.ninja').*)"),
    sure("build.make", "make", r"^(?P<file>[^\s:]*[Mm]akefile[^\s:]*|\S+\.mk):(?P<line>\d+): \*\*\* (?P<what>(?!\[).+?)\.? +Stop\."),
    sure("build.make", "rake", r"^(?P<what>Don't know how to build task '.+'|No Rakefile found.*)"),
    sure("build.make", "just", r"^error: (?P<what>(Justfile does not contain recipe|No justfile found|Recipe .* not found).*)"),
    sure("build.make", "task", r"^task: (?P<what>(Task \"\S+\" does not exist|No Taskfile found).*)"),
    sure("build.make", "nx", r"^ *(NX|>) +(?P<what>(Cannot find (configuration for task|project)).*)"),
    sure("build.make", "bazel", r"^ERROR: (?P<what>.*(no such (target|package)|target '.*' not declared|Skipping '.*':).*)"),
    sure("build.make", "ant", r"^(?P<what>Target \".+\" does not exist in the project.*|Buildfile: \S+ does not exist!)"),
    wrapper("make", r"^(\S*make(\.exe)?|gmake)(\[\d+\])?: \*\*\* \[.*\] (Error \d+|Killed|Terminated|Segmentation fault|Aborted)"),
    wrapper("ninja", r"^ninja: build stopped: subcommand failed"),
    wrapper("just", r"^error: [Rr]ecipe `.+` failed (on line \d+ )?with exit code"),
    wrapper("npm", r"^(npm (ERR!|error) (code ELIFECYCLE|Lifecycle script|Exit status|Test failed)|\s?ELIFECYCLE|error Command failed with exit code|ERR_PNPM_RECURSIVE_RUN_FIRST_FAIL|error: script \"\S+\" exited with code)"),
    wrapper("bazel", r"^ERROR: .*(Build did NOT complete successfully|failed: \(Exit \d+\))|^FAILED: Build did NOT complete"),
    wrapper("turbo", r"^ *(ERROR +run failed: command +exited|Failed: +\S+#\S+| NX +Ran target .* failed)"),
    sure("build.cmake", "cmake", r"^CMake Error( at (?P<file>[^\s:]+):(?P<line>\d+)| in |:)"),
    sure("build.cmake", "cmake", r"^-- Configuring incomplete, errors occurred!"),
    sure("build.cmake", "meson", r"^(?P<file>\S*meson\.build):(?P<line>\d+):\d+: ERROR: (?P<what>.+)|^meson\.build:\d+:\d+: ERROR"),
    sure("build.cmake", "autoconf", r"^(configure: error: (?P<what>.+)|configure(\.ac|\.in)?:\d+: error: .+|autoreconf: error: )"),
    sure("build.cmake", "pkg-config", r"^(Package \S+ was not found in the pkg-config search path|No package '(?P<what>\S+)' found)"),
    sure("build.docker", "docker", r"^(ERROR: failed to (solve|build|compute cache key).*|failed to solve(: |with ).*|(ERROR: )?.*process \"/bin/sh -c .+\" did not complete successfully.*|The command '/bin/sh -c .+' returned a non-zero code: \d+|Error: error building at STEP|error: failed to solve: )", yields_to=("env.docker_down", "env.disk_full", "env.dns", "env.network")),
    sure("build.docker", "docker", r"^(dockerfile parse error|Error response from daemon: (dockerfile parse error|COPY failed|manifest for)|unknown instruction: )"),
    sure("build.protobuf", "protoc", r"^(?P<file>[^\s:]+\.(proto|thrift|capnp|fbs|avdl|graphqls?)):(?P<line>\d+):(\d+:?)? ?(?P<what>.+)", yields_to=("lint.",)),
    sure("build.protobuf", "codegen", r"^(GraphQLDocumentValidationError|.*\[FAILED\] .*(Unable to find any GraphQL|Cannot query field)|\S+\.proto: (File not found|Import))"),
    sure("build.terraform", "terraform", r"^[│|] ?Error: (?P<what>(?!.*(registry|timeout|lookup)).+)"),
    sure("build.terraform", "terraform", r"^Error: (?P<what>.+)", also=r"^ *on \S+\.(tf|hcl) line \d+"),
    sure("build.terraform", "helm", r"^Error: (?P<what>(template:|YAML parse error on|parse error at|INSTALLATION FAILED|execution error at|\d+ chart\(s\) linted, [1-9]).*)"),
    sure("build.documentation", "rustdoc", r"^error: (?P<what>could not document `.+)"),
    sure("build.documentation", "sphinx", r"^(Warning, treated as error:|Sphinx error:|build finished with problems, [1-9]\d* warnings? \(with warnings treated as errors\))"),
    sure("build.documentation", "mkdocs", r"^(Aborted with [1-9]\d* (warnings|errors?|Configuration Errors) in strict mode|Aborted with \d+ .*\bstrict)"),
    sure("build.documentation", "latex", r"^(! (LaTeX Error: |Undefined control sequence|Emergency stop)(?P<what>.*)|!  ==> Fatal error occurred|Latexmk: Errors, so I did not complete)"),
    sure("build.documentation", "docusaurus", r"^(\[ERROR\] )?(Error: )?(Docusaurus found broken links|Unable to build website for locale)"),
)

RULES: Final = (*_JAVASCRIPT, *_PYTHON, *_GO, *_RUST, *_C, *_JVM, *_DOTNET, *_OTHERS, *_TOOLS)

"""Compilers of C, C++, Go, Rust and Java, and what builds with them. The rule of this room: the expected class is a person's judgement."""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_CARGO: Final = '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n\n[lib]\npath = "lib.rs"\n'
_GO: Final = "module example.com/shop\n\ngo 1.22\n"
_GO_TEST: Final = 'package shop\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {\n\tif Add(1, 2) != 3 {\n\t\tt.Errorf("Add(1, 2) = %d, want 3", Add(1, 2))\n\t}\n}\n'
_POM: Final = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>com.example</groupId><artifactId>shop</artifactId><version>1</version>
<properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target>
<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.13.2</version><scope>test</scope></dependency>%s</dependencies></project>
"""

_NATIVE: Final = (
    Case(name="gcc_error", tool="gcc", command="gcc -c a.c", expected="build.c", files={"a.c": "int main(void) {\n  return foo\n}\n"}, stage="build"),
    Case(name="gcc_undeclared", tool="gcc", command="gcc -Wall -c a.c", expected="build.c", files={"a.c": "int main(void) {\n  int unused;\n  return bar();\n}\nint f(void) { return x; }\n"}, stage="build"),
    Case(name="gcc_werror", tool="gcc", command="gcc -Wall -Werror -c a.c", expected="build.c", files={"a.c": "int main(void) {\n  int unused;\n  return 0;\n}\n"}, stage="build"),
    Case(name="gcc_header", tool="gcc", command="gcc -c a.c", expected="build.c", files={"a.c": "#include <nowhere.h>\n"}, stage="build"),
    Case(name="gcc_link", tool="gcc", command="gcc a.c -o a", expected="build.link", files={"a.c": "int gone(void);\nint main(void) { return gone(); }\n"}, stage="build"),
    Case(name="gcc_library", tool="gcc", command="gcc a.c -lnowhere -o a", expected="build.link", files={"a.c": "int main(void) { return 0; }\n"}, stage="build"),
    Case(name="gpp_template", tool="g++", command="g++ -c a.cpp", expected="build.c", files={"a.cpp": "#include <vector>\n#include <algorithm>\nstruct S {};\nint main() { std::vector<S> v; std::sort(v.begin(), v.end()); }\n"}, stage="build"),
    Case(name="gcc_input_missing", tool="gcc", command="gcc nothing.c", expected="env.file_missing", stage="build"),
    Case(name="trap_gcc_warning", tool="gcc", command="gcc -Wall -c a.c", expected="unclassified", note="warnings only", files={"a.c": "int main(void) {\n  int error;\n  return 0;\n}\n"}, stage="build"),
    Case(name="make_compile", tool="make", command="make", expected="build.c", files={"Makefile": "all: a.o\n\na.o: a.c\n\tgcc -c a.c\n", "a.c": "int main( {\n"}, stage="build"),
    Case(name="make_no_rule", tool="make", command="make", expected="build.make", files={"Makefile": "all: gone.o\n"}, stage="build"),
    Case(name="make_no_target", tool="make", command="make test", expected="build.make", files={"Makefile": "all:\n\ttrue\n"}, stage="test"),
    Case(name="make_none", tool="make", command="make", expected="build.make", stage="build"),
    Case(name="make_separator", tool="make", command="make", expected="build.make", files={"Makefile": "all:\n    gcc -c a.c\n"}, stage="build"),
    Case(name="make_test_fails", tool="make", command="make test", expected="test.failed", files={"Makefile": "test:\n\tpython -m pytest -q\n", "test_a.py": "def test_a():\n    assert 1 == 2\n"}),
    Case(name="make_command_missing", tool="make", command="make", expected="env.command_missing", files={"Makefile": "all:\n\tprotocx --out .\n"}, stage="build"),
    Case(name="make_unknown", tool="make", command="make", expected="verify.failed", files={"Makefile": "all:\n\t@echo checking; exit 4\n"}, stage="build"),
    Case(name="cmake_package", tool="cmake", command="cmake -B build .", expected="build.cmake", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nfind_package(NowhereLib REQUIRED)\n"}, stage="build"),
    Case(name="cmake_syntax", tool="cmake", command="cmake -B build .", expected="build.cmake", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nnot_a_command(x)\n"}, stage="build"),
    Case(name="cmake_build", tool="cmake", command="cmake -B build . >/dev/null && cmake --build build", expected="build.c", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nadd_executable(a a.c)\n", "a.c": "int main(void) { return x; }\n"}, stage="build"),
    Case(name="ctest_fail", tool="ctest", command="cmake -B build . >/dev/null && cmake --build build >/dev/null && ctest --test-dir build", expected="test.failed", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nenable_testing()\nadd_executable(a a.c)\nadd_test(NAME sums COMMAND a)\n", "a.c": "int main(void) { return 1; }\n"}),
    Case(name="asan", tool="gcc", command="gcc -g -fsanitize=address a.c -o a && ./a", expected="test.sanitizer", files={"a.c": "#include <stdlib.h>\nint main(void) { int *p = malloc(4); free(p); return *p; }\n"}),
    Case(name="segfault", tool="gcc", command="gcc a.c -o a && ./a", expected="verify.crashed", files={"a.c": "int main(void) { return *(volatile int *)0; }\n"}),
    Case(name="assert_abort", tool="gcc", command="gcc a.c -o a && ./a", expected="verify.crashed", files={"a.c": "#include <assert.h>\nint main(void) { assert(1 == 2); }\n"}),
)

_GOLANG: Final = (
    Case(name="go_build", tool="go", command="go build ./...", expected="build.go", files={"go.mod": _GO, "a.go": 'package shop\n\nimport "fmt"\n\nfunc F() int {\n\treturn "x"\n}\n'}, stage="build"),
    Case(name="go_syntax", tool="go", command="go build ./...", expected="build.go", files={"go.mod": _GO, "a.go": "package shop\n\nfunc F( {\n"}, stage="build"),
    Case(name="go_vet", tool="go", command="go vet ./...", expected="build.go_vet", files={"go.mod": _GO, "a.go": 'package shop\n\nimport "fmt"\n\nfunc F() {\n\tfmt.Printf("%d", "x")\n}\n'}, stage="lint"),
    Case(name="go_test_fail", tool="go", command="go test ./...", expected="test.failed", files={"go.mod": _GO, "a.go": "package shop\n\nfunc Add(a, b int) int { return a - b }\n", "a_test.go": _GO_TEST}),
    Case(name="go_test_verbose", tool="go", command="go test -v ./...", expected="test.failed", files={"go.mod": _GO, "a.go": "package shop\n\nfunc Add(a, b int) int { return a - b }\n", "a_test.go": _GO_TEST}),
    Case(name="go_test_json", tool="go", command="go test -json ./...", expected="test.failed", files={"go.mod": _GO, "a.go": "package shop\n\nfunc Add(a, b int) int { return a - b }\n", "a_test.go": _GO_TEST}),
    Case(name="go_test_build_failed", tool="go", command="go test ./...", expected="build.go", files={"go.mod": _GO, "a.go": "package shop\n", "a_test.go": _GO_TEST}),
    Case(name="go_test_panic", tool="go", command="go test ./...", expected="test.failed", files={"go.mod": _GO, "a.go": "package shop\n\nfunc Add(a, b int) int { var p *int; return *p }\n", "a_test.go": _GO_TEST}),
    Case(name="go_test_timeout", tool="go", command="go test -timeout 1s ./...", expected="test.timeout", files={"go.mod": _GO, "a_test.go": 'package shop\n\nimport "testing"\n\nfunc TestHang(t *testing.T) { select {} }\n\nfunc TestB(t *testing.T) {}\n'.replace("select {}", "<-make(chan int)")}),
    Case(name="go_race", tool="go", command="go test -race ./...", expected="test.race", files={"go.mod": _GO, "a_test.go": 'package shop\n\nimport "testing"\n\nfunc TestRace(t *testing.T) {\n\tx := 0\n\tdone := make(chan bool)\n\tgo func() { x++; done <- true }()\n\tx++\n\t<-done\n\t_ = x\n}\n'}),
    Case(name="go_no_tests", tool="go", command="go test ./...", expected="verify.nothing_ran", files={"go.mod": _GO, "a.go": "package shop\n"}, note="exits with 0 although nothing was tested"),
    Case(name="go_missing_module", tool="go", command="go build ./...", expected="deps.go_mod", files={"go.mod": _GO, "a.go": 'package shop\n\nimport _ "github.com/google/uuid"\n'}, stage="build"),
    Case(name="go_sum_missing", tool="go", command="go build ./...", expected="deps.go_sum", files={"go.mod": _GO + "\nrequire github.com/google/uuid v1.6.0\n", "a.go": 'package shop\n\nimport _ "github.com/google/uuid"\n'}, stage="build"),
    Case(name="go_mod_readonly", tool="go", command="go list -mod=readonly -m all && go mod verify && go build -mod=vendor ./...", expected="deps.go_mod", files={"go.mod": _GO + "\nrequire github.com/google/uuid v1.6.0\n", "a.go": 'package shop\n\nimport _ "github.com/google/uuid"\n'}, before="go mod tidy 2>/dev/null; mkdir -p vendor; echo > vendor/modules.txt", stage="build"),
    Case(name="go_run_panic", tool="go", command="go run .", expected="verify.exception", files={"go.mod": _GO, "a.go": "package main\n\nfunc main() {\n\tvar m map[string]int\n\tm[\"a\"] = 1\n}\n"}, stage="build"),
    Case(name="gofmt_list", tool="go", command="gofmt -d . && test -z \"$(gofmt -l .)\"", expected="lint.format", files={"a.go": "package shop\nfunc  F( ) { }\n"}, stage="lint"),
    Case(name="go_toolchain", tool="go", command="GOTOOLCHAIN=local go build ./...", expected="env.runtime_version", files={"go.mod": "module example.com/shop\n\ngo 1.99\n", "a.go": "package shop\n"}, stage="build"),
    Case(name="go_no_mod", tool="go", command="go build ./...", expected="deps.go_mod", files={"a.go": "package shop\n"}, stage="build"),
)

_RUST: Final = (
    Case(name="rustc_code", tool="rustc", command="rustc --crate-type lib a.rs", expected="build.rustc", files={"a.rs": "pub fn f() -> i32 {\n    \"x\"\n}\n"}, stage="build"),
    Case(name="rustc_no_code", tool="rustc", command="rustc --crate-type lib a.rs", expected="build.rustc", files={"a.rs": "pub fn f( -> i32 {\n"}, stage="build"),
    Case(name="rustc_macro", tool="rustc", command="rustc --crate-type lib a.rs", expected="build.rustc", files={"a.rs": "pub fn f() { prinln!(\"x\"); }\n"}, stage="build"),
    Case(name="cargo_build", tool="cargo", command="cargo build", expected="build.rustc", files={"Cargo.toml": _CARGO, "lib.rs": "pub fn f(s: String) { let t = s; println!(\"{}\", s); }\n"}, stage="build"),
    Case(name="cargo_build_json", tool="cargo", command="cargo build --message-format json", expected="build.rustc", files={"Cargo.toml": _CARGO, "lib.rs": "pub fn f() -> i32 { \"x\" }\n"}, stage="build"),
    Case(name="cargo_test", tool="cargo", command="cargo test", expected="test.failed", files={"Cargo.toml": _CARGO, "lib.rs": "#[test]\nfn adds() {\n    assert_eq!(1 + 1, 3);\n}\n\n#[test]\nfn ok() {}\n"}),
    Case(name="cargo_test_compile", tool="cargo", command="cargo test", expected="build.rustc", files={"Cargo.toml": _CARGO, "lib.rs": "#[test]\nfn adds() {\n    assert_eq!(gone(), 3);\n}\n"}),
    Case(name="cargo_none", tool="cargo", command="cargo test", expected="verify.nothing_ran", files={"Cargo.toml": _CARGO, "lib.rs": ""}, note="exits with 0 although nothing was tested"),
    Case(name="clippy", tool="clippy", command="cargo clippy -- -D warnings", expected="lint.clippy", files={"Cargo.toml": _CARGO, "lib.rs": "pub fn f(v: &Vec<i32>) -> bool {\n    return v.len() == 0;\n}\n"}, stage="lint"),
    Case(name="cargo_fmt", tool="cargo", command="cargo fmt --check", expected="lint.format", files={"Cargo.toml": _CARGO, "lib.rs": "pub fn f( ){}\n"}, stage="lint"),
    Case(name="cargo_locked", tool="cargo", command="cargo build --locked --offline", expected="deps.cargo_lock_drift", before="cargo generate-lockfile --offline; sed -i s/0.1.0/0.2.0/ Cargo.toml", files={"Cargo.toml": _CARGO, "lib.rs": ""}, stage="build"),
    Case(name="cargo_offline", tool="cargo", command="cargo build --offline", expected="deps.cargo_not_found", files={"Cargo.toml": _CARGO + '[dependencies]\nserde = "1"\n', "lib.rs": ""}, stage="build"),
    Case(name="cargo_path_missing", tool="cargo", command="cargo build", expected="deps.manifest", files={"Cargo.toml": _CARGO + '[dependencies]\nother = { path = "../other" }\n', "lib.rs": ""}, stage="build"),
    Case(name="cargo_manifest", tool="cargo", command="cargo build", expected="deps.manifest", files={"Cargo.toml": "[package\n"}, stage="build"),
    Case(name="cargo_no_manifest", tool="cargo", command="cargo test", expected="env.file_missing", stage="test"),
    Case(name="cargo_subcommand", tool="cargo", command="cargo nextest run", expected="env.command_missing", files={"Cargo.toml": _CARGO, "lib.rs": ""}),
    Case(name="cargo_panic", tool="cargo", command="cargo run -q", expected="verify.exception", files={"Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n[[bin]]\nname = "a"\npath = "a.rs"\n', "a.rs": "fn main() { let v: Vec<i32> = vec![]; println!(\"{}\", v[1]); }\n"}, stage="build"),
    Case(name="trap_cargo_warning", tool="cargo", command="cargo build", expected="unclassified", note="a warning that talks of errors", files={"Cargo.toml": _CARGO, "lib.rs": "fn error_failed() {}\n"}, stage="build"),
)

_JAVA: Final = (
    Case(name="javac", tool="javac", command="javac A.java", expected="build.javac", files={"A.java": "class A {\n  int f() { return \"x\"; }\n  void g() { gone(); }\n}\n"}, stage="build"),
    Case(name="javac_syntax", tool="javac", command="javac A.java", expected="build.javac", files={"A.java": "class A {\n  int f() { return 1 }\n}\n"}, stage="build"),
    Case(name="javac_package", tool="javac", command="javac src/A.java", expected="build.javac", files={"src/A.java": "import org.nowhere.Thing;\nclass A { Thing t; }\n"}, stage="build"),
    Case(name="java_exception", tool="java", command="java A.java", expected="verify.exception", files={"A.java": "class A {\n  public static void main(String[] a) { throw new IllegalStateException(\"bad 429\"); }\n}\n"}, stage="build"),
    Case(name="java_class_missing", tool="java", command="java Gone", expected="env.file_missing", stage="build"),
    Case(name="java_heap", tool="java", command="java -Xmx20m A.java", expected="env.out_of_memory", files={"A.java": "import java.util.*;\nclass A {\n  public static void main(String[] a) { List<long[]> l = new ArrayList<>(); for (;;) l.add(new long[100000]); }\n}\n"}, stage="build"),
    Case(name="mvn_compile", tool="mvn", command="mvn -B -ntp compile", expected="build.javac", files={"pom.xml": _POM % "", "src/main/java/A.java": "class A {\n  int f() { return \"x\"; }\n}\n"}, stage="build"),
    Case(name="mvn_test", tool="mvn", command="mvn -B -ntp test", expected="test.failed", files={"pom.xml": _POM % "", "src/test/java/ATest.java": "import org.junit.*;\npublic class ATest {\n  @Test public void adds() { Assert.assertEquals(3, 1 + 1); }\n}\n"}),
    Case(name="mvn_dependency", tool="mvn", command="mvn -B -ntp compile", expected="deps.maven", files={"pom.xml": _POM % "<dependency><groupId>com.example.nowhere</groupId><artifactId>gone</artifactId><version>1</version></dependency>", "src/main/java/A.java": "class A {}\n"}, stage="build"),
    Case(name="mvn_pom", tool="mvn", command="mvn -B -ntp compile", expected="deps.manifest", files={"pom.xml": "<project><modelVersion>4.0.0</modelVersion></project>\n"}, stage="build"),
    Case(name="mvn_no_pom", tool="mvn", command="mvn -B -ntp test", expected="env.file_missing", stage="test"),
)

CASES: Final = (*_NATIVE, *_GOLANG, *_RUST, *_JAVA)

"""Ruby, PHP, Kotlin, Gradle, C#, Haskell, Elixir, Lua, Perl, clang: run where these tools are installed.

The rule of this room: the expected class is a person's judgement.
"""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_SPEC: Final = "RSpec.describe 'sums' do\n  it 'adds' do\n    expect(1 + 1).to eq(3)\n  end\n  it('is') {}\nend\n"
_PHP: Final = "<?php\nuse PHPUnit\\Framework\\TestCase;\nclass SumTest extends TestCase {\n  public function testAdds() { $this->assertSame(3, 1 + 1); }\n  public function testOk() { $this->assertTrue(true); }\n}\n"

CASES: Final = (
    Case(name="rspec_fail", tool="rspec", command="rspec", expected="test.failed", files={"spec/sum_spec.rb": _SPEC}),
    Case(name="rspec_load_error", tool="rspec", command="rspec", expected="test.collection", files={"spec/sum_spec.rb": "require_relative '../gone'\n" + _SPEC}),
    Case(name="rspec_gem_missing", tool="rspec", command="rspec", expected="deps.module_missing", files={"spec/sum_spec.rb": "require 'nowhere_gem'\n" + _SPEC}),
    Case(name="rspec_none", tool="rspec", command="rspec", expected="verify.nothing_ran", files={"a.rb": ""}),
    Case(name="minitest_fail", tool="ruby", command="ruby -rminitest/autorun test.rb", expected="test.failed", files={"test.rb": "class T < Minitest::Test\n  def test_a\n    assert_equal 3, 1 + 1\n  end\nend\n"}),
    Case(name="testunit_fail", tool="ruby", command="ruby test.rb", expected="test.failed", files={"test.rb": "require 'test/unit'\nclass T < Test::Unit::TestCase\n  def test_a\n    assert_equal(3, 1 + 1)\n  end\nend\n"}),
    Case(name="ruby_syntax", tool="ruby", command="ruby a.rb", expected="build.ruby_syntax", files={"a.rb": "def f\n  [1, 2\nend\n"}, stage="build"),
    Case(name="ruby_exception", tool="ruby", command="ruby a.rb", expected="verify.exception", files={"a.rb": "nil.upcase\n"}, stage="build"),
    Case(name="rubocop", tool="rubocop", command="rubocop", expected="lint.rubocop", files={"a.rb": "def f( a )\n  x=1\nend\n"}, stage="lint"),
    Case(name="bundler_missing", tool="bundle", command="bundle exec rspec", expected="deps.bundler", files={"Gemfile": "source 'https://rubygems.org'\ngem 'nowhere_gem_a1'\n"}),
    Case(name="bundler_no_gemfile", tool="bundle", command="bundle exec rspec", expected="deps.bundler"),
    Case(name="rake_missing_task", tool="rake", command="rake test", expected="build.make", files={"Rakefile": "task :build\n"}),
    Case(name="phpunit_fail", tool="phpunit", command="phpunit SumTest.php", expected="test.failed", files={"SumTest.php": _PHP}),
    Case(name="phpunit_error", tool="phpunit", command="phpunit --testdox SumTest.php", expected="test.failed", files={"SumTest.php": _PHP.replace("$this->assertSame(3, 1 + 1);", "gone();")}),
    Case(name="phpunit_none", tool="phpunit", command="phpunit SumTest.php", expected="verify.nothing_ran", files={"SumTest.php": "<?php\nclass SumTest extends PHPUnit\\Framework\\TestCase {}\n"}),
    Case(name="php_syntax", tool="php", command="php -l a.php", expected="build.php_syntax", files={"a.php": "<?php\nfunction f( {\n"}, stage="build"),
    Case(name="php_fatal", tool="php", command="php a.php", expected="verify.exception", files={"a.php": "<?php\ngone();\n"}, stage="build"),
    Case(name="phpcs", tool="phpcs", command="phpcs --standard=PSR12 a.php", expected="lint.phpcs", files={"a.php": "<?php\nfunction  f( $a ){\nreturn 1; }\n"}, stage="lint"),
    Case(name="composer_unknown", tool="composer", command="composer install --no-interaction --no-plugins", expected="deps.composer", files={"composer.json": '{"name":"a/b","repositories":[{"packagist.org":false}],"require":{"nowhere/gone":"^1.0"}}'}, stage="build"),
    Case(name="kotlinc", tool="kotlinc", command="kotlinc a.kt -d out", expected="build.kotlinc", files={"a.kt": "fun f(): Int = \"x\"\nfun g() = gone()\n"}, stage="build"),
    Case(name="gradle_task", tool="gradle", command="gradle --offline test", expected="build.gradle", files={"build.gradle": "", "settings.gradle": "rootProject.name = 'a'\n"}),
    Case(name="gradle_script", tool="gradle", command="gradle --offline help", expected="build.gradle", files={"build.gradle": "applyy plugin: 'java'\n", "settings.gradle": ""}, stage="build"),
    Case(name="gradle_javac", tool="gradle", command="gradle --offline compileJava", expected="build.javac", files={"build.gradle": "apply plugin: 'java'\n", "settings.gradle": "", "src/main/java/A.java": "class A { int f() { return \"x\"; } }\n"}, stage="build"),
    Case(name="gradle_dependency", tool="gradle", command="gradle --offline compileJava", expected="deps.gradle", files={"build.gradle": "apply plugin: 'java'\nrepositories { mavenCentral() }\ndependencies { compile 'com.example:gone:1.0' }\n", "settings.gradle": "", "src/main/java/A.java": "class A {}\n"}, stage="build"),
    Case(name="mcs", tool="mcs", command="mcs a.cs", expected="build.dotnet", files={"a.cs": "class A { static int Main() { return \"x\"; } }\n"}, stage="build"),
    Case(name="xbuild", tool="xbuild", command="xbuild a.csproj", expected="build.dotnet", files={"a.csproj": '<Project DefaultTargets="Build" ToolsVersion="4.0" xmlns="http://schemas.microsoft.com/developer/msbuild/2003"><PropertyGroup><OutputType>Exe</OutputType><AssemblyName>a</AssemblyName><OutputPath>bin/</OutputPath></PropertyGroup><ItemGroup><Compile Include="a.cs" /></ItemGroup><Import Project="$(MSBuildToolsPath)/Microsoft.CSharp.targets" /></Project>', "a.cs": "class A { static int Main() { return gone; } }\n"}, stage="build"),
    Case(name="clang_error", tool="clang", command="clang -c a.c", expected="build.c", files={"a.c": "int main(void) {\n  return x;\n}\n"}, stage="build"),
    Case(name="clang_link", tool="clang", command="clang a.c", expected="build.link", files={"a.c": "int gone(void);\nint main(void) { return gone(); }\n"}, stage="build"),
    Case(name="ghc", tool="ghc", command="ghc -c A.hs", expected="build.haskell", files={"A.hs": "module A where\nf :: Int\nf = \"x\"\n"}, stage="build"),
    Case(name="elixir_syntax", tool="elixir", command="elixir a.exs", expected="build.elixir", files={"a.exs": "defmodule A do\n  def f( do\nend\n"}, stage="build"),
    Case(name="exunit_fail", tool="elixir", command="elixir a.exs", expected="test.failed", files={"a.exs": "ExUnit.start()\ndefmodule ATest do\n  use ExUnit.Case\n  test \"adds\" do\n    assert 1 + 1 == 3\n  end\nend\n"}),
    Case(name="busted_fail", tool="busted", command="busted spec", expected="test.failed", files={"spec/a_spec.lua": "describe('sums', function() it('adds', function() assert.are.equal(3, 1 + 1) end) end)\n"}),
    Case(name="perl_prove", tool="prove", command="prove t", expected="test.failed", files={"t/a.t": "use Test::More tests => 2;\nok(1);\nis(1 + 1, 3, 'adds');\n"}),
    Case(name="perl_syntax", tool="perl", command="perl -c a.pl", expected="build.perl_syntax", files={"a.pl": "use strict;\nmy $x = ;\n"}, stage="build"),
    Case(name="gfortran", tool="gfortran", command="gfortran -c a.f90", expected="build.fortran", files={"a.f90": "program a\n  integer :: x\n  x = 'a'\n  y = 1\n  call\nend program\n"}, stage="build"),
    Case(name="valgrind", tool="valgrind", command="gcc -g a.c -o a && valgrind --error-exitcode=9 ./a", expected="test.sanitizer", files={"a.c": "#include <stdlib.h>\nint main(void) { int *p = malloc(4); return p[5]; }\n"}),
    Case(name="cppcheck", tool="cppcheck", command="cppcheck --error-exitcode=1 a.c", expected="lint.cppcheck", files={"a.c": "int main(void) { int a[2]; a[3] = 1; return 0; }\n"}, stage="lint"),
    Case(name="clang_tidy", tool="clang-tidy", command="clang-tidy --warnings-as-errors='*' --checks='bugprone-*' a.c --", expected="lint.clang_tidy", files={"a.c": "int f(int a) { if (a = 1) return 1; return sizeof(a == 1); }\nint g(int x) { return x * sizeof(sizeof(x)); }\n"}, stage="lint"),
)

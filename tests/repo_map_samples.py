"""A little of each language that the map reads: the source, what it defines (by kind and name), and what it refers to.

Rule of this room: what is expected is written by hand. `defines` is all of it; of references the ones that matter are named.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Sample(NamedTuple):
    file: str
    text: str
    defines: str
    refers: str = ""


SAMPLES: Final[dict[str, Sample]] = {
    "bash": Sample(
        "run.sh",
        'function greet() {\n  say "hi"\n}\nother() { shout; }\n',
        "function:greet function:other",
        "say shout",
    ),
    "c": Sample(
        "find.c",
        "#define TWICE(x) ((x)*2)\ntypedef struct point { int x; } point_t;\nstruct node { int v; };\nenum "
        "color { RED };\n"
        "static int *find(struct road *n) {\n  return look(n->v);\n}\nint declared(int);\nstruct node *used;\n",
        "macro:TWICE type:point_t struct:point_t.point struct:node enum:color function:find",
        "look road",
    ),
    "cpp": Sample(
        "stack.cpp",
        "namespace app {\ntemplate <class T> class Stack : public Base { public: void push(T v); int size() "
        "{ return count(); } };\n"
        "void Stack::push(int v) { helper(v); this->grow(); std::sort(v); auto p = new Node(1); make<Foo>(2); }\n"
        "using Alias = int;\nint &Stack::ref() { return x; }\nStack::~Stack() {}\nbool operator==(A a, B b) {}\n}\n",
        "class:Stack function:Stack.size function:push type:Alias function:ref",
        "Base count helper grow sort Node make Foo",
    ),
    "csharp": Sample(
        "Car.cs",
        "namespace N { interface IRun { void Go(); }\npublic class Car : Base { public Car() {} public int "
        "Speed { get; set; }\n"
        "public void Drive(Road r) { Start(); engine.Spin<int>(); new Wheel(); } }\n"
        "enum E { A } struct P {} record R(int X); delegate void D(); }\n",
        "interface:IRun method:IRun.Go class:Car method:Car.Car property:Car.Speed method:Car.Drive enum:E "
        "struct:P record:R"
        " delegate:D",
        "Base Road Start Spin Wheel",
    ),
    "css": Sample(
        "site.css",
        ".card { color: red }\n#main .title:hover { x: y }\n@keyframes spin { }\n",
        "class:card id:main class:title keyframes:spin",
    ),
    "dart": Sample(
        "cat.dart",
        "class Cat extends Animal with Fur { void meow(int n) { purr(n); this.lick(); } int get age => 1; }\n"
        "int add(int a) { return plus(a); }\nenum E { a }\nmixin Mix {}\nextension X on Dog {}\ntypedef F = "
        "void Function();\n",
        "class:Cat function:Cat.meow property:Cat.age function:add enum:E mixin:Mix extension:X type:F",
        "Animal Fur purr lick plus Dog",
    ),
    "elixir": Sample(
        "user.ex",
        "defmodule App.User do\n  def load(id) do\n    Repo.get(Thing, id)\n    other(id)\n  end\n  defp "
        "hidden(x), do: x\n"
        "  defmacro m(x) do\n x end\n  def noargs do 1 end\n  def guard(x) when x > 1 do x end\nend\n",
        "module:User function:User.load function:User.hidden macro:User.m function:User.noargs function:User.guard",
        "Repo get Thing other",
    ),
    "go": Sample(
        "user.go",
        "package a\ntype User struct { Name string }\nfunc Load(id Key) *User { return find(id) }\n"
        "func (u *User) Save() error { db.Put(u); return nil }\nconst Max = 1\nvar Def = New[int]()\n",
        "type:User function:Load method:Save constant:Max variable:Def",
        "Key find Put New",
    ),
    "haskell": Sample(
        "M.hs",
        "module M where\ndata Shape = Circle Int | Sq\nclass Area a where\n  area :: a -> Int\nnewtype W = W "
        "Int\ntype S = String\n"
        "compute :: Int -> Int\ncompute x = twice (add x 1)\nplain = 3\n",
        "type:Shape class:Area type:W type:S function:compute function:plain",
        "twice add String",
    ),
    "hcl": Sample(
        "main.tf",
        'resource "aws_s3_bucket" "logs" {\n  arn = aws_iam_role.app.arn\n  x = lookup(a)\n}\nvariable "region" {}\n',
        "resource:logs variable:region",
        "app lookup",
    ),
    "html": Sample("page.html", '<div id="main" class="card wide"></div>\n', "id:main", "card wide"),
    "java": Sample(
        "Car.java",
        "package p;\npublic class Car extends Base implements Run {\n  public Car() { super(); }\n"
        "  @Audited void drive(Road r) throws Fault { start(); engine.spin(); new Wheel(); }\n}\n"
        "interface Go { void go(); }\nenum E { A }\nrecord P(int x) {}\n@interface Ann {}\n",
        "class:Car method:Car.Car method:Car.drive interface:Go method:Go.go enum:E record:P annotation:Ann",
        "Base Run Road Fault start spin Wheel Audited",
    ),
    "javascript": Sample(
        "load.js",
        'import { zed } from "./z";\nfunction load(a) { function inner() {}\n return fetchIt(a); }\n'
        "class Box extends Base { open() { this.spin(); new Lid(); } static s = () => 1; }\n"
        "const arrow = (x) => x;\nexport const MAX = 3;\nconst fs = require('fs');\nmodule.exports.foo = "
        "function () {};\n"
        "Box.prototype.close = function() {};\nconst o = { method() {}, key: function() {} };\nfunction* gen() {}\n",
        "function:load class:Box method:Box.open method:Box.s function:arrow variable:MAX function:foo "
        "function:close variable:o"
        " method:o.method method:o.key function:gen",
        "zed fetchIt Base spin Lid",
    ),
    "kotlin": Sample(
        "Car.kt",
        "package p\nclass Car(val x: Key) : Base(), Run { fun drive(r: Road) { start(); engine.spin() } "
        "}\nobject Single { }\n"
        "fun add(a: Int) = plus(a)\ntypealias T = Int\nfun String.ext() {}\n",
        "class:Car function:Car.drive object:Single function:add type:T function:ext",
        "Key Base Run Road start spin plus",
    ),
    "lua": Sample(
        "load.lua",
        "function load(a) return find(a) end\nlocal function hid() end\nfunction M.save(x) db.put(x) end\n"
        "function M:open() self:close() end\nM.fn = function() end\nlocal anon = function() end\n",
        "function:load function:hid function:save function:open function:fn function:anon",
        "find put close",
    ),
    "nix": Sample(
        "default.nix",
        "{ pkgs, ... }: { services.nginx.enable = true; foo = x: callPackage x {}; bar = pkgs.lib.mkIf true 1; }\n",
        "binding:enable binding:foo binding:bar",
        "callPackage mkIf",
    ),
    "php": Sample(
        "Car.php",
        "<?php\nnamespace A;\nclass Car extends Base implements Run { const X=1; function drive(Road $r) { start();\n"
        "$this->spin(); Foo::make(); new Wheel(); } }\ninterface Go {}\ntrait T {}\nfunction add($a) { "
        "return plus($a); }\nenum E {}\n",
        "class:Car constant:Car.X method:Car.drive interface:Go trait:T function:add enum:E",
        "Base Run Road start spin make Wheel plus",
    ),
    "python": Sample(
        "car.py",
        "from a import thing as c\nMAX = 1\n__all__ = []\nclass Car(Base, metaclass=Meta):\n    x: Road = "
        "1\n    @deco\n"
        "    def drive(self, r: Way) -> Out:\n        def inner(): pass\n        start()\n        "
        "self.spin()\n        return Wheel()\n"
        "async def go():\n    local = 1\n",
        "variable:MAX class:Car function:Car.drive function:go",
        "thing Base Road deco Way Out start spin Wheel",
    ),
    "ruby": Sample(
        "car.rb",
        "module M\n  class Car < Base\n    def drive(r)\n      start(r)\n      engine.go\n      Wheel.new\n    end\n"
        "    def self.make; end\n    include Foo\n  end\nend\nMAX = 1\n",
        "module:M class:M.Car method:Car.drive method:Car.make constant:MAX",
        "Base start go Wheel Foo",
    ),
    "rust": Sample(
        "car.rs",
        "pub struct Car<T> { x: Road }\nenum E { A }\ntrait Run { fn go(&self); }\n"
        "impl Run for Car<u8> { fn drive(&self) { start(); self.spin(); Wheel::make(); mac!(x); a::b::c(1); } }\n"
        "fn add(a: Foo) -> Bar { plus(a) }\nmacro_rules! own { () => {} }\nmod m { }\nconst MAX: u8 = "
        "1;\ntype T = u8;\n",
        "struct:Car enum:E trait:Run function:Run.go function:Car.drive function:add macro:own module:m "
        "constant:MAX type:T",
        "Road start spin make mac c Foo Bar plus",
    ),
    "scala": Sample(
        "Car.scala",
        "package p\nclass Car(x: Key) extends Base with Run { def drive(r: Road): Out = { start(r); "
        "engine.spin(); new Wheel() } }\n"
        "object Single { val Max = 1 }\ntrait Go\ntype T = Int\nenum E { case A }\n",
        "class:Car function:Car.drive object:Single trait:Go type:T enum:E",
        "Key Base Run Road Out start spin Wheel",
    ),
    "solidity": Sample(
        "Bank.sol",
        "pragma solidity ^0.8.0;\ncontract Bank is Base { event Paid(uint x); struct S { uint a; } modifier "
        "only() { _; } error Bad();\n"
        "enum E {A} function pay(uint a) public { send(a); emit Told(a); token.mint(a); } }\ninterface I { "
        "}\nlibrary L { }\n",
        "contract:Bank event:Bank.Paid struct:Bank.S modifier:Bank.only error:Bank.Bad enum:Bank.E "
        "function:Bank.pay interface:I"
        " library:L",
        "Base send Told mint",
    ),
    "swift": Sample(
        "Car.swift",
        "protocol Go { func go() }\nclass Car: Base, Run { var x: Road; func drive(_ r: Way) -> Out { "
        "start(); engine.spin();\n"
        "return Wheel() } }\nstruct P { }\nenum E { case a }\nextension Car { func more() {} }\nfunc add(a: "
        "Foo) -> Bar { return plus(a) }\n"
        "typealias T = Int\n",
        "protocol:Go function:Go.go class:Car function:Car.drive class:P class:E function:more function:add type:T",
        "Base Run Road Way Out start spin Wheel Foo Bar plus",
    ),
    "tsx": Sample(
        "App.tsx",
        "export const App: React.FC<P> = () => <Button onClick={go} />;\nfunction F(){ return <div><Row "
        'a="1">x</Row></div> }\n',
        "function:App function:F",
        "FC P Button Row",
    ),
    "typescript": Sample(
        "car.ts",
        "interface User { name: string; greet(): void }\ntype Id = string;\nenum E { A }\n"
        "abstract class Car<T> extends Base implements Run { private x: Road; drive(r: Way): void { "
        "start<Foo>(r); new Wheel(); }\n"
        "abstract stop(): void; }\nexport function go(a: Key): Bar { return a.b(); }\nnamespace N { }\nconst "
        "f = async () => 1;\n",
        "interface:User method:User.greet type:Id enum:E class:Car method:Car.drive method:Car.stop "
        "function:go namespace:N function:f",
        "Base Run Road Way start Foo Wheel Key Bar b",
    ),
}
"""By grammar."""

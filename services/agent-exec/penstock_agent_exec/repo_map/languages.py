"""The languages that the map reads: which files are theirs, and which nodes of their trees define or refer to something.

Rule of this room: data only. Kinds of nodes are those of the grammars that ast-grep-py brings; whoever changes a table raises
TABLE_VERSION, since what was parsed by the old one is kept on disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TABLE_VERSION: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """`definitions`: kinds of nodes that define, and what people call it. `outermost`: the same, but only where the node is not
    inside a function. `scopes`: kinds that define nothing and give what is inside them a name. `calls`: kinds whose callee (or
    created type) is a reference. `types`: kinds of leaves that are references by themselves, wherever they stand."""

    name: str
    grammar: str
    endings: tuple[str, ...]
    definitions: Mapping[str, str]
    calls: frozenset[str]
    types: frozenset[str] = frozenset()
    outermost: Mapping[str, str] = field(default_factory=dict)
    scopes: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()


def kinds(text: str) -> frozenset[str]:
    """The kinds in a text, which reads better than so many quotes."""
    return frozenset(text.split())


_C_DEFINITIONS: Final = {
    "function_definition": "function",
    "preproc_function_def": "macro",
    "type_definition": "type",
    "struct_specifier": "struct",
    "union_specifier": "union",
    "enum_specifier": "enum",
}
_JAVASCRIPT_DEFINITIONS: Final = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "class_declaration": "class",
    "method_definition": "method",
    "field_definition": "method",
    "pair": "method",
    "assignment_expression": "function",
}
_TYPESCRIPT_DEFINITIONS: Final = {
    name: kind for name, kind in _JAVASCRIPT_DEFINITIONS.items() if name != "field_definition"
} | {
    "public_field_definition": "method",
    "abstract_class_declaration": "class",
    "interface_declaration": "interface",
    "type_alias_declaration": "type",
    "enum_declaration": "enum",
    "method_signature": "method",
    "abstract_method_signature": "method",
    "function_signature": "function",
    "internal_module": "namespace",
    "module": "namespace",
}
_JSX: Final = "jsx_opening_element jsx_self_closing_element"
_JAVASCRIPT_CALLS: Final = kinds(f"call_expression new_expression class_heritage import_specifier {_JSX}")

LANGUAGES: Final = (
    Language(
        name="Bash",
        grammar="bash",
        endings=(".sh", ".bash", ".bats"),
        definitions={"function_definition": "function"},
        calls=kinds("command_name"),
    ),
    Language(
        name="C",
        grammar="c",
        endings=(".c", ".h"),
        definitions=_C_DEFINITIONS,
        calls=kinds("call_expression"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="C++",
        grammar="cpp",
        endings=(".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".h++", ".ipp", ".inl", ".cu", ".cuh"),
        definitions=_C_DEFINITIONS
        | {"class_specifier": "class", "alias_declaration": "type", "concept_definition": "concept"},
        calls=kinds("call_expression"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="C#",
        grammar="csharp",
        endings=(".cs",),
        definitions={
            "class_declaration": "class",
            "interface_declaration": "interface",
            "struct_declaration": "struct",
            "record_declaration": "record",
            "enum_declaration": "enum",
            "delegate_declaration": "delegate",
            "method_declaration": "method",
            "constructor_declaration": "method",
            "property_declaration": "property",
        },
        calls=kinds(
            "invocation_expression object_creation_expression base_list parameter variable_declaration attribute"
        ),
    ),
    Language(
        name="CSS",
        grammar="css",
        endings=(".css",),
        definitions={"class_selector": "class", "id_selector": "id", "keyframes_statement": "keyframes"},
        calls=frozenset(),
    ),
    Language(
        name="Dart",
        grammar="dart",
        endings=(".dart",),
        definitions={
            "class_declaration": "class",
            "mixin_declaration": "mixin",
            "extension_declaration": "extension",
            "enum_declaration": "enum",
            "type_alias": "type",
            "function_signature": "function",
            "getter_signature": "property",
            "setter_signature": "property",
        },
        calls=kinds("call_expression"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="Elixir",
        grammar="elixir",
        endings=(".ex", ".exs"),
        definitions={"call": "function"},
        calls=kinds("call"),
        types=kinds("alias"),
    ),
    Language(
        name="Go",
        grammar="go",
        endings=(".go",),
        definitions={
            "function_declaration": "function",
            "method_declaration": "method",
            "type_spec": "type",
            "type_alias": "type",
        },
        outermost={"const_spec": "constant", "var_spec": "variable"},
        calls=kinds("call_expression"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="Haskell",
        grammar="haskell",
        endings=(".hs",),
        definitions={
            "data_type": "type",
            "newtype": "type",
            "type_synonym": "type",
            "class": "class",
            "function": "function",
            "bind": "function",
        },
        calls=kinds("apply"),
        types=kinds("name constructor"),
    ),
    Language(
        name="HCL",
        grammar="hcl",
        endings=(".tf", ".hcl", ".tfvars"),
        definitions={"block": "block"},
        calls=kinds("function_call get_attr"),
    ),
    Language(
        name="HTML",
        grammar="html",
        endings=(".html", ".htm"),
        definitions={"attribute": "id"},
        calls=kinds("attribute"),
    ),
    Language(
        name="Java",
        grammar="java",
        endings=(".java",),
        definitions={
            "class_declaration": "class",
            "interface_declaration": "interface",
            "enum_declaration": "enum",
            "record_declaration": "record",
            "annotation_type_declaration": "annotation",
            "method_declaration": "method",
            "constructor_declaration": "method",
        },
        calls=kinds("method_invocation marker_annotation annotation"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="JavaScript",
        grammar="javascript",
        endings=(".js", ".jsx", ".mjs", ".cjs"),
        definitions=_JAVASCRIPT_DEFINITIONS,
        outermost={"variable_declarator": "variable"},
        calls=_JAVASCRIPT_CALLS,
    ),
    Language(
        name="Kotlin",
        grammar="kotlin",
        endings=(".kt", ".kts"),
        definitions={
            "class_declaration": "class",
            "object_declaration": "object",
            "function_declaration": "function",
            "type_alias": "type",
        },
        calls=kinds("call_expression"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="Lua",
        grammar="lua",
        endings=(".lua",),
        definitions={"function_declaration": "function", "assignment_statement": "function"},
        calls=kinds("function_call"),
    ),
    Language(
        name="Nix",
        grammar="nix",
        endings=(".nix",),
        definitions={"binding": "binding"},
        calls=kinds("apply_expression"),
    ),
    Language(
        name="PHP",
        grammar="php",
        endings=(".php", ".inc", ".phtml"),
        definitions={
            "class_declaration": "class",
            "interface_declaration": "interface",
            "trait_declaration": "trait",
            "enum_declaration": "enum",
            "function_definition": "function",
            "method_declaration": "method",
            "const_element": "constant",
        },
        calls=kinds(
            "function_call_expression member_call_expression scoped_call_expression object_creation_expression"
            " nullsafe_member_call_expression base_clause class_interface_clause named_type class_constant_access_expression"
        ),
    ),
    Language(
        name="Python",
        grammar="python",
        endings=(".py", ".pyi", ".pyx"),
        definitions={
            "function_definition": "function",
            "class_definition": "class",
            "type_alias_statement": "type",
        },
        outermost={"assignment": "variable"},
        calls=kinds("call decorator type import_from_statement"),
    ),
    Language(
        name="Ruby",
        grammar="ruby",
        endings=(".rb", ".rake", ".gemspec", ".ru"),
        files=("Rakefile", "Gemfile"),
        definitions={
            "class": "class",
            "module": "module",
            "method": "method",
            "singleton_method": "method",
        },
        outermost={"assignment": "constant"},
        calls=kinds("call"),
        types=kinds("constant"),
    ),
    Language(
        name="Rust",
        grammar="rust",
        endings=(".rs",),
        definitions={
            "function_item": "function",
            "function_signature_item": "function",
            "struct_item": "struct",
            "enum_item": "enum",
            "union_item": "union",
            "trait_item": "trait",
            "mod_item": "module",
            "type_item": "type",
            "macro_definition": "macro",
            "const_item": "constant",
            "static_item": "constant",
        },
        scopes=kinds("impl_item"),
        calls=kinds("call_expression macro_invocation"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="Scala",
        grammar="scala",
        endings=(".scala", ".sc"),
        definitions={
            "class_definition": "class",
            "object_definition": "object",
            "trait_definition": "trait",
            "enum_definition": "enum",
            "type_definition": "type",
            "function_definition": "function",
            "function_declaration": "function",
        },
        calls=kinds("call_expression"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="Solidity",
        grammar="solidity",
        endings=(".sol",),
        definitions={
            "contract_declaration": "contract",
            "interface_declaration": "interface",
            "library_declaration": "library",
            "function_definition": "function",
            "modifier_definition": "modifier",
            "event_definition": "event",
            "error_declaration": "error",
            "struct_declaration": "struct",
            "enum_declaration": "enum",
        },
        calls=kinds("call_expression emit_statement user_defined_type modifier_invocation"),
    ),
    Language(
        name="Swift",
        grammar="swift",
        endings=(".swift",),
        definitions={
            "class_declaration": "class",
            "protocol_declaration": "protocol",
            "function_declaration": "function",
            "protocol_function_declaration": "function",
            "typealias_declaration": "type",
        },
        calls=kinds("call_expression"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="TypeScript",
        grammar="typescript",
        endings=(".ts", ".mts", ".cts"),
        definitions=_TYPESCRIPT_DEFINITIONS,
        outermost={"variable_declarator": "variable"},
        calls=_JAVASCRIPT_CALLS - kinds(f"class_heritage {_JSX}") | kinds("extends_clause"),
        types=kinds("type_identifier"),
    ),
    Language(
        name="TypeScript with JSX",
        grammar="tsx",
        endings=(".tsx",),
        definitions=_TYPESCRIPT_DEFINITIONS,
        outermost={"variable_declarator": "variable"},
        calls=_JAVASCRIPT_CALLS - kinds("class_heritage") | kinds("extends_clause"),
        types=kinds("type_identifier"),
    ),
)

BY_GRAMMAR: Final = {language.grammar: language for language in LANGUAGES}
BY_ENDING: Final = {ending: language for language in LANGUAGES for ending in language.endings}
BY_FILE: Final = {file: language for language in LANGUAGES for file in language.files}

C: Final = BY_GRAMMAR["c"]
CPP: Final = BY_GRAMMAR["cpp"]


def language_of(path: str) -> Language | None:
    """By the file's name alone. A `.h` is C's; whoever knows the other files may know better."""
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    if dot and stem:
        return BY_ENDING.get(f".{ending.lower()}")
    return BY_FILE.get(name)

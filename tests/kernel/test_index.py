"""The index of C definitions: what a file defines, as its own bytes, where, on which conditions, and what it needs."""

import textwrap

import pytest

from skdiff.kernel.index import Definition, Member, conditions_by_line, declared, definitions, is_member_path
from skdiff.kernel.mentions import Mention


def source(text: str) -> bytes:
    return textwrap.dedent(text).lstrip("\n").encode()


def all_of(text: str) -> list[Definition]:
    """The definitions in a text, each checked against it: byte for byte, at its lines."""
    data = source(text)
    found = definitions(data, "a.h")
    lines = data.split(b"\n")
    for definition in found:
        own = definition.text.removesuffix(b";")
        assert own in b"\n".join(lines[definition.line - 1 : definition.end_line])
        assert own.split(b"\n")[0] in lines[definition.line - 1]
        assert definition.file == "a.h"
    return found


def one(text: str, name: str = "") -> Definition:
    (found,) = (d for d in all_of(text) if not name or d.name == name)
    return found


def names(definition: Definition, kind: str = "name") -> set[str]:
    """What a definition mentions of a kind, but for the types that C has itself."""
    return {r.name for r in definition.references if r.kind == kind} - {"int", "void", "long", "char", "short"}


# --- what is a definition ---


@pytest.mark.parametrize(
    ("text", "kind", "name", "all_names"),
    [
        ("int f(void) { return 1; }", "function", "f", ("f",)),
        ("static inline const struct a *f(int x)\n{\n\treturn 0;\n}", "function", "f", ("f",)),
        ("int (*f(void))(int)\n{\n\treturn 0;\n}", "function", "f", ("f",)),
        ("#define M 1", "macro", "M", ("M",)),
        ("#define M", "macro", "M", ("M",)),
        ("#define M(a, b...) f(a, ##b)", "macro", "M", ("M",)),
        ("# define M 1", "macro", "M", ("M",)),
        ("struct s { int x; };", "tag", "s", ()),
        ("union u { int x; };", "tag", "u", ()),
        ("struct s {\n\tint x;\n} __attribute__((packed));", "tag", "s", ()),
        ("enum { A, B = 4, C };", "enum", "A", ("A", "B", "C")),
        ("enum e { A, };", "enum", "e", ("A",)),
        ("typedef unsigned long t;", "typedef", "t", ("t",)),
        ("typedef int t, *u;", "typedef", "t", ("t", "u")),
        ("typedef int (*t)(int, char);", "typedef", "t", ("t",)),
        ("typedef struct { int x; } t;", "typedef", "t", ("t",)),
        ("typedef enum { A, B } t;", "typedef", "t", ("t", "A", "B")),
        ("int v;", "variable", "v", ("v",)),
        ("static const int v[3] = { 1, 2 };", "variable", "v", ("v",)),
        ("struct s *v = 0;", "variable", "v", ("v",)),
    ],
)
def test_each_kind_of_definition_is_found(text: str, kind: str, name: str, all_names: tuple[str, ...]) -> None:
    found = one(text)
    assert (found.kind, found.name, found.names) == (kind, name, all_names)


@pytest.mark.parametrize(
    "text",
    [
        "int f(void);",
        "extern int v;",
        "extern struct s s;",
        "struct s;",
        "static int f(int x), g(int x);",
        "/* int f(void) { return 1; } */",
        "#include <stdio.h>",
        "#undef M",
    ],
)
def test_a_declaration_defines_nothing(text: str) -> None:
    assert all_of(text) == []


def test_definitions_are_in_the_order_of_the_file() -> None:
    text = "#define A 1\nint b;\nenum { C };\nstruct d { int x; };\ntypedef int e;\nint f(void) { return 0; }\n"
    assert [d.kind for d in all_of(text)] == ["macro", "variable", "enum", "tag", "typedef", "function"]
    assert [d.line for d in all_of(text)] == [1, 2, 3, 4, 5, 6]


def test_a_text_is_that_of_the_file_byte_for_byte() -> None:
    text = 'int  f( void )\t/* ä\xff */\n{\n\n   return "\\"}"[0] ; }\nint g;\n'.encode("latin-1")
    function, _ = definitions(text, "a.c")
    assert function.text == text.removesuffix(b"\nint g;\n")
    assert (function.line, function.end_line) == (1, 4)


def test_struct_and_enum_get_their_semicolon_and_nothing_else() -> None:
    struct, enum = all_of("struct s {\n\tint x;\n};\nenum e { A };\n")
    assert (struct.text, struct.line, struct.end_line) == (b"struct s {\n\tint x;\n};", 1, 3)
    assert (enum.text, enum.line, enum.end_line) == (b"enum e { A };", 4, 4)


def test_the_line_above_a_definition_is_its_comment_if_it_is_one() -> None:
    text = """
    /* Why it is here. */
    #define A 1
    #define B 2
    int c; /* not above */
    int d;
    """
    assert {d.name: d.comment for d in all_of(text)} == {"A": "Why it is here.", "B": "", "c": "", "d": ""}


def test_names_that_a_header_declares_or_defines() -> None:
    text = "struct s { int x; };\nint f(void);\nextern int v;\n#define M 1\nenum { A };\nint g(void) { return 1; }\n"
    assert declared(source(text)) == {"f", "v", "M", "A", "g"}


# --- macros ---


def test_a_macro_goes_on_behind_a_backslash_and_a_comment_before_it() -> None:
    text = (
        "#define M(a) \\\n\t({\t\t/* first */ \\\n\t\tone(a);\t/* second */\t\\\n\t\ttwo(a); \\\n\t})\n"
        "static int after(void)\n{\n\treturn 1;\n}\n"
    )
    macro, after = all_of(text)
    assert macro.text.endswith(b"})")
    assert (macro.name, macro.line, macro.end_line) == ("M", 1, 5)
    assert macro.text == b"\n".join(text.encode().split(b"\n")[:5])
    assert {r.name: r.line for r in macro.references} == {"one": 3, "two": 4}
    assert (after.name, after.line, after.end_line) == ("after", 6, 9)


def test_a_macro_at_the_end_of_a_file_without_a_newline() -> None:
    assert one("#define M \\\n\tx").text == b"#define M \\\n\tx"


def test_macros_inside_a_struct_are_definitions_of_their_own() -> None:
    found = all_of("struct s {\n\tstruct c common;\n#define s_first\tcommon.first\n\tint x;\n};\n")
    assert [(d.kind, d.name) for d in found] == [("tag", "s"), ("macro", "s_first")]
    assert found[1].line == 3


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("(x) + y", {"y"}),
        ("other(x, CONST)", {"other", "CONST"}),
        ('printf("text %d words", x)', {"printf"}),
        ("x /* not these words */ + z", {"z"}),
        ("'c' + z", {"z"}),
        ("({ typeof(x) local = (x); local + z; })", {"z"}),
        ("({ int a_, b_ = 1; a_ + b_ + z; })", {"z"}),
        ("prefix_##x + z", {"z"}),
        ("(x##_suffix + z)", {"z"}),
        ("__attribute__((unused, aligned(8))) z", {"z"}),
        ("for (; x; z) while (1) continue", {"z"}),
    ],
)
def test_words_of_a_macro_are_names_but_for_what_is_its_own(body: str, wanted: set[str]) -> None:
    assert names(one(f"#define M(x) {body}")) == wanted


def test_a_macros_members_and_tags_are_no_names() -> None:
    macro = one("#define M(p) (((struct s *)(p))->member.inner + sizeof(union u) + z)")
    assert (names(macro), names(macro, "field"), names(macro, "tag")) == ({"z"}, {"member", "inner"}, {"s", "u"})


@pytest.mark.parametrize(
    ("text", "is_path"),
    [
        ("#define sk_refcnt __sk_common.skc_refcnt", True),
        ("#define deep a.b.c", True),
        ("#define sk_refcnt\t\t__sk_common.skc_refcnt\t", True),
        ("#define first second", False),
        ("#define sum a.b + 1", False),
        ("#define arrow a->b", False),
        ("#define nothing", False),
        ("int a;", False),
    ],
)
def test_a_macro_that_renames_a_member_is_a_path(text: str, is_path: bool) -> None:
    found = one(text)
    assert is_member_path(found) == is_path
    if is_path:
        assert names(found, "path") == {found.text.split()[2].split(b".")[0].decode()}
        assert names(found) == set()
        assert "skc_refcnt" not in found.text.decode() or names(found, "field") == {"skc_refcnt"}


# --- what a definition needs ---


def test_locals_parameters_and_members_are_no_names() -> None:
    function = one("""
    static int f(int parameter, struct s *p)
    {
        int local = outside(parameter), second, *third = &second;
        for (int i = 0; i < LIMIT; i++)
            local += table[i];
        return p->member.inner + local + *third;
    }
    """)
    assert names(function) == {"outside", "LIMIT", "table"}
    assert names(function, "field") == {"member", "inner"}
    assert names(function, "tag") == {"s"}


def test_a_function_does_not_need_itself() -> None:
    assert names(one("int f(int x) { return x ? g(x) : f(0); }")) == {"g"}


def test_types_are_names() -> None:
    assert names(one("u32 f(bool x) { return (u16)x; }")) == {"u32", "bool", "u16"}


def test_labels_and_gotos_are_no_names() -> None:
    assert names(one("int f(void) { again: if (x) goto again; return 0; }")) == {"x"}


def test_references_have_their_lines() -> None:
    function = one("int f(void)\n{\n\tone();\n\n\ttwo();\n}\n")
    assert {r.name: r.line for r in function.references if r.name in ("one", "two")} == {"one": 3, "two": 5}


def test_a_designated_initialiser_names_members() -> None:
    variable = one("static struct s v = {\n\t.first = ONE,\n\t.second.inner = two,\n};")
    assert names(variable, "field") == {"first", "second", "inner"}
    assert names(variable) == {"ONE", "two"}


def test_enumerators_may_need_names() -> None:
    assert names(one("enum e { A = BASE, B = sizeof(t) };")) >= {"BASE", "t"}


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("struct t *x;", "pointer"),
        ("const struct t **x;", "pointer"),
        ("struct t *x, *y;", "pointer"),
        ("struct t *x[4];", "pointer"),
        ("struct t x[4];", "tag"),
        ("struct t x;", "tag"),
        ("struct t x, *y;", "tag"),
        ("int (*f)(struct t *x);", "pointer"),
        ("struct t *(*f)(void);", "pointer"),
    ],
)
def test_a_member_behind_a_pointer_needs_a_declaration_only(member: str, kind: str) -> None:
    struct = one(f"struct s {{ {member} }};")
    assert {r.kind for r in struct.references if r.name == "t"} == {kind}
    assert struct.members is not None
    assert {r.kind for r in struct.members[0].references if r.name == "t"} == {kind}


def test_a_function_needs_its_structs_even_behind_a_pointer() -> None:
    assert names(one("int f(struct t *x) { return x->y; }"), "tag") == {"t"}


# --- annotations that are no C ---


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("static int __must_check f(int x) { return x; }", "__must_check"),
        ("static __always_inline int f(int x) { return x; }", "__always_inline"),
        ("static noinline int f(int x) { return x; }", "noinline"),
        ("static asmlinkage int f(int x) { return x; }", "asmlinkage"),
        ("int f(struct s __rcu *x) { return 0; }", "__rcu"),
        ("int f(int x) __acquires(lock) { return x; }", "__acquires"),
    ],
)
def test_annotations_do_not_hide_a_function_and_must_be_defined(text: str, word: str) -> None:
    function = one(text)
    assert (function.kind, function.name, function.text) == ("function", "f", text.encode())
    assert word in names(function)
    assert "x" not in names(function)


def test_annotations_do_not_hide_members() -> None:
    struct = one("""
    struct s {
        struct t __rcu *pointer;
        int count ____cacheline_aligned_in_smp;
        long wide __aligned(8);
        int flexible[] __counted_by(count);
    } __randomize_layout;
    """)
    assert struct.members is not None
    assert [m.names for m in struct.members] == [("pointer",), ("count",), ("wide",), ("flexible",)]
    assert {r.name for m in struct.members for r in m.references} >= {"__rcu", "__aligned", "__counted_by"}


def test_the_definition_of_an_annotation_is_a_macro() -> None:
    macro = one("#define __must_check __attribute__((warn_unused_result))\n")
    assert (macro.kind, macro.name) == ("macro", "__must_check")
    assert names(macro) == set()


# --- members ---


def member(struct: Definition, name: str) -> Member:
    def search(members: tuple[Member, ...]) -> list[Member]:
        return [f for m in members for f in ([m] if name in m.names else search(m.nested or ()))]

    assert struct.members is not None
    (found,) = search(struct.members)
    return found


NESTED = """
struct s {
    int plain, *pointer, array[3];
    union {
        int first;
        struct {
            short second;
            short third;
        };
    };
    struct {
        int deep;
    } named;
    int (*call)(int x);
    unsigned int low:3, high:5;
    struct_group(run,
        int grouped;
        struct t later;
    );
    __struct_group(tag, name, attrs,
        int tagged;
    );
    int last;
};
"""


def test_members_have_their_names_text_and_lines() -> None:
    struct = one(NESTED)
    assert struct.members is not None
    assert [(m.names, m.line) for m in struct.members] == [
        *((("plain", "pointer", "array"), 2), ((), 3), (("named",), 10), (("call",), 13), (("low", "high"), 14)),
        *((("grouped",), 16), (("later",), 17), (("tagged",), 20), (("last",), 22)),
    ]
    assert member(struct, "plain").text == b"int plain, *pointer, array[3];"
    assert member(struct, "call").text == b"int (*call)(int x);"
    assert member(struct, "later").text == b"struct t later;"
    assert member(struct, "third").line == 7


def test_nested_structs_have_members_of_their_own() -> None:
    struct = one(NESTED)
    assert struct.members is not None
    unnamed, named = struct.members[1], struct.members[2]
    assert unnamed.nested is not None
    assert [m.names for m in unnamed.nested] == [("first",), ()]
    assert (unnamed.head, unnamed.tail) == (b"union {", b"};")
    assert (named.head, named.tail) == (b"struct {", b"} named;")
    assert member(struct, "third").nested is None


def test_members_keep_the_conditions_inside_their_struct() -> None:
    text = """
    #ifdef OUTSIDE
    struct s {
        int always;
    #ifdef A
        int one;
    #if B > 1
        int both;
    #endif
    #else
        long one;
    #endif
        int last;
    };
    #endif
    """
    struct = one(text)
    assert struct.conditions == (("#ifdef OUTSIDE",),)
    assert struct.members is not None
    assert [(m.names, m.conditions) for m in struct.members] == [
        (("always",), ()),
        (("one",), (("#ifdef A",),)),
        (("both",), (("#ifdef A",), ("#if B > 1",))),
        (("one",), (("#ifdef A", "#else"),)),
        (("last",), ()),
    ]


def test_members_say_what_they_need() -> None:
    struct = one("struct s {\n\tu32 x;\n\tstruct t y;\n\tint z[SIZE];\n};")
    assert Mention("name", "u32", 2) in member(struct, "x").references
    assert Mention("name", "SIZE", 4) in member(struct, "z").references
    assert Mention("tag", "t", 3) in member(struct, "y").references


# --- conditions ---


def test_both_branches_of_an_ifdef_are_definitions() -> None:
    text = """
    #ifdef A
    int f(void) { return 1; }
    #else
    int f(void) { return 2; }
    #endif
    int g;
    """
    one_, two, three = all_of(text)
    assert (one_.name, one_.conditions) == ("f", (("#ifdef A",),))
    assert (two.name, two.conditions) == ("f", (("#ifdef A", "#else"),))
    assert three.conditions == ()


def test_branches_are_told_with_those_before_them() -> None:
    text = """
    #if defined(A) && \\
        defined(B)
    int a;
    #elif C
    int b;
    #elif D
      # ifndef E
    int c;
      # endif
    #else
    int d;
    #endif
    """
    first = "#if defined(A) && \\\n    defined(B)"
    assert {d.name: d.conditions for d in all_of(text)} == {
        "a": ((first,),),
        "b": ((first, "#elif C"),),
        "c": ((first, "#elif C", "#elif D"), ("  # ifndef E",)),
        "d": ((first, "#elif C", "#elif D", "#else"),),
    }


def test_an_include_guard_is_no_condition() -> None:
    text = "/* A file. */\n#ifndef A_H\n#define A_H\nint a;\n#ifdef B\nint b;\n#endif\n#endif /* A_H */\n"
    found = {d.name: d.conditions for d in all_of(text)}
    assert (found["a"], found["b"]) == ((), (("#ifdef B",),))


def test_an_ifndef_of_something_else_is_a_condition() -> None:
    text = "#ifndef A\n#define B 1\nint a;\n#endif\n"
    assert one(text, "a").conditions == (("#ifndef A",),)
    text = "#define FIRST 1\n#ifndef A\n#define A 1\n#endif\n"
    assert one(text, "A").conditions == (("#ifndef A",),)


def test_each_line_has_the_conditions_it_stands_in() -> None:
    lines = conditions_by_line(source("x\n#if A\ny\n#else\nz\n#endif\nx\n"))
    assert lines == [(), (("#if A",),), (("#if A",),), (("#if A", "#else"),), (("#if A", "#else"),), (), (), ()]


def test_an_endif_too_many_is_ignored() -> None:
    assert conditions_by_line(b"#endif\n#else\nint a;\n") == [(), (), (), ()]


def test_a_function_whose_body_is_split_by_conditions_is_one_definition() -> None:
    text = "int f(void)\n{\n#ifdef A\n\treturn one();\n#else\n\treturn two();\n#endif\n}\n"
    function = one(text)
    assert (function.text, function.conditions) == (text.strip().encode(), ())
    assert names(function) >= {"one", "two"}

"""`#if` lines inside parentheses: the function around them is found whole, with what each branch mentions."""

import textwrap

import pytest

from skdiff.kernel.index import definitions
from skdiff.kernel.inner_branches import inside_parentheses, with_one_branch


def source(text: str) -> bytes:
    return textwrap.dedent(text).lstrip("\n").encode()


V4MAPPED = source("""
    static inline bool mapped(const struct a *a)
    {
        return (
    #if defined(CONFIG_FAST) && BITS == 64
            *(wide *)a |
    #else
            (number)(a->one | a->two) |
    #endif
            (a->three ^ swapped(0xffff))) == 0UL;
    }

    static inline int after(int x) { return x; }
""")


def test_a_function_with_a_condition_in_an_expression_is_taken_whole() -> None:
    mapped, after = definitions(V4MAPPED, "a.h")
    assert (mapped.name, mapped.line, mapped.end_line, after.name) == ("mapped", 1, 10, "after")
    assert mapped.text == V4MAPPED[: V4MAPPED.index(b"\n\n")]
    mentions = {(r.kind, r.name) for r in mapped.references}
    assert mentions >= {("name", "wide"), ("name", "number"), ("name", "swapped"), ("condition", "BITS")}
    assert mentions >= {("field", "one"), ("field", "two"), ("field", "three"), ("condition", "CONFIG_FAST")}


def test_a_copy_has_one_branch_and_all_positions() -> None:
    for branch, kept, gone in ((0, b"*(wide *)a", b"->one"), (1, b"->one", b"wide"), (7, b"->one", b"wide")):
        copy = with_one_branch(V4MAPPED, branch)
        assert (len(copy), copy.count(b"\n")) == (len(V4MAPPED), V4MAPPED.count(b"\n"))
        assert copy.index(kept) == V4MAPPED.index(kept)
        assert gone not in copy
        assert b"#" not in copy


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("int f(int a,\n#ifdef A\nint b,\n#endif\nint c) { return 1; }\n", [2, 4]),
        ("int f(void)\n{\n#ifdef A\n\tg(1);\n#else\n\tg(2);\n#endif\n}\n", None),
        ("/* ( */\n#if A\nint a;\n#endif\n", None),
        ("char a = '(', *b = \"(\";\n#if A\nint c;\n#endif\n", None),
        ("#define M ( \\\n\t1\n#if A\nint c;\n#endif\n", None),
        ("int f(void)\n{\n\tg((1;\n}\n#if A\nint c;\n#endif\n", None),
        ("int f(void)\n{\n\tg(1\n#if A\n\t\t(2\n#elif B\n\t\t(3\n#else\n\t\t(4\n#endif\n\t\t));\n}\n", [4, 6, 8, 10]),
    ],
)
def test_only_what_stands_in_parentheses_counts(text: str, lines: list[int] | None) -> None:
    found = inside_parentheses(text.encode())
    assert [[text.count("\n", 0, start) + 1 for start, _ in one] for one in found] == ([lines] if lines else [])


def test_a_condition_between_statements_stays() -> None:
    text = b"int f(void)\n{\n#ifdef A\n\tg(1);\n#endif\n\treturn 1;\n}\n"
    assert with_one_branch(text, 0) == text

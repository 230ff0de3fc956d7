"""Names from files that closure.toml does not list: by #include lines of a tree, and by stubs for names of a form."""

from dataclasses import replace
from pathlib import Path

import pytest

from skdiff.base.errors import CannotRun
from skdiff.kernel.closure import extract
from skdiff.kernel.following import digest
from skdiff.kernel.manifest import Manifest, Pattern

GIVEN = frozenset(["int", "void", "NULL"])


@pytest.fixture
def tree(tmp_path: Path):
    """A small kernel tree; only net/a.c of it is listed."""

    def make(stand_ins: str = "", patterns: tuple[Pattern, ...] = (), **files: str):
        for name, text in files.items():
            path = tmp_path / "tree" / name.replace("__", "/").replace("_C", ".c").replace("_H", ".h")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "ours.h").write_text(stand_ins)
        (tmp_path / "driver.c").write_text("")
        manifest = Manifest(
            roots={"tcp4": ("root",)},
            files=("net/a.c",),
            optional=(),
            whole=frozenset(),
            given=GIVEN,
            stand_ins=(tmp_path / "ours.h",),
            driver=(tmp_path / "driver.c",),
            csrc=tmp_path,
            patterns=patterns,
        )
        return tmp_path / "tree", manifest

    return make


def taken(closure):
    return {d.name: d.file for d in closure.order}


def test_a_name_is_taken_from_the_nearest_file_that_is_included(tree) -> None:
    path, manifest = tree(
        net__a_C="#include <linux/far.h>\n#include <net/near.h>\nint root(void) { return helper() + deep(); }\n",
        include__linux__far_H="#include <linux/farther.h>\n",
        include__linux__farther_H="#define helper() 1\n#define other 2\n",
        include__net__near_H="#define helper() DEEP\n#include <asm/generic.h>\n",
        **{"include__asm-generic__generic_H": "#define deep() 3\n#define DEEP 4\n"},
    )
    closure = extract(path, manifest)
    assert taken(closure) == {
        "helper": "include/net/near.h",
        "DEEP": "include/asm-generic/generic.h",
        "deep": "include/asm-generic/generic.h",
        "root": "net/a.c",
    }
    assert "include/linux/far.h" in closure.followed


def test_a_file_beside_the_user_comes_first(tree) -> None:
    path, manifest = tree(
        net__a_C='#include "own.h"\nint root(void) { return helper(); }\n',
        net__own_H="#define helper() 1\n",
        include__own_H="#define helper() 2\n",
    )
    assert taken(extract(path, manifest))["helper"] == "net/own.h"


def test_what_is_only_declared_is_taken_from_the_one_file_that_defines_it(tree) -> None:
    files = {
        "net__a_C": "#include <net/h.h>\nint root(void) { return helper(1); }\n",
        "include__net__h_H": "int helper(int x);\n",
        "net__core__b_C": "static int inner(int x) { return x; }\nint helper(int x) { return inner(x); }\n",
        "net__ipv4__c_C": "static int helper(int x) { return 2; }\n",
    }
    path, manifest = tree(**files)
    assert taken(extract(path, manifest)) == {"inner": "net/core/b.c", "helper": "net/core/b.c", "root": "net/a.c"}
    tree(net__ipv4__c_C="int helper(int x) { return 2; }\n")
    with pytest.raises(CannotRun, match=r"helper, which no file .*; net/core/b\.c:2 (seems to define|defines) it"):
        extract(path, manifest)


def test_a_listed_name_is_not_looked_for_elsewhere(tree) -> None:
    path, manifest = tree(
        net__a_C="#include <net/h.h>\n#define helper() 1\nint root(void) { return helper(); }\n",
        include__net__h_H="#define helper() 2\n",
    )
    closure = extract(path, manifest)
    assert (taken(closure)["helper"], closure.followed) == ("net/a.c", ())


def test_a_name_in_a_branch_and_a_struct_are_looked_for_when_the_compiler_wants_them(tree) -> None:
    path, manifest = tree(
        net__a_C="#include <net/h.h>\n#ifdef X\nint root(struct s *s) { return s->x + helper(); }\n#endif\n",
        include__net__h_H="struct s { int x; };\n#define helper() 1\n",
    )
    assert set(taken(extract(path, manifest))) == {"root"}
    assert set(taken(extract(path, manifest, wanted=frozenset(["s", "helper"])))) == {"root", "s", "helper"}


def test_a_definition_that_the_parser_loses_is_told_with_its_line(tree) -> None:
    branches = "#ifdef A\n\tif (x) {\n#else\n\tif (!x) {\n#endif\n"
    text = "int a;\nint helper(int x)\n{\n" + branches + "\t\treturn 1;\n\t}\n\treturn 2;\n}\n"
    path, manifest = tree(net__a_C=text + "int root(void) { return helper(1); }\n")
    with pytest.raises(CannotRun, match=r"; net/a\.c:2 seems to define it, but cannot be read as C"):
        extract(path, manifest)


def test_the_digest_tells_other_texts_and_missing_files_apart(tree, tmp_path: Path) -> None:
    path, _ = tree(net__a_C="int a;\n")
    one = digest(path, ["net/a.c", "net/b.c"])
    tree(net__b_C="")
    two = digest(path, ["net/a.c", "net/b.c"])
    tree(net__b_C="int b;\n")
    assert len({one, two, digest(path, ["net/a.c", "net/b.c"])}) == 3
    assert digest(path, []) == ""


def test_arguments_that_a_stub_throws_away_demand_nothing(tree) -> None:
    path, manifest = tree(
        net__a_C="""
        #define CHECK(x) WARNS(x, nowhere_1)
        int root(void) { WARNS(root(nowhere_2), "(%d", nowhere_3(1), 2); CHECK(1); return GIVEN(nowhere_4, 1); }
        """,
        stand_ins="#define WARNS(condition, format...) (void)0\n#define GIVEN(a, b) (b)\n",
    )
    assert set(taken(extract(path, manifest))) == {"CHECK", "WARNS", "GIVEN", "root"}
    text = "int root(void) { return GIVEN(1, nowhere); }\n"
    path, manifest = tree(net__a_C=text, stand_ins="#define GIVEN(a, b) (b)\n")
    with pytest.raises(CannotRun, match="root uses nowhere"):
        extract(path, manifest)


def test_names_of_a_form_get_a_stub_each_but_functions_stay(tree) -> None:
    patterns = (Pattern(r"trace_\w+", "#define NAME(...) ((void)0)", "Kernel: a tracepoint. Here: nothing."),)
    path, manifest = tree(
        net__a_C="""
        #define trace_b() nowhere
        static int trace_c(void) { return 1; }
        int root(void) { trace_a(nowhere); trace_b(); return trace_c(); }
        """,
        patterns=patterns,
    )
    closure = extract(path, manifest)
    ours = {d.name: d.comment for d, _ in closure.definitions(stand_ins=True)}
    assert ours == dict.fromkeys(["trace_a", "trace_b"], "Kernel: a tracepoint. Here: nothing.")


def test_stubs_from_outside_win(tree, tmp_path: Path) -> None:
    path, manifest = tree(net__a_C="int root(void) { return one() + two(); }\n", stand_ins="#define one() 1\n")
    outside = tmp_path / "mine.h"
    outside.write_text("#define one() 10\n#define two() 20\n")
    closure = extract(path, replace(manifest, outside=(outside,)))
    assert "#define one() 10" in closure.text
    assert taken(closure)["two"] == "csrc/outside/mine.h"


def test_objects_that_a_macro_makes_are_found(tree) -> None:
    path, manifest = tree(
        net__a_C="static DEFINE_KEY(k);\nDEFINE_PER_CPU(struct s, p);\nint root(void) { return k + p.x; }\n".replace(
            "DEFINE_KEY", "DEFINE_STATIC_KEY_FALSE"
        )
        + "struct s { int x; };\n",
        stand_ins="#define DEFINE_STATIC_KEY_FALSE(n) int n\n#define DEFINE_PER_CPU(t, n) t n\n",
    )
    manifest = replace(manifest, inputs=frozenset(["k", "p"]))
    assert {"k", "p", "s"} <= set(taken(extract(path, manifest)))

"""The closure: all that the roots reach, in an order that C accepts, cut to what is used; a compiler tries it out."""

import ctypes
import hashlib
import re
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from skdiff.base.compiler import compiler
from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC
from skdiff.kernel.closure import Closure, extract
from skdiff.kernel.manifest import Manifest

GIVEN = frozenset(["int", "char", "short", "long", "unsigned", "void", "double", "offsetof", "NULL"])
FILLER = "/* a line */\n"


def c(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


@dataclass(frozen=True)
class Small:
    """A small kernel tree with stubs and a driver, in a folder."""

    folder: Path
    manifest: Manifest

    def extract(self) -> Closure:
        return extract(self.folder / "tree", self.manifest)

    def refused(self) -> str:
        """What the extractor says when it refuses."""
        with pytest.raises(CannotRun) as caught:
            self.extract()
        return str(caught.value)

    def library(self, *flags: str, text: str = "") -> ctypes.CDLL:
        """The closure and the driver behind it, compiled and loaded."""
        assert self.compile(*flags, text=text) == ""
        return ctypes.CDLL(str(self.folder / "small.so"))

    def compile(self, *flags: str, text: str = "") -> str:
        """What the compiler says of the closure, or of another text, with the driver behind it."""
        (self.folder / "small.c").write_text((text or self.extract().text) + self.manifest.driver[0].read_text())
        command = [compiler(), "-std=gnu11", "-Wall", "-Werror", "-Wno-unused", "-shared", "-fPIC", *flags]
        done = subprocess.run(
            [*command, "small.c", "-o", "small.so"], cwd=self.folder, capture_output=True, text=True, check=False
        )
        return done.stderr


@pytest.fixture
def small(tmp_path: Path):
    def make(
        files: Mapping[str, str] | str,
        stand_ins: str = "",
        driver: str = "",
        roots: Mapping[str, tuple[str, ...]] | tuple[str, ...] = ("root",),
    ) -> Small:
        files = {"net/a.c": files} if isinstance(files, str) else files
        for name, text in files.items():
            path = tmp_path / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(c(text))
        (tmp_path / "ours.h").write_text(c(stand_ins))
        (tmp_path / "driver.c").write_text(c(driver))
        manifest = Manifest(
            roots=roots if isinstance(roots, Mapping) else {"tcp4": roots},
            files=tuple(files),
            optional=(),
            whole=frozenset(),
            given=GIVEN,
            stand_ins=(tmp_path / "ours.h",),
            driver=(tmp_path / "driver.c",),
            csrc=tmp_path,
        )
        return Small(tmp_path, manifest)

    return make


def taken(closure: Closure) -> list[str]:
    return [definition.name for definition in closure.order]


# --- what is taken ---


def test_only_what_the_root_reaches_is_taken(small) -> None:
    found = small("""
        int unused(void) { return 1; }
        #define LIMIT 3
        #define UNUSED 4
        static int helper(int x) { return x + LIMIT; }
        int root(int x) { return helper(x); }
    """)
    assert sorted(taken(found.extract())) == ["LIMIT", "helper", "root"]
    assert found.library().root(4) == 7


def test_definitions_stand_before_their_users_wherever_they_are(small) -> None:
    found = small(
        {
            "net/a.c": """
                int root(struct outer *o) { return helper(o) + sizeof(struct outer) / sizeof(o->first); }
                static int helper(struct outer *o) { return o->second.value + ADD(o->first, LAST); }
            """,
            "include/b.h": """
                struct outer { count_t first; struct inner second; };
                #define ADD(a, b) ((a) + (b) + bias)
            """,
            "include/c.h": """
                struct inner { count_t value; };
                typedef int count_t;
                enum { ONE = 1, LAST = ONE + 1 };
                static const int bias = LAST;
            """,
        },
        driver="int run(void) { struct outer o = { 10, { 20 } }; return root(&o); }",
    )
    assert found.library().run() == 20 + 10 + 2 + 2 + 2


def test_a_definition_is_taken_once(small) -> None:
    found = small("""
        static int leaf(void) { return 1; }
        static int left(void) { return leaf(); }
        static int right(void) { return leaf() + left(); }
        int root(void) { return left() + right(); }
    """)
    assert sorted(taken(found.extract())) == ["leaf", "left", "right", "root"]
    assert found.library().root() == 3


def test_all_roots_are_taken_and_come_first(small) -> None:
    text = """
        int one(void) { return 1; }
        int two(void) { return 2; }
        int for_the_driver(void) { return 3; }
    """
    closure = small(text, driver="int run(void) { return for_the_driver(); }", roots=("two", "one")).extract()
    assert taken(closure) == ["two", "one", "for_the_driver"]
    assert closure.lookup == 2
    assert [(d.name, reached) for d, reached in closure.definitions(stand_ins=False)] == [
        *(("two", True), ("one", True), ("for_the_driver", False)),
    ]


def test_each_text_is_the_files_own_behind_its_line(small) -> None:
    files = {
        "net/a.c": FILLER * 4 + "int root(int  x )\n{\n\treturn x+\tTWO ;\t/* here */\n}\n",
        "include/b.h": FILLER * 9 + "#define TWO \\\n\t(1  + \\\n\t1) /* two */\n",
    }
    found = small(files)
    closure = found.extract()
    assert '#line 5 "net/a.c"\nint root(int  x )\n{\n\treturn x+\tTWO ;\t/* here */\n}\n' in closure.text
    assert '#line 10 "include/b.h"\n#define TWO \\\n\t(1  + \\\n\t1) /* two */\n' in closure.text
    assert found.library().root(5) == 7


def test_the_compiler_sees_the_files_own_names_and_lines(small) -> None:
    found = small({"net/deep/a.c": FILLER * 40 + "int root(void) { return __LINE__; }\n"})
    assert found.library().root() == 41
    broken = small({"net/deep/a.c": FILLER * 6 + "int root(void)\n{\n\treturn 1 +;\n}\n"})
    assert re.search(r"^net/deep/a\.c:9:\d+: error", broken.compile(), re.MULTILINE)


def test_the_text_names_the_closure(small) -> None:
    one = small("int root(void) { return 1; }\n").extract()
    same = small("int root(void) { return 1; }\nint unused(void) { return 2; }\n").extract()
    other = small("int root(void) { return 2; }\n").extract()
    moved = small("\nint root(void) { return 1; }\n").extract()
    assert one.sha256 == hashlib.sha256(one.text.encode()).hexdigest()
    assert (one.sha256 == same.sha256, one.sha256 == other.sha256) == (True, False)
    assert c("\nint root") != "\nint root"
    assert moved.sha256 == one.sha256


def test_the_same_tree_gives_the_same_closure(small) -> None:
    found = small("struct b; struct a { int x, y; struct b *z; };\nint root(struct a *a) { return a->x; }\n")
    assert found.extract().text == found.extract().text


# --- conditions ---


def test_both_branches_are_kept_and_the_compiler_chooses(small) -> None:
    found = small(
        """
        #ifdef CONFIG_FAST
        static int speed(void) { return FAST; }
        #else
        static int speed(void) { return 1; }
        #endif
        #define FAST 9
        int root(void) { return speed(); }
        """
    )
    text = found.extract().text
    assert '#ifdef CONFIG_FAST\n#line 2 "net/a.c"\nstatic int speed(void) { return FAST; }\n#endif\n' in text
    assert '#ifdef CONFIG_FAST\n#else\n#line 4 "net/a.c"\nstatic int speed(void) { return 1; }\n#endif\n' in text
    assert found.library().root() == 1


def test_the_other_branch_compiles_too(small) -> None:
    found = small(
        """
        #ifdef CONFIG_FAST
        #define SPEED 9
        #elif defined(CONFIG_MEDIUM)
        #define SPEED 5
        #else
        #define SPEED 1
        #endif
        int root(void) { return SPEED; }
        """
    )
    assert found.library("-DCONFIG_MEDIUM").root() == 5


def test_an_include_guard_does_not_get_in_the_way(small) -> None:
    header = "#ifndef B_H\n#define B_H\n#define TWO 2\n#endif\n"
    found = small({"net/a.c": "int root(void) { return TWO; }\n", "include/b.h": header})
    assert "B_H" not in found.extract().text
    assert found.library().root() == 2


def test_what_a_condition_asks_is_taken_too(small) -> None:
    found = small(
        """
        #define IS_ON(option) OPTION_##option
        #define OPTION_X 1
        #if LEVEL > 2
        int root(void) { return 3; }
        #else
        int root(void) { return 2; }
        #endif
        """,
        stand_ins="/* Kernel: the user's. Here: three. */\n#define LEVEL 3\n",
    )
    assert taken(found.extract()).index("LEVEL") < taken(found.extract()).index("root")
    assert found.library().root() == 3


def test_a_name_missing_in_a_branch_is_left_to_the_compiler(small) -> None:
    found = small("#ifdef CONFIG_X\nint root(void) { return missing; }\n#else\nint root(void) { return 1; }\n#endif\n")
    assert found.library().root() == 1
    assert "missing" in found.compile("-DCONFIG_X")


# --- annotations and locals ---


def test_annotations_that_stubs_define_compile(small) -> None:
    found = small(
        """
        struct s { int value; struct s __rcu *next; };
        static __always_inline int __must_check get(const struct s __rcu *s) { return s->next ? s->value : 0; }
        int root(struct s *s) { return get(s); }
        """,
        stand_ins="#define __rcu\n#define __must_check\n#define __always_inline inline\n",
        driver="int run(void) { struct s a = { 5, &a }; return root(&a); }",
    )
    assert found.library().run() == 5


def test_an_annotation_that_nobody_defines_is_missing(small) -> None:
    assert "uses __rcu" in small("int root(int __rcu *x) { return *x; }\n").refused()


def test_a_local_of_the_same_name_takes_nothing_with_it(small) -> None:
    found = small("""
        int counter(void) { return other; }
        int size;
        int limit(void) { return other; }
        #define SUM(n) ({ int limit = 0, i; for (i = 0; i < (n); i++) limit += i; limit; })
        int root(int size)
        {
            int counter = size;
            for (int other = 0; other < 2; other++)
                counter++;
            return counter + SUM(3);
        }
    """)
    assert sorted(taken(found.extract())) == ["SUM", "root"]
    assert found.library().root(4) == 4 + 2 + 3


# --- structs ---

SLICED = """
    struct inner { int one, two; long unused; };
    struct gone { int x; };
    struct s {
        int first;
        struct gone *pointer;
        struct inner value;
        union {
            int left;
            long right;
            struct { short deep, deeper; long deepest; };
        };
        struct { int unused_too; } named;
        struct_group(run,
            int grouped;
            int ungrouped;
        );
        struct missing_type absent;
        int last;
    };
"""


def test_a_struct_is_cut_to_the_members_that_are_used(small) -> None:
    found = small(
        SLICED + "int root(struct s *s) { return s->last + s->value.two + s->deep + s->grouped; }\n",
        driver="""
        int run(void)
        {
            struct s s = { .last = 1, .value.two = 20, .deep = 300, .grouped = 4000 };
            return root(&s);
        }
        """,
    )
    _, text = found.extract().text.split("*/", 1)
    assert not re.search(r"first|gone|unused|pointer|left|right|deepest|named|ungrouped|absent|missing", text)
    assert ("deep, deeper" in text, "one" in text) == (True, True)  # of one declaration, all names or none
    assert found.library().run() == 4321


def test_what_the_driver_uses_is_kept_as_well(small) -> None:
    found = small(
        SLICED + "int root(struct s *s) { return s->last; }\n",
        driver="int run(void) { struct s s = { .first = 3, .left = 4 }; return root(&s) + s.first + s.left; }",
    )
    assert found.library().run() == 7


@pytest.mark.parametrize("missing", ["struct missing", "missing_t"])
def test_a_member_whose_type_is_nowhere_is_left_out_though_its_name_is_used(small, missing: str) -> None:
    found = small(f"""
        struct other {{ int value; }};
        struct s {{ {missing} value; int last; }};
        int root(struct s *s, struct other *other) {{ return s->last + other->value; }}
    """)
    assert "missing" not in found.extract().text
    assert found.compile() == ""


def test_a_macro_may_stand_for_a_tag(small) -> None:
    found = small("""
        #define old_head new_head
        struct new_head { int value; };
        struct s { struct old_head head; };
        int root(struct s *s) { return s->head.value; }
    """)
    assert sorted(taken(found.extract())) == ["new_head", "old_head", "root", "s"]
    assert found.compile() == ""


def test_a_macro_that_names_a_member_of_a_variable_takes_the_variable(small) -> None:
    found = small("""
        #define setting config.value
        struct options { int value; int unused; };
        static const struct options config = { .value = 7 };
        int root(void) { return setting; }
    """)
    assert found.library().root() == 7


def test_a_struct_behind_a_pointer_is_declared_only(small) -> None:
    found = small(
        SLICED.replace("int x;", "int last;") + "int root(struct s *s) { return s->pointer ? s->last : 0; }\n"
    )
    text = found.extract().text
    assert "struct gone;\n" in text
    assert "struct gone {" not in text
    assert found.compile() == ""


def test_a_struct_that_is_nowhere_is_declared_only(small) -> None:
    found = small("int root(struct nowhere *n) { return n != 0; }\n")
    assert "struct nowhere;\n" in found.extract().text
    assert found.compile() == ""


def test_a_nested_struct_is_kept_if_it_or_its_unnamed_ones_members_are_used(small) -> None:
    found = small("""
        struct s {
            union { int one; int two; };
            struct { int three; int four; } named;
            struct { int two; int five; } unused;
        };
        int root(struct s *s) { return s->two + s->named.four; }
    """)
    assert set(re.findall(r"\b(?:one|two|three|four|five|named|unused)\b(?=;)", found.extract().text)) == {
        *("two", "four", "named"),
    }
    assert found.extract().text.count("int two;") == 1
    assert found.compile() == ""


def test_a_union_of_which_nothing_is_used_leaves_nothing(small) -> None:
    found = small("struct s { union { int one; long two; }; int last; };\nint root(struct s *s) { return s->last; }\n")
    assert "union" not in found.extract().text


def test_a_member_with_the_name_of_a_function_is_not_kept_for_its_calls(small) -> None:
    found = small("""
        static int helper(void) { return LIMIT; }
        #define LIMIT 3
        struct s { int helper; int LIMIT_; int last; };
        int root(struct s *s) { return s->last + helper(); }
    """)
    assert "int helper;" not in found.extract().text
    assert found.compile() == ""


def test_a_struct_inside_a_function_is_the_functions_own(small) -> None:
    found = small("int root(void) { struct inside { int value; } v = { .value = 4 }; return v.value; }\n")
    assert found.library().root() == 4


def test_an_enum_is_taken_for_its_tag(small) -> None:
    found = small("""
        enum side { LEFT = 3, RIGHT };
        int root(enum side side) { return side; }
    """)
    assert taken(found.extract()) == ["side", "root"]
    assert found.library().root(4) == 4


def test_an_enum_is_taken_for_its_enumerators(small) -> None:
    found = small("enum side { LEFT = 3, RIGHT };\nint root(void) { return RIGHT; }\n")
    assert found.library().root() == 4


def test_a_struct_of_which_no_member_is_used_is_declared_only(small) -> None:
    found = small(SLICED + "int root(struct s *s) { return s != 0; }\n")
    assert "struct s;\n" in found.extract().text
    assert found.compile() == ""


def test_a_union_is_declared_as_one(small) -> None:
    found = small("union u { int x; long y; };\nlong root(union u *u) { return u->y; }\n")
    text = found.extract().text
    assert "union u;\n" in text
    assert "int x" not in text
    assert found.compile() == ""


def test_a_whole_struct_keeps_its_members_text_and_types(small) -> None:
    found = small("""
        struct inner { int one; int two; };
        struct s { struct inner value; int  last ; struct far *far; };
        int root(struct s *s, struct inner *i) { return s->last + i->one; }
    """)
    whole = replace(found, manifest=replace(found.manifest, whole=frozenset({"s"})))
    text = whole.extract().text
    assert "struct s { struct inner value; int  last ; struct far *far; };\n" in text
    assert "two" not in text
    assert whole.compile() == ""
    assert "value" not in found.extract().text


def test_members_keep_their_lines_and_conditions(small) -> None:
    text = """
    struct s {
        int always;
    #ifdef CONFIG_X
        int value;
    #else
        char value[4];
    #endif
    };
    int root(struct s *s) { return sizeof(s->value); }
    """
    found = small(text, driver="int run(void) { return root(0); }")
    assert '#ifdef CONFIG_X\n#else\n#line 6 "net/a.c"\nchar value[4];\n#endif\n' in found.extract().text
    assert found.library().run() == 4


def test_what_a_condition_inside_a_struct_asks_is_taken(small) -> None:
    found = small(
        """
        struct s {
        #if LEVEL > 2
            long value;
        #else
            char value;
        #endif
        };
        int root(struct s *s) { return sizeof(s->value); }
        """,
        stand_ins="#define LEVEL 3\n",
        driver="int run(void) { return root(0); }",
    )
    assert found.library().run() == 8


def test_the_types_of_nested_members_are_taken(small) -> None:
    found = small("""
        struct s { union { struct { count_t deep; }; other_t unused; }; };
        typedef short count_t;
        int root(struct s *s) { return sizeof(s->deep); }
    """)
    assert taken(found.extract()) == ["count_t", "s", "root"]
    assert found.compile() == ""


def test_a_macro_that_renames_a_member_keeps_the_member(small) -> None:
    found = small(
        """
        struct common { int refcnt; int port; int family; };
        struct s {
            struct common __common;
        #define s_refcnt __common.refcnt
        #define s_port __common.port
        };
        int root(struct s *s) { return s->s_refcnt; }
        """,
        driver="int run(void) { struct s s; s.s_refcnt = 8; return root(&s); }",
    )
    text = found.extract().text
    assert ("refcnt" in text, "port" in text, "family" in text) == (True, False, False)
    assert found.library().run() == 8


def test_container_of_keeps_the_member_that_it_names(small) -> None:
    found = small(
        """
        #define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
        struct node { struct node *next; int unused; };
        struct s { long before; struct node link; int value; int unused; };
        int root(struct node *n) { return container_of(n->next, struct s, link)->value; }
        """,
        stand_ins="#define offsetof __builtin_offsetof\n",
        driver="int run(void) { struct s s = { .link = { &s.link }, .value = 6 }; return root(&s.link); }",
    )
    manifest = replace(found.manifest, given=GIVEN - {"offsetof"})
    text = replace(found, manifest=manifest).extract().text
    assert ("link" in text, "before" in text, "unused" in text) == (True, False, False)
    assert replace(found, manifest=manifest).library().run() == 6


def test_a_member_that_only_a_macros_argument_names_is_kept(small) -> None:
    found = small(
        """
        #define offset_of(type, member) __builtin_offsetof(type, member)
        struct s { long before; int link; union { int unused; struct { char deep; }; }; };
        int root(void) { return offset_of(struct s, link) + offset_of(struct s, deep); }
        """
    )
    text = found.extract().text
    assert ("int link;" in text, "char deep;" in text, "before" in text, "unused" in text) == (True, True, False, False)
    assert found.library().root() == 0 + 4


def test_a_member_used_by_a_struct_that_is_found_late_is_kept(small) -> None:
    """The list of used members grows until it stands still."""
    found = small(
        """
        struct a { struct b b; };
        struct b { int x; struct d d; };
        struct d { int deep; };
        int root(struct a *a) { return READ_DEEP(a); }
        #define READ_DEEP(a) ((a)->b.d.deep)
        """,
        driver="int run(void) { struct a a = { .b.d.deep = 3 }; return root(&a); }",
    )
    assert found.library().run() == 3


# --- probes ---


def test_a_traced_closure_has_a_probe_behind_each_function_that_has_one(small) -> None:
    found = small(
        """
        #ifdef CONFIG_X
        static int watched(int x) { return x; }
        #else
        static int watched(int x) { return x ? 1 + watched(x - 1) : 0; }
        #endif
        int unwatched(int x) { return watched(x) + watched(0); }
        int root(int x) { return unwatched(x); }
        """,
        driver="int steps(void) { return noted; }",
    )
    step = '[[step]]\nfunction = "{}"\nparameters = "x"\nreturns = "int"\nvalues = {{ sk = "x" }}\n'
    (found.folder / "steps.toml").write_text(step.format("watched") + step.format("never_taken"))
    plain, traced = found.extract(), extract(found.folder / "tree", found.manifest, traced=True)
    assert "reference_step" not in plain.text
    assert "never_taken" not in traced.text
    assert (traced.sha256, traced.order) == (plain.sha256, plain.order)
    probe = "#define watched(x) ({ int r__ = watched(x); reference_step(1, x, 0, 0); r__; })\n"
    assert traced.text.count(probe) == 1
    assert traced.text.replace(probe, "") == plain.text
    notes = "static int noted;\n#define reference_step(number, one, two, three) (noted += number)\n"
    traced_library = found.library(text=notes + traced.text)
    assert traced_library.root(3) == 3
    assert traced_library.steps() == 2  # not for its own recursion


# --- stubs ---


def test_a_stub_wins_over_the_kernels_definition_and_its_comment_is_its_reason(small) -> None:
    found = small(
        {
            "net/a.c": "int root(void) { return cpu() + weight(); }\nint cpu(void) { return reads_the_hardware(); }\n",
            "include/b.h": "static inline int weight(void) { return 1; }\n",
        },
        stand_ins="/* Kernel: asks the CPU. Here: 40. */\nstatic int cpu(void) { return 40; }\n",
    )
    closure = found.extract()
    assert [(d.name, d.file, d.comment) for d, _ in closure.definitions(stand_ins=True)] == [
        ("cpu", "csrc/stubs/ours.h", "Kernel: asks the CPU. Here: 40.")
    ]
    assert [d.name for d, _ in closure.definitions(stand_ins=False)] == ["weight", "root"]
    assert '#line 2 "csrc/stubs/ours.h"\nstatic int cpu(void) { return 40; }\n' in closure.text
    assert found.library().root() == 41


def test_a_stub_that_nobody_uses_is_left_out(small) -> None:
    found = small("int root(void) { return 1; }\n", stand_ins="#define UNUSED 1\n")
    assert taken(found.extract()) == ["root"]


def test_a_stub_struct_wins_over_the_kernels(small) -> None:
    found = small(
        "struct s { struct huge x; int value; };\nint root(struct s *s) { return s->value; }\n",
        stand_ins="/* Kernel: huge. Here: small. */\nstruct s { int value; };\n",
        driver="int run(void) { struct s s = { 2 }; return root(&s); }",
    )
    assert [d.file for d in found.extract().order] == ["csrc/stubs/ours.h", "net/a.c"]
    assert found.library().run() == 2


def test_a_stub_may_need_the_kernels_text(small) -> None:
    found = small(
        "#define KERNELS 5\nint root(void) { return ours(); }\n",
        stand_ins="static int ours(void) { return KERNELS; }\n",
    )
    assert found.library().root() == 5


def test_what_is_given_is_not_taken(small) -> None:
    found = small("#define NULL 7\nvoid *root(void) { return NULL; }\n")
    assert taken(found.extract()) == ["root"]


# --- what is missing ---


def test_an_unresolved_name_is_told_with_its_place_and_user(small) -> None:
    text = FILLER * 2 + "static int helper(void)\n{\n\treturn missing(1);\n}\nint root(void) { return helper(); }\n"
    assert small(text).refused() == (
        "net/a.c:5: helper uses missing, which no file that it includes defines and no stub supplies; the tree has it"
        " nowhere in include/, lib/ and net/\n"
        "Add a stub for it to csrc/stubs/compiler.h, or to a file of your own that you pass with --stub FILE, such"
        " as:\n"
        "    #define missing(...) 0"
    )


def test_an_unresolved_name_of_a_macro_is_told_with_its_line(small) -> None:
    text = "#define HELPER(x) \\\n\t((x) + \\\n\t missing)\nint root(void) { return HELPER(1); }\n"
    assert small(text).refused().startswith("net/a.c:3: HELPER uses missing, ")


def test_an_unresolved_name_of_a_stub_is_told(small) -> None:
    said = small("int root(void) { return ours(); }\n", stand_ins="\nint ours(void) { return missing; }\n").refused()
    assert said.startswith("csrc/stubs/ours.h:1: ours uses missing, ")


def test_several_unresolved_names_are_counted(small) -> None:
    said = small("int root(void) { return zebra + missing + also; }\n").refused()
    assert said.startswith("3 names are missing:\nnet/a.c:1: root uses also, ")
    assert [line.split(",")[0] for line in said.splitlines()[2:4]] == [
        *("net/a.c:1: root uses missing", "net/a.c:1: root uses zebra"),
    ]
    assert said.endswith("\n    #define also 0\n    #define missing 0\n    #define zebra 0")


def test_a_type_that_nobody_defines_is_missing(small) -> None:
    said = small("u32 root(void) { return 1; }\n").refused()
    assert "root uses u32, " in said
    assert said.endswith("\n    typedef int u32;")


def test_a_missing_root_is_told(small) -> None:
    found = small("int other(void) { return 1; }\n")
    (found.folder / "closure.toml").write_text('# one\nroots = ["root"]\n')
    assert found.refused() == (
        f"{found.folder / 'tree'}: no definition of root() in the 1 files of closure.toml, nor in what they include: if"
        " it has another name in this tree, write that name into csrc/closure.toml:2 (roots)"
    )


def test_a_missing_file_is_told_and_an_optional_one_is_not_missed(small) -> None:
    found = small("int root(void) { return 1; }\n")
    without = replace(found, manifest=replace(found.manifest, optional=("include/not_here.h",)))
    assert taken(without.extract()) == ["root"]
    missing = replace(found, manifest=replace(found.manifest, files=("net/a.c", "include/not_here.h")))
    assert missing.refused() == (
        f"{found.folder / 'tree'}: no kernel file include/not_here.h: is this a whole kernel tree?"
    )


def test_an_optional_file_that_is_there_is_searched(small) -> None:
    files = {"net/a.c": "int root(void) { return TWO; }\n", "include/b.h": "#define TWO 2\n"}
    found = small(files)
    optional = replace(found.manifest, files=("net/a.c",), optional=("include/b.h",))
    assert replace(found, manifest=optional).library().root() == 2


def test_a_file_that_cannot_be_read_is_told(small) -> None:
    found = small("int root(void) { return 1; }\n")
    (found.folder / "tree" / "net" / "b.c").mkdir()
    broken = replace(found, manifest=replace(found.manifest, files=("net/a.c", "net/b.c")))
    assert broken.refused() == f"cannot read {found.folder / 'tree' / 'net' / 'b.c'}: Is a directory"


# --- the manifest ---

MANIFEST = """\
files = ["net/a.c"]
whole = ["s"]
given = ["int"]
driver = ["root.c"]
lookups.tcp4.roots = ["r"]
"""


@pytest.fixture
def csrc(tmp_path: Path) -> Path:
    (tmp_path / "stubs").mkdir()
    (tmp_path / "closure.toml").write_text(MANIFEST)
    (tmp_path / "record.h").write_text("enum { NONE = -1 };\n#define MAX 3\nint call(void);\n")
    (tmp_path / "prelude.h").write_text("void stop(int why);\n")
    (tmp_path / "stubs" / "b.h").write_text("#define B 1\n")
    (tmp_path / "stubs" / "a.h").write_text("#define A 1\n")
    return tmp_path


def test_a_manifest_is_read_with_what_lies_beside_it(csrc: Path) -> None:
    manifest = Manifest.load(csrc=csrc)
    assert (manifest.roots, manifest.files, manifest.optional) == ({"tcp4": ("r",)}, ("net/a.c",), ())
    assert (manifest.whole, manifest.given) == ({"s"}, {"int", "NONE", "MAX", "call", "stop"})
    assert [path.name for path in manifest.stand_ins] == ["a.h", "b.h"]
    assert manifest.driver == (csrc / "driver/root.c",)
    (csrc / "closure.toml").write_text(MANIFEST + 'optional = ["x.h"]\n')
    assert Manifest.load(csrc=csrc).optional == ("x.h",)


@pytest.mark.parametrize(
    "text",
    [
        "roots = [",
        "",
        *(
            re.sub(rf"(?m)^{key} = .*\n", "", MANIFEST)
            for key in ("lookups.tcp4.roots", "files", "whole", "given", "driver")
        ),
        MANIFEST.replace('["net/a.c"]', "3"),
    ],
)
def test_a_broken_manifest_is_one_line_that_names_it(csrc: Path, text: str) -> None:
    (csrc / "closure.toml").write_text(text)
    with pytest.raises(CannotRun) as caught:
        Manifest.load(csrc=csrc)
    assert str(caught.value).startswith(f"{csrc / 'closure.toml'}: not a closure manifest: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["closure.toml", "record.h", "prelude.h"])
def test_a_manifest_that_is_not_all_there_is_told(csrc: Path, name: str) -> None:
    (csrc / name).unlink()
    with pytest.raises(CannotRun, match=f"cannot read .*{name}: No such file"):
        Manifest.load(csrc=csrc)


def test_our_own_manifest_has_each_file_and_name_once() -> None:
    manifest = Manifest.load()
    assert manifest.roots
    files = (*manifest.files, *manifest.optional)
    assert sorted(set(files)) == sorted(files)
    assert sorted(manifest.driver) == sorted((CSRC / "driver").glob("*.c"))
    assert all(len(path.read_text().splitlines()) < 250 for path in manifest.driver)
    assert all(path.read_text().startswith("/* ") for path in manifest.stand_ins)


# --- what would be wrong without a word ---


def test_a_struct_that_is_initialised_by_position_stays_whole(small) -> None:
    found = small("""
        struct by_position { int unused; int used; };
        struct by_name { int unused; int used; };
        int root(void)
        {
            struct by_position one = { 1, 2 };
            struct by_name two = { .used = 3 }, none = { 0 };
            return 100 * one.used + 10 * two.used + none.used + ((struct by_position){ 7, 8 }).used;
        }
    """)
    assert found.library().root() == 238
    assert found.extract().text.count("int unused") == 1


def test_a_whole_struct_keeps_the_attributes_behind_it(small) -> None:
    found = small(
        "struct s { char one; int two; } __packed;\nint root(struct s *s) { return sizeof(*s) + s->two - s->two; }\n",
        stand_ins="#define __packed __attribute__((packed))\n",
        driver="int run(void) { struct s s = { 0 }; return root(&s); }",
    )
    whole = replace(found, manifest=replace(found.manifest, whole=frozenset({"s"})))
    assert whole.library().run() == 5


def test_a_comment_before_a_continuation_hides_nothing(small) -> None:
    found = small("""
        #define both(a, b) \\
            ((a) /* one */ \\
             + (b) /* and \\
                      two */)
        #define three 3
        int root(int a) { return both(a, three); }
    """)
    assert found.library().root(4) == 7

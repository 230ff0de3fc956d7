"""Two .c files may each have a static function, a macro, an object or a struct of one name: each file means its own."""

from dataclasses import replace
from pathlib import Path

import pytest

from skdiff.base.errors import CannotRun
from skdiff.kernel.closure import extract
from skdiff.kernel.file_scope import is_local, seen_from
from skdiff.kernel.index import definitions
from skdiff.kernel.manifest import Manifest
from tests.kernel.test_closure import Small, small

__all__ = ["small"]


def taken(closure) -> set[tuple[str, str]]:
    return {(d.name, d.file) for d in closure.order}


@pytest.mark.parametrize(
    ("text", "file", "local"),
    [
        ("static int f(void) { return 1; }", "a.c", True),
        ("static inline int f(void) { return 1; }", "a.c", True),
        ("static inline int f(void) { return 1; }", "a.h", False),
        ("int f(void) { static int x; return x; }", "a.c", False),
        ("int f(void) { return 1; }", "a.c", False),
        ("static int x = 1;", "a.c", True),
        ("int x = 1;", "a.c", False),
        ("#define M 1", "a.c", True),
        ("#define M 1", "a.h", False),
        ("struct s { int x; };", "a.c", True),
        ("enum { A };", "a.c", True),
        ("typedef int t;", "a.c", True),
        ("static const struct s x[] = { 1 };", "a.c", True),
    ],
)
def test_what_a_c_file_keeps_to_itself(text: str, file: str, local: bool) -> None:
    (found,) = definitions(text.encode(), file)
    assert is_local(found) == local


def test_a_file_sees_its_own_or_what_is_no_others() -> None:
    text = b"static int f(void) { return 1; }\n"
    own, other, header = (definitions(text, name)[0] for name in ("a.c", "b.c", "c.h"))
    assert seen_from([own, other, header], "a.c") == [own]
    assert seen_from([own, other, header], "d.c") == [header]
    assert seen_from([own, other], "d.c") == []


def test_a_branch_of_the_same_file_is_its_own_too() -> None:
    text = b"#ifdef X\nstatic int f(void) { return 1; }\n#else\nint f(void) { return 2; }\n#endif\n"
    both = definitions(text, "a.c")
    assert seen_from([*both, *definitions(text, "b.c")], "a.c") == both


TWINS = {
    "net/a.c": """
        #define SCALE 10
        #define SCALED(x) (score(x) * SCALE)
        struct pair { int one; };
        static int kept = 1;
        static int score(int x) { return x + kept; }
        int root(int x) { struct pair p = { .one = x }; return SCALED(p.one); }
    """,
    "net/b.c": """
        #define SCALE 100
        #define SCALED(x) (score(x) * SCALE)
        struct pair { long two, three; };
        static int kept = 2;
        static int score(int x) { return x ? x + kept : score(1); }
        int other(int x) { struct pair p = { .three = x }; return SCALED(p.three); }
    """,
}
FAMILY = {"tcp4": ("root",), "tcp6": ("other",)}
INPUTS = "int run(void) { return kept + kept__net_b_c; }\n"


def test_each_file_means_its_own(small) -> None:
    found: Small = small(TWINS, driver=INPUTS, roots=FAMILY)
    library = found.library()
    assert (library.root(4), library.other(4), library.other(0), library.run()) == (50, 600, 300, 3)


def test_the_text_and_its_lines_stay_and_only_the_second_one_is_renamed(small) -> None:
    closure = small(TWINS, driver=INPUTS, roots=FAMILY).extract()
    text = "static int score(int x) { return x ? x + kept : score(1); }\n"
    before = '#define kept kept__net_b_c\n#define score score__net_b_c\n#line 5 "net/b.c"\n'
    assert f"{before}{text}#undef kept\n#undef score\n" in closure.text
    assert '\n\n#line 5 "net/a.c"\nstatic int score(int x) { return x + kept; }\n\n' in closure.text
    assert "score__net_a_c" not in closure.text
    assert {closure.renamed(d) for d in closure.order if d.file == "net/a.c"} == {""}
    names = ("kept", "pair", "score")
    assert closure.walk.twins.renamed() == {f"{name}__net_b_c": name for name in names}


def test_one_lookup_alone_has_no_twins(small) -> None:
    both = small(TWINS, driver="int run(void) { return kept; }\n", roots={"tcp4": ("root",)})
    assert {file for _, file in taken(both.extract())} == {"net/a.c"}
    assert "__net_" not in both.extract().text


def test_the_driver_means_the_first_lookups_twin(small) -> None:
    driver = INPUTS + "int score_of(int x) { return score(x); }\n"
    library = small(TWINS, driver=driver, roots=FAMILY).library()
    assert library.score_of(4) == 5


def test_lookups_are_told_of_each_definition(small) -> None:
    files = {
        **TWINS,
        "include/c.h": "static inline int shared(int x) { return x; }\n",
        "net/d.c": "int third(int x) { return shared(x); }\nint fourth(int x) { return shared(x) + third(x); }\n",
    }
    roots = {**FAMILY, "udp4": ("missing|third",), "udp6": ("fourth|third",)}
    closure = small(files, driver=INPUTS + "int a(void) { return extra; }\n", roots=roots).extract()
    by_name = {(name, file): found for (file, _, name), found in closure.lookups.items()}
    assert by_name["score", "net/a.c"] == {"tcp4"}
    assert by_name["score", "net/b.c"] == {"tcp6"}
    assert by_name["third", "net/d.c"] == by_name["shared", "include/c.h"] == {"udp4", "udp6"}
    assert by_name["fourth", "net/d.c"] == {"udp6"}


def test_a_static_of_another_file_is_not_to_be_had(small) -> None:
    found = small(
        {"net/a.c": "int root(void) { return hidden(); }\n", "net/b.c": "static int hidden(void) { return 1; }\n"}
    )
    assert "root uses hidden, which no file that it includes defines" in found.refused()


def test_probes_of_twins_do_not_get_in_each_others_way(small) -> None:
    found = small(TWINS, driver="static int noted[4];\n#define reference_step(n, ...) (noted[n]++)\n", roots=FAMILY)
    step = '[[step]]\nfunction = "score"\nparameters = "x"\nreturns = "int"\nvalues = {}\n'
    (found.folder / "steps.toml").write_text(step + step + 'file = "net/b.c"\n' + step + 'file = "net/none.c"\n')
    (found.folder / "driver.c").write_text(INPUTS + "int n(int i) { return noted[i]; }\n")
    closure = extract(found.folder / "tree", found.manifest, traced=True)
    before = "static int noted[4];\n#define reference_step(n, ...) (noted[n]++)\n"
    library = found.library(text=before + closure.text)
    assert (library.root(4), library.other(4)) == (50, 600)
    assert [library.n(i) for i in range(4)] == [0, 1, 1, 0]


def test_a_lookup_brings_its_files(tmp_path: Path) -> None:
    (tmp_path / "stubs").mkdir()
    for name in ("stubs/a.h", "record.h", "prelude.h"):
        (tmp_path / name).write_text("")
    text = 'files = ["a.c"]\noptional = ["c.h"]\nwhole = []\ngiven = []\ndriver = []\n'
    lookups = '[lookups.one]\nroots = ["r"]\n[lookups.two]\nroots = ["s|t"]\nfiles = ["b.c", "c.h"]\n'
    (tmp_path / "closure.toml").write_text(text + lookups)
    found = Manifest.load(csrc=tmp_path)
    assert (found.roots, found.optional) == ({"one": ("r",), "two": ("s|t",)}, ("c.h", "b.c"))
    (tmp_path / "closure.toml").write_text(text + "[lookups]\n")
    with pytest.raises(CannotRun, match="there is no lookup"):
        Manifest.load(csrc=tmp_path)


def test_a_file_that_is_built_with_an_option_is_not_there_without_it(small) -> None:
    files = {
        "include/c.h": "#define IS_ENABLED(option) option\n",
        "net/a.c": "int root(void) { return 1; }\n",
        "net/b.c": "static int kept;\nint other(void) { return missing + kept; }\n",
    }
    found = small(files, "#define missing 0\n", "int run(void) { return root(); }\n", roots=FAMILY)
    built_with = {"net/b.c": "OFF"}
    manifest = replace(found.manifest, built_with=built_with, inputs=frozenset({"kept"}))
    without = Small(found.folder, manifest)
    assert '#if IS_ENABLED(CONFIG_OFF)\n#line 2 "net/b.c"\nint other(' in without.extract().text
    assert without.library().run() == 1
    files["net/b.c"] = files["net/b.c"].replace("missing", "nowhere")
    small(files, roots=FAMILY)
    assert "other uses nowhere, which" in without.refused()  # it is looked for all the same

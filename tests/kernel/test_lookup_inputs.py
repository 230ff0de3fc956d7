"""Fields, keys and objects that a lookup's text reads and nothing sets are told, and stop a build where they must."""

import re
from dataclasses import replace

import pytest

from skdiff.base.errors import CannotRun
from skdiff.kernel.build import build
from skdiff.kernel.index import definitions
from skdiff.kernel.lookup_inputs import static_objects
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests.patched import Edit, edited_tree
from tests.variants.test_version_rules import differ

LOOKUP = "net/ipv4/inet_hashtables.c"


def objects(text):
    return [(one.name, one.kind, one.line) for one in static_objects(definitions(text.encode(), "a.c"))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("static u32 secret;", [("secret", "object", 1)]),
        ("u32 secret __read_mostly;", [("secret", "object", 1)]),
        ("static const u32 table[2] = { 1, 2 };", []),
        ("static const struct net *last;", [("last", "object", 1)]),
        ("static struct static_key_false fast;", [("fast", "key", 1)]),
        ("int f(void)\n{\n\tstatic int calls;\n\treturn calls++;\n}", [("f.calls", "object", 3)]),
        ("int f(void)\n{\n\tstatic const int calls = 1;\n\tint other;\n\treturn calls;\n}", []),
        ("int f(void)\n{\n\treturn 0;\n}\n", []),
        ("#define once(x) ({ \\\n\tstatic bool done; \\\n\tdone; })\n", [("once.static", "object", 2)]),
        ("typedef int fn_t(void);\nfn_t f;\nint f(void)\n{\n\treturn 0;\n}", []),
    ],
)
def test_objects_with_static_storage(text, found):
    assert objects(text) == found


def test_the_text_as_it_is_reads_nothing_that_nobody_sets(reference):
    assert reference.build.unset == ()


def edited(kernel_tree, folder, edits, header=None):
    """A patched tree: edits of functions, and (file, old, new) of anything else."""
    edited_tree(kernel_tree.path, folder, edits)
    if header:
        file, old, new = header
        text = (folder / file).read_text()
        assert text.count(old) == 1
        (folder / file).write_text(text.replace(old, new))
    return replace(kernel_tree, path=folder)


SOCK, SYSCTLS = "include/net/sock.h", "include/net/netns/ipv4.h"


@pytest.mark.parametrize(
    ("file", "before", "new", "read"),
    [
        pytest.param(
            *(SOCK, "\tunsigned char\t\tskc_reuse:4;", "\tunsigned char skc_fast:1;", "sk->__sk_common.skc_fast"),
            marks=pytest.mark.long,
        ),
        (SYSCTLS, "\tu8 sysctl_tcp_l3mdev_accept;", "\tu8 sysctl_tcp_cpu_accept;", "net->ipv4.sysctl_tcp_cpu_accept"),
    ],
)
def test_a_new_field_that_nothing_sets_is_named(file, before, new, read, kernel_tree, tmp_path):
    score = Edit(LOOKUP, "compute_score", r"int score = -1;", rf"int score = -1;\n\n\tif ({read})\n\t\treturn -1;\n")
    made = build(edited(kernel_tree, tmp_path, [score], (file, before, f"{new}\n{before}")))
    [one] = made.unset
    assert (one.kind, one.file) == ("field", file)
    assert read.endswith(one.name)
    assert (tmp_path / file).read_text().splitlines()[one.line - 1] == new


FETCH = Edit(LOOKUP, "inet_ehashfn", r"net_get_random_once\([^;]*;", "")


@pytest.mark.parametrize("object_of_its_own", [False, True])
def test_a_hash_secret_that_the_lookup_does_not_fetch_is_set(object_of_its_own, kernel_tree, tmp_path):
    tree = edited(kernel_tree, tmp_path, [FETCH])
    if object_of_its_own:
        hotdata, lookup = tmp_path / "include/net/hotdata.h", tmp_path / LOOKUP
        hotdata.write_text(re.sub(r"(?m)^#define inet_ehash_secret.*$", "", hotdata.read_text()))
        lookup.write_text(
            re.sub(r"(?m)^u32 inet_ehashfn\(", "static u32 inet_ehash_secret;\n\\g<0>", lookup.read_text())
        )
    made = build(tree)
    assert made.unset == ()
    assert differ(Reference(made), Model(), 1000) is None


def test_a_new_object_with_static_storage_stops_the_build(kernel_tree, tmp_path):
    score = Edit(LOOKUP, "compute_score", r"int score = -1;", r"static int calls;\n\tint score = -1;\n\n\tcalls++;\n")
    with pytest.raises(CannotRun) as error:
        build(edited(kernel_tree, tmp_path, [score]))
    said = str(error.value)
    assert said.startswith(f"{LOOKUP}:") and "compute_score.calls" in said and "[inputs] of csrc/closure.toml" in said

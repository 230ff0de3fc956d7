"""The closure of all lookups: it extracts and compiles, and twins stay apart in all that goes by names."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from skdiff.cases.fields import LOOKUPS
from skdiff.cases.steps import KINDS, StepKind
from skdiff.kernel.build import lines_of, unit
from skdiff.kernel.call_graph import callers
from skdiff.kernel.closure import Closure, extract
from skdiff.kernel.compilation import closure_command
from skdiff.kernel.detect import detect
from skdiff.kernel.emit import own_text
from skdiff.kernel.index import definitions
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.roles import ROOT
from skdiff.kernel.source import Tree, find
from skdiff.proof.mutants.c_types import types
from skdiff.proof.mutants.sites import mutated
from skdiff.variants.config import MINIMAL, Config

ALL = ("tcp4", "tcp6", "udp4", "udp6")
KERNELS = ["6.12", *(pytest.param(kernel, marks=pytest.mark.long) for kernel in ("6.1", "7.3"))]
SCORES = ("net/ipv4/inet_hashtables.c", "net/ipv6/inet6_hashtables.c", "net/ipv4/udp.c", "net/ipv6/udp.c")


@pytest.fixture(scope="module", params=KERNELS)
def tree(request: pytest.FixtureRequest) -> Tree:
    manifest = Manifest.load()
    return find(request.param, manifest.files, optional=manifest.optional)


def compiled(
    closure: Closure,
    folder: Path,
    *flags: str,
    config: Config = Config(),  # noqa: B008  # it is frozen
) -> str:
    """What gcc, and clang if it is there, have to say of a closure with the driver behind it."""
    (folder / "closure.c").write_text(unit(closure, config))
    said = ""
    for cc in ("gcc", *(["clang"] if shutil.which("clang") else [])):  # who has not the optional one asks gcc alone
        command = [word for word in closure_command(cc, ("-O0", *flags)) if word not in ("-g", "-w")]
        done = subprocess.run(
            [*command, "-Werror=implicit-function-declaration", "-c", "closure.c"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said += "".join(line for line in done.stderr.splitlines(keepends=True) if " error: " in line)
    return said


def test_the_closure_of_all_lookups_compiles(tree: Tree, tmp_path: Path) -> None:
    closure = extract(tree.path, Manifest.load())
    assert closure.followed == ()  # all that they need is listed
    assert compiled(closure, tmp_path) == ""
    assert compiled(closure, tmp_path, config=MINIMAL) == ""  # without IPv6 two of them are not there
    reached = Counter(lookup for found in closure.lookups.values() for lookup in found)
    assert set(reached) == set(ALL)
    assert all(200 < count < closure.lookup for count in reached.values())
    assert all(closure.lookups[d.file, d.line, d.name] for d in closure.order[: closure.lookup])
    lines = {(line.name, line.file): line for line in lines_of(closure.definitions(stand_ins=False), closure)}
    assert lines["reuseport_select_sock", "net/core/sock_reuseport.c"].lookups == tuple(sorted(ALL))
    for file, lookup in zip(SCORES, ALL, strict=True):
        assert lines["compute_score", file].lookups == (lookup,)


@pytest.fixture(scope="module")
def family(kernel_tree: Tree) -> Closure:
    return extract(kernel_tree.path, Manifest.load())


def test_the_lookups_are_those_that_a_case_may_have() -> None:
    assert tuple(Manifest.load().roots) == ALL == tuple(LOOKUPS.values())


def test_twins_get_the_name_of_their_file_and_the_first_one_keeps_its_own(family: Closure) -> None:
    assert sorted(family.walk.twins.renamed()) == [
        "compute_score__net_ipv4_udp_c",
        "compute_score__net_ipv6_inet6_hashtables_c",
        "compute_score__net_ipv6_udp_c",
    ]
    named = {d.file: family.name_of(d) for d in family.order if d.name == "compute_score"}
    assert named["net/ipv4/inet_hashtables.c"] == "compute_score"
    assert named["net/ipv6/udp.c"] == "compute_score__net_ipv6_udp_c"
    for d in family.order:
        own = own_text(d)
        if d.file == "net/ipv6/udp.c" and "compute_score(" in own:
            before, _, behind = family.text.partition(own)
            head = "#define compute_score compute_score__net_ipv6_udp_c\n#if IS_ENABLED(CONFIG_IPV6)\n"
            assert before.endswith(f'{head}#line {d.line} "{d.file}"\n')
            assert behind.startswith("\n#endif\n#undef compute_score\n")


def test_ids_of_twins_are_their_own(family: Closure) -> None:
    def ids(closure: Closure, file: str) -> dict[str, str]:
        known = types(closure.order, closure.keeps, closure.name_of)
        scores = [d for d in closure.order if (d.file, d.name) == (file, "compute_score")]
        found = (m for d in scores for m in mutated(d, known, 1, frozenset(), names=closure.names_in(d))[1])
        return {mutant.id: mutant.function for mutant in found}

    every = [ids(family, file) for file in SCORES]
    assert {*every[0].values()} == {"compute_score"}
    assert {*every[3].values()} == {"compute_score__net_ipv6_udp_c"}
    assert len({i for one in every for i in one}) == sum(map(len, every))
    lines = lines_of(family.definitions(stand_ins=False), family)
    assert sorted(line.function for line in lines if line.name == "compute_score") == sorted(
        {*family.walk.twins.renamed(), "compute_score"}
    )


def test_steps_of_twins_are_noted_apart(kernel_tree: Tree, tmp_path: Path) -> None:
    traced = extract(kernel_tree.path, Manifest.load(), traced=True)
    scores = [(i, kind) for i, kind in enumerate(KINDS, 1) if kind.function == "compute_score"]
    assert [kind.file for _, kind in scores] == ["", *SCORES[1:]]
    for i, kind in scores:
        name = kind.name
        assert f"#define {name}(sk, " in traced.text
        assert f"reference_step({i}, " in traced.text
    assert compiled(traced, tmp_path, "-DTRACED") == ""
    graph = callers(traced.order[: traced.lookup], KINDS, traced.roles)
    assert graph["compute_score"] == ("inet_lhash2_lookup",)
    assert {kind.name for _, kind in scores[1:]} == {*traced.walk.twins.renamed()}
    assert set(graph["inet_lookup_reuseport"]) >= {"inet_lhash2_lookup", "inet_steal_sock", "udp4_lib_lookup2"}


def test_a_step_of_a_file_is_called_by_both() -> None:
    plain = StepKind("f", "x", "int", {})
    assert (plain.name, StepKind("f", "x", "int", {}, file="net/a.c").name) == ("f", "f__net_a_c")


def test_rules_are_read_off_the_lookups_own_functions() -> None:
    """A twin elsewhere, which comes first, tells nothing of it."""
    own = b"""
    static int inet_ehashfn(int net, int laddr, int lport) { return __inet_ehashfn(laddr, 0) + lport; }
    static int __inet_lookup_established(int x) { return inet_ehashfn(x, x, x); }
    int __inet_lookup_skb(int x) { return __inet_lookup_established(x); }
    """
    other = own.replace(b"(laddr, 0) + lport", b"(laddr, lport)").replace(b"__inet_lookup_skb", b"root6")
    for files in ((own, other), (other, own)):
        found = [d for text in files for d in definitions(text, "net/own.c" if text is own else "net/other.c")]
        told = detect(found)
        assert told.rules.lport_added
        assert told.roles[ROOT] == ROOT

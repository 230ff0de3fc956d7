"""Coverage: what the corpus reaches of the kernel's text, and what is said of the rest."""

import io
import shutil

import pytest
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases.case_file import Case, dump
from skdiff.cases.scenario import Scenario
from skdiff.proof import kernel_coverage
from skdiff.proof.kernel_coverage import Spot
from tests.running import made


@pytest.fixture(scope="module")
def build(kernel_tree):
    made_for_it = made("6.12", "coverage")
    if shutil.which("gcov") is None:
        pytest.skip("no gcov, which counts lines")
    return made_for_it


def test_the_corpus_reaches_all_that_can_be_reached(build):
    found = kernel_coverage.spots(build, kernel_coverage.count_runs(build, str(CORPUS)))
    if note := kernel_coverage.note_on_compiler(build.compiler):
        pytest.skip(note)
    result = kernel_coverage.summary(found, kernel_coverage.judged_unreachable("6.12.117"))
    assert (result.missing, result.reached_after_all, result.gone) == ([], [], [])
    assert result.good
    assert len(found) > 500


def test_one_case_reaches_little(build, tmp_path):
    (tmp_path / "case.toml").write_text(dump(Case(Scenario())))
    found = kernel_coverage.spots(build, kernel_coverage.count_runs(build, str(tmp_path / "case.toml")))
    result = kernel_coverage.summary(found, kernel_coverage.judged_unreachable("6.12.117"))
    rows = {row.function: row for row in result.functions}
    assert rows["inet_iif"].lines[0] > 0
    assert rows["reuseport_select_sock"].lines[0] == 0
    assert not result.good
    assert any("reuseport_select_sock" in line for line in result.missing)


def spot(runs, branch=-1, text="x = 1;", line=7):
    return Spot("a.c", "f", line, text, branch, 0, runs)


def test_what_is_missing_has_a_reason_or_is_told():
    reached, missed = spot(3), spot(0, branch=1)
    assert kernel_coverage.summary([reached], {}).good
    told = kernel_coverage.summary([reached, missed], {})
    assert (told.good, told.missing) == (False, [str(missed)])
    assert kernel_coverage.summary([reached, missed], {missed.id: "because"}).good
    told = kernel_coverage.summary([reached], {reached.id: "because"})
    assert (told.good, told.reached_after_all) == (False, [str(reached)])
    assert kernel_coverage.summary([reached], {missed.id: "because"}).gone == [missed.id]
    [row] = kernel_coverage.summary([reached, missed], {missed.id: "because"}).functions
    assert (row.lines, row.branches, row.excused, row.missing) == ((1, 1), (0, 1), 1, 0)


def test_each_lookup_has_totals_of_its_own():
    spots = [
        Spot("a.c", name, n, "x;", -1, 0, runs, of)
        for n, (name, runs, of) in enumerate(
            [("both", 1, ("tcp4", "tcp6")), ("both", 0, ("tcp4", "tcp6")), ("six", 0, ("tcp6",)), ("nobodys", 3, ())]
        )
    ]
    sums = kernel_coverage.totals_by_lookup(kernel_coverage.summary(spots, {spots[1].id: "because"}).functions)
    assert {name: (row.lines, row.excused, row.missing) for name, row in sums.items()} == {
        "tcp4": ((1, 2), 1, 0),
        "tcp6": ((1, 3), 1, 1),
    }
    out = io.StringIO()
    kernel_coverage.show(Console(file=out), kernel_coverage.summary(spots, {}), "x")
    assert "\ntcp6: 1 of 3 lines, 0 of 0 branches; 0 cannot be reached, 2 missing\n" in out.getvalue()


def test_the_lines_of_a_build_know_their_lookups(build, tmp_path):
    """A case of IPv4 alone leaves those of IPv6 unreached, and only the sums of IPv6 tell."""
    (tmp_path / "case.toml").write_text(dump(Case(Scenario())))
    found = kernel_coverage.spots(build, kernel_coverage.count_runs(build, str(tmp_path / "case.toml")))
    own = {spot.function: spot.lookups for spot in found}
    assert (own["__inet_lookup_skb"], own["__inet6_lookup_skb"]) == (("tcp4",), ("tcp6",))
    assert (own["__udp4_lib_lookup"], own["udp6_lib_lookup2"]) == (("udp4",), ("udp6",))
    assert own["reuseport_select_sock"] == ("tcp4", "tcp6", "udp4", "udp6")
    sums = kernel_coverage.totals_by_lookup(kernel_coverage.summary(found, {}).functions)
    assert sums["tcp4"].lines[0] > 2 * sums["tcp6"].lines[0] > 0


def test_a_place_keeps_its_name_where_its_line_goes():
    assert spot(0).id == spot(5, line=9).id
    assert len({spot(0).id, spot(0, branch=0).id, spot(0, text="y").id}) == 3


@pytest.mark.parametrize("text", ["", "unreached = 3", '[[unreached]]\nwhy = "x"\n', "["])
def test_a_broken_list_is_one_line(tmp_path, text):
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(CannotRun, match="not a list of what is unreached"):
        kernel_coverage.judged_unreachable("6.12.117", path)


def test_a_reason_is_for_the_kernels_that_it_names(tmp_path):
    path = tmp_path / "list.toml"
    path.write_text(
        '[[unreached]]\nfunction = "f"\nkernels = ["6.1"]\nids = ["0123456789ab"]\nkind = "lookup"\nwhy = "x"\n'
    )
    assert [len(kernel_coverage.judged_unreachable(v, path)) for v in ("6.1.192", "6.12.117", "7.2.13")] == [1, 0, 1]
    assert kernel_coverage.summary([], {"0123456789ab": "x"}, listed=False).gone == []


@pytest.mark.parametrize(("version", "noted"), [("12", False), ("12.2.0", False), ("14", True)])
def test_another_compiler_numbers_branches_otherwise(version, noted, tmp_path):
    compiler = tmp_path / "gcc"
    compiler.write_text(f"#!/bin/sh\necho {version}\n")
    compiler.chmod(0o755)
    assert ("this is gcc 14" in kernel_coverage.note_on_compiler(str(compiler))) == noted

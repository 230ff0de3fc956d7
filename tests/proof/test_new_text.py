"""New text that no case runs: named, and never taken for agreement."""

import json
import shutil

import pytest

from skdiff.cli import main
from skdiff.kernel.text_changes import changes
from skdiff.kernel.unseen import Named, Place, Unseen
from skdiff.proof import new_text
from tests.helpers import mostly_long
from tests.patched import copied_tree
from tests.running import made
from tests.variants.test_version_rules import HASHTABLES_C

pytestmark = pytest.mark.usefixtures("without_mutants")
SOCK_H, NETNS_H = "include/net/sock.h", "include/net/netns/ipv4.h"
MATCH = "\t\tif (sk->sk_rcv_saddr != daddr)\n\t\t\treturn -1;\n"  # in compute_score()
ABOVE = "static inline int compute_score("
REJECTED = "\t\t\treturn -2;\n"


def rejecting(condition):
    """A new branch in compute_score()."""
    return HASHTABLES_C, MATCH, f"{MATCH}\t\tif ({condition})\n{REJECTED}"


# What is new in the text, and the words that name it.
DEAD = {
    "flag": (
        [
            (SOCK_H, "\tunsigned char\t\tskc_net_refcnt:1;\n", "\tunsigned char skc_net_refcnt:1, skc_fast:1;\n"),
            rejecting("sk->__sk_common.skc_fast"),
        ],
        "skc_fast",
    ),
    "sysctl": (
        [
            (NETNS_H, "\tu8 sysctl_tcp_early_demux;\n", "\tu8 sysctl_tcp_early_demux;\n\tu8 sysctl_tcp_fast;\n"),
            rejecting("net->ipv4.sysctl_tcp_fast"),
        ],
        "sysctl_tcp_fast",
    ),
    "option": (
        [(HASHTABLES_C, MATCH, f"{MATCH}#ifdef CONFIG_INET_LOOKUP_WEIGHT\n\t\tscore = 7;\n#endif\n")],
        "INET_LOOKUP_WEIGHT",
    ),
    "key": (
        [
            (HASHTABLES_C, ABOVE, f"static struct static_key_false inet_fast;\n\n{ABOVE}"),
            rejecting("static_branch_unlikely(&inet_fast)"),
        ],
        "inet_fast",
    ),
    "clock": ([(HASHTABLES_C, MATCH, f"{MATCH}\t\tif (jiffies)\n\t\t\treturn -2;\n")], "jiffies"),
    "stub": (
        [("include/net/request_sock.h", "\t__reqsk_free(req);\n", "\tif (req)\n\t\t__reqsk_free(req);\n")],
        "reqsk_free",
    ),
    "never": ([rejecting("0 && sk->sk_num")], "compute_score: return -2;"),
    "unreachable": ([rejecting("sk->sk_num != hnum")], "compute_score: return -2;"),
}
IS_INET = "static inline bool is_inet(struct sock *sk)\n{\n\treturn sk->sk_family == PF_INET;\n}\n\n"
SWITCH = "\t\tswitch (dif) {\n\t\tcase 1:\n\t\t\tfallthrough;\n\t\tdefault:\n\t\t\tbreak;\n\t\t}\n"
HARMLESS = {
    "remark": [(HASHTABLES_C, MATCH, f"\t\t/* the address */\n{MATCH}")],
    "without-code": [(HASHTABLES_C, MATCH, f"{MATCH}{SWITCH}")],
    "renamed": [(HASHTABLES_C, "compute_score(", "score_of(")],
    "helper": [
        (HASHTABLES_C, ABOVE, IS_INET + ABOVE),
        (HASHTABLES_C, "if (sk->sk_family == PF_INET)\n\t\t\tscore++;", "if (is_inet(sk))\n\t\t\tscore++;"),
    ],
}


def patched(kernel_tree, folder, edits):
    copied_tree(kernel_tree.path, folder)
    for file, old, new in edits:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
    return folder


def run(folder, *command, cases=600):
    summary = folder / "summary.json"
    more = ["--cases", str(cases), "--seed", "3", "--findings", str(folder / "findings"), "--json", str(summary)]
    return main([*map(str, command), *more]), json.loads(summary.read_text())


@pytest.mark.parametrize("name", mostly_long(list(DEAD), every=8))
def test_dead_new_text_is_named(name, kernel_tree, tmp_path, capsys):
    edits, words = DEAD[name]
    tree = patched(kernel_tree, tmp_path / "tree", edits)
    status, summary = run(tmp_path, "diff", "6.12", tree)
    out = capsys.readouterr().out
    assert (status, summary["differ"]) == (2, False)
    named = out[out.index("A and B: ") :]
    assert words in named
    assert "compute_score: return -2;" in named or name in ("option", "stub")
    assert "no verdict: no difference in " in out
    found = {key: bool(summary["unseen"][key]) for key in ("lines", "names", "options", "stand_ins")}
    assert found == {
        "lines": name != "stub",
        "names": name in ("flag", "sysctl", "key", "clock"),
        "options": name == "option",
        "stand_ins": name == "stub",
    }


@pytest.mark.long
def test_an_option_of_the_new_text_can_be_taken_as_on(kernel_tree, tmp_path, capsys, monkeypatch):
    tree = patched(kernel_tree, tmp_path / "tree", DEAD["option"][0])
    monkeypatch.setenv("CONFIG", "INET_LOOKUP_WEIGHT=y")
    status, summary = run(tmp_path, "fuzz", "--kernel", tree, "--engine", "random")
    assert (status, summary["mismatches"], summary["unseen"]["options"]) == (0, [], [])
    assert "new or changed lines ran" in capsys.readouterr().out


def test_fuzz_names_it_as_well(kernel_tree, tmp_path, capsys):
    tree = patched(kernel_tree, tmp_path / "tree", DEAD["flag"][0])
    status, summary = run(tmp_path, "fuzz", "--kernel", tree, "--engine", "random")
    out = capsys.readouterr().out
    assert (status, summary["mismatches"]) == (2, [])
    assert "new or changed lines that no case ran: 1" in out
    assert f"{HASHTABLES_C}:" in out
    assert "compute_score: return -2;" in out


@pytest.mark.long
@pytest.mark.parametrize(("lookup", "status"), [("tcp4", 0), ("tcp6", 2)])
def test_a_run_of_one_lookup_has_not_looked_at_the_text_of_another(lookup, status, kernel_tree, tmp_path, capsys):
    tree = patched(kernel_tree, tmp_path / "tree", HARMLESS["helper"])
    command = ("fuzz", "--kernel", tree, "--engine", "random", "--lookup", lookup)
    ended, summary = run(tmp_path, *command)
    assert (ended, summary["mismatches"]) == (status, [])
    assert bool(summary["unseen"]["lines"]) == bool(status)


@pytest.mark.long
@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_new_text_all_runs(name, kernel_tree, tmp_path, capsys):
    tree = patched(kernel_tree, tmp_path / "tree", HARMLESS[name])
    status, summary = run(tmp_path, "diff", "6.12", tree)
    out = capsys.readouterr().out
    assert (status, summary["unseen"]["lines"]) == (0, []), out
    assert f"no difference in {summary['cases']:,} cases" in out
    assert ("new or changed lines ran" in out) == bool(summary["unseen"]["new"])


def test_recorded_text_has_nothing_unseen(tmp_path, capsys):
    status, summary = run(tmp_path, "fuzz", "--kernel", "6.12", "--engine", "random")
    assert (status, summary["unseen"]) == (0, None)
    status, summary = run(tmp_path, "diff", "6.12", "6.12")
    assert (status, summary["unseen"]) == (0, None)


def test_without_gcov_nobody_can_tell(kernel_tree, tmp_path, capsys, monkeypatch):
    tree = patched(kernel_tree, tmp_path / "tree", HARMLESS["remark"])
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if "cov" in name else f"/usr/bin/{name}")
    found = new_text.unseen_of_tree(made(str(tree)), lambda: made(str(tree), "coverage"), 1, lambda _: None)
    assert found
    assert found.why.startswith("no gcov")
    assert found.lines_for_people() == [f"cannot tell which lines ran: {found.why}"]


def test_what_did_not_run_before_either_is_no_news():
    place = Place("a.c", 3, "f", "return NULL;")
    assert new_text.news([place], {("a.c", 3): ("a.c", 1)}, [Place("a.c", 1, "f", "return NULL;")]) == []
    assert new_text.news([place], {("a.c", 3): ("a.c", 1)}, []) == [place]  # it ran before
    moved, other = [Place("a.c", 9, "g", "return NULL;")], Place("a.c", 5, "f", "return NULL;")
    assert new_text.news([place], {}, moved) == []
    assert new_text.news([place, other], {}, moved) == [other]


def test_words_of_what_is_left():
    lines = tuple(Place("a.c", n, "f", "x();") for n in range(12))
    told = Unseen(new=20, lines=lines, names=(Named("sk_fast", "a.c:1"),)).lines_for_people()
    assert told[0] == "new or changed lines that no case ran: 12"
    assert told[11] == "  and 2 more"
    assert told[12:] == ["read by the new text, and set by no case: 1", "  a.c:1: sk_fast"]
    assert Unseen(new=3).verdict("no difference") == "no difference: 3 of 3 new or changed lines ran"
    assert Unseen().verdict("no difference") == "no difference"
    assert not Unseen(new=3).anything


def test_changes_of_a_build_are_found_by_their_place():
    build = made("6.12")
    assert new_text.unseen_between((build, build), changes(build.kernel, build.kernel), lambda: (), 1, print) is None

"""Bugs of the past, put back, are found; the kernel as it is shows none of them."""

import re
from pathlib import Path

import pytest

from skdiff.base.errors import CannotRun
from skdiff.campaign.finding_files import Origin
from skdiff.campaign.messages import Found
from skdiff.campaign.run import Run
from skdiff.cases.case_file import load
from skdiff.cases.fields import LOOKUPS
from skdiff.engines import random_engine
from skdiff.findings.replay_cases import verdict
from skdiff.kernel.build import build
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import find
from skdiff.oracles.model import Model
from skdiff.oracles.reference import Reference
from tests import trophies
from tests.detection import one
from tests.helpers import mostly_long
from tests.patched import Patch, patched_tree
from tests.trophies import KERNEL, Hunt, put_back

ALL = trophies.trophies()
PROOF = Path(__file__).resolve().parents[1] / "docs/proof.md"
SEED, CASES = 1, 20_000
RARE = 200_000  # three sockets and a connected group make what some bugs need


def run(oracles, folder, told, cases=CASES):
    origin = Origin("test", "", "random", SEED)
    made = Run(lambda: oracles, origin, folder, told.append, cases=cases, first=True)
    random_engine.drive(made)
    return made


def drawn(trophies):
    """Few are tests of `make test`; a kernel that only they need is not fetched for it."""
    at_hand, others = ([t for t in trophies if (t.kernel == KERNEL) is here] for here in (True, False))
    return mostly_long(at_hand, every=10) + [pytest.param(trophy, marks=pytest.mark.long) for trophy in others]


@pytest.mark.parametrize("trophy", drawn(ALL), ids=lambda trophy: trophy.name)
def test_a_bug_of_the_past_is_found(trophy, kernel_tree, tmp_path):
    manifest = Manifest.load()
    kernel = kernel_tree
    if trophy.kernel != KERNEL:
        kernel = find(trophy.kernel, manifest.files, optional=manifest.optional)
    tree = put_back(trophy, kernel, tmp_path / "tree")
    if trophy.variant != "plain":  # a sanitizer's library must be there when a process starts
        assert one(tree, "random", SEED, 20, trophy.variant)[2]
        return
    told = []
    made, sound = build(tree), build(kernel)
    assert made.rules == sound.rules  # the bug is not taken for an older kernel
    oracles = [Reference(made), Model(made.rules)]
    assert run(oracles, tmp_path / "findings", told, RARE).done < RARE
    case = load(Path(next(message.finding.file for message in told if isinstance(message, Found))))
    assert not trophy.lookups or LOOKUPS[case.scenario.lookup] in trophy.lookups
    assert verdict(case, *oracles)[0] == "mismatch"
    assert verdict(case, Reference(sound), Model(sound.rules))[0] == "agreed"


def test_the_kernel_as_it_is_shows_none_of_them_in_the_same_cases(reference, tmp_path):
    told = []
    assert run([reference, Model()], tmp_path, told).done == CASES
    assert [message for message in told if isinstance(message, Found)] == []


def test_each_trophy_says_what_it_is():
    assert len({trophy.name for trophy in ALL}) == len(ALL)
    assert sum(trophy.kind != "trap" for trophy in ALL) >= 15
    for trophy in ALL:
        assert re.fullmatch(r"[0-9a-f]{12}|", trophy.commit), trophy.name
        assert trophy.kind in ("mistake", "rule", "trap")
        assert set(trophy.lookups) <= set(LOOKUPS.values())
        assert trophy.story.endswith(".")
        assert trophy.subject


def twin_of(name):
    """What does in IPv4 what this one does in IPv6's text, "" for none: `udp6-...` of UDP, `...-6` of all others."""
    return name.replace("udp6-", "udp-", 1) if name.startswith("udp6-") else name.removesuffix("-6")


ALONE = {"address-words-6", "udp6-demux-any", "udp6-wrong-secret", "udp6-mapped-connection"}  # IPv4 never had them


def test_what_ipv6_had_has_a_twin_in_ipv4():
    names = {trophy.name: trophy for trophy in ALL}
    pairs = [(trophy, twin_of(trophy.name)) for trophy in ALL if twin_of(trophy.name) != trophy.name]
    assert {trophy.name for trophy, twin in pairs if twin not in names} == ALONE
    assert len(pairs) >= 20
    for trophy, name in pairs:
        assert trophy.lookups
        assert "6" in trophy.patch.file + trophy.patch.function
        if trophy.name in ALONE:
            continue
        twin = names[name]
        assert (trophy.until, trophy.kind, trophy.variant, trophy.kernel) == (
            *(twin.until, twin.kind, twin.variant, twin.kernel),
        )
        functions = [re.sub(r"udp[46]|_v[46]", "", t.patch.function).replace("6", "") for t in (trophy, twin)]
        assert functions[0] == functions[1] or twin.name == "enslaved-device"  # in what both families share


def test_the_oldest_comes_first():
    versions = [[int(part) for part in trophy.until.split(".")] for trophy in ALL]
    assert versions == sorted(versions)


def test_the_readme_tells_of_each():
    text = PROOF.read_text()
    for trophy in ALL:
        row = next((line for line in text.splitlines() if line.startswith(f"| {trophy.name} ({trophy.kind}) |")), "")
        assert trophy.story in row
        assert (trophy.commit or trophy.subject) in row
        assert f"| {trophy.until} |" in row


# --- the script ---


@pytest.fixture
def hunted(monkeypatch, kernel_tree):
    """Runs that take no time: `hunted` is the set of (trophy, engine) that are not found."""
    missing = set()

    def one(tree, engine, seed, seconds, variant):
        return (0.25 * seed, 100 * seed, (tree.origin, engine) not in missing)

    monkeypatch.setattr(trophies, "one", one)
    monkeypatch.setattr(trophies, "engines", lambda: ["atheris", "random"])
    monkeypatch.setattr(trophies, "find", lambda *_, **__: kernel_tree)
    return missing


def test_all_found_is_0(hunted, capsys):
    assert trophies.main(["--seeds", "3", "group-cpu"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "atheris" in line)
    assert [cell.strip() for cell in re.split("│", row)][1:-1] == [
        *("group-cpu", "6.2", "mistake", "b261eda84ec1", "atheris", "3/3", "200", "0.50", "0.75")
    ]


def test_one_that_the_default_engine_misses_is_1(hunted, capsys):
    hunted.add(("group-cpu", "atheris"))
    assert trophies.main(["--seeds", "2", "group-cpu", "hash-start"]) == 1
    said = capsys.readouterr()
    assert "in 20 s: group-cpu\n" in said.err
    assert "0/2" in said.out


def test_one_that_only_another_engine_misses_is_0(hunted, capsys):
    hunted.add(("group-cpu", "random"))
    assert trophies.main(["--seeds", "2", "group-cpu"]) == 0
    assert "0/2" in capsys.readouterr().out


def test_an_unknown_name_is_2(capsys):
    assert trophies.main(["no-such-bug"]) == 2
    assert capsys.readouterr().err.startswith("trophies: there is no trophy 'no-such-bug': namespaces, ")


@pytest.mark.parametrize("seconds", ["0", "-3", "nan"])
def test_a_budget_of_no_time_is_2(seconds, capsys):
    assert trophies.main(["--seconds", seconds]) == 2
    assert capsys.readouterr().err.startswith(f"trophies: --seconds {seconds}: ")


@pytest.mark.parametrize(
    ("error", "said"), [(CannotRun("no compiler"), "no compiler"), (KeyboardInterrupt(), "stopped")]
)
def test_a_run_that_could_not_is_2(error, said, hunted, monkeypatch, capsys):
    def one(*_):
        raise error

    monkeypatch.setattr(trophies, "one", one)
    assert trophies.main(["group-cpu"]) == 2
    assert capsys.readouterr().err == f"trophies: {said}\n"


def test_the_markdown_has_a_row_for_each(hunted, tmp_path):
    assert trophies.main(["--seeds", "1", "--markdown", str(tmp_path / "table.md"), "hash-start", "group-cpu"]) == 0
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| hash-start (mistake)", "| group-cpu (mistake)"]
    assert "not looked up: *jhash: Update" in rows[0]
    assert rows[1].endswith(" | 100, 0.25 | 0.25 |")


def test_a_hunt_counts_what_it_missed():
    assert Hunt(ALL[0], "random", [(1.0, 10, True), (20.0, 99, False)]).missed == 1


# --- patches ---

SOURCE = b"""static int rank(int a, int b)
{
	if (a == b) /* same */
		return a /* or b */ + b;
	return a == 1 ? b : a;
}
"""


def patched(tmp_path, nth, old, new, function="rank"):
    tree = tmp_path / "tree"
    (tree / "net").mkdir(parents=True)
    (tree / "net" / "rank.c").write_bytes(SOURCE)
    folder = tmp_path / "copy"
    (folder / "net").mkdir(parents=True)
    (folder / "net" / "rank.c").write_bytes(SOURCE)
    patched_tree(tree, folder, Patch("net/rank.c", function, nth, old, new))
    return (folder / "net" / "rank.c").read_bytes()


def test_a_patch_changes_one_token(tmp_path):
    assert patched(tmp_path, 1, "==", "!=") == SOURCE.replace(b"a == 1", b"a != 1")


def test_a_patch_changes_tokens_in_a_row_whatever_is_between_them(tmp_path):
    assert patched(tmp_path, 0, "return a + b", "return 7") == SOURCE.replace(b"return a /* or b */ + b", b"return 7")


@pytest.mark.parametrize(("nth", "old"), [(2, "=="), (0, "a + a"), (0, "same")])
def test_a_patch_without_a_place_is_refused(tmp_path, nth, old):
    with pytest.raises(CannotRun, match=r"net/rank.c: rank\(\) has no"):
        patched(tmp_path, nth, old, "!=")


def test_a_patch_of_a_function_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CannotRun, match=r"net/rank.c does not define order\(\)"):
        patched(tmp_path, 0, "==", "!=", function="order")

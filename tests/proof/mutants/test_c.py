"""C mutants: what is changed and how, in one library that without a mutant does what the kernel does."""

import io
import os
import re
from random import Random

import pytest
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.cases import wire
from skdiff.cases.case_file import load
from skdiff.cases.outcome import COMPARED
from skdiff.cases.scenario import LHASH2, TCP_LISTEN, Scenario, Sock
from skdiff.comparison.compare import compare
from skdiff.kernel.closure import extract
from skdiff.kernel.index import definitions
from skdiff.kernel.manifest import Manifest
from skdiff.oracles.reference import Reference
from skdiff.proof.mutants import hunt, report
from skdiff.proof.mutants.c_types import Types, types
from skdiff.proof.mutants.common import Judgement, Mutant, judge, judgements, judgements_for
from skdiff.proof.mutants.isolated import Died, each
from skdiff.proof.mutants.schemata import Schemata, schemata
from skdiff.proof.mutants.sites import OWNED, mutated

NOTHING = Types({}, {}, frozenset())
LISTENER = Sock(state=TCP_LISTEN, hashed=LHASH2, rcu_free=1)


@pytest.fixture(scope="module")
def made(kernel_tree) -> Schemata:
    return schemata(kernel_tree)


def changes(text: str, known: Types = NOTHING) -> set[str]:
    """All changes of the last definition of a text."""
    return {mutant.change for mutant in mutated(definitions(text.encode(), "a.c")[-1], known, 1, frozenset())[1]}


# --- what is changed ---


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a == b;", {"a == b -> a != b", "return a == b -> return 0"}),
        ("return a < 3;", {"a < 3 -> a <= 3", "a < 3 -> a >= 3", "3 -> 3 + 1", "3 -> 3 - 1"}),
        (
            "if (a && b) f();",
            {"&& -> ||", "a && b -> a", "a && b -> b", "a && b -> !(a && b)", "a && b -> 1", "a && b -> 0"},
        ),
        ("if (!a) return;", {"!a -> !(!a)", "!a -> 1", "!a -> 0", "return; -> nothing"}),
        ("x = f(a, b); return;", {"f(a, b) -> 0", "f(a, b) -> f(b, a)", "x = f(a, b); -> nothing"}),
        ("x += a;", {"x += a -> x -= a", "x += a -> x = a"}),
        ("x = a ? b : c;", {"a ? b : c -> a ? c : b"}),
        ("x = ntohs(p);", {"ntohs(p) -> p"}),
        ("x = true; y++;", {"true -> false", "y++ -> y--"}),
        (
            "while (a) { if (b) break; if (c) continue; goto out; } out: x = 1;",
            {"break; -> nothing", "continue; -> nothing", "goto out; -> nothing"},
        ),
        ("x = TCP_LISTEN;", {"TCP_LISTEN -> TCP_LISTEN + 1"}),
        ("x = ~a & 7;", {"~a -> a", "~a & 7 -> ~a | 7"}),
    ],
)
def test_each_operator_has_its_mutants(body: str, expected: set[str]) -> None:
    assert expected <= changes(f"void f(void) {{ {body} }}")


def test_what_has_one_type_is_exchanged() -> None:
    text = "struct s { __be32 saddr; __be32 daddr; int other; };\n"
    text += "int f(struct s *s, int dif, int sdif) { return g(dif, s->saddr); }"
    known = types(definitions(text.encode(), "a.c"), lambda definition, member: True)
    assert {"s->saddr -> s->daddr", "dif -> sdif"} <= changes(text, known)
    assert known.parameters["f"] == ("struct s*", "int", "int")


@pytest.mark.parametrize(
    "text", ["void f(void) { for_each(x, y) { x = 1; } }", "void f(void) { BUILD_BUG_ON(a == b); }"]
)
def test_no_change_of_what_is_no_expression(text: str) -> None:
    assert not {change for change in changes(text) if change.startswith(("for_each", "a ==", "BUILD"))}


def test_a_macro_is_changed_as_its_body_reads() -> None:
    assert "(a) + (b) -> (a) - (b)" in changes("#define sum(a, b) \\\n\t((a) + (b))\n")
    assert changes("#define sk_x __sk_common.skc_x\n") == set()
    assert changes("#define name(a) #a\n") == set()


def test_a_text_without_mutants_is_the_kernels_own(kernel_tree) -> None:
    closure = extract(kernel_tree.path, Manifest.load())
    known, count = types(closure.order, closure.keeps), 0
    for definition, _ in closure.definitions(stand_ins=False):
        if definition.kind in ("function", "macro"):
            text, mutants = mutated(definition, known, 1, frozenset())
            assert {int(n) for n in OWNED.findall(text)} == set(range(1, len(mutants) + 1))
            plain, same = mutated(definition, known, 1, frozenset(range(1, len(mutants) + 1)))
            assert (plain, same) == (definition.text.decode(), mutants)
            count += len(mutants)
    assert count > 1000


def test_ids_are_unique_and_do_not_know_the_line(made) -> None:
    assert len({mutant.id for mutant in made.mutants.values()}) == len(made.mutants)
    one = Mutant("c", "a.c", "f", 7, "x = 1;", "constant", "1 -> 1 + 1")
    assert one.id == Mutant("c", "b.c", "f", 9, "x = 1;", "constant", "1 -> 1 + 1").id
    assert one.id != Mutant("c", "a.c", "f", 7, "x = 1;", "constant", "1 -> 1 + 1", 1).id
    assert re.fullmatch("[0-9a-f]{12}", one.id)


# --- in one library ---


def test_without_a_mutant_it_does_what_the_kernel_does(made, reference) -> None:
    other, draw = Reference.of(made.folder), Random(3).randbytes
    for _ in range(3000):
        case = wire.decode(draw(wire.SIZE))
        assert compare(["plain", "mutated"], [reference.run(case), other.run(case)]) is None


def test_most_mutants_compile_and_all_functions_have_some(made, reference) -> None:
    assert made.dropped < len(made.mutants) / 10
    functions = {line.name for line in reference.build.kernel if line.lookup and line.kind == "function"}
    assert len(functions & {mutant.function for mutant in made.mutants.values()}) > 0.8 * len(functions)


def number(made: Schemata, function: str, change: str) -> int:
    return next(n for n, m in made.mutants.items() if (m.function, m.change) == (function, change))


def test_a_mutant_is_on_in_the_lookup_alone(made) -> None:
    """The driver hashes sockets with the kernel's own function: were that changed too, nobody would see it."""
    oracle = Reference.of(made.folder)
    case = Scenario(lhash2_size=65536, socks=(LISTENER,))
    changed = hunt.Mutated(
        oracle,
        number(
            made, "ipv4_portaddr_hash", "return jhash_1word((__force u32)saddr, net_hash_mix(net)) ^ port -> return 0"
        ),
    )
    assert (oracle.run(case).sk, changed.run(case).sk, oracle.run(case).sk) == (0, -1, 0)


def test_a_hunt_tells_the_killed_from_those_alive(made, tmp_path) -> None:
    found = hunt.Hunt(made, [Scenario(), Scenario(socks=(LISTENER,))])
    score = number(made, "compute_score", "score++ -> score--")
    never = number(made, "compute_score", "return score -> return 0")
    by_hash = "reuseport_select_sock_by_hash"
    member = number(made, by_hash, "sk->sk_state != TCP_ESTABLISHED -> sk->sk_state == TCP_ESTABLISHED")
    fates = found.corpus([score, never, member])
    assert (fates[never].by, fates[member].by, fates[member].reached) == (hunt.FIRST, "", False)
    assert fates[never].cases == (1,)
    fates, examples = hunt.hunt(found, fates, 2, 2000, lambda text: None)
    assert fates[member].by == hunt.LATER
    assert len(fates[member].cases) == 2
    small = hunt.small(found, {member: examples[member]})[member]
    assert len(small.socks) <= 2
    oracle = hunt.Mutated(found.reference, member)
    assert oracle.run(small)[:COMPARED] != found.reference.run(small)[:COMPARED]
    assert hunt.keep(made, {member: small}, tmp_path) == 1
    [kept] = map(load, tmp_path.iterdir())
    assert (kept.scenario, kept.said_by) == (small, "model")


def test_a_hunt_starts_from_cases_on_which_both_sides_agree(made, monkeypatch) -> None:
    monkeypatch.setattr(
        hunt.Model, "run", lambda self, scenario: Reference.of(made.folder).run(scenario)._replace(sk=7)
    )
    with pytest.raises(CannotRun, match="differ on a case"):
        hunt.Hunt(made, [Scenario()])


# --- children ---


def work(thing: str) -> str:
    if thing == "die":
        os.abort()
    if thing == "raise":
        raise ValueError
    if thing == "hang":
        while True:
            pass
    return thing * 3


def test_children_answer_or_die() -> None:
    answers = dict(each(work, ["a", "die", "raise", "hang", "b"], jobs=2, seconds=1))
    assert (answers["a"], answers["b"]) == ("aaa", "bbb")
    assert [answers[w].signal for w in ("die", "raise", "hang")] == [6, 0, 14]
    assert all(isinstance(answers[w], Died) for w in ("die", "raise", "hang"))


# --- what is said of it ---


def test_the_bars() -> None:
    mutants = {n: Mutant("c", "a.c", f"f{n % 2}", n, f"x = {n};", "constant", "a -> b") for n in range(100)}
    fates = dict.fromkeys(mutants, hunt.Fate(hunt.FIRST, (0,), True))
    assert report.summary("c", mutants, fates, [], fuzzed=True, version="6.12.117").good
    fates[1] = hunt.Fate(hunt.LATER, (5, 7, 9), True)
    told = report.summary("c", mutants, fates, [], fuzzed=True, version="6.12.117")
    assert (told.good, told.corpus_kills) == (True, 0.99)
    assert told.functions[-1].cases == (7, 6, 8)
    fates[2] = hunt.Fate()
    assert not report.summary("c", mutants, fates, [], fuzzed=True, version="6.12.117").good
    assert report.summary("c", mutants, fates, [], fuzzed=False, version="6.12.117").good
    judged = [Judgement("c", "f0", frozenset({mutants[2].id}), "lookup", "because")]
    assert report.summary("c", mutants, fates, judged, fuzzed=True, version="6.12.117").good
    wrong = [*judged, Judgement("c", "f1", frozenset({mutants[3].id}), "lookup", "because")]
    told = report.summary("c", mutants, fates, wrong, fuzzed=True, version="6.12.117")
    assert (told.good, len(told.judged_but_killed)) == (False, 1)
    for n in (4, 6):
        fates[n] = hunt.Fate(hunt.LATER, (1,), True)
    assert not report.summary("c", mutants, fates, judged, fuzzed=True, version="6.12.117").good


def test_the_list_of_judged_mutants_is_read(tmp_path, made) -> None:
    entries = judgements()
    ours = [entry for entry in judgements_for(entries, made.tree.version) if entry.of == "c"]
    assert sum(len(entry.ids) for entry in ours) == len(judge(made.mutants.values(), ours))
    assert all(len(entry.why) > 20 for entry in entries)
    path = tmp_path / "list.toml"
    for text in ("", "mutant = 3", '[[mutant]]\nof = "c"\n', "x"):
        path.write_text(text)
        with pytest.raises(CannotRun, match="not a list of judged mutants"):
            judgements(path)


def test_each_lookup_has_a_row_of_its_own(made) -> None:
    mutants = {n: Mutant("c", "a.c", "f", n, f"x = {n};", "constant", "a -> b") for n in range(4)}
    fates = dict.fromkeys(mutants, hunt.Fate(hunt.FIRST, (), True)) | {3: hunt.Fate("", (), True)}
    lookups = {0: ("tcp4",), 1: ("tcp4", "tcp6"), 2: (), 3: ("tcp6",)}
    told = report.summary("c", mutants, fates, [], fuzzed=False, lookups=lookups)
    assert [(row.function, row.mutants, row.corpus, row.survivors) for row in told.lookups] == [
        ("tcp4", 2, 2, 0),
        ("tcp6", 2, 1, 1),
    ]
    out = io.StringIO()
    report.show(Console(file=out), told, "x")
    says = "tcp6: 1 of 2 mutants are killed by the corpus, 0 by fuzzing; 0 are judged equivalent, 1 are alive"
    assert says in out.getvalue()
    assert {*made.lookups} == {*made.mutants}
    by_function = {made.mutants[n].function: names for n, names in made.lookups.items()}
    assert by_function["__inet_lookup_skb"] == ("tcp4",)
    assert by_function["__inet6_lookup_skb"] == ("tcp6",)
    assert by_function["reuseport_select_sock"] == ("tcp4", "tcp6", "udp4", "udp6")


@pytest.mark.parametrize(("version", "applies"), [("6.1.192", True), ("6.12.117", False), ("7.2.13", True)])
def test_what_is_judged_for_one_kernel_is_not_for_another(version, applies) -> None:
    """The same line can mean another thing elsewhere; of a kernel that nobody has judged all may hold."""
    mutant = Mutant("c", "a.c", "f", 1, "x", "o", "a -> b")
    entries = [Judgement("c", "f", frozenset({mutant.id}), "lookup", "because", ("6.1",))]
    alive, killed = {1: hunt.Fate("", (), True)}, {1: hunt.Fate(hunt.FIRST, (), True)}
    told = report.summary("c", {1: mutant}, alive, entries, True, version)
    assert [len(told.survivors), told.functions[0].judged] == [int(not applies), int(applies)]
    wrong = report.summary("c", {1: mutant}, killed, entries, True, version).judged_but_killed
    assert len(wrong) == (version == "6.1.192")
    assert report.summary("c", {}, {}, entries, True, version).judged_but_gone == (
        [f"f: {mutant.id}"] if version == "6.1.192" else []
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "missing required field `kind`"),
        ('kind = "obvious"', "obvious"),
        ('kind = "unseen"', "says what it `needs`"),
        ('kind = "lookup"\nneeds = "more"', "says what it `needs`"),
    ],
)
def test_each_judgement_says_of_which_kind_it_is(words, reason, tmp_path) -> None:
    path = tmp_path / "list.toml"
    path.write_text(f'[[mutant]]\nof = "c"\nfunction = "f"\nids = []\nwhy = "x"\n{words}\n')
    with pytest.raises(CannotRun, match=reason):
        judgements(path)


def test_what_is_unseen_counts_as_not_seen() -> None:
    mutants = {n: Mutant("c", "a.c", "f", n, "x", "o", "a -> b") for n in (1, 2, 3)}
    unseen = Judgement("c", "f", frozenset({mutants[1].id}), "unseen", "because", needs="an eye")
    mutants[2] = Mutant("c", "a.c", "f", 2, "y", "o", "a -> b")
    mutants[3] = Mutant("c", "a.c", "f", 3, "z", "o", "a -> b")
    killed = hunt.Fate(hunt.FIRST, (0,), True, fields=frozenset({"written"}))
    fates = {1: hunt.Fate("", (), True), 2: killed, 3: killed}
    told = report.summary("c", mutants, fates, [unseen], True, "6.12.117")
    assert told.corpus_kills == pytest.approx(2 / 3)
    assert told.unseen == [f"{mutants[1]} (it needs an eye)"]
    assert told.survivors == []
    assert {field: count for field, count in told.alone.items() if count} == {"written": 2}


def test_an_entry_for_a_kernel_that_nobody_has_judged_is_refused(tmp_path) -> None:
    path = tmp_path / "list.toml"
    path.write_text('[[mutant]]\nof = "c"\nfunction = "f"\nkernels = ["5.10"]\nids = []\nkind = "lookup"\nwhy = "x"\n')
    with pytest.raises(CannotRun, match=r"kernels = \['5.10'\]"):
        judgements(path)

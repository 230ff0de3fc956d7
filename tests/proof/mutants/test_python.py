"""Mutants of Python: the operators, the runner, and the bar: the corpus leaves no mutant of the model unjudged."""

import sys
from dataclasses import replace

import pytest

from skdiff.base.paths import PACKAGE
from skdiff.cases.scenario import UDP4, Scenario
from skdiff.oracles.model import Model
from skdiff.proof import model_coverage
from skdiff.proof.mutants import model
from skdiff.proof.mutants.common import judge, judgements
from skdiff.proof.mutants.hunt import Fate
from skdiff.proof.mutants.install import install
from skdiff.proof.mutants.isolated import each
from skdiff.proof.mutants.lines_run import ALL, Lines
from skdiff.proof.mutants.python import Source
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules


@pytest.fixture(scope="module")
def cases():
    return model.cases()


def source(tmp_path, text):
    (tmp_path / "some.py").write_text(text)
    return Source(tmp_path / "some.py", "harness", tmp_path)


def changes(tmp_path, text):
    """What is changed, "before -> after" each, in order."""
    return [change.mutant.change for change in source(tmp_path, text).changes]


# --- operators ---

OPERATORS = {
    "a relation": ("x == y", ["x == y -> x != y"]),
    "an order": ("x < y", ["x < y -> x <= y", "x < y -> x >= y"]),
    "a membership": ("x not in y", ["x not in y -> x in y"]),
    "an identity with None": ("x is None", ["x is None -> x is not None"]),
    "a chain": (
        "x < y == z",
        [
            *("x < y == z -> x <= y == z", "x < y == z -> x >= y == z", "x < y == z -> x < y != z"),
            *("x < y == z -> x < y", "x < y == z -> y == z"),
        ],
    ),
    "and": (
        "x and y",
        ["x and y -> x or y", "x and y -> y", "x and y -> x", "x and y -> not x and y", "x and y -> x and (not y)"],
    ),
    "three operands": (
        "x or y or z",
        [
            *(
                "x or y or z -> x and y and z",
                "x or y or z -> y or z",
                "x or y or z -> x or z",
                "x or y or z -> x or y",
            ),
            *(f"x or y or z -> {new}" for new in ("not x or y or z", "x or not y or z", "x or y or (not z)")),
        ],
    ),
    "not": ("not x", ["not x -> x"]),
    "arithmetic": ("x + y", ["x + y -> x - y", "x + y -> x", "x + y -> y"]),
    "bits": ("x & y", ["x & y -> x | y", "x & y -> x", "x & y -> y"]),
    "a number": ("7", ["7 -> 8", "7 -> 6"]),
    "a negative number": ("-1", ["1 -> 2", "1 -> 0"]),
    "a flag": ("True", ["True -> False"]),
    "None": ("None", ["None -> False", "None -> 1"]),
    "a text": ("'some'", ["'some' -> ''"]),
    "an empty text": ("''", []),
    "a number with a name": ("TCP_LISTEN", ["TCP_LISTEN -> TCP_LISTEN + 1", "TCP_LISTEN -> TCP_LISTEN - 1"]),
    "an object with a name": ("TABLE.get", []),
    "a choice": ("x if c else y", ["if c -> if True", "if c -> if False", "if c -> if not c"]),
    "arguments": ("f(x, y)", ["x, y -> y, x", "x -> nothing", "y -> nothing"]),
    "named arguments": ("f(a=x, b=y)", ["a=x -> nothing", "b=y -> nothing", "a=x, b=y -> a=y, b=x"]),
    "arguments that have no order": ("max(x, y)", ["max(x, y) -> min(x, y)", "x -> nothing", "y -> nothing"]),
    "what asserts": ("zip(x, strict=False)", ["x -> nothing"]),
    "a call with an opposite": ("any(x)", ["any(x) -> all(x)", "x -> nothing"]),
    "an attribute of a record": ("p.sport", ["p.sport -> p.dport", "p.sport -> p.num"]),
    "another attribute": ("p.another", []),
    "an index": ("x[i]", ["x[i] -> x[i + 1]", "x[i] -> x[i - 1]"]),
    "a slice": ("x[:n]", ["x[:n] -> x[:]", "x[:n] -> x[:n + 1]", "x[:n] -> x[:n - 1]"]),
    "elements": ("[x, y]", ["x -> nothing", "y -> nothing", "x, y -> y, x"]),
    "a set": ("{x, y}", ["x -> nothing", "y -> nothing"]),
    "elements that have no order": ("a in (x, y)", ["a in (x, y) -> a not in (x, y)", "x -> nothing", "y -> nothing"]),
    "a table": ("{a: x, **b}", ["a: x -> nothing", "**b -> nothing"]),
    "a filter": ("[x for x in y if c]", ["if c -> if True", "if c -> if False", "if c -> if not c"]),
}


@pytest.mark.parametrize(("text", "wanted"), OPERATORS.values(), ids=OPERATORS)
def test_an_expression_has_these_mutants(tmp_path, text, wanted):
    dropped, *found = changes(tmp_path, f"y = {text}")
    assert dropped == f"y = {text} -> pass"
    assert found == wanted


STATEMENTS = {
    "an assignment": ("x = y", ["x = y -> pass"]),
    "an assignment with a type": ("x: int = y", ["x: int = y -> pass"]),
    "a type alone": ("x: int", []),
    "a step": ("x += y", ["x += y -> pass", "x += y -> x -= y"]),
    "a call": ("f()", ["f() -> pass"]),
    "an early end": ("def f():\n    return y", ["return y -> pass", "return y -> return None"]),
    "an error": ("raise y", ["raise y -> pass"]),
    "a loop": ("for x in y:\n    break", ["for x in y: -> pass", "break -> pass", "break -> continue"]),
    "an endless loop": ("while x:\n    f()", ["if x -> if False", "if x -> if not x", "f() -> pass"]),
    "a condition": (
        "if x == y:\n    f()",
        ["if x == y -> if True", "if x == y -> if False", "x == y -> x != y", "f() -> pass"],
    ),
    "what is not run": (
        'from typing import Any\n__all__ = ["f"]\n@g(1)\ndef f(x: Any | None) -> tuple[int, 2]:\n    """Text."""\n'
        '    assert x == 1\nclass C(D):\n    """Text."""\n    __slots__ = ("a", "b")\nif TYPE_CHECKING:\n    x = 1\n',
        [],
    ),
}


@pytest.mark.parametrize(("text", "wanted"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_has_these_mutants(tmp_path, text, wanted):
    assert changes(tmp_path, text) == wanted


def test_a_mutant_says_where_it_is(tmp_path):
    text = "class C:\n    def f(self, n=1):\n        return (n +\n                2)\n\n\nx = 1; y = 1\n"
    found = source(tmp_path, text).changes
    told = {(m.function, m.line, m.text, m.operator, m.change, m.nth) for m in (change.mutant for change in found)}
    assert ("C.f", 2, "def f(self, n=1):", "constant", "1 -> 2", 0) in told
    assert ("C.f", 4, "2)", "constant", "2 -> 3", 0) in told
    assert ("module", 7, "x = 1; y = 1", "constant", "1 -> 2", 0) in told
    assert ("module", 7, "x = 1; y = 1", "constant", "1 -> 2", 1) in told
    assert {(change.mutant.of, change.mutant.file) for change in found} == {("harness", "some.py")}
    assert len(told) == len(found)


def test_a_mutant_is_the_module_with_that_change_and_no_other(tmp_path):
    made = source(tmp_path, "x = 1\ny = x + 1\n")
    values = []
    for change in made.changes:
        module = {}
        try:
            exec(made.code(change), module)
        except NameError:
            continue
        values.append((change.mutant.change, module.get("x"), module.get("y")))
    assert values == [
        *(("1 -> 2", 2, 3), ("1 -> 0", 0, 1), ("y = x + 1 -> pass", 1, None), ("x + 1 -> x - 1", 1, 0)),
        *(("x + 1 -> x", 1, 1), ("x + 1 -> 1", 1, 1), ("1 -> 2", 1, 3), ("1 -> 0", 1, 1)),
    ]


def test_all_mutants_of_the_model_are_python_and_come_in_the_same_order():
    for one, other in zip(model.sources(), model.sources(), strict=True):
        assert [change.mutant for change in one.changes] == [change.mutant for change in other.changes]
        assert len({change.mutant for change in one.changes}) == len(one.changes)
        for change in one.changes[::20]:
            one.code(change)


# --- processes ---


def test_a_mutant_is_installed_in_a_child_and_not_here():
    lookup = next(s for s in model.sources() if s.file.endswith("lookup.py") and "sk_" not in s.file)
    change = next(c for c in lookup.changes if c.mutant.change == "'model' -> ''")

    def work(i):
        install(lookup, change, "skdiff.oracles.model")
        from skdiff.oracles.model import Model as Mutated

        return repr((Mutated.name, Mutated is Model))

    assert dict(each(work, [0], cpu_seconds=10)) == {0: "('', False)"}
    assert sys.modules["skdiff.oracles.model"].Model is Model
    assert Model.name == "model"


# --- the model's ---


def planted_jobs(text, tmp_path):
    """The mutants of some lines of ours behind state.py."""
    path = PACKAGE.parent / "skdiff/oracles/model/state.py"
    copy = tmp_path / "skdiff/oracles/model/state.py"
    copy.parent.mkdir(parents=True)
    copy.write_text(path.read_text() + text)
    made = Source(copy, "model", tmp_path)
    return [(made, change) for change in made.changes if change.mutant.function == "planted"]


def planted(text, cases, tmp_path):
    """The fates of the mutants of such lines."""
    return {mutant.change: fate for mutant, fate in model.run(planted_jobs(text, tmp_path), cases)}


def test_a_planted_survivor_is_told_and_a_planted_victim_too(tmp_path, cases):
    text = "\ndef planted():\n    global DROP\n    if False:\n        DROP = -5\n    return 1\n\nplanted()\n"
    fates = planted(text, cases[::20], tmp_path)
    assert fates["return 1 -> pass"] == Fate(reached=True)
    assert not fates["1 -> 2"].killed
    assert fates["False -> True"].killed or fates["if False -> if True"].killed


def test_a_mutant_that_hangs_or_raises_is_killed(tmp_path, cases, monkeypatch):
    monkeypatch.setattr(model, "CPU_SECONDS", 0.5)
    text = "\ndef planted():\n    while 0:\n        pass\n    if 0:\n        raise SystemExit\n\nplanted()\n"
    fates = planted(text, cases[:1], tmp_path)
    assert fates["0 -> 1"].how == "died or hung"
    assert fates["if 0 -> if True"].how == "died or hung"


@pytest.mark.long
def test_the_case_that_kills_is_told(cases):
    lookup = next(s for s in model.sources() if s.file.endswith("/lookup.py"))
    changes = {c.mutant.change: c for c in lookup.changes}
    wanted = {
        "refcounted=state.refcounted -> nothing": "outcome",
        "state.note(state.functions.established, chosen) -> pass": "steps",
        "scenario -> nothing": "raised",
        "name = 'model' -> pass": "raised",
        "'model' -> ''": "name",
    }
    assert set(wanted) <= set(changes)
    told = model.run([(lookup, changes[text]) for text in wanted], cases)
    for mutant, fate in told:
        assert fate.how.split()[0] == wanted[mutant.change]
        if fate.how == "outcome":
            assert fate.cases[0] == next(i for i, case in enumerate(cases) if case.outcome.refcounted != 0)
        if fate.how == "steps":
            steps = {step.function for step in cases[fate.cases[0]].steps}
            assert steps & {"__inet_lookup_established", "__inet6_lookup_established"}


def test_mutants_are_told_by_one_list_of_cases_after_the_other(cases):
    """By what a kernel can be told from, so not by steps; and nobody is asked who does not run the statement."""
    sources = model.sources()
    lookup = next(s for s in sources if s.file.endswith("/lookup.py"))
    changes = {c.mutant.change: c for c in lookup.changes}
    lines = Lines([source.path for source in sources])
    ours = [case for case in cases if not case.kernel and not case.scenario.hostile][:400]
    lists = model.with_lines(ours, lines), model.with_lines([c for c in ours if not c.outcome.refcounted], lines)
    wanted = {
        "refcounted=state.refcounted -> nothing": 1,
        "state.note(state.functions.established, chosen) -> pass": 0,
        "scenario -> nothing": 2,
        "'model' -> ''": 0,
    }
    done = []
    jobs = [(lookup, changes[text]) for text in wanted]
    telling = model.Telling(jobs, lists, lines)
    telling.ask_all(range(len(jobs)), lambda *so_far: done.append(so_far))
    assert {text: telling.told(i) for i, text in enumerate(wanted)} == wanted
    assert done == [(n, len(jobs)) for n in range(1, len(jobs) + 1)]
    of_udp = [case for case in lists[1] if case.scenario.lookup == UDP4]
    of_none = [replace(case, lines=0) for case in lists[1]]
    for other, count in (((lists[0], of_none), 1), ((of_udp, lists[0]), 2)):
        telling = model.Telling(jobs, other, lines)
        telling.ask_all([2])
        assert [telling.told(i) for i in range(len(jobs))] == [0, 0, count, 0]


@pytest.mark.long
def test_who_is_hunted_is_told_too(cases):
    """In the process that hunts it, or in another one if that has died."""
    sources = model.sources()
    jobs = [(source, change) for source in sources for change in source.changes][::150]
    lines = Lines([source.path for source in sources])
    some = model.with_lines(cases[:1500], lines)
    lists = [case for case in some if not case.kernel][::2], [case for case in some if not case.kernel][1::4]
    hunted, alone = (model.Telling(jobs, lists, lines) for _ in range(2))
    fates = model.run(jobs, some, lines=lines, telling=hunted)
    alone.ask_all(range(len(jobs)))
    told = [alone.told(i) for i in range(len(jobs))]
    assert [hunted.told(i) for i in range(len(jobs))] == told
    assert {0, 2} <= {*told}
    assert all(fate.killed for (_, fate), count in zip(fates, told, strict=True) if count)
    assert any(fate.how == "steps" and not count for (_, fate), count in zip(fates, told, strict=True))


@pytest.mark.long
def test_a_mutant_that_hangs_is_told_by_all_lists(tmp_path, cases, monkeypatch):
    monkeypatch.setattr(model, "CPU_SECONDS", 0.5)
    jobs = planted_jobs("\ndef planted():\n    while 0:\n        pass\n\nplanted()\n", tmp_path)
    telling = model.Telling(jobs, (cases[:1], cases[:1]), Lines([]))
    telling.ask_all(range(len(jobs)))
    assert {change.mutant.change: telling.told(i) for i, (_, change) in enumerate(jobs)}["0 -> 1"] == 2
    again = model.Telling(jobs, (cases[:1], cases[:1]), Lines([]))
    model.run(jobs, cases[:1], telling=again)
    assert [again.told(i) for i in range(len(jobs))] == [telling.told(i) for i in range(len(jobs))]


@pytest.mark.long
def test_cases_that_do_not_run_a_statement_say_nothing_of_its_mutants(cases):
    """So hunt() leaves them out."""
    some, sources = cases[::10], model.sources()
    jobs = [(source, change) for source in sources for change in source.changes][::300]
    lines = Lines([source.path for source in sources])
    told = model.with_lines(some, lines)
    asked = [sum(bool(case.lines & lines.around(s.path, c.mutant.line)) for case in told) for s, c in jobs]
    assert min(asked) < len(some) / 10 and max(asked) == len(some)
    fates = [(fate.killed, fate.how == "died or hung") for _, fate in model.run(jobs, told, lines=lines)]
    assert fates == [(fate.killed, fate.how == "died or hung") for _, fate in model.run(jobs, some)]


def test_the_lines_that_some_work_runs(tmp_path):
    path = tmp_path / "some.py"
    path.write_text("A = 1\ndef f(x):\n    if x:\n        return (A +\n            x)\n    return 0\n")
    names, lines = {}, Lines([path])
    exec(compile(path.read_text(), str(path), "exec"), names)
    ran, zero = lines.run_by(lambda: names["f"](1)), lines.run_by(lambda: names["f"](0))
    assert lines.around(path, 1) == lines.around(path, 2) == lines.around(tmp_path / "other.py", 3) == ALL
    assert lines.around(path, 4) == lines.around(path, 5)
    assert [bool(of & lines.around(path, line)) for of in (ran, zero) for line in (4, 6)] == [True, False, False, True]
    assert ran & zero & lines.around(path, 3)  # the `if` and all that it may run
    assert lines.run_by(lambda: None) == 0


def test_cases_and_their_neighbours_agree_on_the_reference(reference, cases):
    for case in cases:
        if (case.rules, case.config) != (Rules(), Config()):
            continue
        ours = reference.run(case.scenario)
        assert ours._replace(via=()) == case.outcome._replace(via=()), case.name


def test_of_a_sample_the_corpus_leaves_no_mutant_of_the_model_unjudged(cases):
    """`make mutants` asks all of them, and so does CI."""
    jobs, told = [(source, change) for source in model.sources() for change in source.changes], []
    fates = model.run(jobs[::600], cases, lambda done, of: told.append((done, of)))
    survivors = [mutant for mutant, fate in fates if not fate.killed]
    judged = judge(survivors, judgements())
    assert [str(mutant) for mutant in survivors if mutant not in judged] == []
    assert told == [(n, len(fates)) for n in range(1, len(fates) + 1)]
    assert len(jobs) > 1500
    # a judgement that is about nobody any more has outlived its code
    ids = {mutant for entry in judgements() if entry.of == "model" for mutant in entry.ids}
    assert ids <= {change.mutant.id for _, change in jobs}


# --- coverage ---


@pytest.mark.long
def test_the_corpus_runs_through_all_of_the_model(cases):
    pytest.importorskip("coverage")
    assert model_coverage.measure((case.scenario, case.rules, case.config) for case in cases) == []
    some = model_coverage.measure([(Scenario(), Rules(), Config())])
    assert "reuseport.py:83" in some or any(line.startswith("reuseport.py:") for line in some)
    assert any(" -> " in line for line in some)
    assert sys.modules["skdiff.oracles.model"].Model is Model

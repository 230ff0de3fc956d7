"""The engines reach what they are for, and the extracted text is what runs."""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import event, given, note

from skdiff import engines
from skdiff.base.paths import CORPUS, ROOT
from skdiff.campaign.finding_files import Origin
from skdiff.campaign.run import Run, classes_of
from skdiff.cases import validity
from skdiff.cases.case_file import Case, dump, load
from skdiff.cases.fields import LOOKUPS
from skdiff.cases.find_cases import files
from skdiff.cases.on_kernel import needed
from skdiff.cases.scenario import TCP4, TCP6, UDP4, UDP6, Scenario
from skdiff.cases.wire import SIZE, decode
from skdiff.cli import main
from skdiff.comparison.compare import compare
from skdiff.engines import atheris_engine, random_engine
from skdiff.engines.strategies import scenarios
from skdiff.oracles.model import Model
from skdiff.proof.extract_report import executed
from skdiff.variants.abilities import lacking
from skdiff.variants.version_rules import EPOCHS
from tests.running import made

# Hypothesis draws some fifty cases a second, the others thousands.
ENGINES = ["random", "wide", "corpus", pytest.param("hypothesis", marks=pytest.mark.long)]
ORIGIN = Origin("test", "", "", 11)


def drive(engine, oracles, cases, folder):
    run = Run(lambda: oracles, ORIGIN, folder, lambda message: None, cases=cases)
    engines.drive(engine, run)
    return run.counters()


def test_no_class_stays_empty_for_20000_random_cases(reference, tmp_path):
    counters = drive("random", [reference, Model()], 20000, tmp_path)
    assert counters.mismatches == []
    for lookup in LOOKUPS.values():
        classes = counters.lookups[lookup].classes
        assert [name for name in classes_of(lookup) if not classes.get(name)] == [], lookup


def test_both_kinds_of_scenario_are_drawn_alike():
    draw = Random(5).randbytes
    kinds = Counter(decode(draw(SIZE)).hostile for _ in range(2000))
    assert 800 < kinds[0] < 1200


@given(scenarios())
def test_the_reference_and_the_model_agree(reference, scenario):
    model = Model()
    outcomes = [reference.run(scenario), model.run(scenario)]
    for name in outcomes[1].via:  # for Hypothesis's statistics, and what guides HypoFuzz
        event(f"class: {name}")
    for function in {step.function for step in model.trace(scenario)}:
        event(f"step: {function}")
    note(f"{dump(Case(scenario))}\nput this into case.toml, then: skdiff explain case.toml")
    assert compare(["reference", "model"], outcomes) is None


@given(scenarios(hostile=False))
def test_drawn_reachable_scenarios_are_reachable(scenario):
    assert not scenario.hostile
    assert validity.problems(scenario) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_makes_only_what_the_kernel_can_reach(engine, tmp_path):
    """Of what it calls reachable. That others are there shows that the kernel matters."""
    oldest, seen = EPOCHS["6.1"], []

    class Noted(Model):
        def run(self, scenario: Scenario):
            seen.append(scenario)
            return super().run(scenario)

    run = Run(lambda: [Noted(oldest), Model(oldest)], ORIGIN, tmp_path, lambda message: None, cases=1500)
    run.lacks = lacking([oldest])
    engines.drive(engine, run)
    assert len(seen) >= 1500
    assert [problem for scenario in seen for problem in validity.problems(scenario, oldest)] == []
    assert any([*needed(scenario)] for scenario in seen if scenario.hostile)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lookups", [(TCP4,), (TCP6,), (UDP4,), (UDP6,)])
def test_an_engine_makes_only_cases_of_lookups_that_the_kernel_has(engine, lookups, tmp_path):
    seen = []

    class Noted(Model):
        def run(self, scenario: Scenario):
            seen.append(scenario)
            return super().run(scenario)

    run = Run(lambda: [Noted(), Model()], ORIGIN, tmp_path, lambda message: None, cases=500, lookups=lookups)
    engines.drive(engine, run)
    assert len(seen) >= 500
    assert {scenario.lookup for scenario in seen} == {*lookups}
    assert [problem for scenario in seen for problem in validity.problems(scenario)] == []
    assert len({Model().run(scenario).via for scenario in seen}) >= 3


def test_a_run_of_all_lookups_has_cases_of_all(tmp_path):
    seen = []

    class Noted(Model):
        def run(self, scenario: Scenario):
            seen.append(scenario.lookup)
            return super().run(scenario)

    run = Run(lambda: [Noted(), Model()], ORIGIN, tmp_path, lambda message: None, cases=500)
    engines.drive("random", run)
    assert all(75 < seen.count(lookup) < 175 for lookup in LOOKUPS)
    assert run.lookups == tuple(LOOKUPS)


def test_a_finding_is_kept_as_a_case_of_a_lookup_that_the_kernel_has(tmp_path):
    """The engine that shrinks may have come back to a case of another one."""

    class Wrong(Model):
        def run(self, scenario: Scenario):
            return super().run(scenario)._replace(sk=-2)

    run = Run(lambda: [Model(), Wrong()], ORIGIN, tmp_path, lambda message: None, cases=5, lookups=(TCP4,))
    run.start()
    mismatch = run.case(Scenario(lookup=TCP6))
    run.replace(Scenario(lookup=TCP6), mismatch)
    [found] = run.counters().mismatches
    assert load(Path(found.file)).scenario.lookup == TCP4


def test_the_corpus_engine_runs_a_case_that_the_kernel_cannot_reach_as_it_is(tmp_path):
    kept = load(CORPUS / "surprises" / "assigned_listener_is_replaced.toml").scenario
    seen = []

    class Noted(Model):
        def run(self, scenario: Scenario):
            seen.append(scenario)
            return super().run(scenario)

    run = Run(lambda: [Noted(), Model()], ORIGIN, tmp_path, lambda message: None, cases=len([*files([])]))
    run.lacks = lacking([EPOCHS["6.1"]])
    engines.drive("corpus", run)
    assert kept._replace(hostile=1) in seen
    assert kept not in seen


@pytest.mark.long
def test_the_hypothesis_engine_reaches_most_classes_and_shrinks_a_mismatch(reference, tmp_path):
    class Wrong(Model):
        name = "wrong"

        def run(self, scenario: Scenario):
            outcome = super().run(scenario)
            return outcome._replace(sk=-1) if outcome.via == ("exact listener",) else outcome

    class Counted(Run):
        def case(self, scenario: Scenario):
            mismatch = super().case(scenario)
            wrong.extend([scenario] if mismatch else [])
            return mismatch

    wrong = []
    run = Counted(lambda: [reference, Wrong()], ORIGIN, tmp_path, lambda message: None, cases=2400)
    engines.drive("hypothesis", run)
    counters = run.counters()
    assert counters.cases == 2400
    assert all(len(of.classes) >= 6 for of in counters.lookups.values())
    [found] = counters.mismatches
    assert found.signature == "exact_listener-sk"
    assert found.count == len(wrong) > 1  # the others were not shrunk
    kept = load(tmp_path / "exact_listener-sk" / "case.toml").scenario
    assert len(dump(Case(kept))) < len(dump(Case(wrong[0])))  # how much smaller depends on the seed
    assert 1 <= len(kept.socks) <= len(wrong[0].socks)


def test_the_hypothesis_engine_does_not_shrink_on_when_it_is_asked_to_end(tmp_path):
    """Two oracles that never agree, and a wish that comes with the second comparison of the shrinking."""

    class Asked(Run):
        def judged(self, scenario, outcomes):
            judged.append(scenario)
            self.stopped = len(judged) == 3
            return super().judged(scenario, outcomes)

    class Wrong(Model):
        def run(self, scenario: Scenario):
            return super().run(scenario)._replace(sk=-2)

    judged = []
    run = Asked(lambda: [Model(), Wrong()], ORIGIN, tmp_path, lambda message: None)
    engines.drive("hypothesis", run)
    assert len(judged) == 3
    assert run.counters().cases == 1
    [found] = run.counters().mismatches
    assert load(Path(found.file)).scenario == judged[-1]


def test_as_many_lines_that_run_are_the_kernels_as_the_design_says(kernel_tree):
    """Neither more nor fewer percent, but for what rounds."""
    share = executed(made("6.12", "coverage"))
    text = " ".join((ROOT / "docs/design.md").read_text().split())
    [told] = re.findall(
        r"(\d+) % of the lines that run in a lookup are the kernel's, and (\d+) % of all executions", text
    )
    measured = (share.share_of_lines, share.share_of_runs)
    assert [abs(int(percent) - 100 * part) <= 1 for percent, part in zip(told, measured, strict=True)] == [True, True]
    assert share.kernel_lines > 300


def test_the_random_engine_stops_at_its_budget(reference, tmp_path):
    run = Run(lambda: [reference, Model()], Origin("test", "", "random", 1), tmp_path, lambda message: None, cases=100)
    random_engine.drive(run)
    assert run.done == 100


def test_the_corpus_engine_runs_the_kept_cases_first(tmp_path):
    class Listening(Model):
        def run(self, scenario):
            heard.append(scenario)
            return super().run(scenario)

    kept, heard = [load(path).scenario for path in files([])], []
    drive("corpus", [Listening()], len(kept) + 200, tmp_path)
    assert heard[: len(kept)] == kept
    assert len({*heard} - {*kept}) > 150


@pytest.mark.parametrize("jobs", [1, 3, 1000])
def test_a_run_has_as_many_cases_as_it_was_asked_for(jobs, kernel_tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fuzz", "--engine", "random", "--cases", "5", "--jobs", str(jobs), "--json", "told.json"]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["cases"] == 5
    assert len(told["workers"]) == min(jobs, 5)
    assert "1000 workers" not in capsys.readouterr().err


def test_an_engine_that_is_not_installed_is_refused_before_anything_is_built(monkeypatch, capsys):
    monkeypatch.setattr(atheris_engine, "available", lambda: False)
    monkeypatch.setattr("skdiff.kernel.options.find", None)
    assert main(["fuzz", "--engine", "atheris", "--cases", "1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("skdiff: --engine atheris: atheris is not installed")
    assert said.count("\n") == 1


def test_inputs_that_no_engine_reads_are_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(atheris_engine, "available", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main(["fuzz", "--cases", "5", "--inputs", "inputs"]) == 0
    assert "the random engine runs instead, which does not read --inputs" in capsys.readouterr().err

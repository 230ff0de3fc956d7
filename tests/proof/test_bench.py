"""The benchmark: what it measures of each lookup, with few cases."""

import io
import json

import pytest
from rich.console import Console

from skdiff.base.files import BadFile
from skdiff.base.paths import ROOT
from skdiff.cases.fields import LOOKUPS
from skdiff.oracles.model import Model
from skdiff.proof import bench
from skdiff.proof.bench import BenchSummary, Memory
from tests.running import made


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_the_rate_of_a_lookup_is_of_its_cases_alone(lookup, reference, monkeypatch):
    class Seen(Model):
        def run(self, scenario):
            seen.append(scenario.lookup)
            return super().run(scenario)

    seen = []
    monkeypatch.setattr(bench, "CASES", 400)
    assert bench.rate([reference, Seen()], lookup, 1) > 10
    assert seen == [lookup] * 400


def test_the_rate_of_each_lookup_is_shown():
    steps = {"whole, random engine": 10.0}
    result = BenchSummary(
        kernel=made("6.12").told(),
        microseconds=steps,
        cases_per_second=1.0,
        reference_alone_per_second=1.0,
        whole_to_model_and_reference=1.0,
        big_tables=[bench.BigTable(4, 20.0, 1500.0)],
        memory_kib=Memory(1, 1, 10),
        lookups={"tcp4": 12345.6, "tcp6": 9876.0},
        limit_per_second=4.0,
        times=bench.recorded_times(),
    )
    out = io.StringIO()
    bench.show(Console(file=out, width=120), result)
    assert "cases a second of each lookup, through both sides: tcp4 12,346, tcp6 9,876\n" in out.getvalue()
    assert "interpreted model and C alone could do 4 cases a second: random reaches 25% of that" in out.getvalue()
    recorded = json.loads((ROOT / "docs/figures/speed.json").read_text())
    times = [f"{engine} {recorded[engine]['all']['times']:.2f} times as many" for engine in ("atheris", "random")]
    assert f"docs/figures/speed.json has it: {', '.join(times)}\n" in out.getvalue()


def test_without_figures_there_are_no_ratios_and_broken_ones_are_told(tmp_path):
    assert bench.recorded_times(tmp_path / "none.json") == {}
    (tmp_path / "speed.json").write_text('{"atheris": {"all": {"times": "two"}}}')
    with pytest.raises(BadFile, match="figures of speed"):
        bench.recorded_times(tmp_path / "speed.json")

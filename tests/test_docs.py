"""The documentation: what it names exists, its links lead somewhere, and its tables are those of the code."""

import argparse
import fnmatch
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from skdiff import cli
from skdiff.base.summary import read_summary
from skdiff.campaign.run import CLASSES
from skdiff.cases import case_file, case_values, expectations, words_keys
from skdiff.cases.event_fields import MOST_STEPS, MOST_VISITS
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import FIELDS
from skdiff.cases.outcome import COMPARED, Outcome
from skdiff.cases.record import constants
from skdiff.cases.scenario import Event, Group, Netns, Packet, Program, Scenario, Sock
from skdiff.commands.markdown_table import markdown_table
from skdiff.findings.explain import ExplainSummary
from skdiff.findings.listed import lines_of
from skdiff.nightly.summaries import KINDS
from skdiff.runs import fuzz_text
from skdiff.variants import config, version_rules
from tests import time_to_kill

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
OWN = [page for page in PAGES if page.name != "history.md"]  # which a command writes
[PARSERS] = [action.choices for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)]


def code(page: Path) -> Iterator[str]:
    """What a page shows as code: lines of blocks, and words between backticks."""
    text = page.read_text()
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page: str, heading: str = "") -> list[list[str]]:
    """The cells of the tables behind a heading of a page, up to the next heading, without the heads."""
    text = (ROOT / page).read_text()
    if heading:
        text = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.M)[1]
        text = re.split(r"^#+ ", text, flags=re.M)[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    heads = {i - 1 for i, line in enumerate(lines) if set(line[0]) == {"-"}}
    return [line for i, line in enumerate(lines) if i not in heads and set(line[0]) != {"-"}]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_readme_is_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in code(page):
        match = re.match(r"(?:again: |\$ )?(?:\.venv/bin/)?skdiff (?P<rest>[a-z-].*)", line)
        if match is None:
            continue
        name, *arguments = shlex.split(match["rest"], comments=True)
        if name.startswith("--"):
            assert name in ("--version", "--help"), line
            continue
        assert name in PARSERS, line
        options = [word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)]
        known = PARSERS[name]._option_string_actions
        assert all(option in known for option in options), line


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = [match[1] for line in code(page) if (match := re.match(r"make ([a-z-]+)", line))]
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    folders = {path.name for path in (ROOT / "harness/skdiff").iterdir() if path.is_dir()}
    for word in code(page):
        for name in re.findall(r"(?<![\w/.~-])((?:[\w.-]+/)+[\w.-]*\w(?:\.\w+)?/?)(?![\w*/-])", word):
            top = name.split("/")[0]
            if top in ("corpus", "csrc", "harness", "tests", "docs", ".github", ".clusterfuzzlite", ".ci"):
                assert (ROOT / name).exists() or name in ("corpus/regressions/", "corpus/regressions"), name
            elif top in folders and name.endswith(".py"):
                assert (ROOT / "harness/skdiff" / name).exists(), name


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_files_that_are_named_without_a_folder_exist(page: Path) -> None:
    names = {path.name for top in ("harness", "csrc", "tests") for path in (ROOT / top).rglob("*.*")}
    named = {word for word in code(page) if re.fullmatch(r"\w+\.(py|c)", word)}
    assert named <= names


def test_the_readme_has_the_table_of_commands() -> None:
    """`python -m skdiff.commands.markdown_table` prints it."""
    assert markdown_table() in (ROOT / "README.md").read_text()


def shown(record: type, field: str) -> str:
    """The default of a field as a case's text has it."""
    value = record._field_defaults[field]
    if FIELDS[record][field].kind is Kind.GROUP:  # a text leaves out what is no group
        return {-1: "none"}[value]
    text = case_values.show(FIELDS[record][field], value, ())
    return str(text).lower() if isinstance(text, bool) else str(text)


RECORDS = {
    "[scenario]": (Scenario, {"packet", "netns", "groups", "socks", "events"}),
    "[packet]": (Packet, set()),
    "[[group]]": (Group, set()),
    "[[sock]]": (Sock, set()),
    "[[event]]": (Event, set()),
}


@pytest.mark.parametrize("heading", RECORDS)
def test_cases_has_each_field_with_its_default(heading: str) -> None:
    record, elsewhere = RECORDS[heading]
    found = [row for row in rows("docs/cases.md", heading) if words(row[0])]
    defaults = {name: row[2] for row in found for name in words(row[0])}
    assert set(defaults) == set(record._fields) - elsewhere
    for row in found:
        names = words(row[0])
        values = [part.strip() for part in row[2].split(",")]
        for name, value in zip(names, values * len(names) if len(values) == 1 else values, strict=False):
            if name != "slots":
                assert value == shown(record, name), name


def test_cases_has_each_field_of_namespaces_and_programs() -> None:
    named = [name for row in rows("docs/cases.md", "[[netns]]") for name in words(row[0])]
    assert sorted(named) == sorted([*(set(Netns._fields) - {"progs"}), *Program._fields])


def test_cases_has_each_field_that_can_be_expected_and_each_source() -> None:
    """Those of which a case has tables are written as tables."""
    named = [re.sub(r"\W|expect\.", "", word) for row in rows("docs/cases.md", "[expect]") for word in words(row[0])]
    assert sorted(named) == sorted(
        [*expectations.FIELDS, *(re.sub(r"\W", "", source) for source in expectations.SOURCES)]
    )


def test_cases_has_each_class_and_each_part_of_a_name() -> None:
    assert [words(row[0])[0] for row in rows("docs/cases.md", "Classes")] == list(CLASSES)
    parts = [name for row in rows("docs/cases.md", "Names of findings") for name in words(row[0])]
    fields = set(Outcome._fields[:COMPARED]) - {"ended"}  # which is named by what it is
    assert sorted(parts) == sorted({*fields, "crashed", "stuck"})


def test_kernels_has_each_rule_and_option() -> None:
    text = (ROOT / "docs/kernels.md").read_text()
    assert all(f"`{name.upper()}`" in text for name in config.NAMES)
    rules = {name for row in rows("docs/kernels.md", "Rules of versions") for name in words(row[1])}
    assert rules == set(version_rules.NAMES)


def test_surprises_name_each_case() -> None:
    names = {path.stem for path in (ROOT / "corpus/surprises").glob("*.toml")}
    patterns = re.findall(r"\(`([\w*]+)`\)", (ROOT / "docs/surprises.md").read_text())
    named = [{name for name in names if fnmatch.fnmatchcase(name, pattern)} for pattern in patterns]
    assert all(named), patterns
    assert set().union(*named) == names


def test_the_example_of_cases_is_the_case_of_the_corpus() -> None:
    words, text, _ = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs/cases.md").read_text(), re.M | re.S)
    assert words == (ROOT / "corpus/reports/worker_of_the_cpu.toml").read_text()
    example, kept = case_file.parse(text), case_file.load(ROOT / "corpus/surprises/wildcard_group.toml")
    assert (example.scenario, example.needs) == (kept.scenario, kept.needs)
    assert (example.expect, example.said_by) == (kept.expect, kept.said_by)


# The headings of the format of words, and whose keys are told there.
WORDS = {
    "The packet": [words_keys.TOP],
    "[devices]": [words_keys.DEVICES],
    "[sysctl] and [hash]": [words_keys.SYSCTL, words_keys.HASH],
    "[[namespace]]": [words_keys.NAMESPACE],
    "Every socket": [words_keys.COMMON],
    **{f"[[{kind}]]": [keys] for kind, keys in words_keys.SOCKETS.items()},
    "[[program]]": [words_keys.PROGRAM],
    "[[setsockopt]]": [words_keys.SETSOCKOPT],
    "[[shutdown]] and [[close]]": [words_keys.ENDING],
    "[[event]] of a case in words": [words_keys.EVENT],
}


@pytest.mark.parametrize("heading", WORDS)
def test_cases_has_each_key_of_the_format_of_words(heading: str) -> None:
    told = [words(row[0])[0] for row in rows("docs/cases.md", heading)]
    common = set(words_keys.COMMON) if heading[2:-2] in words_keys.SOCKETS else set()
    assert told == [key for keys in WORDS[heading] for key in keys if key not in common]


def test_each_table_of_the_format_of_words_has_its_heading() -> None:
    assert {id(keys) for tables in WORDS.values() for keys in tables} >= {id(keys) for keys in words_keys.ALL.values()}


def test_the_example_of_races_can_be_replayed(oracle: Any) -> None:
    text = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs/races.md").read_text(), re.M | re.S)[0]
    case = case_file.parse(text)
    assert case.scenario.events
    assert case.expect["fired"] == [1]
    assert expectations.unmet(case.expect, case.socks, oracle.run(case.scenario)) == []


def test_races_has_the_limits_of_events() -> None:
    text = " ".join((ROOT / "docs/races.md").read_text().split())
    assert f"up to {constants.MAX_EVENTS} events" in text
    assert f"`nth`, the visit at which an event comes, is 1 to {MOST_VISITS};" in text
    assert f"`steps` is 0 to {MOST_STEPS}," in text
    assert f"a case has at most {constants.MAX_SOCKS} sockets, of which a group holds {constants.MAX_SLOTS} " in text


def test_the_number_of_conformance_cases() -> None:
    count = len(list((ROOT / "corpus/conformance").rglob("*.toml")))
    assert f"{count} cases of `corpus/conformance/`" in (ROOT / "docs/why-not-in-kernel.md").read_text()


def test_the_readme_shows_the_end_of_a_run_that_was_made() -> None:
    """`make fuzz SEED=1 ARGS="--json docs/figures/fuzz.json"` writes the file, and prints the end of README's block."""
    summary = read_summary(ROOT / "docs/figures/fuzz.json", KINDS)
    out = io.StringIO()
    fuzz_text.show(Console(file=out, width=120), summary)
    printed = [line.rstrip() for line in out.getvalue().splitlines()]
    [block] = re.findall(r"^```\n(class of case.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    quoted = block.splitlines()
    quoted.remove("...")
    assert [line for line in printed if line in quoted] == quoted


def test_findings_shows_the_end_of_a_run_that_was_made() -> None:
    """`skdiff diff 6.1 6.12 --seconds 20 --seed 1 --json docs/figures/diff.json` writes it, and prints the block."""
    summary = read_summary(ROOT / "docs/figures/diff.json", KINDS)
    [block] = re.findall(r"^```\n(A and B: .*?)^```", (ROOT / "docs/findings.md").read_text(), re.M | re.S)
    head, *quoted = block.splitlines()
    assert head == f"A and B: {summary.cases:,} cases in {summary.seconds:.1f} s, seed {summary.seed}"
    printed = {"..."}
    for group in summary.groups:
        printed.add(group.title)
        for found in group.findings:
            printed |= {*lines_of(found)}
    assert set(quoted) <= printed


def test_long_files_have_their_reason() -> None:
    listed = {words(row[0])[0] for row in rows("docs/design.md", "Files of more than 400 lines")}
    files = [*(ROOT / "harness").rglob("*.py"), *(ROOT / "csrc").rglob("*.[ch]")]
    long = {str(path.relative_to(ROOT)) for path in files if len(path.read_text().splitlines()) > 400}
    assert listed == long


def test_the_figures_of_proof_are_those_of_the_commands() -> None:
    """`make figures` writes docs/figures/proof.json."""
    figures = json.loads((ROOT / "docs/figures/proof.json").read_text())
    text = " ".join((ROOT / "docs/proof.md").read_text().split())
    cover, c, driver, model, harness = (
        figures[name] for name in ("coverage", *(f"mutants_{of}" for of in ("c", "driver", "model", "harness")))
    )
    (lines, all_lines), (branches, all_branches) = cover["lines"], cover["branches"]
    assert f"for Linux {cover['kernel']} in the default configuration" in text
    assert f"{lines} of {all_lines} lines and {branches} of {all_branches} branches" in text
    assert f"The {cover['unreachable']} places that are missing" in text
    assert (cover["missing"], cover["missing_in_the_model"]) == (0, 0)  # "and all of the model"
    assert f"{c['mutants']:,} mutants in one library" in text
    assert f"{model['mutants']:,} ways: the corpus kills all but {model['judged']}, which are judged" in text
    assert (
        f"changes the encoder, the decoder, the wire format and the comparison in {harness['mutants']:,} ways" in text
    )
    assert f"around the lookup, in {driver['mutants']:,} ways" in text
    share = model["swept"] / model["sweepable"]
    assert f"and for {model['sweepable']:,} of the model." in text
    assert f"and {model['swept']:,} ({100 * share:.1f} %) of the model: the column" in text
    assert share >= 0.9
    assert [counts["survivors"] for counts in (c, driver, model, harness)] == [0, 0, 0, 0]
    for name, reached in cover["lookups"].items():
        pairs = [f"{some} of {whole}" for some, whole in (reached["lines"], reached["branches"])]
        own = c["lookups"][name]
        cells = [f"`{name}`", *pairs, str(reached["unreachable"]), f"{own['mutants']:,}", str(own["judged"])]
        assert f"| {' | '.join(cells)} |" in text
        assert own["survivors"] == 0


def shown_answers() -> list[tuple[str, list[str], list[str]]]:
    """The worked samples of docs/answers.md: a case, the options of explain, and the lines of it that are shown."""
    text = (ROOT / "docs/answers.md").read_text()
    pattern = r"^```toml\n(.*?)^```\n\n`skdiff explain \S+( [^`]*)?` [a-z ]+\n\n```\n(.*?)^```"
    found = re.findall(pattern, text, re.M | re.S)
    return [(case, shlex.split(options), lines.splitlines()) for case, options, lines in found]


def test_answers_has_three_samples() -> None:
    assert len(shown_answers()) == 3


@pytest.mark.parametrize(("case", "options", "lines"), shown_answers(), ids=["chance", "cpu", "next"])
def test_the_samples_of_answers_are_what_explain_says(
    case: str, options: list[str], lines: list[str], kernel_tree: object, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The lines follow each other as they are shown; `...` stands for any number of them."""
    file = tmp_path / "case.toml"
    file.write_text(case)
    assert cli.main(["explain", str(file), *options]) == 0
    told = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    pieces = [piece.strip("\n") for piece in re.split(r"^\.\.\.$", "\n".join(lines), flags=re.M)]
    at, text = 0, "\n".join(told)
    for piece in pieces:
        assert piece in text[at:], piece
        at = text.index(piece, at) + len(piece)
    assert text.endswith(pieces[-1])


def test_answers_names_each_key_of_the_summary() -> None:
    """Those that tell of the answer; `words`, `steps` and their like are as in other summaries."""
    text = (ROOT / "docs/answers.md").read_text()
    own = {"rules", "rests_on", "ended", "sk", "refcounted", "chance", "next", "endless", "unmet", "story", "why_not"}
    assert own <= {field.name for field in msgspec.structs.fields(ExplainSummary)}
    assert [name for name in own if f"`{name}`" not in text] == []


def test_performance_has_the_measured_ratios() -> None:
    """`make speed BEFORE=../before ARGS=docs/figures/speed.json` writes the file."""
    found = json.loads((ROOT / "docs/figures/speed.json").read_text())
    wanted = []
    for engine in ("atheris", "random"):
        for lookup, one in found[engine].items():
            before, after = one["us"]["before"], one["us"]["after"]
            wanted.append([f"`{engine}`", lookup, f"{before:.1f}", f"{after:.1f}", f"{one['times']:.2f}"])
            assert one["times"] >= (2.2 if engine == "atheris" else 1.8)
    assert rows("docs/performance.md", "Twice as fast") == wanted


def test_performance_has_how_soon_mutants_were_found() -> None:
    """`make time-to-kill BEFORE=../before ARGS=docs/figures/time-to-kill.json` writes the file."""
    found = json.loads((ROOT / "docs/figures/time-to-kill.json").read_text())
    told = time_to_kill.table(found)
    assert rows("docs/performance.md", "How soon mutants are found") == told
    before, now = (float(cell) for cell in told[-1][-2:])
    assert now <= before

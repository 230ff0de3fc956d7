"""skdiff explain."""

import argparse
from dataclasses import replace

from skdiff.base.paths import shell_path
from skdiff.cases.case_file import anew, parse, read_text, told
from skdiff.cases.find_cases import NAMING, file
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, console, say, say_all, show, show_all, write_json
from skdiff.comparison.mismatch_text import names_of
from skdiff.findings import answer as answers
from skdiff.findings import drawing
from skdiff.findings import explain as explanations
from skdiff.findings import sweep as sweeps
from skdiff.findings import why_not as why_nots
from skdiff.findings.values import KEYS, as_it_stands
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model

NAME = "explain"
HELP = "show which socket gets the packet of a case, and why"
DESCRIPTION = (
    "Show which socket gets the packet of a case, and why; if kernel and model differ, the first step at which they do."
)
EXIT_CODES = "0 kernel and model agree about it; 1 they differ, or not as it expects; 2 could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)
    parser.add_argument("path", type=common.path, metavar="FILE", help=f"a case, or the folder of a finding. {NAMING}")
    parser.add_argument(
        "--dot", type=common.path, metavar="FILE", help="draw the tables and the walked path, for Graphviz"
    )
    parser.add_argument("--svg", type=common.path, metavar="FILE", help="the same as a picture (needs Graphviz's dot)")
    parser.add_argument(
        "--why-not",
        metavar="NAME",
        help="say why that socket does not get the packet, and with which change it would (quote blanks)",
    )
    parser.add_argument(
        "--sweep",
        metavar="KEY=A..B",
        help="who gets the packet for each value of a range, as in sport=1024..65535; keys: " + ", ".join(KEYS),
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    path = file(arguments.path)
    text = read_text(path)
    case = replace(parse(text, told(path)), path=path)
    values = None if arguments.sweep is None else sweeps.read_range(arguments.sweep)
    if arguments.why_not is not None:
        why_nots.index_of(case, arguments.why_not)
    build = common.build_options(arguments).build(arguments.kernel, "traced", say=say)
    model = Model(build.rules, build.config)
    made = anew(text) or as_it_stands(case.scenario)
    with Guarded(build) as oracle:
        explained = explanations.explanation(case, oracle, model)
        answered = answers.answer(case, oracle, model, explained.parted.traces[0])
        swept = None if values is None else sweeps.sweep(made, values, oracle, model)
    why_not = None if arguments.why_not is None else why_nots.why_not(case, arguments.why_not, model, made)
    summary = explained.summary(build.told(), answered)
    if why_not is not None:
        summary.why_not = explanations.ToldWhyNot(why_not.name, why_not.reason, list(why_not.changes))
    if swept is not None:
        summary.sweep = explanations.told_sweep(swept, case)
    write_json(arguments, summary)
    sides = drawing.sides(explained.parted)
    if arguments.dot is not None:
        drawing.draw(arguments.dot, case, sides)
    if arguments.svg is not None:
        drawing.draw(arguments.svg, case, sides, "svg")
    say_all(build.unused_stubs)
    show(build.title)
    explained.show(console, answered)
    if swept is not None:
        show("")
        show_all(sweeps.sweep_text(swept, case.scenario, names_of(case)[0], model))
    if why_not is not None:
        show("")
        show_all(why_not.lines())
    show(f"\n{answered.last()}")
    differs = explained.mismatch is not None or bool(answered.unmet)
    if again := case.again(shell_path(path)):
        show(f"\n{again}")
    return DIFFERENCE if differs or _differs_elsewhere(answered, swept) else AGREED


def _differs_elsewhere(answered: answers.Answer, swept: sweeps.Sweep | None) -> bool:
    """Whether kernel and model differ about another hash, or another value of the range: told in a line each."""
    of_hash = answered.chance is not None and answered.chance.parted is not None
    if of_hash:
        show("Kernel and model differ for another hash than this one: `skdiff fuzz` finds the case.")
    if swept is not None and swept.parted is not None:
        value, mismatch = swept.parted
        show(f"Kernel and model differ for {swept.range.key} {swept.range.text(value)}: {', '.join(mismatch.fields)}.")
    return of_hash or (swept is not None and swept.parted is not None)

"""skdiff replay."""

import argparse

from skdiff.base.errors import CannotRun
from skdiff.cases.find_cases import NAMING, those_there
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, NO_VERDICT, console, say, say_all, write_json
from skdiff.findings import confirmed, replay_cases, replay_on_host
from skdiff.findings.replay_reports import REPORTS
from skdiff.oracles import asked

NAME = "replay"
HELP = "run cases from files again"
DESCRIPTION = "Run cases from files again: kernel and model must agree about each, and do what its [expect] says."
EXIT_CODES = "0 all agreed; 1 one differs, or not as it expects; 2 could not run, or a file cannot be read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser, f"{common.DEFAULT_KERNEL}, or with --oracle that of the kernel that it asks")
    common.add_oracle(parser)
    common.add_json(parser)
    parser.add_argument(
        "paths",
        nargs="*",
        type=common.path,
        metavar="PATH",
        default=[],
        help=f"files or folders (default: the corpus). {NAMING}",
    )
    parser.add_argument(
        "--format",
        choices=REPORTS,
        default="text",
        help="what to print: text, for people; ktap, the kernel's test output; junit, XML for CI services (default:"
        " %(default)s)",
    )
    common.add_first(parser)
    parser.add_argument(
        "--mark",
        action="store_true",
        help="with --oracle host: note in corpus/confirmed.toml, and in docs/surprises.md, which cases of"
        " corpus/surprises and corpus/reports the running kernel confirms",
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    paths, missing = those_there(arguments.paths)
    for _, why in missing:
        say(f"skdiff: {why}")
    options = common.build_options(arguments)
    kernel = common.kernel_of(arguments)
    reference = asked.built_beside(arguments.oracle or "", kernel, options, say)
    say_all(reference.unused_stubs)
    words = options.kernel_words(kernel)
    if arguments.oracle and (arguments.first or arguments.format != "text"):
        raise CannotRun("--oracle tells of its cases in its own way: leave out --format and --first")
    if arguments.mark and not arguments.oracle:
        raise CannotRun("--mark is for what a running kernel confirms: it takes --oracle host or --oracle vm:VERSION")
    if arguments.oracle:
        told = replay_on_host.replay_on_host(paths, arguments.oracle, reference, words, console, say)
        replay_on_host.show(told, console)
        write_json(arguments, told)
        if arguments.mark:
            marked = confirmed.mark(told.agreed, told.running)
            say(f"{marked} cases of corpus/surprises and corpus/reports are confirmed")
        if missing or told.count(replay_on_host.UNREADABLE) or not told.count(replay_on_host.AGREED):
            return DIFFERENCE if told.count(replay_on_host.DIFFERS) else NO_VERDICT
        return DIFFERENCE if told.count(replay_on_host.DIFFERS) else AGREED
    result = replay_cases.replay(
        paths,
        reference,
        words,
        REPORTS[arguments.format](console),
        say,
        lambda: options.build(kernel, "traced", say=say),
        arguments.first,
    )
    result.cases += [replay_cases.Replayed(str(path), "unreadable", [why]) for path, why in missing]
    write_json(arguments, result)
    if any(case.verdict == "unreadable" for case in result.wrong) or result.nothing_looked_at:
        return NO_VERDICT
    return DIFFERENCE if result.wrong else AGREED

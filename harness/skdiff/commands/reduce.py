"""skdiff reduce."""

import argparse
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.signals import interrupts_noted
from skdiff.cases.case_file import dump, load
from skdiff.cases.find_cases import NAMING, STDIN, file
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, say_all, show, write, write_json
from skdiff.findings import reduce as reducer
from skdiff.findings import reduce_findings
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.model import Model

NAME = "reduce"
HELP = "make a case that shows a difference as small as possible"
DESCRIPTION = (
    "Make a case that shows a difference as small as possible. The file itself is not changed; the reduced case has"
    " neither its names nor its expectations."
)
EXIT_CODES = "0 wrote a reduced case; 2 kernel and model agree about it, or could not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_build(parser)
    common.add_json(parser)
    parser.add_argument("path", type=common.path, metavar="FILE", help=f"a case that shows a difference. {NAMING}")
    parser.add_argument(
        "-o", "--output", type=common.path, metavar="OUT", help="where to write (default: FILE-reduced.toml)"
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    path, options = file(arguments.path), common.build_options(arguments)
    beside = path if arguments.path.exists() else Path(path.name)  # what was only named is not to be added to
    beside = Path("stdin") if path == STDIN else beside
    out = arguments.output or beside.with_name(f"{path.stem}-reduced.toml")
    case = load(path)
    build = options.build(arguments.kernel, say=say)
    say_all(build.unused_stubs)
    with Guarded(build) as oracle, interrupts_noted() as stopped:
        done = reduce_findings.reduced(case, [oracle, Model(build.rules, build.config)], reducer.LIMIT_OF_ALL, stopped)
    if done is None:
        raise CannotRun(f"{path}: Linux {build.tree.version} and the model agree about it, there is nothing to reduce")
    small, mismatch, reduction = done
    write(out, dump(small))
    show(
        reduce_findings.report(
            out, small, mismatch, [build], f"replay --kernel {options.kernel_words(arguments.kernel)}"
        )
    )
    show(f"{small.found['reduced']} ({reduction.kept} of them kept), {reduction.seconds:.2f} s: {out}")
    summary = reduce_findings.ReduceSummary(
        file=str(out),
        before=len(case.scenario.socks),
        after=len(small.scenario.socks),
        signature=mismatch.signature,
        tried=reduction.tried,
        kept=reduction.kept,
        seconds=reduction.seconds,
        finished=reduction.finished,
    )
    write_json(arguments, summary)
    return AGREED

"""Commands about cases in files: replay, reduce, explain, keep, corpus."""

import argparse

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.signals import interruptible
from skdiff.cases import find_cases
from skdiff.cases.case_file import dump, load
from skdiff.commands.shared import AGREED, COULD_NOT_RUN, MISMATCH, asked, console, made, model_of, say, write_json
from skdiff.findings import explain as explaining
from skdiff.findings import keep_cases, replay_cases
from skdiff.findings import reduce as reducer
from skdiff.oracles.guarded import Guarded
from skdiff.oracles.reference import Reference


def replay(arguments: argparse.Namespace) -> int:
    """Run cases from files again, on both oracles, and check what they expect."""
    reference = made(arguments.kernel)
    result = replay_cases.replay(
        arguments.paths, reference, asked(arguments.kernel), console, say, lambda: made(arguments.kernel, "traced")
    )
    write_json(arguments.json, result)
    if any(c["verdict"] == "unreadable" for c in result["cases"]):
        return COULD_NOT_RUN
    return AGREED if all(c["verdict"] in ("agreed", "known") for c in result["cases"]) else MISMATCH


def reduce(arguments: argparse.Namespace) -> int:
    """Make a case that shows a difference as small as it gets. The file itself stays; what comes out of it has neither
    its names nor its expectations.
    """
    path = arguments.path
    out = arguments.output or path.with_name(f"{path.stem}-reduced.toml")
    case = load(path)
    build = made(arguments.kernel)
    with Guarded(build) as oracle, interruptible() as stopped:
        done = reducer.reduced(case, [oracle, model_of(build)], reducer.LIMIT_OF_ALL, stopped)
    if done is None:
        raise CannotRun(f"{path}: Linux {build.tree.version} and the model agree about it, there is nothing to reduce")
    small, mismatch, reduction = done
    try:
        write_whole(out, dump(small))
    except OSError as error:
        raise CannotRun(f"cannot write {out}: {error.strerror}") from error
    again = f"replay --kernel {asked(arguments.kernel)}"
    console.print(reducer.report(out, small, mismatch, [build], again), markup=False, soft_wrap=True)
    console.print(f"{small.found['reduced']} ({reduction.kept} of them kept), {reduction.seconds:.2f} s: {out}")
    counts = {"before": len(case.scenario.socks), "after": len(small.scenario.socks), "signature": mismatch.signature}
    steps = {"tried": reduction.tried, "kept": reduction.kept, "seconds": reduction.seconds}
    write_json(arguments.json, {"file": str(out), **counts, **steps, "finished": reduction.finished})
    return AGREED


def explain(arguments: argparse.Namespace) -> int:
    """Tell which socket gets a case's packet, and why; where kernel and model differ, at which step they part."""
    case = load(arguments.path)
    with Guarded(made(arguments.kernel, "traced")) as oracle:
        explained = explaining.explanation(case, oracle, model_of(oracle.build))
    write_json(arguments.json, explained.data())
    if arguments.dot is not None:
        explaining.draw(arguments.dot, explained)
    if arguments.svg is not None:
        explaining.draw(arguments.svg, explained, "svg")
    explained.show(console)
    return MISMATCH if explained.mismatch is not None else AGREED


def keep(arguments: argparse.Namespace) -> int:
    """Move a finding into corpus/regressions, with what the rules expect of it."""
    target = keep_cases.keep(arguments.path, arguments.name, arguments.why, model_of(made(arguments.kernel)))
    console.print(f"kept as {target}; replay: skdiff replay {target}", markup=False, soft_wrap=True)
    return AGREED


def corpus(arguments: argparse.Namespace) -> int:
    """distill: make corpus/seeds the small covering set of what is kept and of random cases, one case for each kind of
    answer of each kernel function.
    """
    reference = Reference(made(arguments.kernel, "traced"))
    model = model_of(reference.build)
    kept = [load(path).scenario for path in find_cases.files([])]
    candidates = [*kept, *keep_cases.drawn(arguments.cases, arguments.seed or 0)]
    say(f"distilling {len(candidates)} cases")
    chosen = keep_cases.distil(candidates, lambda scenario: keep_cases.features(reference, model, scenario))
    keep_cases.write_seeds(chosen, model)
    console.print(f"{len(chosen)} seeds of {len(candidates)} cases in {keep_cases.SEEDS}", markup=False, soft_wrap=True)
    return AGREED

"""The commands: a module each, which owns its arguments; `COMMANDS` has them in the order of the help."""

from skdiff.commands import (
    bench,
    corpus,
    coverage,
    diff,
    doctor,
    drift,
    explain,
    extract,
    fuzz,
    keep,
    kernels,
    merge,
    mutants,
    nightly,
    reduce,
    replay,
    report,
    rules,
)
from skdiff.commands.interface import Command

COMMANDS: tuple[Command, ...] = (
    *(fuzz, diff, drift, replay, reduce, explain, keep, corpus, extract, doctor, coverage, mutants, merge, report),
    *(nightly, kernels, rules, bench),
)

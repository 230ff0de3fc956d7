"""The commands: a module each, which owns its arguments; `COMMANDS` has them in the order of the help."""

from skdiff.commands import (
    bench,
    convert,
    corpus,
    coverage,
    diff,
    doctor,
    drift,
    explain,
    extract,
    fields,
    fuzz,
    keep,
    kernels,
    merge,
    mutants,
    new,
    nightly,
    reduce,
    replay,
    report,
    rules,
)
from skdiff.commands.interface import Command

COMMANDS: tuple[Command, ...] = (
    *(
        fuzz,
        diff,
        drift,
        replay,
        reduce,
        explain,
        new,
        convert,
        fields,
        keep,
        corpus,
        extract,
        doctor,
        coverage,
        mutants,
        merge,
        report,
    ),
    *(nightly, kernels, rules, bench),
)

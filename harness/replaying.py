"""Replay: cases from files, on the reference and the model, against each other and against what they expect."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.compare import Mismatch, compare
from harness.errors import CannotRun
from harness.guarded import Guarded
from harness.kernel.build import Build
from harness.model import Model
from harness.report import render, shell_path
from harness.text import Case, load, unmet

CORPUS = Path(__file__).resolve().parents[1] / "corpus"


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The case files that are meant by files and folders; the corpus if there are none. Raises CannotRun."""
    for path in paths or [CORPUS]:
        if path.is_dir():
            yield from sorted(path.rglob("*.toml"))
        elif path.exists():
            yield path
        else:
            raise CannotRun(f"{path}: no such file or folder")


def verdict(case: Case, reference: Any, model: Any) -> tuple[str, list[str], Mismatch | None]:
    """("agreed", "mismatch" or "unexpected"; what is unmet; the mismatch) for one case."""
    outcomes = [reference.run(case.scenario), model.run(case.scenario)]
    mismatch = compare([reference.name, model.name], outcomes)
    if mismatch is not None:
        return "mismatch", list(mismatch.fields), mismatch
    wrong = unmet(case, outcomes[0])
    return ("unexpected" if wrong else "agreed"), wrong, None


def replay(
    paths: Sequence[Path], reference: Build, kernel: str, console: Console, say: Callable[[str], None]
) -> dict[str, Any]:
    """Replay all cases, print what is wrong, and return the summary. An unreadable file does not stop the others."""
    results: list[dict[str, Any]] = []
    model = Model()
    with Guarded(reference) as oracle:
        for path in files(paths):
            try:
                case = load(path)
            except CannotRun as error:
                say(f"skdiff: {error}")
                results.append({"file": str(path), "verdict": "unreadable", "why": [str(error)]})
                continue
            word, why, mismatch = verdict(case, oracle, model)
            results.append({"file": str(path), "verdict": word, "why": why})
            if mismatch is not None:
                again = f"skdiff replay --kernel {kernel} {shell_path(path)}"
                text = render(mismatch, case, reference.tree.version, reference.closure, again)
                console.print(f"{shell_path(path)}:\n{text}", markup=False, soft_wrap=True)
            for line in why if word == "unexpected" else ():
                console.print(f"{shell_path(path)}: {line}", markup=False, soft_wrap=True)
    counts = {w: sum(r["verdict"] == w for r in results) for w in ("agreed", "mismatch", "unexpected", "unreadable")}
    console.print(
        f"Linux {reference.tree.version}: {len(results)} cases, "
        + ", ".join(f"{n} {w}" for w, n in counts.items() if n or w == "agreed")
    )
    return {"kernel": {"version": reference.tree.version, "closure": reference.closure}, "cases": results}

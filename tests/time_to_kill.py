"""How soon guided runs find mutants of the kernel's text, here and in another checkout: `python tests/time_to_kill.py
BEFORE [JSON]`, or `make time-to-kill`.

Two mutants of each operator, those that some random cases leave alive first, and the thirty patches of
tests/detection.py. Each is run by both checkouts in turns, with the same seeds, by one worker in a process of its own.
What counts: the seconds of the clock until the first finding, without the start of the worker; the cases; and the
processor seconds of the whole worker, its start included. Not a test: it prints the table of docs/performance.md. What
is in the file named JSON is not measured again, so it can be stopped.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
SEEDS, SECONDS = range(1, 9), 5.0
PATCH = "patch"  # what is no mutant
_RANDOM_CASES = (3000, 1500, 600, 200, 60)  # who is alive after the most is chosen first
_A_CLASS = 2
_MEASURED = ("seconds", "cases", "processor")


def chosen(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """The class of each, its name, and a tree that has it, below a folder."""
    from skdiff.cases import wire
    from skdiff.engines.seed_inputs import seeds
    from skdiff.kernel.manifest import Manifest
    from skdiff.kernel.source import find
    from skdiff.oracles.model import Model
    from skdiff.proof.mutants.common import judge, judgements, judgements_for
    from skdiff.proof.mutants.schemata import schemata
    from skdiff.proof.mutants.table_kills import Sieve
    from tests.detection import PATCHES
    from tests.patched import copied_tree, patched_tree

    manifest, random = Manifest.load(), Random(20)
    tree = find("6.12", manifest.files, optional=manifest.optional)
    made = schemata(tree)
    model = Model(made.rules)
    of_c = [entry for entry in judgements() if entry.of == "c"]
    judged = judge(made.mutants.values(), judgements_for(of_c, tree.version))
    drawn = [wire.decode(random.randbytes(wire.SIZE)) for _ in range(_RANDOM_CASES[0])]
    left = [number for number, mutant in made.mutants.items() if mutant not in judged]
    classes: dict[str, list[int]] = {mutant.operator: [] for mutant in made.mutants.values()}
    for count in _RANDOM_CASES:
        cases = [*(map(wire.decode, seeds()) if count == _RANDOM_CASES[0] else ()), *drawn[:count]]
        killed = Sieve(made, cases, model).killed(left)
        alive = [number for number in left if number not in killed]
        random.shuffle(alive)
        for number in alive:
            classes[made.mutants[number].operator].append(number)
        left = [number for number in left if number in killed]
    for operator, numbers in sorted(classes.items()):
        took = 0
        for number in numbers:
            mutant = made.mutants[number]
            text = _changed((tree.path / mutant.file).read_text(), mutant)
            if text and took < _A_CLASS:
                place = folder / mutant.id
                copied_tree(tree.path, place)
                (place / mutant.file).write_text(text)
                took += 1
                yield operator, f"{mutant.function}: {mutant.change}", place
    for number, patch in enumerate(PATCHES):
        yield PATCH, str(patch), patched_tree(tree.path, folder / f"patch-{number}", patch)


def _changed(text: str, mutant: Any) -> str:
    """A file with a mutant whose change is within one line, "" for another one."""
    before, _, after = mutant.change.partition(" -> ")
    lines = text.split("\n")
    line = lines[mutant.line - 1]
    words = [r"(?<!\w)" * before[0].isalnum(), re.escape(before), r"(?!\w)" * before[-1].isalnum()]
    places = [*re.finditer("".join(words), line)]
    if line.strip() != mutant.text or mutant.nth >= len(places):
        return ""
    start, end = places[mutant.nth].span()
    operand = re.search(r"\w", after) and mutant.operator not in ("field", "returned", "dropped")
    new = "" if after == "nothing" else f"({after})" if operand else after
    lines[mutant.line - 1] = line[:start] + new + line[end:]
    return "\n".join(lines)


def serve() -> None:
    """Run what is asked for, a JSON line each, by the skdiff that this process finds."""
    from skdiff.base.errors import CannotRun
    from skdiff.kernel.build import build
    from skdiff.kernel.source import Tree
    from tests.detection import one

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        from skdiff.oracles import compiled_model  # not in each checkout
    except ImportError:
        pass
    else:
        compiled_model.prepare(lambda text: None)
    for line in sys.stdin:
        path, seed = json.loads(line)
        tree = Tree(Path(path), "6.12", path)
        try:
            build(tree, guided=True)  # not within what is measured
        except CannotRun:
            print("null", file=answers)
            continue
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, cases, found = one(tree, "atheris", seed, SECONDS)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps({"found": found, "seconds": seconds, "cases": cases, "processor": processor}), file=answers)


def main(before: str, target: str = "") -> None:
    """Measure all that is not in the file yet, and print the table."""
    results = Path(target or "time-to-kill.json")
    done: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {}
    sides = {"before": Path(before).resolve(), "after": ROOT}
    with tempfile.TemporaryDirectory() as folder:
        servers = {side: _server(checkout) for side, checkout in sides.items()}
        all_of_them = list(chosen(Path(folder)))
        broken: set[Path] = set()  # what does not compile
        for seed in SEEDS:
            for number, (kind, name, tree) in enumerate(all_of_them):
                of = done.setdefault(f"{kind}: {name}", {"before": {}, "after": {}})
                for side in sorted(sides, reverse=bool((number + seed) % 2)):
                    if str(seed) not in of[side] and tree not in broken:
                        print(json.dumps([str(tree), seed]), file=servers[side].stdin, flush=True)
                        of[side][str(seed)] = json.loads(servers[side].stdout.readline())
                        if of[side][str(seed)] is None:
                            broken.add(tree)
                if tree in broken:
                    del done[f"{kind}: {name}"]
                results.write_text(json.dumps(done, indent=1) + "\n")
    show(done)


def _server(checkout: Path) -> Any:
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'harness'}:{checkout}"}
    command = [sys.executable, __file__, "--serve"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=checkout, env=environment, stdin=pipe, stdout=pipe, text=True)


def table(done: dict[str, Any]) -> list[list[str]]:
    """A row for each class, and for all: the medians of the seeds of each of its changes, and of these the median,
    before and now; and how many of the runs found it.
    """
    kinds: dict[str, list[dict[str, Any]]] = {}
    for name, of in done.items():
        kinds.setdefault(name.partition(": ")[0], []).append(of)
    rows = []
    for kind, all_of in [*sorted(kinds.items()), ("all", list(done.values()))]:
        cells = [kind, str(len(all_of))]
        cells += [_found(all_of, side) for side in ("before", "after")]
        for measured in _MEASURED:
            of_sides = [median(_medians(all_of, side, measured)) for side in ("before", "after")]
            cells += [f"{value:,.0f}" if measured == "cases" else f"{value:.2f}" for value in of_sides]
        rows.append(cells)
    return rows


def _found(all_of: Sequence[dict[str, Any]], side: str) -> str:
    runs = [run for of in all_of for run in of[side].values()]
    return f"{sum(run['found'] for run in runs)} of {len(runs)}"


def _medians(all_of: Sequence[dict[str, Any]], side: str, measured: str) -> list[float]:
    return [median(run[measured] for run in of[side].values()) for of in all_of]


def show(done: dict[str, Any]) -> None:
    """Print the table of docs/performance.md."""
    heads = [f"{measured}, {side}" for measured in ("found", *_MEASURED) for side in ("before", "now")]
    print(f"| class | changes | {' | '.join(heads)} |")
    print("| --- " * (len(heads) + 2) + "|")
    for cells in table(done):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main(*sys.argv[1:])

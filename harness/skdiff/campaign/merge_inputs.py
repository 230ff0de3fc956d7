"""Merging folders of guided inputs into a small one that reaches as much: libFuzzer's -merge=1, and a look at what it
did.

libFuzzer starts its own command line again through a shell for each part of a merge, and where that cannot work it ends
with 0 and an empty folder. So the command line here is one that can be started again, and nothing is replaced before
the new folder has been seen to reach what the old ones reach.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json
from skdiff.base.paths import command, shell_path
from skdiff.base.scratch import scratch
from skdiff.campaign.inputs import Say, add, converted, discard, layouts, seeded
from skdiff.cases.other_lookup import fitting
from skdiff.cases.wire import MOST, decode
from skdiff.engines.atheris_engine import make_libfuzzer_global
from skdiff.kernel.build import Build
from skdiff.kernel.compilation import preload
from skdiff.kernel.summary import Kernel, KernelSummary
from skdiff.oracles.reference import Reference

FEW = 0.05  # of the edges libFuzzer may lose; then the inputs that take them are added


class Merged(KernelSummary, kw_only=True):
    """What a merge into `folder` did: how many inputs there were and are, and how many edges of the C they reach, in
    the kernel of that version.
    """

    kernel: str
    folder: str
    before: int
    after: int
    edges: int

    @property
    def about(self) -> Kernel:
        """See KernelSummary."""
        return Kernel(version=self.kernel)


class _Task(msgspec.Struct, frozen=True):
    """What the process is to do: with the reference of a build's `folder`, see what the inputs of the folder `reach`
    reach, if there is one, or bring beside the edges that are `reached`.
    """

    folder: str
    reach: str
    reached: frozenset[int] | None


def merge(build: Build, folder: Path, sources: Sequence[Path], say: Say) -> Merged:
    """Merge folders of inputs (see `inputs.py`) into `folder`, which may have some already: those of them stay that
    take an edge or compare a value in a way that no smaller input does. `build` is a guided one; `sources` are only
    read. Raises CannotRun, and then nothing that was there is gone.
    """
    for source in sources:
        if not source.is_dir():
            raise CannotRun(f"{source}: no such folder of inputs")
    if not folder.is_dir() and not sources:
        raise CannotRun(
            f"{folder}: no such folder of inputs: `{command()} fuzz --inputs {shell_path(folder)}` makes one"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch() as work:
            every, small = work / "all", work / "small"
            every.mkdir()
            small.mkdir()
            ours = seeded(folder)
            for source in (folder, *sources):
                for place, places in layouts(source, say):
                    for path in filter(Path.is_file, place.iterdir()):
                        data = path.read_bytes()
                        add(every, data if place.name == ours.name else converted(data, places))
            before, reached = sum(1 for _ in every.iterdir()), edges_of(build, every)
            say(f"merging {before:,} inputs, which reach {len(reached)} edges of the C")
            said = run_process(build, [str(small), str(every)], "-merge=1", "-use_value_profile=1", f"-max_len={MOST}")
            # gcc's hooks number the edges as they are met: libFuzzer may take two inputs for equal that are not quite.
            # An edge that depends on the case before (where fuel ends) is not always taken by the inputs that took it.
            kept = edges_of(build, small) if any(small.iterdir()) else frozenset[int]()
            if kept != reached and len(reached - kept) <= FEW * len(reached):
                for path in inputs_missing(build, every, kept):
                    shutil.copy(path, small)
                reached = edges_of(build, small)
            after = sum(1 for _ in small.iterdir())
            lost = reached - edges_of(build, small)
            if not after or lost:
                what = f"{len(lost)} of {len(reached)} edges"
                raise CannotRun(f"libFuzzer's merge lost {what}, so all inputs stay as they are: {said}")
            # First what stays, then away with the rest: whenever this is interrupted, nothing is missing. What a run
            # has put there meanwhile stays as well.
            for path in small.iterdir():
                add(ours, path.read_bytes())
            if any((ours / path.name).read_bytes() != path.read_bytes() for path in small.iterdir()):
                raise CannotRun(f"{ours}: what was written there is not what was to be, so nothing is removed")
            for path in every.iterdir():
                if not (small / path.name).exists():
                    (ours / path.name).unlink(missing_ok=True)
            for place, _ in layouts(folder, lambda _: None):
                if place != ours:
                    discard(place)
    except OSError as error:
        raise CannotRun(f"cannot merge into {folder}: {error}") from error
    return Merged(kernel=build.tree.version, folder=str(folder), before=before, after=after, edges=len(reached))


def edges_of(build: Build, folder: Path) -> frozenset[int]:
    """The edges of the C that the inputs of a folder take."""
    said = run_process(build, [], reach=str(folder))
    return from_json(said.rpartition("EDGES ")[2], frozenset[int])


def inputs_missing(build: Build, folder: Path, reached: frozenset[int]) -> list[Path]:
    """Inputs of a folder that take the edges which are not among those reached, one after the other."""
    said = run_process(build, [], reach=str(folder), reached=reached)
    return [folder / name for name in from_json(said.rpartition("EDGES ")[2], list[str])]


def run_process(
    build: Build, folders: Sequence[str], *flags: str, reach: str = "", reached: frozenset[int] | None = None
) -> str:
    """Run this module as a process of its own; returns what it said, its last line unless it was to `reach`."""
    task = to_json(_Task(str(build.folder), reach, reached))
    with scratch() as folder:  # for libFuzzer's own notes
        process = subprocess.Popen(
            [sys.executable, "-m", "skdiff.campaign.merge_inputs", task, *flags, *folders],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **preload(build.variant), "TMPDIR": str(folder)},
            start_new_session=True,
        )
        try:
            said, complained = process.communicate()
        finally:  # libFuzzer's shell and its children too
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if reach and "EDGES " in said:
        return said
    last = "".join(complained.strip().splitlines()[-1:]) or "no message"
    if process.returncode or reach:
        raise CannotRun(f"libFuzzer ended with status {process.returncode}: {last}")
    return last


def main() -> None:
    """The process: with "reach" it runs all inputs of that folder and says which edges they take, or, if some are
    "reached" already, which of the inputs bring more; else libFuzzer has the command line.
    """
    import atheris

    task = from_json(sys.argv[1], _Task)
    references: list[Reference] = []

    def case(data: bytes) -> None:
        if not references:  # libFuzzer must be there first
            make_libfuzzer_global()
            references.append(Reference.of(Path(task.folder)))
        if task.reach:
            names, known = [], None if task.reached is None else set(task.reached)
            for path in sorted(Path(task.reach).iterdir()):
                references[0].run(fitting(decode(path.read_bytes()), references[0].lookups))
                if known is not None and (new := set(references[0].edges()[0]) - known):
                    known |= new
                    names.append(path.name)
            print("EDGES", to_json(sorted(references[0].edges()[0]) if known is None else names), flush=True)
            os._exit(0)
        references[0].run(fitting(decode(data), references[0].lookups))

    again = shlex.join([sys.executable, "-m", "skdiff.campaign.merge_inputs", sys.argv[1]])
    atheris.Setup([again, *sys.argv[2:]], case)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

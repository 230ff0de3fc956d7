"""What the packed fuzz target needs, made while there is a network: the compiled lookup, seeds, dictionary, options.

`prepare.py --fetch` only fetches the kernel's files; `prepare.py WORK OUT` writes WORK/reference/, and the seeds, the
dictionary and the options to OUT. KERNEL and SANITIZER are read from the environment.
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_json
from skdiff.cases import native, wire
from skdiff.engines.seed_inputs import seeds
from skdiff.kernel.build import build
from skdiff.kernel.compilation import MODULE
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Tree, find
from skdiff.oracles import compiled_model

TARGET = "lookup_fuzzer"
VARIANTS = {"address": "asan", "undefined": "ubsan", "coverage": "plain", "": "plain"}
ENTRIES = 300  # of the dictionary
LONGEST = 64  # bytes that libFuzzer takes as one entry
OPTIONS = {
    "max_len": wire.SIZE,
    "len_control": 0,  # the fields stand at fixed places: short inputs are not simpler
    "use_value_profile": 1,  # ports have 16 bits: libFuzzer's table of compares takes 32 and 64
    "timeout": 25,
}


def tree() -> Tree:
    """The kernel's files, from the cache if they are there."""
    manifest = Manifest.load()
    return find(os.environ.get("KERNEL") or "6.12", manifest.files, optional=manifest.optional)


def reference(folder: Path) -> None:
    """Build the lookup for the sanitizer, and put into a folder what of it is needed at run time."""
    sanitizer = os.environ.get("SANITIZER", "")
    if sanitizer not in VARIANTS:
        raise CannotRun(f"SANITIZER={sanitizer}: one of {', '.join(filter(None, VARIANTS))}")
    made = build(tree(), VARIANTS[sanitizer], guided=True)
    folder.mkdir(parents=True)
    shutil.copy(made.folder / f"{MODULE}.so", folder)
    (folder / "cases").mkdir()
    shutil.copy(native.library(), folder / "cases")
    compiled_model.prepare(lambda line: print(f"prepare: {line}", file=sys.stderr))
    compiled = compiled_model.folder()
    if compiled is not None:  # else the target interprets the model
        shutil.copytree(compiled, folder / "model")
    write_json(folder / "reference.json", made.told())


def entries(inputs: Iterable[bytes]) -> list[bytes]:
    """Whole sockets of the seeds, the most frequent first: what libFuzzer's own mutations would not put together."""
    found: Counter[bytes] = Counter()
    for data in inputs:
        for at in range(wire.FIXED_SIZE, len(data), wire.SOCK_SIZE):
            found[data[at : at + wire.SOCK_SIZE]] += 1
    assert wire.SOCK_SIZE <= LONGEST
    return [entry for entry, _ in found.most_common(ENTRIES) if any(entry)]


def main(words: list[str]) -> None:
    """Fetch, or build and write."""
    if words == ["--fetch"]:
        tree()
        return
    work, out = map(Path, words)
    shutil.rmtree(work, ignore_errors=True)
    reference(work / "reference")
    (work / "seeds").mkdir()
    inputs = sorted(set(seeds()))
    for number, data in enumerate(inputs):
        (work / "seeds" / f"seed-{number:04}").write_bytes(data)
    shutil.make_archive(str(out / f"{TARGET}_seed_corpus"), "zip", work / "seeds")
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in entry) + '"\n' for entry in entries(inputs)]
    (out / f"{TARGET}.dict").write_text("".join(lines))
    (out / f"{TARGET}.options").write_text(
        "[libfuzzer]\n" + "".join(f"{key} = {value}\n" for key, value in OPTIONS.items())
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CannotRun as error:
        sys.exit(f"prepare: {error}")

"""A stub for OSS-Fuzz's compile_python_fuzzer: `packing.py TARGET.py OPTIONS...` leaves TARGET and what it needs in
$OUT. With $SKDIFF_PACKER, a Python that has PyInstaller, it packs; else it lays the files out as packing would.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

WRAPPER = """#!/bin/sh
# LLVMFuzzerTestOneInput: by this word the images know a fuzz target.
here=$(dirname "$0")
LD_PRELOAD="$here/sanitizer_with_fuzzer.so" \\
ASAN_OPTIONS="$ASAN_OPTIONS:symbolize=1:external_symbolizer_path=$here/llvm-symbolizer:detect_leaks=0" \\
{command} "$@"
"""


def main() -> None:
    grammar = argparse.ArgumentParser()
    grammar.add_argument("target", type=Path)
    grammar.add_argument("--paths", required=True)
    grammar.add_argument("--add-data", action="append", default=[])
    arguments = grammar.parse_args()
    out, name = Path(os.environ["OUT"]), arguments.target.stem
    packer = os.environ.get("SKDIFF_PACKER")
    if packer:
        work = Path(os.environ["SRC"]) / "pyfuzzworkdir"
        options = ["--distpath", out, "--workpath", work, "--specpath", work, "--onefile", "--name", f"{name}.pkg"]
        target = arguments.target.resolve()
        subprocess.run([packer, "-m", "PyInstaller", *map(str, options), *sys.argv[2:], str(target)], check=True)
        command = f'"$here/{name}.pkg"'
    else:
        folder = out / f"{name}.pkg.d"
        folder.mkdir()
        shutil.copy(arguments.target, folder)
        package = Path(arguments.paths) / "skdiff"
        if not package.is_dir():  # PyInstaller would pack a package that happens to be installed, or none
            sys.exit(f"packing: no package in --paths {arguments.paths}")
        for module in package.rglob("*.py"):
            copy = folder / module.relative_to(package.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(module, copy)
        for pair in arguments.add_data:
            source, _, place = pair.partition(":")
            if Path(source).is_dir():
                shutil.copytree(source, folder / place)
            else:
                (folder / place).mkdir(parents=True, exist_ok=True)
                shutil.copy(source, folder / place)
        # The script's own folder comes first on Python's path: the package that runs is the copy.
        command = f'"{sys.executable}" "$here/{name}.pkg.d/{name}.py"'
    wrapper = out / name
    wrapper.write_text(WRAPPER.format(command=command))
    wrapper.chmod(0o755)


if __name__ == "__main__":
    main()

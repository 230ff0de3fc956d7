"""ClusterFuzzLite's build, run as its images do: build.sh with stubs of what they have, then the target on seeds.

By default a stub lays the target out without packing it; `make clusterfuzzlite` packs it with PyInstaller.
"""

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from skdiff.cases import wire
from skdiff.engines import atheris_engine
from skdiff.engines.seed_inputs import seeds
from tests.helpers import mostly_long
from tests.patched import Patch, patched_tree

pytestmark = pytest.mark.skipif(
    not atheris_engine.available() or not shutil.which("clang"),
    reason="ClusterFuzzLite's images have atheris and clang",
)
ROOT = Path(__file__).resolve().parents[1]
TARGET = "lookup_fuzzer"


class Image:
    """What a builder's image has: $SRC, $OUT and $WORK, a compiler, and compile_python_fuzzer on the PATH."""

    def __init__(self, folder, sanitizer, kernel):
        import atheris

        self.out = folder / "out"
        for name in ("out", "work", "src", "bin", "tmp"):
            (folder / name).mkdir(parents=True)
        (folder / "src" / "skdiff").symlink_to(ROOT)
        script = folder / "bin" / "compile_python_fuzzer"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/packing.py" "$@"\n')
        script.chmod(0o755)
        python = folder / "bin" / "python3"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        library = {"address": "asan", "undefined": "ubsan"}[sanitizer]
        shutil.copy(Path(atheris.path()) / f"{library}_with_fuzzer.so", self.out / "sanitizer_with_fuzzer.so")
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            **{name.upper(): str(folder / name) for name in ("src", "out", "work")},
            "SANITIZER": sanitizer,
            "KERNEL": str(kernel),
            "CC": "clang",
            "CFLAGS": f"-O1 -fsanitize={sanitizer},fuzzer-no-link",
            "EPOCH": "",
            "CONFIG": "",
        }

    def build(self):
        command = ["bash", "-eu", str(ROOT / ".clusterfuzzlite" / "build.sh")]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=280, check=False)

    def run(self, folder, *arguments):
        """The target elsewhere: with its files alone, in another folder, without a compiler, a kernel or a network."""
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "HOME": str(folder)}
        command = [str(self.out / TARGET), *arguments]
        return subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture(scope="module", params=mostly_long(["address", "undefined"]))
def image(request, kernel_tree, tmp_path_factory):
    made = Image(tmp_path_factory.mktemp(request.param), request.param, kernel_tree.path)
    done = made.build()
    assert done.returncode == 0, done.stderr
    return made


def options(image):
    read = configparser.ConfigParser()
    read.read(image.out / f"{TARGET}.options")
    return [f"-{key}={value}" for key, value in read["libfuzzer"].items()]


def unpacked(image, folder):
    with zipfile.ZipFile(image.out / f"{TARGET}_seed_corpus.zip") as archive:
        archive.extractall(folder)
    return folder


def test_what_the_build_leaves_is_named_as_clusterfuzz_wants_it(image, tmp_path):
    names = {path.name for path in image.out.iterdir()}
    assert {TARGET, f"{TARGET}.dict", f"{TARGET}.options", f"{TARGET}_seed_corpus.zip"} <= names
    assert os.access(image.out / TARGET, os.X_OK)
    assert "LLVMFuzzerTestOneInput" in (image.out / TARGET).read_text()
    inputs = {path.read_bytes() for path in unpacked(image, tmp_path).iterdir()}
    assert inputs == set(seeds())
    assert f"-max_len={wire.SIZE}" in options(image)
    entry = re.compile(rf'"(\\x[0-9a-f]{{2}}){{{wire.SOCK_SIZE}}}"')
    lines = (image.out / f"{TARGET}.dict").read_text().splitlines()
    assert len(lines) > 20
    assert [line for line in lines if not entry.fullmatch(line)] == []


def test_the_target_runs_on_its_seeds_and_is_guided_by_the_c(image, tmp_path):
    inputs = unpacked(image, tmp_path / "inputs")
    more = (*options(image), f"-dict={image.out / TARGET}.dict", "-seed=1")
    done = image.run(tmp_path, *more, "-runs=3000", str(inputs))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Dictionary: " in done.stderr
    assert "the model is compiled" in done.stderr
    covered = [int(count) for count in re.findall(r"cov: (\d+)", done.stderr)]
    assert covered[-1] > 150
    assert len(list(inputs.iterdir())) > len(set(seeds()))


def test_a_difference_is_a_crash_with_its_case(kernel_tree, tmp_path):
    patch = Patch("net/ipv4/inet_hashtables.c", "inet_lhash2_lookup", 0, ">", ">=")
    image = Image(tmp_path / "image", "address", patched_tree(kernel_tree.path, tmp_path / "tree", patch))
    done = image.build()
    assert done.returncode == 0, done.stderr
    inputs = unpacked(image, tmp_path / "inputs")
    done = image.run(tmp_path, *options(image), "-seed=1", "-runs=20000", str(inputs))
    assert done.returncode == 77, done.stderr[-3000:]
    said = done.stdout + done.stderr
    assert "Differs: " in said
    assert "[[sock]]" in said
    [crash] = tmp_path.glob("crash-*")
    again = image.run(tmp_path, str(crash))
    assert again.returncode == 77
    assert wire.decode(crash.read_bytes()).socks


def test_what_cannot_be_built_costs_one_line(kernel_tree, tmp_path):
    image = Image(tmp_path, "address", "/no/such/tree")
    done = image.build()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("prepare: ")
    assert not (image.out / TARGET).exists()


def test_another_sanitizer_is_refused(kernel_tree, tmp_path):
    image = Image(tmp_path, "address", kernel_tree.path)
    image.environment["SANITIZER"] = "memory"
    assert "prepare: SANITIZER=memory" in image.build().stderr

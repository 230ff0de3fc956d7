"""From a tree to a loaded reference: built once, never stale, and what goes wrong is one line."""

import hashlib
import json
import platform
import re
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skdiff.base.compiler import compiler
from skdiff.base.errors import CannotRun
from skdiff.kernel import build as building
from skdiff.kernel import compilation
from skdiff.kernel.build import Build, build
from skdiff.kernel.compilation import VARIANTS, preload
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.options import STUBS, BuildOptions
from skdiff.kernel.source import Tree
from skdiff.oracles.reference import Reference

LOOKUP = "net/ipv4/inet_hashtables.c"
FAKE = """#!/bin/sh
if [ "$1" = --version ]; then cat '{log}.version' 2>/dev/null; exit 0; fi
echo "$*" >> '{log}'
{more}
while [ $# -gt 0 ]; do if [ "$1" = -o ]; then : > "$2"; fi; shift; done
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where builds go in this test."""
    for module in (building, compilation):
        monkeypatch.setattr(module, "builds", lambda: tmp_path / "build")
    return tmp_path / "build"


@pytest.fixture
def fake(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A compiler that makes empty files and keeps a log; `more` is what else it does."""

    def make(more: str = "", name: str = "fakecc") -> Path:
        path = tmp_path / name
        path.write_text(FAKE.format(log=tmp_path / "log", more=more))
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))
        return path

    make()
    return make


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], int]:
    """How often the compiler has been called since the last time."""
    seen = [0]

    def count() -> int:
        log = tmp_path / "log"
        total = len(log.read_text().splitlines()) if log.exists() else 0
        seen[0], new = total, total - seen[0]
        return new

    return count


@pytest.fixture
def patched(kernel_tree: Tree, tmp_path: Path) -> Callable[[str, str], Tree]:
    """A copy of the tree in which the first match of a pattern in the lookup's file is replaced."""

    def make(pattern: str, replacement: str) -> Tree:
        copy = tmp_path / "patched"
        shutil.copytree(kernel_tree.path, copy)
        path = copy / LOOKUP
        text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.DOTALL)
        assert count == 1
        path.write_text(text)
        return replace(kernel_tree, path=copy)

    return make


def left_in(folder: Path) -> list[str]:
    """The builds that are there, and what is unfinished; not what all builds of a compiler share."""
    return [path.name for path in folder.iterdir() if not path.name.startswith("glue-")]


def refused(tree: Tree, variant: str = "plain") -> str:
    """What build() says when it refuses."""
    with pytest.raises(CannotRun) as caught:
        build(tree, variant)
    return str(caught.value)


# --- what it needs ---


def test_without_the_compiler_that_was_asked_for_there_is_no_build(
    kernel_tree: Tree, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "/nonexistent")
    assert refused(kernel_tree) == "no C compiler (/nonexistent): install gcc or clang, or set CC"
    assert not folder.exists()


def test_without_any_compiler_there_is_no_build(
    kernel_tree: Tree, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(kernel_tree) == "no C compiler (gcc, clang, cc): install gcc or clang, or set CC"
    assert not folder.exists()


def test_a_compiler_that_cannot_run_is_told(
    kernel_tree: Tree, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "brokencc"
    broken.write_bytes(b"\x7fELF no program")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert refused(kernel_tree) == f"cannot run {broken}: Exec format error"
    monkeypatch.setenv("CC", f"'{broken}")
    assert refused(kernel_tree) == f"CC='{broken}: No closing quotation"


def test_a_compiler_may_have_arguments(
    kernel_tree: Tree, fake: Callable[..., Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", f"env {fake()} -DMORE")
    build(kernel_tree)
    assert all("-DMORE" in line for line in (tmp_path / "log").read_text().splitlines())


@pytest.mark.parametrize(("there", "found"), [("gcc clang cc", "gcc"), ("clang cc", "clang"), ("cc", "cc")])
def test_compilers_are_looked_for_in_order(
    there: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in there.split():
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiler() == found
    monkeypatch.setenv("CC", "cc")
    assert compiler() == "cc"


def test_an_unknown_variant_is_refused_with_those_there_are(kernel_tree: Tree, folder: Path) -> None:
    assert refused(kernel_tree, "msan") == f"no build variant 'msan': one of {', '.join(VARIANTS)}"
    assert not folder.exists()


def test_without_pythons_headers_there_is_no_build(
    kernel_tree: Tree, fake: Callable[..., Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert refused(kernel_tree).startswith(f"no Python.h in {tmp_path}: install your Python's headers")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "runtime"),
    [("cc (Debian) 12", "libasan.so"), ("Debian clang version 19", f"libclang_rt.asan-{platform.machine()}.so")],
)
def test_only_asan_wants_to_be_loaded_first(
    version: str, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cc = tmp_path / "my-cc"  # whatever its name is, it says what it is
    cc.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo '{version}' || echo {tmp_path}/${{1#-print-file-name=}}\n")
    cc.chmod(0o755)
    monkeypatch.setenv("CC", str(cc))
    assert [preload(variant) for variant in VARIANTS if variant != "asan"] == [{}] * (len(VARIANTS) - 1)
    with pytest.raises(CannotRun, match=f"has no {runtime}"):
        preload("asan")
    (tmp_path / runtime).touch()
    assert preload("asan")["LD_PRELOAD"] == str(tmp_path / runtime)


# --- once ---


def test_a_build_that_is_there_is_used_again(
    kernel_tree: Tree, fake: Callable[..., Path], folder: Path, calls: Callable[[], int]
) -> None:
    said: list[str] = []
    first = build(kernel_tree, say=said.append)
    assert calls() > 0
    assert len(said) == 1
    assert build(kernel_tree, say=said.append) == first
    assert (calls(), len(said)) == (0, 1)
    assert left_in(folder) == [first.folder.name]
    assert (first.tree, first.variant) == (kernel_tree, "plain")


def test_a_build_folder_has_what_a_reader_wants(kernel_tree: Tree, fake: Callable[..., Path], folder: Path) -> None:
    made = build(kernel_tree)
    assert made.folder.parent == folder
    assert made.folder.name.startswith(f"{kernel_tree.version}-plain-")
    text = (made.folder / "closure.c").read_text()
    assert f'"{LOOKUP}"\n' in text
    assert "__inet_lookup_established(" in text
    assert json.loads((made.folder / "closure.json").read_text())["closure"] == made.closure


def test_whatever_goes_into_a_build_makes_another(
    kernel_tree: Tree,
    fake: Callable[..., Path],
    calls: Callable[[], int],
    patched: Callable[[str, str], Tree],
    tmp_path: Path,
) -> None:
    made = [build(kernel_tree)]
    each_time = calls()
    made.append(build(kernel_tree, "coverage"))
    changed = patched("score", "score /* here */")
    made.append(build(changed))
    (tmp_path / "log.version").write_text("fakecc 2.0")
    made.append(build(changed))
    fake(name="othercc")
    made.append(build(changed))
    closure_and_link = 2  # the rest is made once for each compiler
    assert calls() == 2 * each_time + 2 * closure_and_link
    assert each_time > closure_and_link
    assert len({each.folder for each in made}) == 5
    assert made[0].closure == made[1].closure
    assert made[0].closure != made[2].closure == made[3].closure == made[4].closure


def test_a_variants_flags_are_for_the_closure_and_the_linker(
    kernel_tree: Tree, fake: Callable[..., Path], tmp_path: Path
) -> None:
    build(kernel_tree)
    log = tmp_path / "log"
    assert "sanitize" not in log.read_text()
    log.unlink()
    build(kernel_tree, "asan")
    for line in log.read_text().splitlines():
        wanted = " closure.c " in line or line.startswith("-shared ")
        assert ("-fsanitize=address" in line) == wanted, line


def test_a_guided_build_is_one_of_its_own_and_made_by_clang_where_there_is_one(
    kernel_tree: Tree,
    fake: Callable[..., Path],
    calls: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(name="gcc")
    plain, by_cc = build(kernel_tree), build(kernel_tree, guided=True)
    assert (Path(plain.compiler).name, Path(by_cc.compiler).name) == ("gcc", "gcc")
    assert plain.folder != by_cc.folder
    assert "trace-pc" in (tmp_path / "log").read_text()
    (tmp_path / "log").unlink()
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    shutil.copy(tmp_path / "gcc", tmp_path / "clang")
    (tmp_path / "log.version").write_text("clang version 99")
    assert [build(kernel_tree).compiler, build(kernel_tree, guided=True).compiler] == ["gcc", "clang"]
    log = (tmp_path / "log").read_text()
    assert "inline-8bit-counters" in log
    assert "trace-pc" not in log


def test_who_comes_second_uses_what_the_first_has_made(
    kernel_tree: Tree, fake: Callable[..., Path], folder: Path, tmp_path: Path, calls: Callable[[], int]
) -> None:
    first = build(kernel_tree)
    first.folder.rename(tmp_path / "aside")
    # The other process finishes while this one links.
    fake(f'case "$*" in -shared*) mv "{tmp_path}/aside" "{first.folder}";; esac')
    calls()
    assert build(kernel_tree) == first
    assert calls() == 2  # the closure and the link
    assert not (tmp_path / "aside").exists()
    assert left_in(folder) == [first.folder.name]


def test_a_compiler_that_fails_leaves_nothing_behind(
    kernel_tree: Tree, fake: Callable[..., Path], folder: Path, calls: Callable[[], int]
) -> None:
    fake("echo 'x.c:1:1: error: too hard' >&2; echo 'x.c:2:1: error: also' >&2; echo note >&2; exit 1")
    said = refused(kernel_tree)
    assert "cannot compile the lookup: x.c:1:1: error: too hard (2 errors" in said
    assert list(folder.iterdir()) == []
    fake("exit 1")
    assert "no message" in refused(kernel_tree)
    fake()
    calls()
    build(kernel_tree)
    assert calls() > 0


def test_a_header_that_no_list_names_counts_too(
    fake: Callable[..., Path], calls: Callable[[], int], patched: Callable[[str, str], Tree]
) -> None:
    tree = patched(
        r"(\n#include <net/ip.h>\n.*?\bcompute_score\([^{;]*\{\n)", r"\n#include <net/fresh.h>\1\tFRESH();\n"
    )
    header = tree.path / "include/net/fresh.h"
    header.write_text("#define FRESH() 1\n")
    first = build(tree)
    assert "FRESH" in {line.name for line in first.kernel}
    header.write_text("#define FRESH() 2\n")
    second = build(tree)
    assert first.folder != second.folder
    assert first.closure != second.closure
    calls()
    assert build(tree) == second
    header.write_text("#define FRESH() 1\n")
    assert build(tree) == first
    assert calls() == 0


def test_stubs_from_outside_count_too(
    kernel_tree: Tree, fake: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubs = tmp_path / "mine.h"
    monkeypatch.setenv(STUBS, str(stubs))
    with pytest.raises(CannotRun, match="no such file of stubs"):
        BuildOptions.read()
    folders = set()
    for value in "12":
        stubs.write_text(f"/* Kernel: the CPU. Here: {value}. */\n#define raw_smp_processor_id() {value}\n")
        made = build(kernel_tree, stubs=BuildOptions.read().stubs)
        assert [line.reason for line in made.stand_ins if line.name == "raw_smp_processor_id"] == [
            f"Kernel: the CPU. Here: {value}."
        ]
        folders.add(made.folder)
    assert len(folders) == 2


def test_a_function_that_nobody_declares_is_no_surprise_at_load(
    folder: Path, patched: Callable[[str, str], Tree]
) -> None:
    """A name that the preprocessor puts together is seen by the compiler alone."""
    added = "#define PUT_TOGETHER() no##where()\n"
    tree = patched(r"(static inline int compute_score\([^{;]*\{\n)", added + r"\1\tPUT_TOGETHER();\n")
    assert re.search(r"(implicit declaration of|call to undeclared) function 'nowhere'", refused(tree))


# --- broken builds ---


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("closure.json", lambda body: b""),
        ("closure.json", lambda body: body.replace(b'"closure"', b'"other"')),
        ("hashes.json", lambda body: body[: len(body) // 2]),
        ("hashes.json", lambda body: b"{}"),
        (f"{compilation.MODULE}.so", lambda body: body + b"more"),
        (f"{compilation.MODULE}.so", None),
    ],
)
def test_a_damaged_build_is_built_again(
    kernel_tree: Tree,
    fake: Callable[..., Path],
    file: str,
    damage: Callable[[bytes], bytes] | None,
    calls: Callable[[], int],
) -> None:
    made = build(kernel_tree)
    path = made.folder / file
    whole = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(whole))
    calls()
    assert build(kernel_tree) == made
    assert calls() > 0
    assert path.read_bytes() == whole
    assert build(kernel_tree) == made
    assert left_in(made.folder.parent) == [made.folder.name]


def test_a_damaged_glue_is_built_again(kernel_tree: Tree, fake: Callable[..., Path]) -> None:
    made = build(kernel_tree)
    [glue] = made.folder.parent.glob("glue-*")
    (glue / "guard.o").write_bytes(b"damaged")
    shutil.rmtree(made.folder)
    assert build(kernel_tree) == made
    assert (glue / "guard.o").read_bytes() != b"damaged"


def test_a_module_that_cannot_be_loaded_is_told(kernel_tree: Tree, fake: Callable[..., Path]) -> None:
    made = build(kernel_tree)
    with pytest.raises(CannotRun, match=r"^cannot load .*\.so: "):
        made.load()
    (made.folder / f"{compilation.MODULE}.so").unlink()
    with pytest.raises(CannotRun, match=r"^cannot load .*\.so: "):
        made.load()


# --- patches ---


def line_of(tree: Tree, text: str) -> int:
    lines = (tree.path / LOOKUP).read_text().split("\n")
    (number,) = (i for i, line in enumerate(lines, 1) if text in line)
    return number


def test_a_patch_that_does_not_compile_is_told_with_the_trees_own_line(
    folder: Path, patched: Callable[[str, str], Tree]
) -> None:
    tree = patched(r"(\bcompute_score\([^{;]*\{\n)", r"\1\tint not_c = 1 +;\n")
    said = refused(tree)
    assert re.search(rf" cannot compile the lookup: {LOOKUP}:{line_of(tree, 'not_c')}:\d+: error: ", said)
    assert list(folder.iterdir()) == []


def test_a_patch_that_uses_what_is_nowhere_is_told_with_the_trees_own_line(
    folder: Path, patched: Callable[[str, str], Tree]
) -> None:
    tree = patched(r"(\bcompute_score\([^{;]*\{\n)", r"\1\tnowhere_to_be_found();\n")
    said = refused(tree)
    assert said.startswith(f"{LOOKUP}:{line_of(tree, 'nowhere_to_be_found')}: compute_score uses nowhere_to_be_found,")
    assert not folder.exists()


def test_a_tree_in_which_a_function_has_another_name_is_told(folder: Path, patched: Callable[[str, str], Tree]) -> None:
    tree = patched(r"\b__inet_lookup_established\(", "another_name(")
    assert "__inet_lookup_established" in refused(tree)


def test_a_tree_without_a_file_is_told(kernel_tree: Tree, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(kernel_tree.path, copy)
    (copy / LOOKUP).unlink()
    assert refused(replace(kernel_tree, path=copy)) == f"{copy}: no kernel file {LOOKUP}: is this a whole kernel tree?"


# --- the real one ---


def test_the_report_names_each_definition_with_its_place_and_hash(reference: Reference, kernel_tree: Tree) -> None:
    made: Build = reference.build
    by_name = {line.name: line for line in made.kernel}
    for name in ("__inet_lookup_established", "inet_lhash2_lookup", "reuseport_select_sock"):
        line = by_name[name]
        own = (kernel_tree.path / line.file).read_bytes().split(b"\n")[line.line - 1 : line.end_line]
        assert hashlib.sha256(b"\n".join(own)).hexdigest() == line.sha256
        assert (line.kind, line.lookup, line.reason) == ("function", True, "")
    assert {line.file for line in made.kernel} <= {*Manifest.load().files, *Manifest.load().optional}


def test_each_stub_says_what_the_kernel_does_and_what_it_does_itself(reference: Reference) -> None:
    for line in reference.build.stand_ins:
        assert re.match(r"Kernel: .+ Here: .+", line.reason) or line.name.startswith(("CONFIG_", "__KERNEL__")), line


def test_the_reference_is_named_after_its_kernel(reference: Reference, kernel_tree: Tree) -> None:
    assert reference.name == f"Linux {kernel_tree.version}"
    assert reference.build.tree == kernel_tree

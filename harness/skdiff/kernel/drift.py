"""Drift: a tree's closure against those that are recorded here, by names and hashes alone."""

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.paths import CORPUS, command
from skdiff.kernel.build import Line, lines_of
from skdiff.kernel.closure import extract
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Say, Tree, find
from skdiff.kernel.text_changes import Change, changes, show_changes
from skdiff.variants import version_rules
from skdiff.variants.version_rules import Rules

RECORDS = CORPUS / "closures"  # a file for each kernel whose lookup was run for real, VERSION.closure
SUFFIX = ".closure"  # TOML, but no case
_HEAD = """\
# What the lookup of one kernel is made of, by which skdiff sees what another changed. Written by
# `skdiff drift --record`. No kernel text: the name, kind and file of each definition, and the SHA-256 of its text.
# `unset` are fields, sysctls and keys that it reads and nothing here sets, `options` those that it asks for.
"""


@dataclass(frozen=True)
class Record:
    """A closure without its text: the kernel's own definitions (they have no line numbers), those that stand-ins take
    the place of, and the rules of its text; names that it reads and nothing here sets, and options that it asks for
    (without CONFIG_). `missing` says what could not be found, a line each.
    """

    version: str
    rules: Rules
    definitions: tuple[Line, ...]
    replaced: tuple[Line, ...]
    missing: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    unknown_rules: tuple[str, ...] = ()

    def knows(self, line: Line) -> bool:
        """Whether a definition of this text is one of its own, in whatever file."""
        return (line.kind, line.name, line.sha256) in self._known

    @cached_property
    def _known(self) -> frozenset[tuple[str, str, str]]:
        return frozenset((d.kind, d.name, d.sha256) for d in self.definitions)


def records(folder: Path = RECORDS) -> list[Record]:
    """The records that are kept here. Raises CannotRun for one that cannot be read."""
    return [load(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def nearest(version: str, folder: Path = RECORDS) -> Path:
    """The record whose version is nearest to a kernel's. Raises CannotRun if there is none."""
    wanted = _numbers(version)

    def distance(path: Path) -> tuple[int, ...]:
        return tuple(abs(a - b) for a, b in zip(_numbers(path.stem), wanted, strict=True))

    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise CannotRun(f"{folder}: no record there: `{command()} drift --record` writes one")
    return min(paths, key=distance)


def _numbers(version: str) -> tuple[int, int]:
    """Which mainline release it is, counted with twenty of each major number (as since 3.0), and the patch level."""
    numbers = [int(word) for word in re.findall(r"\d+", version.partition("-")[0])[:3]]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return 20 * major + minor, patch


def record_of(kernel: str, say: Say, stubs: tuple[Path, ...] = ()) -> tuple[Tree, Record]:
    """A tree, of which any file may be gone, and the record of its closure. Raises CannotRun."""
    manifest = Manifest.load(stubs)
    tree = find(kernel, (), optional=(*manifest.files, *manifest.optional), say=say)
    closure = extract(tree.path, manifest, lenient=True)
    replaced = tuple(lines_of((d, True) for d in closure.replaced))
    own = tuple(lines_of(closure.definitions(stand_ins=False)))
    unset = tuple(sorted({u.name for u in closure.unset}))
    more = (unset, closure.options, closure.unknown_rules)
    return tree, Record(tree.version, closure.rules, own, replaced, closure.missing, *more)


def write(record: Record, path: Path) -> None:
    """Write a record. Raises CannotRun, also for one that is not whole."""
    if record.missing:
        raise CannotRun(f"not recorded, for it is not whole: {record.missing[0]} ({len(record.missing)} in all)")
    rules = [name for name in version_rules.NAMES if getattr(record.rules, name)]
    text = f"{_HEAD}version = {json.dumps(record.version)}\nrules = {json.dumps(rules)}\n"
    text += f"unset = {json.dumps(record.unset)}\noptions = {json.dumps(record.options)}\n"
    for name in ("definitions", "replaced"):
        rows = sorted((d.name, d.kind, d.file, d.sha256) for d in getattr(record, name))
        text += f"\n{name} = [\n" + "".join(f"  {json.dumps(row)},\n" for row in rows) + "]\n"
    try:
        write_whole(path, text)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error


def load(path: Path) -> Record:
    """Read a record. Raises CannotRun."""
    try:
        data = tomllib.loads(path.read_text())
        rules = Rules(**{name: name in data["rules"] for name in version_rules.NAMES})
        unset, options = (tuple(map(str, data.get(what, ()))) for what in ("unset", "options"))
        lines = (_lines(data["definitions"]), _lines(data["replaced"]))
        return Record(str(data["version"]), rules, *lines, unset=unset, options=options)
    except FileNotFoundError as error:
        raise CannotRun(f"{path}: no record there: `{command()} drift --record` writes one") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CannotRun(f"{path}: not a record of a closure: {error!r}") from error


def _lines(rows: Iterable[Sequence[str]]) -> tuple[Line, ...]:
    return tuple(Line(name, kind, file, 0, 0, sha256, "", True) for name, kind, file, sha256 in rows)


@dataclass(frozen=True)
class Drift:
    """What is not as it was recorded: definitions, what stand-ins take the place of, and rules; and what is not to be
    found, so that nothing can be built before closure.toml or a stand-in has it.
    """

    definitions: tuple[Change, ...]
    replaced: tuple[Change, ...]
    rules: tuple[str, ...]
    missing: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.definitions or self.replaced or self.rules or self.missing)

    def data(self) -> dict[str, Any]:
        """The same for programs."""
        changed = {name: [c._asdict() for c in getattr(self, name)] for name in ("definitions", "replaced")}
        return {**changed, "rules": list(self.rules), "missing": list(self.missing)}

    def show(self, console: Console, version: str) -> None:
        """Print it; `version` is that of the record."""
        show_changes(console, self.definitions)
        if self.replaced:
            title = "definitions that stubs or the driver take the place of, whose text differs"
            show_changes(console, self.replaced, title)
        if self.missing:
            console.print("not found in the files of closure.toml, nor among the stand-ins:")
        for text in (*self.missing, *(f"the rule differs: {word} now" for word in self.rules)):
            console.print(f"  {text}", markup=False, soft_wrap=True)
        console.print(f"drifted from Linux {version}" if self else f"the text is that of Linux {version}")


def drift(before: Record, now: Record) -> Drift:
    """What became of a recorded closure."""
    rules = [now.rules.word(n) for n in version_rules.NAMES if getattr(now.rules, n) != getattr(before.rules, n)]
    definitions, replaced = changes(before.definitions, now.definitions), changes(before.replaced, now.replaced)
    return Drift(tuple(definitions), tuple(replaced), tuple(rules), now.missing)

"""Drift: a tree's closure against those that are recorded here, by names and hashes alone."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.files import read_toml, to_json, write_whole
from skdiff.base.paths import CORPUS, command
from skdiff.kernel.build import Line, lines_of
from skdiff.kernel.closure import extract
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Say, Tree, find
from skdiff.kernel.summary import Kernel, KernelSummary
from skdiff.kernel.text_changes import Change, changes, show_changes
from skdiff.variants import version_rules
from skdiff.variants.version_rules import Rules, ToldRules

RECORDS = CORPUS / "closures"  # a file for each kernel whose lookup was run for real, VERSION.closure
SUFFIX = ".closure"  # TOML, but no case
_HEAD = """\
# What the lookup of one kernel is made of, by which skdiff sees what another changed. Written by
# `skdiff drift --record`. No kernel text: the name, kind and file of each definition, and the SHA-256 of its text.
# `unset` are fields, sysctls and keys that it reads and nothing here sets, `options` those that it asks for.
"""


@dataclass(frozen=True)
class Record:
    """A closure without its text: the kernel's own definitions (they have no line numbers), those that stubs take
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
    replaced = lines_of((d, True) for d in closure.replaced)
    own = lines_of(closure.definitions(stand_ins=False))
    unset = tuple(sorted({u.name for u in closure.unset}))
    more = (unset, closure.options, closure.unknown_rules)
    return tree, Record(tree.version, closure.rules, own, replaced, closure.missing, *more)


def write(record: Record, path: Path) -> None:
    """Write a record. Raises CannotRun, also for one that is not whole."""
    if record.missing:
        raise CannotRun(f"not recorded, for it is not whole: {record.missing[0]} ({len(record.missing)} in all)")
    rules = [name for name in version_rules.NAMES if getattr(record.rules, name)]
    text = f"{_HEAD}version = {to_json(record.version)}\nrules = {to_json(rules)}\n"  # TOML has JSON's lists and texts
    text += f"unset = {to_json(record.unset)}\noptions = {to_json(record.options)}\n"
    for name in ("definitions", "replaced"):
        rows = sorted((d.name, d.kind, d.file, d.sha256) for d in getattr(record, name))
        text += f"\n{name} = [\n" + "".join(f"  {to_json(row)},\n" for row in rows) + "]\n"
    try:
        write_whole(path, text)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error


def load(path: Path) -> Record:
    """Read a record. Raises CannotRun."""
    if not path.exists():
        raise CannotRun(f"{path}: no record there: `{command()} drift --record` writes one")
    data = read_toml(path, _File, "a record of a closure")
    rules = Rules(**{name: name in data.rules for name in version_rules.NAMES})
    definitions, replaced = (tuple(row.line for row in rows) for rows in (data.definitions, data.replaced))
    return Record(data.version, rules, definitions, replaced, unset=data.unset, options=data.options)


class _Row(NamedTuple):
    name: str
    kind: str
    file: str
    sha256: str

    @property
    def line(self) -> Line:
        """The definition, of which nobody knows where it stands in its file."""
        return Line(self.name, self.kind, self.file, 0, 0, self.sha256, "", True)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    rules: tuple[str, ...]
    definitions: tuple[_Row, ...]
    replaced: tuple[_Row, ...]
    unset: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class RecordedSummary(KernelSummary, kw_only=True):
    """A record that was written: the kernel's version, the file, and how many definitions there are in it."""

    version: str
    recorded: str
    definitions: int

    @property
    def about(self) -> Kernel:
        """See KernelSummary."""
        return Kernel(version=self.version)


class Drift(KernelSummary, kw_only=True):
    """What of a kernel is not as it was recorded of the version `record`: definitions, what stubs take the place
    of, and rules; and what is not to be found, so that nothing can be built before closure.toml or a stub has it.
    """

    version: str
    origin: str = ""
    record: str
    rules_now: ToldRules = ToldRules()
    definitions: list[Change]
    replaced: list[Change]
    rules: list[str]
    missing: tuple[str, ...]

    @property
    def about(self) -> Kernel:
        """See KernelSummary."""
        return Kernel(version=self.version, origin=self.origin)

    def __bool__(self) -> bool:
        return bool(self.definitions or self.replaced or self.rules or self.missing)

    def show(self, console: Console) -> None:
        """Print it."""
        show_changes(console, self.definitions)
        if self.replaced:
            title = "definitions that stubs or the driver take the place of, whose text differs"
            show_changes(console, self.replaced, title)
        if self.missing:
            console.print("not found in the files of closure.toml, nor among the stubs:")
        for text in (*self.missing, *(f"the rule differs: {word} now" for word in self.rules)):
            console.print(f"  {text}", markup=False, soft_wrap=True)
        console.print(f"drifted from Linux {self.record}" if self else f"the text is that of Linux {self.record}")


def drift(before: Record, now: Record, origin: str) -> Drift:
    """What became of a recorded closure; `origin` says where the tree of `now` is from."""
    rules = [now.rules.word(n) for n in version_rules.NAMES if getattr(now.rules, n) != getattr(before.rules, n)]
    return Drift(
        version=now.version,
        origin=origin,
        record=before.version,
        rules_now=version_rules.told(now.rules),
        definitions=changes(before.definitions, now.definitions),
        replaced=changes(before.replaced, now.replaced),
        rules=rules,
        missing=now.missing,
    )

"""The manifest: what closure.toml says, and the stubs and the driver beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, read_toml
from skdiff.base.paths import CSRC
from skdiff.kernel.index import declared

STAND_IN_PREFIX = "csrc/"


@dataclass(frozen=True)
class Pattern:
    """Names that each get a stub when they are used: `names` is a regular expression for the whole name, `stub` C in
    which NAME stands for it, `reason` what the kernel does and what it does here.
    """

    names: str
    stub: str
    reason: str


class _Lookup(msgspec.Struct, forbid_unknown_fields=True):
    """A lookup of closure.toml, which says itself what each key is."""

    roots: tuple[str, ...]
    files: tuple[str, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """What closure.toml has; it says itself what each key is."""

    lookups: dict[str, _Lookup]
    files: tuple[str, ...]
    whole: frozenset[str]
    given: frozenset[str]
    driver: tuple[str, ...]
    optional: tuple[str, ...] = ()
    built_with: dict[str, str] = {}
    inputs: dict[str, str] = {}
    assumed: dict[str, frozenset[str]] = {}
    words: dict[str, dict[str, str | int]] = {}  # see kernel_words.py
    pattern: tuple[Pattern, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """`csrc/closure.toml`: where each lookup starts, which kernel files to search, which structs stay whole; `inputs`
    are fields and objects that are set though the driver does not name them; `assumed` are functions of files whose
    work the driver does itself, and `unsearched` those files that are there for nothing else; `built_with` are files
    that the kernel builds with an option only; `outside` are the user's own stubs, which win.
    """

    roots: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]
    optional: tuple[str, ...]
    whole: frozenset[str]
    given: frozenset[str]
    stand_ins: tuple[Path, ...]
    driver: tuple[Path, ...]
    csrc: Path
    inputs: frozenset[str] = frozenset()
    assumed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unsearched: frozenset[str] = frozenset()
    patterns: tuple[Pattern, ...] = ()
    outside: tuple[Path, ...] = ()
    built_with: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def load(stubs: tuple[Path, ...] = (), csrc: Path = CSRC) -> "Manifest":
        """Read the manifest, and add a user's own stubs; raises CannotRun where it is missing or broken."""
        path = csrc / "closure.toml"
        data = read_toml(path, _File, "a closure manifest")
        if not data.lookups:
            raise BadFile(f"{path}: there is no lookup in [lookups]")
        own = [name for one in data.lookups.values() for name in one.files]
        optional = dict.fromkeys((*data.optional, *data.assumed, *own))
        try:
            return Manifest(
                roots={name: one.roots for name, one in data.lookups.items()},
                files=data.files,
                optional=tuple(name for name in optional if name not in data.files),
                whole=data.whole,
                given=data.given
                | declared((csrc / "record.h").read_bytes())
                | declared((csrc / "prelude.h").read_bytes()),
                stand_ins=tuple(sorted((csrc / "stubs").glob("*.h"))),
                driver=tuple(csrc / "driver" / name for name in data.driver),
                csrc=csrc,
                inputs=frozenset(data.inputs),
                assumed=data.assumed,
                unsearched=frozenset(data.assumed) - {*data.files, *data.optional, *own},
                patterns=data.pattern,
                outside=stubs,
                built_with=data.built_with,
            )
        except OSError as error:
            raise CannotRun(f"cannot read {error.filename}: {error.strerror}") from error

"""From a kernel tree to a loaded reference: extract, compile with gcc or clang, keep in the build folder.

A build is named by everything that went into it, so nothing is built twice and nothing stale is ever loaded.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from skdiff.base.build_folder import filled, is_whole
from skdiff.base.compiler import compiler, is_clang
from skdiff.base.errors import CannotRun
from skdiff.base.files import BadFile, read_json, write_json
from skdiff.base.paths import CSRC, builds
from skdiff.cases.steps import KINDS
from skdiff.kernel import own_stubs
from skdiff.kernel.call_graph import Callers, callers
from skdiff.kernel.closure import Closure, extract
from skdiff.kernel.compilation import (
    GUIDED_FLAGS,
    KERNEL_FLAGS,
    VARIANTS,
    DoesNotCompile,
    check_preloaded,
    compile_unit,
    digest_of_build,
    load,
)
from skdiff.kernel.emit import kernel_objects, member_names
from skdiff.kernel.file_scope import place_of
from skdiff.kernel.following import digest
from skdiff.kernel.index import Definition
from skdiff.kernel.lookup_inputs import Unset
from skdiff.kernel.manifest import STAND_IN_PREFIX, Manifest
from skdiff.kernel.root_call import ROOTS, calls, has_lookup, root_call
from skdiff.kernel.source import Tree
from skdiff.kernel.summary import Kernel
from skdiff.variants import version_rules
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

_REPORT = "closure.json"

# The driver must not guide: it takes other paths for each record, and none of them is the kernel's.
_UNGUIDED = '#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)'


class Line(msgspec.Struct, frozen=True):
    """One definition in the report of a closure: where it stands, the SHA-256 (hex) of its text, whether a lookup
    reaches it (the rest serves the driver), and which ones do; a stub has its reason. `named` is its name in the
    generated C if that is another one, as two files have one of its name.
    """

    name: str
    kind: str
    file: str
    line: int
    end_line: int
    sha256: str
    reason: str
    lookup: bool
    lookups: tuple[str, ...] = ()
    named: str = ""

    @property
    def function(self) -> str:
        """What it is called in lists that go by names."""
        return self.named or self.name


class _Followed(msgspec.Struct, frozen=True):
    """Files that names were taken from, besides those that the manifest lists, and the SHA-256 (hex) of all."""

    files: tuple[str, ...]
    sha256: str


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a build's folder says of it; see Build."""

    closure: str
    compiler: str
    variant: str
    rules: Rules
    unknown_rules: tuple[str, ...]
    options: tuple[str, ...]
    unset: tuple[Unset, ...]
    wanted: tuple[str, ...]
    replaced: tuple[Line, ...]
    callers: dict[str, tuple[str, ...]]
    followed: _Followed
    kernel: tuple[Line, ...]
    stand_ins: tuple[Line, ...]


@dataclass(frozen=True)
class Build:
    """A compiled reference: `folder` has the generated C and the module; `closure` (hex) names the extracted text;
    `rules` are those that it is held to, `text_rules` those that its text has, which does not tell of
    `unknown_rules`; `config` is what it was built with,
    `running` is the kernel that is asked in the place of its text, "" for none;
    `options` are those that the text asks for (names in the kernel), `unset` is what it reads and nothing sets,
    `wanted` are names for which `extract` had to look further, `replaced` the kernel's definitions that stubs take
    the place of; `callers` are the functions that each step's function returns to.
    """

    folder: Path
    tree: Tree
    closure: str
    compiler: str
    variant: str
    kernel: tuple[Line, ...]
    stand_ins: tuple[Line, ...]
    rules: Rules
    config: Config
    text_rules: Rules
    unknown_rules: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    unset: tuple[Unset, ...] = ()
    wanted: tuple[str, ...] = ()
    replaced: tuple[Line, ...] = ()
    stubs: tuple[Path, ...] = ()
    callers: Callers = field(default_factory=dict)
    running: str = ""

    @property
    def lookups(self) -> tuple[str, ...]:
        """The lookups that it can be asked for: those whose root the tree has, in this configuration."""
        names = {line.name for line in self.kernel} if self.has_text else {*ROOTS.values()}
        return tuple(name for name, root in ROOTS.items() if root in names and has_lookup(name, self.config))

    @property
    def has_text(self) -> bool:
        """Whether there is a kernel's text in it (see textless.py)."""
        return bool(self.kernel)

    @property
    def options_off(self) -> tuple[str, ...]:
        """Options that the text asks for and that are unknown here: they were taken as off."""
        return self.config.taken_as_off(self.options)

    @property
    def stubbed(self) -> list[str]:
        """What a user's own stubs (--stub) take the place of, a line each: it is not looked at."""
        outside = f"{STAND_IN_PREFIX}outside/"
        files = {line.name: line.file.removeprefix(outside) for line in self.stand_ins if line.file.startswith(outside)}
        return [
            f"{files[line.name]} takes the place of {line.name}, {line.file}:{line.line}, which is not looked at"
            for line in self.replaced
            if line.name in files
        ]

    @property
    def unused_stubs(self) -> list[str]:
        """The user's own stubs that nothing uses, a line for each file."""
        outside = f"{STAND_IN_PREFIX}outside/"
        return own_stubs.unused(self.stubs, [line.name for line in self.stand_ins if line.file.startswith(outside)])

    @property
    def missing_rules(self) -> tuple[str, ...]:
        """The rules that a kernel of its version should have and that its text has not."""
        return version_rules.missing(self.text_rules, self.unknown_rules, self.tree.version)

    def with_rules(self, words: str = "") -> "Build":
        """The same build, held to the rules of its version and its text, or to `words` (see `rules_to_follow`)."""
        return replace(
            self, rules=version_rules.rules_to_follow(self.text_rules, self.unknown_rules, self.tree.version, words)
        )

    @property
    def label(self) -> str:
        """The kernel's version, and what is special about its configuration: "6.12.117", "6.12.117 (IPV6=n)". Or, of
        one that is asked in the place of its text, "6.18.44 (running)".
        """
        return self.running or self.tree.version + (f" ({self.config})" if str(self.config) else "")

    @property
    def title(self) -> str:
        """The kernel, where it is from, and its rules, for people."""
        told = f"({self.tree.origin}), {version_rules.describe(self.rules)}"
        beside = f", held to the rules of Linux {self.tree.version}" if self.running else ""
        return f"Linux {self.label}{beside} {told}"

    @property
    def notes(self) -> list[str]:
        """What is odd about it, a line each: a user's own stubs, and where its text and its version disagree."""
        doubts = version_rules.describe_doubts(self.text_rules, self.unknown_rules, self.tree.version)
        return [*self.stubbed, *self.unused_stubs, *doubts]

    def told(self) -> Kernel:
        """What a summary says of it."""
        return Kernel(
            version=self.tree.version,
            origin=self.tree.origin,
            closure=self.closure,
            config=str(self.config),
            rules=version_rules.told(self.rules),
            compiler=self.compiler,
            variant=self.variant,
            notes=self.notes,
        )

    def load(self) -> Any:
        """Import the module; returns cffi's (ffi, lib) pair as attributes of it. Raises CannotRun if it cannot load."""
        check_preloaded(self.variant)
        return load(self.folder)


def build(
    tree: Tree,
    variant: str = "plain",
    say: Callable[[str], None] | None = None,
    guided: bool = False,
    config: Config = Config(),  # noqa: B008  # it is frozen
    stubs: tuple[Path, ...] = (),
) -> Build:
    """Build the reference of `tree` in a configuration, or find the build that is there already. A `guided` build has
    coverage that only a process with libFuzzer in it can load; it is made by clang where clang is installed. `stubs`
    are files of a user's own.

    Raises CannotRun: no compiler, no Python headers, an unknown variant, text that cannot be extracted or compiled.
    """
    if variant not in VARIANTS:
        raise CannotRun(f"no build variant {variant!r}: one of {', '.join(VARIANTS)}")
    cc = "clang" if guided and not os.environ.get("CC") and shutil.which("clang") else compiler()
    extra, link = VARIANTS[variant]
    if guided:
        extra = (*extra, *GUIDED_FLAGS["clang" if is_clang(cc) else "gcc"])
    manifest = Manifest.load(stubs)
    key = key_of(tree, manifest, cc, extra, config)
    options = "".join(f"-{word.lower()}" for word in str(config).split())
    folder = builds() / f"{tree.version}-{variant}{'-guided' if guided else ''}{options}-{key[:16]}"
    for made in (folder, *sorted(folder.parent.glob(f"{folder.name}-*"))):
        if is_whole(made) and _reads_the_same(made, tree):
            return _read(made, tree, config, stubs)
    if say is not None:
        how = ", ".join(word for word in (variant, str(config), cc) if word)
        say(f"extracting and building the lookup of Linux {tree.version} ({how})")
    wanted: frozenset[str] = frozenset()
    closure = extract(tree.path, manifest, traced=variant == "traced")
    while True:
        followed = digest(tree.path, closure.followed)
        # The key knows the listed files only.
        target = folder.with_name(f"{folder.name}-{followed[:8]}") if followed else folder
        try:
            with filled(target) as work:
                (work / "closure.c").write_text(unit(closure, config, extra=extra))
                compile_unit(work, cc, extra, link, declared=True)
                report = _Report(
                    closure=closure.sha256,
                    compiler=cc,
                    variant=variant,
                    rules=closure.rules,
                    unknown_rules=closure.unknown_rules,
                    options=closure.options,
                    unset=closure.unset,
                    wanted=tuple(sorted(wanted)),
                    replaced=lines_of((d, True) for d in closure.replaced),
                    callers=dict(callers(closure.order[: closure.lookup], KINDS, closure.roles)),
                    followed=_Followed(tuple(closure.followed), followed),
                    kernel=lines_of(closure.definitions(stand_ins=False), closure),
                    stand_ins=lines_of(closure.definitions(stand_ins=True), closure),
                )
                write_json(work / _REPORT, report)
            return _read(target, tree, config, stubs)
        except DoesNotCompile as error:
            missed = error.missed(tree.path) - wanted
            if not missed:
                raise
            before, wanted = closure.text, wanted | missed
            closure = extract(tree.path, manifest, traced=variant == "traced", wanted=wanted)
            if closure.text == before:
                raise


def _reads_the_same(folder: Path, tree: Tree) -> bool:
    """Whether the files that a build took names from, besides the listed ones, are the same in a tree."""
    try:
        followed = read_json(folder / _REPORT, _Report, "a report of a build").followed
        return not followed.files or digest(tree.path, followed.files) == followed.sha256
    except (BadFile, OSError):
        return True  # broken: who reads it says so


def _read(folder: Path, tree: Tree, config: Config, stubs: tuple[Path, ...]) -> Build:
    try:
        found = read_json(folder / _REPORT, _Report, "a report of a build")
    except BadFile as error:
        raise CannotRun(f"{error}: remove {folder} and try again") from error
    return Build(
        folder=folder,
        tree=tree,
        closure=found.closure,
        compiler=found.compiler,
        variant=found.variant,
        kernel=found.kernel,
        stand_ins=found.stand_ins,
        rules=found.rules,
        config=config,
        text_rules=found.rules,
        unknown_rules=found.unknown_rules,
        options=found.options,
        unset=found.unset,
        wanted=found.wanted,
        replaced=found.replaced,
        stubs=stubs,
        callers=found.callers,
    )


def key_of(tree: Tree, manifest: Manifest, cc: str, extra: tuple[str, ...], config: Config) -> str:
    """The SHA-256 of all that goes into a build."""
    lists = (CSRC / "closure.toml", CSRC / "steps.toml")
    own = (*lists, *sorted(Path(__file__).parent.glob("*.py")), Path(version_rules.__file__))
    of_tree = (tree.path / name for name in (*manifest.files, *manifest.optional))
    return digest_of_build((*own, *manifest.outside, *of_tree), cc, config.defines(), extra, KERNEL_FLAGS)


def lines_of(definitions: Iterable[tuple[Definition, bool]], closure: Closure | None = None) -> tuple[Line, ...]:
    """The report's lines of definitions, each with whether a lookup reaches it; those of a closure say which ones."""
    return tuple(
        Line(
            *(d.name, d.kind, d.file, d.line, d.end_line, hashlib.sha256(d.text).hexdigest()),
            d.comment if d.file.startswith(STAND_IN_PREFIX) else "",
            lookup,
            *((tuple(sorted(closure.lookups.get(place_of(d), ()))), closure.renamed(d)) if closure else ()),
        )
        for d, lookup in definitions
    )


_SECRETS = (
    *("inet_ehash_secret", "inet6_ehash_secret", "tcp_ipv6_hash_secret"),
    *("udp_ehash_secret", "udp6_ehash_secret", "udp_ipv6_hash_secret"),
)


def _what_it_has(order: Sequence[Definition], config: Config, roles: Mapping[str, str]) -> Iterator[str]:
    """The calls of the lookups that a closure has, which secrets the driver sets, and what UDP's tables are like."""
    for lookup in ROOTS:
        call = root_call(order, lookup)
        if call and has_lookup(lookup, config):
            yield f"#define HAVE_{lookup.upper()} 1\n#define ROOT_CALL_{lookup.upper()} {call}"
            yield from (f"#define {macro} {call}" for macro, call in calls(order, lookup, roles).items())
    names = {name for d in order for name in d.names}
    if "udp4_hash4" in names:  # connect() sets the peer first since then
        yield "#define HAVE_PEER_FIRST 1" + ("" if config.base_small else "\n#define HAVE_HASH4 1")
    if "inet_twsk_hashdance_schedule" in names:
        yield "#define HAVE_TWSK_SCHEDULE 1"
    if any("udp_table" in member.names for d in order if d.name == "netns_ipv4" for member in d.members or ()):
        yield "#define HAVE_NET_UDP_TABLE 1"
    secrets = (name for name in _SECRETS if name in names and (config.ipv6 or "6" not in name))
    yield from (f"#define HAVE_{name.upper()} 1" for name in secrets)


def unit(
    closure: Closure,
    config: Config,
    text: str = "",
    extra: tuple[str, ...] = (),
    driver: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The C of one reference: what it starts with, the closure's text, or another in its place, and the driver, or
    other texts of its files, by name. Raises CannotRun for a root with an argument that nobody here knows.
    """
    inline = any("inline-8bit" in flag for flag in extra)
    known_as = {
        name: role for role, name in sorted(closure.roles.items()) if role != name
    } | closure.walk.twins.renamed()
    renamed = "".join(f'{{ "{name}", "{role}" }}, ' for name, role in known_as.items())
    return "\n".join(
        [
            config.defines(),
            *_what_it_has(closure.order, config, closure.roles),
            f"#define RENAMED {renamed}",
            # What is read and set by nobody is told; until somebody sets it, it is what it is after the boot.
            f"#define UNSET_BYTE {'0' if any(one.kind == 'field' for one in closure.unset) else 'POISON'}",
            (CSRC / "prelude.h").read_text(),
            '#line 1 "csrc/stubs/config.h"',
            (CSRC / "stubs" / "config.h").read_text(),
            text or closure.text,
            member_names(closure.walk),
            kernel_objects(closure.walk),
            *(f"#define {role} {name}" for role, name in closure.roles.items() if role != name),
            _UNGUIDED if inline else "",
            *(
                driver.get(path.name) or f'#line 1 "csrc/driver/{path.name}"\n{path.read_text()}'
                for path in Manifest.load().driver
            ),
            "#pragma clang attribute pop" if inline else "",
        ]
    )

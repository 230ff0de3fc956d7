"""What a user says of a build beside the kernel (rules by hand, configuration, sanitizer, stubs), read once."""

import functools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.kernel.build import Build, build
from skdiff.kernel.closure import extract
from skdiff.kernel.compilation import SANITIZERS
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Tree, find
from skdiff.variants import config, version_rules
from skdiff.variants.config import Config

STUBS = "SKDIFF_STUBS"  # environment: files, apart by os.pathsep
Say = Callable[[str], None]


@dataclass(frozen=True)
class BuildOptions:
    """How kernels are built, and which rules they are held to, whatever the kernel is.

    `epoch` are rules by hand ("" for those of the version and the text), `config` is the configuration in words or the
    path of a .config file, `sanitizer` is "", "asan" or "ubsan", `stubs` are files of stubs of the user's own.
    """

    epoch: str = ""
    config: str = ""
    sanitizer: str = ""
    stubs: tuple[Path, ...] = ()

    @staticmethod
    def read(
        environment: Mapping[str, str] = os.environ,
        epoch: str | None = None,
        config: str | None = None,
        stubs: Iterable[str] = (),
    ) -> "BuildOptions":
        """What the environment says (EPOCH, CONFIG, SAN, SKDIFF_STUBS), or in its place what options of the command
        line do. Raises CannotRun for what cannot be read.
        """
        sanitizer = environment.get("SAN", "")
        if sanitizer and sanitizer not in SANITIZERS:
            raise CannotRun(f"SAN={sanitizer}: {' or '.join(SANITIZERS)}, or nothing")
        files = [*stubs] or [name for name in environment.get(STUBS, "").split(os.pathsep) if name]
        paths = tuple(Path(name).expanduser().absolute() for name in files)
        for path in paths:
            if not path.is_file():
                raise CannotRun(f"{path}: no such file of stubs (--stub, environment {STUBS})")
        read = BuildOptions(
            environment.get("EPOCH", "") if epoch is None else epoch,
            environment.get("CONFIG", "") if config is None else config,
            sanitizer,
            paths,
        )
        version_rules.rules_to_follow(version_rules.Rules(), words=read.epoch)
        return read

    def words(self) -> list[str]:
        """The options that give another command the same, each quoted for a shell."""
        words = [f"--epoch {shlex.quote(self.epoch)}"] if self.epoch else []
        words += [f"--config {shlex.quote(self.config)}"] if self.config else []
        return [*words, *(f"--stub {shlex.quote(str(stub))}" for stub in self.stubs)]

    def environment(self) -> dict[str, str]:
        """The environment that gives another process of skdiff the same."""
        stubs = os.pathsep.join(map(str, self.stubs))
        return {"EPOCH": self.epoch, "CONFIG": self.config, "SAN": self.sanitizer, STUBS: stubs}

    def kernel_words(self, kernel: str) -> str:
        """What stands behind --kernel in a command that repeats this one."""
        return " ".join([shlex.quote(kernel), *self.words()])

    def build(self, kernel: str, variant: str = "", guided: bool = False, say: Say | None = None) -> Build:
        """The reference of a kernel (a version or a path), fetched and built if it is not there yet, and held to the
        rules of its version and its text, or to those by hand. Raises CannotRun.
        """
        tree = self.tree(kernel, say)
        variant = variant or self.sanitizer or "plain"
        reference = build(tree, variant, say, guided, self.configuration(tree), stubs=self.stubs)
        return reference.with_rules(self.epoch)

    def build_side(
        self, words: str, variant: str = "", patch: Callable[[Tree], Tree] | None = None, say: Say | None = None
    ) -> Build:
        """A side of `diff`: a kernel, and behind it options, which then stand in the place of `config` ("6.12 IPV6=n");
        held to the rules that its text has. `patch` makes another tree of it. Raises CannotRun.
        """
        match = re.fullmatch(r"(?P<kernel>.*?)(?P<options>(?:\s+\w+=\w*)*)\s*", words, re.DOTALL)
        assert match is not None  # anything is a kernel
        tree = self.tree(match["kernel"], say)
        tree = patch(tree) if patch is not None else tree
        options = self.configuration(tree, match["options"])
        return build(tree, variant or self.sanitizer or "plain", say, config=options, stubs=self.stubs)

    def configuration(self, tree: Tree, words: str = "") -> Config:
        """The configuration of a tree that `words`, or else `config`, ask for; both may name options that only this
        tree's text knows. Raises CannotRun.
        """

        @functools.cache
        def options_of_text() -> frozenset[str]:
            return frozenset(extract(tree.path, Manifest.load(self.stubs), lenient=True).options)

        return config.parse(words or self.config, lambda name: name in options_of_text())

    def tree(self, kernel: str, say: Say | None = None) -> Tree:
        """The tree of a kernel (a version or a path), fetched if it is not there yet. Raises CannotRun."""
        manifest = Manifest.load()
        tree = find(kernel, manifest.files, optional=manifest.optional, say=say)
        version_rules.check_supported(tree.version)
        return tree

"""What the commands share: where they print, which kernel is meant, and files that they write."""

import argparse
import contextlib
import functools
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.kernel.build import Build, build
from skdiff.kernel.closure import STUBS, Manifest, extract
from skdiff.kernel.source import Tree, find
from skdiff.oracles.model import Model
from skdiff.variants import config, version_rules

AGREED, MISMATCH, COULD_NOT_RUN = 0, 1, 2
ours: dict[str, str] = {}  # what each summary says of the command that writes it
CHOICES = ("EPOCH", "CONFIG")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more: the command does its work all the same, and its exit code says how that went."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


console = _Console(highlight=False)
errors = _Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line of progress, on stderr."""
    errors.print(text, markup=False, soft_wrap=True)


def made(kernel: str, variant: str | None = None, guided: bool = False) -> Build:
    """The reference of a kernel (a version or a path), fetched and built if it is not there yet, in the configuration
    that CONFIG asks for, with the rules that it is held to: its epoch's, or those that EPOCH sets by hand.
    """
    manifest = Manifest.load()
    by_hand = os.environ.get("EPOCH", "")
    version_rules.held(version_rules.Rules(), words=by_hand)  # what it cannot read is said before a long build
    tree = find(kernel, manifest.files, optional=manifest.optional, say=say)
    version_rules.supported(tree.version)
    options = configuration(os.environ.get("CONFIG", ""), tree)
    found = build(tree, variant or os.environ.get("SAN") or "plain", say, guided, options)
    return found.held(by_hand)


def configuration(words: str, tree: Tree) -> config.Config:
    """The configuration that `words` ask for, which may name options that only this tree's text knows. Raises
    CannotRun.
    """

    @functools.cache
    def asked_for() -> frozenset[str]:
        return frozenset(extract(tree.path, Manifest.load(), lenient=True).options)

    return config.parse(words, lambda name: name in asked_for())


def asked(kernel: str) -> str:
    """What stands behind --kernel in a command that repeats this one."""
    words = [shlex.quote(kernel)]
    words += [f"--{key.lower()} {shlex.quote(os.environ[key])}" for key in CHOICES if os.environ.get(key)]
    return " ".join([*words, *stubs_asked()])


def stubs_asked() -> list[str]:
    """The options that give a command the stubs from outside that this one has."""
    return [f"--stub {shlex.quote(stub)}" for stub in os.environ.get(STUBS, "").split(os.pathsep) if stub]


@contextlib.contextmanager
def chosen(arguments: argparse.Namespace) -> Iterator[None]:
    """--epoch, --config and --stub stand in the environment while a command runs, for all that it starts."""
    before = {key: os.environ.get(key) for key in (*CHOICES, STUBS)}
    if stubs := getattr(arguments, "stub", None):
        os.environ[STUBS] = os.pathsep.join(str(Path(stub).expanduser().absolute()) for stub in stubs)
    os.environ.update({key: value for key in CHOICES if (value := getattr(arguments, key.lower())) is not None})
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def model_of(build: Build) -> Model:
    """The model with a build's rules, in its configuration."""
    return Model(build.rules, build.config)


def told(build: Build) -> list[str]:
    """What a build is, for people: the first line names it and its rules, the others say what is odd about these."""
    tree, rules = build.tree, build.rules
    told = f"{version_rules.told(rules)}, against the model, closure {build.closure[:16]}"
    line = f"Linux {build.label} ({tree.origin}), {told}"
    by_hand = os.environ.get("EPOCH")
    doubts = version_rules.doubts(build.text_rules, build.unknown_rules, tree.version)
    return [line, *build.stubbed, *([f"rules by hand: {by_hand}"] if by_hand else doubts)]


def side(words: str, variant: str | None = None, patch: Callable[[Tree], Tree] | None = None) -> Build:
    """A side of `diff`: a kernel, and behind it options, which then stand in the place of CONFIG ("6.12 IPV6=n"); with
    the rules that its text has. `patch` makes another tree of it.
    """
    kernel, options = re.fullmatch(r"(.*?)((?:\s+\w+=\w*)*)\s*", words, re.DOTALL).groups()  # type: ignore[union-attr]
    manifest = Manifest.load()
    tree = find(kernel, manifest.files, optional=manifest.optional, say=say)
    version_rules.supported(tree.version)
    tree = patch(tree) if patch is not None else tree
    chosen_options = configuration(options or os.environ.get("CONFIG", ""), tree)
    return build(tree, variant or os.environ.get("SAN") or "plain", say, config=chosen_options)


def write_json(path: Path | None, value: dict[str, Any]) -> None:
    """Write a summary where the user wants one; it starts with the command and the time of its start (UTC)."""
    if path is not None:
        write(path, json.dumps({**ours, **value}, indent=1) + "\n")


def write(path: Path, text: str, folder: bool = False) -> None:
    """Write a file, and make the `folder` that it is in. Raises CannotRun."""
    try:
        if folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a terminal, a pipe: nothing to put another file in the place of
            path.write_text(text)
        else:
            write_whole(path, text)
    except OSError as error:
        raise CannotRun(f"cannot write {path}: {error.strerror}") from error


def can_be_written(path: Path) -> None:
    """Raises CannotRun if a file could not be written, before there is anything to write."""
    if path.is_dir():
        raise CannotRun(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise CannotRun(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() and not path.is_file() else path.parent, os.W_OK):
        raise CannotRun(f"cannot write {path}: no permission")


def writable(folder: Path) -> None:
    """Raises CannotRun if findings could not be written there, before there are any."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise CannotRun(f"{folder}: findings cannot be written there, choose another --findings")

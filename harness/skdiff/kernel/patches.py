"""A patch series applied to a kernel tree: read from patches, folders or a mailbox, and applied to a copy.

The copy is made of links to the tree, but for the folders and files that a patch touches, so that it costs little and
the tree itself is never written to.
"""

import email
import email.policy
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.kernel.source import Tree

_MAIL = re.compile(rb"^From [^\n]*\n(?=[A-Za-z-]+: )", re.MULTILINE)
_HEADERS = re.compile(rb"\A(?:[A-Za-z-]+: [^\n]*\n(?:[ \t][^\n]*\n)*)+\n")
_HUNK = re.compile(rb"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@", re.MULTILINE)
_PAIR = re.compile(rb"^--- (\S+)[^\n]*\n\+\+\+ (\S+)", re.MULTILINE)
_NEW = re.compile(rb"^--- [^\n]*\n\+\+\+ (\S+)[^\n]*\n@@ -0,0 ", re.MULTILINE)
_GIT = re.compile(rb"^diff --git a/(\S+) b/(\S+)$", re.MULTILINE)
_BINARY = re.compile(rb"^(?:GIT binary patch|Binary files )", re.MULTILINE)
_NUMBER = re.compile(r"\[[^\]]*\b(\d+)/\d+\]")
_NOWHERE = b"/dev/null"
_SUFFIXES = (".patch", ".diff", ".mbox", ".mbx", ".eml")


@dataclass(frozen=True)
class Patch:
    """One patch: its subject or its file's name, its text, the files that it touches, and which of them are new."""

    subject: str
    text: bytes
    files: tuple[str, ...]
    new: frozenset[str]


@dataclass(frozen=True)
class Patched:
    """A patched tree; `left_out` are files of the series that the tree at hand does not have, `files` the others."""

    tree: Tree
    files: tuple[str, ...]
    left_out: tuple[str, ...]


def series(paths: Sequence[Path]) -> list[Patch]:
    """The patches in files (unified diffs, mails, mailboxes as `b4 am` writes them) and in folders of such files, in
    their order: that of the names in a folder, that of [PATCH 2/5] in a mailbox. Raises CannotRun.
    """
    found: list[Patch] = []
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
            if not files:
                raise CannotRun(f"{path}: no patch in that folder ({', '.join(_SUFFIXES)})")
            found += [patch for file in files for patch in _of_file(file)]
        else:
            found += _of_file(path)
    return found


def _of_file(path: Path) -> list[Patch]:
    try:
        text = path.read_bytes().replace(b"\r\n", b"\n")
    except OSError as error:
        raise CannotRun(f"cannot read the patch {path}: {error.strerror}") from error
    starts = [match.start() for match in _MAIL.finditer(text)]
    if starts and not text[: starts[0]].strip():
        mails = [text[start:end].partition(b"\n")[2] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    else:
        mails = [text] if _HEADERS.match(text) else []
    patches = [patch for mail in mails if (patch := _of_mail(mail)) is not None] if mails else [_patch(path.name, text)]
    patches = [patch for patch in patches if patch.files]
    if not patches:
        raise CannotRun(f"{path}: no patch in it: a unified diff, a mail or a mailbox with patches is wanted")
    numbered = [_NUMBER.search(patch.subject) for patch in patches]
    if all(numbered):
        patches.sort(key=lambda patch: int(_NUMBER.search(patch.subject)[1]))  # type: ignore[index]
    return patches


def _of_mail(mail: bytes) -> Patch | None:
    """The patch in a mail; None for one without, such as a cover letter or an answer."""
    message = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    bodies = [part.get_payload(decode=True) for part in parts]
    text = b"\n".join(body for body in bodies if isinstance(body, bytes)).replace(b"\r\n", b"\n")
    subject = " ".join(str(message["Subject"] or "").split())
    return _patch(subject, text) if _GIT.search(text) or _HUNK.search(text) else None


def _patch(subject: str, text: bytes) -> Patch:
    if _BINARY.search(text):
        raise CannotRun(f"{subject}: a binary patch, which cannot be applied here: leave that part out")
    names: dict[str, None] = {}
    for match in _GIT.finditer(text):
        names |= dict.fromkeys(name.decode("utf-8", "replace") for name in match.groups())
    for match in _PAIR.finditer(text):
        stripped = [re.sub(rb"^[^/]+/", b"", name) for name in match.groups() if name != _NOWHERE]
        names |= dict.fromkeys(name.decode("utf-8", "replace") for name in stripped)
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            raise CannotRun(f"{subject}: it touches {name}, which is not inside a kernel tree")
    new = frozenset(re.sub(r"^[^/]+/", "", name.decode("utf-8", "replace")) for name in _NEW.findall(text))
    return Patch(subject, text if text.endswith(b"\n") else text + b"\n", tuple(names), new)


def label(patches: Sequence[Patch]) -> str:
    """A series in a few words: the first subject without its tag, and how many patches there are."""
    first = re.sub(r"^(?:\[[^\]]*\]\s*)+", "", patches[0].subject)
    return f"{first} ({len(patches)} patches)" if len(patches) > 1 else first


def patched(tree: Tree, patches: Sequence[Patch], folder: Path) -> Patched:
    """A copy of a tree in an empty folder, with a series applied. The files of folders that the tree at hand does not
    have, as a fetched one has only what a lookup may read, are left out, but for new headers. Raises
    CannotRun for a patch that does not apply, without git and patch(1), and where nothing of the series would be left.
    """
    tool = next((name for name in ("git", "patch") if shutil.which(name)), None)
    if tool is None:
        raise CannotRun("neither git nor patch is here to apply a patch: install one of them")
    for entry in tree.path.iterdir():
        (folder / entry.name).symlink_to(entry)
    everything = dict.fromkeys(file for patch in patches for file in patch.files)
    # A new header is needed wherever it comes to: what the series changes may include it.
    new = {file for patch in patches for file in patch.new if file.endswith(".h")}
    present = tuple(file for file in everything if file in new or _is_here(tree.path, file))
    if not present:
        raise CannotRun(f"the tree has none of the files of the patch ({', '.join(list(everything)[:3])}, ...)")
    for file in present:
        _make_own(tree.path, folder, Path(file))
    for patch in patches:
        files = [file for file in patch.files if file in present]
        if files:
            _apply(tool, folder, patch, files)
    left_out = tuple(file for file in everything if file not in present)
    return Patched(replace(tree, path=folder, origin=f"{tree.origin} + {label(patches)}"), present, left_out)


def _is_here(tree: Path, file: str) -> bool:
    """Whether a tree has a file, or the folder that a new one comes to: a fetched tree has not all of them."""
    return (tree / file).is_file() or (tree / file).parent.is_dir()


def _make_own(tree: Path, folder: Path, file: Path) -> None:
    """Turn links on the way to a file into folders of links, and its own link into a copy."""
    for parent in reversed([parent for parent in file.parents if parent != Path()]):
        here = folder / parent
        if here.is_symlink():
            here.unlink()
            here.mkdir()
            for entry in (tree / parent).iterdir():
                (here / entry.name).symlink_to(entry)
    if (tree / file).is_file():
        (folder / file).unlink(missing_ok=True)
        shutil.copy(tree / file, folder / file)


def _apply(tool: str, folder: Path, patch: Patch, files: Sequence[str]) -> None:
    if tool == "git":
        only = [f"--include={file}" for file in files]
        command = ["git", "apply", "--whitespace=nowarn", *only, "-"]
    else:
        command = ["patch", "--strip=1", "--batch", "--forward", "--no-backup-if-mismatch", "--reject-file=-"]
    # Not as a part of the repository that the folder may lie in, whatever its settings say of patches.
    environment = {
        **os.environ,
        "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    done = subprocess.run(command, cwd=folder, env=environment, input=patch.text, capture_output=True, check=False)
    if done.returncode:
        output = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
        why = next(
            (line for line in output if re.search("error|FAILED|malformed|can't find", line)), "no reason was given"
        )
        raise CannotRun(f"{patch.subject}: does not apply: {why.removeprefix('error: ')}")

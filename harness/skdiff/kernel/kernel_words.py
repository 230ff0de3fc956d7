"""The kernel's words that are no C: annotations, and macros that make objects. `csrc/closure.toml` lists them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import read_toml
from skdiff.base.paths import CSRC

_ARGUMENTS = r"\((?:[^()]|\([^()]*\))*\)"


class _Words(msgspec.Struct, forbid_unknown_fields=True):
    """The tables `[words.…]`, by regular expressions for whole names; closure.toml says what each is."""

    annotations: dict[str, str]
    annotations_with_arguments: dict[str, str]
    statements: dict[str, str]
    struct_groups: dict[str, int]
    objects: dict[str, Literal["first", "last"]]
    locals: dict[str, str]


class _File(msgspec.Struct):
    words: _Words


@dataclass(frozen=True)
class KernelWords:
    """Patterns for what the C grammar does not know: `annotations` finds one with its arguments, `struct_groups` what
    stands before the members of such a group, `objects` what makes an object at file level (groups "macro" and
    "arguments"; the last argument is its name if the macro matches `named_last`, or else the first). `locals` is for
    the whole name of a macro that declares a local object, which its first argument names.
    """

    annotations: re.Pattern[bytes]
    struct_groups: re.Pattern[bytes]
    objects: re.Pattern[bytes]
    named_last: re.Pattern[str]
    locals: str


def load(path: Path) -> KernelWords:
    """The words of a closure.toml. Raises CannotRun."""
    words = read_toml(path, _File, "a closure manifest").words
    try:
        forms = (
            rf"\b(?:{_any(words.annotations)})\b",
            rf"\b(?:{_any(words.annotations_with_arguments)})\s*{_ARGUMENTS}",
            rf"\b(?:{_any(words.statements)})\s*{_ARGUMENTS}[^;\n]*;",
        )
        # The first argument has no parentheses: a comment may say "struct_group()" before the group.
        groups = (
            rf"(?<!#define )\b(?:{name})\([^,;()]*,(?:[^,;]*,){{{count - 1}}}"
            for name, count in words.struct_groups.items()
        )
        return KernelWords(
            annotations=re.compile(_any(rf"(?<!#define ){form}" for form in forms).encode()),
            struct_groups=re.compile(_any(groups).encode()),
            objects=re.compile(
                rf"^(?:static\s+)?(?P<macro>{_any(words.objects)})\s*(?P<arguments>{_ARGUMENTS})[^;\n]*;?".encode(),
                re.MULTILINE,
            ),
            named_last=re.compile(_any(name for name, place in words.objects.items() if place == "last")),
            locals=re.compile(_any(words.locals)).pattern,
        )
    except re.error as error:
        raise CannotRun(f"{path}: the kernel's words cannot be read: {error}") from error


def _any(patterns: Iterable[str]) -> str:
    return "|".join(patterns)


@cache
def kernel_words() -> KernelWords:
    """The words of csrc/closure.toml. Raises CannotRun."""
    return load(CSRC / "closure.toml")

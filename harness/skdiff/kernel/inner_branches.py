"""`#if` lines inside parentheses: in an expression, or among parameters. The grammar has them between statements alone,
and loses the function around them; so the copy that is parsed has one branch of each, and no `#` lines there.
"""

import re
from itertools import pairwise

_TOKEN = re.compile(
    rb'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|/\*.*?\*/|//[^\n]*'
    rb"|^[ \t]*\#[ \t]*(?P<directive>\w+)(?:\\\n|(?!/\*)[^\n]|/\*.*?\*/)*|[()]|^\}",
    re.MULTILINE | re.DOTALL,
)
# Where the `#` line of each branch of an `#if` begins and ends, and last that of the #endif.
Branches = list[tuple[int, int]]


def inside_parentheses(source: bytes) -> list[Branches]:
    """The `#if` lines that stand inside parentheses in a C text, in the order of their ends."""
    if b"#" not in source:
        return []
    depth = 0
    found: list[Branches] = []
    stack: list[tuple[int, Branches]] = []
    for match in _TOKEN.finditer(source):
        token, word = match.group(), match["directive"]
        if token == b"(":
            depth += 1
        elif token == b")":
            depth = max(0, depth - 1)
        elif token == b"}":  # the end of a function: what was not closed there was no parenthesis
            depth = 0
        elif word in (b"if", b"ifdef", b"ifndef"):
            stack.append((depth, [match.span()]))
        elif word in (b"elif", b"else", b"endif") and stack:
            depth, lines = stack[-1]
            lines.append(match.span())
            if word == b"endif":
                stack.pop()
                found += [lines] if depth else []
    return found


def with_one_branch(source: bytes, branch: int) -> bytes:
    """A text that has of each `#if` inside parentheses the branch of that number, from 0, or its last one; all else of
    it is blank, so that positions stay.
    """
    clean = bytearray(source)
    for lines in inside_parentheses(source):
        kept = min(branch, len(lines) - 2)
        for number, ((start, end), (following, _)) in enumerate(pairwise(lines)):
            _blank(clean, start, end if number == kept else following)
        _blank(clean, *lines[-1])
    return bytes(clean)


def _blank(text: bytearray, start: int, end: int) -> None:
    text[start:end] = re.sub(rb"[^\n]", b" ", text[start:end])

"""Where the tables and keys of a TOML text are: a parser tells what a file says, and not on which line."""

import re
from collections.abc import Iterator

MOST_PARTS = 32  # of a dotted key: tomllib takes quadratic time over them
_TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'|#[^\n]*|\n|[\[\]{}=,.]|[^\s\[\]{}=,."'#]+|["']''',
    re.DOTALL,
)


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """The tokens of a text, each with its line; a new line is one."""
    line, at = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        if not match[0].startswith("#"):
            yield line, match[0]
    yield line, "\n"


def _name(token: str) -> str:
    return token[1:-1] if token[0] in "\"'" and len(token) > 1 else token


class TomlLines:
    """The lines of a text's tables and keys.

    A place is the header of a table ("sock", "netns.progs", "" for the top), which one of that name (from 0), and a key
    of it, or "".
    """

    def __init__(self, text: str) -> None:
        self.headers: list[tuple[int, str, bool]] = []  # line, header, and whether it has two brackets
        self.too_long: int = 0  # the line of a key with too many parts, if there is one
        self.twice: list[tuple[int, str, int]] = []  # keys that a table has already: line, key, line of the first
        self._lines: dict[tuple[str, int, str], int] = {}
        self._count: dict[str, int] = {}
        self._read(text)

    def line(self, place: tuple[str, int, str]) -> int:
        """The line of a key, else that of its table, else 1."""
        header, number, key = place
        outer, _, last = header.rpartition(".")
        candidates = [
            (header, number, key),
            (header or key, number, ""),
            (header, 0, ""),
            (outer, 0, last),
            ("", 0, header),
        ]
        for candidate in [*candidates, ("", 0, header.partition(".")[0])]:
            if candidate in self._lines:
                return self._lines[candidate]
        return 1

    def order(self, header: str, number: int) -> tuple[int, int]:
        """What tables of several names are sorted by, to have them in the order of the text."""
        return self._lines.get((header, number, ""), self.line(("", 0, header))), number

    def _read(self, text: str) -> None:
        header, number, depth = "", 0, 0
        row: list[str] = []  # the tokens of a header, or of a key up to its =
        has_value, parts, first = False, 0, 0
        for line, word in _tokens(text):
            if word == "\n" and not depth:
                row, has_value, parts = [], False, 0
                continue
            if word == ".":
                parts += 1
            elif word in ("=", ",", "{", "\n"):
                parts = 0
            if parts > MOST_PARTS:
                self.too_long = self.too_long or line
            if has_value:
                depth += (word in ("[", "{")) - (depth > 0 and word in ("]", "}"))
                continue
            if not row:
                first = line
            if word == "=":
                has_value = True
                self._key(header, number, [_name(part) for part in row if part != "."], first)
            elif word == "]" and row and row[0] == "[" and row[-1] != "]":
                name = ".".join(_name(part) for part in row if part not in ("[", "."))
                header, number = self._opened(name, row[:2] == ["[", "["], first)
            row.append(word)

    def _opened(self, header: str, double: bool, line: int) -> tuple[str, int]:
        number = self._count.get(header, -1) + 1
        self._count[header] = number
        self.headers.append((line, header, double))
        self._lines.setdefault((header, number, ""), line)
        return header, number

    def _key(self, header: str, number: int, path: list[str], line: int) -> None:
        for i, key in enumerate(path[:MOST_PARTS]):
            place = (".".join([header, *path[:i]]).strip("."), number if not i else 0, key)
            if place in self._lines and i == len(path) - 1:
                self.twice.append((line, key, self._lines[place]))
            self._lines.setdefault(place, line)

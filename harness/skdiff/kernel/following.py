"""Names that no listed file defines, looked for in the files that a kernel tree's own #include lines lead to."""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from skdiff.kernel.file_scope import seen_from
from skdiff.kernel.index import Definition, definitions, place_of
from skdiff.kernel.source import fetch_missing

_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
# Where the kernel's build of x86 looks, in its order; of asm/ the generic one comes first, which is C on any machine.
_FOLDERS = ("arch/x86/include/", "include/", "arch/x86/include/uapi/", "include/uapi/")
_GENERIC = ("include/asm-generic/", "include/uapi/asm-generic/")
# What a file that defines a name has, so that others need not be parsed: #define, enumerators, text without indent.
_MAY_DEFINE = (
    rb"^[ \t]*#[ \t]*define[ \t]+NAME\b"
    rb"|^[ \t]+(?:\w+,[ \t]*)*NAME[ \t]*(?:[,=}/]|$)"
    rb"|^(?!extern\b)(?=[^\s#/*])[^\n]*\bNAME\b"
)
# Where a function may be that a header only declares.
_SOURCES = ("net/core", "net/ipv4", "net/ipv6", "lib")


class Following:
    """What the #include lines of a tree lead to. Files are read as they are needed; `read` has the SHA-256 (hex) of
    each one that was looked into, "" for one that is not there: with the same answers a search ends in the same way.
    """

    def __init__(self, tree: Path, listed: Sequence[str]) -> None:
        self.read: dict[str, str] = {}
        self.is_whole = not (tree / "skdiff-tree.json").exists()  # a fetched tree has only the listed files
        self._tree = tree
        self._listed = [name for name in listed if name.endswith(".c")]
        self._sources: dict[str, bytes | None] = {}

    def find(self, name: str, tag: bool, user: str) -> list[Definition]:
        """The definitions of a name (of a struct, union or enum: `tag`) in the first file that has one: the file that
        uses it, then what that includes, breadth first, then what the listed .c files include. Of what is only declared
        there the definition in a .c file of networking or lib/, if just one has it. Empty for a name that is nowhere.
        """
        declared = False
        may_define = re.compile(_MAY_DEFINE.replace(b"NAME", name.encode()), re.MULTILINE)
        for path in self._reach(user):
            source = self._source(path)
            if source is None or name.encode() not in source:
                continue
            parsed = definitions(source, path) if may_define.search(source) else []
            found = seen_from([d for d in parsed if _defines(d, name, tag)], user)
            if found:
                return found
            declared = declared or place_of(name, source)[1] == "declares"
        if tag or not declared:
            return []
        elsewhere = []
        for folder in _SOURCES:
            for file in sorted((self._tree / folder).glob("*.c")):
                path = f"{folder}/{file.name}"
                source = self._source(path)
                if source is not None and name.encode() in source and may_define.search(source):
                    here = [
                        d for d in definitions(source, path) if name in d.names and not d.text.startswith(b"static")
                    ]
                    elsewhere += [here] if here else []
        return elsewhere[0] if len(elsewhere) == 1 else []

    def place(self, name: str, listed: Iterable[str]) -> tuple[str, int, str]:
        """Where the tree seems to define, or else declare, a name: file, line, "defines" or "declares"; ("", 0, "")
        for nowhere. First come the listed files, then those that were read, then all headers and networking's .c files.
        """
        best = ("", 0, "")
        word = re.compile(rb"\b%s\b" % name.encode())
        for path in dict.fromkeys((*listed, *list(self.read), *self._all())):
            source = self._sources.get(path) or self._quietly(path)
            if source is None or name.encode() not in source or not word.search(source):
                continue
            line, what = place_of(name, source)
            if what == "defines":
                return path, line, what
            if what and not best[2]:
                best = (path, line, what)
        return best

    def _all(self) -> Iterator[str]:
        for folder, pattern in (("include", "**/*.h"), *((name, "*.[ch]") for name in _SOURCES)):
            for path in sorted((self._tree / folder).glob(pattern)):
                yield path.relative_to(self._tree).as_posix()

    def _quietly(self, path: str) -> bytes | None:
        try:
            return (self._tree / path).read_bytes()
        except OSError:
            return None

    def _source(self, path: str) -> bytes | None:
        if path not in self._sources:
            source = self._sources[path] = self._quietly(path)
            self.read[path] = "" if source is None else hashlib.sha256(source).hexdigest()
        return self._sources[path]

    def _reach(self, user: str) -> Iterator[str]:
        """The file itself, the files that it includes, breadth first, and then the same for the listed .c files."""
        seen: set[str] = set()
        for start in (user, *self._listed):
            waiting = [start]
            for path in waiting:
                if path in seen:
                    continue
                seen.add(path)
                yield path
                source = self._source(path)
                if source is not None:
                    waiting += self._included(path, source)

    def _fetch(self, path: str, source: bytes) -> None:
        """Let the cache check what a file includes, and of a tree from the git web fetch it, all at once. Most of it is
        in include/: only what is not there is looked for elsewhere.
        """
        names = {match[2].decode("utf-8", "replace") for match in _INCLUDE.finditer(source)}
        beside = posixpath.dirname(path)
        for folders in (("include/",), (f"{beside}/", *_FOLDERS), _GENERIC):
            places = {posixpath.normpath(folder + name.removeprefix("asm/" if folder in _GENERIC else "")): name
                      for name in names for folder in folders
                      if folder not in _GENERIC or name.startswith("asm/")}  # fmt: skip
            by_place = {place: name for place, name in places.items() if not place.startswith(("..", "/"))}
            names -= {by_place[place] for place in fetch_missing(self._tree, by_place)}

    def _included(self, path: str, source: bytes) -> Iterator[str]:
        self._fetch(path, source)
        for match in _INCLUDE.finditer(source):
            quoted, name = match[1] == b'"', match[2].decode("utf-8", "replace")
            places = [posixpath.normpath(posixpath.join(posixpath.dirname(path), name))] if quoted else []
            if name.startswith("asm/"):
                places += [folder + name.removeprefix("asm/") for folder in _GENERIC]
            places += [folder + name for folder in _FOLDERS]
            for place in places:
                if not place.startswith(("..", "/")) and self._source(place) is not None:
                    yield place
                    break


def _defines(definition: Definition, name: str, tag: bool) -> bool:
    if tag:
        return definition.kind in ("tag", "enum") and definition.name == name
    return name in definition.names


def digest(tree: Path, files: Iterable[str]) -> str:
    """The SHA-256 (hex) of files of a tree, by name, whether they are there or not; "" for no files."""
    total = hashlib.sha256()
    files = list(files)
    for name in files:
        try:
            total.update(f"{name}\0{hashlib.sha256((tree / name).read_bytes()).hexdigest()}\0".encode())
        except OSError:
            total.update(f"{name}\0\0".encode())
    return total.hexdigest() if files else ""

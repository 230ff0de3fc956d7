"""Which running kernels gave what a case says: a list in the corpus, and a page that shows it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from skdiff.base.errors import CannotRun
from skdiff.base.files import write_whole
from skdiff.base.paths import CORPUS, need_checkout

LIST = CORPUS / "confirmed.toml"
PAGE = CORPUS.parent / "docs" / "surprises.md"
FOLDERS = ("surprises", "reports")  # whose cases are listed
_HEAD = "# Which running kernels gave what a case says. `skdiff replay --oracle host --mark` writes it.\n"
_BEGIN, _END = "<!-- confirmed: written by skdiff replay --oracle host --mark -->\n", "<!-- confirmed: end -->\n"

Confirmed = dict[str, list[str]]


def listed() -> Confirmed:
    """The versions of the kernels by the names of cases (surprises/NAME). Raises CannotRun for another file."""
    path = LIST
    if not path.exists():
        return {}
    try:
        return msgspec.toml.decode(path.read_bytes(), type=dict[str, list[str]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CannotRun(f"{path}: {error}") from None


def name_of(path: Path) -> str:
    """What a case of the corpus is called in the list, "" for one that is not listed."""
    path = path.resolve()
    named = path.is_relative_to(CORPUS) and path.parent.name in FOLDERS and path.suffix == ".toml"
    return str(path.relative_to(CORPUS).with_suffix("")) if named else ""


def mark(paths: Iterable[Path], release: str) -> int:
    """Note that a running kernel of this release gave what these cases say, in the list and on the page. How many of
    them are listed. Raises CannotRun where there is no checkout.
    """
    need_checkout("corpus/confirmed.toml")
    version = re.search(r"\d+\.\d+(\.\d+)?", release)
    known, marked = listed(), 0
    for name in filter(None, map(name_of, paths)):
        versions = {*known.get(name, ()), version[0] if version else release}
        known[name] = sorted(versions, key=lambda text: [int(number) for number in re.findall(r"\d+", text)])
        marked += 1
    lines = [f'"{name}" = [{", ".join(f"{version!r}" for version in known[name])}]\n' for name in sorted(known)]
    write_whole(LIST, (_HEAD + "".join(lines)).replace("'", '"'))
    write_whole(PAGE, shown(PAGE.read_text(), known))
    return marked


def shown(page: str, confirmed: Mapping[str, list[str]]) -> str:
    """The page with what is confirmed, between its marks. Raises CannotRun if it has none."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise CannotRun(f"{PAGE} has no place for what is confirmed: {_BEGIN.strip()} and {_END.strip()}")
    by_versions: dict[str, list[str]] = {}
    for path in sorted(path for folder in FOLDERS for path in (CORPUS / folder).glob("*.toml")):
        versions = confirmed.get(name_of(path), [])
        words = f"Linux {', '.join(versions)}" if versions else "not yet"
        by_versions.setdefault(words, []).append(f"`{path.stem}`")
    text = "".join(f"- {words}: {', '.join(names)}.\n" for words, names in sorted(by_versions.items()))
    return before + begin + text + end + after

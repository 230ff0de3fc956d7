"""The files of cases that are meant by paths of files and folders, or by names of cases of the corpus."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CORPUS
from skdiff.cases.did_you_mean import LIKE

NEAR = 3  # names that are told for one that is not there
STDIN = Path("-")
NAMING = (
    "A case of the corpus can also be named as corpus/FOLDER/NAME.toml, or by NAME alone, from wherever you stand; -"
    " is standard input."
)


def files(paths: Sequence[Path]) -> list[Path]:
    """The case files that are meant by files, folders and names; the corpus if there are none. Raises CannotRun."""
    found: list[Path] = []
    for path in [_place(path) for path in paths] or [CORPUS]:
        if path == STDIN:
            found.append(path)
            continue
        cases = _cases_in(path) if path.is_dir() else [path]
        if not cases:
            raise CannotRun(f"{path}: no case (*.toml) in that folder")
        found += cases
    return found


def those_there(paths: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The case files that are meant, and those of the paths that mean none, each with why. Raises CannotRun if none of
    them means any.
    """
    found: list[Path] = []
    missing: list[tuple[Path, str]] = []
    for path in paths:
        try:
            found += files([path])
        except CannotRun as error:
            missing.append((path, str(error)))
    if missing and not found:
        raise CannotRun("\n".join(why for _, why in missing))
    return (found if paths else files([])), missing


def file(path: Path) -> Path:
    """The one case file that is meant by a file, the folder of a finding, or a name. Raises CannotRun."""
    place = _place(path)
    if not place.is_dir():
        return place
    if not (place / "case.toml").is_file():
        raise CannotRun(f"{path}: a folder without a case.toml: one case is needed")
    return place / "case.toml"


def _place(path: Path) -> Path:
    """Where a path is: where it says, or else in the corpus, which is installed with skdiff; - is standard input."""
    if path == STDIN or path.exists():
        return path
    if not path.is_absolute():
        inside = Path(*path.parts[1:]) if path.parts[0] == CORPUS.name else path
        if (CORPUS / inside).exists():
            return CORPUS / inside
        named = [case for case in _cases_in(CORPUS) if len(path.parts) == 1 and path.name in (case.stem, case.name)]
        if len(named) == 1:
            return named[0]
        if named:
            raise CannotRun(f"{path}: which one? {', '.join(map(_in_corpus, named))}")
    near = get_close_matches(path.stem, sorted({case.stem for case in _cases_in(CORPUS)}), NEAR, LIKE)
    raise CannotRun(f"{path}: no such file or folder" + (f"; the corpus has {', '.join(near)}" if near else ""))


def _in_corpus(case: Path) -> str:
    return str(CORPUS.name / case.relative_to(CORPUS))


def _cases_in(folder: Path) -> list[Path]:
    cases: Iterable[Path] = sorted(folder.rglob("*.toml"))
    return [case for case in cases if case.parent != CORPUS]  # lists are there

"""Where skdiff's own files are: in a checkout beside `harness/`, in an installed package inside of it."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]  # of a checkout; in an installed package nothing of ours is there


def _folder(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.is_dir() else ROOT / name


CSRC = _folder("csrc")
CORPUS = _folder("corpus")

"""A name with an underscore in front is its module's own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("harness", "tests", ".clusterfuzzlite")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def ours(module: str) -> bool:
    return module.partition(".")[0] in ("skdiff", "tests")


def private_names(text: str) -> list[str]:
    """What a module takes of others of ours that is private to them."""
    tree, modules, found = ast.parse(text), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and ours(node.module or ""):
            names = [name.name for name in node.names]
            found += [f"{node.module}.{name}" for name in names if is_private(name)]
            modules |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.Import):
            modules |= {name.asname or name.name for name in node.names if ours(name.name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            of = ast.unparse(node.value)
            if of in modules and not of[0].isupper():  # a class, which may be a NamedTuple with its methods
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from skdiff.a import b, _c", ["skdiff.a._c"]),
        ("from skdiff.a import b\nb._c()", ["b._c"]),
        ("from skdiff.a import b as d\nd._c = 1", ["d._c"]),
        ("import skdiff.a.b\nskdiff.a.b._c", ["skdiff.a.b._c"]),
        ("from os import _exit\nfrom skdiff.a import B, b\nB._fields\nb.__file__\nb.c._d\nself._e", []),
    ],
)
def test_what_is_private_to_another_module_is_seen(text: str, found: list[str]) -> None:
    assert private_names(text) == found


def test_no_module_uses_what_is_private_to_another() -> None:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    found = {str(path.relative_to(ROOT)): names for path in paths if (names := private_names(path.read_text()))}
    assert len(paths) > 200
    assert found == {}

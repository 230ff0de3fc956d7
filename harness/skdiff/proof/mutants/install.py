"""A changed module in the place of its own, in this process alone."""

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from skdiff.base.paths import PACKAGE
from skdiff.proof.mutants.python import Change, Source

# --- running ----------------------------------------------------------------------------------------------------------


class _Finder(MetaPathFinder, Loader):
    """Finds one module, and gives it other code than its file has."""

    def __init__(self, module: str, code: CodeType, path: Path) -> None:
        self._module, self._code, self._path = module, code, path

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        package = self._path.name == "__init__.py"
        where = [str(self._path.parent)] if package else None
        return importlib.util.spec_from_file_location(
            fullname, self._path, loader=self, submodule_search_locations=where
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # noqa: S102 - our own source, changed


def install(source: Source | None, change: Change | None, *forget: str, root: Path = PACKAGE.parent) -> None:
    """From now on, in this process, the module has this change; modules under the names in `forget` are loaded anew."""
    for name in list(sys.modules):
        if name.startswith(tuple(f"{prefix}." for prefix in forget)) or name in forget:
            del sys.modules[name]
    if source is not None and change is not None:
        sys.meta_path.insert(0, _Finder(source.module, source.code(change), root / source.file))

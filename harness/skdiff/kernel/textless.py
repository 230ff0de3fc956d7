"""A kernel whose text cannot be had: the rules of its version alone, for the model to follow."""

from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.kernel.build import Build
from skdiff.kernel.kernel_cache import Tree
from skdiff.variants.config import Config
from skdiff.variants.version_rules import NAMES, Rules, changed_by_hand, rules_to_follow


def textless(version: str, why: str, epoch: str = "") -> Build:
    """Stands for the build of a kernel of this version, of which there is no text and nothing to run; `why` is in the
    place of where it is from. `epoch` are rules by hand. Raises CannotRun for a version whose rules are not known.
    """
    try:
        changed_by_hand(Rules(), version)  # is it known?
    except CannotRun as error:
        raise CannotRun(f"{why}; and {error}") from None
    nothing = Rules(**dict.fromkeys(NAMES, False))
    rules = rules_to_follow(nothing, (), version, epoch)
    return Build(
        folder=Path(),
        tree=Tree(Path(), version, why),
        closure="",
        compiler="",
        variant="plain",
        kernel=(),
        stand_ins=(),
        rules=rules,
        config=Config(),
        text_rules=rules,
    )

"""Needs: what the [expect] of a case asks of a kernel: rules (reselect, no-lport_added) and options (IPV6, no-SMP)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from skdiff.variants import config, version_rules
from skdiff.variants.config import Config
from skdiff.variants.version_rules import Rules

WORDS = (*version_rules.NAMES, *(name.upper() for name in config.NAMES))


def unmet_needs(needs: Iterable[str], rules: Rules, options: Config) -> tuple[str, ...]:
    """The needs that a kernel does not meet; "no-" before a word wants it off."""
    return tuple(need for need in needs if _has(need.removeprefix("no-"), rules, options) == need.startswith("no-"))


def _has(word: str, rules: Rules, options: Config) -> bool:
    return bool(getattr(rules, word) if word in version_rules.NAMES else getattr(options, word.lower()))


def with_one_changed(word: str, rules: Rules, options: Config) -> tuple[str, Rules, Config]:
    """The need that says how a kernel stands to a word, and the same kernel with just that turned over."""
    has = _has(word, rules, options)
    need = word if has else f"no-{word}"
    if word in version_rules.NAMES:
        return need, replace(rules, **{word: not has}), options
    turned: dict[str, Any] = {word.lower(): not has}
    return need, rules, replace(options, **turned)

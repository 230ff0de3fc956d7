"""What a summary says of a kernel."""

import msgspec

from skdiff.base.summary import Summary
from skdiff.variants.version_rules import ToldRules


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel of a run: its version, where it is from, the hash (hex) of the text, what differs from the default
    configuration ("" for nothing), the rules that it is held to, how it was built, and what is odd about it.
    """

    version: str = ""
    origin: str = ""
    closure: str = ""
    config: str = ""
    rules: ToldRules = ToldRules()
    compiler: str = ""
    variant: str = ""
    notes: list[str] = []

    @property
    def label(self) -> str:
        """Its version, and what is special about its configuration: "6.12.117 (IPV6=n)"."""
        return self.version + (f" ({self.config})" if self.config else "")

    @property
    def tree(self) -> str:
        """The path of the tree that somebody gave, "" for a kernel that was fetched."""
        return self.origin.removeprefix("tree ") if self.origin.startswith("tree ") else ""


class KernelSummary(Summary, kw_only=True):
    """The summary of a command that is about one kernel."""

    @property
    def about(self) -> Kernel:
        """That kernel, as far as the summary tells of it."""
        raise NotImplementedError


class BuiltKernelSummary(KernelSummary, kw_only=True):
    """The summary of a command that builds one kernel."""

    kernel: Kernel

    @property
    def about(self) -> Kernel:
        """See KernelSummary."""
        return self.kernel

"""The kernels that run, asked: this machine's, and those of guests; and the text that belongs beside each."""

import os
from collections.abc import Callable
from typing import TypeVar

from skdiff.base.errors import CannotRun
from skdiff.cases.outcome import Outcome
from skdiff.cases.scenario import Scenario
from skdiff.kernel import images
from skdiff.kernel.build import Build
from skdiff.kernel.options import BuildOptions
from skdiff.kernel.textless import textless
from skdiff.oracles.guests import qemu
from skdiff.oracles.guests.vm import Vm
from skdiff.oracles.interface import Oracle
from skdiff.oracles.oracle_words import HOST, image_of, is_vm, kernel_beside
from skdiff.oracles.running.classic_host import in_own_thread
from skdiff.oracles.running.host import Host
from skdiff.oracles.running.namespace_calls import enter_user_namespace

T = TypeVar("T")
Say = Callable[[str], None]


def built_beside(
    oracle: str, kernel: str, options: BuildOptions, say: Say, variant: str = "", guided: bool = False
) -> Build:
    """The build of the kernel beside an oracle. Where it is the one that belongs to a guest's, and its text cannot be
    had, the rules of its version alone. Raises CannotRun.
    """
    if is_vm(oracle):
        qemu.need()
        images.check(image_of(oracle), say)  # before a text is looked for, which takes longer
    if is_vm(oracle) and kernel == kernel_beside(oracle):
        try:
            options.tree(kernel, say)
        except CannotRun as error:
            image = images.find(image_of(oracle), say)
            return textless(image.version, f"no text of it: {error}", options.epoch)
    return options.build(kernel, variant, guided, say)


def prepare(*oracles: str) -> None:
    """Let this process, and its workers, ask these oracles: before it has a second thread. Raises CannotRun where the
    running kernel cannot be asked.
    """
    if HOST in oracles:
        enter_user_namespace()


def with_oracle(oracle: str, made: Build, work: Callable[[Host], T], say: Say) -> T:
    """What `work` makes of an oracle that follows the rules of a build. Raises CannotRun where it cannot be asked, and
    what `work` raises.
    """
    if oracle == HOST:
        return in_own_thread(work, made.rules)
    with vm_of(oracle, made, say) as vm:
        return work(vm)


def vm_of(oracle: str, made: Build, say: Say) -> Vm:
    """The guest of an oracle, which is booted. Raises CannotRun."""
    return Vm(image_beside(oracle, made, say), made.rules)


def image_beside(oracle: str, made: Build, say: Say) -> images.Image:
    """The image of an oracle, if there is one that was made of the text of the build. Raises CannotRun."""
    return images.find(image_of(oracle), say, made.tree if made.has_text else None)


def running_label(oracle: str, made: Build, say: Say) -> str:
    """What the kernel of an oracle is called in reports, in the place of the version of its text. Raises CannotRun."""
    if oracle == HOST:
        return f"{os.uname().release} (running)"
    return f"{image_beside(oracle, made, say).version} (running in a guest)"


class Mended:
    """An oracle that is asked for what `mend` makes of each scenario."""

    def __init__(self, mend: Callable[[Scenario], Scenario], oracle: Oracle) -> None:
        self.name = oracle.name
        self._mend, self._oracle = mend, oracle

    def run(self, scenario: Scenario) -> Outcome:
        """See interface.py."""
        return self._oracle.run(self._mend(scenario))


def describe(host: Host) -> str:
    """The kernel that is asked, in a word or two."""
    return host.name if isinstance(host, Vm) else f"Linux {os.uname().release}"


def unlike(image: images.Image, made: Build) -> list[str]:
    """A line if an image was not made of the text of a build."""
    if not made.has_text or image.version == made.tree.version:
        return []
    return [f"the image is of Linux {image.version}, its text beside it of {made.tree.version}: they may differ"]

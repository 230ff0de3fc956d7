"""The oracle `vm`: a kernel that is booted under QEMU, asked with real sockets by an agent in it."""

from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from skdiff.base.errors import CannotRun
from skdiff.base.files import from_json, to_json
from skdiff.cases.outcome import ABSENT, CRASHED, STUCK, Outcome
from skdiff.cases.scenario import Scenario
from skdiff.kernel.images import Image
from skdiff.kernel.vmlinux import vmlinux
from skdiff.oracles.guests.initramfs import initramfs
from skdiff.oracles.guests.line import ANSWERS, CANNOT, CASES, FAILED, HELLO, KEYS, RULES, Broken, cases, read_answers
from skdiff.oracles.guests.qemu import Machine, note_that_kvm_fails, without_kvm
from skdiff.oracles.running.host import Host
from skdiff.oracles.running.realisable import Keys, Nearest
from skdiff.variants.version_rules import Rules

TO_BOOT = {"kvm": 20.0, "tcg": 120.0}  # seconds; this machine may have other things to do
TO_ANSWER = 60.0  # seconds
LOST = "it was lost with a guest that died"
# The agent itself has ended, for no kernel ends it: kernel/exit.c do_exit().
_INIT_ENDED = "Attempted to kill init!"


class _Asked(NamedTuple):
    """Scenarios on their way, and which guest was asked: 1 for the first."""

    scenarios: Sequence[Scenario]
    guest: int


class Vm(Host):
    """Outcomes of a guest's kernel, as `Host` has those of the running one. That the guest dies of a case, or hangs, is
    an outcome: `last_words` are what it said then, and another guest takes its place.

    A context manager; leaving it ends the guest. Raises CannotRun if it does not boot, or its kernel cannot be asked.
    """

    def __init__(self, image: Image, rules: Rules) -> None:
        self.rules, self.image = rules, image
        self.refused: Counter[str] = Counter()
        self.refusal = ""
        self.keys = Keys()
        self.guests = 0
        self.last_words: list[str] = []
        self._archive = initramfs(image.modules)
        self._ways = _ways(image.kernel)
        self._machine: Machine | None = None
        self._waiting: deque[_Asked] = deque()
        self._learning = False
        hello = self._start()
        self.release = str(hello["release"])
        self.accelerator, _ = self._ways[0]
        self.name = f"Linux {self.release}"
        self._told = [*map(str, hello["told"])]
        self.nearest = Nearest(rules, self.keys, hello["cpus"])
        for name, able in hello["able"].items():
            setattr(self.nearest, name, able)

    def __enter__(self) -> "Vm":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, scenario: Scenario) -> Outcome:
        """The outcome of a scenario that `nearest` has made; nothing else may be on its way."""
        return self._run_all([scenario])[0]

    def _run_all(self, scenarios: Sequence[Scenario]) -> list[Outcome]:
        self.ask(scenarios)
        return self.answered()

    def ask(self, scenarios: Sequence[Scenario]) -> None:
        """Send scenarios, to be `answered` in the order of the calls. Those with the same tables belong together."""
        self._waiting.append(_Asked(scenarios, self.guests))
        with suppress(OSError):  # it is dead; `answered` finds out
            self._send(scenarios)

    @property
    def waiting(self) -> int:
        """How many calls of `ask` are not answered yet."""
        return len(self._waiting)

    def answered(self) -> list[Outcome]:
        """The outcomes of what was asked first. Where the guest died of it, that is the outcome of the case that kills
        the next guest too, or else of the first one; all others that were on their way are ABSENT.
        """
        scenarios, guest = self._waiting.popleft()
        if guest != self.guests:
            self.refused[LOST] += len(scenarios)
            return [Outcome(ended=ABSENT)] * len(scenarios)
        try:
            found = self._read_answers()
        except OSError as error:
            return self._died(scenarios, self._end(error))
        if len(found) != len(scenarios):
            raise CannotRun(f"the agent in the guest answered {len(found)} of {len(scenarios)} cases")
        for outcome, why in found:
            self.refusal = why
            if outcome.ended == ABSENT:
                self.refused[why] += 1
        return [outcome for outcome, _ in found]

    def told(self) -> list[str]:
        """The kernel that runs, and what it leaves out, a line each."""
        how = "with KVM" if self.accelerator == "kvm" else "emulated, without KVM"
        return [f"asked: {self.name}, booted under QEMU ({how})", *self._told]

    def learn_keys(self) -> None:
        """See `Host`. A guest that takes another one's place has other keys."""
        self._learning = True
        super().learn_keys()
        self._learning = False
        assert self._machine is not None
        with suppress(OSError):  # it is dead; who asks next finds out
            self._machine.line.send(KEYS, to_json([self.keys.secrets, self.keys.mixes]).encode())

    def close(self) -> None:
        """End the guest."""
        if self._machine is not None:
            self._machine.close()
            self._machine = None

    def _send(self, scenarios: Sequence[Scenario]) -> None:
        assert self._machine is not None
        self._machine.line.send(CASES, cases(scenarios))

    def _read_answers(self) -> list[tuple[Outcome, str]]:
        """Raises OSError for a guest that is dead, or does not answer in time."""
        assert self._machine is not None
        kind, body = self._machine.line.receive()
        if kind == FAILED:
            raise CannotRun(f"the agent in the guest failed: {_last_line(body)}")
        if kind != ANSWERS:
            raise Broken(f"{kind!r} instead of answers")
        return read_answers(body)

    def _start(self) -> dict[str, Any]:
        """Boot a guest; what its agent says of it. Raises CannotRun."""
        self.guests += 1
        why = ""
        for way in self._ways:
            accelerator, kernel = way
            self._machine = Machine(kernel, self._archive, accelerator)
            try:
                self._machine.line.send(RULES, to_json(self.rules).encode())
                if not self._machine.speaks_within(TO_BOOT[accelerator]):
                    raise Broken("nothing was said")
                kind, body = self._machine.line.receive()
            except OSError:
                said = _reason(self._machine.last_words())
                why = f"Linux {self.image.version} does not boot under QEMU ({accelerator}): {said}"
                self.close()
                if accelerator == "kvm":
                    note_that_kvm_fails()
                continue
            if kind in (CANNOT, FAILED):
                self.close()
                why = f"Linux {self.image.version} under QEMU cannot be asked: {_last_line(body)}"
                raise CannotRun(f"{why}; {self.image.without}" if self.image.without else why)
            self._ways = [way]
            self._machine.wait_at_most(TO_ANSWER)
            assert kind == HELLO
            return from_json(body, dict[str, Any])
        raise CannotRun(f"{why}; {self.image.without}" if self.image.without else why)

    def _end(self, error: OSError) -> int:
        """How a guest came to its end, CRASHED or STUCK. Raises CannotRun if its kernel was not the cause."""
        assert self._machine is not None
        self.last_words = self._machine.last_words()
        self.close()
        if any(_INIT_ENDED in line for line in self.last_words) or self._learning:
            raise CannotRun(f"the agent in the guest has ended: {_reason(self.last_words)}")
        return STUCK if isinstance(error, BlockingIOError) else CRASHED

    def _died(self, scenarios: Sequence[Scenario], ended: int) -> list[Outcome]:
        """The outcomes of what a guest died of. The next guest has other keys, and the scenarios are of the old ones:
        what that one answers counts for nothing, but whether it answers.
        """
        dead, words = 0, self.last_words
        self._start()
        for i, scenario in enumerate(scenarios if len(scenarios) > 1 else ()):
            try:
                self._send([scenario])
                self._read_answers()
            except OSError as error:
                dead, ended, words = i, self._end(error), self.last_words
                self._start()
                break
        else:
            if len(scenarios) > 1:
                words.append("(another guest did not die of the same cases: this is the first of them)")
        self.last_words = words
        waiting, self._waiting = self._waiting, deque()
        if self.keys.secrets:
            self.learn_keys()
        self._waiting = waiting
        self.refused[LOST] += len(scenarios) - 1
        return [Outcome(ended=ended if i == dead else ABSENT) for i in range(len(scenarios))]


def _ways(kernel: Path) -> list[tuple[str, Path | bytes]]:
    """The accelerators, and what each may boot of a kernel, in the order in which to try them. An emulated processor
    takes more than a second to unpack a bzImage, so that is done here where it can be.
    """
    if not without_kvm():
        return [("kvm", kernel), ("tcg", kernel)]
    unpacked = vmlinux(kernel)
    return [*([("tcg", unpacked)] if unpacked else ()), ("tcg", kernel)]


def _reason(words: Sequence[str]) -> str:
    """The line of a console that says why it came to an end: what the agent said before it ended, or the panic."""
    at = next((i for i, line in enumerate(words) if "Kernel panic" in line), len(words) - 1)
    at -= at > 0 and _INIT_ENDED in words[at]
    return words[at] if words else "it said nothing"


def _last_line(body: bytes) -> str:
    lines = body.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it did not say why"

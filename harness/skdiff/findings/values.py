"""A case with another value of its packet's source, or of the CPU: what `explain` asks of beside the case itself."""

from collections.abc import Callable

from skdiff.cases.scenario import Scenario
from skdiff.cases.validity import problems

KEYS = ("sport", "saddr", "cpu")  # port in host byte order, address of 128 bits, number

# The scenario with a key of KEYS at a value; None if it cannot have that.
WithValue = Callable[[str, int], Scenario | None]


def with_value(scenario: Scenario, key: str, value: int) -> Scenario:
    """The scenario with a key of KEYS at a value, and nothing else changed."""
    if key == "cpu":
        return scenario._replace(cpu=value)
    return scenario._replace(packet=scenario.packet._replace(**{key: value}))


def as_it_stands(scenario: Scenario) -> WithValue:
    """Asks for values of a case whose programs do the same for each. From any port a packet may come, so that only
    addresses and CPUs are asked whether the case can have them.
    """

    def made(key: str, value: int) -> Scenario | None:
        asked = with_value(scenario, key, value)
        return None if key != "sport" and problems(asked) else asked

    return made

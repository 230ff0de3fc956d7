"""The random engine: uniform bytes through the wire format. Blind, seeded, fast.

Tables are dear to make and packets are cheap, so each set of tables is asked for several packets.
"""

from random import Random

from skdiff.cases.wire import FRAME_SIZE, decode, other_packet
from skdiff.engines.aimed_events import fresh
from skdiff.engines.interface import Run


def drive(run: Run) -> None:
    """Feed random scenarios to a run until it is over. The run's seed fixes their sequence."""
    run.start()
    random, others, lookups = Random(run.seed), Random(~run.seed), bytes(run.lookups)
    draw, case, over, more = random.randbytes, run.case, run.over, run.packets - 1
    while not over():
        scenario = decode(fresh(random, others, lookups), lookups)
        case(scenario)
        for _ in range(more):
            if over():
                return
            case(other_packet(scenario, draw(FRAME_SIZE)))

"""The reference and the buffer that its scenarios are in."""

from skdiff.cases.scenario import NONE, Packet, Scenario
from skdiff.oracles.reference import Buffer, Reference
from tests.helpers import listener, scenario


def test_references_that_share_a_buffer_run_no_tables_of_another_case(reference: Reference) -> None:
    buffer = Buffer()
    one, other = (Reference.of(reference.build.folder, buffer) for _ in range(2))
    found, empty = scenario(listener()), Scenario()
    again = found._replace(packet=Packet(sport=1))  # the same tables
    assert one.run(found).sk == 0
    assert other.run(empty).sk == NONE
    assert one.run(again).sk == 0
    assert other.run(found).sk == 0


def test_who_writes_the_record_by_hand_is_not_forgotten(reference: Reference) -> None:
    mine = Reference.of(reference.build.folder)
    case = scenario(listener())
    assert mine.run(case).sk == 0
    record, _ = mine.buffers()
    record[:] = bytes(len(record))
    assert mine.run(case).sk == 0

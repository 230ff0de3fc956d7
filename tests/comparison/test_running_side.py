"""A running kernel as a side of a comparison of two."""

import os
from dataclasses import replace

import pytest

from skdiff.base.errors import CannotRun
from skdiff.campaign.worker import Subject
from skdiff.cases.outcome import ABSENT, CRASHED, Outcome
from skdiff.cases.scenario import FOREIGN, HELPER, Group, Netns
from skdiff.cli import main
from skdiff.comparison.referee import Referee
from skdiff.comparison.running_side import OF_THE_OTHER, RunningSide, common, judge_of_sides, without_keys
from skdiff.kernel.textless import textless
from skdiff.oracles.asked import running_label
from skdiff.oracles.model import Model
from skdiff.variants.version_rules import EPOCHS
from tests.helpers import connection, listener, scenario
from tests.udp_cases import bound, connected, udp4

SECRET = 0x1234567


class Host:
    """A kernel that does as a model of `rules`, with hash keys of its own, but for what `wrong` changes."""

    def __init__(self, rules, secret, wrong=lambda outcome: outcome, nearest=lambda case: case) -> None:
        self.model, self.secret, self.wrong, self.refusal, self.closed = Model(rules), secret, wrong, "", False
        self._nearest = nearest

    def nearest(self, case):
        return self._nearest(case)._replace(hash_secret=self.secret, udp_size=256)

    def run(self, case) -> Outcome:
        assert case.hash_secret == self.secret, "a case with another kernel's keys"
        self.refusal = "no" if case.packet.sport == 1 else ""
        return Outcome(ended=ABSENT) if self.refusal else self.wrong(Outcome(sk=self.model.run(case).sk))

    def told(self) -> list[str]:
        return ["says so"]

    def close(self) -> None:
        self.closed = True


def side(version: str, secret: int = SECRET, **more) -> RunningSide:
    build = textless(version, "no text")
    return RunningSide(Host(build.rules, secret, **more), build, f"vm:{version}")


def grouped():
    members = [listener(group=0, reuseport=1) for _ in range(8)]
    group = Group(num_socks=8, slots=(*range(8),), bind_inany=1)
    return scenario(*members, groups=(group,), netns=(Netns(),), caller=HELPER)


def packets(case, number: int = 40):
    return [case._replace(packet=case.packet._replace(sport=1024 + port)) for port in range(number)]


def outcomes(sides, case):
    models = dict.fromkeys((made.build.rules, made.build.config) for made in sides)
    return [*(made.run(case) for made in sides), *(Model(*of).run(case) for of in models)]


def judged(sides, cases):
    mend, judge = common(sides), judge_of_sides([made.build for made in sides])
    made = [mend(case) for case in cases]
    return [judge(case, outcomes(sides, case)) for case in made]


def test_two_kernels_of_the_same_rules_do_the_same_whatever_their_secrets_are():
    """Their choices by hash are not the same, and each is as the model of its rules has it."""
    sides = [side("6.12.117"), side("6.12.96", secret=99)]
    cases = packets(grouped())
    assert len({sides[0].host.run(sides[0].host.nearest(case)).sk for case in cases}) > 4
    assert any(
        sides[0].host.run(sides[0].host.nearest(case)).sk != sides[1].host.run(sides[1].host.nearest(case)).sk
        for case in cases
    )
    assert judged(sides, cases) == [None] * len(cases)


def test_another_hash_function_is_a_difference_and_is_named():
    found = [mismatch for mismatch in judged([side("6.12.117"), side("6.18.15")], packets(grouped())) if mismatch]
    assert found
    assert {mismatch.cause for mismatch in found} == {"lport_added"}


def test_a_rule_that_one_kernel_has_is_named():
    case = udp4(connected(), bound(), caller=HELPER)
    sides = [side("6.12.117"), side("7.3.4", wrong=lambda outcome: outcome._replace(sk=1))]
    [mismatch] = judged(sides, [case])
    assert mismatch is not None
    assert mismatch.cause.startswith("B-unlike-its-model")


def test_a_kernel_that_does_otherwise_than_its_model_is_seen_by_chance_or_not():
    """What it chose may be what the model says with the other kernel's secret: it is a difference all the same."""
    cases = packets(grouped())
    wrong = side("6.12.117", wrong=lambda outcome: outcome._replace(sk=(outcome.sk + 1) % 8))
    assert all(judged([side("6.12.117", secret=5), wrong], cases))
    assert all(judged([wrong, side("6.12.117", secret=5)], cases))
    other = side("6.12.117", secret=5)
    mend = common([wrong, other])
    assert FOREIGN in {wrong.run(mend(case)).sk for case in packets(grouped(), 400)}


def test_all_else_than_the_socket_is_as_the_model_has_it():
    one = side("6.12.117")
    case = one.host.nearest(scenario(connection(refcnt=3), listener(), caller=HELPER))
    assert one.run(case) == Model(one.build.rules).run(case)
    assert one.trace(case) == Model(one.build.rules).trace(case)
    dead = side("6.12.117", wrong=lambda outcome: Outcome(ended=CRASHED))
    assert dead.run(case).ended == CRASHED


def test_what_is_not_asked_is_counted_and_says_nothing():
    def without_the_last(case):
        return case._replace(socks=case.socks[:1])

    one, other = side("6.12.117"), side("7.3.4", nearest=without_the_last)
    case = scenario(connection(), listener(), caller=HELPER)
    assert one.run(one.host.nearest(case)).ended != ABSENT
    assert other.run(case).ended == ABSENT
    assert other.refused == {OF_THE_OTHER: 1}
    refused = case._replace(packet=case.packet._replace(sport=1))
    assert judged([one, side("7.3.4")], [refused]) == [None]
    assert one.refused == {"no": 1}


def test_keys_are_no_part_of_what_is_common():
    case = grouped()
    other = case._replace(hash_secret=9, hash_secret6=8, udp_size=512, netns=(Netns(hash_mix=7),))
    assert without_keys(case) == without_keys(other)
    assert without_keys(case) != without_keys(other._replace(cpu=1))


# --- a kernel without a text ---


def test_a_kernel_without_a_text_has_the_rules_of_its_version():
    build = textless("6.16.12", "no text of it: 404")
    assert build.rules == EPOCHS["6.15"].__class__(**{**vars(EPOCHS["6.15"]), "lookup1": True})
    assert (build.has_text, build.label, build.missing_rules, build.notes) == (False, "6.16.12", (), [])
    assert build.lookups == ("tcp4", "tcp6", "udp4", "udp6")
    assert "404" in build.title
    assert textless("6.12.117", "", "6.9 no-reselect").rules.reselect is False
    assert Referee(build, textless("6.12.117", "")).differing


def test_a_kernel_that_is_asked_in_the_place_of_its_text_is_called_by_what_runs():
    text = textless("6.18.15", "no text of it: 404")
    running = replace(text, running="6.18.44 (running)")
    assert running.label == "6.18.44 (running)"
    assert running.title.startswith("Linux 6.18.44 (running), held to the rules of Linux 6.18.15 (no text of it: 404)")
    assert Subject.of(running, oracle="host").build("text", guided=False).label == running.label
    assert Referee(running, text).names[:2] == ("A: Linux 6.18.44 (running)", "B: Linux 6.18.15")
    assert running_label("host", text, print) == f"{os.uname().release} (running)"


def test_diff_has_no_sweep_of_a_kernel_that_runs(capsys):
    assert main(["diff", "host", "7.3", "--sweep"]) == 2
    assert "--sweep is for texts" in capsys.readouterr().err


def test_rules_that_nobody_knows_are_not_guessed():
    with pytest.raises(CannotRun, match=r"no network; and the rules of Linux 7\.9\.1 are not known"):
        textless("7.9.1", "no network")
    with pytest.raises(CannotRun, match="older"):
        textless("5.10.1", "no network")

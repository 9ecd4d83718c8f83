"""Command lines with one thing wrong: no traceback, no hang, one line, and no exit 0 for nonsense."""

import pytest
from support.command_mutations import answers, cases, draw

NUMBER, SEED = 300, 0


@pytest.mark.slow
def test_a_command_line_with_one_thing_wrong_is_answered(tmp_path):
    answered = answers(NUMBER, SEED, tmp_path)
    wrong = [f"{case.name}: {answer.wrong}" for case, answer in answered if answer.wrong]
    assert not wrong, "\n".join(wrong)
    # most are refused, and some are no mistakes
    assert {answer.code for _, answer in answered} == {0, 2}


def test_the_cases_are_many_and_of_every_kind():
    everything = cases()
    assert len(everything) > 5000
    assert len({case.name.split(":")[0].split(" ")[0] for case in everything}) > 20
    assert [case.name for case in draw(20, 3)] == [case.name for case in draw(20, 3)]

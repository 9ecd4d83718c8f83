"""Ranges in annotations: refused by Python and by the command, with the argument, the value and the range in one line."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from jsonargparse import ArgumentError, ArgumentParser

from ganzoo.cli.error_messages import refused_argument
from ganzoo.errors import InputError
from ganzoo.utils.ranges import (
    Checked,
    ClosedUnitInterval,
    FiniteFloat,
    HalfOpenUnitInterval,
    LearningRate,
    NonNegativeFloat,
    NonNegativeInt,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
    Seed,
    Size,
    check_ranges,
)


class Part(Checked):
    def __init__(
        self,
        width: Size = 4,
        lr: LearningRate = 0.1,
        classes: Size | None = None,
        shape: tuple[Size, Size, Size] = (1, 8, 8),
        sizes: tuple[Size, ...] = (4, 8),
        clip: dict[str, PositiveFloat] | None = None,
        ends: Sequence[FiniteFloat] = (),
        skips: bool = True,
        kind: Literal["a", "b"] = "a",
        name: str = "x",
        anything: Any = None,
        whole: int = 1,
    ) -> None:
        self.given = {name: value for name, value in vars().items() if name not in ("self", "__class__")}


class Wider(Part):
    def __init__(self, times: PositiveInt = 2, **rest: Any) -> None:
        super().__init__(**{"width": 4 * times, **rest})


LESS, MORE = -math.inf, math.inf
# of each type: what it takes, and what it does not
EDGES = [
    (PositiveInt, [1, 2**31 - 1], [0, -1, 2**31, 1.5]),
    (NonNegativeInt, [0, 7], [-1, 0.5]),
    (Size, [1, 2**20], [0, 2**20 + 1, 10**12]),
    (Seed, [0, 2**32 - 1], [-1, 2**32]),
    (FiniteFloat, [-1e300, 0, 2.5], [LESS, MORE]),
    (PositiveFloat, [1e-300, 1], [0, -1e-300, MORE]),
    (NonNegativeFloat, [0, 3], [-1e-9, MORE]),
    (LearningRate, [0, 1e-5, 1000], [-1e-9, 1000.1, 1e12, MORE]),
    (OpenUnitInterval, [0.5], [0, 1]),
    (ClosedUnitInterval, [0, 1], [-0.1, 1.1]),
    (HalfOpenUnitInterval, [0, 0.999], [1, 5]),
]


def parser(kind):
    made = ArgumentParser(exit_on_error=False, parser_mode="omegaconf+")
    made.add_argument("--value", type=kind)
    return made


@pytest.mark.parametrize(("kind", "right", "wrong"), EDGES, ids=lambda each: getattr(each, "__name__", ""))
def test_python_and_the_command_take_and_refuse_the_same(kind, right, wrong):
    class One(Checked):
        def __init__(self, value: kind) -> None:
            self.value = value

    for value in right:
        assert One(value).value == value == parser(kind).parse_args([f"--value={value}"]).value
        assert type(One(value).value) in (int, float)  # plain: a checkpoint can hold it
        assert One(np.float64(value) if isinstance(value, float) else np.int64(value)).value == value
    for value in [*wrong, math.nan, True, "1", None, [1]]:
        with pytest.raises(InputError) as caught:
            One(value)
        line = str(caught.value)
        assert line.startswith(f"One: value is {value!r}: give a")
        assert kind.__name__ in line
        assert "\n" not in line
    for value in [*wrong, "nan", "[1]", "x", "true"]:
        with pytest.raises(ArgumentError) as refused:
            parser(kind).parse_args([f"--value={value}"])
        line = refused_argument(str(refused.value), [])
        assert re.fullmatch(rf"value: give an? {re.escape(kind.__name__)}, not {re.escape(str(value))}", line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"shape": (1, 8, 0)}, "shape[2] is 0: give an int in [1, 2**20]"),
        ({"shape": (8, 8)}, "shape is (8, 8): give 3 values, each an int in [1, 2**20]"),
        ({"shape": None}, "shape is None: give 3 values, each an int in [1, 2**20]"),
        ({"sizes": [4, -8]}, "sizes[1] is -8: give an int in [1, 2**20]"),
        ({"clip": {"G": 0}}, "clip['G'] is 0: give a float in (0, inf)"),
        ({"ends": [0, math.inf]}, "ends[1] is inf: give a float in (-inf, inf)"),
        ({"classes": 0}, "classes is 0: give an int in [1, 2**20] or null"),
        ({"skips": None}, "skips is None: give true or false"),
        ({"skips": "no"}, "skips is 'no': give true or false"),
        ({"kind": "c"}, "kind is 'c': give one of a, b"),
        ({"name": None}, "name is None: give a text"),
        ({"whole": None}, "whole is None: give a whole number"),
    ],
)
def test_containers_choices_and_null(arguments, line):
    with pytest.raises(InputError) as caught:
        Wider(**arguments)
    assert str(caught.value) == f"Wider: {line}"  # the class that the user wrote


def test_what_is_right_comes_through_as_it_is_in_plain_numbers():
    given = Wider(np.int64(3), shape=[1, 2, 3], clip={"G": 1}, ends=[1], anything=self_made).given
    assert (given["width"], given["shape"], given["clip"], given["ends"]) == (12, (1, 2, 3), {"G": 1.0}, [1.0])
    assert given["anything"] is self_made
    assert given["classes"] is None
    assert [type(each) for each in (given["width"], *given["shape"], given["clip"]["G"])] == [int, int, int, int, float]


self_made = object()


def test_an_argument_that_nobody_takes_is_refused():
    with pytest.raises(InputError, match="Wider has no argument 'wide'"):
        Wider(wide=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'b'"):
        check_ranges(lambda a: a, 1, b=2)


def test_a_name_that_python_cannot_resolve_is_left_alone():
    class Loose(Checked):
        def __init__(self, other: "Nowhere", size: Size = 1) -> None:  # noqa: F821
            self.other = other

    assert Loose(3).other == 3
    with pytest.raises(InputError, match="Loose: size is 0"):
        Loose(3, 0)

"""YAML that anyone may have written."""

import math
import time
from pathlib import Path

import pytest
import yaml
from support.command import error

import ganzoo.callbacks
import ganzoo.losses
import ganzoo.models  # noqa: F401  # classes by their short names
from ganzoo.errors import InputError
from ganzoo.utils.yaml_text import load_yaml, read_yaml, to_yaml

pytestmark = pytest.mark.usefixtures("toy_folder")


def test_numbers_are_numbers_and_times_are_text():
    found = load_yaml("{a: 1e-3, b: -.5, c: .inf, d: 12:30:00, e: 2020-01-01, f: 010, g: '1e3', h: 1.e2, i: 1_000}", "")
    assert found == {
        "a": 1e-3,
        "b": -0.5,
        "c": math.inf,
        "d": "12:30:00",
        "e": "2020-01-01",
        "f": 8,
        "g": "1e3",
        "h": 100.0,
        "i": 1000,
    }


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, "null", "1e-3", "é\n\u0007", ""], "b": {}, 3: []},
        -math.inf,
        "x: y",
        1e-7,
        1e300,
        "😀\u2028\x7f",
    ],
)
def test_data_is_the_same_again_as_text(value):
    assert load_yaml(to_yaml(value), "") == value


def bomb() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (bomb(), "too large or too deep for a config"),
        ("a: " + "[" * 60 + "]" * 60, "too large or too deep"),
        ("a: " + "[" * 5000, "nesting depth|too deep"),  # libyaml has a limit of its own, newer than some
        ("a: &a [*a]", "stands within itself"),
        ("a: [", "not YAML: line"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' stands twice"),
        ("a: !!binary aGk=", "no values of the kind bytes"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("? [a]\n: b", "unhashable"),
        ("a\0b", "not YAML"),
    ],
)
def test_yaml_that_is_no_config_is_one_line(text, line):
    began = time.process_time()
    with pytest.raises(InputError, match=line) as raised:
        load_yaml(text, "here")
    assert time.process_time() - began < 5
    assert str(raised.value).startswith("here: ")
    assert "\n" not in str(raised.value)


def test_files_that_are_no_text(tmp_path, capsys):
    for content, line in (
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"model: G\xc4N", "not text in UTF-8"),
        (b"[1]", "a mapping"),
    ):
        Path("bad.yaml").write_bytes(content)
        assert line in error(capsys, "fit", "--config", "bad.yaml")
        assert "bad.yaml" in error(capsys, "evaluate", "bad.ckpt", "--config", "bad.yaml")
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbf" + yaml.safe_dump({"a": 1}).encode())
    assert read_yaml(Path("bom.yaml")) == {"a": 1}

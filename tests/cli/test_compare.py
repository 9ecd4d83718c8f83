"""``ganzoo compare`` and the protocol that it goes by."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.cli import main
from ganzoo.cli.compare import compared
from ganzoo.errors import InputError
from ganzoo.evaluation.protocol import FIELDS, NOTED, MetricValue, Result, incompatible_fields, key_of, versions

pytestmark = pytest.mark.usefixtures("toy_folder")

PROTOCOL: dict[str, Any] = {
    "extractor": "efflite0",
    "extractor_weights": "0123456789abcdef",
    "extractor_verified": True,
    "dimension": 1280,
    "resize": "bicubic 224 x 224",
    "preprocessing": "(x - 127) / 128",
    "dtype": "float32",
    "real": "x of 0011223344556677",
    "split": "test",
    "n_real": 10000,
    "n_fake": 10000,
    "inputs": "8899aabbccddeeff",
    "model_weights": "averaged",
    "batch_norm": "eval",
    "checkpoint": "last",
    "keep": 10000,
    "subsets": 100,
    "subset_size": 1000,
    "splits": 10,
    "k": 3,
    "k_density": 5,
    "lpips": "alex 12345678",
    "parzen": "10000 samples",
    "agreement": "small classifier",
    "neighbours": "1000 samples",
    "modes": "25 modes 0123456789abcdef",
}
OTHER = {bool: False, int: 77, str: "another"}
ABOUT = {
    "model": "ganzoo.models.gan.GAN",
    "step": 100,
    "training_seed": 0,
    "seed": 0,
    "versions": {"torch": "2.15.0", "pillow": "13"},
}


def result(fd: float = 12.3456, metrics: dict | None = None, about: dict | None = None, **protocol: Any) -> Result:
    metrics = {"fd_efflite0": MetricValue(fd)} if metrics is None else metrics
    return Result(PROTOCOL | protocol, ABOUT | (about or {}), metrics)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refusal(capsys, *args: str) -> str:
    capsys.readouterr()
    assert main(["compare", *args]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ganzoo: error: ")
    return line.removeprefix("ganzoo: error: ")


def test_the_fields_here_are_all_there_are():
    assert PROTOCOL.keys() == FIELDS.keys()


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_of_the_protocol_must_be_equal(capsys, name):
    """It is named with both values, and may be ignored, which the table says."""
    other = OTHER[type(PROTOCOL[name])]
    result().save(Path("a.json"))
    result(11.0, **{name: other}).save(Path("b.json"))
    line = refusal(capsys, "a.json", "b.json")
    assert line.startswith(f"{name} (")
    assert f"is {PROTOCOL[name]} in a.json and {other} in b.json: " in line
    assert line.endswith(f"--ignore {name}")
    assert main(["compare", "a.json", "b.json", "--ignore", name]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == f"ignored: {name} differs: {PROTOCOL[name]}, {other}"
    assert table[-1].split() == ["fd_efflite0", "12.346", "11"]


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_not_known_goes_with_anything(capsys, name):
    result().save(Path("a.json"))
    result(**{name: None}).save(Path("b.json"))
    assert main(["compare", "a.json", "b.json"]) == main(["compare", "b.json", "a.json"]) == 0


def test_of_three_with_an_unknown_one_the_others_still_must_agree(capsys):
    for name, n in (("a", None), ("b", 5), ("c", 6)):
        result(n_fake=n).save(Path(f"{name}.json"))
    assert "is 5 in b.json and 6 in c.json" in refusal(capsys, "a.json", "b.json", "c.json")


def test_several_fields_are_all_named(capsys):
    result().save(Path("a.json"))
    result(n_fake=5, split="val", resize="none").save(Path("b.json"))
    line = refusal(capsys, "a.json", "b.json")
    assert line.startswith("resize (how images got the network's size) is bicubic 224 x 224 in a.json and none in b.json")
    assert "; split, n_fake differ, too:" in line
    assert line.endswith("--ignore resize,split,n_fake")
    assert "n_fake" in refusal(capsys, "a.json", "b.json", "--ignore", "resize,split")
    assert main(["compare", "a.json", "b.json", "--ignore", "resize,split", "--ignore", "n_fake"]) == 0


def test_sets_of_counts_are_compared_as_they_are(capsys):
    result(n_real={"to_y": 5, "to_x": 6}).save(Path("a.json"))
    result(n_real={"to_y": 5, "to_x": 7}).save(Path("b.json"))
    assert refusal(capsys, "a.json", "b.json").startswith("n_real (")


def test_the_table_has_a_column_to_each_result(capsys):
    first = {"fd_x": MetricValue(12.3456), "kd_x": MetricValue(0.01234, 0.000567, "100 subsets")}
    result(metrics=first).save(Path("a.json"))
    second = {"fd_x": MetricValue(9.0), "recall_x": MetricValue(0.5)}
    result(metrics=second, about={"step": 200, "training_seed": None}).save(Path("b.json"))
    assert main(["compare", "a.json", "b.json"]) == 0
    assert capsys.readouterr().out == (
        "                           a.json  b.json\n"
        "model                         GAN     GAN\n"
        "step                          100     200\n"
        "training seed                   0       -\n"
        "fd_x                       12.346       9\n"
        "kd_x           0.01234 +- 0.00057       -\n"
        "recall_x                        -     0.5\n"
    )


@pytest.mark.parametrize("name", NOTED)
def test_what_may_differ_is_mentioned_all_the_same(name):
    top, _, below = name.partition(".")
    changed = {top: {**ABOUT[top], below: "9.9"}} if below else {top: 9}
    lines = compared([result(), result(about=changed)], ["a", "b"])
    assert lines[0].startswith(f"no part of the protocol: {name} differs: ")
    assert not compared([result(), result()], ["a", "b"])[0].startswith("no part")


def test_who_trained_what_when_and_where_is_no_obstacle():
    about = {"path": "x", "sha256": "y", "date": "z", "seconds": 3, "command": "c", "commit": "d", "model": "m.N", "step": 3}
    assert not incompatible_fields([result(), result(about={**about, "versions": {"torch": "3", "ganzoo": "9"}})])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["nowhere.json"], "cannot read nowhere.json: No such file or directory"),
        (["text.json"], "text.json is no result of `ganzoo evaluate`, or a damaged one: it is not JSON"),
        (["list.json"], "list.json is no result of `ganzoo evaluate`: it has no metrics with their protocol"),
        (["other.json"], "other.json is no result of `ganzoo evaluate`: it has no metrics with their protocol"),
        (["metrics.json"], "metrics.json is no result of `ganzoo evaluate`: it has no metrics with their protocol"),
        (["newer.json"], "newer.json was written by a newer ganzoo"),
        (["."], "cannot read .: Is a directory"),
        ([], "results must be given"),
        (["a.json", "--ignore", "n_fakes"], "--ignore n_fakes: a protocol has no such field: did you mean 'n_fake'?"),
        (["a.json", "--ignore", "colour"], "--ignore colour: a protocol has no such field: they are extractor, "),
        (["a.json", "--ingore", "n_fake"], "there is no option 'ingore': did you mean 'ignore'?"),
    ],
)
def test_a_user_s_error_is_one_line(capsys, args, line):
    result().save(Path("a.json"))
    Path("text.json").write_text("hello")
    Path("list.json").write_text("[1]")
    Path("other.json").write_text('{"metrics": {}, "protocol": {}}')
    content = json.loads(Path("a.json").read_text())
    Path("metrics.json").write_text(json.dumps({**content, "metrics": {"fd": 3.0}}))
    Path("newer.json").write_text(json.dumps({**content, "format": 99}))
    assert line in refusal(capsys, *args)


def test_a_result_comes_back_as_it_was():
    metrics = {
        "fd": MetricValue(1 / 3),
        "kd": MetricValue(1e-17, float("nan"), "100 subsets"),
        "psnr": MetricValue(float("inf")),
    }
    one = result(metrics=metrics, n_real={"to_y": 3})
    one.left_out["score"] = "no logits"
    one.save(Path("a.json"))
    back = Result.load(Path("a.json"))
    assert repr(back) == repr(one)  # NaN is not equal to itself
    assert key_of(Path("a.json")) == back.key == one.key
    assert key_of(Path("b.json")) is None


def test_what_is_no_number_is_written_in_strict_json(tmp_path):
    metrics = {
        "psnr": MetricValue(float("inf")),
        "fd": MetricValue(float("-inf")),
        "l1": MetricValue(1.0, float("nan"), "standard error"),
    }
    one = result(metrics=metrics, about={"data": {"arguments": {"low": float("-inf"), "some": (1.5, float("nan"))}}})
    one.save(Path("a.json"))

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    content = json.loads(Path("a.json").read_text(), parse_constant=refuse)
    assert content["metrics"] == {
        "psnr": {"value": "inf"},
        "fd": {"value": "-inf"},
        "l1": {"value": 1.0, "deviation": "nan", "of": "standard error"},
    }
    assert content["about"]["data"]["arguments"] == {"low": "-inf", "some": [1.5, "nan"]}
    back = Result.load(Path("a.json"))
    assert repr(back.metrics) == repr(metrics)
    assert back.key == one.key


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"metrics": {"fd": {"value": "x"}}}, 'a.json: metric fd is "x", and no number'),
        ({"metrics": {"fd": {"value": None}}}, "a.json: metric fd is null, and no number"),
        ({"metrics": {"fd": {"value": True}}}, "a.json: metric fd is true, and no number"),
        ({"metrics": {"fd": {"value": [1]}}}, "a.json: metric fd is [1], and no number"),
        ({"metrics": {"fd": {"value": 10**400}}}, "a.json: metric fd is 1000"),
        ({"metrics": {"fd": {"value": 1, "deviation": "x"}}}, 'a.json: metric fd is "x", and no number'),
        ({"format": "x"}, "a.json is no result of `ganzoo evaluate`: its format is no whole number"),
        ({"format": None}, "a.json is no result of `ganzoo evaluate`: its format is no whole number"),
        ({"left_out": None}, "a.json is no result of `ganzoo evaluate`: it has no metrics with their protocol"),
    ],
)
def test_a_result_that_was_changed_by_hand_is_refused_in_one_line(capsys, change, line):
    result().save(Path("a.json"))
    Path("a.json").write_text(json.dumps({**json.loads(Path("a.json").read_text()), **change}))
    assert refusal(capsys, "a.json", "a.json").startswith(line)


def test_the_key_is_of_what_was_measured_and_not_of_when():
    one = result()
    later = result(99.0, about={"date": "2030", "seconds": 9, "command": "x", "path": "elsewhere", "sizes": ["1x1x1"]})
    assert later.key == one.key
    for changed in (result(n_fake=3), result(about={"seed": 1}), result(about={"sha256": "f"})):
        assert changed.key != one.key


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*nowhere/a.json: No such file"):
        result().save(tmp_path / "nowhere" / "a.json")


def test_it_answers_without_importing_torch():
    result().save(Path("a.json"))
    code = "import sys; from ganzoo.cli import main; main(['compare', 'a.json', 'a.json']); print('torch' in sys.modules)"
    env = {"PYTHONPATH": str(Path(ganzoo.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_versions():
    import torch

    found = versions()
    assert found["torch"] == torch.__version__.split("+")[0]
    assert found["python"] == sys.version.split()[0]
    assert found["ganzoo"] == ganzoo.__version__

"""Configs and options are merged by key, and YAML from anywhere is one line or data."""

import math
import time
from pathlib import Path

import pytest
import yaml
from support.command import _home, checkpoint, error, fit, saved  # noqa: F401  # a folder to stand in

import ganzoo.callbacks
import ganzoo.losses
import ganzoo.models  # noqa: F401  # classes by their short names
from ganzoo.cli.merge import compose, merge
from ganzoo.cli.yaml_text import load_yaml, read_yaml, to_yaml
from ganzoo.errors import InputError

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 2e-4, "betas": [0.5, 0.999]}}
GAN = {"class_path": "ganzoo.GAN", "init_args": {"hidden": 8, "optimizers": {"generator": ADAM, "discriminator": ADAM}}}
BASE = {"model": GAN, "trainer": {"max_epochs": 3, "callbacks": [{"class_path": "SampleGrid"}]}}
LATER = "{model: {init_args: {optimizers: {generator: {class_path: torch.optim.Adam, init_args: {lr: 1e-3}}}}}}"
CHANGED = {**ADAM, "init_args": {"lr": 1e-3, "betas": [0.5, 0.999]}}


def optimizers(*args: str) -> dict:
    return compose(args, BASE).tree["model"]["init_args"]["optimizers"]


@pytest.mark.parametrize(
    "args",
    [
        ["--model.optimizers.generator.lr", "1e-3"],
        ["--model.optimizers.generator.lr=1e-3"],
        ["--model.optimizers.generator.init_args.lr", "1e-3"],
        ["--model.init_args.optimizers.generator.init_args.lr", "1e-3"],
        ["--model.optimizers.generator", "{init_args: {lr: 1e-3}}"],
        ["--model.optimizers", "{generator: {class_path: torch.optim.Adam, init_args: {lr: 1e-3}}}"],
        ["--model", "{init_args: {optimizers: {generator: {init_args: {lr: 0.001}}}}}"],
        ["--config", "{model: {init_args: {optimizers: {generator: {init_args: {lr: 1.0e-3}}}}}}"],
        ["--config", LATER],
        ["--model.optimizers.generator.lr", "9", "--config", LATER],
    ],
)  # fmt: skip
def test_one_nested_value_is_changed_and_nothing_else(args):
    assert optimizers(*args) == {"generator": CHANGED, "discriminator": ADAM}
    assert compose(args, BASE).rest == []


def test_another_class_keeps_what_it_has_as_well():
    (changed, other) = optimizers("--model.optimizers.generator.class_path", "torch.optim.SGD").values()
    assert changed == {"class_path": "torch.optim.SGD", "init_args": {"lr": 2e-4}}
    assert other == ADAM
    ours = {"class_path": "LeastSquares", "init_args": {"real_target": 0.9}}
    assert merge(ours, {"class_path": "ganzoo.losses.LeastSquares"})["init_args"] == {"real_target": 0.9}
    assert merge(ours, {"class_path": "NonSaturating"})["init_args"] == {}
    assert merge(ours, "NonSaturating") == {"class_path": "NonSaturating", "init_args": {}}
    assert merge("LeastSquares", {"init_args": {"real_target": 0.9}}) == ours
    assert merge(ours, None) is None


def test_a_dictionary_that_no_config_has_is_known_by_its_type():
    made = compose(["--model", "GAN", "--model.clip_norm.generator", "1.5", "--model.optimizers.generator.class_path", "X"])
    assert made.tree["model"]["init_args"] == {
        "clip_norm": {"generator": 1.5},
        "optimizers": {"generator": {"class_path": "X"}},
    }


def test_what_jsonargparse_sets_right_is_left_to_it():
    args = ["--model.lr", "1e-3", "--data.root", "5", "--model.loss", "Hinge", "--trainer.callbacks+", "Health"]
    args += ["--trainer.callbacks.n", "5", "--compile", "--trainer.max_steps", "-1"]
    made = compose(args, BASE)
    assert made.others() == args
    assert made.tree == BASE


def test_a_list_replaces_a_list():
    made = compose(["--config", "{trainer: {callbacks: [{class_path: Checkpoints}]}}"], BASE)
    assert made.tree["trainer"]["callbacks"] == [{"class_path": "Checkpoints"}]
    made = compose(["--trainer.callbacks", "Checkpoints", "--trainer.callbacks.monitor", "x"], BASE)
    assert "callbacks" not in made.tree["trainer"]  # or the first one's arguments would go into this one
    assert len(made.others()) == 4
    place = ["--model.schedules.generator.0.step_size", "7", "--model.schedules.generator.0.interval", "step"]
    schedule = "{generator: [{class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 3, gamma: 0.5}}]}"
    (found,) = compose(["--model.schedules", schedule, *place], BASE).tree["model"]["init_args"]["schedules"]["generator"]
    assert found["init_args"] == {"step_size": 7, "gamma": 0.5}
    assert found["interval"] == "step"


def test_the_last_one_counts_whichever_it_is():
    made = compose(["--model.hidden", "5", "--model.k", "2", "--config", "{model: {init_args: {hidden: 9}}}"], BASE)
    assert made.tree["model"]["init_args"]["hidden"] == 9
    assert made.others() == ["--model.k", "2"]
    assert compose(["--model.optimizers", "null"], BASE).others() == ["--model.optimizers", "null"]
    assert "optimizers" not in compose(["--model.optimizers", "null"], BASE).tree["model"]["init_args"]


def test_a_section_in_a_file_of_its_own(tmp_path):
    (tmp_path / "model.yaml").write_text("class_path: GAN\ninit_args: {hidden: 3}\n")
    (tmp_path / "all.yaml").write_text("model: model.yaml\n")
    assert compose(["-c", str(tmp_path / "all.yaml")]).tree["model"]["init_args"] == {"hidden": 3}


def test_what_is_written_is_what_is_trained():
    recipe = "{class_path: torch.optim.Adam, init_args: {lr: 2e-4, betas: [0.5, 0.999]}}"
    both = f"{{model: {{init_args: {{optimizers: {{generator: {recipe}, discriminator: {recipe}}}}}}}}}"
    assert fit("--config", both, "--model.optimizers.generator.lr", "1e-3") == 0
    rates = [(o["param_groups"][0]["lr"], tuple(o["param_groups"][0]["betas"])) for o in checkpoint()["optimizer_states"]]
    assert rates == [(2e-4, (0.5, 0.999)), (1e-3, (0.5, 0.999))]
    assert saved()["model"]["init_args"]["optimizers"]["generator"]["init_args"]["lr"] == 1e-3
    assert fit("--trainer.callbacks", '[{"class_path": "Checkpoints"}]', "--trainer.callbacks.filename", "null") == 0
    (callback,) = saved("runs/toy_noise/version_1")["trainer"]["callbacks"]
    assert callback["init_args"]["filename"] is None  # not the text None


# -- YAML from anywhere ---------------------------------------------------------------------------------------------------


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
        ("a: " + "[" * 5000, "nesting depth"),
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

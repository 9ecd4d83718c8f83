"""Configs and options are merged by key, and YAML from anywhere is one line or data."""

import pytest
from support.command import checkpoint, fit, saved

import ganzoo.callbacks
import ganzoo.losses
import ganzoo.models  # noqa: F401  # classes by their short names
from ganzoo.cli.merge import compose, merge

pytestmark = pytest.mark.usefixtures("toy_folder")

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

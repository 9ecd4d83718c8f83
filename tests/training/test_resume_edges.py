"""What a run is told, and what it keeps, where it is stopped, resumed, extended, or started from another's weights."""

import re
import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from support.resuming import EveryMoment, Few, SignalAt, Validated, build, everything, run, same
from support.zoo import MODELS, SMALL
from torch.optim.lr_scheduler import LambdaLR

from ganzoo.callbacks import Checkpoints, SampleGrid
from ganzoo.cli import main

# -- a stop during the last validation -------------------------------------------------------------------------------

WHEN = [
    pytest.param({"val_check_interval": 3}, {}, id="interval"),
    pytest.param({}, {"accumulate": 2}, id="accumulate"),
    pytest.param({"val_check_interval": 0.5}, {"accumulate": 3}, id="both"),
]


class StopIn(L.Callback):
    """SIGTERM, or a second Ctrl-C, in the n-th call of a hook."""

    def __init__(self, hook: str, n: int, ctrl_c: bool = False) -> None:
        self.n, self.ctrl_c = n, ctrl_c
        setattr(self, hook, self.stop)

    def stop(self, trainer: L.Trainer, *_: Any) -> None:
        self.n -= 1
        if self.n == 0 and self.ctrl_c:
            raise KeyboardInterrupt
        if self.n == 0:
            trainer._signal_connector.received_sigterm = True


STOPS = {
    "term in the first batch": ("on_validation_batch_end", -1, False),
    "term in the last batch": ("on_validation_batch_end", 0, False),
    "term at the end": ("on_validation_end", 0, False),
    "ctrl-c before": ("on_validation_start", 0, True),
    "ctrl-c in the first batch": ("on_validation_batch_start", -1, True),
    "ctrl-c after the last batch": ("on_validation_epoch_end", 0, True),
}


@pytest.mark.parametrize(("limits", "options"), WHEN)
def test_a_stop_during_the_last_validation_loses_nothing(limits, options, tmp_path):
    limits = {"max_epochs": 2, **limits}
    seen, model = Validated(), build("GAN", **options)
    keeper = Checkpoints(tmp_path / "straight")
    straight = everything(run(model, Few(model, held_out=True), tmp_path, callbacks=[seen, keeper], **limits))
    finished = torch.load(tmp_path / "straight" / "last.ckpt", weights_only=True)
    for name, (hook, offset, ctrl_c) in STOPS.items():
        calls = len(seen.at) * (2 if "batch" in hook else 1) + offset
        first, model, folder = Validated(), build("GAN", **options), tmp_path / name
        stopping = [StopIn(hook, calls, ctrl_c), first, Checkpoints(folder)]
        with pytest.raises(SystemExit):
            run(model, Few(model, held_out=True), tmp_path, callbacks=stopping, **limits)
        second, model = Validated(), build("GAN", **options)
        callbacks = [second, Checkpoints(folder / "again")]
        again = run(model, Few(model, held_out=True), tmp_path, folder / "last.ckpt", callbacks=callbacks, **limits)
        assert same(straight, everything(again)) == [], name
        assert first.at + second.at == seen.at, name
        assert again.current_epoch == 2, name
        last = folder / "again" / "last.ckpt"  # none where the stop came so late that nothing was left to do
        end = torch.load(last if last.exists() else folder / "last.ckpt", weights_only=True)
        assert (end["epoch"], end["global_step"]) == (finished["epoch"], finished["global_step"]), name
        assert end["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] == 2, name


@pytest.mark.parametrize(("limits", "options"), WHEN)
def test_a_finished_run_leaves_no_validation_and_no_epoch_to_do(limits, options, tmp_path):
    """Whatever triggers its checkpoints; and so does one that goes on from the last step's, as after kill -9."""
    limits = {"max_epochs": 2, **limits}
    for n, how in enumerate([{"every_n_train_steps": 1, "save_top_k": -1}, {"monitor": "step"}]):
        model, folder = build("GAN", **options), tmp_path / str(n)
        run(model, Few(model, held_out=True), tmp_path, callbacks=[Checkpoints(folder, **how)], **limits)
        last = torch.load(folder / "last.ckpt", weights_only=True)
        assert last["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] == 2
        assert not last["ganzoo"]["validation_due"]
        after, model = Validated(), build("GAN", **options)
        again = run(model, Few(model, held_out=True), tmp_path, folder / "last.ckpt", callbacks=[after], **limits)
        assert (after.at, again.current_epoch) == ([], 2)


# -- the best so far --------------------------------------------------------------------------------------------------


class Scored(L.Callback):
    """Logs a score that an epoch has: best in the first."""

    SCORES = (1.0, 3.0, 2.0, 0.5)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("val/score", self.SCORES[trainer.current_epoch])


def scored(folder: Path, epochs: int, ckpt: Path | None = None, k: int = 1) -> Checkpoints:
    model = build("GAN")
    keeper = Checkpoints(folder, monitor="val/score", save_top_k=k)
    run(model, Few(model, held_out=True), folder, ckpt, callbacks=[Scored(), keeper], max_epochs=epochs)
    return keeper


def test_the_best_checkpoint_is_still_the_best_in_another_folder(tmp_path):
    scored(tmp_path / "a", 2, k=2)
    second = scored(tmp_path / "b", 3, tmp_path / "a" / "last.ckpt", k=2)
    assert Path(second.best_model_path) == tmp_path / "a" / "epoch=0-step=7.ckpt"
    assert second.best_model_score == 1.0
    assert {Path(path).parent.name for path in second.best_k_models} == {"a", "b"}
    assert (tmp_path / "a" / "epoch=1-step=14.ckpt").exists()  # it is no longer among the best two, and another run's
    third = scored(tmp_path / "c", 4, tmp_path / "b" / "last.ckpt", k=2)
    assert Path(third.best_model_path).parent.name == "c"
    assert third.best_model_score == 0.5


def test_a_best_checkpoint_that_is_gone_no_longer_counts(tmp_path, capsys):
    scored(tmp_path / "a", 1)
    (tmp_path / "a" / "epoch=0-step=7.ckpt").unlink()
    second = scored(tmp_path / "b", 2, tmp_path / "a" / "last.ckpt")
    assert "the best checkpoint so far is gone" in capsys.readouterr().err
    assert (Path(second.best_model_path).parent.name, second.best_model_score) == ("b", 3.0)


@pytest.mark.parametrize("name", ["{epoch}-{val/score:.3f}", "{val/score}", "at-{step}"])
def test_a_slash_in_a_metrics_name_makes_no_folder(name, tmp_path):
    model = build("GAN")
    keeper = Checkpoints(tmp_path / "kept", monitor="val/score", filename=name, save_top_k=-1)
    run(model, Few(model, held_out=True), tmp_path, callbacks=[Scored(), keeper])
    assert all(path.is_file() for path in (tmp_path / "kept").iterdir())
    assert len(list((tmp_path / "kept").iterdir())) == 3
    if name.startswith("{epoch}"):
        assert (tmp_path / "kept" / "epoch=0-val_score=1.000.ckpt").exists()


# -- what is said before it begins -----------------------------------------------------------------------------------


class SaysAtStart(L.Callback):
    """What had been said when the first step began."""

    def __init__(self, capsys: Any) -> None:
        self.capsys, self.said = capsys, ""

    def on_train_batch_start(self, *_: Any) -> None:
        self.said += self.capsys.readouterr().err


@pytest.mark.parametrize("longer", [{"max_epochs": 3}, {"max_steps": 10, "max_epochs": -1}])
def test_another_length_is_told_where_something_follows_it(longer, tmp_path, capsys):
    model = build("DANN")
    run(model, Few(model), tmp_path, callbacks=[EveryMoment(tmp_path)], max_epochs=1)
    model, told = build("DANN"), SaysAtStart(capsys)
    run(model, Few(model), tmp_path, tmp_path / "end-0.ckpt", callbacks=[told], **longer)
    steps = 21 if "max_steps" not in longer else 10
    assert f"the training had 7 steps in all and now has {steps}" in told.said
    model, told = build("DANN"), SaysAtStart(capsys)
    run(model, Few(model), tmp_path, tmp_path / "epoch=0-step=4.ckpt", callbacks=[told], max_epochs=1)
    assert "steps in all" not in told.said


def test_another_length_is_nothing_where_nothing_follows_it(tmp_path, capsys):
    model = build("GAN")
    run(model, Few(model), tmp_path, max_epochs=1).save_checkpoint(tmp_path / "a.ckpt")
    model = build("GAN")
    run(model, Few(model), tmp_path, tmp_path / "a.ckpt", max_epochs=2)
    assert "ganzoo:" not in capsys.readouterr().err


def decay(epochs: int) -> dict[str, Any]:
    each = [{"class_path": "ganzoo.schedules.LinearDecay", "init_args": {"constant": 0, "decay": epochs}}]
    return {"generator": each, "discriminator": each}


def test_a_rate_of_zero_is_told_before_the_training(tmp_path, capsys):
    model = build("CycleGAN", schedules=decay(1))
    run(model, Few(model), tmp_path, max_epochs=1).save_checkpoint(tmp_path / "a.ckpt")
    assert "learning rate" not in capsys.readouterr().err
    model, told = build("CycleGAN", schedules=decay(1)), SaysAtStart(capsys)
    run(model, Few(model), tmp_path, tmp_path / "a.ckpt", callbacks=[told], max_epochs=3)
    assert told.said.count("the learning rate of generator and discriminator is 0") == 1
    assert "nothing will be learned" in told.said


def test_a_run_that_outlives_its_schedule_is_told_once(tmp_path, capsys):
    only = {"generator": decay(1)["generator"]}
    model = build("CycleGAN", schedules=only)
    run(model, Few(model), tmp_path, max_epochs=3)
    said = capsys.readouterr().err
    assert said.count("epoch 1: the learning rate of generator is 0") == said.count("learning rate") == 1
    assert "by these players nothing will be learned" in said


def test_a_warm_up_from_zero_is_no_rate_of_zero(tmp_path, capsys):
    class Warm(MODELS["GAN"]):
        def player_schedules(self, player, optimizer):
            return [(LambdaLR(optimizer, lambda step: min(step / 3, 1.0)), "step")]

    run(Warm(**SMALL["GAN"]), Few(build("GAN")), tmp_path)
    assert "learning rate" not in capsys.readouterr().err


# -- by the command ---------------------------------------------------------------------------------------------------

QUICK = ["fit", "--config", "gan_digits", "--trainer.accelerator", "cpu", "--trainer.limit_train_batches", "3"]
QUICK += ["--trainer.limit_val_batches", "1", "--trainer.enable_model_summary", "false", "--model.hidden", "8"]
CKPT = Path("runs/gan_digits/version_0/checkpoints/last.ckpt")


@pytest.fixture
def finished(tmp_path, monkeypatch, capsys) -> Path:
    """A folder with a finished run of two epochs of three steps."""
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, "--trainer.max_epochs", "2"]) == 0
    capsys.readouterr()
    return tmp_path


def test_a_finished_run_says_how_it_goes_on_and_leaves_no_folder(finished, capsys):
    for limit, said in (("max_epochs", "all 2 epochs"), ("max_steps", "all 6 steps")):
        value = "2" if limit == "max_epochs" else "6"
        more = [] if limit == "max_epochs" else ["--trainer.max_epochs", "-1"]
        assert main([*QUICK, *more, f"--trainer.{limit}", value, "--ckpt_path", "last"]) == 0
        err = capsys.readouterr().err
        assert f"ganzoo: {said} are done in this checkpoint: a larger --trainer.{limit} continues" in err
    assert [path.name for path in Path("runs/gan_digits").iterdir()] == ["version_0"]


def test_a_run_whose_time_is_used_up_says_how_it_goes_on(finished, capsys):
    content = torch.load(CKPT, weights_only=True)
    content["callbacks"]["Timer"] = {"time_elapsed": {"train": 5.0}}
    torch.save(content, CKPT)
    more = [*QUICK, "--trainer.max_epochs", "3", "--ckpt_path", "last", "--trainer.max_time"]
    assert main([*more, "00:00:00:05"]) == 0
    assert "ganzoo: all 5 seconds are used up in this checkpoint: a larger --trainer.max_time" in capsys.readouterr().err
    assert [path.name for path in Path("runs/gan_digits").iterdir()] == ["version_0"]
    assert main([*more, "00:00:10:00"]) == 0
    assert torch.load("runs/gan_digits/version_1/checkpoints/last.ckpt", weights_only=True)["global_step"] == 9


@pytest.mark.parametrize("given", ["last", "file"])
def test_a_damaged_checkpoint_is_refused_with_the_newest_whole_one(given, finished, capsys):
    whole = CKPT.with_name("epoch=0-step=3.ckpt")
    shutil.copy(CKPT, whole)
    data = CKPT.read_bytes()
    CKPT.write_bytes(data[: len(data) // 2])  # of both of its names
    assert main([*QUICK, "--trainer.max_epochs", "3", "--ckpt_path", given if given == "last" else str(CKPT)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{CKPT} is damaged, or is no checkpoint; the newest whole one is {whole}: ganzoo fit" in line
    command = line.rpartition(": ganzoo ")[2].split()
    assert main(command) == 0


def test_a_damaged_checkpoint_alone_is_refused(finished, capsys):
    for path in CKPT.parent.iterdir():
        path.unlink()
    CKPT.write_bytes(b"")
    assert main([*QUICK, "--ckpt_path", str(CKPT)]) == 2
    assert "the newest whole one" not in capsys.readouterr().err


def test_a_training_begins_at_anothers_weights(finished, capsys):
    start = torch.load(CKPT, weights_only=True)["state_dict"]
    still = ["--model.optimizers.generator.init_args.lr", "1e-30", "--model.optimizers.discriminator.init_args.lr", "1e-30"]
    still += ["--seed_everything", "7", "--trainer.max_epochs", "1", "--run_dir", "tuned"]
    assert main([*QUICK, "--init_from", str(CKPT), *still]) == 0
    tuned = torch.load("tuned/checkpoints/last.ckpt", weights_only=True)
    assert (tuned["epoch"], tuned["global_step"]) == (0, 3)
    torch.testing.assert_close(tuned["state_dict"], start, rtol=0, atol=5e-3)
    again = ["--config", "tuned/config.yaml", "--ckpt_path", "tuned/checkpoints/last.ckpt", "--trainer.max_epochs", "2"]
    assert main(["fit", *again]) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--ckpt_path", "last"], "give one of the two"),
        (["--model.hidden", "16"], r"other weights than the model: .* is \(.*\), and \(.*\) in this GAN \(and \d+ more\)"),
        (["--init_part", "H"], "--init_part H: GAN has no network of this name"),
        (["--init_from", "nothing.ckpt"], "--init_from nothing.ckpt: there is no such checkpoint or folder"),
    ],
)
def test_other_beginnings_are_refused(more, said, finished, capsys):
    assert main([*QUICK, "--init_from", str(CKPT), *more]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert main(["test", *QUICK[1:], "--init_from", str(CKPT)]) == 2


# -- images of the stopped step ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Pix2Pix", "CycleGAN", "GAN"])
def test_the_grid_of_the_stopped_step_is_there_on_resume(name, tmp_path):
    limits: dict[str, Any] = {"max_epochs": 2, "val_check_interval": 3}
    model = build(name)
    grids = SampleGrid(n=3, every_n_steps=1, folder=tmp_path / "straight")
    run(model, Few(model, held_out=True), tmp_path, callbacks=[grids], **limits)
    model = build(name)
    stopping = [SignalAt(9), SampleGrid(n=3, every_n_steps=1, folder=tmp_path / "a"), Checkpoints(tmp_path / "stopped")]
    with pytest.raises(SystemExit):
        run(model, Few(model, held_out=True), tmp_path, callbacks=stopping, **limits)
    model = build(name)
    grids = SampleGrid(n=3, every_n_steps=1, folder=tmp_path / "b")
    last = tmp_path / "stopped" / "last.ckpt"
    run(model, Few(model, held_out=True), tmp_path, last, callbacks=[grids], **limits)
    straight = {path.name: path.read_bytes() for path in (tmp_path / "straight").iterdir()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert "step_000009.png" in again
    assert again == {image: straight[image] for image in again}
    assert {*again} == {image for image in straight if image >= "step_000009.png"}

"""N + N steps through a checkpoint are 2N straight steps, to the bit: for every model, from every kind of moment."""

import copy
import io
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from support.resuming import EveryMoment, Few, SignalAt, Validated, build, everything, run, same
from support.zoo import MODELS, SMALL

from ganzoo.callbacks import Checkpoints
from ganzoo.cli import main
from ganzoo.errors import InputError
from ganzoo.ops.image_pool import ImagePool
from ganzoo.training.ema import EMA

VARIANTS = [
    pytest.param(name, {}, id=f"{name}-plain", marks=[pytest.mark.slow] if name == "ConvolutionalGAN" else [])
    for name in MODELS
] + [
    pytest.param(name, options, id="-".join([name, *(f"{k}={v}" for k, v in options.items())]))
    for name, options in (
        ("GAN", {"k": 3, "ema_half_life": 10.0}),
        ("GAN", {"accumulate": 3, "ema_half_life": 10.0}),
        ("SimultaneousGAN", {"accumulate": 2}),
        ("Pix2Pix", {"accumulate": 2, "ema_half_life": 10.0}),
        ("DCGAN", {"ema_half_life": 10.0, "k": 2}),
        ("CycleGAN", {"ema_half_life": 10.0}),
        ("DANN", {"ema_half_life": 10.0}),
        ("LAPGAN", {"ema_half_life": 10.0, "train_level": 1}),
    )
]


def moments(options: dict[str, Any]) -> set[str]:
    """Names of checkpoints within an epoch, at its last batch, and within the next."""
    if "accumulate" in options:
        first = -(-7 // options["accumulate"])
        return {"epoch=0-step=1", f"epoch=0-step={first}", f"epoch=1-step={first + 1}"}
    return {"epoch=0-step=4", "epoch=0-step=7", "epoch=1-step=9"}


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_resumed_run_is_the_straight_run(name, options, tmp_path):
    """From within an epoch, from its last batch and from its end: two epochs of seven batches."""
    model = build(name, **options)
    straight = everything(run(model, Few(model), tmp_path, callbacks=[EveryMoment(tmp_path / "kept")]))
    chosen = [p for p in (tmp_path / "kept").glob("*.ckpt") if p.stem == "end-0" or p.stem in moments(options)]
    assert len(chosen) == 4
    for path in chosen:
        model = build(name, **options)
        assert same(straight, everything(run(model, Few(model), tmp_path, path))) == [], path.name


def test_a_run_in_double_precision_is_the_straight_run(tmp_path):
    """Lightning loads a checkpoint before it converts the module."""
    model = build("DCGAN", ema_half_life=10.0)
    options = {"precision": "64-true", "max_epochs": 2}
    straight = everything(run(model, Few(model), tmp_path, callbacks=[EveryMoment(tmp_path / "kept")], **options))
    assert model.G.layers[0].weight.dtype == torch.float64
    (path,) = (tmp_path / "kept").glob("end-0.ckpt")
    model = build("DCGAN", ema_half_life=10.0)
    assert same(straight, everything(run(model, Few(model), tmp_path, path, **options))) == []


class AtValidation(L.Callback):
    """Saves when a validation ends, and draws random numbers in it as a metric might."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        torch.rand(3)
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_from_the_end_of_a_validation(accumulate, tmp_path):
    """Within an epoch and at its end; within an accumulation window too, whose gradients are in the checkpoint."""
    model = build("DCGAN", accumulate=accumulate, ema_half_life=10.0)
    limits = {"max_epochs": 2, "val_check_interval": 3}
    data = Few(model, held_out=True)
    straight = everything(run(model, data, tmp_path, callbacks=[AtValidation(tmp_path)], **limits))
    never = build("DCGAN", accumulate=accumulate, ema_half_life=10.0)
    assert same(straight, everything(run(never, Few(never), tmp_path, max_epochs=2))) == []
    saved = sorted(tmp_path.glob("*.ckpt"))
    assert len(saved) == 4
    if accumulate == 2:
        own = [torch.load(path, weights_only=True)["ganzoo"]["own"][0]["gradients"] for path in saved]
        assert sum(bool(each) for each in own) == 2
    for path in saved:
        model = build("DCGAN", accumulate=accumulate, ema_half_life=10.0)
        again = run(model, Few(model, held_out=True), tmp_path, path, **limits)
        assert same(straight, everything(again)) == [], path.name


@pytest.mark.parametrize("steps", [3, 7, 10])
@pytest.mark.parametrize("then", [{"max_steps": 14}, {"max_epochs": 2}])
def test_a_run_that_was_cut_off_by_its_steps_goes_on(steps, then, tmp_path):
    """Lightning counts the epoch that it was cut off in as done."""
    straight, cut, again = build("GAN"), build("GAN"), build("GAN")
    a = everything(run(straight, Few(straight), tmp_path, **then))
    run(cut, Few(cut), tmp_path, callbacks=[Checkpoints(tmp_path / "cut")], max_steps=steps)
    assert same(a, everything(run(again, Few(again), tmp_path, tmp_path / "cut" / "last.ckpt", **then))) == []


@pytest.mark.parametrize("max_steps", [10, 14])
def test_limits_in_steps(max_steps, tmp_path):
    model = build("GAN")
    straight = everything(run(model, Few(model), tmp_path, callbacks=[EveryMoment(tmp_path / "kept")], max_steps=max_steps))
    kept = {path: torch.load(path, weights_only=True)["global_step"] for path in (tmp_path / "kept").glob("*.ckpt")}
    assert len(kept) == max_steps + 2
    for path in (path for path, step in kept.items() if step < max_steps):
        model = build("GAN")
        assert same(straight, everything(run(model, Few(model), tmp_path, path, max_steps=max_steps))) == [], path.name


def test_a_run_may_be_longer_than_it_was_meant_to_be(tmp_path):
    model = build("CycleGAN")
    run(model, Few(model), tmp_path, max_epochs=1).save_checkpoint(tmp_path / "done.ckpt")
    straight, longer = build("CycleGAN"), build("CycleGAN")
    a = everything(run(straight, Few(straight), tmp_path))
    assert same(a, everything(run(longer, Few(longer), tmp_path, tmp_path / "done.ckpt"))) == []


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 2), (0, 2), (2, 0)])
def test_workers_do_not_matter(before, after, tmp_path):
    model = build("CycleGAN")
    kept = [EveryMoment(tmp_path / "kept")]
    straight = everything(run(model, Few(model, num_workers=before), tmp_path, callbacks=kept))
    for name in ("epoch=0-step=4", "epoch=0-step=7", "end-0"):
        model = build("CycleGAN")
        path = tmp_path / "kept" / f"{name}.ckpt"
        assert same(straight, everything(run(model, Few(model, num_workers=after), tmp_path, path))) == [], name


@pytest.mark.parametrize(
    "when", [{}, {"val_check_interval": 3}, {"val_check_interval": 0.5}, {"check_val_every_n_epoch": 2}], ids=str
)
def test_no_validation_is_passed_over_or_repeated(when, tmp_path):
    """A step's checkpoint is written before the validation that follows it, an epoch's after it."""
    seen, model = Validated(), build("GAN")
    straight = run(
        model, Few(model, held_out=True), tmp_path, callbacks=[EveryMoment(tmp_path / "kept"), seen], max_epochs=2, **when
    )
    straight = everything(straight)
    assert seen.at
    for path in (tmp_path / "kept").glob("*.ckpt"):
        step = torch.load(path, weights_only=True)["global_step"]
        if step == 14:
            continue
        after, model = Validated(), build("GAN")
        again = run(model, Few(model, held_out=True), tmp_path, path, callbacks=[after], max_epochs=2, **when)
        assert same(straight, everything(again)) == [], path.name
        assert after.at == [at for at in seen.at if at > step or (at == step and "end" not in path.stem)], path.name


@pytest.mark.parametrize("step", [3, 5, 7])
def test_after_sigterm(step, tmp_path):
    """Within an epoch, before a validation and in an epoch's last step; the validation is made up for."""
    limits = {"max_epochs": 2, "val_check_interval": 7 if step == 7 else 3}
    seen, model = Validated(), build("CycleGAN")
    straight = everything(run(model, Few(model, held_out=True), tmp_path, callbacks=[seen], **limits))
    model = build("CycleGAN")
    stopping = [SignalAt(step), Checkpoints(tmp_path / "stopped")]
    with pytest.raises(SystemExit):
        run(model, Few(model, held_out=True), tmp_path, callbacks=stopping, **limits)
    copy.deepcopy(model)  # an interrupted module can be copied all the same
    after, model = Validated(), build("CycleGAN")
    path = tmp_path / "stopped" / "last.ckpt"
    again = run(model, Few(model, held_out=True), tmp_path, path, callbacks=[after], **limits)
    assert same(straight, everything(again)) == []
    assert after.at == [at for at in seen.at if at >= step]


class SignalAfter(L.Callback):
    """What StopOnSignal does when SIGTERM comes in this batch of an epoch, counted from 1."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer._signal_connector.received_sigterm = trainer.fit_loop.epoch_loop.batch_progress.current.ready == self.batch


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_after_sigterm_within_an_accumulation_window(batch, tmp_path):
    """Also before the first step of the run, and when the step before is saved already."""
    straight = build("GAN", accumulate=3)
    wanted = everything(run(straight, Few(straight), tmp_path))
    model = build("GAN", accumulate=3)
    stopping = [SignalAfter(batch), Checkpoints(tmp_path / "stopped", every_n_train_steps=1)]
    with pytest.raises(SystemExit):
        run(model, Few(model), tmp_path, callbacks=stopping)
    path = tmp_path / "stopped" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    assert saved["global_step"] == batch // 3
    assert saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["completed"] == batch
    model = build("GAN", accumulate=3)
    assert same(wanted, everything(run(model, Few(model), tmp_path, path))) == []


def test_ctrl_c_between_two_players_steps_keeps_the_checkpoint_before(tmp_path):
    class Interrupted(MODELS["GAN"]):
        def generator_losses(self, fake):
            if self.trainer.global_step == 10:  # the discriminator's of the tenth step is done
                raise KeyboardInterrupt
            return super().generator_losses(fake)

    torch.manual_seed(0)
    model = Interrupted(**SMALL["GAN"])
    keeper = Checkpoints(tmp_path / "kept", every_n_train_steps=4)
    with pytest.raises(SystemExit):
        run(model, Few(model), tmp_path, callbacks=[keeper])
    assert torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)["global_step"] == 8


def test_an_epoch_that_was_announced_and_not_begun(tmp_path):
    class AtStart(L.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    model = build("GAN")
    straight = everything(run(model, Few(model), tmp_path, callbacks=[AtStart()]))
    model = build("GAN")
    again = everything(run(model, Few(model), tmp_path, tmp_path / "1.ckpt"))
    again["x-axis"] = straight["x-axis"]  # Lightning counts the logger's axis one too far from such a moment
    assert same(straight, again) == []


def test_whoever_asks_for_the_loader_during_the_training_gets_all_of_it(tmp_path):
    lengths = []

    class Asks(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            lengths.append(len(list(trainer.datamodule.train_dataloader())))

    model = build("GAN")
    run(model, Few(model), tmp_path, callbacks=[Asks()], max_epochs=1)
    assert lengths == [7] * 7


# -- what must fail ----------------------------------------------------------------------------------------------------


def goes_on_exactly(model_of: Any, tmp_path: Path, data_of: Any = Few) -> bool:
    model = model_of()
    straight = everything(run(model, data_of(model), tmp_path, callbacks=[EveryMoment(tmp_path / "kept")]))
    model = model_of()
    again = run(model, data_of(model), tmp_path, tmp_path / "kept" / "epoch=0-step=4.ckpt")
    return same(straight, everything(again)) == []


def test_the_measure_itself(tmp_path):
    assert goes_on_exactly(lambda: build("CycleGAN"), tmp_path)


def test_a_model_that_forgets_its_history_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(ImagePool, "set_extra_state", lambda self, state: None)
    assert not goes_on_exactly(lambda: build("CycleGAN"), tmp_path)


def test_a_model_with_a_memory_of_its_own_is_found_out(tmp_path):
    class Forgetful(MODELS["GAN"]):
        """Blends the noise of the step before into this one's, and keeps it where no checkpoint looks."""

        last = 0.0

        def z(self, n, generator=None):
            fresh = super().z(n, generator)
            z, self.last = fresh + 0.1 * self.last, fresh
            return z

    torch.manual_seed(0)
    assert not goes_on_exactly(lambda: (torch.manual_seed(0), Forgetful(**SMALL["GAN"]))[1], tmp_path)


def test_noise_that_is_not_of_the_step_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr("ganzoo.training.module.seed_step", lambda *place: None)
    assert not goes_on_exactly(lambda: build("GAN"), tmp_path)


def test_a_loader_that_begins_the_epoch_again_is_found_out(tmp_path):
    class Again(Few):
        def train_dataloader(self):
            loader = super().train_dataloader()
            loader.sampler.begun = (0, 0)
            return loader

    assert not goes_on_exactly(lambda: build("GAN"), tmp_path, Again)


def test_an_average_that_counts_anew_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(EMA, "set_extra_state", lambda self, state: None)
    assert not goes_on_exactly(lambda: build("GAN", ema_half_life=100.0), tmp_path)


# -- what is not as it was ----------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path) -> Path:
    model = build("GAN")
    run(model, Few(model), tmp_path, callbacks=[EveryMoment(tmp_path / "kept")])
    return tmp_path / "kept"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 3}, "batch_size was 2 and is 3"),
        ({"seed": 4}, "seed was 3 and is 4"),
        ({"n": 16}, "was 15 and is 16"),
    ],
)
def test_other_data_are_refused_within_an_epoch_and_told_at_its_end(change, said, kept, tmp_path, capsys):
    model = build("GAN")
    with pytest.raises(InputError, match=f"within an epoch, and data.*{said}.*from a checkpoint at the end of an epoch"):
        run(model, Few(model, **change), tmp_path, kept / "epoch=0-step=4.ckpt")
    capsys.readouterr()
    run(model, Few(model, **change), tmp_path, kept / "end-0.ckpt")
    told = capsys.readouterr().err
    assert "changed since the checkpoint: data." in told
    assert said in told


def test_another_data_module_is_refused_within_an_epoch(kept, tmp_path):
    class Others(Few):
        pass

    model = build("GAN")
    with pytest.raises(InputError, match=r"run.data was Few and is .*Others"):
        run(model, Others(model), tmp_path, kept / "epoch=0-step=4.ckpt")
    run(model, Others(model), tmp_path, kept / "epoch=0-step=7.ckpt")


def test_a_changed_setting_of_the_model_holds_and_is_told(kept, tmp_path, capsys):
    model = build("GAN", momentum=0.6)
    run(model, Few(model), tmp_path, kept / "epoch=0-step=4.ckpt")
    assert "changed since the checkpoint: model.momentum was 0.5 and is 0.6" in capsys.readouterr().err


def test_nothing_is_told_where_nothing_has_changed(kept, tmp_path, capsys):
    model = build("GAN")
    run(model, Few(model), tmp_path, kept / "epoch=0-step=4.ckpt")
    assert "ganzoo:" not in capsys.readouterr().err


def test_a_newer_checkpoint_is_refused(kept, tmp_path):
    path = kept / "end-0.ckpt"
    saved = torch.load(path, weights_only=True)
    saved["ganzoo"].update(format=2, version="9.0")
    torch.save(saved, path)
    model = build("GAN")
    with pytest.raises(InputError, match=r"written by ganzoo 9\.0, which writes more than this ganzoo"):
        run(model, Few(model), tmp_path, path)
    with pytest.raises(InputError, match=r"ganzoo 9\.0"):
        MODELS["GAN"].load_from_checkpoint(path)


def test_a_checkpoint_without_ganzoos_record_goes_on_with_a_word(kept, tmp_path, capsys):
    path = kept / "end-0.ckpt"
    saved = torch.load(path, weights_only=True)
    del saved["ganzoo"]
    torch.save(saved, path)
    model = build("GAN")
    assert run(model, Few(model), tmp_path, path).global_step == 14
    assert "random numbers restart" in capsys.readouterr().err


def test_weights_only_are_not_gone_on_with(tmp_path):
    model = build("GAN")
    run(model, Few(model), tmp_path).save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    model = build("GAN")
    with pytest.raises(InputError, match="holds weights only"):
        run(model, Few(model), tmp_path, tmp_path / "weights.ckpt")


def test_overfitting_goes_on_from_an_epochs_end_only(tmp_path):
    model = build("GAN")
    run(model, Few(model), tmp_path, callbacks=[EveryMoment(tmp_path / "few")], max_epochs=2, overfit_batches=3)
    model = build("GAN")
    with pytest.raises(InputError, match="overfit_batches a run can be resumed from the end of an epoch only"):
        run(model, Few(model), tmp_path, tmp_path / "few" / "epoch=0-step=2.ckpt", overfit_batches=3, max_epochs=2)


def test_another_optimizer_in_the_code_is_refused(kept, tmp_path, monkeypatch):
    def other(self, player, parameters):
        return torch.optim.RMSprop(parameters, lr=1e-3, momentum=0.5)

    model = build("GAN")
    monkeypatch.setattr(type(model), "player_optimizer", other)
    with pytest.raises(InputError, match=r"trained by .*SGD.* and the players have .*RMSprop"):
        run(model, Few(model), tmp_path, kept / "end-0.ckpt")


def test_a_list_is_no_other_setting_than_a_tuple(kept, tmp_path, capsys):
    model = build("GAN", shape=[1, 8, 8])
    run(model, Few(model), tmp_path, kept / "end-0.ckpt")
    assert "not as in" not in capsys.readouterr().err


def test_other_hooks_that_forget_super_are_named(kept, tmp_path):
    class Unrecalled(MODELS["GAN"]):
        def on_load_checkpoint(self, checkpoint):
            pass

    class Unclipped(MODELS["GAN"]):
        def on_before_optimizer_step(self, optimizer):
            pass

    model = Unrecalled(**SMALL["GAN"])
    with pytest.raises(RuntimeError, match="on_load_checkpoint of Unrecalled does not call super"):
        run(model, Few(model), tmp_path, kept / "end-0.ckpt")
    model = Unclipped(**SMALL["GAN"], clip_norm={"generator": 1.0})
    with pytest.raises(RuntimeError, match="on_before_optimizer_step of Unclipped does not call super"):
        run(model, Few(model), tmp_path)


def test_a_hook_that_forgets_super_is_named(tmp_path):
    class Deaf(MODELS["GAN"]):
        def on_train_batch_start(self, batch, batch_idx):
            pass

    model = Deaf(**SMALL["GAN"])
    with pytest.raises(RuntimeError, match="on_train_batch_start of Deaf does not call super"):
        run(model, Few(model), tmp_path)


@pytest.mark.parametrize("limit", [["--trainer.max_epochs", "1"], ["--trainer.max_steps", "20"]])
def test_the_documented_way(limit, tmp_path, monkeypatch):
    """``ganzoo fit --config ... --ckpt_path last``, from an epoch's end and from within one, with an average."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout", io.StringIO())

    def fit(*more: str) -> dict[str, Any]:
        quick = ["--trainer.accelerator", "cpu", "--trainer.limit_train_batches", "13", "--trainer.limit_val_batches", "1"]
        torch.manual_seed(len(more))
        assert main(["fit", "--config", "gan_digits", "--model.ema_half_life", "500", *quick, *more]) == 0
        newest = max(Path("runs/gan_digits").glob("version_*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        return torch.load(newest, weights_only=True)

    straight = fit("--trainer.max_epochs", "2")
    fit(*limit)
    resumed = fit("--trainer.max_epochs", "2", "--ckpt_path", "last")
    assert straight["global_step"] == resumed["global_step"] == 26
    for what in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(straight[what], resumed[what], what) == []

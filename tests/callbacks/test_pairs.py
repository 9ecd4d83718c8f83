"""PairedQuality: the values are those of the whole set, each image once; looking changes nothing."""

from math import inf, isnan
from typing import Any, NamedTuple

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from support.torchrun import two_of_a_trainer
from support.training import Rows, trainer
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, SequentialSampler

from ganzoo.adversarial import AdversarialModule
from ganzoo.callbacks import pairs
from ganzoo.callbacks.pairs import PairedQuality, shown_once
from ganzoo.errors import InputError
from ganzoo.interfaces import Cycled, Translated
from ganzoo.metrics.paired import MEASURES, Paired
from ganzoo.utils.images import to_uint8

SIDE = 12


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


def rows(n: int = 7, side: int = SIDE, seed: int = 0) -> list[Pair]:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, side, side, generator=g) * 2 - 1
    # each pair another distance, so that an image too many or too few shows
    y = (x + torch.linspace(0.05, 0.9, n).view(-1, 1, 1, 1) * torch.randn(x.shape, generator=g)).clamp(-1, 1)
    return [Pair(*row) for row in zip(x, y, strict=True)]


class Translates(AdversarialModule):
    """A pix2pix of one scale and one dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.G = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(0.2), nn.Tanh())

    def players(self):
        return {"generator": [self.G]}

    def training_step(self, batch, batch_idx):
        with self.turn("generator") as descend:
            descend({"l1": (self.G(batch.x) - batch.y).abs().mean()})

    def validation_step(self, batch, batch_idx, dataloader_idx=0) -> Any:
        return Translated(batch.x, batch.x.clone(), batch.y)

    def test_step(self, batch, batch_idx):
        return self.validation_step(batch, batch_idx)


class There(Translates):
    """Logs a value of a name that the callback has, too."""

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val/l1", torch.tensor(5.0), batch_size=len(batch.x), prog_bar=True, sync_dist=True)
        return super().validation_step(batch, batch_idx)


class Cycles(Translates):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return Cycled(batch.x, batch.x / 2, batch.x, batch.y, batch.y, batch.y)


class Broken(Translates):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        output = batch.x.clone()
        output[0, 0, 0, 0] = torch.nan if batch_idx == 1 else 0
        return Translated(batch.x, output, batch.y)


def data(n: int = 7, batch_size: int = 3, side: int = SIDE) -> DataLoader:
    return DataLoader(Rows(rows(n, side)), batch_size)


def expected(n: int = 7, side: int = SIDE, scale: float = 1.0) -> Paired:
    found, each = Paired({name: m for name, m in MEASURES.items() if side > 10 or name != "ssim"}), rows(n, side)
    found.update(*(to_uint8(torch.stack(column)) for column in ([scale * r.x for r in each], [r.y for r in each])))
    return found


def validated(module: L.LightningModule, tmp_path, loader: Any, callback: PairedQuality | None = None, **options) -> dict:
    played = trainer(tmp_path, callbacks=[callback or PairedQuality()], **options)
    played.validate(module, loader, verbose=False)
    return {name: float(value) for name, value in played.callback_metrics.items()}


# -- what is logged ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_the_values_are_those_of_all_images(tmp_path, batch_size):
    found = validated(Translates(), tmp_path, data(batch_size=batch_size))
    assert set(found) == {"val/l1", "val/psnr", "val/ssim"}
    for name, score in expected().scores().items():
        assert found[f"val/{name}"] == pytest.approx(score.mean), name


def test_testing_adds_standard_errors(tmp_path):
    played = trainer(tmp_path, callbacks=[PairedQuality()])
    played.test(Translates(), data(), verbose=False)
    for name, score in expected().scores().items():
        assert float(played.callback_metrics[f"test/{name}"]) == pytest.approx(score.mean), name
        assert float(played.callback_metrics[f"test/{name}_error"]) == pytest.approx(score.error), name


def test_each_validation_begins_anew(tmp_path):
    """Also on the second of two processes, whose images are told from repetitions by how many it was shown."""
    loader = DataLoader(Rows(rows()), 2, sampler=DistributedSampler(range(7), 2, 1, shuffle=False))
    played = trainer(tmp_path, callbacks=[PairedQuality()], use_distributed_sampler=False)
    mine = Paired()
    mine.update(*(to_uint8(torch.stack(column)) for column in zip(*rows()[1::2], strict=True)))
    for module in (Translates(), Broken(), Translates()):
        played.validate(module, loader, verbose=False)
        value = float(played.callback_metrics["val/l1"])
        assert isnan(value) if isinstance(module, Broken) else value == pytest.approx(mine.scores()["l1"].mean)


def test_a_value_of_the_modules_own_gives_way(tmp_path):
    played = trainer(tmp_path, callbacks=[PairedQuality()], max_epochs=2, logger=CSVLogger(tmp_path), log_every_n_steps=1)
    played.fit(There(), data(), data())
    wanted = expected().scores()["l1"].mean
    assert float(played.callback_metrics["val/l1"]) == pytest.approx(wanted)
    written = (tmp_path / "lightning_logs/version_0/metrics.csv").read_text().splitlines()
    column = written[0].split(",").index("val/l1")
    values = [line.split(",")[column] for line in written[1:]]
    assert [float(value) for value in values if value] == pytest.approx([wanted, wanted])


def test_a_checkpoint_can_be_chosen_by_it(tmp_path):
    kept = ModelCheckpoint(tmp_path, monitor="val/ssim", mode="max")
    played = trainer(tmp_path, callbacks=[PairedQuality(), kept], enable_checkpointing=True, max_epochs=2)
    played.fit(Translates(), data(), data())
    assert float(kept.best_model_score) == pytest.approx(expected().scores()["ssim"].mean)
    assert not any("lpips" in name for name in torch.load(kept.best_model_path, weights_only=True)["state_dict"])


def test_a_cycle_is_measured_only_where_its_data_are_pairs(tmp_path):
    assert validated(Cycles(), tmp_path, data()) == {}
    found = validated(Cycles(), tmp_path, data(), PairedQuality(truth=True))
    assert set(found) == {f"val/{way}{name}" for way in ("", "back_") for name in MEASURES}
    assert found["val/l1"] == pytest.approx(expected(scale=0.5).scores()["l1"].mean)
    # fake_x is y here, and its truth x: the distance is the same from either side
    assert found["val/back_l1"] == pytest.approx(expected().scores()["l1"].mean)


def test_several_loaders_have_a_value_each(tmp_path):
    found = validated(Translates(), tmp_path, [data(), data(5, 2)])
    for number, n in enumerate((7, 5)):
        for name, score in expected(n).scores().items():
            assert found[f"val/{name}/dataloader_idx_{number}"] == pytest.approx(score.mean), name
    assert len(found) == 6


def test_small_images_have_no_ssim_and_that_is_said(tmp_path, capsys):
    found = validated(Translates(), tmp_path, data(side=8))
    assert set(found) == {"val/l1", "val/psnr"}
    assert found["val/psnr"] == pytest.approx(expected(side=8).scores()["psnr"].mean)
    assert capsys.readouterr().err.count("have no SSIM") == 1


def test_broken_images_are_nan_and_do_not_end_the_training(tmp_path):
    found = validated(Broken(), tmp_path, data())
    assert len(found) == 3
    assert all(isnan(value) for value in found.values())


def test_a_image_that_is_its_truth_has_an_infinite_psnr(tmp_path):
    x = torch.zeros(2, 1, SIDE, SIDE)
    loader = DataLoader(Rows([Pair(x[0], x[0]), Pair(x[1], x[1] + 0.5)]), 2)
    assert validated(Translates(), tmp_path, loader)["val/psnr"] == inf


def test_a_module_that_translates_nothing_is_left_alone(tmp_path):
    class Other(Translates):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return batch.x.mean()

    assert validated(Other(), tmp_path, data()) == {}


def test_unpaired_images_are_refused_in_a_line(tmp_path):
    class Unlike(Cycles):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return super().validation_step(batch, batch_idx)._replace(y=batch.y[:1])

    with pytest.raises(InputError, match="are these pairs"):
        validated(Unlike(), tmp_path, data(), PairedQuality(truth=True))


def test_lpips_is_asked_for_once(tmp_path, monkeypatch):
    asked = []

    def fake(net):
        asked.append(net)
        return lambda output, truth: (output.double() - truth.double()).flatten(1).mean(1)

    monkeypatch.setattr(pairs, "LPIPS", fake)
    callback = PairedQuality(lpips=True, net="vgg")
    found = validated(Translates(), tmp_path, data(), callback)
    each = rows()
    x, y = (to_uint8(torch.stack(column)).double() for column in zip(*each, strict=True))
    assert found["val/lpips"] == pytest.approx((x - y).mean().item(), abs=1e-4)
    validated(Translates(), tmp_path, data(), callback)
    assert asked == ["vgg"]


def test_missing_weights_of_lpips_are_a_line_before_the_training(tmp_path, monkeypatch):
    def none(net):
        raise InputError("LPIPS needs the weights of alexnet")

    monkeypatch.setattr(pairs, "LPIPS", none)
    module = Translates()
    with pytest.raises(InputError, match="LPIPS needs"):
        trainer(tmp_path, callbacks=[PairedQuality(lpips=True)]).fit(module, data(), data())
    assert module.global_step == 0


# -- what it must not do -----------------------------------------------------------------------------------------------


def test_looking_does_not_change_the_training(tmp_path):
    runs = []
    for callbacks in ([], [PairedQuality()]):
        torch.manual_seed(0)
        module = Translates()
        played = trainer(tmp_path, callbacks=callbacks, max_epochs=3, num_sanity_val_steps=2)
        played.fit(module, data(), data())
        runs.append((module.state_dict(), torch.get_rng_state()))
    for name, value in runs[0][0].items():
        assert torch.equal(runs[1][0][name], value), name
    assert torch.equal(runs[0][1], runs[1][1])


def test_the_sanity_check_logs_nothing(tmp_path):
    seen = []

    class Watch(L.Callback):
        def on_sanity_check_end(self, trainer, pl_module):
            seen.append(dict(trainer.callback_metrics))

    played = trainer(tmp_path, callbacks=[PairedQuality(), Watch()], max_epochs=1, num_sanity_val_steps=1)
    played.fit(Translates(), data(), data())
    assert seen == [{}]
    assert float(played.callback_metrics["val/l1"]) == pytest.approx(expected().scores()["l1"].mean)


# -- several processes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "processes"), [(7, 2), (8, 2), (7, 3), (1, 4), (10, 4)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_each_image_is_shown_once(n, processes, shuffle):
    class Wrapped(BatchSampler):
        pass

    for batched in (False, True):
        seen: list[int] = []
        for rank in range(processes):
            sampler = DistributedSampler(range(n), processes, rank, shuffle=shuffle, seed=1)
            how = {"batch_sampler": Wrapped(sampler, 2, False)} if batched else {"batch_size": 2, "sampler": sampler}
            loader, first = DataLoader(torch.arange(n), **how), 0
            for batch in loader:
                once = shown_once(loader, first, len(batch))
                seen += batch[once].tolist()
                first += len(batch)
        assert sorted(seen) == list(range(n))


def test_one_process_shows_all():
    assert shown_once(DataLoader(range(5), 2), 4, 1).tolist() == [True]
    assert shown_once(DataLoader(range(5), batch_sampler=BatchSampler(SequentialSampler(range(5)), 2, False)), 0, 2).all()
    assert shown_once([1, 2], 0, 2).all()  # anything may be a loader


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path):
    """Seven images on two processes: Lightning shows the first one twice. Of one, the second process has no other."""
    found = validated(There(), tmp_path, data(1, 2), **two_of_a_trainer())
    for name, score in expected(1).scores().items():
        assert found[f"val/{name}"] == pytest.approx(score.mean), name
    played = trainer(tmp_path, callbacks=[PairedQuality()], **two_of_a_trainer())
    played.test(Translates(), data(7, 2), verbose=False)
    for name, score in expected(7).scores().items():
        assert float(played.callback_metrics[f"test/{name}"]) == pytest.approx(score.mean), name
        assert float(played.callback_metrics[f"test/{name}_error"]) == pytest.approx(score.error), name

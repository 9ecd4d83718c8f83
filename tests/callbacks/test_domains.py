"""DomainAdaptation: what it logs and draws, that it never reads the target's labels, and that looking changes nothing."""

import random
import warnings
from math import log
from typing import NamedTuple

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from support.torchrun import two_of_a_trainer
from support.training import Rows, trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ganzoo.adversarial import AdversarialModule
from ganzoo.callbacks.domains import COLOURS, PANEL, DomainAdaptation, projected, side_by_side
from ganzoo.errors import InputError
from ganzoo.interfaces import Adapted
from ganzoo.metrics.domains import information_maximisation, mean_entropy, proxy_a_distance

K = 3


class Sample(NamedTuple):
    x: Tensor
    y: Tensor


def domain(shift: float, n: int = 40, seed: int = 0) -> list[Sample]:
    """Three classes on three corners, moved along the last axis."""
    noise = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed)) * 0.3
    y = torch.arange(n) % K
    x = noise + 3 * nn.functional.one_hot(y, 5).float()
    x[:, 4] += shift
    return [Sample(*row) for row in zip(x, y, strict=True)]


class Adapts(AdversarialModule):
    """A linear DANN in small, with dropout and noise that a careless look would disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Linear(5, 6), nn.Dropout(0.2), nn.BatchNorm1d(6))
        self.label, self.domain = nn.Linear(6, K), nn.Linear(6, 1)
        self.records: list[tuple[int, Adapted]] = []
        self.hide = False

    def players(self):
        return {"features": [self.f], "label": [self.label], "domain": [self.domain]}

    def training_step(self, batch, batch_idx):
        with self.turn("features", "label", "domain") as descend:
            f = self.f(batch.x + 0.1 * torch.randn_like(batch.x))
            descend({"label": nn.functional.cross_entropy(self.label(f), batch.y), "domain": self.domain(f).square().mean()})

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        f = self.f(batch.x)
        y = torch.full_like(batch.y, -1) if self.hide and dataloader_idx == 1 else batch.y
        record = Adapted(f, self.label(f), self.domain(f).squeeze(1), y)
        if not self.trainer.sanity_checking:
            self.records.append((dataloader_idx, record))
        return record

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        return self.validation_step(batch, batch_idx, dataloader_idx)

    def last(self, number: int, name: str) -> Tensor:
        """What the last validation returned of a domain."""
        epoch = [record for at, record in self.records if at == number][-4:]
        return torch.cat([getattr(record, name) for record in epoch]).detach()


class TwoLoaders(L.LightningDataModule):
    def __init__(self, source: list[Sample], target: list[Sample]) -> None:
        super().__init__()
        self.source, self.target = source, target

    def train_dataloader(self):
        return DataLoader(Rows(self.source), 10, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(0))

    def val_dataloader(self):
        return [DataLoader(Rows(rows), 10) for rows in (self.source, self.target)]

    test_dataloader = val_dataloader


def fit(module, tmp_path, *callbacks, source=None, target=None, ckpt_path=None, **options) -> L.Trainer:
    played = trainer(tmp_path, **{"callbacks": list(callbacks), "max_epochs": 2, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = TwoLoaders(source or domain(0), target or domain(2, seed=1))
        played.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    return played


def built(hide: bool = False) -> Adapts:
    torch.manual_seed(0)
    module = Adapts()
    module.hide = hide
    return module


def image_files(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "images").iterdir())


# -- what is logged ----------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_whole_validation(tmp_path):
    module = built()
    played = fit(module, tmp_path, DomainAdaptation())
    logged = {name: float(value) for name, value in played.callback_metrics.items() if name.startswith("val/")}
    source, target = module.last(0, "features"), module.last(1, "features")
    assert len(source) == len(target) == 40
    logits = module.last(1, "logits")
    assert logged["val/target_entropy"] == pytest.approx(mean_entropy(logits), abs=1e-5)
    assert logged["val/target_information"] == pytest.approx(information_maximisation(logits), abs=1e-5)
    # which halves are drawn depends on the order of the images; over many draws the distances agree
    found = np.mean([proxy_a_distance(source, target, seed) for seed in range(20)])
    assert logged["val/proxy_a_distance"] == pytest.approx(found, abs=0.5)
    assert set(logged) == {
        "val/proxy_a_distance",
        "val/target_entropy",
        "val/target_information",
        "val/select_entropy",
        "val/select_information",
    }


@pytest.mark.parametrize(("least", "opened"), [(0.0, True), (1.0, False)])
def test_the_gate_is_the_sources_accuracy(tmp_path, least, opened):
    module = built()
    played = fit(module, tmp_path, DomainAdaptation(least_source_accuracy=least), max_epochs=1)
    logged = played.callback_metrics
    accuracy = (module.last(0, "logits").argmax(1) == module.last(0, "y")).double().mean()
    assert 0 < accuracy < 1
    for score, worst in (("entropy", log(K)), ("information", 0)):
        wanted = float(logged[f"val/target_{score}"]) if opened else worst
        assert float(logged[f"val/select_{score}"]) == pytest.approx(wanted, abs=1e-6)
    exactly = fit(built(), tmp_path, DomainAdaptation(least_source_accuracy=accuracy.item()), max_epochs=1)
    assert exactly.callback_metrics["val/select_entropy"] == exactly.callback_metrics["val/target_entropy"]


def test_a_checkpoint_can_be_chosen_by_the_scores(tmp_path):
    keep = [
        ModelCheckpoint(tmp_path / mode, monitor=f"val/select_{score}", mode=mode, save_top_k=1)
        for score, mode in (("entropy", "min"), ("information", "max"))
    ]
    fit(built(), tmp_path, DomainAdaptation(least_source_accuracy=0), *keep, enable_checkpointing=True, max_epochs=3)
    for each in keep:
        assert each.best_model_score is not None
        assert each.best_model_path


def test_the_targets_labels_are_never_read(tmp_path):
    """Shuffled, or unknown: not a number and not a pixel changes."""
    target = domain(2, seed=1)
    wrong = [sample._replace(y=(sample.y + 1) % K) for sample in target]
    runs = []
    for name, rows, hide in (("right", target, False), ("wrong", wrong, False), ("unknown", target, True)):
        played = fit(built(hide), tmp_path / name, DomainAdaptation(least_source_accuracy=0), target=rows)
        image = (tmp_path / name / "images" / "embedding.png").read_bytes()
        runs.append(({k: float(v) for k, v in played.callback_metrics.items() if k.startswith("val/")}, image))
    assert runs[0] == runs[1] == runs[2]


def test_a_source_without_labels_keeps_the_gate_shut(tmp_path):
    unlabelled = [sample._replace(y=torch.tensor(-1)) for sample in domain(0)]

    class Untrained(Adapts):
        def training_step(self, batch, batch_idx):
            with self.turn("features", "label", "domain") as descend:
                descend({"all": self.domain(self.f(batch.x)).square().mean() + self.label.weight.sum()})

    played = fit(Untrained(), tmp_path, DomainAdaptation(least_source_accuracy=0), source=unlabelled)
    assert float(played.callback_metrics["val/select_information"]) == 0
    assert float(played.callback_metrics["val/select_entropy"]) == pytest.approx(log(K))


def test_testing_logs_too(tmp_path):
    played = trainer(tmp_path, callbacks=[DomainAdaptation()])
    played.test(built(), TwoLoaders(domain(0), domain(2, seed=1)), verbose=False)
    assert {name for name in played.callback_metrics if name.startswith("test/")} == {
        "test/proxy_a_distance",
        "test/target_entropy",
        "test/target_information",
    }
    assert image_files(tmp_path) == ["embedding.png", "embedding_test.png"]


def test_the_features_that_are_kept_are_a_random_choice_of_all(tmp_path):
    """Folders come class by class: the first n would be of one class."""
    ordered = [
        Sample(torch.full((5,), float(i)) + torch.randn(5, generator=torch.Generator().manual_seed(i)), torch.tensor(0))
        for i in range(200)
    ]

    class Keeps(DomainAdaptation):
        def close(self, trainer, module):
            if not trainer.sanity_checking:
                self.kept = self._now
            super().close(trainer, module)

    class Shows(Adapts):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return super().validation_step(batch, batch_idx, dataloader_idx)._replace(features=batch.x)

    callback = Keeps(n=50)
    fit(Shows(), tmp_path, callback, source=ordered, target=ordered, max_epochs=1)
    source, target = callback.kept
    assert source.shape == target.shape == (50, 5)
    assert torch.equal(source, target)
    number = source.mean(1).round().long()
    assert (number < 100).float().mean() == pytest.approx(0.5, abs=0.2)
    assert number.diff().sign().abs().sum() > 0
    assert len(number.unique()) > 35


def test_few_images_and_broken_features_do_not_end_the_training(tmp_path):
    class Breaks(Adapts):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            record = super().validation_step(batch, batch_idx, dataloader_idx)
            return record._replace(features=record.features * torch.nan, logits=record.logits * torch.nan)

    few = fit(built(), tmp_path, DomainAdaptation(), source=domain(0, 11), target=domain(1, 11), max_epochs=1)
    assert "val/target_entropy" in few.callback_metrics
    assert "val/proxy_a_distance" not in few.callback_metrics
    logged = fit(Breaks(), tmp_path / "nan", DomainAdaptation(), max_epochs=1).callback_metrics
    assert logged["val/proxy_a_distance"].isnan()
    assert float(logged["val/select_information"]) == 0
    assert float(logged["val/select_entropy"]) == pytest.approx(log(K))
    assert not (tmp_path / "nan" / "images").exists()


class Plain(Adapts):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return None


def test_a_module_that_adapts_nothing_is_left_alone(tmp_path):
    played = fit(Plain(), tmp_path, DomainAdaptation())
    assert not any(name.startswith("val/") for name in played.callback_metrics)
    assert not (tmp_path / "images").exists()


def test_looking_does_not_change_the_training(tmp_path):
    runs = {}
    for name, callbacks in {"without": [], "with": [DomainAdaptation(tsne=True, points=30)]}.items():
        random.seed(0)
        np.random.seed(0)
        module = built()
        fit(module, tmp_path / name, *callbacks, num_sanity_val_steps=2)
        runs[name] = module.state_dict(), torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    looked, unseen = runs["with"], runs["without"]
    for name, value in unseen[0].items():
        assert torch.equal(looked[0][name], value), name
    assert torch.equal(looked[1], unseen[1])
    assert looked[2:] == unseen[2:]
    assert len(image_files(tmp_path / "with")) == 3


# -- the image -------------------------------------------------------------------------------------------------------


def panels(tmp_path, name: str) -> int:
    with Image.open(tmp_path / "images" / name) as image:
        assert image.height == PANEL + 44
        return image.width // PANEL


def test_before_and_after_stand_side_by_side(tmp_path):
    callback = DomainAdaptation()
    fit(built(), tmp_path, callback, num_sanity_val_steps=4)
    assert image_files(tmp_path) == ["embedding.png", "embedding_step_000004.png", "embedding_step_000008.png"]
    assert callback.state_dict()["step"] == 0
    assert [panels(tmp_path, name) for name in image_files(tmp_path)] == [2, 2, 2]
    newest = (tmp_path / "images" / "embedding.png").read_bytes()
    assert newest == (tmp_path / "images" / "embedding_step_000008.png").read_bytes()


def test_without_a_sanity_check_the_first_validation_stands_alone(tmp_path):
    callback = DomainAdaptation()
    fit(built(), tmp_path, callback)
    assert [panels(tmp_path, f"embedding_step_{step:06d}.png") for step in (4, 8)] == [1, 2]
    assert callback.state_dict()["step"] == 4


def test_the_left_panel_survives_resuming(tmp_path):
    callback = DomainAdaptation()
    played = fit(built(), tmp_path, callback, num_sanity_val_steps=4)
    played.save_checkpoint(tmp_path / "kept.ckpt")
    first = callback.state_dict()
    assert torch.load(tmp_path / "kept.ckpt", weights_only=True)["callbacks"]
    again = DomainAdaptation()
    fit(Adapts(), tmp_path, again, max_epochs=3, num_sanity_val_steps=4, ckpt_path=tmp_path / "kept.ckpt")
    assert again.state_dict()["step"] == 0
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict()["points"], first["points"], strict=True))
    # but a new fit begins anew
    fit(built(), tmp_path / "new", again)
    assert again.state_dict()["step"] == 4


def test_fast_dev_run_writes_nothing(tmp_path):
    fit(built(), tmp_path, DomainAdaptation(), fast_dev_run=True)
    assert not (tmp_path / "images").exists()


def test_the_logger_gets_the_image(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    fit(built(), tmp_path, DomainAdaptation(), logger=logger)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert [event.step for event in events.Images("embedding")] == [4, 8]
    assert (tmp_path / "lightning_logs" / "version_0" / "images" / "embedding.png").is_file()


def test_two_components_keep_the_plane_that_holds_the_points():
    """Points of a plane in ten dimensions come out with their distances, and the domains in their order."""
    g = torch.Generator().manual_seed(0)
    flat = torch.randn(30, 2, generator=g) * torch.tensor([5.0, 1.0])
    basis = torch.linalg.qr(torch.randn(10, 2, generator=g))[0]
    source, target = projected([flat[:10] @ basis.T + 7, flat[10:] @ basis.T + 7], tsne=False, seed=0)
    assert (len(source), len(target)) == (10, 20)
    assert torch.allclose(torch.pdist(torch.cat([source, target])), torch.pdist(flat), atol=1e-4)
    assert source[:, 0].std() > 2 * source[:, 1].std()  # the broad axis is across
    (line,) = projected([flat[:, :1]], tsne=False, seed=0)
    assert line.shape == (30, 2)


@pytest.mark.parametrize("tsne", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_projection_keeps_far_groups_apart_and_is_the_same_again(tsne):
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(60, 20, generator=g), torch.randn(60, 20, generator=g) + 10
    first, second = projected([a, b], tsne, 0), projected([a, b], tsne, 0)
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))
    centres = torch.stack([part.mean(0) for part in first])
    assert torch.cdist(torch.cat(first), centres).argmin(1).tolist() == [0] * 60 + [1] * 60


def test_the_source_is_blue_and_the_target_red():
    source, target = torch.tensor([[-1.0, 0.0]] * 3), torch.tensor([[1.0, 0.0]] * 3)
    board = np.asarray(side_by_side([("a title", [source, target])])).astype(int)
    assert board.shape == (PANEL + 44, PANEL, 3)
    row = board[24 + PANEL // 2]
    for colour, left in zip(COLOURS, (True, False), strict=True):
        (columns,) = np.nonzero((row == colour).all(1))
        assert len(columns) > 2
        assert ((columns < PANEL / 2) == left).all()


@pytest.mark.parametrize("wrong", [{"n": 11}, {"points": 0}, {"least_source_accuracy": 1.1}, {"seed": -1}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        DomainAdaptation(**wrong)


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path):
    """38 images of the source and 26 of the target, whose features and logits the two processes hold by halves."""
    module, data = built(), TwoLoaders(domain(0, 38), domain(0.5, 26, seed=1))
    alone = trainer(tmp_path, callbacks=[DomainAdaptation(least_source_accuracy=0.2)])
    alone.validate(module, data, verbose=False)
    module.records.clear()
    shared = trainer(tmp_path, callbacks=[DomainAdaptation(least_source_accuracy=0.2)], **two_of_a_trainer())
    shared.validate(module, data, verbose=False)
    ours, theirs = alone.callback_metrics, shared.callback_metrics
    for name in ("target_entropy", "target_information", "select_entropy", "select_information"):
        assert float(theirs[f"val/{name}"]) == pytest.approx(float(ours[f"val/{name}"]), abs=1e-5), name
    assert float(theirs["val/proxy_a_distance"]) == pytest.approx(float(ours["val/proxy_a_distance"]), abs=0.8)
    assert image_files(tmp_path) == ["embedding.png", "embedding_validate.png"]

"""Sample grids: what is on them, when, and that looking changes nothing."""

from typing import NamedTuple

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from PIL import Image
from support.training import fit, loader
from torch import Tensor, nn

from ganzoo.adversarial import AdversarialModule
from ganzoo.callbacks import SampleGrid
from ganzoo.errors import InputError
from ganzoo.interfaces import CascadeSampler, Cycled, CycleTranslator, Sampler, Translated, Translator
from ganzoo.noises import Normal
from ganzoo.utils.image_grid import GAP, grid

BATCHES = 4  # in an epoch


class Play(AdversarialModule):
    """Two players with everything that looking could disturb: noise, dropout, running statistics, a frozen part."""

    def __init__(self) -> None:
        super().__init__()
        self.G = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 4))
        self.D = nn.Linear(4, 1)
        self.modes: list[list[bool]] = []

    def players(self):
        return {"generator": [self.G], "discriminator": [self.D]}

    def training_step(self, batch, batch_idx):
        self.modes.append([part.training for part in self.modules()])
        fake = self.G(torch.randn(len(batch[0]), 3))
        with self.turn("discriminator") as descend:
            descend({"gan": self.D(fake.detach()).mean() - self.D(batch[0].flatten(1)[:, :4]).mean()})
        with self.turn("generator") as descend:
            descend({"gan": -self.D(fake).mean()})


class Samples(Play, Sampler):
    def __init__(self, classes: int | None = None) -> None:
        super().__init__()
        self.classes = classes
        self.asked: list[tuple[int, list[int] | None, float, bool]] = []

    def sample(self, n, y=None, generator=None):
        z = torch.randn(n, 3, generator=generator)
        self.asked.append((n, None if y is None else y.tolist(), z.sum().item(), torch.is_grad_enabled()))
        torch.rand(1)  # a careless model draws from the common stream too
        return self.G(z).tanh().view(n, 1, 2, 2)


class Pair(NamedTuple):
    grey: Tensor
    colour: Tensor


class Translates(Play, Translator):
    def translate(self, x):
        torch.rand(1)
        return -x

    def validation_step(self, batch, batch_idx):
        return Translated(batch.grey, self.translate(batch.grey), batch.colour)


def train(module: L.LightningModule, tmp_path, *callbacks, **options) -> L.Trainer:
    torch.manual_seed(1)
    if isinstance(module, Translator):
        grey = torch.linspace(-1, 1, 8 * 16).view(8, 1, 4, 4)
        colour = grey.expand(-1, 3, -1, -1) * torch.tensor([1.0, 0, -1]).view(3, 1, 1)
        data = loader(grey, colour, batch_size=2, kind=Pair)
        module.val_dataloader = lambda: data
    else:
        data = loader(torch.rand(8, 4), batch_size=2)
    return fit(module, data, tmp_path, callbacks=list(callbacks), max_epochs=2, **options)


def image_files(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "images").iterdir())


@pytest.mark.parametrize("make", [Samples, lambda: Samples(classes=3), Translates])
def test_looking_does_not_change_the_training(tmp_path, make):
    runs = {}
    for name, callbacks in {"without": [], "with": [SampleGrid(every_n_steps=1)]}.items():
        torch.manual_seed(0)
        module = make()
        module.G[0].eval()  # a network's own mode is its own
        train(module, tmp_path / name, *callbacks, num_sanity_val_steps=2)
        runs[name] = module, torch.get_rng_state()
    looked, unseen = runs["with"][0], runs["without"][0]
    assert len(image_files(tmp_path / "with")) == 2 * BATCHES + 1
    assert looked.modes == unseen.modes
    for name, value in unseen.state_dict().items():
        assert torch.equal(looked.state_dict()[name], value), name
    assert torch.equal(runs["with"][1], runs["without"][1])


def test_when(tmp_path):
    def drawn(name: str, **options) -> list[int]:
        train(Samples(), tmp_path / name, SampleGrid(**options))
        return [int(file.removeprefix("step_").removesuffix(".png")) for file in image_files(tmp_path / name)]

    assert drawn("epochs") == [0, 4, 8]
    assert drawn("second", every_n_epochs=2) == [0, 8]
    assert drawn("ends", every_n_epochs=0) == [0, 8]
    assert drawn("steps", every_n_epochs=0, every_n_steps=3) == [0, 3, 6, 8]


def test_the_noise_is_the_same_each_time_and_follows_the_seed(tmp_path):
    module = Samples()
    train(module, tmp_path / "a", SampleGrid(n=5, columns=2))
    assert len({noise for *_, noise, _ in module.asked}) == 1
    assert {(n, y, graph) for n, y, _, graph in module.asked} == {(5, None, False)}
    other = Samples()
    train(other, tmp_path / "b", SampleGrid(n=5, columns=2, seed=1))
    assert other.asked[0][2] != module.asked[0][2]


def test_a_row_to_a_class_and_the_same_noise_down_a_column(tmp_path):
    module = Samples(classes=3)
    train(module, tmp_path, SampleGrid(columns=5))
    first = module.asked[:3]
    assert [(n, y) for n, y, *_ in first] == [(5, [c] * 5) for c in range(3)]
    assert len({noise for *_, noise, _ in first}) == 1
    with Image.open(tmp_path / "images" / "step_000000.png") as image:
        assert image.size == (5 * (32 + GAP) + GAP, 3 * (32 + GAP) + GAP)


def test_many_classes_are_cut_at_sixteen(tmp_path):
    module = Samples(classes=1000)
    train(module, tmp_path, SampleGrid(columns=2))
    assert max(y[0] for _, y, *_ in module.asked) == 15


def test_a_translator_s_rows_are_input_output_and_truth(tmp_path):
    train(Translates(), tmp_path, SampleGrid(n=2, every_n_epochs=0), num_sanity_val_steps=1)
    assert image_files(tmp_path) == ["step_000000.png", "step_000008.png"]
    with Image.open(tmp_path / "images" / "step_000000.png") as image:
        board = np.asarray(image).astype(int)
    tile, top = 32, GAP + 1
    assert board.shape == (2 * (tile + GAP) + GAP, 3 * (tile + GAP) + GAP, 3)
    x, out, truth = (board[top, GAP + 1 + column * (tile + GAP)] for column in range(3))
    assert x.tolist() == [0, 0, 0]  # the first pixel is -1, its negative 1
    assert out.tolist() == [255, 255, 255]
    assert truth.tolist() == [0, 128, 255]


class Cycles(Play, CycleTranslator):
    """x is grey, y is colour; there is "one brighter" and back is "half"."""

    def translate(self, x):
        return (x + 1).expand(-1, 3, -1, -1)

    def translate_back(self, y):
        return y[:, :1] / 2

    def validation_step(self, batch, batch_idx):
        x, y = batch.grey, batch.colour
        there, back = self.translate(x), self.translate_back(y)
        return Cycled(x, there, self.translate_back(there), y, back, self.translate(back))


def test_a_cycle_s_rows_go_there_and_back_both_ways(tmp_path):
    train(Cycles(), tmp_path, SampleGrid(n=2, every_n_epochs=0), num_sanity_val_steps=1)
    with Image.open(tmp_path / "images" / "step_000008.png") as image:
        board = np.asarray(image).astype(int)
    tile, top = 32, GAP + 1
    assert board.shape == (2 * (tile + GAP) + GAP, 6 * (tile + GAP) + GAP, 3)
    row = [board[top, GAP + 1 + column * (tile + GAP)].tolist() for column in range(6)]
    # x = -1 -> 0 -> 0; y = (-1, 0, 1) -> -0.5 -> 0.5
    assert row == [[0] * 3, [128] * 3, [128] * 3, [0, 128, 255], [64] * 3, [191] * 3]


class Cascade(Samples, CascadeSampler):
    def distributions(self):
        return {"z": Normal()}

    def draw_noise(self, n, generator=None):
        return {"z": torch.randn(n, 3, generator=generator)}

    def decode(self, noise, y=None):
        return self.decode_levels(noise, y)[-1]

    def decode_levels(self, noise, y=None):
        fine = self.G(noise["z"]).tanh().view(-1, 1, 2, 2)
        return [fine.mean((2, 3), keepdim=True), fine]


@pytest.mark.parametrize("classes", [None, 3])
def test_a_cascade_has_a_image_of_every_level(tmp_path, classes):
    train(Cascade(classes), tmp_path, SampleGrid(n=20, every_n_epochs=0))
    assert image_files(tmp_path) == [f"{kind}step_{step:06d}.png" for kind in ("cascade_", "") for step in (0, 8)]
    with Image.open(tmp_path / "images" / "cascade_step_000008.png") as image:
        board = np.asarray(image).astype(int)
    assert board.shape == (8 * (32 + GAP) + GAP, 2 * (32 + GAP) + GAP)  # eight rows at most, a column to a level
    coarse = board[GAP : GAP + 32, GAP : GAP + 32]
    assert len(np.unique(coarse)) == 1  # the coarsest is brought to the finest one's size
    fine = board[GAP : GAP + 32, 2 * GAP + 32 : 2 * GAP + 64]
    assert coarse.mean() == pytest.approx(fine.mean(), abs=1)


def test_without_a_sanity_check_a_translator_is_seen_from_the_first_validation_on(tmp_path):
    train(Translates(), tmp_path, SampleGrid())
    assert image_files(tmp_path) == ["step_000004.png", "step_000008.png"]


def test_a_module_that_makes_no_images_is_left_alone(tmp_path):
    train(Play(), tmp_path, SampleGrid())
    assert not (tmp_path / "images").exists()


def test_the_grid_by_hand():
    images = torch.tensor([-1.0, 0.0, 1.2]).view(3, 1, 1, 1).expand(3, 1, 40, 40)
    board = grid(images, columns=2)
    assert board.shape == (1, 2 * 42 + 2, 2 * 42 + 2)
    expected = torch.full_like(board, 255)
    expected[:, 2:42, 2:42] = 0
    expected[:, 2:42, 44:84] = 128
    assert torch.equal(board, expected)  # 1.2 is clamped to white, and so is the empty tile


@pytest.mark.parametrize(("side", "tile"), [(8, 32), (20, 40), (31, 62), (32, 32), (256, 256)])
def test_small_images_are_enlarged_by_a_whole_factor(side, tile):
    assert grid(torch.zeros(1, 3, side, side), 8).shape == (3, tile + 2 * GAP, tile + 2 * GAP)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"columns": 0}, {"every_n_epochs": -1}, {"every_n_steps": 0}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError):
        SampleGrid(**wrong)


@pytest.mark.parametrize(("n", "sanity", "rows"), [(5, 3, [5, 5]), (5, 1, [2, 5]), (50, 1, [2, 8])])
def test_a_translator_s_rows_are_gathered_over_batches(tmp_path, n, sanity, rows):
    """Two images in a batch, eight in the set: what a short first look has not seen comes with the next validation."""
    train(Translates(), tmp_path, SampleGrid(n=n, every_n_epochs=0), num_sanity_val_steps=sanity)
    for step, expected in zip((0, 8), rows, strict=True):
        with Image.open(tmp_path / "images" / f"step_{step:06d}.png") as image:
            assert image.height == expected * (32 + GAP) + GAP
            board = np.asarray(image).astype(int)
        firsts = [board[GAP + 1 + row * (32 + GAP), GAP + 1, 0] for row in range(expected)]
        assert firsts == sorted(set(firsts))  # x rises from image to image: none is there twice

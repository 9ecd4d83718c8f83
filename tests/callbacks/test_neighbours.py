"""NearestNeighbours: the right images in the right places, and training unchanged."""

import warnings
from typing import NamedTuple

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from PIL import Image
from support.training import Batch, Rows, trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ganzoo.adversarial import AdversarialModule
from ganzoo.callbacks.neighbours import NearestNeighbours
from ganzoo.data import Digits
from ganzoo.errors import InputError
from ganzoo.interfaces import Sampler
from ganzoo.metrics.extractors.base import Extractor, Features
from ganzoo.utils.image_grid import GAP

TILE = 32


def random_images(n: int = 12) -> Tensor:
    """Flat images of the grey levels 0, 20, 40 ..., uint8 [n, 1, 4, 4]."""
    return (20 * torch.arange(n)).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()


class Sample(NamedTuple):
    x: Tensor
    y: Tensor


class Grey(AdversarialModule, Sampler):
    """Draws flat images of the levels that it is told, and plays a game with everything that looking could disturb."""

    def __init__(self, levels: list[int], classes: int | None = None) -> None:
        super().__init__()
        self.levels, self.classes = levels, classes
        self.G, self.D = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout()), nn.Linear(4, 1)
        self.asked: list[tuple[list[int] | None, float]] = []

    def players(self):
        return {"generator": [self.G], "discriminator": [self.D]}

    def training_step(self, batch, batch_idx):
        fake = self.G(torch.randn(len(batch[0]), 3))
        with self.turn("discriminator") as descend:
            descend({"gan": self.D(fake.detach()).mean() - self.D(batch[0].float().flatten(1)[:, :4]).mean()})
        with self.turn("generator") as descend:
            descend({"gan": -self.D(fake).mean()})

    def sample(self, n, y=None, generator=None):
        z = torch.randn(n, 3, generator=generator)
        self.asked.append((None if y is None else y.tolist(), z.sum().item()))
        self.G(z + torch.rand(1))  # a careless model draws from the common stream too
        assert not self.training
        assert not torch.is_grad_enabled()
        return (torch.tensor(self.levels[:n]) / 127.5 - 1).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)


class Data(L.LightningDataModule):
    def __init__(self, n: int = 12) -> None:
        super().__init__()
        self.train_set = Rows([Sample(x, torch.tensor(0)) for x in random_images(n)])

    def train_dataloader(self):
        return DataLoader(self.train_set, 4)


def fit(module, tmp_path, callback, data=None, **options) -> L.Trainer:
    torch.manual_seed(1)
    played = trainer(tmp_path, callbacks=[callback] if callback else [], **{"max_epochs": 2, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played.fit(
            module, **({"train_dataloaders": data} if isinstance(data, DataLoader) else {"datamodule": data or Data()})
        )
    return played


def shown(tmp_path, step: int = 6) -> list[list[int]]:
    """The grey level in the middle of each tile."""
    with Image.open(tmp_path / "images" / f"neighbours_step_{step:06d}.png") as image:
        board = np.asarray(image).astype(int)
    assert board.shape[0] % (TILE + GAP) == board.shape[1] % (TILE + GAP) == GAP
    return board[GAP + TILE // 2 :: TILE + GAP, GAP + TILE // 2 :: TILE + GAP].tolist()


def test_each_row_is_a_sample_and_its_nearest_training_images(tmp_path):
    fit(Grey([38, 101, 255]), tmp_path, NearestNeighbours(n=3, k=3))
    assert shown(tmp_path) == [[38, 40, 20, 60], [101, 100, 120, 80], [255, 220, 200, 180]]


def test_when_and_from_which_noise(tmp_path):
    module = Grey([38, 101])
    fit(module, tmp_path, NearestNeighbours(n=2, k=1, every_n_steps=2))
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == [f"neighbours_step_{step:06d}.png" for step in (0, 2, 3, 4, 6)]
    assert len({noise for _, noise in module.asked}) == 1
    other = Grey([38, 101])
    fit(other, tmp_path / "b", NearestNeighbours(n=2, k=1, seed=1))
    assert other.asked[0][1] != module.asked[0][1]


def test_one_sample_to_a_class_in_turn(tmp_path):
    module = Grey([0] * 5, classes=3)
    fit(module, tmp_path, NearestNeighbours(n=5, k=1))
    assert module.asked[0][0] == [0, 1, 2, 0, 1]


def test_at_most_so_many_training_images_evenly_chosen_and_said(tmp_path, capsys):
    fit(Grey([238]), tmp_path, NearestNeighbours(n=1, k=3, most=3))
    # the first of each four: 0, 80, 160
    assert shown(tmp_path) == [[238, 160, 80, 0]]
    assert "compares with 3 of 12 training images" in capsys.readouterr().err


def test_all_training_images_are_not_said(tmp_path, capsys):
    fit(Grey([238]), tmp_path, NearestNeighbours(n=1, k=1))
    assert "NearestNeighbours" not in capsys.readouterr().err


def test_fewer_training_images_than_neighbours(tmp_path):
    fit(Grey([30]), tmp_path, NearestNeighbours(n=1, k=5), Data(4))
    assert shown(tmp_path, 2) in ([[30, 20, 40, 0, 60]], [[30, 40, 20, 60, 0]])


class Parity(Extractor):
    """Of its feature, levels of odd twenties are near each other."""

    name, dimension, channels, resize, preprocessing = "parity", 1, 1, "none", "none"

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[int] = []
        self.nothing = nn.Parameter(torch.zeros(1), requires_grad=False)

    def features(self, images: Tensor) -> Features:
        self.parts.append(len(images))
        level = images[:, 0, 0, :1].float()
        return Features(1000 * (level / 20 % 2).round() + level, None)


def test_near_may_be_meant_in_features(tmp_path):
    extractor = Parity()
    fit(Grey([98]), tmp_path, NearestNeighbours(n=1, k=3, extractor=extractor))
    # 98 is nearly five twenties: nearer to the odd 60 than to the even 80 or 120
    assert shown(tmp_path) == [[98, 100, 60, 140]]
    assert extractor.parts.count(12) == 1  # the training images go through it once


def test_images_of_a_loader_without_a_datamodule(tmp_path):
    floats = DataLoader(Rows([Batch(x / 127.5 - 1) for x in random_images()]), 4)
    fit(Grey([38]), tmp_path / "floats", NearestNeighbours(n=1, k=1), floats)
    assert shown(tmp_path / "floats") == [[38, 40]]
    plain = DataLoader(Rows([(x, 0) for x in random_images()]), 4)
    fit(Grey([38]), tmp_path / "plain", NearestNeighbours(n=1, k=1), plain)
    assert shown(tmp_path / "plain") == [[38, 40]]


def test_each_run_has_its_own_training_images(tmp_path):
    callback = NearestNeighbours(n=1, k=1)
    fit(Grey([238]), tmp_path / "a", callback, Data(12))
    fit(Grey([238]), tmp_path / "b", callback, Data(4))
    assert shown(tmp_path / "a") == [[238, 220]]
    assert shown(tmp_path / "b", 2) == [[238, 60]]


@pytest.mark.parametrize("extractor", [None, Parity()])
def test_looking_does_not_change_the_training(tmp_path, extractor):
    runs = {}
    for name, callback in {"without": None, "with": NearestNeighbours(n=2, every_n_steps=1, extractor=extractor)}.items():
        torch.manual_seed(0)
        module = Grey([38, 101])
        module.G[0].eval()  # a network's own mode is its own
        fit(module, tmp_path / name, callback)
        runs[name] = module.state_dict(), torch.get_rng_state()
    assert len(list((tmp_path / "with" / "images").iterdir())) == 7
    for name, value in runs["without"][0].items():
        assert torch.equal(runs["with"][0][name], value), name
    assert torch.equal(runs["with"][1], runs["without"][1])


def test_a_module_that_samples_nothing_is_left_alone(tmp_path):
    class Other(AdversarialModule):
        def __init__(self) -> None:
            super().__init__()
            self.G = nn.Linear(16, 1)

        def players(self):
            return {"generator": [self.G]}

        def training_step(self, batch, batch_idx):
            with self.turn("generator") as descend:
                descend({"mean": self.G(batch.x.float().flatten(1)).mean()})

    fit(Other(), tmp_path, NearestNeighbours())
    assert not (tmp_path / "images").exists()


def test_with_a_zoo_s_data_module(tmp_path):
    """Augmented sets and the digits themselves: a copied training image stands beside itself."""
    data = Digits(batch_size=500)
    data.setup()
    truth = data.train_set[3].x

    class Copies(Grey):
        def sample(self, n, y=None, generator=None):
            return (truth / 127.5 - 1).expand(n, -1, -1, -1)

    played = trainer(tmp_path, callbacks=[NearestNeighbours(n=1, k=2)], max_steps=1, max_epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played.fit(Copies([]), datamodule=data)
    with Image.open(tmp_path / "images" / "neighbours_step_000001.png") as image:
        board = np.asarray(image)
    sample, first, second = (board[GAP : GAP + TILE, GAP + i * (TILE + GAP) :][:, :TILE] for i in range(3))
    assert (sample == first).all()
    assert (sample != second).any()


def test_testing_draws_what_it_can(tmp_path):
    class Tested(Grey):
        def test_step(self, batch, batch_idx):
            return None

    played = trainer(tmp_path, callbacks=[NearestNeighbours(n=1, k=1)])
    played.test(Tested([38]), DataLoader(Rows([Batch(x) for x in random_images()]), 4), verbose=False)
    assert not (tmp_path / "images").exists()  # nobody has said what it was trained on
    data = Data()
    data.test_dataloader = data.train_dataloader
    played.test(Tested([38]), datamodule=data, verbose=False)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["neighbours_test.png"]


def test_data_that_only_flow_by_are_refused_in_a_line(tmp_path):
    class Flow(IterableDataset):
        def __iter__(self):
            return iter([Batch(x) for x in random_images()])

    with pytest.raises(InputError, match="training images by number"):
        fit(Grey([38]), tmp_path, NearestNeighbours(), DataLoader(Flow(), 4))


def test_samples_of_another_shape_are_a_line(tmp_path):
    class Large(Grey):
        def sample(self, n, y=None, generator=None):
            return torch.zeros(n, 1, 8, 8)

    with pytest.raises(InputError, match="resize one"):
        fit(Large([0]), tmp_path, NearestNeighbours())


@pytest.mark.parametrize("wrong", [{"n": 0}, {"k": 0}, {"k": 5, "most": 4}, {"every_n_epochs": -1}, {"every_n_steps": 0}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError):
        NearestNeighbours(**wrong)

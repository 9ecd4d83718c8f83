"""ModeCoverage: what it counts of known samplers, when, what it draws, and that the training does not notice it."""

from math import log

import pytest
import torch
from PIL import Image
from support.known_metrics import Same, run
from torch import Tensor, nn

from ganzoo.adversarial import AdversarialModule
from ganzoo.callbacks import ModeCoverage
from ganzoo.callbacks.modes import draw_samples
from ganzoo.data import Digits, Ring
from ganzoo.errors import InputError
from ganzoo.interfaces import Generated, Sampler
from ganzoo.metrics.modes import NormalModes, StackedModes, ring
from ganzoo.models import GAN
from ganzoo.utils.scatter import scatter


class Reaches(AdversarialModule, Sampler):
    """Trains nothing, and samples the first ``reached`` modes of the ring; one more with each step."""

    def __init__(self, reached: int = 1, missed: float = 0.0) -> None:
        super().__init__()
        self.reached, self.missed = reached, missed
        self.net = nn.Linear(1, 1)

    def players(self):
        return {"only": [self.net]}

    def training_step(self, batch, batch_idx):
        with self.turn("only") as descend:
            descend({"nothing": 0 * self.net.weight.sum()})
        self.reached += 1

    def validation_step(self, batch, batch_idx):
        return Generated(batch.x, batch.x)

    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        modes = Ring().modes()
        which = torch.randint(min(self.reached, 8), (n,), generator=generator)
        far = torch.rand(n, generator=generator) < self.missed
        return torch.where(far[:, None], 0.1 * modes.centres[which], modes.centres[which]).float()


def small(**options):
    return Ring(points=8, batch_size=4, **options)


def test_modes_and_quality_are_those_of_the_samples(tmp_path):
    """Two steps an epoch: one mode before the training, three and five after each epoch."""
    module, callback = Reaches(missed=0.25), ModeCoverage(n=2000)
    played = run(module, small(), tmp_path, callback)
    assert callback.metrics["val/modes"] == 5
    assert callback.metrics["val/high_quality"] == pytest.approx(0.75, abs=0.05)
    assert callback.metrics["val/modes_kl"] == pytest.approx(log(8 / 5), abs=0.02)
    assert {name: played.callback_metrics[name].item() for name in callback.metrics} == pytest.approx(callback.metrics)
    pictures = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert pictures == ["modes.gif", "modes_step_000000.png", "modes_step_000002.png", "modes_step_000004.png"]
    with Image.open(tmp_path / "images" / "modes.gif") as animation, Image.open(tmp_path / "images" / pictures[1]) as first:
        assert animation.n_frames == 3
        assert animation.size == first.size
        assert '"steps": [0, 2, 4]' in animation.info["comment"].decode()


def test_the_animation_of_a_resumed_run_has_the_frames_before_and_none_that_came_later(tmp_path):
    home = tmp_path / "images"
    run(Reaches(), small(), tmp_path, ModeCoverage(n=20), max_epochs=3)
    (home / "modes_step_000099.png").write_bytes((home / "modes_step_000002.png").read_bytes())  # of a longer run
    (home / "modes_step_000002.png").rename(home / "modes_step_000001.png")  # of an earlier part of this one
    run(Reaches(), small(), tmp_path, ModeCoverage(n=20), max_epochs=3)
    with Image.open(home / "modes.gif") as animation:
        assert '"steps": [0, 1, 2, 4, 6]' in animation.info["comment"].decode()


def test_the_noise_is_that_of_the_seed(tmp_path):
    shares = []
    for seed in (0, 0, 1):
        callback = ModeCoverage(n=1000, seed=seed, folder=tmp_path / "images")
        run(Reaches(missed=0.25), small(), tmp_path, callback, max_epochs=1)
        shares.append(callback.metrics["val/high_quality"])
    assert shares[0] == shares[1] != shares[2]


def test_every_n_steps(tmp_path):
    run(Reaches(), small(), tmp_path, ModeCoverage(n=20, every_n_steps=1, every_n_epochs=0), max_epochs=2)
    steps = [int(path.stem[-6:]) for path in sorted((tmp_path / "images").glob("*.png"))]
    assert steps == [0, 1, 2, 3, 4]


def test_the_training_does_not_notice_it(tmp_path):
    weights = []
    for callbacks in ([], [ModeCoverage(n=50, every_n_steps=1)]):
        torch.manual_seed(3)
        module = GAN((2,), hidden=8, latent=2)
        run(module, small(), tmp_path, *callbacks)
        weights.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(*weights)


def test_samples_with_nan_end_the_run_in_one_line(tmp_path):
    module = Reaches()
    module.sample = lambda n, y=None, generator=None: torch.full((n, 2), torch.nan)
    with pytest.raises(InputError, match="20 of 20 vectors have NaN"):
        run(module, small(), tmp_path, ModeCoverage(n=20))


@pytest.mark.parametrize(
    ("module", "data", "message"),
    [
        (lambda: Same(), small, "generate from noise: Same does not"),
        (lambda: GAN((1, 8, 8), hidden=4), lambda: Digits(batch_size=8), "a method modes; Digits has none"),
    ],
)
def test_what_cannot_be_counted_is_refused_before_the_training(module, data, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(module(), data(), tmp_path, ModeCoverage())
    assert not (tmp_path / "images").exists()


def test_nothing_is_drawn_with_fast_dev_run(tmp_path):
    run(Reaches(), small(), tmp_path, ModeCoverage(n=20), fast_dev_run=True)
    assert not (tmp_path / "images").exists()


def test_images_are_drawn_as_a_grid_and_other_vectors_not_at_all():
    stacked = StackedModes(lambda images: images.flatten(1))
    drawn = draw_samples(torch.zeros(70, 3, 32, 32, dtype=torch.uint8), stacked)
    assert drawn.size == (8 * 34 + 2, 8 * 34 + 2)
    assert draw_samples(torch.zeros(5, 3), NormalModes(torch.eye(3), 0.1)) is None
    points = torch.zeros(5, 2)
    drawn = draw_samples(points, NormalModes(ring(), 0.02), "a title")  # with the discs that count, of three sigma
    assert drawn.tobytes() == scatter(points, ring(), 0.06, "a title").tobytes()
    assert drawn.tobytes() != scatter(points, ring(), 0.02, "a title").tobytes()
    assert drawn.mode == "RGB"


def test_the_last_samples_are_drawn_also_where_nothing_is_validated(tmp_path):
    run(Reaches(), small(), tmp_path, ModeCoverage(n=20), max_steps=3, limit_val_batches=0)
    steps = [int(path.stem[-6:]) for path in sorted((tmp_path / "images").glob("*.png"))]
    assert steps[0] == 0
    assert steps[-1] == 3
    assert (tmp_path / "images" / "modes.gif").exists()

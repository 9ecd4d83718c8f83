"""Quality and its sisters: known answers, when they measure, that looking changes nothing, and what is kept on disk."""

import csv
import random
import warnings
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import scipy.linalg
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from support.known_metrics import (
    Careless,
    Data,
    ImagesOf,
    Improves,
    Jittered,
    Labelled,
    OneImage,
    OnlyRecords,
    Pair,
    Pixels,
    Play,
    Same,
    Samples,
    Tiny,
    Turns,
    cases,
    measured,
    noise,
    run,
    stand_still,
    two_processes,
)
from support.resuming import Few
from support.training import trainer
from support.zoo import SMALL
from torch.utils.data import DataLoader

import ganzoo.models as zoo
from ganzoo.callbacks import Checkpoints, Progress
from ganzoo.callbacks.quality import FID, KID, InceptionScore, PrecisionRecall, Quality
from ganzoo.cli import main
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit
from ganzoo.evaluation.generate import generated_batches
from ganzoo.metrics.extractors.base import Features
from ganzoo.metrics.frechet import frechet_distance
from ganzoo.metrics.manifold import manifold
from ganzoo.utils.images import to_float, to_uint8

N = 24  # real images and samples, unless a test needs more
LEAN = {"metrics": ["distance"], "n": N, "batch_size": 5}
EVERY = ["distance", "kernel", "score", "manifold"]


@pytest.fixture(autouse=True)
def found(monkeypatch, tmp_path) -> list:
    """The extractors that were found, in the place of networks that are not at hand; and a cache of the test's own."""
    made: list = []

    def find(name, weights=None):
        made.append({"tiny": Tiny, "pixels": Pixels}[name]())
        return made[-1]

    monkeypatch.setattr("ganzoo.callbacks.quality.find", find)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    return made


def random_images(n: int = N, seed: int = 0) -> ImagesOf:
    return ImagesOf(OneImage, noise(n, seed))


def data(n: int = N, **options) -> Data:
    return Data(random_images(8, 1), random_images(n), random_images(n, 2), **options)


def quality(**options) -> Quality:
    return Quality("tiny", **{**LEAN, **options})


def files(tmp_path) -> list[str]:
    folder = tmp_path / "cache" / "features"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


class When(L.Callback):
    """Writes down at what steps something was measured."""

    def __init__(self, watched: Quality) -> None:
        self.watched, self.steps = watched, []
        measure = watched._measure

        def noted(trainer, module):
            self.steps.append(trainer.global_step)
            return measure(trainer, module)

        watched._measure = noted


# -- known answers ------------------------------------------------------------------------------------------------------


def test_the_distance_is_that_of_the_images(tmp_path):
    """By another road: the model's images by hand, and the root of a matrix."""
    module, callback = Samples(), quality()
    played = run(module, data(), tmp_path, callback)
    split = EvalSplit(DataLoader(random_images(), 3), "val")
    tiny = Tiny().eval()
    fake = torch.cat([tiny(part.images).pool for part in generated_batches(module, split, N, 5)]).double().numpy()
    real = tiny(noise(N, 0)).pool.double().numpy()
    a, b = np.cov(real.T), np.cov(fake.T)
    by_hand = np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert callback.metrics == {"val/fd_tiny": pytest.approx(by_hand, rel=1e-9)}
    assert played.callback_metrics["val/fd_tiny"] == pytest.approx(by_hand, rel=1e-6)


def test_shifted_normals_have_their_closed_form(tmp_path):
    """Four independent pixels, means -0.2 and 0.2, deviations 0.1 and 0.2: 4 (51^2 + 12.75^2) in pixels of 127.5."""

    def normal(n, mean, deviation, generator):
        return (mean + deviation * torch.randn(n, 1, 2, 2, generator=generator)).clamp(-1, 1)

    class Normal(Samples):
        def sample(self, n, y=None, generator=None):
            return normal(n, 0.2, 0.2, generator)

    real = to_uint8(normal(8000, -0.2, 0.1, torch.Generator().manual_seed(5)))
    callback = Quality("pixels", **{**LEAN, "n": 8000, "batch_size": 1000})
    run(Normal(), Data(random_images(8, 1), ImagesOf(OneImage, real)), tmp_path, callback, max_epochs=1)
    assert callback.metrics["val/fd_pixels"] == pytest.approx(4 * (51**2 + 12.75**2), rel=0.02)


def test_the_images_themselves_are_perfect(tmp_path):
    """A translator that gives back what is true: nothing is missing, and nothing is too much."""
    x = noise(N, 0)
    callback = quality(metrics=["distance", "kernel", "manifold"], subset_size=N, subsets=2)
    run(Same(), Data(ImagesOf(Pair, x, x), ImagesOf(Pair, x, x)), tmp_path, callback)
    assert callback.metrics["val/fd_tiny"] == pytest.approx(0, abs=1e-6)
    assert callback.metrics["val/precision_tiny"] == callback.metrics["val/recall_tiny"] == 1
    assert callback.metrics["val/coverage_tiny"] == 1
    assert callback.metrics["val/kd_tiny"] < 0  # unbiased: a set and its copy are nearer than two draws
    assert set(callback.metrics) == {
        f"val/{kind}_tiny" for kind in ("fd", "kd", "precision", "recall", "density", "coverage")
    } | {"val/kd_tiny_std"}


def test_all_figures_come_from_one_pass(tmp_path, found):
    """Each image is looked at once, real and made, whatever is wanted; and the real ones once in the whole run."""
    callback = quality(metrics=EVERY, subset_size=10, subsets=3, splits=2)
    run(Samples(), data(), tmp_path, callback, max_epochs=3)
    (tiny,) = found
    assert sum(tiny.looks) == N + 3 * N
    assert callback.metrics.keys() >= {"val/score_tiny", "val/score_tiny_std", "val/kd_tiny", "val/recall_tiny"}


def test_moments_are_the_rows(tmp_path):
    options = {"metrics": EVERY, "subset_size": 10, "subsets": 3, "splits": 2, "keep": 12, "cache": None}
    rows, moments = quality(**options), quality(**options, moments=True)
    for callback in (rows, moments):
        torch.manual_seed(0)
        run(Samples(), data(), tmp_path, callback, max_epochs=1)
    assert moments.metrics == pytest.approx(rows.metrics, rel=1e-9)
    labels = torch.arange(30) % 3
    held = Data(ImagesOf(Labelled, noise(8, 1), labels[:8]), ImagesOf(Labelled, noise(30, 0), labels))
    with pytest.raises(InputError, match="per_class needs a row for each image: leave out moments"):
        run(Samples(3), held, tmp_path, quality(per_class=True, moments=True))


def test_sisters_are_parts_of_the_whole(tmp_path):
    whole = quality(metrics=EVERY, subset_size=10, subsets=3, splits=2)
    few = {"n": N, "batch_size": 5}
    parts = [
        FID("tiny", **few),
        InceptionScore("tiny", splits=2, **few),
        KID("tiny", subset_size=10, subsets=3, **few),
        PrecisionRecall("tiny", **few),
    ]
    alone: dict[str, float] = {}
    run(Samples(), data(), tmp_path, whole, max_epochs=1)
    for part in parts:
        torch.manual_seed(0)
        run(Samples(), data(), tmp_path, part, max_epochs=1)
        assert not alone.keys() & part.metrics.keys()
        alone |= part.metrics
    torch.manual_seed(0)
    run(Samples(), data(), tmp_path, whole, max_epochs=1)
    assert alone == pytest.approx(whole.metrics, rel=1e-12)


def test_the_score_alone_needs_no_real_images(tmp_path):
    callback = InceptionScore("tiny", n=N, batch_size=5, splits=2)
    run(Samples(), Data(random_images(8, 1)), tmp_path, callback)
    assert set(callback.metrics) == {"val/score_tiny", "val/score_tiny_std"}
    assert 1 <= callback.metrics["val/score_tiny"] <= 3


def test_the_score_is_measured_where_there_is_a_classifier(tmp_path):
    callback = quality(metrics=None)
    run(Samples(), data(), tmp_path, callback, max_epochs=1)
    assert "val/score_tiny" in callback.metrics
    callback = Quality("pixels", metrics=["score"], n=N)
    with pytest.raises(InputError, match="score: pixels has no classifier at its end, so no Inception score"):
        run(Samples(), data(), tmp_path, callback)


# -- when ---------------------------------------------------------------------------------------------------------------

EPOCH = 2  # steps


def steps(tmp_path, held=None, module=None, epochs: int = 5, **options) -> list[int]:
    how = {name: options.pop(name) for name in list(options) if name in ("split", "every_n_epochs", "every_n_steps")}
    callback = quality(**how)
    when = When(callback)
    run(module or Samples(), held or data(), tmp_path, callback, max_epochs=epochs, **options)
    return when.steps


def test_each_so_many_epochs_and_the_first_and_the_last(tmp_path):
    assert steps(tmp_path) == [2, 4, 6, 8, 10]
    assert steps(tmp_path, every_n_epochs=3) == [2, 6, 10]
    assert steps(tmp_path, every_n_epochs=0) == [2, 10]
    assert steps(tmp_path, every_n_epochs=4, epochs=6, check_val_every_n_epoch=2) == [4, 8, 12]
    assert steps(tmp_path, every_n_epochs=0, epochs=5, check_val_every_n_epoch=2) == [4, 8]  # none comes after 8
    assert steps(tmp_path, every_n_epochs=0, epochs=-1, max_steps=6) == [2, 6]
    assert steps(tmp_path, every_n_epochs=0, epochs=-1, max_steps=7) == [2, 6]


def test_each_so_many_steps(tmp_path):
    assert steps(tmp_path, every_n_epochs=0, every_n_steps=3, epochs=4) == [2, 3, 6, 8]
    # what was just measured is not measured again
    assert steps(tmp_path, every_n_steps=1, epochs=2) == [1, 2, 3, 4]


def test_with_several_validations_in_an_epoch(tmp_path):
    assert steps(tmp_path, every_n_epochs=2, epochs=4, val_check_interval=1) == [1, 3, 4, 7, 8]


def test_not_in_the_sanity_check_and_not_in_a_rehearsal(tmp_path, found):
    assert steps(tmp_path, num_sanity_val_steps=2, epochs=2) == [2, 4]
    del found[:]
    assert steps(tmp_path, fast_dev_run=True) == []
    assert steps(tmp_path, fast_dev_run=True, every_n_steps=1) == []
    assert found == []  # no network is needed to see whether a config runs


def test_a_run_that_is_too_short_is_told(tmp_path, capsys):
    assert steps(tmp_path, check_val_every_n_epoch=9) == []
    assert "Quality has measured nothing, as there was no validation in this run" in capsys.readouterr().err


def test_where_there_is_no_validation_the_epochs_ends(tmp_path):
    alone = Data(random_images(8, 1))
    assert steps(tmp_path, alone, split="train", epochs=3) == [2, 4, 6]
    assert steps(tmp_path, split="train", epochs=3, limit_val_batches=0) == [2, 4, 6]
    callback = quality(split="train")
    played = run(Samples(), alone, tmp_path, callback, Checkpoints(monitor="train/fd_tiny"), enable_checkpointing=True)
    assert float(played.callback_metrics["train/fd_tiny"]) == pytest.approx(callback.metrics["train/fd_tiny"])


def test_accumulated_batches_are_one_step(tmp_path):
    module = Samples(accumulate=2)
    assert steps(tmp_path, module=module, every_n_epochs=0, every_n_steps=1, epochs=2) == [1, 2]


def test_validating_and_testing(tmp_path):
    module, callback = Samples(), quality()
    run(module, data(), tmp_path, callback)
    last = callback.metrics["val/fd_tiny"]
    quiet = trainer(tmp_path, callbacks=[callback])
    quiet.validate(module, data(), verbose=False)
    assert callback.metrics == {"val/fd_tiny": last}
    assert float(quiet.callback_metrics["val/fd_tiny"]) == pytest.approx(last)
    quiet.test(module, data(), verbose=False)
    assert set(callback.metrics) == {"test/fd_tiny"}
    other = quality(split="train")
    trainer(tmp_path, callbacks=[other]).test(module, data(), verbose=False)
    assert set(other.metrics) == {"train/fd_tiny"}
    real = Tiny().eval()(noise(8, 1)).pool
    fake = [part.images for part in generated_batches(module, None, N, 5)]
    assert other.metrics["train/fd_tiny"] == pytest.approx(
        frechet_distance(real, Tiny().eval()(torch.cat(fake)).pool), rel=1e-9
    )


def test_a_split_that_the_trainer_has_no_use_for_is_set_up_once(tmp_path):
    """And nothing else of the data is set up again: somebody's might be split at random."""

    class Counted(Data):
        def setup(self, stage=None):
            stages.append(stage)

    stages: list[str] = []
    held = Counted(random_images(8, 1), random_images(), random_images(N, 2))
    run(Samples(), held, tmp_path, quality(split="test"), max_epochs=3)
    assert stages == ["fit", "test"]
    del stages[:]
    run(Samples(), held, tmp_path, quality(), max_epochs=4, check_val_every_n_epoch=2)
    assert stages == ["fit"]
    del stages[:]
    trainer(tmp_path, callbacks=[quality(split="train")]).test(Samples(), held, verbose=False)
    assert stages == ["test", "fit"]


def test_the_logger_has_each_with_its_step(tmp_path):
    """Also those that fall between the batches that are logged."""
    callback = quality(every_n_epochs=0, every_n_steps=3)
    run(Samples(), data(), tmp_path, callback, max_epochs=4, logger=CSVLogger(tmp_path, name="", version=""))
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = [(int(row["step"]), row["val/fd_tiny"]) for row in csv.DictReader(file) if row.get("val/fd_tiny")]
    # a row's step is the batch's number, from 0
    assert [step for step, _ in rows] == [1, 2, 5, 7]
    assert float(rows[-1][1]) == pytest.approx(callback.metrics["val/fd_tiny"], rel=1e-5)


# -- checkpoints --------------------------------------------------------------------------------------------------------


def held_bright() -> Data:
    """Real images that samples off by 0 are like."""
    g = torch.Generator().manual_seed(3)
    real = to_uint8((torch.rand(200, 1, 4, 4, generator=g) * 2 - 1) * 0.4)
    return Data(random_images(8, 1), ImagesOf(OneImage, real))


def test_the_best_checkpoint_is_of_the_best_epoch_and_the_last_is_kept(tmp_path):
    keep = Checkpoints(tmp_path / "kept", monitor="val/fd_tiny", mode="min")
    callback = quality(n=200, batch_size=50)
    run(Improves(), held_bright(), tmp_path, keep, callback, max_epochs=4, enable_checkpointing=True)
    best, last = (torch.load(path, weights_only=True) for path in (keep.best_model_path, tmp_path / "kept" / "last.ckpt"))
    assert float(best["state_dict"]["off"]) == pytest.approx(Improves.OFF[2])
    assert (best["epoch"], best["global_step"]) == (2, 6)
    assert float(last["state_dict"]["off"]) == pytest.approx(Improves.OFF[3])
    assert last["global_step"] == 8
    assert float(keep.best_model_score) < callback.metrics["val/fd_tiny"]


def test_a_monitor_is_there_whenever_it_is_wanted(tmp_path):
    """Measured rarely, by steps that no validation falls on, with several validations, and saved by steps."""
    for name, often, saved, options in [
        ("rarely", {"every_n_epochs": 0}, {"save_top_k": 2}, {}),
        ("steps", {"every_n_epochs": 0, "every_n_steps": 3}, {}, {}),
        ("both", {"every_n_epochs": 0, "every_n_steps": 3}, {"every_n_train_steps": 3, "save_top_k": -1}, {}),
        ("often", {"every_n_epochs": 2}, {"save_on_train_epoch_end": False}, {"val_check_interval": 1}),
        ("end", {"every_n_epochs": 3}, {"save_on_train_epoch_end": True}, {}),
    ]:
        keep = Checkpoints(tmp_path / name, monitor="val/fd_tiny", **saved)
        held = held_bright()
        callback = quality(n=50, **often)
        run(Improves(), held, tmp_path, callback, keep, max_epochs=4, enable_checkpointing=True, **options)
        assert Path(keep.best_model_path).exists(), name
        assert keep.best_model_score is not None, name


def test_saved_by_steps_each_checkpoint_has_its_own_value(tmp_path):
    keep = Checkpoints(tmp_path / "kept", monitor="val/fd_tiny", every_n_train_steps=3, save_top_k=-1)
    callback = quality(n=200, batch_size=50, every_n_epochs=0, every_n_steps=3)
    run(Improves(), held_bright(), tmp_path, callback, keep, max_epochs=4, enable_checkpointing=True)
    of_step = {torch.load(path, weights_only=True)["global_step"]: float(v) for path, v in keep.best_k_models.items()}
    assert set(of_step) == {3, 6}  # off by 0.4 and by 0.1; before 3 there is a value of step 2
    assert of_step[6] < of_step[3] / 4


def test_a_run_that_is_taken_up_measures_at_once(tmp_path):
    """Its checkpoints need a monitor of its own weights, and its metrics are those of the straight run."""
    straight = quality(every_n_epochs=2)
    run(Samples(), data(), tmp_path, straight, Checkpoints(tmp_path / "a"), enable_checkpointing=True, max_epochs=4)
    torch.manual_seed(0)
    first = Checkpoints(tmp_path / "b", monitor="val/fd_tiny")
    run(Samples(), data(), tmp_path, quality(every_n_epochs=2), first, enable_checkpointing=True, max_epochs=2)
    callback, keep = quality(every_n_epochs=2), Checkpoints(tmp_path / "c", monitor="val/fd_tiny")
    when = When(callback)
    ckpt = tmp_path / "b" / "last.ckpt"
    run(Samples(), data(), tmp_path, callback, keep, enable_checkpointing=True, max_epochs=4, ckpt_path=ckpt)
    assert when.steps == [6, 8]
    assert Path(keep.best_model_path).exists()
    torch.manual_seed(0)
    again = quality()
    run(Samples(), data(), tmp_path, again, max_epochs=4)
    assert callback.metrics == again.metrics


def test_a_checkpoint_holds_nothing_of_it(tmp_path, found):
    run(Samples(), data(), tmp_path, quality(), Checkpoints(tmp_path / "kept"), enable_checkpointing=True)
    saved = torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)
    assert not any("turn" in name or "network" in name for name in saved["state_dict"])
    assert not any("Quality" in name for name in saved["callbacks"])
    assert not any(tiny.training for tiny in found)


# -- looking ------------------------------------------------------------------------------------------------------------


def state(module, played) -> tuple:
    weights = {name: value.clone() for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
    streams = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()
    return weights, [repr(o.state_dict()) for o in played.optimizers], streams


@pytest.mark.parametrize("kind", ["samples", "classes", "translates", "own"])
def test_looking_does_not_change_the_training(tmp_path, kind):
    """Weights, optimizers and the common random streams, with data that draw from them as well."""
    x, y = noise(N, 0), noise(N, 1)
    labels = torch.arange(N) % 3
    kinds = {
        "samples": (Samples, Careless(OneImage, noise(8, 1)), Careless(OneImage, x)),
        "classes": (lambda: Samples(3), Careless(Labelled, noise(8, 1), labels), Careless(Labelled, x, labels)),
        "translates": (Same, Careless(Pair, x, y), Careless(Pair, x, y)),
        "own": (OnlyRecords, Careless(Pair, x, y), Careless(Pair, x, y)),
    }
    make, train, held = kinds[kind]
    everything = quality(metrics=EVERY, k=1, k_density=2, subset_size=4, subsets=2, splits=2, every_n_steps=1)
    runs = []
    for callbacks in [[], [everything]]:
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        module = make()
        played = run(module, Data(train, held), tmp_path, *callbacks)
        runs.append(state(module, played))
    assert everything.metrics
    for name, value in runs[0][0].items():
        assert torch.equal(value, runs[1][0][name]), name
    assert runs[0][1:] == runs[1][1:]


@pytest.mark.parametrize("name", ["Pix2Pix", "GAN", "CGAN", "CycleGAN", "LAPGAN"])
def test_looking_does_not_change_the_zoos_models(tmp_path, name):
    """Among them pix2pix, whose noise is dropout in evaluation mode too; and each of them can be measured."""
    runs = []
    for callbacks in [[], [quality(every_n_steps=2, n=8, batch_size=3)]]:
        torch.manual_seed(0)
        model = getattr(zoo, name)(**SMALL[name], ema_half_life=8.0)
        held = Few(model, n=7, held_out=True)
        played = run(model, held, tmp_path, *callbacks)
        runs.append(state(model, played))
    names = {"CycleGAN": ["val/fd_tiny_to_x", "val/fd_tiny_to_y"]}.get(name, ["val/fd_tiny"])
    assert sorted(callbacks[0].metrics) == names
    assert all(np.isfinite(value) for value in callbacks[0].metrics.values())
    for key, value in runs[0][0].items():
        assert torch.equal(value, runs[1][0][key]), key
    assert runs[0][1:] == runs[1][1:]


def test_in_evaluation_mode_and_back(tmp_path):
    class Watched(Samples):
        def training_step(self, batch, batch_idx):
            self.before = [part.training for part in self.modules()]
            return super().training_step(batch, batch_idx)

    module = Watched()
    module.D.eval()  # a network's own mode is its own
    run(module, data(), tmp_path, quality(every_n_steps=1))
    assert set(module.modes) == {False}
    assert module.before == [part is not module.D for part in module.modules()]


def test_the_averaged_networks_are_measured(tmp_path):
    torch.manual_seed(0)
    model = zoo.GAN(**SMALL["GAN"], ema_half_life=50.0, ema_ramp=0)
    held = Few(model, held_out=True)
    callback = quality(batch_size=N)
    run(model, held, tmp_path, callback)
    tiny = Tiny().eval()
    real = tiny(torch.stack([item.x for item in held.val_set.samples])).pool

    def distance(weights) -> float:
        plain = zoo.GAN(**SMALL["GAN"])
        plain.G.load_state_dict(weights.state_dict())
        return frechet_distance(real, tiny(next(iter(generated_batches(plain, None, N, N))).images).pool)

    assert callback.metrics["val/fd_tiny"] == pytest.approx(distance(model.ema["G"]), rel=1e-9)
    assert callback.metrics["val/fd_tiny"] != pytest.approx(distance(model.G), rel=1e-6)


def test_with_the_trainers_precision_and_the_extractors_own(tmp_path):
    seen = []

    class Rounds(Samples):
        def sample(self, n, y=None, generator=None):
            made = super().sample(n, y, generator)
            seen.append(torch.is_autocast_enabled("cpu"))
            return made

    class Checks(Tiny):
        def features(self, images):
            assert not torch.is_autocast_enabled("cpu")
            return super().features(images)

    callback = quality()
    callback._network = Checks().eval()
    run(Rounds(), data(), tmp_path, callback, precision="bf16-mixed")
    assert set(seen) == {True}


# -- whose images -----------------------------------------------------------------------------------------------------


def test_a_translators_images_are_compared_with_what_is_true(tmp_path):
    x, y = noise(N, 0), noise(N, 1)
    callback = quality(n=20)
    run(Same(), Data(ImagesOf(Pair, x, y), ImagesOf(Pair, x, y)), tmp_path, callback)
    tiny = Tiny().eval()
    assert callback.metrics == {"val/fd_tiny": pytest.approx(frechet_distance(tiny(y).pool, tiny(x[:20]).pool), rel=1e-9)}


def test_both_ways_of_a_cycle_and_none_twice_where_a_list_begins_anew(tmp_path):
    """Ten of x beside twenty-four of y: of x each counts once."""
    x, y = noise(10, 0), noise(N, 1)

    class Alongside(ImagesOf):
        sizes = {"x": 10, "y": N}

    held = Alongside(Pair, x.repeat(3, 1, 1, 1)[:N], y)
    callback = quality()
    run(Turns(), Data(ImagesOf(Pair, y, y), held), tmp_path, callback)
    tiny = Tiny().eval()
    to_y, to_x = (tiny(to_uint8(-to_float(images))).pool for images in (x, y))
    assert callback.metrics == {
        "val/fd_tiny_to_y": pytest.approx(frechet_distance(tiny(y).pool, to_y), rel=1e-9),
        "val/fd_tiny_to_x": pytest.approx(frechet_distance(tiny(x).pool, to_x), rel=1e-9),
    }


@pytest.mark.parametrize("record", ["Generated", "Translated", "Cycled"])
def test_a_users_own_module_and_loaders_without_a_data_module(tmp_path, record):
    """Tuples of floats from a plain loader; what it logs while it is asked is not heard."""
    x, y = (to_float(noise(N, seed)) for seed in (0, 1))
    held = DataLoader(torch.utils.data.TensorDataset(x, y), 7)
    module, callback = OnlyRecords(record), quality()
    played = trainer(tmp_path, max_epochs=1, callbacks=[callback])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played.fit(module, held, held)
    tiny = Tiny().eval()
    of_x, of_y = (tiny(to_uint8(-images)).pool for images in (x, y))
    real_x, real_y = (tiny(to_uint8(images)).pool for images in (x, y))
    distances = {
        "Generated": {"": frechet_distance(real_x, of_x)},
        "Translated": {"": frechet_distance(real_y, of_x)},
        "Cycled": {"_to_y": frechet_distance(real_y, of_x), "_to_x": frechet_distance(real_x, of_y)},
    }[record]
    assert callback.metrics == {f"val/fd_tiny{name}": pytest.approx(d, rel=1e-9) for name, d in distances.items()}
    assert float(played.callback_metrics["val/own"]) == pytest.approx(x.mean().item(), abs=1e-6)
    assert set(module.modes) == {False}
    module.log_dict  # noqa: B018 - the module's own again
    assert "log" not in vars(module)


def test_what_a_data_module_does_to_its_batches_is_done(tmp_path):
    """Floats in [0, 1] from the loader, brought to [-1, 1] by a hook: the real images are those that the model sees."""

    class Unit(Data):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return type(batch)(batch.x * 2 - 1)

    x = noise(N, 0)
    unit = ImagesOf(OneImage, x.float() / 255)
    plain, callback = quality(), quality()
    first, second = Samples(), Samples()
    second.load_state_dict(first.state_dict())
    first.training_step = second.training_step = lambda batch, batch_idx: None
    run(first, data(), tmp_path, plain, max_epochs=1)
    run(second, Unit(unit, unit), tmp_path, callback, max_epochs=1)
    assert callback.metrics == plain.metrics
    assert len(files(tmp_path)) == 2  # what is done to them belongs to their name


def test_class_by_class(tmp_path):
    x, y = noise(30, 0), torch.arange(30) % 3
    module = Samples(classes=3)
    callback = quality(n=20, per_class=True, metrics=["distance", "manifold"])
    held = Data(ImagesOf(Labelled, noise(8, 1), torch.arange(8) % 3), ImagesOf(Labelled, x, y))
    run(module, held, tmp_path, callback)
    tiny = Tiny().eval()
    made = torch.cat([part.images for part in generated_batches(module, None, 20, 5)])
    asked = torch.arange(20) % 3
    each = [frechet_distance(tiny(x[y == c]).pool, tiny(made[asked == c]).pool) for c in range(3)]
    for c in range(3):
        assert callback.metrics[f"val/fd_tiny_class_{c}"] == pytest.approx(each[c], rel=1e-9)
    assert callback.metrics["val/intra_fd_tiny"] == pytest.approx(sum(each) / 3, rel=1e-9)
    whole = frechet_distance(tiny(x).pool, tiny(made).pool)
    assert callback.metrics["val/fd_tiny"] == pytest.approx(whole, rel=1e-9)
    recalls = [manifold(tiny(x[y == c]).pool, tiny(made[asked == c]).pool).recall for c in range(3)]
    assert callback.metrics["val/intra_recall_tiny"] == pytest.approx(sum(recalls) / 3)
    # and of the kept statistics the same
    again = quality(n=20, per_class=True, metrics=["distance", "manifold"])
    trainer(tmp_path, callbacks=[again]).validate(module, held, verbose=False)
    assert again.metrics == callback.metrics
    assert again._network.looks == [5] * 4


def test_classes_as_plain_tuples(tmp_path):
    class Plain(Samples):
        def validation_step(self, batch, batch_idx):
            return None

    x, y = to_float(noise(30, 0)), torch.arange(30) % 3
    held = DataLoader(torch.utils.data.TensorDataset(x, y), 7)
    callback = quality(n=20, per_class=True)
    trainer(tmp_path, callbacks=[callback]).validate(Plain(classes=3), held, verbose=False)
    assert "val/fd_tiny_class_2" in callback.metrics


# -- the cache ----------------------------------------------------------------------------------------------------------


def looked(found) -> int:
    """Images that the newest extractor has seen."""
    return sum(found[-1].looks)


def once(tmp_path, held=None, callback=None, module=None) -> Quality:
    torch.manual_seed(0)
    callback = callback or quality()
    trainer(tmp_path, callbacks=[callback]).validate(module or Samples(), held or data(), verbose=False)
    return callback


def test_real_images_are_looked_at_once_for_all_runs(tmp_path, found):
    first = once(tmp_path)
    assert looked(found) == 2 * N
    assert len(files(tmp_path)) == 1
    assert files(tmp_path)[0].startswith("tiny-val-")
    second = once(tmp_path)
    assert looked(found) == N
    assert second.metrics == first.metrics


def test_whatever_matters_is_another_file(tmp_path, found, monkeypatch):
    def seen(**options) -> int:
        once(tmp_path, **options)
        return looked(found)

    assert seen() == 2 * N
    assert seen(held=Data(random_images(8, 1), random_images(N, 7))) == 2 * N  # other images
    assert seen(held=Data(random_images(8, 1), random_images(N - 1))) == 2 * N - 1  # another number
    assert (
        seen(held=Data(random_images(), random_images()), callback=quality(split="train")) == 2 * N
    )  # the same images, of another split
    for name, value in {"resize": "crop", "weights": "other", "preprocessing": "x", "name": "tinier"}.items():
        with monkeypatch.context() as patch:
            patch.setattr(Tiny, name, value)
            assert seen() == 2 * N, name
    assert len(files(tmp_path)) == 8
    assert seen() == N
    # what does not matter is no other: the table has every feature, and the numbers choose among them
    assert seen(callback=quality(metrics=["manifold"])) == N
    assert seen(callback=quality(metrics=["manifold"], seed=1, keep=10)) == N
    assert seen(callback=quality(n=10)) == 10
    assert seen(callback=quality(batch_size=7)) == N
    assert seen(held=data(batch_size=3)) == N


def test_a_damaged_file_is_made_anew_with_a_word(tmp_path, found, capsys):
    first = once(tmp_path)
    (name,) = files(tmp_path)
    path = tmp_path / "cache" / "features" / name / "features.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    second = once(tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert "damaged" in line
    assert second.metrics == first.metrics
    assert looked(found) == 2 * N
    assert len(path.read_bytes()) == len(whole)
    once(tmp_path)
    assert looked(found) == N


def test_images_that_change_are_kept_for_the_run_only(tmp_path, found):
    held = Data(random_images(8, 1), Jittered(OneImage, noise(N, 0)))
    run(Samples(), held, tmp_path, quality(), max_epochs=3)
    assert looked(found) == N + 3 * N
    assert files(tmp_path) == []


def test_without_a_cache_or_in_a_chosen_folder(tmp_path, found):
    once(tmp_path, callback=quality(cache=None))
    assert files(tmp_path) == []
    once(tmp_path, callback=quality(cache=tmp_path / "mine"))
    assert len(list((tmp_path / "mine").iterdir())) == 1
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    callback = once(tmp_path, callback=quality(cache=tmp_path / "file" / "below"))
    assert callback.metrics
    assert "extracts the real images again" in capsys.readouterr().err


# -- bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 1},
        {"batch_size": 0},
        {"split": "valid"},
        {"every_n_epochs": -1},
        {"every_n_steps": 0},
        {"seed": -1},
        {"k": 0},
        {"k_density": 0},
        {"subsets": 0},
        {"subset_size": 1},
        {"splits": 0},
        {"keep": 1},
        {"metrics": []},
        {"metrics": ["fid"]},
        {"metrics": ["score"], "per_class": True},
    ],
)
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError) as told:
        Quality(**wrong)
    assert "\n" not in str(told.value)


def test_a_config_needs_no_network():
    assert Quality().extractor == "inception"


class Broken(Samples):
    """Whose images are none."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def sample(self, n, y=None, generator=None):
        made = super().sample(n, y, generator)
        made[0, 0, 0, 0] = self.value
        return made


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda: Broken(float("nan")), {}, "Broken's images: 1 of 5 images have NaN or infinite pixels"),
        (lambda: Broken(2.0), {}, r"Broken's images: float images are in \[-1, 1\]"),
        (Play, {}, "Play generates no images that can be evaluated"),
        (lambda: OnlyRecords("none"), {}, "OnlyRecords generates no images that can be evaluated"),
        (Samples, {"per_class": True}, "per_class needs a model that is sampled by class, and Samples is none"),
        (lambda: Samples(3), {"per_class": True}, "metrics per class need labelled images"),
        (
            lambda: Samples(20),
            {"per_class": True},
            "of 24 samples class 4 has 1: a Frechet distance needs 2",
        ),
        (Samples, {"metrics": ["kernel"]}, "a kernel distance of subsets of 1000 needs as many"),
        (Samples, {"metrics": ["score"], "splits": 30}, "an Inception score of 30 splits needs as many images, not 24"),
        (Samples, {"metrics": ["manifold"], "n": 5}, "neighbours k 3 and 5 need more images"),
    ],
)
def test_what_cannot_be_measured_is_one_line(tmp_path, make, options, said):
    with pytest.raises(InputError, match=said) as told:
        run(make(), data(), tmp_path, quality(**options))
    assert "\n" not in str(told.value)


def test_most_of_it_is_known_before_the_training(tmp_path):
    class Trained(Samples):
        def training_step(self, batch, batch_idx):
            raise AssertionError

    for options, held, said in [
        ({"metrics": ["manifold"], "n": 5}, data(), "neighbours"),
        ({}, Data(random_images(8, 1)), "there are no val images to compare with"),
        ({"split": "test"}, Data(random_images(8, 1), random_images(1)), "there are no test images"),
        ({"per_class": True}, data(), "per_class"),
    ]:
        with pytest.raises(InputError, match=said):
            run(Trained(), held, tmp_path, quality(**options))


def test_a_domain_adaptation_makes_no_images(tmp_path):
    model = zoo.DANN(**SMALL["DANN"])
    with pytest.raises(InputError, match="DANN generates no images that can be evaluated"):
        run(model, Few(model, held_out=True), tmp_path, quality())


def test_grey_images_in_a_colour_network_are_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Tiny, "channels", 3)
    monkeypatch.setattr(Tiny, "features", lambda self, images: Features(images.float().mean((2, 3)) @ self.turn[:3], None))
    monkeypatch.setattr(Tiny, "has_logits", False)
    run(Samples(), data(), tmp_path, quality())
    (line,) = capsys.readouterr().err.splitlines()
    assert "grey images, their channel repeated for tiny" in line


# -- the command and the bar --------------------------------------------------------------------------------------------


def test_from_the_command_line(tmp_path, monkeypatch):
    """By its short name, with its options, as a monitor of the checkpoints."""
    monkeypatch.chdir(tmp_path)
    quick = ["--trainer.accelerator", "cpu", "--trainer.limit_train_batches", "3", "--trainer.max_epochs", "2"]
    quick += ["--trainer.check_val_every_n_epoch", "1"]
    config = """
trainer:
  callbacks:
    - class_path: FID
      init_args: {extractor: tiny, n: 30, every_n_epochs: 1}
    - class_path: Checkpoints
      init_args: {monitor: val/fd_tiny, mode: min}
"""
    (tmp_path / "more.yaml").write_text(config)
    assert main(["fit", "--config", "gan_digits", "--config", "more.yaml", *quick]) == 0
    (home,) = (tmp_path / "runs").glob("*/version_0")
    with open(home / "metrics.csv", newline="") as file:
        values = [float(row["val/fd_tiny"]) for row in csv.DictReader(file) if row["val/fd_tiny"]]
    assert len(values) == 2
    best = torch.load(next((home / "checkpoints").glob("epoch*.ckpt")), weights_only=True)
    assert best["epoch"] == int(np.argmin(values))
    assert (home / "checkpoints" / "last.ckpt").exists()
    again = ["--config", str(home / "config.yaml"), "--ckpt_path", str(home / "checkpoints" / "last.ckpt")]
    assert main(["test", *again]) == 0
    assert main(["fit", "--config", "gan_digits", *quick, "--trainer.callbacks", "KID", "--trainer.callbacks.n", "1"]) == 2


def test_every_option_has_a_line_of_help(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--trainer.callbacks.help", "Quality"])
    told = capsys.readouterr().out
    for option in ("extractor", "split", "every_n_steps", "per_class", "cache"):
        assert f"--trainer.callbacks.{option}" in told
    assert "{train,val,test}" in told


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr("ganzoo.callbacks.distributed.PATIENCE", -1.0)


def test_a_bar_among_the_trainers_own(tmp_path, monkeypatch, capsys, at_once):
    """It is a line of the same display, gone afterwards; and the trainer's own lines are still found by their places."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich asks for itself
    shown: list[tuple[str, float, float, bool]] = []
    own = Progress()

    class Watched(Tiny):
        def features(self, images):
            own.progress.refresh()  # which a thread does now and then
            tasks = own.progress.tasks
            mine = [task for task in tasks if task.description.startswith("tiny: ")]
            shown.append(
                (mine[-1].description, mine[-1].completed, mine[-1].total, tasks[own.train_progress_bar_id].visible)
            )
            return super().features(images)

    monkeypatch.setattr("ganzoo.callbacks.quality.find", lambda name, weights=None: Watched())
    run(Samples(), data(), tmp_path, own, quality(batch_size=8), enable_progress_bar=True)
    assert shown == [
        *(("tiny: real Data, val", done, N, True) for done in (0, 8, 16)),
        *(("tiny: Samples", done, N, True) for done in (0, 8, 16)),
        *(("tiny: Samples", done, N, True) for done in (0, 8, 16)),
    ]
    tasks = own.progress.tasks
    assert [task.id for task in tasks] == list(range(len(tasks)))
    assert not any(task.visible for task in tasks if task.description.startswith("tiny: "))
    assert "tiny: Samples" in capsys.readouterr().out


@pytest.mark.parametrize("own", [[], [Progress()], [TQDMProgressBar()]])
def test_no_bar_where_there_is_no_terminal(tmp_path, capsys, at_once, own):
    run(Samples(), data(), tmp_path, *own, quality(), enable_progress_bar=bool(own))
    told = capsys.readouterr()
    assert "tiny:" not in told.out + told.err


# -- two processes ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path, found):
    """To 1e-9, with uneven parts, with one part for two; each image is looked at once; and none waits for ever."""
    both = two_processes(tmp_path)
    for name, (module, held, options) in cases().items():
        stand_still(module)
        _, alone = measured(module, held, {**options, "cache": None}, tmp_path)
        looks = looked(found)
        for again in ("", " again"):
            for here in both:
                assert here[name + again]["metrics"] == pytest.approx(alone.metrics, rel=1e-9, abs=1e-9), name
                logged = here[name + again]["logged"]
                assert {k: logged[k] for k in alone.metrics} == pytest.approx(alone.metrics, rel=1e-5, abs=1e-5)
            assert both[0][name + again]["metrics"] == both[1][name + again]["metrics"]
            # of the run before; and two cases have the same real images
            kept = name not in ("own", "moments") and (again or name == "one part")
            remembered = (10 + 23 if name == "turns" else 23) if kept else 0
            assert sum(here[name + again]["looks"] for here in both) == looks - remembered, name
        for rank in (0, 1):  # the running averages are each process's own again
            assert all((mean == rank).all() for mean in both[rank][name]["averages"])
    assert len(files(tmp_path / "..")) == 0
    assert len(list((tmp_path / "features").iterdir())) == 4  # samples and one part share theirs; turns have two
    for here in both:
        assert "HalfBroken's images: 5 of 5 images have NaN" in here["broken"]


# -- what the trainer is doing while it is looked -----------------------------------------------------------------------


@pytest.mark.parametrize("every_n_steps", [None, 1])
def test_hooks_that_augment_in_training_do_not_augment_what_is_measured(tmp_path, every_n_steps):
    class Augments(Data):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            batch = super().on_after_batch_transfer(batch, dataloader_idx)
            return batch._replace(x=-batch.x) if self.trainer.training else batch

    plain, watched = quality(), quality(every_n_steps=every_n_steps)
    run(Samples(), data(), tmp_path / "plain", plain)
    played = run(Samples(), Augments(random_images(8, 1), random_images()), tmp_path / "watched", watched)
    real = Tiny().eval()(noise(N, 0)).pool.double()
    assert torch.allclose(watched._evaluations["val"].real_sets[""].statistics.mean, real.mean(0))
    assert torch.allclose(plain._evaluations["val"].real_sets[""].statistics.mean, real.mean(0))
    assert played.state.stage is None or not played.validating


def test_the_kernel_distance_is_left_out_where_there_are_too_few_and_a_line_says_so(tmp_path, capsys):
    few = quality(metrics=None, subset_size=N + 1)
    run(Samples(), data(), tmp_path / "few", few)
    assert not any("kd" in name for name in few.metrics)
    said = f"Quality: kernel is left out: a kernel distance of subsets of {N + 1} needs as many of each kind"
    assert capsys.readouterr().err.count(said) == 1
    enough = quality(metrics=None, subset_size=N, subsets=2)
    run(Samples(), data(), tmp_path / "enough", enough)
    assert set(enough.metrics) == set(few.metrics) | {"val/kd_tiny", "val/kd_tiny_std"}
    assert "left out" not in capsys.readouterr().err
    with pytest.raises(InputError, match="subsets of 25 needs as many"):  # what is asked for is not left out
        run(Samples(), data(), tmp_path / "asked", quality(metrics=["kernel"], subset_size=N + 1))


def test_one_name_has_one_value_whichever_callback_measures_it(tmp_path):
    """Pix2pix normalizes by the batch, so that the batch size decides what it makes: all take the loader's."""
    everything = {"n": 7, "splits": 2, "subset_size": 4, "subsets": 2, "k": 1, "k_density": 2}
    makers = [
        lambda: Quality("tiny", **everything),
        lambda: FID("tiny", n=7),
        lambda: KID("tiny", n=7, subset_size=4, subsets=2),
        lambda: InceptionScore("tiny", n=7, splits=2),
        lambda: PrecisionRecall("tiny", n=7, k=1, k_density=2),
    ]
    found: list[dict[str, float]] = []
    for make in makers:
        torch.manual_seed(0)
        callback = make()
        model = zoo.Pix2Pix(**SMALL["Pix2Pix"])
        run(model, Few(model, n=7, held_out=True), tmp_path, callback, max_epochs=1)
        found.append(callback.metrics)
    whole, *parts = found
    assert {name for part in parts for name in part} == whole.keys()
    for part in parts:
        assert part == {name: whole[name] for name in part}


def test_what_is_translated_comes_in_the_loaders_batches_and_samples_in_fifties(tmp_path):
    """Networks that normalise by the batch, as pix2pix's do, give the same images here as in the other callbacks."""
    sizes: list[int] = []

    class Watches(Same):
        def translate(self, x):
            sizes.append(len(x))
            return x

        def validation_step(self, batch, batch_idx):
            return None

    x = noise(10, 0)
    pairs = ImagesOf(Pair, x, x)
    run(Watches(), Data(pairs, pairs), tmp_path / "pairs", quality(batch_size=None, n=100), max_epochs=1)
    assert sizes == [4, 4, 2]

    class Counts(Samples):
        def sample(self, n, y=None, generator=None):
            sizes.append(n)
            return super().sample(n, y, generator)

    sizes.clear()
    run(Counts(), data(), tmp_path / "samples", quality(batch_size=None, n=101), max_epochs=1)
    assert sizes == [50, 50, 1]

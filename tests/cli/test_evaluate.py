"""``ganzoo evaluate`` and ``ganzoo classifier``, on digits and on images whose metrics are known."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits
from support.evaluate import (
    SMALL,
    Brighter,
    Pairs,
    Rows,
    Seven,
    Tiny,
    digits,
    error,
    evaluate,
    folder,
    greys,
    saved,
)
from support.evaluate import evaluate_folder as evaluate_folder
from support.training import LIMIT
from torch import Tensor, nn

import ganzoo.cli.outputs
import ganzoo.evaluation.evaluator
import ganzoo.evaluation.features
import ganzoo.evaluation.selection
from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.data.batches import ImagePairs, Images, Unpaired
from ganzoo.errors import InputError
from ganzoo.evaluation.protocol import FIELDS, Result
from ganzoo.evaluation.table import FeatureTable
from ganzoo.hub.sources import selection
from ganzoo.interfaces import CycleTranslator, Generated
from ganzoo.models import GAN, CycleGAN, Pix2Pix
from ganzoo.utils.images import to_uint8
from ganzoo.utils.rng import step_seed

pytestmark = pytest.mark.usefixtures("evaluate_folder")

METRICS = {"fd_tiny", "kd_tiny", "score_tiny", "precision_tiny", "recall_tiny", "density_tiny", "coverage_tiny"}


class Nothing(Seven):
    grey = float("nan")


class Loud(Seven):
    grey = 3.0


class OfClasses(Seven):
    classes = 10

    def sample(self, n, y=None, generator=None):
        # class c is an image of grey c / 10, and a little noise
        return (y.view(n, 1, 1, 1) / 10 + torch.rand(n, 1, 8, 8, generator=generator) / 100).clamp(-1, 1)


class Mine(L.LightningModule):
    """Nothing of ganzoo's but the record."""

    def __init__(self, offset: float = 0.25) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.offset = nn.Parameter(torch.tensor(offset))

    configure_optimizers = Seven.configure_optimizers

    def training_step(self, batch, batch_idx):
        return self.offset.square()

    def validation_step(self, batch, batch_idx):
        self.log("nobody", 1.0)
        return Generated(batch.x, (batch.x + self.offset).clamp(-1, 1))


class Cycle(Brighter, CycleTranslator):
    @torch.no_grad()
    def translate_back(self, y):
        return (y - self.by).clamp(-1, 1)


class Strangers(Pairs):
    def splits(self):
        x, y = greys(self.n, 1), greys(self.n - 7, 2)
        return (Rows(Unpaired, x, y, sizes={"x": len(x), "y": len(y)}),) * 3


class Moody(Pairs):
    """Other images at each look."""

    def splits(self):
        class Drawn(Rows):
            def __getitem__(self, index):
                return Images(torch.randint(0, 255, (1, 8, 8), dtype=torch.uint8))

        return (Drawn(Images, greys(self.n, 0)),) * 3


class ByBatch(Brighter):
    """Normalizes by the batch, whatever the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, track_running_stats=False)

    @torch.no_grad()
    def translate(self, x):
        return self.norm(x) / 4


class Same(Brighter):
    def translate(self, x):
        return x


class Crops(Pairs):
    """y is x, both cut out at one place, which torch's own stream decides."""

    def splits(self):
        class Drawn(Rows):
            def __getitem__(self, index):
                at = int(torch.randint(0, 8, ()))
                return ImagePairs(*(value[:, at : at + 12] for value in super().__getitem__(index)))

        x = greys(self.n, 1, 20)
        return (Drawn(ImagePairs, x, x.clone()),) * 3


class Asking(Mine):
    """Asks the trainer and the logger in its step."""

    def validation_step(self, batch, batch_idx):
        assert self.trainer.validating
        assert self.trainer.is_global_zero
        if self.logger:
            self.logger.log_metrics({})
        return super().validation_step(batch, batch_idx)


class AskingDigits(Digits):
    """Asks the trainer in its hooks."""

    def setup(self, stage=None):
        assert self.trainer.world_size == 1
        super().setup(stage)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch._replace(x=-batch.x) if self.trainer.training else batch


@pytest.fixture(scope="session")
def run_(tmp_path_factory) -> Path:
    """A run of the GAN on digits, with averaged weights."""
    folder = tmp_path_factory.mktemp("run") / "mine"
    args = ["--trainer.max_epochs", "2", "--model.ema_half_life", "500", "--trainer.accelerator", "cpu"]
    quiet = ["--trainer.callbacks", "null", "--trainer.enable_progress_bar", "false", "--trainer.logger", "false"]
    assert main(["fit", "--config", "gan_digits", *args, *quiet, "--run_dir", str(folder)]) == 0
    return folder


@pytest.fixture
def run(run_, tmp_path) -> Path:
    """A copy of it, for what a test writes."""
    return Path(shutil.copytree(run_, tmp_path / "run"))


@pytest.fixture
def last(run) -> str:
    return str(run / "checkpoints" / "last.ckpt")


def frechet(x: Tensor, y: Tensor) -> float:
    """By the textbook's formula and scipy's square root, of the tiny extractor's features."""
    a, b = (Tiny()(images).pool.detach().double().numpy() for images in (x, y))
    p, q = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(p + q - 2 * np.real(sqrtm(p @ q))))


# -- a model -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_against_the_data_of_its_run(last, capsys):
    """The distance from outside: images from scikit-learn, and samples of the documented noise."""
    assert main(["evaluate", last, "--extractor", "tiny", *SMALL]) == 0
    table = capsys.readouterr().out
    result = Result.load(Path(last).with_name("last_tiny.json"))
    assert set(result.metrics) == METRICS
    model = GAN.load_from_checkpoint(last).eval()
    batches = [50] * 7 + [3]
    noise = (torch.Generator().manual_seed(step_seed(0, 0, b)) for b in range(8))
    samples = torch.cat([model.sample(n, generator=g) for n, g in zip(batches, noise, strict=True)])
    assert result.metrics["fd_tiny"].value == pytest.approx(frechet(digits(), to_uint8(samples)), rel=1e-6)
    assert f"{result.metrics['fd_tiny'].value:.5g}" in table
    assert "353 images" in table
    assert "against 353 real images (Digits, test)" in table
    assert "(averaged weights, last, step 38)" in table
    wanted = {
        "extractor": "tiny",
        "extractor_weights": Tiny.weights,
        "extractor_verified": True,
        "dimension": 6,
        "resize": Tiny.resize,
        "preprocessing": Tiny.preprocessing,
        "split": "test",
        "n_real": 353,
        "n_fake": 353,
        "inputs": None,
        "model_weights": "averaged",
        "batch_norm": "eval",
        "checkpoint": "last",
        "keep": "all",
        "subsets": 5,
        "subset_size": 50,
        "splits": 10,
        "k": 3,
        "k_density": 5,
        "lpips": None,
    }
    assert wanted.items() <= result.protocol.items()
    assert result.protocol.keys() == FIELDS.keys()
    assert result.about["sha256"] == subprocess.check_output(["sha256sum", last], text=True).split()[0]
    about = {"model": "ganzoo.models.gan.GAN", "step": 38, "epoch": 1, "training_seed": 0, "seed": 0, "batch_size": 50}
    assert about.items() <= result.about.items()
    assert result.about["data"]["class"] == "ganzoo.data.Digits"
    assert result.about["versions"]["torch"] == torch.__version__.split("+")[0]
    assert result.about["sizes"] == ["1x8x8"]
    assert result.about["command"].startswith("ganzoo evaluate ")
    assert result.metrics["score_tiny"].of == "10 splits"
    assert result.metrics["kd_tiny"].of == "5 subsets"
    assert not list(Path(last).parent.glob(".evaluate*"))


def test_averaged_and_raw_weights_differ_and_are_told_apart(last):
    averaged, raw = evaluate(last), evaluate(last, "--raw")
    assert (averaged.protocol["model_weights"], raw.protocol["model_weights"]) == ("averaged", "raw")
    assert averaged.metrics["fd_tiny"].value != pytest.approx(raw.metrics["fd_tiny"].value, rel=1e-3)
    model = GAN.load_from_checkpoint(last).eval()
    model.ema = None
    samples = model.sample(20, generator=torch.Generator().manual_seed(step_seed(0, 0, 0)))
    few = evaluate(last, "--raw", "--n", "20").metrics["fd_tiny"].value
    assert few == pytest.approx(frechet(digits(), to_uint8(samples)), rel=1e-6)


def test_the_folder_of_a_run_stands_for_its_checkpoint(run, last, capsys):
    assert main(["evaluate", str(run), "--extractor", "tiny", *SMALL, "--metrics", "distance", "--n", "60"]) == 0
    assert f"{run}: loads last.ckpt, its last checkpoint" in capsys.readouterr().err
    result = Result.load(Path(last).with_name("last_tiny.json"))
    assert result.about["path"] == last


def test_what_is_made_depends_on_seed_and_not_on_the_global_stream(last):
    first = evaluate(last)
    torch.manual_seed(99)
    assert evaluate(last).metrics == first.metrics
    assert evaluate(last, "--seed", "1").metrics != first.metrics


def test_the_data_may_be_others(last):
    own, other = evaluate(last), evaluate(last, "--split", "train", "--n", "100")
    assert (other.protocol["n_real"], other.protocol["n_fake"], other.protocol["split"]) == (1266, 100, "train")
    assert own.protocol["real"] != other.protocol["real"]
    changed = evaluate(last, "--data.size", "4")
    assert changed.about["data"]["arguments"]["size"] == 4
    assert changed.protocol["real"] != own.protocol["real"]
    assert evaluate(last, "--data", "Digits").protocol == own.protocol
    assert evaluate(last, "--config", "cgan_digits").protocol == own.protocol


def test_a_folder_may_be_real(last):
    by_data, by_folder = evaluate(last), evaluate(last, folder("real", digits()))
    assert by_folder.metrics["fd_tiny"].value == pytest.approx(by_data.metrics["fd_tiny"].value, rel=1e-9)
    assert by_folder.protocol["split"] is None
    assert by_folder.about["real"] == "real"


def test_a_model_of_one_s_own_by_what_its_validation_step_returns(capsys):
    path = saved(Mine())
    assert main(["fit", "--model", "cli.test_evaluate.Mine", "--data", "Digits", "--trainer.max_epochs", "1",
                 "--trainer.logger", "false", "--trainer.accelerator", "cpu", "--run_dir", "run"]) == 0  # fmt: skip
    own = evaluate("run/checkpoints/last.ckpt")
    assert own.about["model"] == "cli.test_evaluate.Mine"
    shifted = to_uint8((digits().float() / 127.5 - 1 + 0.25).clamp(-1, 1))
    assert own.metrics["fd_tiny"].value == pytest.approx(frechet(digits(), shifted), rel=1e-6)
    # from a script, whose checkpoint names no class
    assert "does not say which class it is of: give --model" in error(capsys, "evaluate", path, "--data", "Digits")
    again = evaluate(path, "--data", "Digits", "--model", "Mine", "--batch_size", "64")
    assert again.metrics == own.metrics
    again = evaluate(path, "--data", "Digits", "--model", "cli.test_evaluate.Mine", "--batch_size", "64")
    assert again.metrics == own.metrics


def test_each_class_and_their_mean():
    path = saved(OfClasses())
    result = evaluate(path, "--model", "OfClasses", "--data", "Digits", "--per_class")
    names = {"fd_tiny", "intra_fd_tiny", *(f"fd_tiny_class_{c}" for c in range(10))}
    assert set(result.metrics) == names
    y = torch.from_numpy(load_digits().target)
    test = torch.from_numpy(np.array([(y[:i] == y[i]).sum() % 10 for i in range(len(y))]) > 7)
    model = OfClasses()
    asked = torch.arange(353) % 10
    noise = (torch.Generator().manual_seed(step_seed(0, 0, b)) for b in range(8))
    parts = [model.sample(len(part), part, g) for part, g in zip(asked.split(50), noise, strict=True)]
    generated_batches = to_uint8(torch.cat(parts))
    for c in (0, 9):
        wanted = frechet(digits()[y[test] == c], generated_batches[asked == c])
        assert result.metrics[f"fd_tiny_class_{c}"].value == pytest.approx(wanted, rel=1e-6)
    each = [result.metrics[f"fd_tiny_class_{c}"].value for c in range(10)]
    assert result.metrics["intra_fd_tiny"].value == pytest.approx(sum(each) / 10)
    # of these figures some are too much for 35 images, which is said
    for _ in range(2):
        assert (
            main(
                ["evaluate", path, "--model", "OfClasses", "--data", "Digits", "--per_class", "--extractor", "tiny", *SMALL]
            )
            == 0
        )
    assert [file.name for file in Path().glob("*.json")] == ["model_tiny.json"]
    result = Result.load(Path("model_tiny.json"))
    assert "precision_tiny_class_3" in result.metrics
    assert "of class 0: a kernel distance of subsets of 50" in result.left_out["kernel of classes"]


def test_a_translation_of_pairs():
    """Brighter by 20 where the truth is by 26: the L1 is 6 of 255 in [-1, 1] units."""
    path = saved(Brighter())
    data = ["--data", "support.evaluate.Pairs", "--model", "Brighter"]
    result = evaluate(path, *data, metrics="distance,paired")
    assert set(result.metrics) == {"fd_tiny", "l1", "psnr", "ssim"}
    assert result.metrics["l1"].value == pytest.approx(12 / 255)
    assert result.metrics["psnr"].value == pytest.approx(20 * np.log10(255 / 6))
    assert result.metrics["l1"].of == "standard error"
    x = greys(40, 1)
    assert result.metrics["fd_tiny"].value == pytest.approx(frechet(x + 26, x + 20), rel=1e-6)
    assert result.protocol["inputs"]
    assert evaluate(path, *data, "--n", "7").protocol["n_fake"] == 7
    # pairs alone need no extractor
    alone = evaluate(path, *data, metrics="paired")
    assert alone.protocol["extractor"] is None
    assert alone.metrics["psnr"] == result.metrics["psnr"]
    assert main(["evaluate", path, *data, "--metrics", "paired"]) == 0
    assert Path("model_paired.json").is_file()


@pytest.mark.parametrize(("data", "paired"), [("Pairs", True), ("Strangers", False)])
def test_both_directions_of_a_cycle(data, paired):
    result = evaluate(saved(Cycle()), "--data", f"cli.test_evaluate.{data}", "--model", "Cycle", metrics=None)
    x, y = greys(40, 1), greys(40, 1) + 26 if paired else greys(33, 2)
    assert result.metrics["fd_tiny_to_y"].value == pytest.approx(frechet(y, x + 20), rel=1e-6)
    assert result.metrics["fd_tiny_to_x"].value == pytest.approx(frechet(x, y - 20), rel=1e-6)
    assert ("l1_to_y" in result.metrics) == ("psnr_to_x" in result.metrics) == paired
    again = evaluate("model.ckpt", "--data", f"cli.test_evaluate.{data}", "--model", "Cycle", metrics=None)
    assert again.metrics == result.metrics  # each kind of real images is remembered as itself
    assert again.about["real_features"]
    if not paired:
        assert result.protocol["n_real"] == {"to_y": 33, "to_x": 40}
        assert result.protocol["n_fake"] == {"to_y": 40, "to_x": 33}


def test_a_pair_is_of_one_look_at_data_that_change():
    """What is handed through is at no distance from what it should be."""
    result = evaluate(
        saved(Same()), "--model", "Same", "--data", "cli.test_evaluate.Crops", "--batch_size", "7", metrics="paired"
    )
    assert result.metrics["l1"].value == 0
    assert result.metrics["ssim"].value == pytest.approx(1)
    assert result.protocol["inputs"] == "changing"


def test_a_model_that_normalizes_by_the_batch(capsys):
    """Its batch size belongs to the protocol, and is that of its training unless another is given."""
    Path("run/checkpoints").mkdir(parents=True)
    alone, path = saved(ByBatch()), saved(ByBatch(), "run/checkpoints/last.ckpt")
    config = {"data": {"class_path": "support.evaluate.Pairs", "init_args": {"n": 40, "batch_size": 4}}}
    Path("run/config.yaml").write_text(json.dumps(config))
    data = ["--model", "ByBatch", "--data", "support.evaluate.Pairs"]
    x = greys(40, 1).float() / 127.5 - 1
    for args, size, said in (
        ([path], 4, "batches of 4, as in its training"),
        ([path, "--batch_size", "10"], 10, None),
        ([path, "--batch_size=50"], 50, None),
        ([alone], 1, "batches of 1, as no config.yaml of its run says how many there were"),
    ):
        capsys.readouterr()
        result = evaluate(*args, *data)
        assert result.protocol["batch_norm"] == f"statistics of batches of {size}"
        assert result.about["batch_size"] == size
        lines = [line for line in capsys.readouterr().err.splitlines() if "normalizes" in line]
        assert lines == ([f"ganzoo: ByBatch normalizes by the statistics of each batch: {said}"] if said else [])
        parts = [(part - part.mean()) / (part.var(correction=0) + 1e-5).sqrt() / 4 for part in x.split(size)]
        wanted = frechet(greys(40, 1) + 26, to_uint8(torch.cat(parts)))
        assert result.metrics["fd_tiny"].value == pytest.approx(wanted, rel=1e-2)  # a pixel may round the other way
    common = ["evaluate", path, *data, "--extractor", "tiny", "--metrics", "distance", "--batch_size"]
    for size in ("8", "10"):
        assert main([*common, size, "--out", f"{size}.json"]) == 0
    assert error(capsys, "compare", "8.json", "10.json").startswith("batch_norm (")


def test_what_is_translated_comes_in_the_batches_of_the_training():
    """As in the callbacks, so that a translator has the same images in both."""
    Path("run/checkpoints").mkdir(parents=True)
    alone, path = saved(Brighter()), saved(Brighter(), "run/checkpoints/last.ckpt")
    config = {"data": {"class_path": "cli.test_evaluate.Pairs", "init_args": {"n": 40, "batch_size": 4}}}
    Path("run/config.yaml").write_text(json.dumps(config))
    for checkpoint, size in ((path, 4), (alone, 50)):
        result = evaluate(checkpoint, "--model", "Brighter", "--data", "cli.test_evaluate.Pairs")
        assert result.about["batch_size"] == size
        assert result.protocol["batch_norm"] == "eval"


def test_what_a_class_keeps_is_part_of_its_distance():
    args = ["evaluate", saved(OfClasses()), "--model", "OfClasses", "--data", "Digits", "--per_class", "--extractor", "tiny"]
    args += ["--metrics", "distance"]
    assert main(args) == main([*args, "--keep", "20"]) == main([*args, "--keep", "10"]) == 0
    kept = {name: Result.load(Path(name)) for name in ("model_tiny.json", "model_tiny_2.json", "model_tiny_3.json")}
    assert [each.protocol["keep"] for each in kept.values()] == ["all", 20, 10]
    assert len({each.key for each in kept.values()}) == 3
    assert len({each.metrics["intra_fd_tiny"].value for each in kept.values()}) == 3
    assert len({round(each.metrics["fd_tiny"].value, 6) for each in kept.values()}) == 1


def test_a_model_and_data_that_ask_their_trainer(capsys):
    path = saved(Asking())
    result = evaluate(path, "--model", "Asking", "--data", "cli.test_evaluate.AskingDigits", "--split", "val")
    plain = evaluate(path, "--model", "Mine", "--data", "Digits", "--split", "val")
    assert result.metrics == plain.metrics
    assert main(["classifier", "--data", "cli.test_evaluate.AskingDigits", "--out", "d.pt", "--epochs", "1"]) == 0


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (Pix2Pix(inputs=3, depth=2, width=2, patch=1), "inputs"),
        (Pix2Pix(inputs=1, outputs=3, depth=2, width=2, patch=1), "outputs"),
        (CycleGAN(channels_y=3, blocks=1, width=2, patch=1), "channels_x"),
    ],
)
def test_data_that_do_not_fit_the_model_get_its_own_line(capsys, model, line):
    found = error(capsys, "evaluate", saved(model), "--model", type(model).__name__, "--data", "support.evaluate.Pairs",
                  "--extractor", "tiny")  # fmt: skip
    assert line in found
    assert "Sizes of tensors" not in found


def test_small_pairs_have_no_ssim_which_is_said(monkeypatch):
    monkeypatch.setattr("ganzoo.evaluation.selection.WINDOW", 13)
    result = evaluate(saved(Brighter()), "--data", "support.evaluate.Pairs", "--model", "Brighter", metrics="paired")
    assert set(result.metrics) == {"l1", "psnr"}
    assert "13 x 13 pixels" in result.left_out["ssim"]


def test_without_real_images_there_is_a_score_alone(capsys):
    path = saved(Seven())
    result = evaluate(path, "--model", "Seven", "--n", "60", metrics=None)
    assert set(result.metrics) == {"score_tiny"}
    assert "no real images" in result.left_out["distance"]
    assert (result.protocol["real"], result.protocol["n_real"], result.protocol["keep"]) == (None, None, None)
    assert "--n says how many images Seven makes" in error(capsys, "evaluate", path, "--model", "Seven")


def test_what_the_checkpoint_was_kept_for(tmp_path):
    state = {"callbacks": {"ModelCheckpoint{'monitor': 'val/fd'}": {"monitor": "val/fd", "best_model_path": "/x/best.ckpt"}}}
    for name in ("best.ckpt", "other.ckpt", "last.ckpt"):
        torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6", **state}, tmp_path / name)
    assert selection(tmp_path / "best.ckpt", state) == "best by val/fd"
    assert selection(tmp_path / "other.ckpt", state) == "another"
    assert selection(tmp_path / "last.ckpt", state) == "last"
    os.link(tmp_path / "last.ckpt", tmp_path / "epoch=1-step=2.ckpt")
    assert selection(tmp_path / "epoch=1-step=2.ckpt", {}) == "last"
    # what was the best when it was written is not the best any more: the newest knows
    assert (
        selection(tmp_path / "other.ckpt", {"callbacks": {"a": {"monitor": "b", "best_model_path": "other.ckpt"}}})
        == "another"
    )
    # a checkpoint that is kept as the newest, without a monitor, is no best
    (tmp_path / "alone").mkdir()
    newest = {"callbacks": {"a": {"monitor": None, "best_model_path": "x.ckpt"}}}
    assert selection(tmp_path / "alone" / "x.ckpt", newest) == "another"


def test_lightning_s_own_average_is_told(capsys):
    path = saved(Seven(), current_model_state={})
    assert evaluate(path, "--model", "Seven", "--data", "Digits").protocol["model_weights"] == "averaged"
    assert "averaged by Lightning's callback" in error(capsys, "evaluate", path, "--model", "Seven", "--raw")


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_against_itself_is_at_no_distance():
    result = evaluate(folder("a", digits()), folder("b", digits()), metrics=None)
    assert abs(result.metrics["fd_tiny"].value) < 1e-9
    assert result.metrics["precision_tiny"].value == result.metrics["recall_tiny"].value == 1
    other = evaluate("a", folder("c", digits("train")[:353] // 2))
    assert other.metrics["fd_tiny"].value == pytest.approx(frechet(digits(), digits("train")[:353] // 2), rel=1e-6)
    assert other.protocol["checkpoint"] is other.protocol["model_weights"] is None


def test_the_name_of_a_folder_s_result_and_its_first_images():
    folder("a", digits())
    assert main(["evaluate", "a", "a", "--extractor", "tiny", "--n", "60", "--metrics", "distance"]) == 0
    assert Result.load(Path("a_tiny.json")).protocol["n_fake"] == 60


def test_a_folder_against_data():
    folder("a", digits())
    assert abs(evaluate("a", "--data", "Digits").metrics["fd_tiny"].value) < 1e-9
    # of pairs, against what a translation aims at
    folder("b", greys(40, 1) + 26)
    assert abs(evaluate("b", "--data", "support.evaluate.Pairs").metrics["fd_tiny"].value) < 1e-9


def test_a_folder_may_have_any_name():
    folder("null", digits()[:40])
    folder("1e3", digits()[40:80])
    result = evaluate("1e3", "null")
    assert result.metrics["fd_tiny"].value == pytest.approx(frechet(digits()[:40], digits()[40:80]), rel=1e-6)
    assert (result.about["path"], result.about["real"]) == ("1e3", "null")


def test_images_of_many_sizes_each_resized_by_the_extractor(capsys):
    images = digits()[:30]
    large = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    folder("one", images)
    folder("mixed", images)
    for i in range(0, 30, 3):
        Image.fromarray(large[i, 0].numpy()).save(f"mixed/{i:04d}.png")
    result = evaluate("mixed", "one")  # the tiny extractor takes means, which are the same
    assert abs(result.metrics["fd_tiny"].value) < 1e-9
    assert result.about["sizes"] == ["3x16x16", "3x8x8"]
    assert "the images in mixed have 2 sizes, 8x8 to 16x16" in capsys.readouterr().err


def test_sixteen_bits_and_jpeg_and_subfolders():
    Path("a/deep").mkdir(parents=True)
    values = (digits()[0, 0].numpy().astype(np.uint16)) * 257
    Image.fromarray(values).save("a/deep/x.png")
    Image.fromarray(digits()[1, 0].numpy()).save("a/y.jpg", quality=100)
    Image.fromarray(digits()[2, 0].numpy()).save("a/z.png")
    result = evaluate("a", folder("b", digits()[:3]))
    assert abs(result.metrics["fd_tiny"].value) < 1e-3  # but for the JPEG


@pytest.mark.parametrize(
    ("extractor", "colour", "said"),
    [("colourful", False, "a: grey images, their channel repeated for colourful"),
     ("tiny", True, "a: colour images, turned into grey for tiny"),
     ("tiny", False, None), ("colourful", True, None)],
)  # fmt: skip
def test_a_conversion_is_said(capsys, extractor, colour, said):
    images = digits()[:20]
    images = torch.cat([images, images // 2, images], 1) if colour else images
    folder("a", images)
    assert main(["evaluate", "a", "a", "--extractor", extractor, "--metrics", "distance", "--batch_size", "6"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "images, t" in line]
    assert lines == ([f"ganzoo: {start}{said}" for start in ("real ", "")] if said else [])


# -- what cannot be measured -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["nowhere.ckpt"], "nowhere.ckpt: there is no such checkpoint, and no such folder of images"),
        (["some/0000.png"], "some/0000.png is one image: give the folder"),
        (["empty", "some"], "there are no images in empty"),
        (["some", "empty"], "there are no images in empty"),
        (["some", "nowhere"], "nowhere is neither a folder of real images nor a file of statistics"),
        (["some", "--metrics", "distance"], "distance: there are no real images to compare with: give REAL or --data"),
        (["broken", "some"], "cannot read the image broken/bad.png"),
        (["some", "cut"], "cannot read the image cut/0003.png"),
        (["text.ckpt", "some"], "text.ckpt is damaged, or is no checkpoint"),
        (["model.ckpt", "--n", "5"], "model.ckpt does not say which class it is of"),
        (["model.ckpt", "--model", "Sevn"], "there is no class 'Sevn': did you mean 'Seven'?"),
        (["model.ckpt", "--model", "GAN", "some"], "model.ckpt does not fit GAN: "),
        (["model.ckpt", "--model", "Brighter", "some"], "model.ckpt does not fit the class Brighter"),
        (["some", "some", "--raw"], "--raw is of a checkpoint, and some is a folder"),
        (["some", "some", "--n", "31"], "--n is 31, and there are 30 images in some"),
        (["some", "some", "--n", "0"], "n: give an int in [2, 2**31), not 0"),
        (["some", "some", "--keep", "1"], "keep: give an int in [2, 2**31), not 1"),
        (["some", "some", "--n", "1"], "n: give an int in [2, 2**31), not 1"),
        (["some", "some", "--metrics", "kernel"], "kernel: a kernel distance of subsets of 1000 needs as many of each kind"),
        (["some", "some", "--metrics", "manifold", "--k", "30"], "manifold: neighbours k 30 and 5 need more images"),
        (["some", "some", "--metrics", "score", "--splits", "31"], "score: an Inception score of 31 splits"),
        (["some", "some", "--metrics", "score", "--extractor", "colourful"], "no classifier at its end"),
        (["some", "some", "--metrics", "distnce"], "--metrics: there is no metric 'distnce': did you mean 'distance'?"),
        (["some", "some", "--metrics", "paired"], "paired: no image is there that another should be"),
        (["some", "--data", "Digits", "--metrics", "lpips"], "lpips: no image is there that another should be"),
        (["some", "some", "--data", "Digits"], "some and --data or --config both say which images are real"),
        (["some", "some", "--extractor", "incption"], "did you mean inception?"),
        (["some", "--real", "some"], "there is no option 'real'"),  # a place among the words, and not to be guessed at
        (["some", "some", "--extracter", "tiny"], "there is no option 'extracter': did you mean 'extractor'?"),
        (["some", "some", "--batch_size", "ten"], "batch_size: give an int in [1, 2**20], not ten"),
        (["some", "some", "--split", "holdout"], "split: expected one of train, val, test, not holdout"),
        (["some", "--data", "Digitz"], "data: there is no class 'Digitz': did you mean 'Digits'?"),
        (["some", "--config", "gan_digitz"], "there is no config 'gan_digitz': did you mean 'gan_digits'?"),
        (["some", "--data", "cli.test_evaluate.NoTest"], "NoTest has no test images: give another --split"),
        (["some", "--out", "text.ckpt", "some"], "--out text.ckpt is there, and no earlier result of this evaluation"),
        (["some", "some", "--out", "text.ckpt/x.json"], "cannot write into text.ckpt"),
        (["nan.ckpt", "some", "--model", "Nothing"], "Nothing's images: 30 of 30 images have NaN or infinite pixels"),
        (["loud.ckpt", "some", "--model", "Loud"], "Loud's images: float images are in [-1, 1], and these go from"),
        (["model.ckpt", "some", "--model", "Seven", "--per_class"], "per_class needs a model that is sampled by class"),
        (["some", "some", "--save_statistics", "x.txt"], "--save_statistics x.txt: give the name of a new file, .npz"),
        (["run", "some"], "run is a run's folder, and no folder of images: give a file in run/checkpoints"),
        (["trans.ckpt", "--model", "Brighter"], "trans.ckpt needs data, and no config.yaml of its run is there"),
        (["trans.ckpt", "some", "--model", "Cycle", "--data", "support.evaluate.Pairs"],
         "Cycle makes images of two kinds"),
        (["trans.ckpt", "--model", "Brighter", "--data", "cli.test_evaluate.Strangers", "--metrics", "paired"],
         "paired: the data are no pairs"),
        ([], "fake must be given"),
        (["some", "some", "--seed", "9" * 20], "seed: give an int in [0, 2**63), not 99"),
        (["some", "some", "--n", "9" * 20], "n: give an int in [2, 2**31), not 99"),
        (["some", "some", "--out", "."], "--out . is a folder: give the name of a file"),
        (["some", "some", "--out", "empty"], "--out empty is there, and no earlier result of this evaluation"),
        (["some", "some", "--out", "x" * 300], "cannot be written: File name too long; give another"),
        (["some", "some", "--out", "x" * 250], "cannot be written: File name too long; give another"),  # its part's name is
        (["some", "some", "--save_statistics", "nodir/x.npz"],
         "--save_statistics nodir/x.npz cannot be written: No such file or directory; give another"),
        (["some", "some", "--save_statistics", "x" * 252 + ".npz"], "cannot be written: File name too long; give another"),
    ],
)  # fmt: skip
def test_a_user_s_error_is_one_line(capsys, bad_things, args, line):
    shutil.copytree(bad_things, ".", dirs_exist_ok=True)
    before = set(Path().rglob("*"))
    extractor = [] if "--extractor" in args else ["--extractor", "tiny"]
    assert line in error(capsys, "evaluate", *args, *extractor)
    assert set(Path().rglob("*")) == before  # nothing is left
    if "be written" in line:
        assert Tiny.calls == 0


@pytest.mark.parametrize(("command", "line"), [("evaluate", "fake must be given"), ("classifier", "out must be given")])
def test_a_command_alone(capsys, command, line):
    assert line in error(capsys, command)


def test_the_largest_seed(last):
    assert evaluate(last, "--seed", str(2**63 - 1), metrics=None).about["seed"] == 2**63 - 1


@pytest.fixture(scope="session")
def bad_things(tmp_path_factory) -> Path:
    at = tmp_path_factory.mktemp("bad")
    folder(at / "some", digits()[:30])
    folder(at / "broken", digits()[:4])
    (at / "broken/bad.png").write_text("no image")
    folder(at / "cut", greys(5, 0, 60))
    whole = (at / "cut/0003.png").read_bytes()
    (at / "cut/0003.png").write_bytes(whole[: len(whole) // 2])
    (at / "empty").mkdir()
    (at / "run/checkpoints").mkdir(parents=True)
    (at / "run/config.yaml").touch()
    (at / "text.ckpt").write_text("hello")
    for model, name in ((Seven(), "model"), (Nothing(), "nan"), (Loud(), "loud"), (Brighter(), "trans")):
        saved(model, str(at / f"{name}.ckpt"))
    return at


class NoTest(L.LightningDataModule):
    def val_dataloader(self):
        return Digits().val_dataloader()


def test_too_few_images_are_found_before_any_is_looked_at(capsys):
    folder("some", digits()[:30])
    error(capsys, "evaluate", "some", "some", "--extractor", "tiny", "--metrics", "distance,kernel")
    assert Tiny.calls == 0
    # left to choose, it does what it can, and says so
    assert main(["evaluate", "some", "some", "--extractor", "tiny"]) == 0
    assert "left out: kernel: a kernel distance of subsets of 1000" in capsys.readouterr().out


def test_classes_that_are_too_small_are_found_before_any_sample_is_made(capsys):
    args = ["evaluate", saved(OfClasses()), "--model", "OfClasses", "--data", "Digits", "--per_class", "--extractor", "tiny"]
    line = error(capsys, *args, "--metrics", "kernel", "--subset_size", "50")
    assert line.startswith("kernel: of 353 samples class 0 has 36: a kernel distance of subsets of 50 needs as many")
    assert Tiny.calls == 0
    line = error(capsys, *args, "--metrics", "kernel", "--subset_size", "50", "--n", "600")
    assert line.startswith("kernel: of class 0: a kernel distance of subsets of 50 needs as many")
    assert Tiny.calls == 8  # the real ones
    line = error(capsys, *args, "--metrics", "distance", "--n", "15")
    assert line.startswith("distance: of 15 samples class 5 has 1: a Frechet distance needs 2 images of each kind")


def test_unlabelled_images_have_no_classes(capsys):
    folder("some", digits()[:30])
    args = ["--data", "ImageFolder", "--data.root", "some", "--data.val_share", "0.9", "--data.size", "8"]
    path = saved(OfClasses())
    line = error(capsys, "evaluate", path, "--model", "OfClasses", *args, "--per_class", "--extractor", "tiny", "--k", "2")
    assert "these have no labels" in line


def test_images_that_change_are_said_to(capsys):
    result = evaluate(saved(Seven()), "--model", "Seven", "--data", "cli.test_evaluate.Moody")
    assert "the test images of Moody change whenever they are read" in capsys.readouterr().err
    assert result.protocol["real"].startswith("x of changing images of Moody")
    assert not list(Path(os.environ["GANZOO_CACHE"]).rglob("*.npy"))


# -- what is written ---------------------------------------------------------------------------------------------------


def test_a_result_comes_back_from_its_file():
    folder("a", digits()[:60])
    assert main(["evaluate", "a", "a", "--extractor", "tiny", *SMALL]) == 0
    result = Result.load(Path("a_tiny.json"))
    result.save(Path("again.json"))
    assert Result.load(Path("again.json")) == result
    assert Path("again.json").read_text() == Path("a_tiny.json").read_text()
    assert json.loads(Path("a_tiny.json").read_text())["key"] == result.key


def test_no_other_measurement_is_written_over(capsys):
    folder("a", digits()[:60])
    args = ["evaluate", "a", "a", "--extractor", "tiny", "--metrics", "distance"]
    assert main(args) == main(args) == 0
    assert [path.name for path in Path().glob("*.json")] == ["a_tiny.json"]  # the same again is the same file
    first = Path("a_tiny.json").read_text()
    assert main([*args, "--n", "50"]) == 0
    assert Path("a_tiny.json").read_text() == first
    assert Result.load(Path("a_tiny_2.json")).protocol["n_fake"] == 50
    assert main([*args, "--n", "50"]) == 0
    assert len(list(Path().glob("*.json"))) == 2
    line = error(capsys, *args, "--n", "40", "--out", "a_tiny.json")
    assert "--out a_tiny.json is there, and no earlier result of this evaluation" in line
    assert main([*args, "--out", "new/deep.json"]) == 0
    assert Path("new/deep.json").is_file()


def test_what_cannot_be_written_is_shown_and_kept(last, capsys, monkeypatch):
    args = ["evaluate", last, "--extractor", "tiny", "--out", "out.json", "--cache", "none", *SMALL]
    with monkeypatch.context() as patched:

        def full(result: Result, path: Path) -> None:
            raise InputError(f"cannot write {path}: No space left on device")

        patched.setattr(Result, "save", full)
        assert main(args) == 2
    told = capsys.readouterr()
    assert "fd_tiny" in told.out
    assert "written to" not in told.out
    assert "ganzoo: error: cannot write out.json: No space left on device; the work is kept" in told.err
    seen = Tiny.calls
    assert main(args) == 0
    assert Tiny.calls == seen
    assert not list(Path().glob(".evaluate*"))
    value = Result.load(Path("out.json")).metrics["fd_tiny"].value
    assert f"{value:.5g}" in told.out


LOCK = """
import fcntl, os, sys
file = open(sys.argv[1], "a+")
fcntl.lockf(file, fcntl.LOCK_EX)
print(f"{os.getpid()} of here", end="", file=file, flush=True)
print("ready", flush=True)
sys.stdin.read()
"""


def test_two_do_not_make_one_measurement_at_once(last, capsys):
    pytest.importorskip("fcntl")
    args = ["evaluate", last, "--extractor", "tiny", "--out", "out.json", *SMALL]
    Tiny.interrupt_at = 12
    assert main(args) == 130
    (work,) = Path().glob(".evaluate*")
    assert not (work / "lock").exists()
    left = set(work.rglob("*"))
    Tiny.calls, Tiny.interrupt_at = 0, None
    command = [sys.executable, "-c", LOCK, str(work / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        line = error(capsys, *args)
        assert line == f"it is being evaluated by process {other.pid} of here: wait for that one's result"
        assert set(work.rglob("*")) == left | {work / "lock"}
        assert Tiny.calls == 0
        other.kill()
    # a dead one's lock, which is still there, is taken over
    assert (work / "lock").exists()
    assert main(args) == 0
    assert Tiny.calls == 16 - 11
    assert not list(Path().glob(".evaluate*"))


def test_a_lock_that_is_removed_while_it_is_taken(tmp_path, monkeypatch):
    """Another process has just ended: its file is no lock for whoever comes next."""
    fcntl = pytest.importorskip("fcntl")
    lockf, times = fcntl.lockf, []

    def late(file, how):
        times.append(1)
        if len(times) == 1:
            shutil.rmtree(tmp_path / "work")
        lockf(file, how)

    monkeypatch.setattr(fcntl, "lockf", late)
    with ganzoo.cli.outputs.work_dir(tmp_path / "work") as work:
        assert len(times) == 2
        assert (work / "lock").read_text().startswith(f"{os.getpid()} of ")
    assert not (tmp_path / "work").exists()


def test_real_images_are_looked_at_once(last, capsys):
    first = evaluate(last)
    assert Tiny.calls == 16
    again = evaluate(last)
    assert Tiny.calls == 16 + 8
    assert again.metrics == first.metrics
    assert again.about["real_features"] == "cached"
    # the table has every feature, whatever is computed of them
    evaluate(last, "--keep", "50", metrics="manifold")
    assert Tiny.calls == 24 + 8
    # another split, no cache: anew
    evaluate(last, "--split", "val")
    assert Tiny.calls == 32 + 2 * 4
    evaluate(last, "--cache", "none")
    assert Tiny.calls == 40 + 16
    tables = list(Path(os.environ["GANZOO_CACHE"]).rglob("tiny-test-*"))
    assert tables
    for table in tables:
        (table / "features.npy").write_text("damaged")
    assert evaluate(last).metrics == first.metrics
    assert "it is made anew" in capsys.readouterr().err
    assert Tiny.calls == 56 + 16


def test_so_many_features_are_kept_or_all(last):
    whole, some = (evaluate(last, "--keep", keep, metrics="manifold") for keep in ("353", "100"))
    assert (whole.protocol["keep"], some.protocol["keep"]) == ("all", 100)
    assert whole.metrics != some.metrics
    assert evaluate(last).protocol["keep"] is None


def test_saved_statistics_stand_for_the_images(last, capsys):
    by_images = evaluate(last, "--save_statistics", "real.npz", metrics=None)
    seen = Tiny.calls
    by_file = evaluate(last, "real.npz", metrics=None)
    assert Tiny.calls == seen + 8
    assert by_file.metrics == by_images.metrics
    assert by_file.protocol == by_images.protocol
    refused = ["evaluate", last, "real.npz", "--extractor", "tiny", "--metrics"]
    assert "real.npz: keep is 353 there and 100 here: give --keep 353" in error(
        capsys, *refused, "manifold", "--keep", "100"
    )
    Tiny.resize = "nearest, 8 x 8"
    assert "real.npz: resize is 'mean of blocks, 8 x 8' there and 'nearest, 8 x 8' here" in error(
        capsys, *refused, "distance"
    )
    Tiny.resize, Tiny.weights = "mean of blocks, 8 x 8", "f" * 16
    assert "weights is '0123456789abcdef' there and 'ffffffffffffffff' here" in error(capsys, *refused, "distance")
    Path("half.npz").write_bytes(Path("real.npz").read_bytes()[:300])
    assert "half.npz: not a file of statistics" in error(capsys, "evaluate", last, "half.npz", "--extractor", "tiny")


# -- interrupted -------------------------------------------------------------------------------------------------------

VOLATILE = ("date", "seconds", "real_features")


def content(path: str) -> dict:
    found = json.loads(Path(path).read_text())
    return {**found, "about": {name: value for name, value in found["about"].items() if name not in VOLATILE}}


@pytest.mark.parametrize(
    ("at", "by", "code"),
    [
        (1, KeyboardInterrupt, 130),  # the first real batch
        (5, signal.SIGINT, 130),
        (8, signal.SIGTERM, 143),
        (9, signal.SIGTERM, 143),  # the first sample
        (12, KeyboardInterrupt, 130),
        (16, signal.SIGINT, 130),
    ],
)
def test_an_interrupted_measurement_goes_on_to_the_same_bits(last, capsys, at, by, code):
    args = ["evaluate", last, "--extractor", "tiny", "--out", "out.json", *SMALL]
    assert main(args) == 0
    straight = content("out.json")
    Path("out.json").unlink()
    shutil.rmtree(os.environ["GANZOO_CACHE"])
    Tiny.calls, Tiny.interrupt_at, Tiny.by = 0, at, by
    assert main(args) == code
    assert not Path("out.json").exists()
    assert "the same command resumes it" in capsys.readouterr().err
    Tiny.calls, Tiny.interrupt_at = 0, None
    assert main(args) == 0
    # the batch in hand is looked at again, what was seen before is not
    assert Tiny.calls == 16 - (at - 1)
    assert content("out.json") == straight
    assert not list(Path().glob(".evaluate*"))


@pytest.mark.parametrize("change", [["--seed", "1"], ["--n", "300"], ["--batch_size", "40"], ["--raw"]])
def test_another_measurement_does_not_go_on_from_it(last, change):
    args = ["evaluate", last, "--extractor", "tiny", "--out", "out.json", "--metrics", "score", "--n", "353"]
    Tiny.interrupt_at = 6
    assert main(args) == 130
    Tiny.calls, Tiny.interrupt_at = 0, None
    assert main([*args, *change]) == 0
    alone = content("out.json")["metrics"]
    made = 300 if "--n" in change else 353
    size = 40 if "--batch_size" in change else 50
    assert Tiny.calls == -(-made // size)
    shutil.rmtree(next(Path().glob(".evaluate*")))
    Path("out.json").unlink()
    assert main([*args, *change]) == 0
    assert content("out.json")["metrics"] == alone


def test_folders_go_on_and_another_file_in_one_does_not():
    Path("a").mkdir()
    for i, image in enumerate(digits()[:200]):
        Image.fromarray(image[0].numpy()).save(f"a/{i:04d}.bmp")  # all of one length
    args = ["evaluate", "a", folder("b", digits("train")[:200]), "--extractor", "tiny", "--out", "out.json", "--metrics"]
    assert main([*args, "distance,score"]) == 0
    straight = content("out.json")
    Path("out.json").unlink()
    for at in (3, 4):  # in one of them and in the other
        Tiny.calls, Tiny.interrupt_at = 0, at
        shutil.rmtree(os.environ["GANZOO_CACHE"], ignore_errors=True)
        assert main([*args, "distance,score"]) == 130
    Tiny.calls, Tiny.interrupt_at = 0, None
    assert main([*args, "distance,score"]) == 0
    assert Tiny.calls == 3
    assert content("out.json") == straight
    Path("out.json").unlink()
    Tiny.calls, Tiny.interrupt_at = 0, 3
    assert main([*args, "score"]) == 130
    Image.fromarray(digits()[300, 0].numpy()).save("a/0017.bmp")
    Tiny.calls, Tiny.interrupt_at = 0, None
    assert main([*args, "score"]) == 0
    assert Tiny.calls == 4


def test_pairs_and_classes_and_both_directions_go_on_too():
    both = ["evaluate", saved(Cycle()), "--data", "support.evaluate.Pairs", "--model", "Cycle", "--batch_size", "7"]
    classes = ["evaluate", saved(OfClasses(), "classes.ckpt"), "--data", "Digits", "--model", "OfClasses", "--per_class"]
    for args in (both, classes):
        args += ["--extractor", "tiny", "--out", "out.json", "--cache", "none", *SMALL]
        assert main(args) == 0
        straight, calls = content("out.json"), Tiny.calls
        Path("out.json").unlink()
        for at in (calls // 3, calls // 2):
            Tiny.calls, Tiny.interrupt_at = 0, at
            assert main(args) == 130
        Tiny.calls, Tiny.interrupt_at = 0, None
        assert main(args) == 0
        assert content("out.json") == straight
        Path("out.json").unlink()
        Tiny.calls = 0


def test_what_is_left_damaged_is_measured_anew(last, capsys):
    args = ["evaluate", last, "--extractor", "tiny", "--out", "out.json", "--metrics", "distance,score"]
    Tiny.interrupt_at = 12
    assert main(args) == 130
    for path in Path().glob(".evaluate*/fake/done.npy"):
        path.write_text("damaged")
    Tiny.calls, Tiny.interrupt_at = 0, None
    assert main(args) == 0
    assert "it starts again" in capsys.readouterr().err
    assert Tiny.calls == 8


class Killed(BaseException):
    """Nobody hears of it."""


def test_what_was_saved_now_and_then_outlives_a_killed_process(last, monkeypatch):
    args = ["evaluate", last, "--extractor", "tiny", "--out", "out.json", *SMALL]
    monkeypatch.setattr(ganzoo.evaluation.features, "SAVE_EVERY", 0)
    Tiny.interrupt_at, Tiny.by = 13, Killed()
    with pytest.raises(Killed):
        main(args)
    Tiny.calls, Tiny.interrupt_at = 0, None
    assert main(args) == 0
    assert Tiny.calls == 4  # of 16
    gone_on = content("out.json")
    Path("out.json").unlink()
    assert main([*args, "--cache", "none"]) == 0
    assert content("out.json")["metrics"] == gone_on["metrics"]


KILL = """
import signal, sys
import ganzoo.evaluation.evaluator, ganzoo.evaluation.features, ganzoo.evaluation.selection
from ganzoo.cli import main
from support.evaluate import Tiny
ganzoo.evaluation.selection.find = lambda name, weights: Tiny()
ganzoo.evaluation.evaluator.commit = lambda: "c" * 40
ganzoo.evaluation.features.SAVE_EVERY = 0
Tiny.interrupt_at, Tiny.by = 13, signal.SIGKILL
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_process_goes_on(last):
    args = ["evaluate", last, "--extractor", "tiny", "--out", "out.json", *SMALL]
    paths = os.pathsep.join([str(Path(ganzoo.__file__).parent.parent), str(Path(__file__).parent.parent)])
    env = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", KILL, *args], env=env, capture_output=True, timeout=LIMIT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert main(args) == 0
    assert Tiny.calls == 4


def test_it_is_saved_now_and_then_and_not_all_the_time(last, monkeypatch):
    saves = []
    monkeypatch.setattr(FeatureTable, "flush", lambda self: saves.append(int(self.done.sum())))
    evaluate(last)
    assert saves == [353, 353]  # at the ends alone
    saves.clear()
    monkeypatch.setattr(ganzoo.evaluation.features, "SAVE_EVERY", 0)
    evaluate(last, "--cache", "none")
    assert saves == [*range(50, 351, 50), 353, 353] * 2


# -- the command -------------------------------------------------------------------------------------------------------


def test_help_has_every_option(capsys):
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for option in ("extractor", "weights", "metrics", "n", "split", "batch_size", "seed", "device", "keep", "subsets",
                   "subset_size", "splits", "k", "k_density", "out", "save_statistics", "cache", "model", "raw",
                   "per_class", "data", "config"):  # fmt: skip
        assert f"--{option}" in text


def test_a_line_now_and_then_where_there_is_no_terminal(last, capsys, monkeypatch):
    monkeypatch.setattr("ganzoo.utils.progress.LINE_EVERY", 0.0)
    evaluate(last)
    assert "ganzoo: GAN: 100 of 353 images" in capsys.readouterr().err


def test_the_small_classifier(capsys, last):
    assert main(["classifier", "--data", "Digits", "--out", "digits.pt", "--epochs", "2"]) == 0
    told = capsys.readouterr().out
    accuracy = float(told.split(": ")[1].split("%")[0])
    assert 80 < accuracy <= 100  # 98.6 to 99.7 over 8 seeds x 3 instruction sets
    assert "of 353 test images" in told
    assert main(["evaluate", last, "--extractor", "digits.pt", "--out", "out.json", "--metrics", "distance"]) == 0
    assert set(Result.load(Path("out.json")).metrics) == {"fd_classifier_digits"}
    # it says what it was measured to be
    from ganzoo.metrics.extractors.classifier import SmallClassifier

    found = SmallClassifier.load("digits.pt")
    y = torch.from_numpy(load_digits().target)
    place = np.array([(y[:i] == y[i]).sum() % 10 for i in range(len(y))])
    right = (found(digits()).logits.argmax(1) == y[torch.from_numpy(place > 7)]).double().mean()
    assert accuracy == pytest.approx(100 * right.item(), abs=0.005)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--data", "Digits", "--out", "there.pt"], "--out there.pt already exists"),
        (["--data", "Digits"], "out must be given"),
        (["--out", "new.pt"], "--data says what is classified"),
        (["--data", "support.evaluate.Pairs", "--out", "new.pt"], "Pairs has no classes, and a classifier needs"),
        (["--data", "cli.test_evaluate.Claims", "--out", "new.pt"], "images of Claims have no labels"),
        (["--data", "Digits", "--out", "new.pt", "--epochs", "0"], "epochs: give an int in [1, 2**20], not 0"),
        (["--data", "Digits", "--out", "new.pt", "--seed", "9" * 20], "seed: give an int in [0, 2**32)"),
        (["--data", "Digits", "--out", "nodir/x.pt"], "--out nodir/x.pt cannot be written: No such file or directory"),
        (["--data", "Digits", "--out", "x" * 300], "cannot be written: File name too long"),
        (["--data", "Digits", "--out", "new.pt", "--epoch", "3"], "there is no option 'epoch': did you mean 'epochs'?"),
    ],
)  # fmt: skip
def test_no_classifier(capsys, args, line):
    Path("there.pt").touch()
    assert line in error(capsys, "classifier", *args)
    assert not Path("new.pt").exists()


class Claims(Pairs):
    """Says that it has classes, and has none."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = 3

    def splits(self):
        return (Rows(Images, greys(40, 1)),) * 3


# -- configs of the command --------------------------------------------------------------------------------------------


def test_a_printed_config_is_the_command_line(capsys):
    args = ["--metrics", "distance,kernel", "--subset_size", "50", "--per_class", "--split", "val", "--extractor", "tiny"]
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "--print_config", "--data", "Digits", "--data.batch_size", "7", *args])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    found = yaml.safe_load(printed)
    assert found["data"]["init_args"]["batch_size"] == 7
    assert (found["metrics"], found["subset_size"], found["per_class"], found["raw"]) == ("distance,kernel", 50, True, False)
    assert not {"config", "print_config", "fake", "real", "help"} & found.keys()
    Path("mine.yaml").write_text(printed)
    with pytest.raises(SystemExit):
        main(["evaluate", "--config", "mine.yaml", "--print_config"])
    assert capsys.readouterr().out == printed
    with pytest.raises(SystemExit):  # the command line counts more, wherever it stands
        main(["evaluate", "--split", "train", "--config", "mine.yaml", "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out) == {**found, "split": "train"}


def test_a_config_has_the_options_of_an_evaluation(last):
    Path("mine.yaml").write_text("metrics: [distance]\nextractor: tiny\nn: 60\nout: mine.json\nraw: false\n")
    assert main(["evaluate", last, "--config", "mine.yaml"]) == 0
    assert Result.load(Path("mine.json")).protocol["n_fake"] == 60


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("metric: [distance]", "there is no option 'metric': did you mean 'metrics'?"),
        ("n: 1", "n: give an int in [2, 2**31)"),
        ("raw: perhaps", "raw: expected true or false, not perhaps"),
        ("split: all", "split: expected one of train, val, test, not all"),
    ],
)
def test_a_mistake_in_a_config_is_one_line(capsys, text, line):
    Path("mine.yaml").write_text(text)
    assert line in error(capsys, "evaluate", "some", "--config", "mine.yaml")


def test_moments_from_the_command_line(last):
    rows, moments = evaluate(last, "--cache", "none"), evaluate(last, "--cache", "none", "--moments")
    assert moments.metrics["fd_tiny"].value == pytest.approx(rows.metrics["fd_tiny"].value, rel=1e-9)
    assert moments.about["moments"]

"""The engine from Python: three lines give what the command writes, and leave the model as it was."""

from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from support.evaluate import Brighter, Pairs, Seven, Tiny, digits, folder, saved
from support.evaluate import evaluate as by_command
from support.evaluate import evaluate_folder as evaluate_folder

from ganzoo.data import Digits
from ganzoo.errors import InputError
from ganzoo.evaluation import evaluate
from ganzoo.evaluation.metrics import METRICS
from ganzoo.evaluation.protocol import Result, incompatible_fields

pytestmark = pytest.mark.usefixtures("evaluate_folder")
SMALL = {"subset_size": 50, "subsets": 5}


def test_three_lines_give_what_the_command_writes():
    written = by_command(saved(Seven()), "--model", "Seven", "--data", "Digits", metrics=None)
    result = evaluate(Seven(), Digits(), extractor="tiny", **SMALL)
    assert result.metrics == written.metrics
    result.protocol["checkpoint"] = written.protocol["checkpoint"]  # which a model in memory does not know
    assert incompatible_fields([result, written]) == {}
    assert result.about["model"] == "support.evaluate.Seven"
    result.save(Path("result.json"))
    assert Result.load(Path("result.json")).metrics == result.metrics


def test_metrics_come_in_one_order_whatever_order_they_are_asked_for():
    result = evaluate(Seven(), Digits(), ["manifold", "kernel", "distance"], Tiny(), **SMALL)
    assert list(result.metrics) == ["fd_tiny", "kd_tiny", "precision_tiny", "recall_tiny", "density_tiny", "coverage_tiny"]
    assert [name for name in METRICS if name in result.about["metrics"]] == result.about["metrics"]


def test_a_translator_and_its_pairs():
    result = evaluate(Brighter(), Pairs(), metrics=["paired"])
    assert result.metrics["l1"].value == pytest.approx(12 / 255)


def test_folders_and_no_real_images():
    some, other = folder("some", digits()[:60]), folder("other", digits()[60:120])
    assert evaluate(some, some, ["distance"], "tiny").metrics["fd_tiny"].value == pytest.approx(0, abs=1e-9)
    assert evaluate(Path(some), other, ["distance"], "tiny").metrics["fd_tiny"].value > 0.01
    assert set(evaluate(Seven(), metrics=["score"], extractor="tiny", n=50).metrics) == {"score_tiny"}


def test_the_model_is_as_it_was_and_the_random_streams_too():
    model = Seven().train()
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    model.trainer = trainer
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    evaluate(model, Digits(), ["distance"], "tiny", n=60)
    assert torch.equal(torch.rand(3), wanted)
    assert model.training
    assert model.trainer is trainer


def test_an_interrupted_call_resumes_in_its_working_folder():
    straight = evaluate(Seven(), Digits(), ["distance"], "tiny", cache=None)
    Tiny.calls, Tiny.interrupt_at = 0, 12
    with pytest.raises(KeyboardInterrupt):
        evaluate(Seven(), Digits(), ["distance"], "tiny", cache=None, work="work")
    Tiny.calls, Tiny.interrupt_at = 0, None
    assert evaluate(Seven(), Digits(), ["distance"], "tiny", cache=None, work="work").metrics == straight.metrics
    assert Tiny.calls == 16 - 11
    assert list(Path("work").iterdir()) == []


def test_moments_give_the_metrics_of_the_rows(tmp_path):
    options = {**SMALL, "metrics": ["distance", "kernel", "score", "manifold"], "extractor": "tiny"}
    rows = evaluate(Seven(), Digits(), cache=None, **options)
    moments = evaluate(Seven(), Digits(), cache=tmp_path / "moments", moments=True, **options)
    again = evaluate(Seven(), Digits(), cache=tmp_path / "moments", moments=True, **options)
    for found in (moments, again):
        assert {name: each.value for name, each in found.metrics.items()} == pytest.approx(
            {name: each.value for name, each in rows.metrics.items()}, rel=1e-9
        )
        assert incompatible_fields([found, rows]) == {}
    assert again.about["real_features"] == "cached"
    assert [path.suffix for path in (tmp_path / "moments").iterdir()] == [".npz"]
    assert (moments.about["moments"], rows.about.get("moments")) == (True, None)


def test_interrupted_moments_are_resumed():
    options = {"metrics": ["distance"], "extractor": "tiny", "cache": None, "moments": True}
    straight = evaluate(Seven(), Digits(), **options)
    Tiny.calls, Tiny.interrupt_at = 0, 12
    with pytest.raises(KeyboardInterrupt):
        evaluate(Seven(), Digits(), work="work", **options)
    Tiny.calls, Tiny.interrupt_at = 0, None
    resumed = evaluate(Seven(), Digits(), work="work", **options).metrics["fd_tiny"].value
    assert resumed == pytest.approx(straight.metrics["fd_tiny"].value, rel=1e-9)
    assert Tiny.calls == 16 - 11


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"metrics": ["fid"]}, "there is no metric 'fid'"),
        ({"keep": 1}, "MetricOptions: keep is 1: give an int in"),
        ({"metrics": ["kernel"], "n": 60}, "kernel: a kernel distance of subsets of 1000 needs as many of each kind"),
        ({"metrics": ["paired"]}, "paired: no image is there that another should be"),
        ({"per_class": True}, "per_class needs a model that is sampled by class, and Seven is none"),
    ],
)
def test_a_mistake_is_one_line(options, line):
    with pytest.raises(InputError, match=line) as told:
        evaluate(Seven(), Digits(), extractor="tiny", **options)
    assert "\n" not in str(told.value)

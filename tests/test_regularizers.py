"""Regularizers against closed forms, and as parts of a model: who descends them, and what the checkpoint keeps."""

import pytest
import torch
from support.training import fit, loader
from torch import nn

from ganzoo.errors import InputError
from ganzoo.losses import NonSaturating, Weighted
from ganzoo.models import DCGAN, GAN, CycleGAN
from ganzoo.networks.norms import LayerNorm
from ganzoo.regularizers import R1, R2, FeatureMatching, GradientPenalty, features


def samples(n=6, shape=(2, 3, 3)):
    source = torch.Generator().manual_seed(0)
    return torch.randn(n, *shape, generator=source), torch.randn(n, *shape, generator=source) * 2


def bowl(x):
    """A critic with the gradient x at x."""
    return 0.5 * x.flatten(1).square().sum(1)


def test_penalties_have_their_weights_and_their_places():
    real, fake = samples()
    w = torch.randn(18, generator=torch.Generator().manual_seed(1))
    slope = GradientPenalty(weight=3.0)(lambda x: x.flatten(1) @ w, real, fake)
    assert slope.item() == pytest.approx(3 * float(w.norm() - 1) ** 2, rel=1e-5)
    assert R1(gamma=4.0)(bowl, real, fake).item() == pytest.approx(
        2 * real.flatten(1).square().sum(1).mean().item(), rel=1e-5
    )
    assert R2(gamma=4.0)(bowl, real, fake).item() == pytest.approx(
        2 * fake.flatten(1).square().sum(1).mean().item(), rel=1e-5
    )


def test_feature_matching_is_the_squared_distance_of_mean_features():
    real, fake = samples()
    fake.requires_grad_()
    torch.manual_seed(0)
    D = nn.Sequential(nn.Flatten(), nn.Linear(18, 5), nn.Linear(5, 1))
    term = FeatureMatching(weight=0.5)(D, real, fake)
    W, apart = D[1].weight, (real - fake).flatten(1).mean(0)
    assert term.item() == pytest.approx(0.5 * (W @ apart).square().sum().item(), rel=1e-4)
    term.backward()
    by_hand = -(W.T @ W @ apart) / 6  # of 0.5 |W apart|^2, by one of 6 samples
    assert torch.allclose(fake.grad.flatten(1), by_hand.expand(6, 18), atol=1e-5)
    # two batches in another order have the same means
    assert FeatureMatching()(D, real, real.flip(0)).item() == pytest.approx(0, abs=1e-10)


def test_features_are_what_the_last_layer_gets():
    real, _ = samples(shape=(1, 8, 8))
    D = nn.Sequential(nn.Conv2d(1, 3, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(3, 1, 4), nn.Flatten())
    expected = D[1](D[0](real)).flatten(1)
    assert torch.equal(features(lambda images: 2 * D(images), real), expected)
    with pytest.raises(InputError, match="needs a discriminator with a linear layer"):
        features(bowl, real)


@pytest.mark.parametrize("cls", [GradientPenalty, R1, R2, FeatureMatching])
@pytest.mark.parametrize("weight", [0, -1, float("inf")])
def test_a_weight_that_is_none_is_refused(cls, weight):
    with pytest.raises(InputError, match=r"give a float in \(0, inf\)"):
        cls(weight)


def images(n=8):
    torch.manual_seed(1)
    return loader(torch.rand(n, 1, 8, 8) * 2 - 1, batch_size=4)


def gan(**arguments):
    torch.manual_seed(0)
    return GAN(shape=(1, 8, 8), hidden=16, latent=4, **arguments)


def test_each_player_descends_its_own(tmp_path):
    model = gan(regularizers=[R1(gamma=2.0), FeatureMatching()])
    logged = fit(model, images(), tmp_path, max_steps=1, log_every_n_steps=1).logged_metrics
    terms = {name for name in logged if name.startswith(("discriminator/", "generator/"))}
    assert {"discriminator/r1", "generator/feature_matching"} <= terms
    assert not terms & {"generator/r1", "discriminator/feature_matching"}
    for player, term in (("discriminator", "r1"), ("generator", "feature_matching")):
        assert logged[f"{player}/{term}"] > 0
        assert logged[f"{player}/loss"].item() == pytest.approx(
            (logged[f"{player}/gan"] + logged[f"{player}/{term}"]).item(), rel=1e-5
        )


def test_feature_matching_alone_leaves_no_other_cost(tmp_path):
    model = gan(loss=Weighted(NonSaturating(), generator_weight=0.0), regularizers=[FeatureMatching()])
    logged = fit(model, images(), tmp_path, max_steps=1, log_every_n_steps=1).logged_metrics
    assert logged["generator/gan"] == 0
    assert logged["generator/loss"] == logged["generator/feature_matching"] > 0


class Penalised(GAN):
    default_regularizers = (R1(gamma=0.5),)


def test_the_checkpoint_keeps_those_that_were_used(tmp_path):
    """Given, chosen by a class, and none where the class has one."""
    recipe = {"class_path": "ganzoo.regularizers.R1", "init_args": {"gamma": 0.5}}
    size = {"shape": (1, 8, 8), "hidden": 16, "latent": 4}
    for cls, given, kept in (
        (GAN, {"regularizers": [R1(gamma=0.5)]}, [recipe]),
        (Penalised, {}, [recipe]),
        (Penalised, {"regularizers": []}, []),
        (GAN, {}, None),
    ):
        played = fit(cls(**size, **given), images(), tmp_path, max_steps=1)
        played.save_checkpoint(tmp_path / "kept.ckpt")
        again = cls.load_from_checkpoint(tmp_path / "kept.ckpt")
        assert again.hparams["regularizers"] == kept
        assert [type(each) for each in again.regularizers] == ([R1] if kept else [])
        assert all(each.gamma == 0.5 for each in again.regularizers)


def test_lists_that_are_none_are_refused():
    with pytest.raises(InputError, match="two named r1"):
        gan(regularizers=[R1(), R1(gamma=1.0)])
    with pytest.raises(InputError, match=r"is a list, \[R1\] for one"):
        gan(regularizers=R1())
    with pytest.raises(InputError, match="is not a subclass of Regularizer"):
        gan(regularizers=[{"class_path": "ganzoo.losses.Hinge"}])
    with pytest.raises(InputError, match="takes regularizers of its discriminators, and feature_matching is none"):
        CycleGAN(**CycleGAN.small, regularizers=[FeatureMatching()])


def test_batch_norm_under_a_penalty_is_refused_and_another_norm_is_not(tmp_path):
    torch.manual_seed(0)
    data = loader(torch.rand(4, 1, 16, 16) * 2 - 1, batch_size=4)
    size = {"shape": (1, 16, 16), "width": 4}
    with pytest.raises(InputError, match="batch norm mixes the samples"):
        fit(DCGAN(**size, regularizers=[GradientPenalty()]), data, tmp_path, max_steps=1)
    fit(DCGAN(**size, regularizers=[GradientPenalty(), R1(), R2()], norm=LayerNorm()), data, tmp_path, max_steps=1)

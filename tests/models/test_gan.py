"""GAN: k steps of the discriminator to one of the generator (Algorithm 1), fresh noise for each player."""

import pytest
from support.small_models import played, small

from ganzoo.adversarial import AdversarialModule
from ganzoo.models import DCGAN, GAN, SimultaneousGAN


@pytest.mark.parametrize("cls", [GAN, DCGAN])
@pytest.mark.parametrize("k", [1, 3])
def test_algorithm_1_gives_the_discriminator_k_steps(cls, k, monkeypatch):
    steps = []
    ritual = AdversarialModule._optimize
    monkeypatch.setattr(AdversarialModule, "_optimize", lambda self, one: (steps.append(one.name), ritual(self, one)))
    played(small(cls, k=k), n=6)
    assert steps == (["discriminator"] * k + ["generator"]) * (6 // k)


def test_each_player_of_algorithm_1_draws_fresh_noise(monkeypatch):
    drawn = []
    z = GAN.z
    monkeypatch.setattr(GAN, "z", lambda self, n, generator=None: drawn.append(z(self, n, generator)) or drawn[-1])
    played(small(GAN), n=3)
    assert len(drawn) == 6
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == 6
    drawn.clear()
    played(small(SimultaneousGAN), n=3)
    assert len(drawn) == 3  # one pass serves both

"""Objects as plain data and back."""

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.losses import AdversarialLoss, LeastSquares, NonSaturating
from ganzoo.training.recipes import find_class, instantiate, to_plain, to_recipe

RECIPE = {
    "class_path": "ganzoo.losses.LeastSquares",
    "init_args": {"fake_target": 0.1, "real_target": 0.9, "generator_target": 1.0},
}


def test_there_and_back():
    assert to_recipe(LeastSquares(0.1, 0.9)) == RECIPE
    assert vars(instantiate(RECIPE, AdversarialLoss)) == vars(LeastSquares(0.1, 0.9))
    loss = NonSaturating()
    assert instantiate(loss, AdversarialLoss) is loss


def test_plain_reaches_into_containers():
    got = to_plain({"a": [LeastSquares(0.1, 0.9)], "b": (1, None, "x")})
    assert got == {"a": [RECIPE], "b": (1, None, "x")}


@pytest.mark.parametrize("value", [torch.zeros(2), torch.nn.Linear(1, 1), print, LeastSquares])
def test_what_a_checkpoint_cannot_write_down_is_refused(value):
    with pytest.raises(InputError, match="cannot be a hyperparameter"):
        to_plain(value)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("LeastSquares", "given as"),
        ({"init_args": {}}, "given as"),
        ({"class_path": "ganzoo.losses.Nothing"}, "no class"),
        ({"class_path": "Hinge"}, "there is no class 'Hinge': did you mean 'ganzoo.losses.Hinge'[?]$"),
        ({"class_path": "Wassersten"}, "did you mean 'ganzoo.losses.Wasserstein'[?]$"),
        ({"class_path": "Zzz"}, "there is no class 'Zzz': write its full dotted path$"),
        ({"class_path": "os.system"}, "not a subclass of AdversarialLoss"),
        ({"class_path": "ganzoo.losses.LeastSquares", "init_args": {"targets": 3}}, "does not accept"),
    ],
)
def test_a_recipe_that_names_nothing_of_the_kind(part, message):
    with pytest.raises(InputError, match=message):
        instantiate(part, AdversarialLoss)


def test_a_class_of_ganzoo_is_suggested_before_another_of_its_name():
    class Hinge(AdversarialLoss):
        pass

    class Unlike(AdversarialLoss):
        pass

    for name, path in (("Hinge", "ganzoo.losses.Hinge"), ("Unlike", f"{__name__}.{Unlike.__qualname__}")):
        with pytest.raises(InputError) as caught:
            instantiate({"class_path": name}, AdversarialLoss)
        assert str(caught.value).endswith(f"did you mean '{path}'?")


def test_find_class_gives_the_class():
    assert find_class("torch.optim.Adam", torch.optim.Optimizer) is torch.optim.Adam

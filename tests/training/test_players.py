"""Players' parts without a training: who owns which parameter, whose recipe counts, and when schedules step."""

from types import SimpleNamespace

import pytest
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

from ganzoo.errors import InputError
from ganzoo.training.players import Player, Recipes, class_paths, trainable

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.5}}
HALVE = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.5}}


def paper(player, parameters):
    return SGD(parameters, lr=0.1)


def networks() -> tuple[dict[str, list[nn.Module]], dict[nn.Parameter, str]]:
    whole = nn.ModuleDict({"D": nn.Linear(2, 1), "G": nn.Linear(2, 2)})
    players = {"discriminator": [whole["D"]], "generator": [whole["G"]]}
    return players, {parameter: name for name, parameter in whole.named_parameters()}


def test_a_recipe_replaces_the_paper_s_optimizer_and_drops_its_schedules():
    players, names = networks()
    recipes = Recipes(optimizers={"generator": ADAM})
    made = {p: recipes.optimizer(p, trainable(each), names, paper) for p, each in players.items()}
    assert [type(made[player]) for player in players] == [SGD, Adam]
    schedules = {p: recipes.schedulers(p, made[p], lambda player, o: [(StepLR(o, 1), "epoch")]) for p in players}
    assert [len(schedules[player]) for player in players] == [1, 0]
    assert recipes.schedulers("discriminator", made["discriminator"], lambda player, o: []) == []
    assert class_paths(recipes.optimizers) == {"generator": "torch.optim.Adam"}


def test_schedules_of_a_recipe_are_by_epoch_unless_it_says_step():
    players, names = networks()
    recipes = Recipes(schedules={"generator": [HALVE, {**HALVE, "interval": "step"}]})
    optimizer = recipes.optimizer("generator", trainable(players["generator"]), names, paper)
    assert [interval for _, interval in recipes.schedulers("generator", optimizer, lambda *_: [])] == ["epoch", "step"]


def test_every_trainable_parameter_has_one_owner():
    players, names = networks()
    Recipes().check(players, names)
    with pytest.raises(InputError, match="share a parameter"):
        Recipes().check({**players, "critic": players["discriminator"]}, names)
    with pytest.raises(InputError, match=r"no player moves G\.weight \(2 such\)"):
        Recipes().check({"discriminator": players["discriminator"]}, names)
    with pytest.raises(InputError, match="clip_norm names a player 'critic'"):
        Recipes(clip_norm={"critic": 1.0}).check(players, names)
    players["generator"][0].requires_grad_(False)
    with pytest.raises(InputError, match="'generator' has no parameter to move"):
        Recipes().check(players, names)


def test_an_argument_that_nothing_would_use_is_refused_with_what_to_write_instead():
    players = ["discriminator", "generator"]
    both = Recipes(optimizers=dict.fromkeys(players, ADAM))
    with pytest.raises(InputError, match=r"model\.lr is 0\.3, .*--model\.optimizers\.generator\.init_args\.lr 0\.3"):
        both.refuse_unused(players, {"lr": 0.3}, ["lr"], [])
    both.refuse_unused(players, {"width": 3}, ["lr"], [])
    Recipes(optimizers={"generator": ADAM}).refuse_unused(players, {"lr": 0.3}, ["lr"], [])
    with pytest.raises(InputError, match=r"model\.decay is 5, .*because model\.schedules replaces"):
        Recipes(schedules={player: [HALVE] for player in players}).refuse_unused(players, {"decay": 5}, [], ["decay"])


def test_epoch_schedules_step_in_the_last_batch_once_and_catch_up():
    weight = nn.Parameter(nn.Linear(1, 1).weight.detach())
    optimizer = SGD([weight], lr=1.0)
    by_step, by_epoch = StepLR(optimizer, 1000), StepLR(optimizer, 1, gamma=0.5)
    player = Player("generator", SimpleNamespace(optimizer=optimizer), [weight], [by_step], [by_epoch])
    optimizer.step()
    player.step_schedules(epoch=0, last_batch=False)
    assert (by_step.last_epoch, by_epoch.last_epoch) == (1, 0)
    player.step_schedules(epoch=0, last_batch=True)
    player.step_schedules(epoch=0, last_batch=True)  # a second turn in the same batch
    assert (by_step.last_epoch, by_epoch.last_epoch) == (3, 1)
    player.catch_up(epoch=3)  # it sat out two epochs' last batches
    assert by_epoch.last_epoch == 3
    assert optimizer.param_groups[0]["lr"] == 0.125

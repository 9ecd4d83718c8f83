"""The grammar: the base class of every model. Players take turns, and each minimizes its own named loss terms.

A model names its players and what each of them descends::

    class CycleGAN(AdversarialModule):
        def players(self):
            return {"generator": [self.G, self.F], "discriminator": [self.D_X, self.D_Y]}

        def training_step(self, batch, batch_idx):
            with self.turn("generator") as descend:
                descend({"gan": ..., "cycle": ...})

In a training step each turn freezes all other players, and ``descend`` steps this one: zero the gradients, back-propagate
the sum of the terms, clip, step the optimizer, step its schedules, log each term as ``<player>/<term>``. This is written
here and in ``ganzoo.training.optimization``, and nowhere else. Three forms of play:

=============================================  ==========================================================================
``turn("discriminator")``                      one player descends: ``descend({"gan": loss})``
``turn("discriminator", "generator")``         simultaneous play: both gradients are taken at the same point, then both
                                               step: ``descend(discriminator={...}, generator={...})``
``turn("features", "label", "domain")``        several players descend one sum together: ``descend({"label": ...})``
=============================================  ==========================================================================

One batch is one step wherever a user reads a number (``max_steps``, checkpoint triggers, ``trainer.global_step``, loggers),
however many optimizers stepped in it. With ``accumulate=n`` the batch that counts is the effective one of n small batches.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import final

from torch import Tensor, nn

from ganzoo.training.optimization import PlayersModule
from ganzoo.training.players import Player

Terms = Mapping[str, Tensor]
Descend = Callable[..., None]


class AdversarialModule(PlayersModule):
    """Base class of every model in the zoo: players, turns, descend.

    To override: ``players`` and ``training_step`` (both required), ``player_optimizer`` and ``player_schedules`` (the
    paper's own), ``check_batch``, ``ema_networks``. The rest is final. You may override Lightning's hooks, but call
    ``super()`` in them. The constructor's arguments are those of ``PlayersModule`` (``optimizers``, ``schedules``,
    ``rates``, ``clip_norm``, ``accumulate`` ...) and of ``ResumableModule`` (``ema_half_life``, ``ema_ramp``).
    """

    _in_turn = False

    @abstractmethod
    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        """Maps each player's name to the networks that it trains; every trainable parameter has exactly one player."""
        return super().players()

    @final
    @contextmanager
    def turn(self, *names: str) -> Iterator[Descend]:
        """Starts the named players' turn: the parameters of all other players are frozen until the block ends.

        Compute a player's loss inside its turn. Compute a forward pass that two turns share before the first turn, and give
        it to the opponent detached.

        Yields:
            ``descend``. ``descend({"term": loss, ...})`` steps all named players on the sum of the terms.
            ``descend(generator={...}, discriminator={...})`` takes each player's gradient of its own terms with respect
            to its own parameters, all at the same point, and then steps them all.
        """
        if self._in_turn:
            raise RuntimeError("a turn cannot begin inside another: name both players in one turn for simultaneous play")
        players = self._players()
        unknown = [name for name in names if name not in players]
        if unknown or not names:
            raise RuntimeError(f"turn({unknown}): the players are {list(players)}")
        self._begin_step()
        playing = [players[name] for name in names]
        for player in playing:
            player.catch_up(self.current_epoch)
        others = [p for player in players.values() if player.name not in names for p in player.parameters if p.requires_grad]
        for parameter in others:
            parameter.requires_grad_(False)
        self._in_turn = True
        try:
            yield partial(self._descend, playing)
        finally:
            self._in_turn = False
            for parameter in others:
                parameter.requires_grad_(True)

    @final
    def _descend(self, playing: list[Player], terms: Terms | None = None, /, **each: Terms) -> None:
        if (terms is None) == (not each) or (each and set(each) != {player.name for player in playing}):
            raise RuntimeError(
                f"in turn({', '.join(player.name for player in playing)}) descend takes one dictionary of terms, "
                "or one dictionary for each of these players by name"
            )
        self._refuse_loss_scale(playing)
        for player in playing:
            if self.accumulate > 1 and player.name in self._step.descended:
                raise RuntimeError(
                    f"'{player.name}' has two turns in a batch, which accumulate={self.accumulate} cannot add up"
                )
            self._step.descended.add(player.name)
            if self._step.is_first:
                player.zero_grad()
        if terms is not None:
            self._backward_sum(playing, terms)
        else:
            self._backward_each(playing, each)
        if self._step.is_last:
            for player in playing:
                self._optimize(player)

    def _backward_sum(self, playing: list[Player], terms: Terms) -> None:
        """Back-propagates one sum of terms to all players of the turn."""
        loss = _total(terms)
        with nullcontext() if self._step.is_last else self._local_gradients():
            self.manual_backward(self._shared(loss))
        self._log_terms("+".join(player.name for player in playing), terms, loss)

    def _backward_each(self, playing: list[Player], each: Mapping[str, Terms]) -> None:
        """Back-propagates each player's own sum to that player's parameters, all before any step (simultaneous play)."""
        with self._local_gradients():  # one graph, several backward passes: processes average by hand, below
            for player in playing:
                loss = _total(each[player.name])
                graph_needed = player is not playing[-1]
                self.manual_backward(self._shared(loss), inputs=player.parameters, retain_graph=graph_needed)
                self._log_terms(player.name, each[player.name], loss)
        if self._step.is_last and self.trainer.world_size > 1:
            for parameter in (p for player in playing for p in player.parameters if p.grad is not None):
                parameter.grad = self.trainer.strategy.reduce(parameter.grad, reduce_op="mean")

    @final
    def every(self, k: int) -> bool:
        """Whether this is the k-th, 2k-th, ... step, counted over the whole training.

        For Algorithm 1 of Goodfellow et al. 2014: k discriminator steps, each on a fresh batch, then one generator step.
        """
        self._begin_step()
        return (self._step.number + 1) % k == 0

    @property
    @final
    def total_steps(self) -> int:
        """Number of steps of the whole training, from ``max_epochs`` and ``max_steps``.

        Raises:
            InputError: the trainer has neither, or only ``max_time``.
        """
        return self._count_steps()

    @property
    @final
    def progress(self) -> float:
        """Fraction of the training done before this step, in [0, 1]: 0 in the first step. A resumed run continues it."""
        self._begin_step()
        return min(self._step.number / self.total_steps, 1.0)

    @final
    def show(
        self,
        values: Mapping[str, Tensor] | Callable[[], Mapping[str, Tensor]],
        transform: Callable[[Tensor], Tensor] | None = None,
        prog_bar: bool = True,
    ) -> None:
        """Logs the means of values, in the steps that Lightning logs; costs nothing in other steps.

        Args:
            values: tensors of any shape by name, or a function that makes them, called only in a step that is logged.
            transform: applied to each before the mean (a loss's ``output``).
            prog_bar: whether the progress bar shows them too.
        """
        self._begin_step()
        if self._step.log_now:
            values = values() if callable(values) else values
            shown = {name: transform(value) if transform else value for name, value in values.items()}
            self._log({name: value.detach().float().mean() for name, value in shown.items()}, prog_bar)

    def _log_terms(self, player: str, terms: Terms, loss: Tensor) -> None:
        if self._step.log_now:
            self._log({f"{player}/{term}": value.detach() for term, value in terms.items()})
            self._log({f"{player}/loss": loss.detach()}, prog_bar=True)

    def _log(self, values: dict[str, Tensor], prog_bar: bool = False) -> None:
        several = self.trainer.world_size > 1
        if self.accumulate > 1:
            # loggers would count the small batches; "step" is Lightning's own name for the x-axis
            self.log("step", float(self._step.number), sync_dist=several)
        self.log_dict(values, prog_bar=prog_bar, sync_dist=several)


def _total(terms: Terms) -> Tensor:
    if not terms:
        raise RuntimeError("descend was given no term: a player descends at least one")
    first, *rest = terms.values()
    return sum(rest, first)

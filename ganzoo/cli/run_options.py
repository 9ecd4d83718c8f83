"""The options of ``fit``, ``validate``, ``test`` and ``predict``, and how they are parsed and checked."""

import argparse
from typing import Any

from jsonargparse import ActionConfigFile, ActionYesNo
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from ganzoo.cli.error_messages import refused_argument
from ganzoo.cli.merge import known_of, refuse_nulls
from ganzoo.cli.trainer_options import check_trainer
from ganzoo.errors import InputError
from ganzoo.utils.ranges import Seed, check_ranges


class RunOptions(LightningCLI):
    """Lightning's command line with ganzoo's options, whose errors are one line."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose ``--config`` says that it takes names as well."""
        parser = self.parser_class(**kwargs)
        parser.add_argument(
            "-c", "--config", action=ActionConfigFile, help="A config's name, or a YAML file; may be repeated."
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options that are not Lightning's."""
        parser.add_argument(
            "--run_dir",
            type=str | None,
            default=None,
            help="The run's folder, new or empty. Default: <trainer.default_root_dir or runs>/<config>/version_<n>.",
        )
        parser.add_argument(
            "--init_from",
            type=str | None,
            default=None,
            help="fit: a trained model whose weights the training begins at, with new optimizers, from epoch 0 "
            "(fine-tuning): a checkpoint, a run's folder, a saved folder, a name.",
        )
        parser.add_argument(
            "--init_part",
            type=str | None,
            default=None,
            help="fit: the one network that --init_from loads: G. Default: all.",
        )
        parser.add_argument(
            "--init_partial",
            type=bool,
            default=False,
            help="fit: skip weights of --init_from that do not fit the model, and name them.",
        )
        parser.add_argument(
            "--compile",
            action=ActionYesNo,
            default=False,
            help="Compile the players' networks (torch.compile). More to choose: callback Compile.",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the arguments; an error is one line."""
        try:
            self.config = parser.parse_args(args)
        except argparse.ArgumentError as error:
            command: Any = self._parser(args[0])
            line = refused_argument(str(error), [action.dest for action in command._actions])
            raise InputError(line) from error
        given, command = self.config[args[0]], self._parser(args[0])
        refuse_nulls({name: given.get(name) for name in ("model", "data")}, {})
        refuse_nulls(vars(given.trainer), known_of(command, "trainer."), "trainer.")
        check_trainer(vars(given.trainer))
        if not isinstance(given.seed_everything, bool):
            check_ranges(seed_everything, seed=given.seed_everything)

    def _parse_ckpt_path(self) -> None:
        # Lightning lets a checkpoint's hyperparameters override the command line's: here what the user wrote holds
        pass


def seed_everything(seed: Seed | None) -> None:
    """The range of a seed."""

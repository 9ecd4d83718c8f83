"""``fit``, ``validate``, ``test`` and ``predict``: Lightning's command line, with a folder to each run."""

import argparse
import os
import shlex
import signal
import sys
import warnings
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import yaml
from jsonargparse import ActionConfigFile, ActionYesNo, Namespace, set_parsing_settings
from lightning.fabric.plugins import CheckpointIO, ClusterEnvironment
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.fabric.utilities.enums import LightningEnum
from lightning.pytorch.callbacks import (
    BasePredictionWriter,
    EarlyStopping,
    ModelCheckpoint,
    ModelSummary,
    ProgressBar,
    Timer,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ganzoo.adversarial import AdversarialModule
from ganzoo.callbacks import Checkpoints, Compile, PredictionWriter, Progress
from ganzoo.callbacks.stopping import StopOnSignal
from ganzoo.callbacks.summary import Summary
from ganzoo.cli.error_messages import built, refused_argument, refused_trainer
from ganzoo.cli.error_messages import one_line as explained
from ganzoo.cli.lightning_log import filter_log
from ganzoo.cli.merge import compose, known_of, refuse_nulls
from ganzoo.cli.runs import (
    came_from_reading,
    check_fits,
    find_checkpoint,
    is_finished,
    make_folder,
    newest_checkpoint,
    newest_whole,
    remove_empty,
    run_name,
    start_from,
    wandb_run,
    with_option,
)
from ganzoo.cli.trainer_options import OFF_IN_BAREBONES, check_trainer
from ganzoo.errors import InputError, one_line
from ganzoo.training.checkpoint_io import AtomicCheckpointIO, read_checkpoint
from ganzoo.training.recipes import find_class
from ganzoo.training.strategies import refuse_strategy
from ganzoo.utils.files import atomic_write, remove_stale
from ganzoo.utils.log import log_info
from ganzoo.utils.processes import end_launched, together
from ganzoo.utils.ranges import Seed, check_ranges
from ganzoo.utils.trust import look_here_last, plugins

# said of things that ganzoo decides, or that are so on purpose
QUIET = (
    ".*does not have many workers.*",
    ".*LeafSpec.*",
    ".*TreeSpec.*",
    "Checkpoint directory .* exists and is not empty.*",
    "Experiment logs directory .* exists and is not empty.*",
    "The dirpath has changed from .*",
    "The number of training batches .* is smaller than the logging interval.*",
    "You are trying to `self.log\\(\\)` but `Trainer\\(barebones=True\\)` is configured.*",
)


def run(args: list[str]) -> int:
    """Runs a command of Lightning's: ``run(["fit", "--config", "pix2pix_maps"])``.

    Returns:
        0, or 128 and the number of the signal that ended it.
    """
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    filter_log()
    # or the default of Lightning's Timer cannot be written down
    yaml.SafeDumper.add_multi_representer(LightningEnum, lambda dumper, value: dumper.represent_str(value.value))
    # or ${data.x} would be looked for at the top, beside `fit`
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    look_here_last()  # an installed command does not look for modules where it stands
    with together():
        return _run(args)


def _run(args: list[str]) -> int:
    import_classes()
    command, *rest = args
    given = compose(rest)
    parser = {"parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False}
    try:
        return ZooCLI(
            L.LightningModule,
            L.LightningDataModule,
            save_config_callback=None,
            seed_everything_default=0,
            parser_kwargs={"prog": "ganzoo", **parser, **{name: dict(parser) for name in ZooCLI.subcommands()}},
            parser_class=Parser,
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=[command, *given.arguments()],
            configs=given.files,
            written=args,
            auto_configure_optimizers=False,
        ).exit_code
    except NothingToDo as why:
        log_info(str(why))
        return 0
    finally:
        if "wandb" in sys.modules:  # or the next run in this process goes on with this one's
            sys.modules["wandb"].finish(exit_code=int(sys.exc_info()[0] is not None))


def import_classes() -> None:
    import ganzoo.callbacks
    import ganzoo.data
    import ganzoo.models  # noqa: F401

    for plugin in plugins():
        try:
            plugin.load()
        except Exception as error:
            raise InputError(f"the plug-in '{plugin.name}' ({plugin.value}) cannot be imported: {error}") from error


class Parser(LightningArgumentParser):
    """Lightning's parser, which does not ask a logger's folder of the user: the run has one."""

    def parse_args(self, args: Any = None, *rest: Any, **kwargs: Any) -> Any:
        """jsonargparse's; of a class within a class it is called with one option, where null has become None's name."""
        if isinstance(args, list) and len(args) == 1 and args[0].endswith("=None"):
            args = [args[0].removesuffix("None") + "null"]
        return super().parse_args(args, *rest, **kwargs)

    def add_class_arguments(self, theclass: type, *args: Any, **kwargs: Any) -> list[str]:
        """Called for every class that a config names."""
        added = super().add_class_arguments(theclass, *args, **kwargs)
        if isinstance(theclass, type) and issubclass(theclass, Logger) and "save_dir" in added:
            self.set_defaults(save_dir=".")
        return added


class NothingToDo(Exception):
    """The command has nothing to do, and that is no error. The message says why."""


class ZooCLI(LightningCLI):
    """Lightning's command line with the zoo's defaults.

    A run has a folder, ``runs/<config>/version_<n>``, with everything in it: config.yaml, checkpoints/, images/, and
    what its logger writes.
    """

    folder: Path
    exit_code = 0
    checkpoint: dict[str, Any] | None = None
    _made: Path | None = None  # the folder, once this process has made it
    _begins_at = 0  # the step of the checkpoint that the run goes on from

    def __init__(self, *args: Any, configs: list[str], written: list[str], **kwargs: Any) -> None:
        self._configs = configs
        self._stopper, self._written = StopOnSignal(), written
        try:
            super().__init__(*args, **kwargs)
        except BaseException as error:
            launcher = self.trainer.strategy.launcher if "trainer" in vars(self) else None
            if not isinstance(error, SIGTERMException):  # else all of them end by themselves, each after its last step
                end_launched(launcher, 0)
            step = self.trainer.global_step if "trainer" in vars(self) else 0
            if self._made is not None and step in (0, self._begins_at):
                remove_empty(self._made)
            if isinstance(error, SIGTERMException):
                self._say_how_to_go_on(self._stopper.signum)
                # Lightning kills the first process at once where another that it started leaves with a code
                self.exit_code = 128 + self._stopper.signum if self.trainer.is_global_zero else 0
                return
            if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM and self.subcommand:
                log_info("stopped by SIGTERM before the first step")
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning has shut down in good order, and leaves with 1
                self._say_how_to_go_on(signal.SIGINT)
            if isinstance(error, Exception) and explained(error) is None and came_from_reading(error):
                path = self._get(self.config, "ckpt_path")
                raise InputError(
                    f"{path} is damaged inside, or was written by another program: {one_line(error)[:160]}"
                ) from error
            raise

    def _say_how_to_go_on(self, signum: int) -> None:
        line = f"stopped by {signal.Signals(signum).name}"
        if self.subcommand == "fit":
            line += f" after step {self.trainer.global_step}"
            newest = newest_checkpoint(self.folder / "checkpoints")
            if newest is not None:
                config = str(self.folder / "config.yaml")
                again = shlex.join(["ganzoo", "fit", "--config", config, "--ckpt_path", str(newest)])
                line += f"; to go on from its last checkpoint: {again}"
        log_info(line)

    # -- arguments ----------------------------------------------------------------------------------------------------

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
            help="fit: a checkpoint whose weights the training begins at, with new optimizers, from epoch 0 (fine-tuning).",
        )
        parser.add_argument(
            "--compile",
            action=ActionYesNo,
            default=False,
            help="Compile the players' networks (torch.compile). More to choose: callback Compile.",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses; says what is wrong in one line."""
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

    # -- before anything is built -------------------------------------------------------------------------------------

    def before_instantiate_classes(self) -> None:
        """Finds the checkpoint, makes the run's folder and points the loggers to it."""
        config = self.config[self.subcommand]
        if config.model is not None and issubclass(
            find_class(config.model.class_path, L.LightningModule), AdversarialModule
        ):
            refuse_strategy(getattr(config.trainer.strategy, "class_path", config.trainer.strategy))
        given = any(arg == "--init_from" or arg.startswith("--init_from=") for arg in self._written)
        if given and self.subcommand != "fit":
            raise InputError(f"--init_from is where a training begins: give `ganzoo {self.subcommand}` --ckpt_path")
        if given and config.ckpt_path is not None and config.init_from is not None:
            raise InputError("--init_from begins a new training, and --ckpt_path resumes one: give one of the two")
        # a loaded file runs no code of its own, unless the user insists
        if config.weights_only is None:
            config.weights_only = True
        if self.subcommand == "predict" and config.return_predictions is None:
            config.return_predictions = False  # they are written, and nobody asks for what is returned
        name = run_name(self._configs, config)
        root = Path(config.trainer.default_root_dir or "runs") / name
        config.ckpt_path = find_checkpoint(config.ckpt_path, root)
        if config.ckpt_path and Path(config.ckpt_path).is_file():
            self.checkpoint = self._read(config.ckpt_path, root, config.weights_only)
            self._begins_at = self.checkpoint.get("global_step", 0)
        elif self.subcommand != "fit" and not config.ckpt_path:
            log_info("no --ckpt_path is given: the weights are those of an untrained model")
        self.as_given = deepcopy(config)
        # fit_0 would be the better name, but everyone looks for version_0
        word = "version" if self.subcommand == "fit" else str(self.subcommand)
        if config.trainer.fast_dev_run:
            self.folder = root / "fast_dev_run"  # nothing is written
        else:
            self.folder = make_folder(Path(config.run_dir) if config.run_dir else None, root, word)
            if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
                self._made = self.folder
                remove_stale(root.glob("*/checkpoints"))
        config.trainer.default_root_dir = str(self.folder)
        loggers = config.trainer.logger if isinstance(config.trainer.logger, list) else [config.trainer.logger]
        for logger in loggers:
            if isinstance(logger, Namespace):
                self._place(logger, name, config.ckpt_path)

    def _read(self, path: str, root: Path, weights_only: bool) -> dict[str, Any]:
        # a checkpoint; where it is damaged, the error names one that is not
        try:
            return read_checkpoint(path, weights_only)
        except InputError as error:
            whole = newest_whole(Path(path).parent, "*.ckpt", Path(path), weights_only)
            whole = whole or newest_whole(root, "*/checkpoints/*.ckpt", Path(path), weights_only)
            if whole is None:
                raise
            again = shlex.join(["ganzoo", *with_option(self._written, "--ckpt_path", str(whole))])
            raise InputError(f"{error}; the newest whole one is {whole}: {again}") from error

    def _place(self, logger: Namespace, name: str, ckpt_path: str | None) -> None:
        cls, args = find_class(logger.class_path, Logger), logger.init_args  # type: ignore[type-abstract]
        if "save_dir" in args:
            if args.save_dir not in (None, "."):
                log_info(
                    f"{cls.__name__} writes into the run's folder, and not into {args.save_dir}: "
                    "--trainer.default_root_dir or --run_dir says where runs are"
                )
            args.save_dir = str(self.folder)
        if issubclass(cls, TensorBoardLogger) and not (find_spec("tensorboard") or find_spec("tensorboardX")):
            raise InputError(
                'TensorBoardLogger needs tensorboard: pip install "lightning-ganzoo[tensorboard]" (or tensorboard)'
            )
        if issubclass(cls, CSVLogger | TensorBoardLogger):
            args.name, args.version = "", ""
        elif issubclass(cls, WandbLogger):
            before = wandb_run(ckpt_path) if self.subcommand == "fit" and not (args.id or args.version) else None
            if before is not None:
                args.id, called = before
                args.resume = args.resume or "allow"
                args.name = args.name or f"{name}/{called}"
                log_info(f"continues the W&B run {args.id}; --trainer.logger.id gives another")
            args.name = args.name or f"{name}/{self.folder.name}"
            args.project = args.project or os.environ.get("WANDB_PROJECT", "ganzoo")

    def instantiate_classes(self) -> None:
        """Builds model, data, callbacks and trainer; what a constructor raises is told by its class."""
        try:
            super().instantiate_classes()
        except Exception as error:
            line = built(error)
            if line is None:
                raise
            raise InputError(line) from error

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """A trainer with the zoo's defaults where the user chose nothing."""
        chosen = self._get(self.config_init, "trainer")
        callbacks = list(_as_list(chosen.callbacks))
        if chosen.barebones:
            callbacks = [each for each in callbacks if not isinstance(each, ModelCheckpoint | ProgressBar | ModelSummary)]
            for name in OFF_IN_BAREBONES:
                chosen[name] = kwargs[name] = None
            log_info("barebones: no logger, no checkpoints, no bar, no summary, no sanity check")
        elif chosen.logger in (None, True):
            kwargs["logger"] = CSVLogger(self.folder, name="", version="")
        own = not chosen.barebones
        if own and chosen.enable_checkpointing is not False and not _any(callbacks, ModelCheckpoint):
            callbacks.append(Checkpoints())
        if self._get(self.config_init, "compile") and not _any(callbacks, Compile):
            callbacks.append(Compile())
        callbacks.append(self._stopper)
        if own and chosen.enable_progress_bar is not False and not _any(callbacks, ProgressBar):
            callbacks.append(Progress())
        if own and chosen.enable_model_summary is not False and not _any(callbacks, ModelSummary):
            callbacks.append(Summary())
        if self.subcommand == "predict" and not _any(callbacks, BasePredictionWriter):
            callbacks.append(PredictionWriter())
        for callback in callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(self.folder / "checkpoints")  # the same place whichever the logger
        plugins = list(_as_list(chosen.plugins))
        if not _any(plugins, CheckpointIO):
            plugins.append(AtomicCheckpointIO())
        # what Lightning would find, but without its way of requeueing jobs: that saves wherever a signal finds the training,
        # and in this run's folder, where the job's next run does not look
        if not _any(plugins, ClusterEnvironment) and not TorchElasticEnvironment.detect() and SLURMEnvironment.detect():
            plugins.append(SLURMEnvironment(auto_requeue=False))
        try:
            return super().instantiate_trainer(callbacks=callbacks, plugins=plugins, **kwargs)
        except (ValueError, TypeError, RuntimeError) as error:
            raise InputError(refused_trainer(str(error))) from error

    # -- before it runs -----------------------------------------------------------------------------------------------

    def after_instantiate_classes(self) -> None:
        """Checks what can be checked before hours of training, and writes the config down."""
        trainer = self._get(self.config, "trainer")
        if isinstance(self.model, AdversarialModule):
            if trainer.gradient_clip_val is not None:
                raise InputError("players are clipped one by one: give model.clip_norm, not trainer.gradient_clip_val")
            if trainer.accumulate_grad_batches != 1:
                raise InputError("rounds are accumulated: give model.accumulate, not trainer.accumulate_grad_batches")
        if self.checkpoint is not None:
            check_fits(self.checkpoint, self.model, self._get(self.config, "ckpt_path"))
            callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
            limits = [each.time_remaining() for each in callbacks if isinstance(each, Timer)]
            seconds = min((limit for limit in limits if limit is not None), default=None)
            finished = is_finished(self.checkpoint, trainer.max_epochs, trainer.max_steps, seconds)
            if self.subcommand == "fit" and finished is not None:
                raise NothingToDo(finished)
            self.checkpoint = None
        init_from = self._get(self.config, "init_from")
        if init_from is not None and self._get(self.config, "ckpt_path") is None:
            start_from(self.model, init_from, self._get(self.config, "weights_only"))
        if self.trainer.is_global_zero and not trainer.fast_dev_run:
            self.as_given.run_dir = None  # the same config again is another run
            path = self.folder / "config.yaml"
            try:
                with atomic_write(path) as part:
                    self._parser(self.subcommand).save(self.as_given, part, skip_unset=False, overwrite=True)
            except OSError as error:
                raise InputError(f"cannot write {path}: {error.strerror}") from error
            for logger in self.trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.log_hyperparams({"config": self.config_dump})
            log_info(f"this run is in {self.folder}")

    # -- after it has run ---------------------------------------------------------------------------------------------

    def after_fit(self) -> None:
        """Says where the results are."""
        trainer = self.trainer
        last = "" if trainer.max_epochs in (None, -1) else f" of {trainer.max_epochs}"
        line = f"trained to epoch {trainer.current_epoch}{last}, step {trainer.global_step}"
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
                line += f"; stopped early: {callback.stopping_reason_message}"
        self._say_where(line)

    def after_validate(self) -> None:
        """Says what was found, and where it is."""
        self._say_metrics("validation", self.trainer.num_val_batches)

    def after_test(self) -> None:
        """Says what was found, and where it is."""
        self._say_metrics("test", self.trainer.num_test_batches)

    def after_predict(self) -> None:
        """Makes the exit code 2 where files could not be read, which the writer has said."""
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        writers = (callback for callback in callbacks if isinstance(callback, PredictionWriter))
        self.exit_code = 2 if any(writer.damaged for writer in writers) else 0

    def _say_metrics(self, what: str, batches: Any) -> None:
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        found = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        n = sum(int(each) for each in _as_list(batches))
        nothing = "no metric is logged: `ganzoo evaluate CHECKPOINT` measures the images"
        self._say_where(f"{what} of {n} batch{'es' * (n != 1)}: {found or nothing}")

    def _say_where(self, line: str) -> None:
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            log_info(f"{line}; fast_dev_run writes nothing")
            return
        names = ("checkpoints/last.ckpt", "images", "predictions", "predictions.csv", "metrics.csv")
        found = [str(self.folder / name) for name in names if (self.folder / name).exists()]
        log_info(f"{line}; results: {', '.join(found) or self.folder}")


def seed_everything(seed: Seed | None) -> None:
    """The range of a seed."""


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _any(objects: list[Any], kind: type) -> bool:
    return any(isinstance(each, kind) for each in objects)

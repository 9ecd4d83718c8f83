"""``fit``, ``validate``, ``test`` and ``predict``: Lightning's command line, with a folder for each run."""

import signal
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import yaml
from jsonargparse import Namespace, set_parsing_settings
from lightning.fabric.utilities.enums import LightningEnum
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ganzoo.adversarial import AdversarialModule
from ganzoo.callbacks import PredictionWriter
from ganzoo.callbacks.loggers import log_values
from ganzoo.callbacks.stopping import StopOnSignal
from ganzoo.cli.error_messages import built, refused_trainer
from ganzoo.cli.error_messages import one_line as explained
from ganzoo.cli.lightning_log import filter_log
from ganzoo.cli.loggers import configure_logger, log_artifacts
from ganzoo.cli.merge import compose
from ganzoo.cli.parser import Parser, import_classes
from ganzoo.cli.run_messages import log_metrics, log_stop, log_training
from ganzoo.cli.run_options import RunOptions
from ganzoo.cli.runs import (
    came_from_reading,
    check_fits,
    find_checkpoint,
    is_finished,
    make_folder,
    read_or_name_another,
    remove_empty,
    run_name,
)
from ganzoo.cli.trainer_options import OFF_IN_BAREBONES, as_list, with_default_callbacks, with_default_plugins
from ganzoo.errors import InputError, one_line
from ganzoo.hub.fine_tuning import begin_at
from ganzoo.training.recipes import find_class
from ganzoo.training.strategies import refuse_strategy
from ganzoo.utils.allocator import keep_freed_memory
from ganzoo.utils.files import atomic_write, remove_stale
from ganzoo.utils.log import log_info
from ganzoo.utils.processes import end_launched, together
from ganzoo.utils.trust import look_here_last


def run(args: list[str]) -> int:
    """Runs a command of Lightning's: ``run(["fit", "--config", "pix2pix_maps"])``.

    Returns:
        0; or 2 if files could not be read; or 128 and the number of the signal that ended it.

    Raises:
        InputError: a mistake of the user, in one line.
    """
    filter_log()
    # or the default of Lightning's Timer cannot be written down
    yaml.SafeDumper.add_multi_representer(LightningEnum, lambda dumper, value: dumper.represent_str(value.value))
    # or ${data.x} would be looked for at the top, beside `fit`
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    look_here_last()  # an installed command does not look for modules in the current folder first
    if args[:1] == ["fit"]:
        keep_freed_memory()
    with together():
        return _run(args)


def _run(args: list[str]) -> int:
    import_classes()
    command, *rest = args
    given = compose(rest)
    parser = {"parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False}
    try:
        return _of_one(command)(
            L.LightningModule,
            L.LightningDataModule,
            save_config_callback=None,
            seed_everything_default=0,
            parser_kwargs={"prog": "ganzoo", **parser, command: dict(parser)},
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
        if "wandb" in sys.modules:  # or the next run in this process would continue this one's
            sys.modules["wandb"].finish(exit_code=int(sys.exc_info()[0] is not None))


def _of_one(command: str) -> "type[ZooCLI]":
    """The command line of one command: to build the parsers of the other three takes a quarter of a second."""

    class OneCommand(ZooCLI):
        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {command: ZooCLI.subcommands()[command]}

    return OneCommand


class NothingToDo(Exception):
    """The command has nothing to do, and that is no error. The message says why."""


class ZooCLI(RunOptions):
    """Lightning's command line with the zoo's defaults.

    A run has a folder, ``runs/<config>/version_<n>``, with everything in it: config.yaml, checkpoints/, images/, and
    what its logger writes.
    """

    folder: Path
    exit_code = 0
    checkpoint: dict[str, Any] | None = None
    _made: Path | None = None  # the folder, once this process has made it
    _begins_at = 0  # the step of the checkpoint that the run resumes from

    def __init__(self, *args: Any, configs: list[str], written: list[str], **kwargs: Any) -> None:
        self._configs = configs
        self._stopper, self._written = StopOnSignal(), written
        try:
            super().__init__(*args, **kwargs)
        except BaseException as error:
            self._clean_up(error)
            if isinstance(error, SIGTERMException):
                self._log_stop(self._stopper.signum)
                # Lightning kills the first process at once where another that it started leaves with a code
                self.exit_code = 128 + self._stopper.signum if self.trainer.is_global_zero else 0
                return
            if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM and vars(self).get("subcommand"):
                log_info("stopped by SIGTERM before the first step")
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning has shut down in good order, and leaves with 1
                self._log_stop(signal.SIGINT)
            if isinstance(error, Exception) and explained(error) is None and came_from_reading(error):
                path = self._get(self.config, "ckpt_path")
                raise InputError(
                    f"{path} is damaged inside, or was written by another program: {one_line(error)[:160]}"
                ) from error
            raise

    def _clean_up(self, error: BaseException) -> None:
        """Ends the processes that this one started, and removes the run's folder if nothing was trained."""
        trainer = vars(self).get("trainer")
        if not isinstance(error, SIGTERMException):  # else all of them end by themselves, each after its last step
            end_launched(None if trainer is None else trainer.strategy.launcher, 0)
        step = 0 if trainer is None else trainer.global_step
        if self._made is not None and step in (0, self._begins_at):
            remove_empty(self._made)

    def _log_stop(self, signum: int) -> None:
        if self.subcommand == "fit":
            log_stop(signum, self.trainer, self.folder)
        else:
            log_stop(signum)

    # -- before anything is built -------------------------------------------------------------------------------------

    def before_instantiate_classes(self) -> None:
        """Finds the checkpoint, makes the run's folder and points the loggers to it."""
        config = self.config[self.subcommand]
        if config.model is not None and issubclass(
            find_class(config.model.class_path, L.LightningModule), AdversarialModule
        ):
            refuse_strategy(getattr(config.trainer.strategy, "class_path", config.trainer.strategy))
        self._check_start(config)
        # a loaded file runs no code of its own, unless the user insists
        if config.weights_only is None:
            config.weights_only = True
        if self.subcommand == "predict" and config.return_predictions is None:
            config.return_predictions = False  # they are written, and nobody asks for what is returned
        name = run_name(self._configs, config)
        root = Path(config.trainer.default_root_dir or "runs") / name
        config.ckpt_path = find_checkpoint(config.ckpt_path, root)
        if config.ckpt_path and Path(config.ckpt_path).is_file():
            self.checkpoint = read_or_name_another(config.ckpt_path, root, config.weights_only, self._written)
            self._begins_at = self.checkpoint.get("global_step", 0)
        elif self.subcommand != "fit" and not config.ckpt_path:
            log_info("no --ckpt_path is given: the weights are those of an untrained model")
        self.as_given = deepcopy(config)
        self._make_folder(config, root)
        config.trainer.default_root_dir = str(self.folder)
        for logger in as_list(config.trainer.logger):
            if isinstance(logger, Namespace):
                configure_logger(logger, self.folder, name, config.ckpt_path if self.subcommand == "fit" else None)

    def _check_start(self, config: Namespace) -> None:
        given = any(arg == "--init_from" or arg.startswith("--init_from=") for arg in self._written)
        if given and self.subcommand != "fit":
            raise InputError(f"--init_from is where a training begins: give `ganzoo {self.subcommand}` --ckpt_path")
        if given and config.ckpt_path is not None and config.init_from is not None:
            raise InputError("--init_from begins a new training, and --ckpt_path resumes one: give one of the two")
        if config.init_from is None and (config.init_part is not None or config.init_partial):
            raise InputError("--init_part and --init_partial are of --init_from: give it as well")

    def _make_folder(self, config: Namespace, root: Path) -> None:
        if config.trainer.fast_dev_run:
            self.folder = root / "fast_dev_run"  # nothing is written
            return
        # fit_0 would be the better name, but everyone looks for version_0
        word = "version" if self.subcommand == "fit" else str(self.subcommand)
        self.folder = make_folder(Path(config.run_dir) if config.run_dir else None, root, word)
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            self._made = self.folder
            remove_stale(root.glob("*/checkpoints"))

    def instantiate_classes(self) -> None:
        """Builds model, data, callbacks and trainer; an error of a constructor names its class."""
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
        if chosen.barebones:
            for name in OFF_IN_BAREBONES:
                chosen[name] = kwargs[name] = None
            log_info("barebones: no logger, no checkpoints, no bar, no summary, no sanity check")
        elif chosen.logger in (None, True):
            kwargs["logger"] = CSVLogger(self.folder, name="", version="")
        callbacks = with_default_callbacks(
            [*as_list(chosen.callbacks), self._stopper],
            chosen,
            self.folder,
            compiles=self._get(self.config_init, "compile"),
            predicts=self.subcommand == "predict",
        )
        try:
            return super().instantiate_trainer(
                callbacks=callbacks, plugins=with_default_plugins(as_list(chosen.plugins)), **kwargs
            )
        except (ValueError, TypeError, RuntimeError) as error:
            raise InputError(refused_trainer(str(error))) from error

    # -- before it runs -----------------------------------------------------------------------------------------------

    def after_instantiate_classes(self) -> None:
        """Checks what can be checked before hours of training, and writes config.yaml."""
        trainer = self._get(self.config, "trainer")
        if isinstance(self.model, AdversarialModule):
            if trainer.gradient_clip_val is not None:
                raise InputError("players are clipped one by one: give model.clip_norm, not trainer.gradient_clip_val")
            if trainer.accumulate_grad_batches != 1:
                raise InputError("rounds are accumulated: give model.accumulate, not trainer.accumulate_grad_batches")
        if self.checkpoint is not None:
            self._check_checkpoint(self.checkpoint, trainer)
            self.checkpoint = None
        init_from = self._get(self.config, "init_from")
        if init_from is not None and self._get(self.config, "ckpt_path") is None:
            options = (self._get(self.config, name) for name in ("init_part", "init_partial", "weights_only"))
            begin_at(self.model, init_from, *options)
        if self.trainer.is_global_zero and not trainer.fast_dev_run:
            self._write_config()
            log_info(f"this run is in {self.folder}")

    def _check_checkpoint(self, checkpoint: dict[str, Any], trainer: Namespace) -> None:
        check_fits(checkpoint, self.model, self._get(self.config, "ckpt_path"))
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        limits = [each.time_remaining() for each in callbacks if isinstance(each, Timer)]
        seconds = min((limit for limit in limits if limit is not None), default=None)
        finished = is_finished(checkpoint, trainer.max_epochs, trainer.max_steps, seconds)
        if self.subcommand == "fit" and finished is not None:
            raise NothingToDo(finished)

    def _write_config(self) -> None:
        self.as_given.run_dir = None  # the same config again is another run
        path = self.folder / "config.yaml"
        try:
            with atomic_write(path) as part:
                self._parser(self.subcommand).save(self.as_given, part, skip_unset=False, overwrite=True)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error
        for logger in self.trainer.loggers:
            log_values(logger, "config", self.config_dump)

    # -- after it has run ---------------------------------------------------------------------------------------------

    def after_fit(self) -> None:
        """Logs how far it trained, and where the results are."""
        log_artifacts(self.trainer)
        log_training(self.trainer, self.folder)

    def after_validate(self) -> None:
        """Logs the metrics, and where the results are."""
        log_metrics(self.trainer, self.folder, "validation", self.trainer.num_val_batches)

    def after_test(self) -> None:
        """Logs the metrics, and where the results are."""
        log_metrics(self.trainer, self.folder, "test", self.trainer.num_test_batches)

    def after_predict(self) -> None:
        """Makes the exit code 2 if files could not be read, which the writer has logged."""
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        writers = (callback for callback in callbacks if isinstance(callback, PredictionWriter))
        self.exit_code = 2 if any(writer.damaged for writer in writers) else 0

"""Filters Lightning's log and warnings: drops messages about what ganzoo logs itself or decides on purpose."""

import logging
import re
import warnings

# by message and not by level: a profiler's table and why a training stopped are INFO as well
DROPPED = re.compile(
    r"\s*(?:[GTH]PU available|.?Tip: |💡|LOCAL_RANK|Initializing distributed|-{5}|`Trainer\.fit` stopped: `max_"
    r"|Seed set to|Restor(?:ing|ed) |Loaded model weights|`Trainer\(\w+=1(?:\.0)?\)` was configured"
    r"|Using (?:16|32|64|bf|auto|the)|`weights_only` was not set|Bypassing SIGTERM|\[?.*Received SIGTERM"
    r"|Detected KeyboardInterrupt|Trainer already configured|You are running in `Trainer\(barebones"
    r"|`Trainer\(barebones=True\)` started|Trainer will use only|Ignoring `Trainer\(max_time)"
)


# warnings about what ganzoo decides, or what is so on purpose
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


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or not DROPPED.match(record.getMessage())


_FILTER = _Filter()


def filter_log() -> None:
    """Filters the messages of every logger that Lightning has, and the warnings of :data:`QUIET`. May be called again."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.INFO)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] == "lightning" and isinstance(logger, logging.Logger):
            logger.addFilter(_FILTER)

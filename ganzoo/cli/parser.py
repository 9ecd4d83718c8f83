"""The argument parser of the command, and the import of the classes that it knows by their short names."""

from typing import Any

from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger

from ganzoo.errors import InputError
from ganzoo.utils.trust import plugins


def import_classes() -> None:
    """Imports the classes of ganzoo and of its plug-ins, so that their short names are known.

    Raises:
        InputError: a plug-in cannot be imported.
    """
    import ganzoo.callbacks
    import ganzoo.data
    import ganzoo.models  # noqa: F401

    for plugin in plugins():
        try:
            plugin.load()
        except Exception as error:
            raise InputError(f"the plug-in '{plugin.name}' ({plugin.value}) cannot be imported: {error}") from error


class Parser(LightningArgumentParser):
    """Lightning's parser, with a default ``save_dir`` for loggers: a run has its own folder."""

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

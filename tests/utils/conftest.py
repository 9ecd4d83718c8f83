"""The folder that the command is tested in."""

from support.command import toy_folder as toy_folder

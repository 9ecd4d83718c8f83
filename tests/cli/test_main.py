"""The command before any work: help, version, list, exit codes, tracebacks."""

import os
import subprocess
import sys

import pytest
from support.command import (
    error,
    fit,
    ganzoo_process,
)

import ganzoo
from ganzoo.cli import main

pytestmark = pytest.mark.usefixtures("toy_folder")


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["list"], []])
def test_answers_without_importing_torch(args):
    code = f"import sys; from ganzoo.cli import main; assert main({args}) == 0; assert 'torch' not in sys.modules"
    done = ganzoo_process(code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_version_is_the_package_s(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ganzoo {ganzoo.__version__}\n"


def test_list_has_a_line_for_each_config_in_columns(capsys, tmp_path):
    (tmp_path / "packaged" / "a_much_longer_name.yaml").write_text("# Other.\nmodel: GAN\ndata: Digits\n")
    assert main(["list"]) == 0
    header, other, toy = capsys.readouterr().out.splitlines()
    assert toy.split("  ")[0] == "toy_noise"
    for name, column in zip(
        ["Toy", "ToyData", "Nobody et al. 2014", "Two linear players on noise."],
        ["model", "data", "paper", "what"],
        strict=True,
    ):
        assert toy[header.index(column) :].startswith(name)
    assert other.split() == ["a_much_longer_name", "GAN", "Digits", "Other."]


def test_a_mistyped_command(capsys):
    assert error(capsys, "fti") == "there is no command 'fti': did you mean 'fit'?"


def test_the_exit_code_of_an_error_is_2_and_there_is_no_traceback():
    done = ganzoo_process("fit", "--model", "Nope")
    assert done.returncode == 2
    assert done.stderr == "ganzoo: error: model: there is no class 'Nope': write its full dotted path\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        fit("--trainer.callbacks", "support.command.Bug")


def test_the_traceback_of_a_user_s_error_can_be_had(monkeypatch):
    monkeypatch.setenv("GANZOO_TRACEBACK", "1")
    with pytest.raises(ValueError, match="width is at least 1"):
        fit("--model.width", "0")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--help"], ["evaluate", "--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(words, unbuffered):
    given = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "ganzoo", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=given) as process:
        process.stdout.close()  # as `head` does
        assert process.stderr.read() == b""
    assert process.returncode == 141

"""What the command answers before torch is imported: helps and mistyped names, as the parsers would answer them."""

import json
import platform
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import jsonargparse
import pytest
from support import known_names
from support.command import error, ganzoo_process

from ganzoo.cli import early
from ganzoo.cli.main import COMMANDS
from ganzoo.errors import InputError
from ganzoo.utils.configs import config_names

KNOWN = json.loads(early.FILE.read_text(encoding="utf-8"))
ROOT = Path(__file__).parents[2]

needs_lightning = pytest.mark.skipif(
    version("lightning") != KNOWN["lightning"], reason=f"known.json is of lightning {KNOWN['lightning']}"
)

MISTAKES = [
    ["fit", "--confg", "x"],
    ["fit", "--config", "gan_mnst"],
    ["fit", "--model", "GANN", "--data", "Digits"],
    ["fit", "--model", "Xqzvwk"],  # near no class, of the other tests either
    ["fit", "--config", "gan_digits", "--data", "Digitss"],
    ["fit", "--config", "gan_digits", "--data.class_path=Digitss"],
    ["fit", "--config", "gan_digits", "--model.zdimm", "3"],
    ["fit", "--config", "gan_digits", "--model.init_args.zdimm=3"],
    ["fit", "--config", "gan_digits", "--model", "DCGAN", "--model.featurs", "2"],
    ["fit", "--config", "gan_digits", "--data.batch_sizee", "3"],
    ["fit", "--model=ganzoo.models.GAN", "--model.shapee", "[1,8,8]"],
    ["fit", "--config", "gan_digits", "--trainer.max_epoch", "3"],
    ["test", "--config", "gan_digits", "--trainr.max_epochs", "3"],
    ["fit", "--config", "in_model.yaml"],
    ["fit", "--config", "in_trainer.yaml"],
    ["fit", "--config", "in_section.yaml"],
    ["evaluate", "nowhere.ckpt"],
    ["evaluate", "gan_mnistt"],
    ["evaluate", "gan_mnist", "--extractr", "x"],
    ["evaluate", "gan_mnist", "--data", "MNISTT"],
    ["evaluate", "gan_mnist", "--data", "MNIST", "--data.roott", "x"],
    ["classifier", "--dat", "x"],
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "in_model.yaml").write_text("model: {class_path: GAN, init_args: {shape: [1, 8, 8], zz: 3}}\ndata: Digits\n")
    (tmp_path / "in_trainer.yaml").write_text("model: {class_path: GAN}\ntrainer: {max_epoch: 1}\n")
    (tmp_path / "in_section.yaml").write_text("modell: {class_path: GAN}\n")
    monkeypatch.chdir(tmp_path)


@needs_lightning
def test_mistyped_names_are_refused_before_torch_is_imported_in_the_parsers_words(here, capsys):
    code = f"""
import sys
from ganzoo.cli import main
for args in {MISTAKES}:
    assert main(args) == 2, args
    assert "torch" not in sys.modules, args
"""
    done = ganzoo_process(code=code)
    assert done.returncode == 0, done.stderr
    said = [line.removeprefix("ganzoo: error: ") for line in done.stderr.splitlines()]
    assert "torch" in sys.modules  # so that here the parsers answer
    assert said == [error(capsys, *args) for args in MISTAKES]


@needs_lightning
@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_a_help_needs_no_torch(command):
    code = f"import sys; from ganzoo.cli import main; main(['{command}', '--help']); assert 'torch' not in sys.modules"
    done = ganzoo_process(code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n".join(KNOWN["help"][command]) + "\n"
    for option in KNOWN["options"][command]:
        assert option in ("fake", "real", "print_shtab") or f"--{option}" in done.stdout, option


def commands_of_the_docs() -> list[list[str]]:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    lines = [line for page in pages for line in re.findall(r"^ +(ganzoo .*)$", page.read_text(encoding="utf-8"), re.M)]
    words = [shlex.split(line.rstrip("\\"), comments=True)[1:] for line in lines if "..." not in line and "'" not in line]
    of_plugins = {"Streaming", "SmoothedGAN"}  # with which nothing is answered
    return [each for each in words if each[:1] and each[0] in KNOWN["help"] and of_plugins.isdisjoint(each)]


RIGHT = [
    *(["fit", "--config", name] for name in config_names()),
    ["fit", "--help", "--config", "gan_digits"],
    ["fit", "--config", "gan_digits", "--print_config"],
    ["fit", "--config", "gan_digits", "--print_config=skip_default"],
    ["fit", "--config", "gan_digits", "--no_compile", "--compile=true"],
    ["fit", "--config", "gan_digits", "--trainer.callbacks+=EMA", "--trainer.callbacks.half_life", "3"],
    ["fit", "--config", "gan_digits", "--trainer.logger.help", "CSVLogger"],
    ["fit", "--model.help", "Pix2Pix"],
    ["fit", "--data", "Domains", "--data.source.root", "x", "--data.source.init_args.size", "3"],
    ["fit", "--model", "my_module.MyGAN", "--model.anything", "3", "--data", "MyData"],
    ["fit", "--model={class_path: my_module.MyGAN}", "--data", "MyData"],
    ["fit", "--data", "Digits", "--data.root", "x", "--config", "gan_mnist"],  # the config's MNIST has a root
    ["fit", "--config", "gan_mnist", "--data", "Digits", "--data.root", "x"],  # the parsers know which comes last
    ["evaluate", "gan_mnist", "--model", "my_module.MyGAN"],
    ["evaluate", "--extractor", "inception", "gan_mnist"],
    ["evaluate", "--print_shtab", "bash"],
]


def test_what_may_be_right_is_left_to_the_parsers():
    commands = commands_of_the_docs()
    assert len(commands) > 50
    for command, *args in [*RIGHT, *commands]:
        try:
            early._check(command, args, KNOWN)
        except InputError as refused:
            # files of the user's, and in docs/faq.md mistakes
            assert re.search(r"there is no (config|such checkpoint)", str(refused)), (command, args, refused)  # noqa: PT017
            assert [command, *args] not in RIGHT


def test_nothing_is_answered_where_the_file_may_be_wrong(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "torch")
    wrong = ["--confg", "x"]
    if version("lightning") == KNOWN["lightning"]:
        with pytest.raises(InputError, match="confg"):
            early.answer("fit", wrong)
    with monkeypatch.context() as patch:
        patch.setattr("ganzoo.utils.trust.plugins", lambda: ["a plug-in"])
        assert not early.answer("fit", wrong)
        assert not early.answer("fit", ["--help"])
    with monkeypatch.context() as patch:
        patch.setattr(early, "version", lambda name: "2.99")
        assert not early.answer("fit", wrong)
    assert capsys.readouterr().out == ""


def test_the_commands_that_are_known_are_commands():
    assert set(known_names.COMMANDS) == set(KNOWN["help"]) == set(KNOWN["options"])
    assert set(KNOWN["help"]) <= set(COMMANDS)


@pytest.mark.slow
@needs_lightning
def test_what_is_known_is_what_the_parsers_say():
    """If not: ``python tests/support/public_api.py`` in ``tests/..``, with PYTHONPATH=., writes it anew."""
    code = "import json; from support.known_names import known_names; print('\\n' + json.dumps(known_names()))"
    done = ganzoo_process(code=code)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["options"] == KNOWN["options"]
    assert found["classes"] == KNOWN["classes"]
    if found["made with"] != KNOWN["made with"]:
        pytest.skip(f"helps are laid out otherwise by Python {platform.python_version()}, {jsonargparse.__version__}")
    assert found["help"] == KNOWN["help"]

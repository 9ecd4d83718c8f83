"""Saved folders go to the hub and come back; nothing else is taken, and nothing is run."""

import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from support.evaluate import saved
from support.fake_hub import TOKEN, Hub, running_hub
from support.small_models import small

import ganzoo
from ganzoo.cli import main
from ganzoo.errors import InputError
from ganzoo.hub import describe, pull, push, save
from ganzoo.hub.folder import FILES
from ganzoo.hub.sharing import parse_address
from ganzoo.models import GAN


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    """A hub on this machine, with a cache of its own and a login."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with running_hub() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        yield found


def a_folder(name: str = "my_gan", seed: int = 0) -> Path:
    torch.manual_seed(seed)
    return save(saved(small(GAN), f"{name}.ckpt"), name)


def samples(source: str | Path) -> torch.Tensor:
    return ganzoo.load(source).sample(3, generator=torch.Generator().manual_seed(0))


def test_a_model_goes_to_the_hub_and_comes_back(hub, capsys):
    folder = a_folder()
    (folder / "notes.txt").write_text("mine")  # is not shared
    address = push(folder, "me/gan", message="first")
    (sha,) = hub.commits["me/gan"]
    assert address == f"{hub.url}/me/gan/commit/{sha}"
    assert set(hub.commits["me/gan"][sha]) == set(FILES)
    assert hub.commits["me/gan"][sha]["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert torch.equal(samples("hf:me/gan"), samples(folder))
    assert describe("hf:me/gan")["name"] == "my_gan"
    pulled = pull("me/gan", "pulled")
    assert {path.name for path in pulled.iterdir()} == set(FILES)
    assert not any(path.is_symlink() for path in pulled.iterdir())
    assert torch.equal(samples(pulled), samples(folder))
    assert main(["pull", "me/gan", "by_command"]) == 0
    assert main(["verify", "by_command"]) == 0
    assert TOKEN not in "".join(capsys.readouterr())


def test_a_revision_is_the_one_that_was_asked_for(hub):
    first, second = a_folder("one", 1), a_folder("two", 2)
    old = push(first, "me/gan").rpartition("/")[2]
    push(second, "me/gan")
    assert main(["push", str(first), "me/gan", "--revision", "main"]) == 0
    push(second, "me/gan")
    assert torch.equal(samples(f"hf:me/gan@{old}"), samples(first))
    assert torch.equal(samples("hf:me/gan"), samples(second))
    assert not torch.equal(samples(first), samples(second))
    with pytest.raises(InputError, match=r"hf:me/gan@v9: the repository is there, and has no such revision"):
        ganzoo.load("hf:me/gan@v9")


def test_other_files_of_a_repository_are_not_fetched(hub):
    folder = a_folder()
    evil = {"modeling.py": b"raise SystemExit", "pytorch_model.bin": b"pickle", "sub/config.json": b"{}"}
    hub.commit("them/gan", {path.name: path.read_bytes() for path in folder.iterdir()} | evil)
    pulled = pull("them/gan", "pulled")
    assert {path.name for path in pulled.rglob("*")} == set(FILES)
    assert not any(name in request for request in hub.requests for name in ("modeling.py", "pytorch_model.bin", "sub/"))
    hub.commit("them/pickle", {"pytorch_model.bin": b"pickle", "config.json": b"{}"})
    with pytest.raises(InputError, match="hf:them/pickle holds no model that `ganzoo save` wrote"):
        ganzoo.load("hf:them/pickle")


def test_what_was_fetched_is_there_offline(hub, monkeypatch):
    folder = a_folder()
    push(folder, "me/gan")
    wanted = samples("hf:me/gan")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    assert torch.equal(samples("hf:me/gan"), wanted)
    with pytest.raises(InputError, match=r"hf:me/other is not in the cache, and the hub is not asked offline"):
        ganzoo.load("hf:me/other")
    assert len(hub.requests) == before


def test_a_hub_that_is_not_there_is_said_in_one_line(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="hf:me/gan is not in the cache, and the hub cannot be reached") as refused:
        ganzoo.load("hf:me/gan")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("token", ["", "hf_another_secret"])
def test_who_is_not_logged_in_is_told_how(token, hub, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setenv("HF_TOKEN", token)
    assert main(["push", str(a_folder()), "me/gan"]) == 2
    assert "hf:me/gan: the hub answers: it refuses you (HTTP 401): log in with `hf auth login`" in capsys.readouterr().err
    hub.commit("me/private", {"a": b"b"})
    hub.locked.add("me/private")
    assert main(["pull", "me/private", "pulled"]) == 2
    said = capsys.readouterr().err
    assert "hf:me/private: there is no such repository on the hub, or it is private: then log in" in said
    assert token == "" or token not in said
    assert not Path("pulled").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hf:nobody/nothing", "hf:nobody/nothing: there is no such repository on the hub"),
        ("hf:gan", "a model on the hub is hf:owner/name"),
        ("hf:a/b/c", "a model on the hub is hf:owner/name"),
        ("hf:../etc", "is no name of a repository"),
    ],
)
def test_an_id_that_does_not_exist_is_one_line(source, said, hub):
    with pytest.raises(InputError) as refused:
        ganzoo.load(source)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_a_whole_saved_folder_is_pushed(hub):
    Path("photos").mkdir()
    with pytest.raises(InputError, match="photos is no saved folder"):
        push("photos", "me/gan")
    folder = a_folder()
    (folder / "test_output.safetensors").unlink()
    with pytest.raises(InputError, match="test_output"):
        push(folder, "me/gan")
    assert hub.requests == []


def test_a_folder_is_not_pulled_over_another(hub):
    push(a_folder(), "me/gan")
    with pytest.raises(InputError, match="my_gan is not empty"):
        pull("me/gan", "my_gan")


def test_without_the_library_its_installation_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r'pip install "lightning-ganzoo\[hub\]"'):
        ganzoo.load("hf:me/gan")


def test_an_address_has_a_repository_and_a_revision():
    assert parse_address("hf:me/gan") == ("me/gan", None)
    assert parse_address("hf:me/gan@refs/pr/1") == ("me/gan", "refs/pr/1")

"""A checkpoint is read without torch, and nothing of it runs."""

import collections
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from support.evaluate import saved
from support.zoo import build

from ganzoo.errors import InputError
from ganzoo.hub.records import TensorInfo, read_record


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_plain_data_and_shapes_are_those_that_torch_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = {"kept": {"a": (1, 2.5, None, "x"), "set": {1}}, "half": torch.zeros(2, 3, dtype=torch.bfloat16)}
    path = Path(saved(build("CycleGAN"), **more))
    read, loaded = read_record(path), torch.load(path, weights_only=True)
    assert read["kept"] == more["kept"]
    assert read["half"] == TensorInfo((2, 3), "bfloat16")
    assert read["hyper_parameters"] == loaded["hyper_parameters"]
    assert read["ganzoo"] == loaded["ganzoo"]
    assert list(read["state_dict"]) == list(loaded["state_dict"])
    for name, tensor in loaded["state_dict"].items():
        if isinstance(tensor, torch.Tensor):
            assert read["state_dict"][name] == (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
    code = (
        f"import sys; from pathlib import Path; from ganzoo.hub.records import read_record; read_record(Path({str(path)!r}))"
        "; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("how", ["zip", "pickle"])
def test_a_pickle_that_would_run_code_is_not_run(how, tmp_path):
    path, ran = tmp_path / "last.ckpt", tmp_path / "ran"
    content = {"state_dict": collections.OrderedDict(), "evil": Evil(ran)}
    if how == "zip":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"last.ckpt (holds more than weights|is damaged, or is no checkpoint)"):
        read_record(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"PK nothing", "damaged"),
        ({"weights": 1}, "no state_dict"),
        ([1], "no state_dict"),
    ],
)
def test_other_files_are_refused_in_one_line(content, said, tmp_path):
    path = tmp_path / "last.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=said):
        read_record(path)


def test_a_pickle_larger_than_any_checkpoints_is_not_read(tmp_path):
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * 100_000_001)
    with pytest.raises(InputError, match="too many"):
        read_record(path)

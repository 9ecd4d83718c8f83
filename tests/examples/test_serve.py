"""examples/serve.py answers with the translation of the image that it was sent."""

import io
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

SERVE = Path(__file__).parents[2] / "examples" / "serve.py"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server of a file in the form of `ganzoo export`, which halves each value and takes multiples of 8 pixels."""
    sides = ["batch", 3, "height", "width"]
    two = helper.make_tensor("two", TensorProto.UINT8, [], [2])
    graph = helper.make_graph(
        [helper.make_node("Div", ["image", "two"], ["translation"])],
        "halves",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, sides),
            helper.make_tensor_value_info("seed", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("translation", TensorProto.UINT8, sides)],
        [two],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"size_multiple": "8"})
    path = tmp_path_factory.mktemp("serve") / "halves.onnx"
    onnx.save(model, path)
    server = subprocess.Popen(
        [sys.executable, SERVE, path, "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.kill()
    server.wait()
    server.stdout.close()


def test_an_image_of_any_size_comes_back_translated(address):
    assert address.startswith("http://127.0.0.1:")  # nobody else's machine
    pixels = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)
    sent = io.BytesIO()
    Image.fromarray(pixels).save(sent, "PNG")
    with urlopen(Request(address, sent.getvalue())) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert np.array_equal(np.asarray(Image.open(answer)), pixels // 2)


def test_what_is_no_image_is_refused(address):
    with pytest.raises(HTTPError, match="400"):
        urlopen(Request(address, b"no image"))

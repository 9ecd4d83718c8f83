"""Serves an exported translator: `python examples/serve.py maps.onnx`, `curl --data-binary @photo.jpg localhost:8000`."""

import io
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
names = {value.name for value in session.get_inputs()}
channels = session.get_inputs()[0].shape[1]
multiple = int(session.get_modelmeta().custom_metadata_map["size_multiple"])


class Translate(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["Content-Length"])
        if length > 20_000_000:
            return self.send_error(413)
        try:
            photo = Image.open(io.BytesIO(self.rfile.read(length))).convert("RGB" if channels == 3 else "L")
        except (OSError, Image.DecompressionBombError):
            return self.send_error(400, "no image that can be read")
        pixels = np.atleast_3d(np.asarray(photo)).transpose(2, 0, 1)[None]
        height, width = pixels.shape[2:]
        pixels = np.pad(pixels, ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple)), "reflect")
        inputs = {"image": pixels, "seed": np.array([int(self.headers.get("X-Seed", 0))])}
        (translated,) = session.run(None, {name: inputs[name] for name in names})
        answer = io.BytesIO()
        Image.fromarray(translated[0, :, :height, :width].transpose(1, 2, 0).squeeze()).save(answer, "PNG")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(answer.getvalue())


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8000), Translate)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

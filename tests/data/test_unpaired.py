"""Images without pairs: two orders an epoch, the forms on disk, jitter, the published archives (small ones)."""

import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import UnpairedFolders, unpaired
from ganzoo.data.batches import Unpaired
from ganzoo.data.images import read_image
from ganzoo.errors import InputError


def shade(path: Path, value: int, height: int = 8, width: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)
    return path


def values(images) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


@pytest.fixture
def archive_form(tmp_path) -> Path:
    """trainA with 5 shades from 10, trainB with 3 from 100, testA with 2 from 50, testB with 4 from 150."""
    for folder, first, n in (("trainA", 10, 5), ("trainB", 100, 3), ("testA", 50, 2), ("testB", 150, 4)):
        for i in range(n):
            shade(tmp_path / folder / f"n{i}.png", first + i)
    # the published maps have these as well, with A and B side by side
    shade(tmp_path / "train" / "1.png", 255, 8, 16)
    return tmp_path


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_the_form_of_the_published_archives(archive_form, direction):
    data = UnpairedFolders(str(archive_form), size=8, load_size=8, batch_size=5, direction=direction)
    data.setup()
    (batch,) = data.train_dataloader()
    assert type(batch) is Unpaired
    assert batch.x.shape == batch.y.shape == (5, *data.shape_x) == (5, *data.shape_y) == (5, 3, 8, 8)
    assert batch.x.dtype == batch.y.dtype == torch.uint8
    a, b = (batch.x, batch.y) if direction == "AtoB" else (batch.y, batch.x)
    assert sorted(values(a)) == [10, 11, 12, 13, 14]
    assert set(values(b)) == {100, 101, 102}
    # A and B go on in the order of their names, the shorter one from its beginning again
    for held_out in (data.val_set, data.test_set):
        samples = list(held_out)
        assert {type(sample) for sample in samples} == {Unpaired}
        x, y = (values(images) for images in zip(*samples, strict=True))
        assert (x, y)[:: 1 if direction == "AtoB" else -1] == ([50, 51, 50, 51], [150, 151, 152, 153])
    (whole,) = data.test_dataloader()
    assert whole.x.shape == (4, 3, 8, 8)


def test_validation_images_of_their_own(archive_form):
    for side, value in (("A", 60), ("B", 160)):
        shade(archive_form / f"val{side}" / "0.png", value)
    data = UnpairedFolders(str(archive_form), size=8, load_size=8)
    data.setup()
    assert [values(sample) for sample in data.val_set] == [[60, 160]]
    assert len(data.test_set) == 4


def test_without_split_folders_a_hash_of_the_name_chooses(tmp_path):
    for i in range(40):
        for folder in ("one/trainA", "two/A", "three"):
            shade(tmp_path / folder / f"{i}.png", i)
        if i < 30:
            for folder in ("one/trainB", "two/B", "four/deep"):
                shade(tmp_path / folder / f"{i}.png", 100 + i)
    # the known ones of that hash among 0.png ... 39.png
    held_out = [0, 6, 8, 33]
    for roots in (("one",), ("two",), ("three", "four/deep")):
        data = UnpairedFolders(*(str(tmp_path / root) for root in roots), size=8, load_size=8)
        data.setup()
        assert sorted(set(range(40)) - {int(path.stem) for path in data.train_set.x}) == held_out
        assert sorted(set(range(30)) - {int(path.stem) for path in data.train_set.y}) == held_out[:3]
        assert sorted(int(path.stem) for path in data.val_set.x.items) == held_out
        assert len(data.val_set) == len(data.test_set) == 4
        assert len(data.train_set) == 36
    everything = UnpairedFolders(str(tmp_path / "one"), size=8, load_size=8, val_share=0)
    everything.setup()
    assert len(everything.train_set) == 40
    assert everything.val_dataloader() == []


def test_folders_train_and_val_inside_are_the_splits(tmp_path):
    for side, first in (("A", 10), ("B", 100)):
        for i in range(3):
            shade(tmp_path / side / "train" / f"{i}.png", first + i)
        shade(tmp_path / side / "val" / "0.png", first + 9)
    data = UnpairedFolders(str(tmp_path), size=8, load_size=8)
    data.setup()
    assert len(data.train_set) == 3
    assert [values(sample) for sample in data.val_set] == [[19, 109]]
    assert [values(sample) for sample in data.test_set] == [[19, 109]]


def test_x_and_y_are_jittered_independently(tmp_path, save):
    for side in "AB":
        for split in ("train", "test"):
            save(tmp_path / f"{split}{side}" / "x.png", 12, 12, seed=1)
    data = UnpairedFolders(str(tmp_path), size=10, load_size=12)
    data.setup()
    whole = read_image(tmp_path / "trainA/x.png", 3)
    views = {
        (top, left, flip): window.flip(-1) if flip else window
        for top in range(3)
        for left in range(3)
        for flip in (False, True)
        for window in [whole[:, top : top + 10, left : left + 10]]
    }

    def view_of(image):
        return next(key for key, view in views.items() if torch.equal(image, view))

    seen = [(view_of(sample.x), view_of(sample.y)) for epoch in range(400) for sample in [data.train_set[epoch, 0]]]
    for side in (0, 1):
        assert {pair[side] for pair in seen} == set(views)
    # by chance one in eighteen
    assert sum(x == y for x, y in seen) < 50
    assert len(set(seen)) > 180
    for number in range(3):
        assert sum(x[number] == y[number] for x, y in seen) == pytest.approx(400 / (3, 3, 2)[number], abs=45)
    straight = UnpairedFolders(str(tmp_path), size=10, load_size=12, mirror=False)
    straight.setup()
    assert not any(view_of(image)[2] for epoch in range(40) for image in straight.train_set[epoch, 0])
    assert data.test_set[0].x.shape == (3, 10, 10)


def test_images_of_any_size_and_kind_become_squares_of_the_wanted_channels(tmp_path, save):
    for i, (height, width, channels) in enumerate([(20, 30, 3), (50, 10, 1), (8, 8, 4)]):
        save(tmp_path / f"trainA/{i}.png", height, width, channels)
        save(tmp_path / f"trainB/{i}.jpg", height, width)
        save(tmp_path / f"testA/{i}.png", height, width, channels)
        save(tmp_path / f"testB/{i}.png", height, width)
    data = UnpairedFolders(str(tmp_path), size=8, load_size=9, channels_x=1, direction="BtoA", batch_size=3)
    data.setup()
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        assert batch.x.shape == (3, *data.shape_x) == (3, 1, 8, 8)
        assert batch.y.shape == (3, *data.shape_y) == (3, *data.shape) == (3, 3, 8, 8)
    assert data.classes is None
    assert (UnpairedFolders("x").size, UnpairedFolders("x").load_size) == (256, 286)


def test_workers_do_not_change_the_batches(archive_form):
    data = UnpairedFolders(str(archive_form), size=6, load_size=8, batch_size=2)
    data.setup()

    def epochs(num_workers: int) -> list[Unpaired]:
        data.num_workers = num_workers
        loader = data.train_dataloader()
        batches = []
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)
            batches += list(loader)
        return batches

    alone, two = epochs(0), epochs(2)
    assert len(alone) == 4
    for batch, same in zip(alone, two, strict=True):
        assert torch.equal(batch.x, same.x)
        assert torch.equal(batch.y, same.y)


def test_other_forms_are_refused(tmp_path, save):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        UnpairedFolders(str(tmp_path / "nowhere")).setup()
    with pytest.raises(InputError, match=r"no folders trainA and trainB in .*, nor A and B"):
        UnpairedFolders(str(tmp_path)).setup()
    save(tmp_path / "p/trainA/0.png")
    with pytest.raises(InputError, match=r"but no .*trainB"):
        UnpairedFolders(str(tmp_path / "p")).setup()
    save(tmp_path / "q/A/0.png")
    with pytest.raises(InputError, match=r"but no .*q/B"):
        UnpairedFolders(str(tmp_path / "q")).setup()
    (tmp_path / "q/B").mkdir()
    with pytest.raises(InputError, match=r"no images in .*q/B"):
        UnpairedFolders(str(tmp_path / "q")).setup()
    (tmp_path / "q/B/1.png").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"cannot read the image .*1\.png"):
        UnpairedFolders(str(tmp_path / "q")).setup()


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"load_size": 255},
        {"direction": "atob"},
        {"channels_x": 4},
        {"channels_y": 0},
        {"val_share": 1.0},
        {"archive": "cats2dogs"},
        {"archive": "horse2zebra", "root_b": "elsewhere"},
        {"sha256": "0" * 64},
        {"batch_size": 0},
    ],
)
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is") as caught:
        UnpairedFolders("x", **wrong)
    assert "\n" not in str(caught.value)


def zipped(folders: dict[str, int], top: str) -> bytes:
    """A .zip of the published form: so many images in each folder below `top`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for folder, n in folders.items():
            for i in range(n):
                image = io.BytesIO()
                Image.fromarray(np.full((4, 4, 3), 10 * len(folder) + i, np.uint8)).save(image, "png")
                archive.writestr(f"{top}/{folder}/n{i}.png", image.getvalue())
    return file.getvalue()


SMALL = {"trainA": 3, "trainB": 4, "testA": 1, "testB": 2}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None

    def log_message(self, format, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    """The authors' server, with two small archives."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.files = {f"/sets/{name}.zip": zipped(SMALL, name) for name in ("horse2zebra", "apple2orange")}
        monkeypatch.setattr(unpaired, "ARCHIVES_URL", f"http://127.0.0.1:{server.server_address[1]}/sets")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_archive_is_downloaded_and_unpacked_once(server, tmp_path, monkeypatch):
    monkeypatch.setitem(unpaired.COUNTS, "horse2zebra", SMALL)
    root = tmp_path / "data" / "horse2zebra"
    data = UnpairedFolders(str(root), archive="horse2zebra", size=4, load_size=4)
    data.prepare_data()
    data.setup()
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [4, 2, 2]
    assert sorted(path.name for path in root.parent.iterdir()) == ["horse2zebra", "horse2zebra.zip"]
    (tmp_path / "data" / "horse2zebra.zip").unlink()
    data.prepare_data()
    assert server.asked == ["/sets/horse2zebra.zip"]


def test_published_numbers_of_images_are_checked(server, tmp_path):
    assert unpaired.COUNTS == {"horse2zebra": {"trainA": 1067, "trainB": 1334, "testA": 120, "testB": 140}}
    with pytest.raises(InputError, match=r"horse2zebra\.zip has 1067 images in trainA, and .* 3: delete") as caught:
        UnpairedFolders(str(tmp_path / "x"), archive="horse2zebra").prepare_data()
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["horse2zebra.zip"]


def test_an_archive_of_unknown_numbers_needs_its_folders(server, tmp_path):
    UnpairedFolders(str(tmp_path / "x"), archive="apple2orange").prepare_data()
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == sorted(SMALL)
    server.files["/sets/maps.zip"] = zipped({"trainA": 1, "testA": 1}, "maps")
    with pytest.raises(InputError, match=r"maps\.zip has no folder trainB at its top"):
        UnpairedFolders(str(tmp_path / "y"), archive="maps").prepare_data()
    assert not (tmp_path / "y").exists()


def test_a_checksum_of_ones_own_is_checked(server, tmp_path):
    right = hashlib.sha256(server.files["/sets/apple2orange.zip"]).hexdigest()
    with pytest.raises(InputError, match="sha256"):
        UnpairedFolders(str(tmp_path / "x"), archive="apple2orange", sha256="0" * 64).prepare_data()
    assert list(tmp_path.iterdir()) == []
    UnpairedFolders(str(tmp_path / "x"), archive="apple2orange", sha256=right.upper()).prepare_data()
    assert (tmp_path / "x" / "trainA").is_dir()


def test_an_unreachable_archive_says_where_to_put_it(server, tmp_path):
    with pytest.raises(InputError, match=rf"vangogh2photo\.zip .*404.* put it at {tmp_path}/vangogh2photo\.zip"):
        UnpairedFolders(str(tmp_path / "x"), archive="vangogh2photo").prepare_data()
    assert list(tmp_path.iterdir()) == []

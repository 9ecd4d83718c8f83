"""fetch against a server on loopback that cuts the connection, and unpack against hostile archives."""

import hashlib
import io
import resource
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from ganzoo.errors import InputError
from ganzoo.utils.download import fetch, unpack

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT. `cuts` is a list of byte counts after which the next replies end; `requests` the ranges asked."""

    ranges = True
    failing = 0
    says_length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.requests: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        if self.path != "/file.bin":
            return self.send_error(404)
        if self.server.failing:
            self.server.failing -= 1
            return self.send_error(503)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return None
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if self.server.says_length:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(CONTENT)
        self.wfile.write(CONTENT[start : start + cut])
        return None

    def log_message(self, format, *args) -> None:
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_whole_file_arrives(server, tmp_path):
    path = fetch(server.url, tmp_path / "new" / "file.bin", SHA256.upper())
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]
    fetch(server.url, path)
    assert server.requests == [None]  # not fetched again


def test_a_cut_connection_is_taken_up_where_it_ended(server, tmp_path):
    server.cuts = [300_000, 100_000]
    path = fetch(server.url, tmp_path / "file.bin", SHA256, wait=0)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-", "bytes=400000-"]


def test_an_earlier_part_is_taken_up(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:123_456])
    assert fetch(server.url, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == ["bytes=123456-"]
    assert not (tmp_path / "file.bin.part").exists()


def test_a_whole_part_needs_no_more(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(server.url, tmp_path / "file.bin", SHA256).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"x")
    assert fetch(server.url, tmp_path / "file.bin", wait=0).read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.ranges, server.cuts = False, [300_000]
    assert fetch(server.url, tmp_path / "file.bin", wait=0).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-"]


def test_a_busy_server_is_asked_again_and_not_for_ever(server, tmp_path):
    server.failing = 2
    assert fetch(server.url, tmp_path / "file.bin", tries=3, wait=0).read_bytes() == CONTENT
    server.failing = 3
    with pytest.raises(InputError, match="503"):
        fetch(server.url, tmp_path / "other.bin", tries=3, wait=0)
    assert len(server.requests) == 6


def test_an_absent_file_is_asked_for_once(server, tmp_path):
    url = server.url.replace("file.bin", "absent.bin")
    with pytest.raises(InputError, match=r"absent\.bin .*404.* put it at .*/x\.bin$"):
        fetch(url, tmp_path / "x.bin", wait=0)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot download http://127\.0\.0\.1:9/x") as caught:
        fetch("http://127.0.0.1:9/x", tmp_path / "x", tries=2, wait=0)
    assert "\n" not in str(caught.value)


def test_a_wrong_checksum_leaves_no_target(server, tmp_path):
    with pytest.raises(InputError, match=SHA256):
        fetch(server.url, tmp_path / "file.bin", "0" * 64)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file.bin").write_bytes(b"something else")
    with pytest.raises(InputError, match="sha256"):
        fetch(server.url, tmp_path / "file.bin", SHA256)


def test_a_full_disk_leaves_nothing(server, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*file\.bin\.part"):
            fetch(server.url, tmp_path / "file.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def tar_of(path, *members, mode="w:gz"):
    """A tar of (name, content) or (name, type, link target)."""
    with tarfile.open(path, mode) as tar:
        for name, *rest in members:
            info = tarfile.TarInfo(name)
            if len(rest) == 2:
                info.type, info.linkname = rest
                tar.addfile(info)
            else:
                info.size = len(rest[0])
                tar.addfile(info, io.BytesIO(rest[0]))
    return path


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in members:
            zipped.writestr(name, content)
    return path


def listing(folder) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_archives_are_unpacked_without_their_top_folder(tmp_path):
    files = (("maps/train/1.jpg", b"one"), ("maps/val/2.jpg", b"two"))
    for archive in (tar_of(tmp_path / "x.tar.gz", *files), zip_of(tmp_path / "x.zip", *files)):
        folder = unpack(archive, tmp_path / "out" / archive.name)
        assert listing(folder) == {"train/1.jpg": b"one", "val/2.jpg": b"two"}
    flat = unpack(tar_of(tmp_path / "flat.tar", ("a", b"1"), ("b/c", b"2"), mode="w"), tmp_path / "out" / "flat")
    assert listing(flat) == {"a": b"1", "b/c": b"2"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["flat", "x.tar.gz", "x.zip"]
    with pytest.raises(InputError, match="already exists"):
        unpack(tmp_path / "x.zip", flat)


@pytest.mark.parametrize(
    "entry",
    [
        ("../outside", b"x"),
        ("a/../../outside", b"x"),
        ("/tmp/outside", b"x"),
        ("a\\..\\..\\outside", b"x"),
        ("C:/outside", b"x"),
        ("link", tarfile.SYMTYPE, "/etc/passwd"),
        ("link", tarfile.SYMTYPE, "../.."),
        ("link", tarfile.LNKTYPE, "../../outside"),
        ("device", tarfile.CHRTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_entries_that_leave_the_folder_are_refused(tmp_path, entry):
    archive = tar_of(tmp_path / "x.tar.gz", ("fine", b"x"), entry)
    with pytest.raises(InputError, match=r"x\.tar\.gz is refused"):
        unpack(archive, tmp_path / "deep" / "out")
    assert listing(tmp_path) == {"x.tar.gz": archive.read_bytes()}
    assert list((tmp_path / "deep").iterdir()) == []
    if len(entry) == 2:
        with pytest.raises(InputError, match=r"x\.zip is refused"):
            unpack(zip_of(tmp_path / "x.zip", entry), tmp_path / "deep" / "out")
        assert list((tmp_path / "deep").iterdir()) == []


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with pytest.raises(InputError, match="is a link"):
        unpack(zip_of(tmp_path / "x.zip", (link, "/etc/passwd")), tmp_path / "out")


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip"])
def test_a_damaged_archive_is_refused_and_leaves_nothing(tmp_path, name):
    make = zip_of if name.endswith("zip") else tar_of
    archive = make(tmp_path / name, ("maps/1", CONTENT))
    archive.write_bytes(archive.read_bytes()[:400_000])
    with pytest.raises(InputError, match=rf"{name} is damaged"):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(b"<html>moved</html>")
    with pytest.raises(InputError, match=rf"{name} is damaged"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_room_to_unpack_leaves_nothing(tmp_path):
    archive = tar_of(tmp_path / "x.tar.gz", ("maps/1", CONTENT))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(InputError, match="cannot unpack"):
            unpack(archive, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_what_the_check_refuses_does_not_take_its_place(tmp_path):
    def refuse(folder):
        assert listing(folder) == {"1": b"x"}
        raise InputError("not this one")

    with pytest.raises(InputError, match="not this one"):
        unpack(tar_of(tmp_path / "x.tar.gz", ("maps/1", b"x")), tmp_path / "out", check=refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]

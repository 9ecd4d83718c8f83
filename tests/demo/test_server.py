"""The demo's server answers its own page, and gives away nothing else; the page works in a real browser."""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from support.command import error
from support.training import trainer
from support.zoo import build, cyclegan, pix2pix

from ganzoo.demo.answers import MOST_BYTES, Model
from ganzoo.demo.server import make_app
from ganzoo.inference import generate

OWN = {"x-ganzoo": "1"}


@pytest.fixture(scope="module")
def page() -> TestClient:
    models = {"digits": Model(build("CGAN").eval()), "maps": Model(pix2pix())}
    return TestClient(make_app(models), base_url="http://127.0.0.1", raise_server_exceptions=False)


def png(size: int = 32) -> bytes:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def walk(page: TestClient, **values: object):
    given = {"model": "digits", "seed_a": 3, "seed_b": 4, "share": 0, "label": 1, **values}
    return page.post("/api/walk", params=given, headers=OWN)


def test_the_page_asks_nobody_but_this_server(page):
    for path in ("/", "/page.css", "/page.js"):
        answer = page.get(path)
        assert answer.status_code == 200
        assert not re.search(r"(https?:)?//[a-z0-9]", answer.text)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert set(page.get("/api/models").json()) == {"digits", "maps"}


def test_an_image_comes_as_it_was_generated(page):
    found = walk(page).json()["images"]
    assert [each["title"] for each in found] == ["seed 3", "between", "seed 4"]
    pixels = np.array(Image.open(BytesIO(base64.b64decode(found[1]["src"].partition(",")[2]))))
    wanted = generate(build("CGAN").eval(), [3], 1)[0]
    assert np.array_equal(pixels, (wanted.permute(1, 2, 0) if len(wanted) == 3 else wanted[0]).numpy())


def test_an_upload_is_translated(page):
    answer = page.post("/api/translate", params={"model": "maps", "name": "a.png"}, content=png(), headers=OWN)
    assert [each["title"] for each in answer.json()["images"]][:2] == ["input", "translation"]


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "/gradio_api/file=/etc/passwd", "/file=/etc/passwd", "/file/etc/passwd", "/..%2f..%2fetc%2fpasswd"),
        *(
            "/%2e%2e/%2e%2e/etc/passwd",
            "//etc/passwd",
            "/page.html",
            "/answers.py",
            "/page.css/../server.py",
            "/api/nothing",
        ),
    ],
)
def test_no_file_of_the_computer_can_be_read(page, path):
    for answer in (page.get(path), page.post(path, headers=OWN)):
        assert answer.status_code in (404, 405)
        assert "root:" not in answer.text


def test_a_model_is_one_of_the_page_and_no_path(page):
    answer = walk(page, model="/etc/passwd")
    assert (answer.status_code, "no model '/etc/passwd'" in answer.json()["error"]) == (400, True)


def test_other_sites_are_refused(page):
    assert page.post("/api/walk", params={"model": "digits"}).status_code == 403
    assert page.get("/", headers={"host": "evil.example"}).status_code == 400
    everybody = TestClient(make_app({}, any_host=True), base_url="http://my.machine")
    assert everybody.get("/").status_code == 200


def test_errors_are_one_line(page, capsys, monkeypatch):
    assert walk(page, seed_a="x").json()["error"].startswith("seed a is a whole number")
    assert walk(page, label=99).json()["error"].startswith("the model has no class 99")
    answer = page.post("/api/translate", params={"model": "maps", "name": "a.png"}, content=b"text", headers=OWN)
    assert (answer.status_code, answer.json()["error"].startswith("a.png is no image")) == (400, True)
    monkeypatch.setattr("ganzoo.demo.answers.walk", lambda *_: 1 / 0)
    answer = walk(page)
    assert (answer.status_code, answer.json()["error"]) == (500, "ZeroDivisionError: division by zero")
    assert "demo: ZeroDivisionError" in capsys.readouterr().err


def test_an_upload_is_limited(page):
    def parts() -> Iterator[bytes]:  # without a content-length
        for _ in range(MOST_BYTES // 2**20 + 2):
            yield bytes(2**20)

    for content in (bytes(MOST_BYTES + 1), parts()):
        answer = page.post("/api/translate", params={"model": "maps", "name": "a.png"}, content=content, headers=OWN)
        assert (answer.status_code, "more than 20 MB" in answer.json()["error"]) == (400, True)


# -- the command ----------------------------------------------------------------------------------------------------------


def save(folder: Path, **models) -> None:
    for name, model in models.items():
        played = trainer(folder)
        played.strategy.connect(model)
        model.trainer = played
        played.save_checkpoint(folder / f"{name}.ckpt")


def start(folder: Path, *args: str) -> tuple[subprocess.Popen, str, list[str]]:
    """Starts the command. Returns the process, the page's address, and the lines before it."""
    command = [sys.executable, "-m", "ganzoo", "demo", *args, "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"http://\S+", line):
            return process, found[0], lines
    raise AssertionError(f"it ended with {process.wait()}: {''.join(lines)}")


def test_ctrl_c_ends_it_without_a_traceback(tmp_path):
    import urllib.request

    save(tmp_path, gan=build("GAN"))
    process, address, lines = start(tmp_path, "gan.ckpt")
    with process:
        assert address.startswith("http://127.0.0.1:")
        assert not any("warning" in line for line in lines)
        assert b"ganzoo demo" in urllib.request.urlopen(address, timeout=20).read()
        process.send_signal(signal.SIGINT)
        assert (process.wait(20), process.stderr.read()) == (130, "")


def test_what_cannot_be_served_is_one_line(tmp_path, capsys, monkeypatch):
    import socket

    from ganzoo.cli import demo, main

    monkeypatch.chdir(tmp_path)
    save(tmp_path, gan=build("GAN"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use; give another --port" in error(capsys, "demo", "gan.ckpt", "--port", str(taken.getsockname()[1]))
    assert "ports go up to 65535" in error(capsys, "demo", "gan.ckpt", "--port", "70000")
    assert "nothing.ckpt" in error(capsys, "demo", "nothing.ckpt", "--port", "0")
    monkeypatch.setattr("ganzoo.hub.sources.weights_names", list)
    assert "give a checkpoint" in error(capsys, "demo")
    served = []
    monkeypatch.setattr("ganzoo.demo.server.serve", lambda app, opened: served.append(opened))
    assert main(["demo", "gan.ckpt", "--host", "0.0.0.0", "--port", "0"]) == 0
    assert "warning: with --host 0.0.0.0 everybody" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert demo.INSTALL in error(capsys, "demo", "gan.ckpt", "--port", "0")


# -- in a browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(tmp_path):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("the page is tested in a browser: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-quic", "no-first-run", "disable-sync"),
        *("disable-background-networking", "disable-component-update", f"user-data-dir={tmp_path / 'profile'}"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver, env={**os.environ, "HOME": str(tmp_path)})
    opened = webdriver.Chrome(options, service)
    yield opened
    opened.quit()


@pytest.mark.slow
def test_in_a_browser_the_picture_changes(browser, tmp_path):
    """Screenshots go to the folder $GANZOO_SCREENSHOTS, where it is set."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    save(tmp_path, digits=build("CGAN"), cascade=build("LAPGAN"), cycle=cyclegan(), domains=build("DANN"))
    (tmp_path / "photo.png").write_bytes(png())
    (tmp_path / "text.png").write_text("no image")
    given = os.environ.get("GANZOO_DEMO_MODELS", "digits.ckpt cascade.ckpt cycle.ckpt domains.ckpt").split()
    process, address, _ = start(tmp_path, *given)
    wait = WebDriverWait(browser, 30)

    def one(css: str):
        return browser.find_element(By.CSS_SELECTOR, css)

    def sources() -> list[str]:
        script = "return [...document.querySelectorAll('#images img')].map((image) => image.src)"
        return browser.execute_script(script)

    def changed(before: list[str]) -> list[str]:
        wait.until(lambda _: sources() != before and sources() and not one("body").get_attribute("class").count("busy"))
        return sources()

    def change(css: str, value: str) -> None:
        script = "const e = arguments[0]; e.value = arguments[1]; e.dispatchEvent(new Event('input'))"
        browser.execute_script(script, one(css), value)

    def shoot(name: str) -> None:
        if folder := os.environ.get("GANZOO_SCREENSHOTS"):
            for width in (1280, 390):
                device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
                Path(folder, f"{name}_{width}.png").write_bytes(browser.get_screenshot_as_png())
                wide = browser.execute_script("return document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} pixels wide on a screen of {width}"

    try:
        browser.get(address)
        first = changed([])
        change("#share", "0")
        at_a = changed(first)
        assert at_a[0] == at_a[1] != at_a[2]
        change("#share", "1")
        at_b = changed(at_a)
        assert at_b[1] == at_b[2]
        assert at_b[0] == at_a[0]
        if one("#class_box").is_displayed():
            Select(one("#label")).select_by_index(2)
            at_b = changed(at_b)
        change("#seed_b", "77")
        at_b = changed(at_b)
        change("#share", "0.5")
        changed(at_b)
        one("#draw_sheet").click()
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#sheet img"))
        shoot("sample")
        change("#seed_a", "-1")
        wait.until(lambda _: "seed a is a whole number" in one("#error").text)
        change("#seed_a", "3")
        wait.until(lambda _: not one("#error").is_displayed())

        Select(one("#model")).select_by_value(given[1])
        wait.until(lambda _: len(sources()) > 4)  # two seeds, the image between, and levels
        shoot("cascade")

        Select(one("#model")).select_by_value(given[2])
        assert not one("#sample").is_displayed()
        photo = os.environ.get("GANZOO_DEMO_PHOTO", str(tmp_path / "photo.png"))
        one("#file").send_keys(photo)
        wait.until(lambda _: len(sources()) == 4)
        there = sources()
        shoot("translate")
        Select(one("#direction")).select_by_value("BtoA")
        assert changed(there)[1] != there[1]
        one("#file").send_keys(str(tmp_path / "text.png"))
        wait.until(lambda _: "text.png is no image" in one("#error").text)

        Select(one("#model")).select_by_value(given[3])
        one("#file").send_keys(photo)
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".bar"))
        assert "with probability" in one("#line").text
        shoot("classify")

        asked = browser.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
        assert asked
        assert all(url.startswith((address, "data:")) for url in asked)
        severe = [
            entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE" and "400" not in entry["message"]
        ]
        assert not severe
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130

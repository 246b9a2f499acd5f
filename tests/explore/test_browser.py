"""The page in a browser, served by the command, until Ctrl-C."""

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
SIZE = {"width": 1440, "height": 900}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]  # /dev/shm is small in containers


def heed_ctrl_c() -> None:
    """Take SIGINT as a terminal's process does; one started in the background of a script ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def address(image_run: Any) -> Iterator[str]:
    """Address of the page; the command ends cleanly at Ctrl-C."""
    command = [sys.executable, "-u", "-m", "sepvae", "explore", str(image_run.path), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ, preexec_fn=heed_ctrl_c
    ) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("open "))
        yield line.split()[1]
        process.send_signal(signal.SIGINT)
        try:
            said, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert said.splitlines()[-1] == "stopped"
    assert "error" not in said
    assert process.returncode == 0


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """The open page; nothing is asked of another machine, and nothing is complained of."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    asked, trouble = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=60_000)
        page = browser.new_context(viewport=SIZE, accept_downloads=True).new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(address)
        page.locator("#sheet dl").first.wait_for()
        page.locator("#salient .point").first.wait_for()
        page.locator("#moved img").first.wait_for()
        yield page
        browser.close()
    home = address.split("?", maxsplit=1)[0]
    assert [url for url in asked if not url.startswith((home, "data:", "blob:"))] == []
    assert trouble == []


def point(page: Any, space: str, number: int) -> tuple[float, float]:
    """Middle of a dot."""
    box = page.locator(f"#{space} .point").nth(number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def person(page: Any, name: str = "person") -> str:
    return str(page.locator(f"#{name}-value").inner_text()).split()[0]


def alone(page: Any, space: str) -> int:
    """Number of a dot that no other one hides."""
    places = np.array([point(page, space, i) for i in range(page.locator(f"#{space} .point").count())])
    apart = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(len(places))
    return int(apart.min(axis=1).argmax())


def becomes(page: Any, condition: Callable[[], bool]) -> None:
    """Ask again from here: the page's own rules forbid Playwright to ask within it."""
    for _ in range(400):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("the page never came to it")


def faint(page: Any) -> int:
    """Number of people in the common space that are not selected."""
    dots = "[...document.querySelectorAll('#common .point')]"
    return int(page.evaluate(f"{dots}.filter(dot => getComputedStyle(dot).opacity < 0.5).length"))


def test_a_visit(page: Any, image_run: Any, tmp_path: Path) -> None:
    codes = pd.read_csv(image_run.path / "codes.csv").set_index("id")
    first, pictures = person(page), page.locator("#pictures img")
    assert pictures.count() == 4

    before = pictures.nth(1).get_attribute("src")
    page.mouse.click(*point(page, "salient", alone(page, "salient")))
    becomes(page, lambda: pictures.nth(1).get_attribute("src") != before)
    clicked = person(page)
    assert clicked != first
    sheet = page.locator("#sheet")
    sheet.get_by_text(f"{codes['age'][clicked]:.4g}").wait_for()
    assert page.locator("#common .shapelayer path").count() == 1
    page.screenshot(path=tmp_path / "person.png")

    page.get_by_label("a click chooses the other person").check()
    page.mouse.click(*point(page, "common", alone(page, "common")))
    page.locator("#swap img").nth(3).wait_for()
    assert person(page) == clicked
    assert person(page, "donor") != clicked

    moved, thumb = page.locator("#moved img").first, page.locator("#sliders [role=slider]").first
    still = moved.get_attribute("src")
    ends = [float(thumb.get_attribute(f"aria-value{end}")) for end in ("min", "now", "max")]
    thumb.focus()
    page.keyboard.press("Home" if ends[1] > np.mean(ends[::2]) else "End")
    becomes(page, lambda: moved.get_attribute("src") != still)
    page.get_by_role("button", name="Back to own").click()
    becomes(page, lambda: moved.get_attribute("src") == still)

    page.locator("#colour").scroll_into_view_if_needed()
    plot = page.locator("#salient .nsewdrag").first.bounding_box()
    left, top, bottom = plot["x"] + 2, plot["y"] + 2, plot["y"] + plot["height"] - 2
    right = plot["x"] + plot["width"] / 2
    page.mouse.move(left, top)
    page.mouse.down()
    for place in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.locator("#save-selection:enabled").wait_for()
    inside = [i for i in range(60) if point(page, "salient", i)[0] < right]
    assert page.locator("#selected").inner_text().startswith(f"{len(inside)} samples selected")
    becomes(page, lambda: faint(page) == 60 - len(inside))
    saved = download(page, "Save selection (CSV)")
    selected = pd.read_csv(io.BytesIO(saved))
    assert len(selected) == len(inside)
    assert {"id", "label", "age", "common0", "salient0"} <= set(selected)
    page.screenshot(path=tmp_path / "selected.png", full_page=True)

    strip = Image.open(io.BytesIO(download(page, "Save pictures (PNG)")))
    assert strip.width > 10 * 200
    choose(page, "colour", "age")
    page.locator("#legend .colorbar").wait_for()
    assert page.locator("#save-selection").is_enabled()
    page.get_by_role("button", name="Clear").click()
    becomes(page, lambda: faint(page) == 0)

    with page.expect_download() as view:
        page.locator("#salient .modebar-btn[data-title^=Download]").click()
    assert Path(view.value.path()).read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in download(page, "Save view (SVG)")
    page.screenshot(path=tmp_path / "coloured.png", full_page=True)


def download(page: Any, button: str) -> bytes:
    with page.expect_download() as file:
        page.get_by_role("button", name=button).click()
    return Path(file.value.path()).read_bytes()


def choose(page: Any, name: str, option: str) -> None:
    page.locator(f"button#{name}").click()
    page.locator(".dash-dropdown-option, [role=option]").get_by_text(option, exact=True).first.click()


def test_another_browser_without_the_token_is_refused(page: Any) -> None:
    stranger = page.context.browser.new_context().new_page()
    answer = stranger.goto(page.url)
    assert answer.status == 403
    assert "token" not in page.url

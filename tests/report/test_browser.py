"""The page in a browser: what no other test can see."""

import shutil
from pathlib import Path

import pytest
import yaml

from sepvae.report import write_report
from sepvae.report.page import write_comparison

DRAWN = "!document.getElementById('plotly') || document.documentElement.matches('.interactive')"
HAS_BLUE = """c => {
    if (!c.width) return false
    const {data} = c.getContext("2d").getImageData(0, 0, c.width, c.height)
    return data.some((value, i) => i % 4 === 2 && value > data[i - 2] + 100)  // the peak is negative
}"""
NO_WIDTH_YET = """
    const setWidth = width => { if (document.documentElement) document.documentElement.style.width = width }
    setWidth("0")
    addEventListener("load", () => setTimeout(setWidth, 100, ""))
    setTimeout(setWidth, 5000, "")  // where the page had loaded before this ran"""
STATE = """b => [b.clientWidth, b.querySelector("canvas").width]
    .concat(Array.from(b.querySelectorAll("img"), i => [i.complete, i.naturalWidth]))"""
HINT = "willReadFrequently"  # what Chromium says of the speed of nilearn's canvas

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ],  # /dev/shm is small in containers
            timeout=60_000,
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a file; at the end, see that nothing was complained of and nothing else was asked for."""
    contexts, trouble, requests = [], [], []

    def open_page(path: Path, width: int = 1280, first: str = "", **how):
        context = browser.new_context(viewport={"width": width, "height": 900}, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.add_init_script(first)
        page.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        if how.get("java_script_enabled", True):
            wait_for(page, DRAWN)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [line for line in trouble if HINT not in line] == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == len(contexts)


def wait_for(page, condition):
    """Ask again from here: the page's own rules forbid Playwright to ask within it."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"the page never came to {condition}")


def point_of(page, space, number):
    """The middle of a sample's dot."""
    page.locator("#scatter").scroll_into_view_if_needed()
    box = page.locator(f"#scatter-{space} .point").nth(number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def data_of(page):
    return page.evaluate("JSON.parse(document.getElementById('scatter-data').textContent)")


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("images", [True, False])
def test_scores_fit_a_phone_without_scrolling_and_so_does_all_that_can_be_unfolded(run, visit, images):
    page = visit(write_report(run, images=images), 400)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert fits(page)
    cut = "e => e.scrollWidth > e.clientWidth"
    tables = page.locator(".scroll:has(> .scores)")
    assert tables.count() == 4
    assert [tables.nth(i).evaluate(cut) for i in range(4)] == [False] * 4


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_by_day_and_by_night(run, visit, width):
    page = visit(write_report(run), width, color_scheme="light")
    grid = "getComputedStyle(document.querySelector('#scatter-common .xgrid')).stroke"
    by_day = page.evaluate(grid)
    for scheme, background in (("light", "rgb(246, 247, 249)"), ("dark", "rgb(18, 22, 28)")):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background
        assert fits(page)
        assert page.locator("#scatter-common .point").count() == 40
        assert page.locator("#scatter-salient .point").count() == 40
        assert not page.locator("#static-codes img").first.is_visible()
    wait_for(page, f"{grid} !== '{by_day}'")  # the plots follow


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1200, 900)])
def test_verdict_pictures_and_numbers_fit_one_screen_with_the_scatters_below(run, visit, width, height):
    page = visit(write_report(run), width)
    page.set_viewport_size({"width": width, "height": height})
    ends = "name => document.getElementById(name).getBoundingClientRect()"
    summary, picture, codes = (page.evaluate(ends, name) for name in ("summary", "picture", "codes"))
    assert summary["bottom"] < codes["top"] < height
    assert picture["left"] > width / 2  # beside the answers
    assert page.locator("#picture img").count() == 12


def test_links_open_what_is_folded_and_so_do_keys(run, visit):
    page = visit(write_report(run))
    removal = page.locator("#removal")
    assert not removal.is_visible()
    page.get_by_role("link", name="Removal and swap").click()
    removal.wait_for()
    page.get_by_role("link", name="How to read this page").click()
    assert page.locator("#reading img").evaluate("image => image.naturalWidth") > 1000
    heading = page.locator("summary", has_text="Scores").first.bounding_box()
    assert heading["y"] > 0
    answer = page.locator("ul.verdict details").first
    answer.locator("summary").focus()
    page.keyboard.press("Enter")
    assert answer.locator("p").is_visible()


def test_what_is_folded_is_printed(run, visit):
    page = visit(write_report(run))
    page.emulate_media(media="print")
    assert page.locator("#removal table").is_visible()
    assert page.locator("ul.verdict p").first.is_visible()


def test_without_images_nobody_is_on_the_first_screen(run, visit):
    page = visit(write_report(run, images=False))
    assert page.locator("#picture .strip").count() == 0
    assert page.locator("#picture img").count() == 1  # the map of groups
    assert "test-" not in page.locator("#summary").inner_text()


def test_hovering_shows_the_sample(run, visit):
    page = visit(write_report(run))
    data = data_of(page)
    x = data["spaces"]["salient"]["places"]["PCA"]["x"]
    cells = data["thumbnails"]["cells"]
    sample = max((i for i in range(40) if cells[i] >= 0), key=lambda i: abs(x[i]))  # one that stands apart
    page.mouse.move(*point_of(page, "salient", sample))
    card = page.locator("#scatter-card")
    card.wait_for()
    assert card.locator("strong").inner_text() == data["ids"][sample]
    label, age = data["columns"][:2]
    names = card.locator("dt").all_inner_texts()
    values = dict(zip(names, card.locator("dd").all_inner_texts(), strict=True))
    assert values["label"] == label["names"][label["values"][sample]]
    assert float(values["age"]) == age["values"][sample]
    thumbnail = card.locator(".thumbnail").bounding_box()
    assert thumbnail["width"] / thumbnail["height"] == pytest.approx(10 / 12)
    assert "data:image/jpeg" in card.locator(".thumbnail").evaluate("e => e.style.backgroundImage")
    assert page.locator(".shapelayer path").count() == 2  # a ring in either space
    page.mouse.move(5, 5)
    card.wait_for(state="hidden")


def test_the_card_lies_beside_the_dot_and_within_the_page(run, visit):
    page = visit(write_report(run))
    for number in range(0, 40, 8):
        x, y = point_of(page, "salient", number)
        page.mouse.move(x, y)
        page.locator("#scatter-card").wait_for()
        card = page.locator("#scatter-card").bounding_box()
        assert card["x"] >= x or card["x"] + card["width"] <= x
        assert card["x"] >= 0
        assert card["x"] + card["width"] <= 1280
        page.mouse.move(5, 5)
        page.locator("#scatter-card").wait_for(state="hidden")


def test_tapping_shows_the_sample_on_a_phone(run, visit):
    page = visit(write_report(run), 400, has_touch=True, is_mobile=True)
    page.touchscreen.tap(*point_of(page, "common", 3))
    card = page.locator("#scatter-card")
    card.wait_for()
    assert card.locator("strong").inner_text() in data_of(page)["ids"]
    assert fits(page)
    page.touchscreen.tap(200, 5)
    card.wait_for(state="hidden")


def test_arrow_keys_walk_from_sample_to_sample(run, visit):
    page = visit(write_report(run))
    data = data_of(page)
    x = data["spaces"]["common"]["places"]["PCA"]["x"]
    order = sorted(range(len(x)), key=x.__getitem__)
    page.locator("#scatter-common").focus()
    for sample in order[:3]:
        page.keyboard.press("ArrowRight")
        assert page.locator("#scatter-card strong").inner_text() == data["ids"][sample]
    page.keyboard.press("Escape")
    page.locator("#scatter-card").wait_for(state="hidden")


def test_changing_the_colour_changes_dots_and_legend(run, visit):
    page = visit(write_report(run))
    fills = "[...document.querySelectorAll('#scatter-common .point')].map(p => p.style.fill)"
    by_label = page.evaluate(fills)
    assert len(set(by_label)) == 2
    assert page.locator("#scatter-legend").inner_text().split() == ["well", "20", "ill", "20"]
    page.select_option("#scatter-color", label="age")
    assert len(set(page.evaluate(fills))) > 20
    assert page.locator("#scatter-legend .colorbar").count() == 1
    page.select_option("#scatter-color", label="subtype")
    assert page.locator("#scatter-legend").inner_text().split()[-3:] == ["no", "value", "30"]
    assert len(set(page.evaluate(fills))) == 3


def test_on_paper_and_without_scripts_the_still_figures_are_seen(run, visit):
    page = visit(write_report(run))
    page.emulate_media(media="print")
    assert page.locator("#static-codes img").first.is_visible()
    assert not page.locator("#scatter").is_visible()
    plain = visit(run / "report.html", java_script_enabled=False)
    assert plain.locator("#static-codes img").first.is_visible()
    assert not plain.locator("#scatter").is_visible()


@pytest.mark.usefixtures("umap")
def test_ways_of_placing_can_be_chosen(run, visit):
    page = visit(write_report(run))
    page.get_by_label("UMAP").check()
    wait_for(page, "document.querySelector('#scatter-common .xtitle').textContent === 'UMAP 1'")
    assert page.locator("#scatter-common .point").count() == 40


def test_names_that_are_markup_stay_text(run, visit):
    evil = "<img src=x onerror=alert(1)><b>a</b>"
    codes = (run / "codes.csv").read_text().replace("test-", f"{evil}-").replace(",age,", f",{evil},")
    (run / "codes.csv").write_text(codes)
    page = visit(write_report(run))
    page.mouse.move(*point_of(page, "salient", 0))
    card = page.locator("#scatter-card")
    card.wait_for()
    assert card.locator("strong").inner_text().startswith(evil)
    assert page.locator("#scatter b, #scatter img").count() == 0
    assert page.locator("#scatter-color option").nth(1).inner_text() == evil


@pytest.mark.parametrize("width", [1280, 400])
def test_names_without_an_end_fit(run, visit, width):
    long = "x" * 5000
    for name in ("codes.csv", "scores.csv"):
        text = (run / name).read_text().replace("test-", f"{long}-").replace("subtype", long)
        (run / name).write_text(text)
    (run / "recipe.yaml").write_text(yaml.safe_dump({"attributes": {long: "categorical"}}))
    page = visit(write_report(run), width)
    assert fits(page)
    page.select_option("#scatter-color", label=long)
    page.locator("#scatter-common").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#scatter-card strong").inner_text().startswith(long)
    assert fits(page)


def test_a_comparison_fits(run, visit):
    page = visit(write_comparison([run, run, run], run / "comparison.html"))
    assert fits(page)
    page.set_viewport_size({"width": 400, "height": 900})
    assert fits(page)
    assert page.locator(".compared tbody").count() == 4


@pytest.mark.parametrize(("width", "first"), [(1280, ""), (400, ""), (1280, NO_WIDTH_YET)])
def test_the_viewer_of_maps_draws_and_follows_the_mouse(mapped_run, visit, width, first):
    page = visit(write_report(mapped_run), width, first)
    page.get_by_role("link", name="What is added").click()
    page.locator("iframe.viewer").scroll_into_view_if_needed()
    inner = page.frame_locator("iframe.viewer")
    canvas = inner.locator("canvas")
    inner.get_by_text("Opacity").wait_for()
    assert comes_true(page, lambda: canvas.evaluate(HAS_BLUE)), inner.locator("body").evaluate(STATE)
    before = canvas.screenshot()

    def another_point():  # found anew each time: the page may still be finding its place
        box = canvas.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 9, box["y"] + box["height"] / 3)
        return canvas.screenshot() != before

    assert comes_true(page, another_point)
    frame, slider = page.locator("iframe.viewer").bounding_box(), inner.locator("input").bounding_box()
    assert slider["y"] + slider["height"] <= frame["y"] + frame["height"]
    assert fits(page)


def comes_true(page, condition, seconds=30):
    """A busy machine draws when it comes to it."""
    for _ in range(10 * seconds):
        if condition():
            return True
        page.wait_for_timeout(100)
    return False


def test_the_viewer_sees_nothing_of_the_page(mapped_run, visit):
    page = visit(write_report(mapped_run))
    assert page.locator("iframe.viewer").evaluate("f => f.contentDocument") is None

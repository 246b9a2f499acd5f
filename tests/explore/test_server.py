"""Who is answered, what the page may load, and what callbacks return."""

import socket
from typing import Any

import pytest

from sepvae.errors import DataError, RunFolderError
from sepvae.explore.pictures import Painter
from sepvae.explore.server import make_app, serve

from ..helpers import invoke

HOME = "http://127.0.0.1:8050"


@pytest.fixture(scope="module")
def app(image_run: Any) -> Any:
    return make_app(image_run.explored(), "secret", print)


@pytest.fixture
def client(app: Any) -> Any:
    return app.server.test_client()


@pytest.fixture
def known(client: Any) -> Any:
    """A browser that has opened the address with the token."""
    client.get("/?token=secret", base_url=HOME)
    return client


def test_the_token_is_taken_into_a_cookie_that_no_script_or_other_page_has(client: Any) -> None:
    answer = client.get("/?token=secret", base_url=HOME)
    assert (answer.status_code, answer.location) == (302, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    page = client.get("/", base_url=HOME)
    assert page.status_code == 200
    assert b"secret" not in page.data


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("/", {}),
        ("/?token=", {}),
        ("/?token=wrong", {}),
        ("/_dash-layout", {}),
        ("/_dash-component-suites/plotly/package_data/plotly.min.js", {}),
        ("/?token=secret", {"base_url": "http://rebound.example:8050"}),
        ("/?token=secret", {"headers": {"Origin": "http://elsewhere.example"}}),
        ("/?token=secret", {"headers": {"Origin": "http://127.0.0.1:9999"}}),
    ],
)
def test_others_are_refused(client: Any, path: str, how: Any) -> None:
    assert client.get(path, **{"base_url": HOME} | how).status_code == 403


def test_the_cookie_does_not_help_under_another_name_or_from_another_page(known: Any) -> None:
    assert known.get("/_dash-layout", base_url=HOME).status_code == 200
    headers = {"Host": "rebound.example:8050"}
    assert known.get("/_dash-layout", base_url=HOME, headers=headers).status_code == 403
    headers = {"Origin": "http://127.0.0.1:9999"}
    assert known.post("/_dash-update-component", base_url=HOME, headers=headers, json={}).status_code == 403


def test_the_page_is_complete_and_loads_nothing_from_elsewhere(known: Any) -> None:
    page = known.get("/", base_url=HOME)
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    text = page.get_data(as_text=True)
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_a_title_that_is_markup_stays_text(image_run: Any) -> None:
    explored = image_run.explored()
    explored.title = '</title><meta http-equiv="refresh" content="0;url=http://example.org">'
    client = make_app(explored, "secret", print).server.test_client()
    client.get("/?token=secret", base_url=HOME)
    page = client.get("/", base_url=HOME).get_data(as_text=True)
    assert "&lt;/title&gt;" in page
    assert 'http-equiv="refresh"' not in page


def call(known: Any, part: str, inputs: Any, state: Any, changed: str = "") -> Any:
    """Call the callback whose output holds `part`, as the page does."""
    callbacks = known.get("/_dash-dependencies", base_url=HOME).json
    output = next(one["output"] for one in callbacks if part in one["output"])
    names = [one.split("@")[0].rsplit(".", 1) for one in output.strip(".").split("...")]
    outputs = [{"id": id_, "property": of} for id_, of in names]
    asked = {
        "output": output,
        "outputs": outputs if ".." in output else outputs[0],
        "changedPropIds": [changed],
    }
    kept = [{"id": id_, "property": of, "value": value} for id_, of, value in state]
    answer = known.post(
        "/_dash-update-component", base_url=HOME, json=asked | {"inputs": inputs, "state": kept}
    )
    assert answer.status_code == 200, answer.data
    return answer.json["response"]


def test_a_slider_moves_the_person(known: Any, image_run: Any) -> None:
    run = image_run.explored()
    axes, row = run.axes("dimensions"), run.first()
    own = axes.positions(run.salient[row])

    def pictures(positions: Any) -> list[str]:
        at = [{"type": "axis", "index": i} for i in range(len(positions))]
        sliders = [{"id": i, "property": "value", "value": x} for i, x in zip(at, positions, strict=True)]
        state = [("person", "value", row), ("basis", "value", "dimensions")]
        shown = call(known, "moved.children", [sliders, []], state)["moved"]["children"]
        return [one["props"]["children"][1]["props"]["src"] for one in shown]

    assert pictures(own)[0] == painted(run, row, run.person(row).full)
    assert pictures(0 * own)[0] == painted(run, row, run.person(row).common_only)
    assert pictures(own + 9)[0] != pictures(own)[0]


def painted(run: Any, row: int, image: Any) -> str:
    """The picture of an image, as the page has it."""
    return Painter(run.person(row).full, None, ()).grey("", image).uri


@pytest.mark.parametrize("chooses", ["person", "donor"])
def test_a_click_chooses_a_person_or_the_other_one(known: Any, chooses: str) -> None:
    clicks = {"common": None, "salient": {"points": [{"customdata": 61}]}}
    inputs = [{"id": id_, "property": "clickData", "value": value} for id_, value in clicks.items()]
    found = call(known, "person.value", inputs, [("click", "value", chooses)], "salient.clickData")
    assert {name: one["value"] for name, one in found.items()} == {chooses: 61}


def test_a_port_that_is_taken_is_named(image_run: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RunFolderError, match=f"--port {port}|port={port}"):
            serve(image_run.path, None, port=port, open_browser=False, say=print)


def test_the_command_says_what_is_missing_and_what_it_guesses(
    image_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("sepvae.explore.server.serve", lambda *given, **how: asked.update(how, given=given))
    printed = invoke("explore", image_run.path, "--port", 8123, "--no-browser")
    assert "without DATA" in printed
    assert asked["given"] == (image_run.path, None)
    assert (asked["port"], asked["open_browser"]) == (8123, False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"pip install 'sepvae\[explore\]'"):
        invoke("explore", image_run.path)

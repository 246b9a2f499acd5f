"""The server of the page: this machine only, behind a token, and nothing from elsewhere."""

import logging
import secrets
import socket
import webbrowser
from html import escape
from pathlib import Path
from typing import Any

import flask
from dash import Dash
from werkzeug.serving import make_server

from sepvae.errors import RunFolderError, reason_of
from sepvae.explore.callbacks import register
from sepvae.explore.layout import index_page
from sepvae.explore.run import ExploredRun
from sepvae.progress import Say
from sepvae.runs.new_data import Samples

HOST = "127.0.0.1"
FORBIDDEN = (
    "sepvae explore: open the address that it printed; it has a token, and works on this machine only.\n"
)
HEADERS = {
    "Cache-Control": "no-store",  # people's images stay out of the browser's cache
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve(run: Path, samples: Samples | None, *, port: int, open_browser: bool, say: Say) -> None:
    """Serve the page on a run until Ctrl-C; port 0 is a free one, `samples` are those of the fit."""
    explored = ExploredRun(run, samples)
    token = secrets.token_urlsafe(24)
    app = make_app(explored, token, say)
    with _listen(port) as listening:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else each request, with the token
        at = listening.getsockname()[1]
        server = make_server(HOST, at, app.server, threaded=True, fd=listening.fileno())
        address = f"http://{HOST}:{at}/?token={token}"
        say(f"open {address}")
        say("Ctrl-C stops it; the page is for this machine only, and the token is new each time")
        if open_browser:
            webbrowser.open(address)
        server.serve_forever()  # until Ctrl-C, which it takes
    say("stopped")


def make_app(run: ExploredRun, token: str, say: Say = print) -> Dash:
    """Return the page as an app of Dash, whose `server` answers only requests with the token."""
    app = Dash(
        "sepvae.explore",
        title=f"{escape(run.title)}, sepvae",  # of recipe.yaml, which may come from others
        index_string=index_page(),
        serve_locally=True,
        include_assets_files=False,  # else those of a folder `assets` that happens to be there
        update_title="",
        enable_mcp=False,
        on_error=lambda error: say(f"error: {reason_of(error)}"),
    )
    register(app, run)
    scripts = " ".join(app.csp_hashes())
    policy = (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    app.server.before_request_funcs.setdefault(None, []).insert(0, lambda: _guard(token))
    app.server.after_request(lambda answer: _with_headers(answer, policy))
    return app


def _guard(token: str) -> Any:
    """
    Refuse requests for another host, from another page, or without the token; take the token into a cookie.

    A page elsewhere whose name was made to lead to 127.0.0.1 (DNS rebinding) names itself as the host.
    """
    request = flask.request
    port = request.environ["SERVER_PORT"]
    hosts, cookie = (f"{HOST}:{port}", f"localhost:{port}"), f"sepvae-explore-{port}"  # ports share cookies
    origin = request.headers.get("Origin")
    if request.host not in hosts or origin not in (None, *(f"http://{host}" for host in hosts)):
        return flask.Response(FORBIDDEN, 403, mimetype="text/plain")
    if secrets.compare_digest(request.args.get("token", "").encode(), token.encode()):
        answer = flask.redirect("/")
        answer.set_cookie(cookie, token, httponly=True, samesite="Strict")
        return answer
    if not secrets.compare_digest(request.cookies.get(cookie, "").encode(), token.encode()):
        return flask.Response(FORBIDDEN, 403, mimetype="text/plain")
    return None


def _with_headers(answer: flask.Response, policy: str) -> flask.Response:
    """Let the browser load nothing from elsewhere."""
    answer.headers.update(HEADERS | {"Content-Security-Policy": policy})
    return answer


def _listen(port: int) -> socket.socket:
    """Return a socket on a port of this machine; raise if it is taken."""
    listening = socket.socket()
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise RunFolderError(
            f"--port {port}: {error.strerror or error}; choose another, or leave it out"
        ) from None
    return listening

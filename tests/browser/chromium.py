"""A headless Chromium for tests, controlled with its debugging protocol and without a driver.

Contract: the browser is installed (``PLUMBLINE_CHROMIUM``, or chromium or google-chrome on the path). Console messages,
uncaught errors and requested addresses are recorded.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM_VARIABLE = "PLUMBLINE_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}
PATIENCE_S = 60.0


def find_chromium() -> str | None:
    """The path of the browser; None if no browser is installed."""
    return os.environ.get(CHROMIUM_VARIABLE) or next((path for name in _NAMES if (path := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(
    find_chromium() is None,
    reason=f"no Chromium here: apt-get install chromium, or name one in {CHROMIUM_VARIABLE}",
)


class FrameReloaded(Exception):
    """The document of the frame was replaced between two calls of the protocol."""


class Page:
    """One tab."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._last = connection, 0
        self.console: list[str] = []
        self.requested: list[str] = []
        self.loaded = False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol. Return its result."""
        self._last += 1
        self._connection.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = self._receive(PATIENCE_S)
            if message.get("id") == self._last:
                if "Cannot find context" in message.get("error", {}).get("message", ""):
                    raise FrameReloaded
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    def _receive(self, patience_s: float) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=patience_s))
        method, given = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            self.requested.append(given["request"]["url"][:200])
        elif method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.console.append("uncaught: " + details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.console.append(f"{given['type']}: {[a.get('value', a.get('description')) for a in given['args']]}")
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.console.append(f"{given['entry']['level']}: {given['entry']['text']}")
        return message

    def open(self, address: str) -> float:
        """Open an address and wait until it has loaded. Return the time in seconds."""
        self.loaded, started = False, time.perf_counter()
        self.send("Page.navigate", url=address)
        while not self.loaded:
            self._receive(PATIENCE_S)
        return time.perf_counter() - started

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression (plain values only)."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def evaluate_in_frame(self, expression: str) -> Any:
        """The value of an expression inside the page's only frame; None while there is no frame or it reloads."""
        children = self.send("Page.getFrameTree")["frameTree"].get("childFrames", [])
        if not children:
            return None
        world = self.send("Page.createIsolatedWorld", frameId=children[0]["frame"]["id"])["executionContextId"]
        try:
            result = self.send("Runtime.evaluate", expression=expression, contextId=world, returnByValue=True)
        except FrameReloaded:
            return None
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, expression: str, *, in_frame: bool = False, patience_s: float = PATIENCE_S) -> Any:
        """Wait until an expression is true in the page, or in its frame with ``in_frame``. Return its value."""
        until, evaluate = time.monotonic() + patience_s, self.evaluate_in_frame if in_frame else self.evaluate
        while not (value := evaluate(expression)):
            assert time.monotonic() < until, (
                f"never true: {expression}\n{self.evaluate('document.body.innerText')[:2000]}"
            )
            time.sleep(0.2)
        return value

    def press(self, key: str) -> None:
        """Press and release one key."""
        code = _KEYS.get(key, ord(key.upper()[0]))
        text = {"text": key} if key not in _KEYS else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Type a text into the element with the focus, over what is selected there."""
        self.send("Input.insertText", text=text)

    def press_button(self, title: str) -> None:
        """Wait until the button with this title can be pressed, and press it."""
        self.evaluate(f"{self.wait_for_button(title)}.click()")

    def wait_for_button(self, title: str) -> str:
        """Wait until the button with this title can be pressed. Return the expression that finds it."""
        button = f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() == {json.dumps(title)})"
        self.wait_for(f"(b => b && !b.disabled)({button})")
        return button

    def click(self, selector: str) -> None:
        """Click on the middle of an element with the mouse."""
        place = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def count(self, selector: str) -> Any:
        """The number of elements."""
        return self.evaluate(f"document.querySelectorAll({selector!r}).length")

    def choose(self, element: str, value: str) -> None:
        """Choose an option of the select element with this id."""
        self.evaluate(
            f"(() => {{ const s = document.getElementById({element!r}); s.value = {value!r};"
            " s.dispatchEvent(new Event('change')); })()"
        )

    def show(self, element: str) -> None:
        """Scroll to the element with this id."""
        self.evaluate(f"document.getElementById({element!r}).scrollIntoView()")

    def image(self, path: Path, *, colours: int = 96) -> None:
        """Write a PNG of the visible part of the page, with few colours, so that the documentation stays small."""
        import io

        from PIL import Image

        taken = base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(taken)) as shot:
            shot.convert("RGB").quantize(colours).save(path, "PNG", optimize=True)


@contextmanager
def browser(width: int = 1366, height: int = 768, *, webgl: bool = False) -> Iterator[Page]:
    """A new browser with one empty tab of a laptop's size. The end of the block stops it and deletes its profile.

    ``webgl`` draws WebGL by software.
    """
    from websockets.sync.client import connect

    executable = find_chromium()
    assert executable, "no Chromium on this machine"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"] if webgl else ["--disable-gpu"]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        # MLflow shows pages in a sandboxed frame. Without this option, the frame has its own process and debugger.
        options += ["--disable-features=IsolateSandboxedIframes", "--hide-scrollbars"]
        command = [executable, *options, f"--window-size={width},{height}", f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            [*command, "--remote-debugging-port=0", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            with connect(_tab(Path(profile), process), max_size=None, proxy=None) as connection:
                page = Page(connection)
                page.send(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
                )
                yield page
        finally:
            process.terminate()
            process.wait(20)


def _tab(profile: Path, process: "subprocess.Popen[bytes]") -> str:
    """The debugging address of the browser's only tab."""
    import urllib.request

    port_file, until = profile / "DevToolsActivePort", time.monotonic() + PATIENCE_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until:
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        if port_file.exists() and port_file.read_text().strip():
            port = port_file.read_text().split()[0]
            with opener.open(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
                tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
            if tabs:
                return str(tabs[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("the browser opened no debugging port")

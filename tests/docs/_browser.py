"""A headless Chromium that visits pages and tells what went wrong: its DevTools, over a pipe."""

import contextlib
import functools
import http.server
import json
import os
import select
import shutil
import subprocess
import threading
import time

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """The address under which the folder's files are served."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Browser:
    """One tab. A page's faults: errors of its console, and requests that fail or leave."""

    def __init__(self, profile):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._in, self._out, self._rest, self._last = ours_in, ours_out, b"", 0

        def pipes():  # Chromium reads commands from 3 and writes to 4
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self._process = subprocess.Popen(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1200,900",
                "about:blank",
            ],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = None
        self._events = []
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        attached = self._do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._do(f"{domain}.enable")

    def resize(self, width, height=900):
        """The size of the page that is seen, in CSS pixels."""
        self._do(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=True,
        )  # fmt: skip

    def close(self):
        """End the process."""
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self._do("Browser.close")
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def visit(self, address):
        """Load the page; what went wrong."""
        self._events.clear()
        self._do("Page.navigate", url=address)
        self._until(lambda event: event["method"] == "Page.loadEventFired")
        # What a script asks for after the load is seen too.
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
        origin = "/".join(address.split("/")[:3])
        return [fault for event in self._events for fault in _faults(event, origin)]

    def ask(self, expression):
        """The value of a JavaScript expression on the page."""
        answer = self._do(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression, seconds=500):
        """Ask until the answer is true."""
        end = time.monotonic() + seconds
        while not (value := self.ask(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)
        return value

    def _do(self, method, **params):
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda got: got.get("id") == self._last)
        assert "error" not in answer, answer
        return answer["result"]

    def _until(self, wanted, seconds=500):
        end = time.monotonic() + seconds
        seen = next((event for event in self._events if wanted(event)), None)
        while seen is None:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "Chromium says nothing"
            got = os.read(self._in, 1 << 16)
            assert got, "Chromium has ended"
            *whole, self._rest = (self._rest + got).split(b"\0")
            for message in map(json.loads, whole):
                if "method" in message:
                    self._events.append(message)
                if seen is None and wanted({"method": "", **message}):
                    seen = message
        return seen


def _faults(event, origin):
    method, params = event["method"], event["params"]
    if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
        yield f"console: {[argument.get('value') for argument in params['args']]}"
    elif method == "Runtime.exceptionThrown":
        details = params["exceptionDetails"]
        yield f"exception: {details.get('exception', {}).get('description', details['text'])}"
    elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
        yield f"log: {params['entry']['text']} {params['entry'].get('url', '')}"
    elif method == "Network.loadingFailed" and not params.get("canceled"):
        yield f"failed: {params['errorText']}"
    elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
        yield f"status {params['response']['status']}: {params['response']['url']}"
    elif method == "Network.requestWillBeSent":
        url = params["request"]["url"]
        if not url.startswith((origin, "data:", "blob:")):
            yield f"asks another place: {url}"

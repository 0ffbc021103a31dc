"""Chromium without a window, told what to do by the DevTools protocol through two pipes: for pictures of pages in
real time, with a width and a colour scheme of their own.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="headgate-browser-")
        their_input, self.output = os.pipe()
        self.input, their_output = os.pipe()

        def on_three_and_four():
            high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (their_input, their_output)]
            for wanted, descriptor in zip((3, 4), high):
                os.dup2(descriptor, wanted)

        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             f"--user-data-dir={self.profile}", "--remote-debugging-pipe"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=on_three_and_four, close_fds=False)  # fmt: skip
        os.close(their_input)
        os.close(their_output)
        self.number, self.unread = 0, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        os.close(self.input)
        os.close(self.output)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _message(self):
        while b"\0" not in self.unread:
            part = os.read(self.input, 1 << 20)
            if not part:
                raise RuntimeError("chromium has ended")
            self.unread += part
        text, self.unread = self.unread.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        self.number += 1
        said = {"id": self.number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self.output, json.dumps(said).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, url, width, height, scheme="light", scale=1):
        """A page of that size and colour scheme; its session."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Emulation.setDeviceMetricsOverride", session, width=width, height=height, deviceScaleFactor=scale,
                  mobile=width < 600)  # fmt: skip
        self.call("Emulation.setEmulatedMedia", session, features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", session, url=url)
        return session

    def value(self, session, expression):
        return self.call("Runtime.evaluate", session, expression=expression)["result"]["value"]

    def picture(self, session, path, section):
        """Writes the page from its top to the end of the section with this element, as PNG."""
        width = self.value(session, "innerWidth")
        bottom = f"document.querySelector('{section}').closest('section').getBoundingClientRect().bottom + scrollY + 7"
        clip = {"x": 0, "y": 0, "width": width, "height": self.value(session, bottom), "scale": 1}
        shot = self.call("Page.captureScreenshot", session, format="png", clip=clip, captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

"""JupyterLab in Chromium, driven by playwright; server and page clean up after themselves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType

import nbformat

CHROMIUM = "/usr/bin/chromium"
TOKEN = "only-for-this-test"
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
# Messages of JupyterLab itself, about services that a test server does not have.
_HARMLESS = ("favicon", "/lsp/", "language server", "news", "Service workers", "/api/me")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def jupyter_environment(scratch: Path, theme: str = "light") -> dict[str, str]:
    """Environment of a server whose settings, workspaces and history are all in `scratch`."""
    settings = scratch / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    look = {"theme": f"JupyterLab {theme.capitalize()}"}
    (settings / "themes.jupyterlab-settings").write_text(json.dumps(look))
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    return {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(scratch),
        "JUPYTERLAB_SETTINGS_DIR": str(scratch / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        "IPYTHONDIR": str(scratch / "ipython"),
    }


class JupyterLab:
    """A context manager: `with JupyterLab(folder) as lab: lab.open("x.ipynb")`.

    Args:
        folder: what the server shows.
        theme: `light` or `dark`.
        environment: added to the kernels' environment.
    """

    def __init__(
        self, folder: Path, theme: str = "light", environment: dict[str, str] | None = None
    ) -> None:
        self.folder, self.theme, self.environment = folder, theme, environment or {}
        self.errors: list[str] = []

    def __enter__(self) -> JupyterLab:
        from playwright.sync_api import sync_playwright

        self._scratch = tempfile.TemporaryDirectory(prefix="hacm-jupyter-")
        scratch = Path(self._scratch.name)
        environment = {**jupyter_environment(scratch, self.theme), **self.environment}
        self.port = free_port()
        self._log = (scratch / "server.log").open("w+")
        self._server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={self.port}", f"--IdentityProvider.token={TOKEN}"),
                f"--ServerApp.root_dir={self.folder}",
            ],
            **{"env": environment, "stdout": self._log, "stderr": subprocess.STDOUT},
        )
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(_FLAGS)
        )
        self.page = self._browser.new_page(viewport={"width": 1280, "height": 800})
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._wait_for_server()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._browser.close()
        self._playwright.stop()
        self._server.terminate()
        self._server.wait(30)
        self._log.close()
        self._scratch.cleanup()

    def open(self, notebook: str, keep_outputs: bool = False) -> None:
        """Open a notebook, without the side bar, and wait for its kernel.

        Saved outputs are removed: they look like cells that have just been run.
        """
        path = self.folder / notebook
        content = nbformat.read(path, 4)
        for cell in content.cells:
            if cell.cell_type == "code" and not keep_outputs:
                cell.outputs, cell.execution_count = [], None
        nbformat.write(content, path)
        url = f"http://127.0.0.1:{self.port}/lab/tree/{notebook}?reset&token={TOKEN}"
        self.page.goto(url)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.page.keyboard.press("Control+b")
        self._wait_idle(30)

    def run_all(self, timeout: float = 150) -> None:
        """Run all cells and wait until the kernel has done so."""
        deadline = time.monotonic() + timeout
        while not self._executed():
            # A command given before the session exists is lost: repeat it.
            self.page.click("text=Run >> nth=0")
            self.page.click("text=Run All Cells >> nth=0")
            self.page.wait_for_timeout(3000)
            if time.monotonic() > deadline:
                raise TimeoutError("no cell has run")
        self._wait_idle(deadline - time.monotonic())

    def screenshot(self, path: Path) -> bytes:
        """The page as it is, also into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return self.page.screenshot(path=path)

    def _executed(self) -> bool:
        prompts = self.page.locator(".jp-InputPrompt").all_inner_texts()
        return any(character.isdigit() or character == "*" for character in "".join(prompts))

    def _wait_idle(self, timeout: float) -> None:
        """The status bar says Idle several times in a row."""
        deadline, quiet = time.monotonic() + timeout, 0
        while quiet < 4:
            bar = self.page.locator("#jp-main-statusbar").inner_text()
            quiet = quiet + 1 if "Idle" in bar else 0
            if time.monotonic() > deadline:
                raise TimeoutError(f"the kernel is not idle after {timeout:.0f} s: {bar!r}")
            self.page.wait_for_timeout(400)

    def _wait_for_server(self) -> None:
        url = f"http://127.0.0.1:{self.port}/api?token={TOKEN}"
        for _ in range(120):
            try:
                urllib.request.urlopen(url, timeout=2).close()
                return
            except OSError:
                time.sleep(0.5)
        self._log.seek(0)
        raise TimeoutError(f"JupyterLab does not answer: {self._log.read()[-2000:]}")

    def _note(self, message) -> None:
        text = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not any(word in text for word in _HARMLESS):
            self.errors.append(text)

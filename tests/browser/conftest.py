"""The host's page in a real browser."""

import os
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from launcher import comfyui  # noqa: E402  the path comes first
from launcher.browser import find_browser  # noqa: E402
from launcher.client import Client  # noqa: E402
from launcher.server import Server, free_port  # noqa: E402

READY = "() => window.LiteGraph?.registered_node_types?.IP2PEdit && window.app?.graph && document.querySelector('canvas')"
QUIET = {  # no first-run dialog over the graph; text is drawn at every zoom
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "1.32.9",
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = Path(os.environ.get("IP2P_HOST", ROOT / ".host" / "ComfyUI"))
    with Server(folder, comfyui.prepare_base(tmp_path_factory.mktemp("base")), free_port()) as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    return Client(server.url)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        found = find_browser()
        assert found is not None, "There is no Chromium here: install it (apt-get install chromium, or playwright install chromium)."
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def page(browser, client):
    """The loaded page, with what it says in its console kept in `page.said`."""
    client.post("/api/settings", QUIET)
    tab = browser.new_page(viewport={"width": 1600, "height": 1000})
    tab.said = []
    tab.on("console", lambda message: tab.said.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.goto(client.url, timeout=120_000)
    tab.wait_for_function(READY, timeout=120_000)
    tab.wait_for_timeout(1500)
    return tab

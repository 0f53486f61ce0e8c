"""A real ComfyUI for the tests: started once, with this pack linked the way a user's clone is.

The checkout's root stays off `sys.path`, because its `nodes/` would hide the host's `nodes.py`; `launcher` is therefore loaded by its path.
`IP2P_HOST` names the ComfyUI folder (default: the one that quickstart.py fetched).
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _launcher():
    place = ROOT / "launcher"
    spec = importlib.util.spec_from_file_location("launcher", place / "__init__.py", submodule_search_locations=[str(place)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["launcher"] = module
    spec.loader.exec_module(module)


_launcher()

from launcher import comfyui  # noqa: E402  it exists only from here on
from launcher.client import Client  # noqa: E402
from launcher.server import Server, free_port  # noqa: E402


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def comfyui_folder():
    folder = Path(os.environ.get("IP2P_HOST", ROOT / ".host" / "ComfyUI"))
    assert (folder / "main.py").is_file(), f"There is no ComfyUI in {folder}: run `python quickstart.py test` once."
    return folder


@pytest.fixture(scope="session")
def server(comfyui_folder, tmp_path_factory):
    """A running server with a base folder of its own; it is stopped when the tests end."""
    with Server(comfyui_folder, comfyui.prepare_base(tmp_path_factory.mktemp("base")), free_port()) as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    return Client(server.url)


@pytest.fixture(scope="session")
def object_info(client):
    return client.object_info()

"""The host's own code in this process, for tests and benches that look inside a sampling run."""

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

from launcher import ROOT


def start(host: Path, arguments: tuple[str, ...] = ("--cpu", "--use-pytorch-cross-attention")) -> Any:
    """Import the host from its folder, load this pack the way the host does, and return the host's ``nodes`` module.

    Call it once, before anything else imports ``comfy``. The pack's root must not be on ``sys.path``.
    """
    sys.path.insert(0, str(host))
    given, sys.argv = sys.argv, ["main.py", *arguments]
    importlib.import_module("comfy.options").enable_args_parsing()
    importlib.import_module("comfy.cli_args")  # reads the arguments
    sys.argv = given
    importlib.import_module("utils.install_util")  # before another 'utils' can take the name
    nodes = importlib.import_module("nodes")

    async def load() -> bool:
        await nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False)
        return bool(await nodes.load_custom_node(str(ROOT)))

    if not asyncio.run(load()):
        raise RuntimeError(f"ComfyUI in {host} could not load the pack; its log above says why.")
    return nodes


def pack_module(nodes: Any, name: str) -> Any:
    """One of the pack's modules, such as ``samplers.guidance``, from the very copy that the host loaded."""
    package = nodes.NODE_CLASS_MAPPINGS["IP2PEdit"].__module__.rsplit(".nodes.", 1)[0]
    return importlib.import_module(f"{package}.{name}")


def call(nodes: Any, node: str, **inputs: Any) -> Any:
    """Run a node's execute as the host does, in inference mode, and return its outputs."""
    import torch

    with torch.inference_mode():
        kind = nodes.NODE_CLASS_MAPPINGS[node]
        execute = getattr(kind, "execute", None)
        out = execute(**inputs) if execute else getattr(kind(), kind.FUNCTION)(**inputs)
        return getattr(out, "result", out)

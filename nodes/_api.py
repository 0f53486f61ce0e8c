"""The host's versioned node API, imported in one place."""

import inspect
import sys
from typing import Any

from comfy_api.v0_0_2 import ComfyExtension, io, ui

__all__ = ["ComfyExtension", "io", "say", "schema", "ui"]

_KNOWN = inspect.signature(io.Schema).parameters


def schema(**settings: Any) -> io.Schema:
    """A node schema; settings that this host's version does not know (such as ``search_aliases``) are left out."""
    return io.Schema(**{name: value for name, value in settings.items() if name in _KNOWN})


def say(text: str, node: type[io.ComfyNode]) -> None:
    """Show a line of text on the node that is running."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)  # none where nodes run without a server
    if server is not None and node.hidden is not None and node.hidden.unique_id is not None:
        server.send_progress_text(text, node.hidden.unique_id)

"""The host's versioned node API, imported in one place."""

import inspect
from typing import Any

from comfy_api.v0_0_2 import ComfyExtension, io, ui

__all__ = ["ComfyExtension", "io", "schema", "ui"]

_KNOWN = inspect.signature(io.Schema).parameters


def schema(**settings: Any) -> io.Schema:
    """A node schema; settings that this host's version does not know (such as ``search_aliases``) are left out."""
    return io.Schema(**{name: value for name, value in settings.items() if name in _KNOWN})

"""InstructPix2Pix for ComfyUI: edit pictures by written instruction."""

from typing import Any

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """What the host calls to get the nodes; nothing of the host is imported before."""
    from .nodes.extension import InstructPix2PixExtension

    return InstructPix2PixExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]

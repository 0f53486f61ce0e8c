"""All nodes of the pack, as the host asks for them."""

from . import edit, evaluate, guidance, measures, model, picture, sdedit, world
from ._api import ComfyExtension, io


class InstructPix2PixExtension(ComfyExtension):
    """The node list; adding a node means adding it to its file's NODES."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [*model.NODES, *picture.NODES, *guidance.NODES, *edit.NODES, *sdedit.NODES, *world.NODES, *measures.NODES, *evaluate.NODES]

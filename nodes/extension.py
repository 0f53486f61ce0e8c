"""All nodes of the pack, as the host asks for them."""

from . import (
    captions,
    dreambooth,
    edit,
    editors,
    evaluate,
    fast,
    finetune,
    guidance,
    isolate,
    language,
    measures,
    model,
    one_pass,
    pair_filter,
    pairs,
    picture,
    prompt_to_prompt,
    schedules,
    sdedit,
    series,
    store,
    sweep,
    training,
    world,
)
from ._api import ComfyExtension, io


class InstructPix2PixExtension(ComfyExtension):
    """The node list; adding a node means adding it to its file's NODES."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        files = (
            model,
            picture,
            guidance,
            fast,
            schedules,
            isolate,
            edit,
            series,
            sweep,
            sdedit,
            world,
            measures,
            evaluate,
            training,
            one_pass,
            dreambooth,
            editors,
            captions,
            language,
            finetune,
            prompt_to_prompt,
            pairs,
            pair_filter,
            store,
        )
        return [node for file in files for node in file.NODES]

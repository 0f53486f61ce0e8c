"""The same edit with and without the host: the node and `python -m ip2p` share their mathematics, so they give the same picture.

Ancestral samplers draw other noise in the host, which seeds it anew where the authors' sampler goes on with one stream.
"""

import torch

STEPS = 10  # with these the timesteps are whole numbers; the host rounds others, the authors' sampler doesn't


def test_node_and_command_give_the_same_picture(call, editor, editor_file):
    from ip2p.edit import Editor

    photo = torch.rand(1, 70, 96, 3, generator=torch.Generator().manual_seed(4))
    told = {"image": photo, "instruction": "make it snow", "negative": "blurry", "steps": STEPS, "seed": 7, "sampler": "euler"}
    scales = {"text_scale": 6.0, "image_scale": 1.4}
    (in_host,) = call("IP2PEdit", model=editor.model, clip=editor.clip, vae=editor.vae, scheduler="normal", size=0, **told, **scales)
    alone = Editor.load(editor_file, device="cpu").edit(**told, **scales)
    assert not torch.equal(alone, photo)
    assert (in_host.cpu() - alone).abs().max() < 2 / 255

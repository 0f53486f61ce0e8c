"""The one-pass adapter in the host: one pass a step, the picture of the headless editor, and no trace on the model it was given."""

import pytest
import torch


@pytest.fixture(scope="session")
def attach(nodes):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.one_pass").attach


@pytest.fixture(scope="session")
def adapter(editor_file, pack, tmp_path_factory):
    """An adapter with random numbers for the tiny editor."""
    from ip2p import changes, checkpoint, one_pass

    state = checkpoint.read(editor_file).state
    draw = torch.Generator().manual_seed(8)

    def piece(name):
        out, *rest = state[name].shape
        down, up = 0.1 * torch.randn(3, *rest, generator=draw), 0.1 * torch.randn(out, 3, *[1] * (len(rest) - 1), generator=draw)
        return changes.LowRank(down, up, 0.7)

    ends = (".attn1.to_q.weight", ".attn2.to_v.weight", ".proj_in.weight", ".in_layers.2.weight")
    change = {name: piece(name) for name in state if name.startswith(checkpoint.UNET) and name.endswith(ends)}
    embedding = one_pass.ScaleEmbedding(128)
    for parameter in embedding.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=draw)
    path = tmp_path_factory.mktemp("adapters") / "one.safetensors"
    one_pass.write(path, one_pass.OnePass(change, embedding, one_pass.fingerprint(state)), state)
    return path


def counted(model, log):
    clone = model.clone()

    def wrapper(apply, args):
        log.append((len(args["input"]), args["cond_or_uncond"]))
        return apply(args["input"], args["timestep"], **args["c"])

    clone.set_model_unet_function_wrapper(wrapper)
    return clone


@pytest.mark.parametrize("ksampler", [False, True])
@pytest.mark.parametrize("scales", [(7.5, 1.5), (1, 1), (2, 2), (5, 1)])
def test_one_row_a_step_at_any_scales(editor, graph, image, attach, adapter, scales, ksampler):
    log = []
    graph(image, *scales, model=attach(counted(editor.model, log), adapter), steps=4, ksampler=ksampler)
    assert log == [(1, [0])] * 4


def test_node_and_headless_editor_give_the_same_picture(call, editor, editor_file, attach, adapter):
    from ip2p.edit import Editor

    photo = torch.rand(1, 70, 96, 3, generator=torch.Generator().manual_seed(4))
    told = {"image": photo, "instruction": "make it snow", "steps": 10, "seed": 7, "sampler": "euler"}
    scales = {"text_scale": 6.0, "image_scale": 1.4}
    more = {"clip": editor.clip, "vae": editor.vae, "scheduler": "normal", "size": 0, "negative": ""}
    (in_host,) = call("IP2PEdit", model=attach(editor.model, adapter), **more, **told, **scales)
    alone = Editor.load(editor_file, device="cpu", adapter=adapter).edit(**told, **scales)
    exact = Editor.load(editor_file, device="cpu").edit(**told, **scales)
    assert (alone - exact).abs().max() > 8 / 255
    assert (in_host.cpu() - alone).abs().max() < 2 / 255


def test_both_sliders_are_heard_by_the_guider_and_by_any_sampler(editor, graph, image, attach, adapter):
    model = attach(editor.model, adapter)
    first, _ = graph(image, 5, 1.5, model=model)
    assert (graph(image, 7, 1.5, model=model)[0] - first).abs().max() > 1e-3
    assert (graph(image, 5, 1.2, model=model)[0] - first).abs().max() > 1e-3
    torch.testing.assert_close(graph(image, 5, 1.5, model=model, ksampler=True)[0], first, atol=1e-5, rtol=0)


def test_the_model_it_was_given_keeps_no_trace(editor, graph, image, attach, adapter):
    before, _ = graph(image)  # the host works patches into the weights that all clones share, and out again for the next one
    weights = {name: tensor.clone() for name, tensor in editor.model.model.state_dict().items()}
    graph(image, model=attach(editor.model, adapter))
    assert torch.equal(graph(image)[0], before)
    assert not editor.model.patches
    assert all(torch.equal(tensor, weights[name]) for name, tensor in editor.model.model.state_dict().items())


def test_it_works_together_with_the_patches_of_others(editor, graph, image, attach, adapter):
    seen = []

    def patch(emb, channels, options):
        seen.append(emb.shape)
        return emb * 1.5

    other = editor.model.clone()
    other.set_model_emb_patch(patch)
    name = next(name for name in other.model.state_dict() if name.endswith(".attn1.to_q.weight"))
    other.add_patches({name: (0.5 * torch.ones_like(other.model.state_dict()[name]),)})
    alone, _ = graph(image, model=attach(editor.model, adapter))
    both, _ = graph(image, model=attach(other, adapter), steps=6)
    assert len(seen) == 6
    assert (both - alone).abs().max() > 1e-3
    assert len(attach(other, adapter).patches[name]) == 2


def test_a_second_adapter_and_other_models_are_refused(editor, attach, adapter, tmp_path):
    with pytest.raises(ValueError, match="already"):
        attach(attach(editor.model, adapter), adapter)
    with pytest.raises(ValueError, match="There is no model"):
        attach(None, adapter)
    with pytest.raises(ValueError, match="no adapter file"):
        attach(editor.model, tmp_path / "none.safetensors")


def test_a_sweep_makes_one_pass_a_cell_and_step(call, editor, attach, adapter, image):
    log = []
    model = attach(counted(editor.model, log), adapter)
    told = {"model": model, "clip": editor.clip, "vae": editor.vae, "image": image, "instruction": "make it snow", "negative": ""}
    told |= {"seed": 5, "steps": 2, "sampler": "euler", "scheduler": "normal", "size": 64}
    _, cells, _, report = call("IP2PSweep", **told, text_scales="5, 7.5", image_scales="1, 1.5")
    assert [rows for rows, _ in log] == [1] * 8
    assert report.startswith("4 edits in 8 network passes")
    assert torch.equal(cells[3], call("IP2PEdit", **told, text_scale=7.5, image_scale=1.5)[0][0])

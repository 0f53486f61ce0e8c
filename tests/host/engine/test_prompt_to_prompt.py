"""Prompt-to-Prompt in the host: any sampler and guider, other packs' patches, split batches, and the same pairs as without a host."""

import pytest
import torch

STEPS = 5
BEFORE, AFTER = "a red cat on the grass", "a blue dog on the grass"


@pytest.fixture(scope="module")
def base_file(networks, tmp_path_factory):
    """A text-to-image model in a file: the tiny networks with a first conv of four channels."""
    import tiny

    from ip2p import checkpoint

    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    unet = tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4)
    unet.conv_out.weight.data *= 0.5
    checkpoint.write(path, tiny.ldm(unet, networks.vae, networks.clip), tiny.SETTINGS)
    return path


@pytest.fixture(scope="module")
def base(pack, base_file):
    return pack.loading.load(base_file)


@pytest.fixture(scope="module")
def painting(nodes, pack):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.prompt_to_prompt")


def samples(*given):
    from ip2p.captions.triplet import Triplet
    from ip2p.pairs.draws import Sample

    texts = [(BEFORE, AFTER), ("a house", "a house in the snow, seen from far away"), ("an old tree", "a tree")]
    return [Sample(Triplet(texts[i % 3][0], "change it", texts[i % 3][1]), i, seed, p, scale) for i, (seed, p, scale) in enumerate(given)]


@pytest.fixture
def paint(painting, base):
    """Latents or pictures of some samples, by the pack's own run of the host's sampler."""
    import comfy.samplers

    from ip2p.pairs.draws import Settings
    from ip2p.pairs.prompt_to_prompt_control import PromptToPrompt

    def paint(given, edit=None, sampler="euler", model=None, sigmas=None, **more):
        model = model or base.model
        if sigmas is None:
            sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", STEPS)
        choice = comfy.samplers.sampler_object(sampler)
        settings = Settings(size=64)
        return painting.paint_in_host(
            model, base.clip, base.vae, given, settings, edit or PromptToPrompt(), choice, sigmas, **{"callback": lambda *_: None, **more}
        )

    return paint


THREE = [(5, 0.0, 3.0), (6, 0.5, 7.5), (7, 1.0, 5.0)]


@pytest.mark.parametrize("mode", ["self", "replace", "refine", "reweight", "blend"])
def test_the_host_paints_what_diffusers_paints(paint, base_file, mode):
    """The same weights, noise and noise levels. The schedule begins below the largest level, where both start from sigma * noise."""
    from ip2p import sigmas
    from ip2p.pairs import prompt_to_prompt
    from ip2p.pairs.draws import Settings
    from ip2p.pairs.prompt_to_prompt_control import PromptToPrompt
    from ip2p.text_to_image import TextToImage

    class Lower(TextToImage):
        def schedule(self, steps):
            return sigmas.normal(steps + 1)[1:]

    edits = {
        "self": PromptToPrompt(),
        "replace": PromptToPrompt("replace", 0.6),
        "refine": PromptToPrompt("refine", 1.0, word_shares=(("a", 0.3),)),
        "reweight": PromptToPrompt("reweight", 0.8, weights=(("a", -2.0),)),
        "blend": PromptToPrompt("replace", 0.8, blend=("changed",), blend_from=0.0),
    }
    given = samples(*THREE)
    ours = paint(given, edits[mode], sigmas=sigmas.normal(STEPS + 1)[1:])
    settings = Settings(steps=STEPS, size=64, sampler="euler")
    theirs = prompt_to_prompt.paint(Lower.load(base_file, device="cpu"), given, settings, edits[mode])
    torch.testing.assert_close(ours, theirs, atol=2 / 255, rtol=0)
    assert ours[:, 0].sub(ours[:, 1]).abs().amax((1, 2, 3)).min() > 1e-3

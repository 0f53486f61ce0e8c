"""Prompt-to-Prompt in the host: any sampler and guider, other packs' patches, split batches, and the same pairs as without a host."""

import pytest
import torch

STEPS = 5
BEFORE, AFTER = "a red cat on the grass", "a blue dog on the grass"


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
def paint(painting, text_to_image):
    """Latents or pictures of some samples, by the pack's own run of the host's sampler."""
    import comfy.samplers

    from ip2p.pairs.draws import Settings
    from ip2p.pairs.prompt_to_prompt_control import PromptToPrompt

    def paint(given, edit=None, sampler="euler", model=None, sigmas=None, **more):
        model = model or text_to_image.model
        if sigmas is None:
            sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", STEPS)
        choice = comfy.samplers.sampler_object(sampler)
        settings = Settings(size=64)
        return painting.paint_in_host(
            model,
            text_to_image.clip,
            text_to_image.vae,
            given,
            settings,
            edit or PromptToPrompt(),
            choice,
            sigmas,
            **{"callback": lambda *_: None, **more},
        )

    return paint


THREE = [(5, 0.0, 3.0), (6, 0.5, 7.5), (7, 1.0, 5.0)]


@pytest.mark.parametrize("mode", ["self", "replace", "refine", "reweight", "blend"])
def test_the_host_paints_what_diffusers_paints(paint, text_to_image, text_to_image_file, monkeypatch, mode):
    """The same weights, texts, noise and noise levels: at whole timesteps, since the host rounds them, and from below the largest level,
    where both start from sigma * noise."""
    from ip2p import sigmas
    from ip2p.pairs import prompt_to_prompt
    from ip2p.pairs.draws import Settings
    from ip2p.pairs.prompt_to_prompt_control import PromptToPrompt
    from ip2p.sampling import Text
    from ip2p.text_to_image import TextToImage

    class Lower(TextToImage):
        def schedule(self, steps):
            return sigmas.normal(10)[10 - steps :]

    edits = {
        "self": PromptToPrompt(),
        "replace": PromptToPrompt("replace", 0.6),
        "refine": PromptToPrompt("refine", 1.0, word_shares=(("a", 0.3),)),
        "reweight": PromptToPrompt("reweight", 0.8, weights=(("a", -2.0),)),
        "blend": PromptToPrompt("replace", 0.8, blend=("changed",), blend_from=0.0),
    }

    def encode(_, caption):
        """As the host reads it: on the CPU in half precision."""
        return Text(text_to_image.clip.encode_from_tokens_scheduled(text_to_image.clip.tokenize(caption))[0][0])

    monkeypatch.setattr(prompt_to_prompt.text, "encode", encode)
    given = samples(*THREE)
    ours = paint(given, edits[mode], sigmas=sigmas.normal(10)[10 - STEPS :])
    settings = Settings(steps=STEPS, size=64, sampler="euler")
    theirs = prompt_to_prompt.paint(Lower.load(text_to_image_file, device="cpu"), given, settings, edits[mode])
    torch.testing.assert_close(ours, theirs, atol=5e-4, rtol=0)
    assert ours[:, 0].sub(ours[:, 1]).abs().amax((1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m_sde", "lcm"])
def test_a_batch_is_its_samples_painted_alone(paint, sampler):
    given = samples(*THREE)
    together = paint(given, sampler=sampler)
    assert together.shape == (3, 2, 64, 64, 3)
    for n, sample in enumerate(given):
        torch.testing.assert_close(together[n], paint([sample], sampler=sampler)[0], atol=5e-4, rtol=0)


def test_pictures_of_a_pair_share_all_noise(paint):
    from ip2p.captions.triplet import Triplet
    from ip2p.pairs.draws import Sample

    given = [Sample(Triplet(BEFORE, "do nothing", BEFORE), n, 70 + n, p, 5.0) for n, p in enumerate((0.0, 0.6))]
    for sampler in ("euler_ancestral", "dpmpp_sde", "er_sde"):
        pairs = paint(given, sampler=sampler)
        torch.testing.assert_close(pairs[:, 0], pairs[:, 1], atol=1e-5, rtol=1e-5)
        assert (pairs[0, 0] - pairs[1, 0]).abs().max() > 1e-2


def test_each_pair_has_its_own_scale(paint, painting, text_to_image):
    """Also with others' hooks on guidance, which see a scale for each row."""
    seen = []
    model = text_to_image.model.clone()

    def plainly(args):
        seen.append(args["cond_scale"])
        return args["uncond"] + args["cond_scale"] * (args["cond"] - args["uncond"])

    model.set_model_sampler_cfg_function(plainly)
    given = samples((5, 0.2, 2.0), (6, 0.2, 9.0))
    hooked, plain = paint(given, model=model), paint(given)
    torch.testing.assert_close(hooked, plain, atol=1e-3, rtol=0)
    assert seen[0].flatten().tolist() == [2.0, 2.0, 9.0, 9.0]
    assert (paint(samples((5, 0.2, 9.0)))[0] - plain[0]).abs().max() > 1e-3


def test_pairs_dropped_midway(paint):
    """Euler remembers nothing, so that those that go on end as they would have; none left ends the run."""
    given, asked = samples(*THREE), []

    def keep(done, total, denoised):
        asked.append((done, total, tuple(denoised.shape)))
        return [2, 0]

    whole, left = paint(given), paint(given, keep=keep, keep_at=2)
    assert asked == [(2, STEPS, (6, 4, 8, 8))]
    torch.testing.assert_close(left, whole[[2, 0]], atol=1e-3, rtol=0)
    torch.testing.assert_close(paint(given, keep=lambda *_: None, keep_at=2), whole, atol=1e-3, rtol=0)
    assert paint(given, keep=lambda *_: [], keep_at=2).shape == (0, 2, 64, 64, 3)
    ancestral = paint(given, keep=keep, keep_at=2, sampler="euler_ancestral")
    assert torch.equal(ancestral, paint(given, keep=keep, keep_at=2, sampler="euler_ancestral"))


def test_progress_counts_the_whole_schedule_and_cancels(paint, bar, nodes):
    import comfy.model_management

    told = []
    paint(samples(*THREE), callback=lambda step, denoised, x, steps: told.append((step, steps)), keep=lambda *_: None, keep_at=2)
    assert told == [(step, STEPS) for step in range(STEPS)]
    bar.cancel_at = 3
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        paint(samples(*THREE), callback=None)
    assert max(value for value, *_ in bar.told) == 3
    bar.cancel_at = None
    paint(samples(*THREE), callback=None)


def test_the_model_is_as_before(paint, text_to_image):
    state = {name: weight.clone() for name, weight in text_to_image.model.model.state_dict().items()}
    options, first = repr(text_to_image.model.model_options), paint(samples(*THREE))
    assert torch.equal(paint(samples(*THREE)), first)
    assert repr(text_to_image.model.model_options) == options
    assert all(torch.equal(weight, state[name]) for name, weight in text_to_image.model.model.state_dict().items())


def test_impossible_samples_are_named(paint, painting, text_to_image, models):
    from ip2p.pairs.draws import Settings
    from ip2p.pairs.prompt_to_prompt_control import PromptToPrompt

    with pytest.raises(ValueError, match="nothing to paint"):
        paint([])
    with pytest.raises(ValueError, match="The guidance scale is -1"):
        paint(samples((1, 0.5, -1.0)))
    rest = (samples((1, 0.5, 5.0)), Settings(size=64), PromptToPrompt(), None, None)
    with pytest.raises(ValueError, match="There is no VAE here"):
        painting.paint_in_host(text_to_image.model, text_to_image.clip, None, *rest)
    with pytest.raises(ValueError, match="There is no text encoder"):
        painting.paint_in_host(text_to_image.model, None, text_to_image.vae, *rest)
    with pytest.raises(ValueError, match="needs a U-Net"):
        painting.paint_in_host(models["Flux Kontext"], text_to_image.clip, text_to_image.vae, *rest)


def test_textual_inversions_are_words_by_their_vectors(painting, text_to_image, tmp_path, monkeypatch):
    from safetensors.torch import save_file

    tokenizer = getattr(text_to_image.clip.tokenizer, text_to_image.clip.tokenizer.clip)
    for name, value in (("one", 1.0), ("same", 1.0), ("other", 2.0)):
        save_file({"clip_l": torch.full((2, tokenizer.embedding_size), value)}, tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(tokenizer, "embedding_directory", str(tmp_path))
    one, same, other = (painting.words_of(text_to_image.clip, f"a embedding:{name} on grass").ids for name in ("one", "same", "other"))
    assert len(one) == 7, "begin, a, two vectors, on, grass, end"
    assert one == same
    assert [a == b for a, b in zip(one, other, strict=True)] == [True, True, False, False, True, True, True]

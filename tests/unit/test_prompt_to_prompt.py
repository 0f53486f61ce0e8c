"""Pairs without a host: every attention layer against explicit softmax, the unpatched model, batches, and pairs that are dropped."""

import math
from contextlib import nullcontext
from itertools import pairwise, product

import pytest
import tiny
import torch
from diffusers.models.attention_processor import Attention

from ip2p import text
from ip2p.captions.triplet import Triplet
from ip2p.checkpoint import Checkpoint
from ip2p.pairs import prompt_to_prompt
from ip2p.pairs.draws import Sample, Settings
from ip2p.pairs.prompt_to_prompt import paint
from ip2p.pairs.prompt_to_prompt_control import PromptToPrompt
from ip2p.pairs.prompt_to_prompt_unet import Ask, asked
from ip2p.text_to_image import TextToImage

CPU = torch.device("cpu")
SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}
STEPS = 5
CAPTIONS = [("a red cat on grass", "a blue dog on grass"), ("a house", "a house in deep snow"), ("an old oak tree", "an oak")]
SHARES = (0.0, 0.5, 1.0)


def made(state, family):
    """The tiny networks with keener attention: random weights look at everything alike."""
    model = TextToImage.build(Checkpoint(state, family, "only", SETTINGS), CPU)
    for layer in (module for module in model.unet.modules() if isinstance(module, Attention)):
        for part in (layer.to_q, layer.to_k):
            part.weight.data *= 5
    return model


@pytest.fixture(scope="module")
def plain():
    return made(tiny.ldm(tiny.unet(in_channels=4, attention=(0, 1))), "sd15")


@pytest.fixture(scope="module")
def wide():
    """In SDXL's layout, with two text encoders; an editor, which is shown an empty picture."""
    return made(tiny.wide_ldm(), "sdxl")


def samples(shares=SHARES, scale=6.0):
    made = [(Triplet(before, "edit it", after), share) for (before, after), share in zip(CAPTIONS, shares, strict=False)]
    return [Sample(triplet, i, 40 + i, share, scale + i) for i, (triplet, share) in enumerate(made)]


def settings(steps=STEPS, sampler="euler_ancestral"):
    return Settings(steps=steps, size=64, sampler=sampler)


class Watch:
    """What goes into and comes out of each attention layer, call by call of the network."""

    def __init__(self, unet):
        self.calls, self.handles = [], [unet.register_forward_pre_hook(lambda *_: self.calls.append([]))]
        for layer in (module for module in unet.modules() if isinstance(module, Attention)):
            self.handles.append(layer.register_forward_hook(self.note, with_kwargs=True))

    def note(self, layer, args, kwargs, out):
        self.calls[-1].append((layer, args[0], kwargs.get("encoder_hidden_states"), out))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def explicit(layer, x, context, maps_of):
    """An attention layer row by row and head by head with softmax written out; ``maps_of(row, head, own map of any row)`` gives the map."""
    told = x if context is None else context
    q, k, v = layer.to_q(x), layer.to_k(told), layer.to_v(told)
    width = q.shape[-1] // layer.heads

    def own(row, head):
        part = slice(head * width, (head + 1) * width)
        scores = q[row, :, part] @ k[row, :, part].T / math.sqrt(width)
        weights = (scores - scores.max(dim=-1, keepdim=True).values).exp()
        return weights / weights.sum(dim=-1, keepdim=True)

    rows = []
    for row in range(len(x)):
        heads = [maps_of(row, head, own) @ v[row, :, head * width : (head + 1) * width] for head in range(layer.heads)]
        rows.append(layer.to_out[0](torch.cat(heads, dim=-1)))
    return torch.stack(rows)


@pytest.mark.parametrize("layout", ["plain", "wide"])
def test_every_self_attention_layer_of_both_halves_takes_the_first_ones_maps(request, layout):
    """For p = 0, 0.5 and 1 in one batch: the map of the second row is the first's while p > i / (n - 1), its values stay its own."""
    model, given = request.getfixturevalue(layout), samples()
    with Watch(model.unet) as watch, torch.no_grad():
        paint(model, given, settings())
        assert len(watch.calls) == STEPS
        kinds = [context is None for _, _, context, _ in watch.calls[0]]
        assert sum(kinds) == len(kinds) / 2 >= 4
        for step, layers in enumerate(watch.calls):
            sharing = [p == 1 or p > step / (STEPS - 1) for p in SHARES]
            assert sharing == [False, step < 2, True]
            for layer, x, context, out in layers:
                assert len(x) == 2 * 2 * len(given), "the captions' half and the empty text's"

                def maps_of(row, head, own, cross=context is not None, sharing=sharing):
                    second = row % 2 == 1 and sharing[row // 2 % len(sharing)]
                    return own(row - 1 if second and not cross else row, head)

                torch.testing.assert_close(out, explicit(layer, x, context, maps_of), atol=2e-6, rtol=1e-5)


def test_a_wrong_map_would_be_noticed(plain):
    """The layers' maps differ between rows and steps by far more than the comparison allows."""
    with Watch(plain.unet) as watch, torch.no_grad():
        paint(plain, samples(), settings())
        for layer, x, context, out in [each for each in watch.calls[1] if each[2] is None]:
            unshared = explicit(layer, x, context, lambda row, head, own: own(row, head))
            assert (unshared[1] - out[1]).abs().max() < 2e-6, "p = 0"
            assert (unshared[[3, 5, 9, 11]] - out[[3, 5, 9, 11]]).abs().amax((1, 2)).min() > 2e-4


@pytest.mark.parametrize("mode", ["replace", "refine", "reweight"])
def test_cross_attention_layers_follow_the_original(plain, mode):
    """Only in the captions' half: maps of aligned tokens from the first picture, weighted, while the cross share lasts."""
    edit = PromptToPrompt(mode, 0.6, weights=(("blue", 3.0),) if mode == "reweight" else ())
    given = samples((0.5,))
    with Watch(plain.unet) as watch, torch.no_grad():
        paint(plain, given, settings(), edit)
        for step, layers in enumerate(watch.calls):
            lasting = step / (STEPS - 1) < 0.6
            assert lasting == (step < 3)
            for layer, x, context, out in layers:

                def maps_of(row, head, own, cross=context is not None, lasting=lasting, step=step):
                    if row != 1:
                        return own(row, head)
                    if not cross:
                        return own(0 if step < 2 else 1, head)  # the original shares self-attention in the captions' half alone
                    maps = own(1, head).clone()
                    if lasting:  # "a red cat on grass" and "a blue dog on grass": begin, six words, end and padding belong together
                        taken = [j for j in range(77) if mode == "replace" or j not in (2, 3)]
                        maps[:, taken] = own(0, head)[:, taken]
                        maps[:, 2] *= 3 if mode == "reweight" else 1
                    return maps

                torch.testing.assert_close(out, explicit(layer, x, context, maps_of), atol=2e-6, rtol=1e-5)


@pytest.mark.whole
@pytest.mark.parametrize("layout", ["plain", "wide"])
def test_the_first_picture_is_the_unpatched_models_to_the_bit(request, monkeypatch, layout):
    model = request.getfixturevalue(layout)
    with monkeypatch.context() as patched:
        patched.setattr(prompt_to_prompt, "asked", lambda unet: nullcontext(Ask()))  # diffusers' own processors stay
        unshared = paint(model, samples(), settings())
    shared = paint(model, samples(), settings())
    edited = paint(model, samples(), settings(), PromptToPrompt("refine", blend=("changed",)))
    assert torch.equal(shared[:, 0], unshared[:, 0])
    assert torch.equal(edited[:, 0], unshared[:, 0])
    assert torch.equal(shared[0, 1], unshared[0, 1]), "p = 0 shares nothing"
    for n, sample in enumerate(samples()):
        for side, caption in enumerate((sample.triplet.caption, sample.triplet.edited_caption)):
            alone = model.generate(caption, [sample.seed], 64, 64, STEPS, sample.guidance)
            torch.testing.assert_close(unshared[n, side], alone[0], atol=2e-3, rtol=0)


def test_sharing_makes_the_second_picture_another_one(plain):
    by_share = [paint(plain, samples((p, p, p)), settings())[:, 1] for p in (0.0, 0.3, 0.7, 1.0)]
    for one, other in pairwise(by_share):
        assert (one - other).abs().amax((1, 2, 3)).min() > 1e-4


@pytest.mark.whole
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_a_batch_is_its_samples_painted_alone(plain, sampler):
    for edit in (PromptToPrompt(), PromptToPrompt("replace", blend=("changed",), blend_from=0.0)):
        together = paint(plain, samples(), settings(sampler=sampler), edit)
        for n, sample in enumerate(samples()):
            alone = paint(plain, [sample], settings(sampler=sampler), edit)
            torch.testing.assert_close(together[n], alone[0], atol=1e-4, rtol=0)


def test_equal_captions_give_equal_pictures_at_every_share_and_sampler(plain):
    """All noise is shared: two pictures of one caption are one picture."""
    triplet = Triplet("a red cat", "do nothing", "a red cat")
    for p, sampler in product((0.0, 0.4), ("euler", "euler_ancestral")):
        one, other = paint(plain, [Sample(triplet, 0, 3, p, 5.0)], settings(sampler=sampler))[0]
        assert torch.equal(one, other)


def test_one_step_is_shared_for_any_share_but_none(plain):
    pairs = [paint(plain, samples((p, p, p)), settings(steps=1)) for p in (0.0, 0.01, 1.0)]
    assert torch.equal(pairs[1], pairs[2])
    assert not torch.equal(pairs[0], pairs[1])


def test_a_network_has_its_own_attention_again(plain):
    before, pictures = dict(plain.unet.attn_processors), plain.generate("a cat", [1], 64, 64, 2)
    weights = {name: weight.clone() for name, weight in plain.unet.state_dict().items()}
    paint(plain, samples(), settings(), PromptToPrompt("refine"))

    def fail(*_):
        raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        paint(plain, samples(), settings(), on_step=fail)
    after = plain.unet.attn_processors
    assert all(after[name] is processor for name, processor in before.items())
    assert torch.equal(plain.generate("a cat", [1], 64, 64, 2), pictures)
    assert all(torch.equal(weight, weights[name]) for name, weight in plain.unet.state_dict().items())


def test_own_processors_give_what_diffusers_gives(plain):
    """Without a call under control, in case anything else uses the network meanwhile."""
    x, t, words = torch.randn(2, 4, 8, 8), torch.tensor([500.0, 500.0]), text.encode(plain.encoders, "a cat").context.expand(2, -1, -1)
    with torch.no_grad():
        expected = plain.unet(x, t, words).sample
        with asked(plain.unet):
            torch.testing.assert_close(plain.unet(x, t, words).sample, expected, atol=1e-6, rtol=0)


def test_outside_the_blended_words_nothing_differs(plain):
    triplet = Triplet("a red cat on grass", "make it a dog", "a red dog on grass")
    given = [Sample(triplet, i, 50 + i, 0.2, 6.0) for i in range(2)]
    latents = {}
    for blend in ((), ("changed",), ("cat", "dog")):
        seen = []
        edit = PromptToPrompt("replace", 0.2, blend=blend, threshold=0.9, blend_from=0.0)
        paint(plain, given, settings(), edit, on_step=lambda done, total, denoised, seen=seen: seen.append(denoised))
        latents[blend] = seen[-1].unflatten(0, (-1, 2))
    same = {blend: (latent[:, 0] == latent[:, 1]).all(dim=1) for blend, latent in latents.items()}
    assert not same[()].any()
    assert same["changed",].any(dim=(1, 2)).all()
    assert not same["changed",].all(dim=(1, 2)).any()
    assert torch.equal(latents["changed",], latents["cat", "dog"])


def test_dropped_pairs_leave_the_others_as_they_are(plain):
    whole, asked_for = paint(plain, samples(), settings()), []

    def keep(done, total, denoised):
        asked_for.append((done, total, len(denoised)))
        return {2: [0, 2], 3: [1]}.get(done)

    left = paint(plain, samples(), settings(), keep=keep)
    assert asked_for == [(1, STEPS, 6), (2, STEPS, 6), (3, STEPS, 4), (4, STEPS, 2)]
    assert left.shape == (1, 2, 64, 64, 3)
    torch.testing.assert_close(left[0], whole[2], atol=1e-4, rtol=0)
    told = []
    none = paint(plain, samples(), settings(), keep=lambda *_: [], on_step=lambda *step: told.append(step))
    assert none.shape == (0, 2, 64, 64, 3)
    assert len(told) == 1


def test_every_pair_has_its_own_scale(plain):
    low, high = samples(scale=1.0), samples(scale=9.0)
    mixed = paint(plain, [low[0], high[1]], settings())
    torch.testing.assert_close(mixed[0], paint(plain, low[:1], settings())[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(mixed[1], paint(plain, high[1:2], settings())[0], atol=1e-4, rtol=0)


def test_impossible_samples_are_named(plain):
    triplet = Triplet("a", "b", "c")
    for change, sentence in (
        ({"p": 1.5}, r"The share of attention p is 1\.5"),
        ({"p": float("nan")}, "The share of attention p is nan"),
        ({"guidance": -1.0}, "The guidance scale is -1"),
        ({"seed": -1}, "The seed is -1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            paint(plain, [Sample(**{"triplet": triplet, "number": 0, "seed": 1, "p": 0.5, "guidance": 7.0} | change)], settings())
    with pytest.raises(ValueError, match="nothing to paint"):
        paint(plain, [], settings())

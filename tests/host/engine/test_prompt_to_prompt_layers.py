"""Every attention layer of the host's networks with pairs in the batch, against softmax written out, in the layouts of SD 1.5 and SDXL."""

import pytest
import torch
from small_networks import SDXL, UNET, Small, build, picture, text

LATENT = (4, 8, 8)
NETWORKS = {
    "SD 1.5": Small("SD15", {**UNET, "in_channels": 4}, LATENT, (5, 24)),
    "SDXL": Small("SDXL", {**SDXL, "in_channels": 4}, LATENT, (5, 24), 24),
}
STEPS = 4


class Watch:
    """What each transformer block's self-attention is given, and what it makes of it, call by call."""

    def __init__(self, network):
        from comfy.ldm.modules.attention import BasicTransformerBlock

        self.blocks = [module for module in network.modules() if isinstance(module, BasicTransformerBlock)]
        self.calls, self.handles = [], [network.register_forward_pre_hook(lambda *_: self.calls.append([]))]
        for block in self.blocks:
            self.handles += [
                block.norm1.register_forward_hook(lambda _, __, out: self.calls[-1].append([out.clone()])),
                block.attn1.register_forward_hook(lambda *told: self.calls[-1][-1].append(told[-1].clone())),
            ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def explicit(layer, x, first_of):
    """Self-attention row by row with softmax written out; row r takes the map of row ``first_of(r)``."""
    q, k, v = layer.to_q(x), layer.to_k(x), layer.to_v(x)
    width, rows = layer.dim_head, []
    for row in range(len(x)):
        of, heads = first_of(row), []
        for part in (slice(head * width, (head + 1) * width) for head in range(layer.heads)):
            scores = (q[of, :, part] @ k[of, :, part].T / width**0.5).exp()
            heads.append(scores / scores.sum(dim=-1, keepdim=True) @ v[row, :, part])
        rows.append(layer.to_out[0](torch.cat(heads, dim=-1)))
    return torch.stack(rows)


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_every_self_attention_layer_of_both_halves(patching, call, kind):
    """Three pairs with p = 0, 0.5 and 1 in one batch, in the layouts of SD 1.5 and SDXL, against explicit softmax."""
    import comfy.sample

    from ip2p.pairs.prompt_to_prompt_control import Control, PromptToPrompt

    small = NETWORKS[kind]
    model, shares = build(small), [0.0, 0.5, 1.0]
    patched = patching.patch(model, Control.of(PromptToPrompt(), shares, []))
    rows = [text(small, seed)[0] for seed in range(6)]
    options = dict(rows[0][1])
    if small.pooled:
        options["pooled_output"] = torch.cat([row["pooled_output"] for _, row in rows])
    positive = [[torch.cat([context for context, _ in rows]), options]]
    noise = picture(small, rows=3).repeat_interleave(2, dim=0)
    with Watch(model.model.diffusion_model) as watch, torch.inference_mode():
        for network, name in ((model, "plain"), (patched, "shared")):
            watch.calls.clear()
            out = comfy.sample.sample(
                network, noise, STEPS, 5.0, "euler", "normal", positive, text(small, 9), torch.zeros_like(noise), disable_pbar=True, seed=1
            )
            assert len(watch.calls) == STEPS
            if name == "plain":
                unpatched = out
        for step, layers in enumerate(watch.calls):
            sharing = [p == 1 or p > step / (STEPS - 1) for p in shares]
            assert sharing == [False, step < 2, True]
            assert len(layers) == len(watch.blocks) >= 3
            for block, (x, found) in zip(watch.blocks, layers, strict=True):
                assert len(x) == 12, "both halves"

                def first_of(row, sharing=sharing):
                    return row - 1 if row % 2 and sharing[row // 2 % 3] else row

                torch.testing.assert_close(found, explicit(block.attn1, x, first_of), atol=1e-5, rtol=1e-4)
                if step:
                    plain = explicit(block.attn1, x, lambda row: row)
                    assert (plain - found)[[5, 11]].abs().amax((1, 2)).min() > 1e-4, "unshared maps would be noticed"
    assert torch.equal(out[::2], unpatched[::2]), "the first pictures are the unpatched model's to the bit"
    assert torch.equal(out[1], unpatched[1]), "p = 0"
    assert not torch.equal(out[3], unpatched[3])


class WatchWords(Watch):
    """The same of cross-attention: what queries are made of, the text, and the result."""

    def __init__(self, network):
        super().__init__(network)
        self.__exit__()
        self.handles = [network.register_forward_pre_hook(lambda *_: self.calls.append([]))]
        for block in self.blocks:
            self.handles += [
                block.attn2.to_q.register_forward_pre_hook(lambda _, told: self.calls[-1].append([told[0].clone()])),
                block.attn2.to_k.register_forward_pre_hook(lambda _, told: self.calls[-1][-1].append(told[0].clone())),
                block.attn2.to_out.register_forward_hook(lambda *told: self.calls[-1][-1].append(told[-1].clone())),
            ]


@pytest.mark.parametrize("kind", list(NETWORKS))
@torch.inference_mode()
def test_every_cross_attention_layer_of_the_captions_half(patching, kind):
    """Two pairs with edits of their own over five tokens, against explicit softmax; the empty text's half is left alone."""
    import comfy.sample

    from ip2p.attention import CrossEdit
    from ip2p.pairs.prompt_to_prompt_control import Control, PromptToPrompt

    small, model = NETWORKS[kind], build(NETWORKS[kind])
    mapper = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(4))
    aligned = torch.tensor([[True, False, True, True, True], [True] * 5])
    weights, shares = torch.tensor([[1.0, 2.0, 1.0, -1.0, 1.0], [1.0] * 5]), torch.tensor([[0.5] * 5, [1.0, 1.0, 0.0, 0.5, 1.0]])
    edit = CrossEdit(mapper, aligned, weights, shares, torch.zeros(2, 2, 5, dtype=torch.bool))
    patched = patching.patch(model, Control(PromptToPrompt("refine"), torch.zeros(2, dtype=torch.float64), edit))
    rows, negative = [text(small, seed)[0] for seed in range(4)], text(small, 9)
    options = {**rows[0][1], patching.CAPTIONS: True}
    if small.pooled:
        options["pooled_output"] = torch.cat([row["pooled_output"] for _, row in rows])
    positive = [[torch.cat([context for context, _ in rows]), options]]
    noise = picture(small, rows=2).repeat_interleave(2, dim=0)
    with WatchWords(model.model.diffusion_model) as watch:
        comfy.sample.sample(
            patched, noise, STEPS, 5.0, "euler", "normal", positive, negative, torch.zeros_like(noise), disable_pbar=True, seed=1
        )
    assert len(watch.calls) == STEPS
    for step, layers in enumerate(watch.calls):
        assert len(layers) == len(watch.blocks)
        now = (shares > step / (STEPS - 1)) | (shares >= 1)
        for block, (x, context, found) in zip(watch.blocks, layers, strict=True):
            layer, expected = block.attn2, []
            told = [not torch.equal(row, negative[0][0][0]) for row in context]
            assert sum(told) == 4
            assert len(told) == 8
            q, k, v = layer.to_q(x), layer.to_k(context), layer.to_v(context)
            for row in range(8):
                heads = []
                for part in (slice(head * layer.dim_head, (head + 1) * layer.dim_head) for head in range(layer.heads)):
                    first, own = (
                        (scores / scores.sum(-1, keepdim=True))
                        for scores in ((q[of, :, part] @ k[of, :, part].T / layer.dim_head**0.5).exp() for of in (row - row % 2, row))
                    )
                    if told[row] and row % 2:
                        pair = row // 2 % 2
                        maps = [(first @ mapper[pair])[:, j] if aligned[pair, j] else own[:, j] for j in range(5)]
                        maps = [weights[pair, j] * maps[j] if now[pair, j] else own[:, j] for j in range(5)]
                        own = torch.stack(maps, dim=-1)
                    heads.append(own @ v[row, :, part])
                expected.append(layer.to_out[0](torch.cat(heads, dim=-1)))
            torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-4)

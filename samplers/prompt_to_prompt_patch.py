"""Prompt-to-Prompt inside the host's networks: attention patches for any sampler and any guider, which leave no trace.

Nothing is written into the model or its options: for each network call the patch adds its own hooks to a copy of what the call brings, so
that it goes together with those of other packs, whichever came first. Self-attention is shared in the inputs of queries and keys, before
any other hook sees them; cross-attention gets the difference that edited maps make added to whatever computes it.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import torch
from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..ip2p.attention import step_of
from ..ip2p.pairs.prompt_to_prompt_control import Call, Control
from .noise import paired_noise
from .sdedit import check_model as check_text_to_image

KEY = "ip2p_prompt_to_prompt"
CAPTIONS = "ip2p_captions"
"""Under this key a conditioning says that it is made of the captions of pairs, and so is the one whose words are edited."""
NOT_PAIRS = "Prompt-to-Prompt paints pairs: give the sampler a latent with two rows for each, that of the 'Prompt-to-Prompt' node."
Attention = Callable[[Tensor, Tensor, Tensor, dict[str, Any]], Tensor]


def patch(model: ModelPatcher, control: Control, schedule: Tensor | None = None) -> ModelPatcher:
    """A clone of ``model`` that shares and edits attention between rows 2n and 2n + 1 of its batch, in the place of an earlier patch.

    ``control`` is that of N pairs; a latent of several times as many repeats them. ``schedule``: the sigmas of the whole run, where the
    sampler is given only a part of them. Raises ValueError, in a sentence for the user, for a network that is no U-Net.
    """
    check_model(model)
    hooks, patched = Hooks(control, schedule), unpatch(model)
    for kind, wrapper in (
        (WrappersMP.SAMPLER_SAMPLE, paired_noise),
        (WrappersMP.SAMPLER_SAMPLE, hooks.run),
        (WrappersMP.PREDICT_NOISE, hooks.predict),
        (WrappersMP.DIFFUSION_MODEL, hooks.network),
    ):
        patched.add_wrapper_with_key(kind, KEY, wrapper)
    return patched


def unpatch(model: ModelPatcher) -> ModelPatcher:
    """A clone of ``model`` without our hooks; those of others stay."""
    plain = model.clone()
    for kind in (WrappersMP.SAMPLER_SAMPLE, WrappersMP.PREDICT_NOISE, WrappersMP.DIFFUSION_MODEL):
        plain.remove_wrappers_with_key(kind, KEY)
    return plain


def hooks_of(model: ModelPatcher) -> "Hooks":
    """The hooks of a patched MODEL."""
    found: Hooks = model.get_wrappers(WrappersMP.DIFFUSION_MODEL, KEY)[0].__self__
    return found


def check_model(model: ModelPatcher | None) -> None:
    """Raise ValueError, in a sentence for the user, for a model whose attention isn't that of a U-Net."""
    check_text_to_image(model)
    if model is not None and not isinstance(model.model.diffusion_model, UNetModel):
        raise ValueError(f"Prompt-to-Prompt needs a U-Net, such as SD 1.5 or SDXL; this is a {type(model.model).__name__} model.")


class Hooks:
    """The hooks of one patched model. What they know of a run lasts as long as the run; ``control`` is then as the run has left it."""

    def __init__(self, control: Control, schedule: Tensor | None = None) -> None:
        self.given, self.control, self.schedule = control, control, schedule
        self._sigmas: Tensor | None = None  # None: no run is under way
        self._captioned: set[Any] = set()

    def run(self, executor: Any, guider: Any, sigmas: Tensor, extra_args: dict, callback: Any, noise: Tensor, *args: Any) -> Tensor:
        """Around the host's sampler: begin anew for the pairs of this latent."""
        pairs, rest = divmod(len(noise), 2 * len(self.given.p))
        if rest or not pairs:
            raise ValueError(NOT_PAIRS)
        before = self._sigmas, self._captioned
        self.control = self.given.kept(list(range(len(self.given.p))) * pairs)
        self._sigmas = (sigmas if self.schedule is None else self.schedule).float().cpu()
        self._captioned = _captioned(guider.conds)
        if self.given.edit is not None and not self._captioned:
            raise ValueError("The words of no conditioning here are known: wire the positive of 'Prompt-to-Prompt' into the sampler.")
        try:
            return executor(guider, sigmas, extra_args, callback, noise, *args)
        finally:
            self._sigmas, self._captioned = before

    def predict(self, executor: Any, x: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Around a step's guided prediction: local blend."""
        denoised = executor(x, sigma, *args, **kwargs)
        return denoised if self._sigmas is None else self.control.blended(denoised, *self._step(sigma))

    def network(
        self, executor: Any, x: Tensor, timesteps: Any, context: Any, y: Any, control: Any, options: dict[str, Any], **kwargs: Any
    ) -> Tensor:
        """Around a network call: our say in its attention layers. A call that isn't the host's own, without its noise level, passes by."""
        if self._sigmas is not None and "sigmas" in options:
            options = _joined(executor.class_obj, options, self._call(len(x), options), len(x))
        return executor(x, timesteps, context, y, control, options, **kwargs)

    def _call(self, rows: int, options: dict[str, Any]) -> Call:
        chunks, rest = divmod(rows, 2 * len(self.control.p))
        told = [uuid in self._captioned for uuid in options.get("uuids", [None])]
        if rest or chunks % len(told):
            raise ValueError(NOT_PAIRS)
        each = chunks // len(told)  # more than one where a pack lays tiles of a large picture into one batch
        return self.control.call(*self._step(options["sigmas"]), [one for one in told for _ in range(each)])

    def _step(self, sigma: Tensor) -> tuple[int, int]:
        assert self._sigmas is not None
        return step_of(float(sigma.flatten()[0]), self._sigmas), len(self._sigmas) - 1


def _captioned(conds: dict[str, list[dict[str, Any]]]) -> set[Any]:
    """By what the host calls them, the conditionings that are made of captions."""
    found = set()
    for cond in (cond for group in conds.values() for cond in group if CAPTIONS in cond):
        made = cond["model_conds"]["c_crossattn"].cond
        if made.shape == cond["cross_attn"].shape and torch.equal(made.cpu(), cond["cross_attn"].cpu()):
            found.add(cond["uuid"])
        else:  # the host's copy of its area for another text
            cond["uuid"] = uuid4()
    return found


def _joined(network: UNetModel, options: dict[str, Any], call: Call, rows: int) -> dict[str, Any]:
    """The options of one network call with our hooks beside those of others; as they are where there is nothing to do."""
    if call.pairs.any():
        hooks = options.get("patches", {})
        options = {**options, "patches": {**hooks, "attn1_patch": [_sharing(call, rows), *hooks.get("attn1_patch", [])]}}
    if call.reads_words:
        others = options.get("patches_replace", {})
        known = others.get("attn2", {})
        ours = {place: _editing(call, rows, known.get(place) or known.get(place[:2])) for place in places(network)}
        options = {**options, "patches_replace": {**others, "attn2": {**known, **ours}}}
    return options


def places(network: UNetModel) -> Sequence[tuple[str, int, int]]:
    """Every transformer block of a U-Net, as the host names it: (part, number of the block in it, number of the transformer in that)."""
    parts = {"input": network.input_blocks, "middle": [network.middle_block or []], "output": network.output_blocks}
    found = [(name, number, module) for name, blocks in parts.items() for number, block in enumerate(blocks) for module in block]
    return [
        (name, at, i) for name, at, module in found if isinstance(module, SpatialTransformer) for i in range(len(module.transformer_blocks))
    ]


def _sharing(call: Call, rows: int) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """A hook on what queries, keys and values are made of; layers whose batch is another one (over time) are left alone."""

    def share(q: Tensor, k: Tensor, v: Tensor, _: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        if len(q) != rows:
            return q, k, v
        queries = call.shared(q)
        return queries, queries if k is q else call.shared(k), v

    return share


def _editing(call: Call, rows: int, other: Attention | None) -> Attention:
    """Cross-attention with edited maps, on top of ``other``, what another pack does there."""

    def attend(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        heads, precision = options["n_heads"], options.get("attn_precision")
        out: Tensor = other(q, k, v, options) if other else optimized_attention(q, k, v, heads, attn_precision=precision)
        if len(q) != rows:
            return out
        split = [each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (q, k, v, out)]
        return call.cross(*split).transpose(1, 2).flatten(2)

    return attend

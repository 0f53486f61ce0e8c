"""Dual guidance inside the host's sampling loop (section 3.2.1, equation 3).

The model is patched, so one piece of code serves the host's plain KSampler, third-party sampler nodes and our own guider, which is
the host's ``CFGGuider`` over such a model: ``cfg`` is the text scale. Each step the host asks for two predictions, ``[cond, uncond]``
(our ``D_c`` and ``D_I``); the patch adds ``D_0`` to the same batched call and, after ordinary guidance, the image term. Whatever else is
hooked into the model therefore sees what a plain KSampler would show it.

A model with a one-pass adapter (``one_pass.attach``) is asked for one prediction, which is already guided; it stands for both of the two.
"""

import uuid
from typing import Any

import comfy.model_base
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..ip2p.guidance import Passes, check_scale, image_term, needed
from . import one_pass
from .noise import independent_noise

KEY = "ip2p"
KINDS = (WrappersMP.OUTER_SAMPLE, WrappersMP.CALC_COND_BATCH, WrappersMP.SAMPLER_SAMPLE)
Conditioning = list[dict[str, Any]]


def check_model(model: ModelPatcher | None) -> None:
    """Raise ValueError, in a sentence for the user, unless ``model`` is an InstructPix2Pix network."""
    if model is None:
        raise ValueError("There is no model here; load an InstructPix2Pix checkpoint with the 'Load InstructPix2Pix model' node.")
    if isinstance(model.model, comfy.model_base.IP2P):
        return
    channels = model.model.model_config.unet_config.get("in_channels")
    if channels == 9:
        raise ValueError("This is an inpainting model (9 input channels); load an InstructPix2Pix checkpoint (8 input channels).")
    if channels == 4:
        raise ValueError("This is a text-to-image model; load an InstructPix2Pix checkpoint or turn it into one.")
    raise ValueError(f"This is a {type(model.model).__name__} model, which takes no picture to edit; load an InstructPix2Pix checkpoint.")


def patch(model: ModelPatcher, image_scale: float) -> ModelPatcher:
    """A clone of ``model`` whose samplers do dual guidance, with ``cfg`` as the text scale. Patching again replaces the image scale."""
    check_model(model)
    guidance = DualGuidance(check_scale("image", image_scale), one_pass.is_attached(model))
    patched = unpatch(model)
    wrappers = (guidance.run, guidance.predict, independent_noise)
    for kind, wrapper in zip(KINDS, wrappers, strict=True):
        patched.add_wrapper_with_key(kind, KEY, wrapper)
    others = patched.model_options.get("sampler_post_cfg_function", [])
    patched.model_options["sampler_post_cfg_function"] = [guidance.add_image_term, *others]
    return patched


def unpatch(model: ModelPatcher) -> ModelPatcher:
    """A clone of ``model`` without our hooks; those of others stay."""
    plain = model.clone()
    for kind in KINDS:
        plain.remove_wrappers_with_key(kind, KEY)
    hooks = plain.model_options.get("sampler_post_cfg_function", [])
    if any(_is_ours(hook) for hook in hooks):
        plain.model_options["sampler_post_cfg_function"] = [hook for hook in hooks if not _is_ours(hook)]
    return plain


def guider(
    model: ModelPatcher, positive: list, negative: list, text_scale: float = 7.5, image_scale: float = 1.5
) -> comfy.samplers.CFGGuider:
    """A GUIDER for the host's custom sampling: equation 3 over ``positive`` (``D_c``) and ``negative`` (``D_I`` and ``D_0``)."""
    dual = comfy.samplers.CFGGuider(patch(model, image_scale))
    _check_pictures(positive, "positive")
    dual.set_conds(positive, negative)
    dual.set_cfg(check_scale("text", text_scale))
    return dual


def _is_ours(hook: Any) -> bool:
    return isinstance(getattr(hook, "__self__", None), DualGuidance)


class DualGuidance:
    """The three hooks of one patched model. All state lasts for one sampling run, most of it for one step."""

    def __init__(self, image_scale: float, one_pass: bool = False) -> None:
        self.image_scale, self.one_pass = image_scale, one_pass
        self._guider: comfy.samplers.CFGGuider | None = None
        self._null: tuple[Tensor, Tensor] | None = None  # the step's noisy latent, to recognise it by, and D_0

    def run(self, executor: Any, noise: Tensor, latent: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Around a whole sampling run: check the conditionings, and forget the run when it ends or is cancelled."""
        outer, self._guider = self._guider, executor.class_obj
        conds = executor.class_obj.conds
        _share_picture(conds.get("positive", []), conds.get("negative", []))
        _check_sizes(conds, noise)
        try:
            return executor(noise, latent, *args, **kwargs)
        finally:
            self._guider, self._null = outer, None

    def predict(self, executor: Any, model: Any, conds: list, x: Tensor, sigma: Tensor, options: dict) -> list[Tensor]:
        """Around the host's batched prediction: put ``D_0`` into the same call, leave out what equation 3 does not need.

        Only the main call of a step, with its two conditionings, is changed; further calls by other hooks pass through.
        """
        if len(conds) != 2 or conds[0] is None:
            return executor(model, conds, x, sigma, options)
        self._null = None
        text, image = conds
        text_scale = getattr(self._guider, "cfg", None)
        if self.one_pass:
            guided = self._guided(executor, model, text, x, sigma, options, text_scale)
            return [guided, guided.clone()]
        passes = self._passes(text_scale, options)
        if image is None and self._guider is not None:  # the host leaves it out at cfg 1
            image = self._guider.conds["negative"]
        if image is None:
            return executor(model, conds, x, sigma, options)
        null = null_conditioning(image) if passes.null else None
        options = {**options, "model_function_wrapper": _relabel(options.get("model_function_wrapper"))}
        text = text if passes.text else None
        if not passes.image:
            return executor(model, [text, null], x, sigma, options)
        if null is None:
            return executor(model, [text, image], x, sigma, options)
        *out, d_null = executor(model, [text, image, null], x, sigma, options)
        self._null = x, d_null
        return out

    def _guided(
        self, executor: Any, model: Any, text: Conditioning, x: Tensor, sigma: Tensor, options: dict, text_scale: float | None
    ) -> Tensor:
        """The one pass of a network that knows both scales."""
        if text_scale is None:
            raise ValueError("This guider has no text scale (cfg); use the 'InstructPix2Pix guider', or take the one-pass adapter out.")
        guided: Tensor = executor(model, [text, None], x, sigma, one_pass.options_with(options, text_scale, self.image_scale))[0]
        return guided

    def add_image_term(self, args: dict[str, Any]) -> Tensor:
        """After ordinary guidance ``D_I + s_T (D_c - D_I)``: add ``(s_I - 1)(D_I - D_0)``."""
        null, self._null = self._null, None
        if null is None or null[0] is not args["input"]:
            return args["denoised"]
        return args["denoised"] + image_term(args["uncond_denoised"], null[1], self.image_scale)

    def _passes(self, text_scale: float | None, options: dict) -> Passes:
        """The passes of this step. Nothing but the null pass is left out while other hooks may look at the predictions."""
        if text_scale is None:
            return Passes(True, True, self.image_scale != 1)
        passes = needed(text_scale, self.image_scale)
        watched = options.get("sampler_pre_cfg_function") or "sampler_cfg_function" in options
        watched = watched or any(not _is_ours(hook) for hook in options.get("sampler_post_cfg_function", []))
        if watched and (text_scale != 1 or passes.null or options.get("disable_cfg1_optimization")):
            return Passes(True, True, passes.null)
        return passes


def null_conditioning(image: Conditioning) -> Conditioning:
    """The third conditioning (``D_0``): the second one, as the host prepared it, with a zero picture latent."""
    out = []
    for cond in image:
        model_conds = dict(cond["model_conds"])
        picture = model_conds["c_concat"]
        model_conds["c_concat"] = type(picture)(torch.zeros_like(picture.cond))
        out.append({**cond, "model_conds": model_conds, "uuid": uuid.uuid4()})
    return out


def _relabel(wrapper: Any) -> Any:
    """A model function wrapper under which the third conditioning counts as uncond (1), like the second, then ``wrapper`` if any."""

    def call(apply_model: Any, args: dict[str, Any]) -> Tensor:
        labels = [min(label, 1) for label in args["cond_or_uncond"]]
        options = {**args["c"].get("transformer_options", {}), "cond_or_uncond": labels}
        c = {**args["c"], "transformer_options": options}
        if wrapper is not None:
            return wrapper(apply_model, {**args, "c": c, "cond_or_uncond": labels})
        return apply_model(args["input"], args["timestep"], **c)

    return call


def _check_pictures(conditioning: list, name: str) -> None:
    if not any("concat_latent_image" in options for _, options in conditioning):
        raise ValueError(
            f"The {name} conditioning carries no picture to edit; wire it through the 'InstructPix2Pix instruction' node "
            "(or the host's InstructPixToPixConditioning)."
        )


def _share_picture(positive: Conditioning, negative: Conditioning) -> None:
    """``D_I`` sees the picture too: give it to negative conditionings that were wired from plain text."""
    pictures = [cond["concat_latent_image"] for cond in positive if "concat_latent_image" in cond]
    if not pictures:
        raise ValueError("The positive conditioning carries no picture to edit; wire it through the 'InstructPix2Pix instruction' node.")
    for cond in negative:
        cond.setdefault("concat_latent_image", pictures[0])


def _check_sizes(conds: dict[str, Conditioning], noise: Tensor) -> None:
    for cond in (cond for group in conds.values() for cond in group):
        picture = cond.get("concat_latent_image")
        if picture is not None and picture.shape[1:] != noise.shape[1:]:
            want, have = tuple(picture.shape[1:]), tuple(noise.shape[1:])
            raise ValueError(
                f"The picture's latent is {want[2]} x {want[1]} with {want[0]} channels, but the latent to sample is {have[2]} x {have[1]} "
                f"with {have[0]}; wire the latent that comes from the same instruction node, and the VAE of this model."
            )

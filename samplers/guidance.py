"""Dual guidance inside the host's sampling loop (section 3.2.1, equation 3).

The model is patched, so one piece of code serves the host's plain KSampler, third-party sampler nodes and our own guider, which is
the host's ``CFGGuider`` over such a model: ``cfg`` is the text scale. Each step the host asks for two predictions, ``[cond, uncond]``
(our ``D_c`` and ``D_I``); the patch adds ``D_0`` to the same batched call and, after ordinary guidance, what the engine's parts and the
image term change. Whatever else is hooked into the model therefore sees what a plain KSampler would show it.

A model with a one-pass adapter (``one_pass.attach``) is asked for one prediction, which is already guided; it stands for both of the two.
"""

import logging
from collections.abc import Hashable
from typing import Any

import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..ip2p.engine import Engine, Part, Step
from ..ip2p.guidance import Passes, Predictions, check_scale
from . import families, masking, one_pass
from .noise import independent_noise

KEY = "ip2p"
PARTS = "ip2p_parts"
"""Under this key the options of a MODEL hold its parts, by name."""
KINDS = (WrappersMP.OUTER_SAMPLE, WrappersMP.CALC_COND_BATCH, WrappersMP.SAMPLER_SAMPLE)
Conditioning = list[dict[str, Any]]
log = logging.getLogger(__name__)


def patch(model: ModelPatcher, image_scale: float) -> ModelPatcher:
    """A clone of ``model`` whose samplers do dual guidance, with ``cfg`` as the text scale. Patching again replaces the image scale."""
    families.check_model(model)
    guidance = DualGuidance(check_scale("image", image_scale), one_pass.is_attached(model))
    patched = unpatch(model)
    wrappers = (guidance.run, guidance.predict, independent_noise)
    for kind, wrapper in zip(KINDS, wrappers, strict=True):
        patched.add_wrapper_with_key(kind, KEY, wrapper)
    others = patched.model_options.get("sampler_post_cfg_function", [])
    patched.model_options["sampler_post_cfg_function"] = [guidance.finish, *others]
    masking.attach(patched)
    return patched


def unpatch(model: ModelPatcher) -> ModelPatcher:
    """A clone of ``model`` without our hooks; those of others stay."""
    plain = model.clone()
    masking.detach(plain)
    for kind in KINDS:
        plain.remove_wrappers_with_key(kind, KEY)
    hooks = plain.model_options.get("sampler_post_cfg_function", [])
    if any(_is_ours(hook) for hook in hooks):
        plain.model_options["sampler_post_cfg_function"] = [hook for hook in hooks if not _is_ours(hook)]
    return plain


def with_part(model: ModelPatcher, name: str, part: Part) -> ModelPatcher:
    """A clone of ``model`` that carries ``part`` under ``name``, in the place of an earlier one of that name.

    Every sampler asks it: the guider, dual guidance for any sampler, and, where there is neither, a plain KSampler (image scale 1).
    """
    guidance = guidance_of(model)
    carrying = model.clone() if guidance else patch(model, 1.0)
    carrying.model_options[PARTS] = {**parts_of(model), name: part}
    return carrying


def parts_of(model: ModelPatcher) -> dict[str, Part]:
    """The parts that a MODEL carries, by name."""
    return dict(model.model_options.get(PARTS, {}))


def guidance_of(model: ModelPatcher) -> "DualGuidance | None":
    """What guides a patched MODEL; None for one that is not patched."""
    hooks = model.model_options.get("sampler_post_cfg_function", [])
    return next((hook.__self__ for hook in hooks if _is_ours(hook)), None)


def last_run(guided: "ModelPatcher | comfy.samplers.CFGGuider") -> Engine:
    """The engine of the last sampling run of a patched MODEL or of a GUIDER: its counter, and its parts with what they found.

    Raises ValueError, in a sentence for the user, where there was none.
    """
    guidance = guidance_of(getattr(guided, "model_patcher", guided))
    if guidance is None or guidance.last is None:
        raise ValueError("Nothing has been sampled with this guidance yet; wire the latent of the sampler that uses it.")
    return guidance.last


def guider(
    model: ModelPatcher, positive: list, negative: list, text_scale: float = 7.5, image_scale: float = 1.5
) -> comfy.samplers.CFGGuider:
    """A GUIDER for the host's custom sampling: equation 3 over ``positive`` (``D_c``) and ``negative`` (``D_I`` and ``D_0``)."""
    dual = comfy.samplers.CFGGuider(patch(model, image_scale))
    families.check_pictures(model, positive, "positive")
    dual.set_conds(positive, negative)
    dual.set_cfg(check_scale("text", text_scale))
    return dual


def _is_ours(hook: Any) -> bool:
    return isinstance(getattr(hook, "__self__", None), DualGuidance)


class DualGuidance:
    """The three hooks of one patched model. The engine lasts for one sampling run, and stays to be asked until the next."""

    def __init__(self, image_scale: float, one_pass: bool = False) -> None:
        self.image_scale, self.one_pass = image_scale, one_pass
        self.last: Engine | None = None
        self._guider: comfy.samplers.CFGGuider | None = None
        self._engine = Engine()
        self._made: tuple[Tensor, Tensor] | None = None  # the step's noisy latent, to recognise it by, and D_0

    def run(self, executor: Any, noise: Tensor, latent: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Around a whole sampling run: check the conditionings, begin with a new engine, and let go of the run when it ends."""
        outer, self._guider = (self._guider, self._engine), executor.class_obj
        conds = executor.class_obj.conds
        families.hand_over(executor.class_obj.model_patcher, conds.get("positive", []), conds.get("negative", []))
        families.check_sizes(conds, noise)
        self.last = self._engine = Engine(tuple(executor.class_obj.model_options.get(PARTS, {}).values()))
        try:
            return executor(noise, latent, *args, **kwargs)
        finally:
            log.info("%s", self._engine.counted)
            (self._guider, self._engine), self._made = outer, None

    def predict(self, executor: Any, model: Any, conds: list, x: Tensor, sigma: Tensor, options: dict) -> list[Tensor]:
        """Around the host's batched prediction: put ``D_0`` into the same call, leave out what this step does not need.

        Only the main call of a step, with its two conditionings, is changed; further calls by other hooks pass through.
        """
        if len(conds) != 2 or conds[0] is None:
            return executor(model, conds, x, sigma, options)
        self._made = None
        text, image = conds
        if image is None and self._guider is not None:  # the host leaves it out at cfg 1
            image = self._guider.conds["negative"]
        text_scale = getattr(self._guider, "cfg", None)
        step = _step(model, text, image, x, sigma, options)
        if self.one_pass:
            return self._in_one(executor, model, step, text, sigma, options, text_scale)
        if image is None:
            return executor(model, conds, x, sigma, options)
        passes = self._engine.begin(step, 1.0 if text_scale is None else text_scale, self.image_scale, _watched(options, text_scale))
        found, rows = self._called(executor, model, passes, text, image, step, sigma, options)
        d_text, d_image, d_null = self._engine.complete(found, rows)
        self._made = x, d_null
        return [d_text, d_image]

    def _called(
        self, executor: Any, model: Any, passes: Passes, text: Conditioning, image: Conditioning, step: Step, sigma: Tensor, options: dict
    ) -> tuple[Predictions, int]:
        """The predictions that ``passes`` names, from one call of the network, and how many rows of the batch were computed."""
        options = {**options, "model_function_wrapper": _relabel(options.get("model_function_wrapper"))}
        null = [families.null_conditioning(model, image)] if passes.null else []
        told = [text if passes.text else None, image if passes.image else None, *null]
        rows = 1 if self._engine.rows_are_equal and torch.equal(step.x, step.x[:1].expand_as(step.x)) else len(step.x)
        out = [one.expand_as(step.x) for one in executor(model, told, step.x[:rows], sigma[:rows], options)]
        named = zip(passes, (*out, None), strict=False)
        return Predictions(*(one if wanted else None for wanted, one in named)), rows

    def _in_one(
        self, executor: Any, model: Any, step: Step, text: Conditioning, sigma: Tensor, options: dict, text_scale: float | None
    ) -> list[Tensor]:
        """The one pass of a network that knows both scales, for both of the host's predictions."""
        if text_scale is None:
            raise ValueError("This guider has no text scale (cfg); use the 'InstructPix2Pix guider', or take the one-pass adapter out.")
        scales = self._engine.begin_single(step, text_scale, self.image_scale)
        guided = executor(model, [text, None], step.x, sigma, one_pass.options_with(options, *scales))[0]
        d_text, d_image, d_null = self._engine.complete(Predictions(guided, None, None))
        self._made = step.x, d_null
        return [d_text, d_image.clone()]

    def finish(self, args: dict[str, Any]) -> Tensor:
        """After ordinary guidance ``D_I + s_T (D_c - D_I)``: what the engine's parts change about it, and the image term."""
        made, self._made = self._made, None
        if made is None or made[0] is not args["input"]:
            return args["denoised"]
        predictions = Predictions(args["cond_denoised"], args["uncond_denoised"], made[1])
        if not hasattr(self._guider, "cfg"):  # only the host knows the text scale then
            self._engine.used = self._engine.used._replace(text=args["cond_scale"])
        return self._engine.guided(predictions, args["denoised"], args["cond_scale"])


def _step(model: Any, text: Conditioning, image: Conditioning | None, x: Tensor, sigma: Tensor, options: dict) -> Step:
    """What the engine is told of a call of the denoiser."""
    told = [*text, *(image or [])]
    for hooks in (cond["hooks"] for cond in told if cond.get("hooks") is not None):
        # the host does the same for those it computes; keyframes count their steps, also where a pass is left out
        model.current_patcher.prepare_hook_patches_current_keyframe(sigma, hooks, options)
    level = sigma[0].cpu()
    progress, source = families.progress_of(model.model_sampling, float(level)), families.source(model, text, x)
    return Step(x, float(level), progress, tuple(_key(cond, level) for cond in told), source)


def _key(cond: dict[str, Any], sigma: Tensor) -> Hashable:
    """What may change from step to step about a conditioning: whether it and its ControlNets are in their range, and how strong its hooks
    are."""
    control, controls = cond.get("control"), []
    while control is not None:
        controls.append((id(control), _active(getattr(control, "timestep_range", None) or (None, None), sigma)))
        control = getattr(control, "previous_controlnet", None)
    strengths = tuple(hook.strength for hook in getattr(cond.get("hooks"), "hooks", ()))
    return cond.get("uuid"), _active((cond.get("timestep_start"), cond.get("timestep_end")), sigma), tuple(controls), strengths


def _active(levels: tuple[float | None, float | None], sigma: Tensor) -> bool:
    """Whether a range of noise levels holds at ``sigma``, as the host compares them: both ends are part of it."""
    start, end = levels
    return not (start is not None and bool(sigma > start)) and not (end is not None and bool(sigma < end))


def _watched(options: dict, text_scale: float | None) -> bool:
    """Whether other hooks may look at ``D_c`` and ``D_I``, which then must be there."""
    if text_scale is None:
        return True
    if text_scale == 1 and not options.get("disable_cfg1_optimization"):
        return False
    others = any(not _is_ours(hook) for hook in options.get("sampler_post_cfg_function", []))
    return others or bool(options.get("sampler_pre_cfg_function")) or "sampler_cfg_function" in options


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

"""A guider of the tests' own, with which our guidance is compared, and the host's features to compose with."""

import torch
from small_networks import FAMILIES, UNET, picture, text

SMALL = FAMILIES["SD 1.5"]
SCALES = (4.0, 1.5)
STEPS = 8
EVERY = [(1, 1), (2, 2), (4, 2)]


def given(latent):
    """Positive, negative and null conditioning of a picture; the third is what a user would wire for D_0."""
    return [
        [[words, {**options, "concat_latent_image": shown}] for words, options in text(SMALL, seed)]
        for seed, shown in ((1, latent), (2, latent), (2, torch.zeros_like(latent)))
    ]


def nothing(conditioning):
    """The conditioning with everything on it but its picture."""
    return [
        [words, {**options, "concat_latent_image": torch.zeros_like(options["concat_latent_image"])}] for words, options in conditioning
    ]


def plain_formula(x, sigma, text, terms):
    """Equation 3 from ``D_c`` and the two terms."""
    return text + (SCALES[0] - 1) * terms["text"] + (SCALES[1] - 1) * terms["image"]


def reference(model, told, every=(1, 1), state=lambda sigma: None, formula=plain_formula):
    """The host's guider with the host's own three predictions; terms are held as noise predictions until `state` of sigma changes, or
    sigma rises.

    Other packs' hooks are called as the host's `sampling_function` calls them, and see the whole guided result.
    """
    import comfy.samplers

    class Reference(comfy.samplers.CFGGuider):
        count, before, last, held = 0, None, 0.0, {}

        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006  the host's signature
            sigma = float(timestep[0])
            conds = [self.conds[name] for name in ("positive", "negative", "null")]
            text, image, null = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options)
            now = state(sigma)
            self.count = self.count + 1 if self.held and self.before == now and sigma <= self.last else 0
            self.before, self.last = now, sigma
            fresh = {"image": (image - null) / sigma, "text": (text - image) / sigma}
            due = {"image": self.count % every[0] == 0, "text": self.count % every[0] == 0 or self.count % every[1] == 0}
            self.held = self.held | {name: fresh[name] for name in fresh if due[name]}
            image = text - sigma * self.held["text"]
            null = image - sigma * self.held["image"]
            return self.hooked(conds, x, timestep, text, image, null, model_options)

        def hooked(self, conds, x, timestep, text, image, null, options):
            shared = {"input": x, "sigma": timestep, "model": self.inner_model, "model_options": options, "cond_scale": SCALES[0]}
            for change in options.get("sampler_pre_cfg_function", []):
                text, image, *_ = change({**shared, "conds": conds[:2], "conds_out": [text, image], "timestep": timestep})
            terms = {"text": text - image, "image": image - null}
            guided = formula(x, float(timestep[0]), text, terms)
            if "sampler_cfg_function" in options:
                args = {**shared, "cond": x - text, "uncond": x - image, "cond_denoised": text, "uncond_denoised": image}
                guided = x - options["sampler_cfg_function"]({**args, "timestep": timestep}) + (SCALES[1] - 1) * terms["image"]
            for change in options.get("sampler_post_cfg_function", []):
                found = {"denoised": guided, "cond_denoised": text, "uncond_denoised": image, "cond": conds[0], "uncond": conds[1]}
                guided = change({**shared, **found})
            return guided

    guider = Reference(model)
    guider.inner_set_conds(dict(zip(("positive", "negative", "null"), told, strict=True)))
    return guider


def small_control(**more):
    """A small random ControlNet of the host's classes."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops

    config = {name: value for name, value in (UNET | more).items() if name not in ("out_channels", "transformer_depth_output")}
    network = comfy.cldm.cldm.ControlNet(
        **config, in_channels=4, hint_channels=3, dtype=torch.float32, device="cpu", operations=comfy.ops.manual_cast
    )
    draw = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.08)
    return comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))


def controlled(call, told, start, end):
    """Conditionings with that ControlNet in a part of the run."""
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(6))
    shared = {"control_net": small_control(), "image": hint, "strength": 1.0, "start_percent": start, "end_percent": end}
    positive, negative = call("ControlNetApplyAdvanced", positive=told[0], negative=told[1], **shared)
    return [positive, negative, nothing(negative)]


def halved(call, told):
    """Conditionings that are told different things in two halves, by masks."""
    mask = torch.zeros(1, 64, 64)
    mask[..., :40] = 1
    masked = []
    for one, other in zip(told[:2], (told[1], told[0]), strict=True):
        (left,) = call("ConditioningSetMask", conditioning=one, mask=mask, strength=1.0, set_cond_area="default")
        (right,) = call("ConditioningSetMask", conditioning=other, mask=1 - mask, strength=0.8, set_cond_area="default")
        masked.append(call("ConditioningCombine", conditioning_1=left, conditioning_2=right)[0])
    return [*masked, nothing(masked[1])]


def lora(model, size=3.0):
    """A LoRA of one attention layer, by the host's generic names."""
    name = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v"
    rows, columns = model.model.get_submodule(name).weight.shape
    draw = torch.Generator().manual_seed(12)
    up, down = torch.randn(rows, 2, generator=draw) * size, torch.randn(2, columns, generator=draw) * size
    return {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}


def hooked(call, model, told, frames, which=(0, 1, 2)):
    """Conditionings with a LoRA hook whose strength follows keyframes of (percent, strength)."""
    import comfy.hooks

    hooks = comfy.hooks.create_hook_lora(lora=lora(model), strength_model=1.0, strength_clip=0.0)
    keyframes = None
    for percent, strength in frames:
        (keyframes,) = call("CreateHookKeyframe", strength_mult=strength, start_percent=percent, prev_hook_kf=keyframes)
    (hooks,) = call("SetHookKeyframes", hooks=hooks, hook_kf=keyframes)
    return [comfy.hooks.set_hooks_for_conditioning(one, hooks) if k in which else one for k, one in enumerate(told)]


def plainly_masked(model):
    """A clone with another pack's say about masks, which stays: a mask as it is in every step."""
    clone = model.clone()
    clone.set_model_denoise_mask_function(lambda sigma, mask, extra_options: mask)
    return clone


def start(rows=2):
    """An empty latent for so many pictures."""
    return torch.zeros_like(picture(SMALL, rows=rows))

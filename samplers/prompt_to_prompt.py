"""Pairs of pictures from pairs of captions under the host's samplers: any SAMPLER and SIGMAS, the host's memory, progress and previews."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import text
from ..ip2p.guidance import check_scale
from ..ip2p.ids import seed_of
from ..ip2p.pairs.draws import Sample, Settings
from ..ip2p.pairs.prompt_to_prompt_control import Control, PromptToPrompt
from ..ip2p.pairs.prompt_to_prompt_words import Words, grouped
from . import conditioning, guidance
from .edit import Callback, native_size
from .noise import initial, seeded
from .prompt_to_prompt_patch import CAPTIONS, check_model, hooks_of, patch

Keep = Callable[[int, int, Tensor], Sequence[int] | None]


def paint_in_host(
    model: ModelPatcher,
    clip: Any,
    vae: Any,
    samples: Sequence[Sample],
    settings: Settings,
    edit: PromptToPrompt,
    sampler: Any,
    sigmas: Tensor,
    callback: Callback | None = None,
    keep: Keep | None = None,
    keep_at: int = 0,
) -> Tensor:
    """Pairs (N, 2, H, W, 3) in [0, 1] of the samples' captions, before and after, in one batch of 2 N rows.

    Each sample has its own captions, seed, share ``p`` and guidance scale; of ``settings`` only the size is read (0: the model's own), as
    ``sampler`` and ``sigmas`` say the rest. ``keep`` is asked once, after ``keep_at`` steps, and told (steps done, steps in all, denoised
    latents (2 n, 4, h, w) on the VAE's scale); pairs whose places it leaves out of its answer are dropped. Samplers that remember earlier
    steps begin anew there. Raises ValueError, in a sentence for the user, and the host's exception on cancel.
    """
    check(model, clip, samples)
    conditioning.check_vae(vae)
    painting = _Painting(model, clip, samples, settings, edit, sigmas, callback)
    middle = keep_at if keep and 0 < keep_at < len(sigmas) - 1 else 0
    if middle:
        painting.sample(sampler, 0, middle)
        chosen = keep(middle, len(sigmas) - 1, painting.denoised) if keep else None
        painting.narrow(range(len(painting.samples)) if chosen is None else chosen)
    if not painting.samples:
        side = settings.size or native_size(model)
        return torch.zeros(0, 2, side, side, 3)
    painting.sample(sampler, middle, len(sigmas) - 1)
    return conditioning.decode(vae, painting.latent).unflatten(0, (-1, 2))


def paired(
    model: ModelPatcher, clip: Any, latent: dict[str, Any], before: str, after: str, edit: PromptToPrompt, share: float
) -> tuple[ModelPatcher, conditioning.Conditioning, dict[str, Any]]:
    """MODEL, positive CONDITIONING and LATENT that make any sampler paint pairs of two captions, one for each row of ``latent``.

    ``share``, 0 to 1, is for how much of the steps self-attention is shared. Raises ValueError, in a sentence for the user.
    """
    check_model(model)
    conditioning.check_clip(clip)
    captions = [(before, after)]
    return patch(model, control_of(clip, edit, [share], captions)), pair_conditioning(clip, captions), doubled(latent)


def check(model: ModelPatcher | None, clip: Any, samples: Sequence[Sample]) -> None:
    """Raise ValueError, in a sentence for the user, where nothing can be painted."""
    check_model(model)
    conditioning.check_clip(clip)
    if not samples:
        raise ValueError("There is nothing to paint; give at least one sample.")
    for sample in samples:
        check_scale("guidance", sample.guidance)


class _Painting:
    """One batch on its way: the pairs that are left, their latents (2 n, C, h, w), and what the last step made of them."""

    def __init__(
        self,
        model: ModelPatcher,
        clip: Any,
        samples: Sequence[Sample],
        settings: Settings,
        edit: PromptToPrompt,
        sigmas: Tensor,
        callback: Callback | None,
    ) -> None:
        self.model, self.clip, self.samples, self.sigmas, self.callback = guidance.unpatch(model), clip, list(samples), sigmas, callback
        captions = captions_of(samples)
        self.control = control_of(clip, edit, [sample.p for sample in samples], captions)
        side = (settings.size or native_size(model)) // 8
        empty = torch.zeros(2 * len(samples), 4, side, side, device=comfy.model_management.intermediate_device())
        self.latent = comfy.sample.fix_empty_latent_channels(model, empty)
        self.denoised = self.latent

    def sample(self, sampler: Any, start: int, end: int) -> None:
        """Go from one step of the schedule to another."""
        patched = patch(self.model, self.control, self.sigmas)
        seeds = [sample.seed if start == 0 else seed_of(sample.seed, "after", start) for sample in self.samples for _ in (0, 1)]
        noise = initial(self.latent, seeds) if start == 0 else torch.zeros_like(self.latent)
        guider = RowScales(patched, [sample.guidance for sample in self.samples for _ in (0, 1)])
        guider.set_conds(pair_conditioning(self.clip, captions_of(self.samples)), conditioning.encode_text(self.clip, ""))
        self.latent = guider.sample(
            noise,
            self.latent,
            seeded(sampler, seeds),
            self.sigmas[start : end + 1],
            callback=self._told(start),
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=seeds[0],
        )
        self.control = hooks_of(patched).control

    def _told(self, start: int) -> Callback:
        """Progress over the whole schedule, keeping what is denoised so far."""
        steps = len(self.sigmas) - 1
        onward = self.callback or latent_preview.prepare_callback(self.model, steps)

        def told(step: int, denoised: Tensor, x: Tensor, _: int) -> None:
            self.denoised = self.model.model.process_latent_out(denoised.float())
            onward(start + step, denoised, x, steps)

        return told

    def narrow(self, chosen: Sequence[int]) -> None:
        """Go on with some of the pairs."""
        chosen = list(chosen)
        self.samples, self.control = [self.samples[index] for index in chosen], self.control.kept(chosen)
        self.latent = self.latent.unflatten(0, (-1, 2))[chosen].flatten(0, 1)


class RowScales(comfy.samplers.CFGGuider):
    """Classifier-free guidance with a scale for each row of the batch."""

    def __init__(self, model: ModelPatcher, scales: Sequence[float]) -> None:
        super().__init__(model)
        self.scales = torch.tensor(scales)

    def predict_noise(self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] | None = None, seed: int | None = None) -> Tensor:
        """The host's sampling function, for scales that are no single number."""
        options = model_options or {}
        told = {"conds": [self.conds["positive"], self.conds["negative"]]}
        out = comfy.samplers.calc_cond_batch(self.inner_model, told["conds"], x, timestep, options)
        shared = {"timestep": timestep, "input": x, "sigma": timestep, "model": self.inner_model, "model_options": options}
        scales = self.scales.to(x).view(-1, *[1] * (x.ndim - 1))
        for change in options.get("sampler_pre_cfg_function", []):
            out = change({**told, **shared, "conds_out": out, "cond_scale": scales})
        cond, uncond = told["conds"]
        guided: Tensor = comfy.samplers.cfg_function(
            self.inner_model, out[0], out[1], scales, x, timestep, model_options=options, cond=cond, uncond=uncond
        )
        return guided


def captions_of(samples: Sequence[Sample]) -> list[tuple[str, str]]:
    """Both captions of each sample."""
    return [(sample.triplet.caption, sample.triplet.edited_caption) for sample in samples]


def control_of(clip: Any, edit: PromptToPrompt, p: Sequence[float], captions: Sequence[tuple[str, str]]) -> Control:
    """What happens to the attention of pairs with these shares and captions, as this text encoder reads them.

    Raises ValueError, in a sentence for the user, for words that a caption lacks, or that this encoder doesn't know by CLIP's tokens.
    """
    if not edit.edits_words and not edit.blend:
        return Control.of(edit, p, [])
    words = {caption: words_of(clip, caption) for pair in captions for caption in pair}
    return Control.of(edit, p, [(words[before], words[after]) for before, after in captions])


def words_of(clip: Any, caption: str) -> Words:
    """The words of a caption where the host's text encoder puts them: 77 tokens a chunk, each with its own begin and end."""
    tokens = clip.tokenize(caption)
    chunks = tokens.get("l") or next(iter(tokens.values()))
    begin, end = text.tokenizer().bos_token_id, text.tokenizer().eos_token_id
    ids: list[int] = []
    places: list[int] = []
    for number, chunk in enumerate(chunks):
        known = [_id_of(one) for one, *_ in chunk]
        if known[0] != begin or end not in known:
            raise ValueError("This text encoder doesn't read CLIP's words; use the mode 'self' without blend words.")
        length = known.index(end) + 1
        ids += known[:length]
        places += range(number * len(chunk), number * len(chunk) + length)
    return grouped(ids, places, sum(len(chunk) for chunk in chunks))


def _id_of(token: Any) -> int:
    """A token's id; of a textual inversion, which is a vector and has none, a number below 0 that stands for its values."""
    return token if isinstance(token, int) else -1 - seed_of(str(token.tolist()))


def pair_conditioning(clip: Any, captions: Sequence[tuple[str, str]]) -> conditioning.Conditioning:
    """One CONDITIONING whose rows are the captions of pairs, before and after in turn; shorter texts are repeated to the same length."""
    encoded = {caption: conditioning.encode_text(clip, caption) for pair in captions for caption in pair}
    rows = [encoded[caption] for pair in captions for caption in pair]
    entries = [_batched(entry) for entry in zip(*rows, strict=True)]  # several only where a LoRA on the encoder follows a schedule
    return [[context, {**options, CAPTIONS: True}] for context, options in entries]


def _batched(rows: Sequence[list[Any]]) -> list[Any]:
    length = math.lcm(*(context.shape[1] for context, _ in rows))
    context = torch.cat([context.repeat(1, length // context.shape[1], 1) for context, _ in rows])
    options = dict(rows[0][1])
    if options.get("pooled_output") is not None:
        options["pooled_output"] = torch.cat([row["pooled_output"] for _, row in rows])
    return [context, options]


def doubled(latent: dict[str, Any]) -> dict[str, Any]:
    """A LATENT with two rows for each of its own, which share the noise that they start from."""
    samples = latent["samples"]
    numbers = latent.get("batch_index") or range(len(samples))
    pairs = {**latent, "samples": samples.repeat_interleave(2, dim=0), "batch_index": [number for number in numbers for _ in (0, 1)]}
    if "noise_mask" in latent and len(latent["noise_mask"]) == len(samples):
        pairs["noise_mask"] = latent["noise_mask"].repeat_interleave(2, dim=0)
    return pairs

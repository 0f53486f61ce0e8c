"""Pairs of pictures from pairs of captions, many at once (Brooks et al. 2022, section 3.1.2 and appendix A.2), without a host."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .. import guidance, one_pass, sampling, text
from ..engine import Engine, Part, Step
from ..guidance import Passes, Predictions, Scales
from ..latent_model import LatentModel, check
from ..sampling import Conditions, Denoise, OnStep, Text
from ..text_to_image import TextToImage
from .draws import Sample, Settings
from .prompt_to_prompt_control import Control, PromptToPrompt
from .prompt_to_prompt_unet import Ask, asked
from .prompt_to_prompt_words import words_of

Keep = Callable[[int, int, Tensor], Sequence[int] | None]
"""Told (steps done, steps in all, denoised latents (2 n, 4, h, w)); answers which of the n pairs go on, by their places, None: all."""
SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "euler": lambda denoise, x, sigmas, _, on_step: sampling.euler(denoise, x, sigmas, on_step),
    "euler_ancestral": sampling.euler_ancestral,
}


@torch.no_grad()
def paint(
    model: TextToImage,
    samples: Sequence[Sample],
    settings: Settings | None = None,
    edit: PromptToPrompt | None = None,
    on_step: OnStep | None = None,
    keep: Keep | None = None,
) -> Tensor:
    """Pairs (N, 2, H, W, 3) in [0, 1] of the samples' captions, before and after, all in one batch.

    Each sample has its own captions, seed, share ``p`` and guidance scale; the two pictures of a pair share the initial noise and that of
    every step. ``settings`` say how many steps, of which sampler, and the size. ``keep`` is asked after every step but the last; pairs
    that it leaves out are dropped, and the result has those that are left. Raises ValueError with one sentence.
    """
    settings, edit = settings or Settings(), edit or PromptToPrompt()
    _check(model, samples, settings)
    run = _Run(model, samples, settings, edit)
    with asked(model.unet) as ask:
        x = run.sampled(ask, on_step, keep)
    side = run.side
    pictures = model.decode(x) if len(x) else x.new_zeros(0, side, side, 3)
    return pictures.unflatten(0, (-1, 2)) if len(x) else pictures[:, None].expand(0, 2, side, side, 3)


def _check(model: TextToImage, samples: Sequence[Sample], settings: Settings) -> None:
    if not samples:
        raise ValueError("There is nothing to paint; give at least one sample.")
    if one_pass.is_adapted(model.unet):
        raise ValueError("A one-pass adapter can't paint pairs; load the text-to-image model without it.")
    for sample in samples:
        guidance.check_scale("guidance", sample.guidance)
        check(settings.steps, sample.seed, sample.guidance, 1.0, settings.size or model.size, settings.sampler)
        if not 0 <= sample.p <= 1:
            raise ValueError(f"The share of attention p is {sample.p}; use a number from 0 to 1.")


class _Run:
    """The state of one batch: its latents' noise, its texts and its control, all of the pairs that are still under way."""

    def __init__(self, model: LatentModel, samples: Sequence[Sample], settings: Settings, edit: PromptToPrompt) -> None:
        self.model, self.settings = model, settings
        self.side = settings.size or model.size
        self.device = next(model.unet.parameters()).device
        shape = (1, 4, self.side // 8, self.side // 8)
        self.streams = [sampling.noise_stream(shape, sample.seed) for sample in samples]
        self.scales = torch.tensor([sample.guidance for sample in samples])
        captions = [caption for sample in samples for caption in (sample.triplet.caption, sample.triplet.edited_caption)]
        encoded = {caption: text.encode(model.encoders, caption) for caption in dict.fromkeys(captions)}
        self.texts = [encoded[caption] for caption in captions]
        self.negative = text.encode(model.encoders, "")
        words = [words_of(caption) for caption in captions]
        self.control = Control.of(edit, [sample.p for sample in samples], list(zip(words[::2], words[1::2], strict=True)))

    def sampled(self, ask: Ask, on_step: OnStep | None, keep: Keep | None) -> Tensor:
        """The latents (2 n, 4, h, w) at the end, of the pairs that are left."""
        schedule, steps = self.model.schedule(self.settings.steps), self.settings.steps
        x, denoise = self.noise().to(self.device) * schedule[0], self.denoiser(ask)
        for i in range(steps):
            self.step = i
            x, denoised = self.stepped(denoise, x, schedule[i : i + 2])
            if on_step:
                on_step(i + 1, steps, denoised)
            chosen = keep(i + 1, steps, denoised) if keep and i + 1 < steps else None
            if chosen is not None:
                self.narrow(chosen)
                x = x.unflatten(0, (-1, 2))[list(chosen)].flatten(0, 1)
                if not len(x):
                    break
                denoise = self.denoiser(ask)
        return x

    def stepped(self, denoise: Denoise, x: Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
        """The latent after the step between two sigmas, and the denoised latent at its beginning."""
        seen: list[Tensor] = []
        x = SAMPLERS[self.settings.sampler](denoise, x, sigmas, self.noise, lambda *told: seen.append(told[-1]))
        return x, seen[0]

    def noise(self) -> Tensor:
        """(2 n, 4, h, w) from every pair's own stream, the same for both of its pictures."""
        return torch.cat([stream() for stream in self.streams]).repeat_interleave(2, dim=0)

    def narrow(self, chosen: Sequence[int]) -> None:
        """Go on with some of the pairs."""
        self.streams = [self.streams[index] for index in chosen]
        self.scales = self.scales[list(chosen)]
        self.texts = [self.texts[2 * index + side] for index in chosen for side in (0, 1)]
        self.control = self.control.kept(chosen)

    def denoiser(self, ask: Ask) -> Denoise:
        """The network with each row's own text and guidance scale, and with its attention under control."""
        rows = len(self.texts)
        image = torch.zeros(rows, 4, self.side // 8, self.side // 8, device=self.device)
        pooled = [one.pooled for one in self.texts if one.pooled is not None]
        told = Text(torch.cat([one.context for one in self.texts]), torch.cat(pooled) if pooled else None)
        return self.model.denoiser(Conditions(told, self.negative.expand(rows), image), 1.0, 1.0, Engine([_Pairs(self, ask)]))


class _Pairs(Part):
    """Each pair's own scale, and word to the attention layers of what every network call is made of."""

    order = 100  # sees the passes that are left when all other parts have spoken

    def __init__(self, run: _Run, ask: Ask) -> None:
        self.run, self.ask = run, ask

    def scales(self, step: Step, scales: Scales) -> Scales:
        rows = self.run.scales.repeat_interleave(2).view(-1, 1, 1, 1).to(step.x)
        return scales._replace(text=rows)

    def computes(self, step: Step, passes: Passes) -> Passes:
        conditional = [name == "text" for name, wanted in zip(Passes._fields, passes, strict=True) if wanted]
        self.ask.call = self.run.control.call(self.run.step, self.run.settings.steps, conditional)
        return passes

    def after(self, step: Step, predictions: Predictions, guided: Tensor) -> Tensor:
        return self.run.control.blended(guided, self.run.step, self.run.settings.steps)

"""The paper's objective (section 3.2): predict the noise in an edited latent from the photo's latent and the instruction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..noising import SCALE, add_noise, dropout_masks
from ..sigmas import alphas_cumprod

STEPS = 1000
EPSILON, V_PREDICTION = "epsilon", "v_prediction"
Predict = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(z_t, t, text, image_latent) -> prediction."""


@dataclass(frozen=True)
class Draws:
    """All chance of a batch of B samples: timesteps ``t`` (B,) int64 in 0..999, standard normal ``noise`` and ``posterior`` (B, 4, h, w),
    and ``r`` (B,), uniform in [0, 1), for the dropout of conditionings (1 or more: nothing is dropped)."""

    t: Tensor
    noise: Tensor
    posterior: Tensor
    r: Tensor

    @classmethod
    def of(cls, shape: Sequence[int], generator: torch.Generator, offset: float = 0.0) -> "Draws":
        """Draws for latents of a shape (B, 4, h, w); for one sample with chance of its own, B is 1 (see `join`).

        ``offset`` times a normal number for each channel is added to its noise everywhere (offset noise): else the mean of a small
        latent's noise tells the network which colours the picture has.
        """
        posterior = torch.randn(*shape, generator=generator)
        t = torch.randint(STEPS, (shape[0],), generator=generator)
        noise = torch.randn(*shape, generator=generator)
        r = torch.rand(shape[0], generator=generator)
        if offset:
            noise = noise + offset * torch.randn(*shape[:2], 1, 1, generator=generator)
        return cls(t, noise, posterior, r)

    @classmethod
    def join(cls, draws: Sequence["Draws"]) -> "Draws":
        """Several samples' draws as one batch, in order."""
        return cls(*(torch.cat([getattr(one, part.name) for one in draws]) for part in fields(cls)))


@dataclass(frozen=True)
class Batch:
    """B training samples.

    ``mean`` and ``deviation`` (B, 4, h, w) of the edited picture's posterior and ``image`` (B, 4, h, w), the mode of the source's, all
    unscaled; ``text`` (B, T, C) and ``empty`` (1, T, C), the states of the instructions and of the empty text; ``ids``, which samples
    they are, for messages; ``weight`` (B, 1, h, w), weights of the positions with mean 1, or none.
    """

    mean: Tensor
    deviation: Tensor
    image: Tensor
    text: Tensor
    empty: Tensor
    draws: Draws
    ids: tuple[str, ...] = ()
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch with every tensor on a device."""
        draws: Any = replace(self.draws, **_moved(self.draws, device))
        return replace(self, draws=draws, **_moved(self, device))


def _moved(owner: Any, device: torch.device | str) -> dict[str, Any]:
    values = {part.name: getattr(owner, part.name) for part in fields(owner)}
    return {name: value.to(device, non_blocking=True) for name, value in values.items() if isinstance(value, Tensor)}


def target_latent(batch: Batch) -> Tensor:
    """A draw from the edited picture's posterior, times 0.18215: what is noised and learned (B, 4, h, w)."""
    return SCALE * (batch.mean + batch.deviation * batch.draws.posterior)


def conditioned(batch: Batch) -> tuple[Tensor, Tensor]:
    """(text, image) after dropout by ``draws.r``: the empty text for r < 0.10, the zero latent for 0.05 <= r < 0.15 (section 3.2.1)."""
    drop_text, drop_image = dropout_masks(batch.draws.r)
    text = torch.where(drop_text.view(-1, 1, 1), batch.empty, batch.text)
    return text, torch.where(drop_image.view(-1, 1, 1, 1), torch.zeros((), device=batch.image.device), batch.image)


def goal(latent: Tensor, noise: Tensor, t: Tensor, prediction: str = EPSILON) -> Tensor:
    """What the network should say: the noise, or ``v = sqrt(a_t) noise - sqrt(1 - a_t) latent`` (Salimans and Ho 2022, appendix D).

    ``latent`` is scaled. Raises ValueError for another `prediction`.
    """
    if prediction == EPSILON:
        return noise
    if prediction != V_PREDICTION:
        raise ValueError(f"The prediction type {prediction!r} can't be trained: use a base model that predicts epsilon or v_prediction.")
    return add_noise(noise, -latent, t)


def snr_weight(t: Tensor, gamma: float, prediction: str = EPSILON) -> Tensor:
    """Min-SNR's weight (B,) at timesteps (B,), float32 (Hang et al. 2023, section 3.4); ones for gamma 0.

    min(SNR, gamma) / SNR where the noise is predicted, min(SNR, gamma) / (SNR + 1) where v is: either way the error of the latent
    weighs min(SNR, gamma).
    """
    if not gamma:
        return torch.ones(t.shape, device=t.device)
    a = alphas_cumprod()[t.cpu()].float().to(t.device)
    snr = a / (1 - a)
    return snr.clamp(max=gamma) / (snr if prediction == EPSILON else snr + 1)


def losses(predict: Predict, batch: Batch, gamma: float = 0.0, prediction: str = EPSILON) -> Tensor:
    """The weighted mean squared error of each sample (B,), float32; the batch's loss is their mean."""
    latent, draws = target_latent(batch), batch.draws
    text, image = conditioned(batch)
    wanted = goal(latent, draws.noise, draws.t, prediction)
    error = (predict(add_noise(latent, draws.noise, draws.t), draws.t, text, image).float() - wanted).pow(2)
    if batch.weight is not None:
        error = error * batch.weight
    return error.mean((1, 2, 3)) * snr_weight(draws.t, gamma, prediction)

"""Ancestral noise that is independent of the initial noise, and the same for each row of a batch as that row would get alone."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from comfy.k_diffusion.sampling import default_noise_sampler
from torch import Tensor

NoiseSampler = Callable[[Tensor, Tensor], Tensor]
ROW_SEEDS = "ip2p_row_seeds"
"""Under this name a sampler carries the seeds of its rows, where they are not all that of the run."""
ALONE = ("dpm_adaptive", "ddim")
"""Samplers that draw no noise of their own but whose rows still depend on each other: by their step size, or in masked edits."""


def independent_noise(executor: Any, guider: Any, sigmas: Tensor, extra_args: dict, callback: Any, noise: Tensor, *args: Any) -> Tensor:
    """Around the host's sampler: mend its ancestral noise where it needs mending, and leave it alone elsewhere.

    Two cases. On the CPU some versions of the host draw the initial and the first ancestral noise from one seed, so that they are
    equal; the seed is then moved on by one. And where the rows of a batch have seeds of their own (:func:`seeded`), or start from equal
    noise, as the instruction node asks for several pictures, ancestral samplers give each row the later noise of its seed: a batch then
    equals single runs.
    """
    seed = extra_args.get("seed")
    if seed is None:
        return executor(guider, sigmas, extra_args, callback, noise, *args)
    sampler = executor.class_obj
    seeds = getattr(sampler, ROW_SEEDS, None) or ([seed] * len(noise) if torch.equal(noise, noise[:1].expand_as(noise)) else None)
    extra_args = {**extra_args, "seed": _mended(noise, seed)}
    if seeds and len(noise) > 1 and _is_ancestral(sampler):
        sampler = copy.copy(sampler)
        own = [_mended(row[None], one) for row, one in zip(noise, seeds, strict=True)]
        sampler.extra_options = {**sampler.extra_options, "noise_sampler": _by_row(noise, own)}
        return sampler.sample(guider, sigmas, extra_args, callback, noise, *args)
    return executor(guider, sigmas, extra_args, callback, noise, *args)


def seeded(sampler: Any, seeds: Sequence[int]) -> Any:
    """A copy of the host's sampler that draws the noise of each row from a seed of its own."""
    sampler = copy.copy(sampler)
    setattr(sampler, ROW_SEEDS, list(seeds))
    return sampler


def initial(latent: Tensor, seeds: Sequence[int]) -> Tensor:
    """The noise (B, C, H, W) that each row would start from alone, from the host's own generator."""
    drawn = {seed: comfy.sample.prepare_noise(latent[:1], seed) for seed in dict.fromkeys(seeds)}
    return torch.cat([drawn[seed] for seed in seeds])


def independent_rows(name: str) -> bool:
    """Whether rows of one batch come out as they would alone, given :func:`seeded`; else they have to be sampled one after another."""
    sampler = comfy.samplers.sampler_object(name)
    return name not in ALONE and (_is_ancestral(sampler) or "noise_sampler" not in inspect.signature(sampler.sampler_function).parameters)


def _mended(noise: Tensor, seed: int) -> int:
    """The seed, moved on by one where the host's first ancestral noise would be the initial noise again, told by its first numbers."""
    unset = torch.zeros((), device=noise.device)
    first = default_noise_sampler(noise, seed=seed)(unset, unset)
    return seed + torch.equal(first.flatten()[:16], noise.flatten()[:16])


def _is_ancestral(sampler: Any) -> bool:
    """Whether the sampler draws plain Gaussian noise at each step and nobody has chosen that noise already."""
    function = getattr(sampler, "sampler_function", None)
    name = getattr(function, "__name__", "")
    takes_noise = function is not None and "noise_sampler" in inspect.signature(function).parameters
    return takes_noise and ("ancestral" in name or name in ("sample_lcm", "sample_ddpm")) and "noise_sampler" not in sampler.extra_options


def _by_row(noise: Tensor, seeds: Sequence[int]) -> NoiseSampler:
    """One stream for each distinct seed; rows of one seed get the same noise."""
    streams = {seed: default_noise_sampler(noise[:1], seed=seed) for seed in dict.fromkeys(seeds)}

    def draw(sigma: Tensor, following: Tensor) -> Tensor:
        drawn = {seed: stream(sigma, following) for seed, stream in streams.items()}
        return torch.cat([drawn[seed] for seed in seeds])

    return draw

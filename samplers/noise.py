"""Ancestral noise that is independent of the initial noise, and the same for pictures that start from the same noise."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from comfy.k_diffusion.sampling import default_noise_sampler
from torch import Tensor

NoiseSampler = Callable[[Tensor, Tensor], Tensor]


def independent_noise(executor: Any, guider: Any, sigmas: Tensor, extra_args: dict, callback: Any, noise: Tensor, *args: Any) -> Tensor:
    """Around the host's sampler: mend its ancestral noise where it needs mending, and leave it alone elsewhere.

    Two cases. On the CPU some versions of the host draw the initial and the first ancestral noise from one seed, so that they are
    equal; the seed is then moved on by one. And where the rows of a batch start from equal noise, as the instruction node asks for several
    pictures, ancestral samplers give each row the same later noise too: a batch then equals single runs.
    """
    seed = extra_args.get("seed")
    if seed is None:
        return executor(guider, sigmas, extra_args, callback, noise, *args)
    if _repeats(noise, seed):
        seed += 1
        extra_args = {**extra_args, "seed": seed}
    sampler = executor.class_obj
    if len(noise) > 1 and torch.equal(noise, noise[:1].expand_as(noise)) and _is_ancestral(sampler):
        sampler = copy.copy(sampler)
        sampler.extra_options = {**sampler.extra_options, "noise_sampler": _shared(noise, seed)}
        return sampler.sample(guider, sigmas, extra_args, callback, noise, *args)
    return executor(guider, sigmas, extra_args, callback, noise, *args)


def _repeats(noise: Tensor, seed: int) -> bool:
    """Whether the host's first ancestral noise would be the initial noise again, told by its first sixteen numbers."""
    unset = torch.zeros((), device=noise.device)
    first = default_noise_sampler(noise, seed=seed)(unset, unset)
    return torch.equal(first.flatten()[:16], noise.flatten()[:16])


def _is_ancestral(sampler: Any) -> bool:
    """Whether the sampler draws plain Gaussian noise at each step and nobody has chosen that noise already."""
    function = getattr(sampler, "sampler_function", None)
    name = getattr(function, "__name__", "")
    takes_noise = function is not None and "noise_sampler" in inspect.signature(function).parameters
    return takes_noise and ("ancestral" in name or name in ("sample_lcm", "sample_ddpm")) and "noise_sampler" not in sampler.extra_options


def _shared(noise: Tensor, seed: int) -> NoiseSampler:
    one = default_noise_sampler(noise[:1], seed=seed)
    return lambda sigma, sigma_next: one(sigma, sigma_next).expand_as(noise)

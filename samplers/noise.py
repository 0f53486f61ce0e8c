"""Ancestral noise that is independent of the initial noise, and the same for each row of a batch as that row would get alone."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from comfy.k_diffusion.sampling import BrownianTreeNoiseSampler, default_noise_sampler
from comfy.patcher_extension import WrapperExecutor
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
    noise, as the instruction node asks for several pictures, samplers that draw noise give each row the later noise of its seed: a batch
    then equals single runs.
    """
    seed = extra_args.get("seed")
    if seed is None:
        return executor(guider, sigmas, extra_args, callback, noise, *args)
    sampler = executor.class_obj
    seeds = getattr(sampler, ROW_SEEDS, None) or ([seed] * len(noise) if torch.equal(noise, noise[:1].expand_as(noise)) else None)
    extra_args = {**extra_args, "seed": _mended(noise, seed)}
    if seeds and len(noise) > 1 and _draws(sampler):
        executor = _going_on(executor, _with_noise(sampler, _by_row(sampler, noise, seeds, sigmas)))
    return executor(guider, sigmas, extra_args, callback, noise, *args)


def paired_noise(executor: Any, guider: Any, sigmas: Tensor, extra_args: dict, callback: Any, noise: Tensor, *args: Any) -> Tensor:
    """The same for a batch whose rows 2n and 2n + 1 are a pair: what noise the sampler draws, both rows of a pair get alike."""
    seed, sampler = extra_args.get("seed"), executor.class_obj
    if seed is None or getattr(sampler, ROW_SEEDS, None) or not _draws(sampler):
        return independent_noise(executor, guider, sigmas, extra_args, callback, noise, *args)
    firsts = _stream(sampler, noise[::2], seed, sigmas)
    executor = _going_on(executor, _with_noise(sampler, lambda *sigma: firsts(*sigma).repeat_interleave(2, dim=0)))
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
    return name not in ALONE and (_draws(sampler) or not _takes_noise(sampler))


def _mended(noise: Tensor, seed: int) -> int:
    """The seed, moved on by one where the host's first ancestral noise would be the initial noise again, told by its first numbers."""
    unset = torch.zeros((), device=noise.device)
    first = default_noise_sampler(noise, seed=seed)(unset, unset)
    return seed + torch.equal(first.flatten()[:16], noise.flatten()[:16])


def _takes_noise(sampler: Any) -> bool:
    function = getattr(sampler, "sampler_function", None)
    return function is not None and "noise_sampler" in inspect.signature(function).parameters


def _draws(sampler: Any) -> bool:
    """Whether the sampler draws noise at each step in a way that is known here, and nobody has chosen that noise already."""
    if not _takes_noise(sampler) or "noise_sampler" in sampler.extra_options:
        return False
    function = sampler.sampler_function
    return function.__module__ == default_noise_sampler.__module__ or "ancestral" in function.__name__


def _stream(sampler: Any, noise: Tensor, seed: int, sigmas: Tensor) -> NoiseSampler:
    """The noise that the host's sampler would draw by itself for rows that start from ``noise``: Gaussian, or along a Brownian path."""
    name, levels, own = sampler.sampler_function.__name__, sigmas[sigmas > 0], _mended(noise, seed)
    if "dpmpp" in name and "sde" in name and len(levels):
        path: NoiseSampler = BrownianTreeNoiseSampler(noise, levels.min(), levels.max(), seed=own, cpu=not name.endswith("_gpu"))
        return path
    gaussian: NoiseSampler = default_noise_sampler(noise, seed=own)
    return gaussian


def _by_row(sampler: Any, noise: Tensor, seeds: Sequence[int], sigmas: Tensor) -> NoiseSampler:
    """One stream for each distinct seed; rows of one seed get the same noise."""
    firsts = {seed: noise[row : row + 1] for row, seed in reversed(list(enumerate(seeds)))}
    streams = {seed: _stream(sampler, first, seed, sigmas) for seed, first in firsts.items()}

    def draw(sigma: Tensor, following: Tensor) -> Tensor:
        drawn = {seed: stream(sigma, following) for seed, stream in streams.items()}
        return torch.cat([drawn[seed] for seed in seeds])

    return draw


def _with_noise(sampler: Any, draw: NoiseSampler) -> Any:
    """A copy of the host's sampler that takes its noise from ``draw``."""
    chosen = copy.copy(sampler)
    chosen.extra_options = {**sampler.extra_options, "noise_sampler": draw}
    return chosen


def _going_on(executor: Any, sampler: Any) -> Callable[..., Tensor]:
    """The rest of the wrappers around a sampler, around another one."""
    rest: Callable[..., Tensor] = WrapperExecutor.new_class_executor(sampler.sample, sampler, executor.wrappers, executor.idx + 1).execute
    return rest

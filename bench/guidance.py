"""Seconds per step of dual guidance on the same weights in one run: ours, ours faster, the host's own graph, and diffusers' pipeline.

    .venv/bin/python bench/guidance.py [--model FILE] [--size 256] [--steps 10] [--rounds 7] [--comfyui DIR]

All take turns, round by round, from the same noise with deterministic Euler and equal steps; ratios are taken within a round and their
median is reported, with the largest difference between the latents. "balanced" and "fast" are ours with the refresh of these presets. The
last line is one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TEXT_SCALE, IMAGE_SCALE, SEED = 7.5, 1.5, 5
LATENT_SCALE = 0.18215
INSTRUCTION = "make it black and white"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "embedded.safetensors", help="an SD 1.x editor in one file")
    parser.add_argument("--size", type=int, default=256, help="side of the square picture in pixels, a multiple of 64")
    parser.add_argument("--steps", type=int, default=10, help="steps of a run; with 4, 10, 28 or 38 all three use the very same sigmas")
    parser.add_argument("--rounds", type=int, default=7, help="how often each runs, after one round that does not count")
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".host" / "ComfyUI", help="folder of the host")
    return parser.parse_args()


def start_host(folder: Path) -> tuple[Any, Callable[..., Any]]:
    """The host's nodes module and a function that runs one of its nodes. The pack's root must not stay on sys.path."""
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != ROOT]
    sys.path.append(str(ROOT / "bench"))
    import importlib.util

    place = ROOT / "launcher"
    spec = importlib.util.spec_from_file_location("launcher", place / "__init__.py", submodule_search_locations=[str(place)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules["launcher"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["launcher"])
    import torch

    from launcher import in_process

    nodes = in_process.start(folder, () if torch.cuda.is_available() else ("--cpu", "--use-pytorch-cross-attention"))
    return nodes, lambda node, **inputs: in_process.call(nodes, node, **inputs)


def host_runs(call: Callable[..., Any], nodes: Any, editor: Any, picture: Any, steps: int) -> dict[str, Callable[[], Any]]:
    """Ours, exact and faster, and the host's own graph, each as a function that samples once and returns latents as they are sampled."""
    text = call("CLIPTextEncode", clip=editor.clip, text=INSTRUCTION)[0]
    empty = call("CLIPTextEncode", clip=editor.clip, text="")[0]
    told = {"clip": editor.clip, "vae": editor.vae, "image": picture, "instruction": INSTRUCTION, "negative": "", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told)
    theirs = call("InstructPixToPixConditioning", positive=text, negative=empty, pixels=picture, vae=editor.vae)
    scales = {"cfg_conds": TEXT_SCALE, "cfg_cond2_negative": IMAGE_SCALE, "style": "regular"}
    told = {"positive": positive, "negative": negative, "text_scale": TEXT_SCALE, "image_scale": IMAGE_SCALE}
    ours = {name: call("IP2PGuider", model=model, **told)[0] for name, model in speeds(nodes, editor.model).items()}
    native = call("DualCFGGuider", model=editor.model, cond1=theirs[0], cond2=theirs[1], negative=empty, **scales)[0]
    sigmas = call("BasicScheduler", model=editor.model, scheduler="normal", steps=steps, denoise=1.0)[0]
    shared = {
        "noise": call("RandomNoise", noise_seed=SEED)[0],
        "sampler": call("KSamplerSelect", sampler_name="euler")[0],
        "sigmas": sigmas,
        "latent_image": latent,
    }

    def run(guider: Any) -> Callable[[], Any]:
        return lambda: call("SamplerCustomAdvanced", guider=guider, **shared)[0]["samples"] * LATENT_SCALE

    return {name: run(guider) for name, guider in {**ours, "native": native}.items()}


def speeds(nodes: Any, model: Any) -> dict[str, Any]:
    """The MODEL as it is, and with the refresh of each faster preset."""
    from launcher.in_process import pack_module

    presets, guidance = pack_module(nodes, "ip2p.presets"), pack_module(nodes, "samplers.guidance")
    faster = {name: guidance.with_part(model, "refresh", presets.PRESETS[name].refresh) for name in presets.SPEEDS if name != "exact"}
    return {"ours": model, **faster}


def diffusers_run(model: Path, editor: Any, call: Callable[..., Any], picture: Any, steps: int) -> Callable[[], Any]:
    """diffusers' pipeline on the same weights, from the same starting point."""
    import comfy.sample
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionInstructPix2PixPipeline

    from ip2p import checkpoint, networks

    found = checkpoint.read(model)
    device = editor.model.load_device
    dtype = editor.model.model_dtype()
    unet, vae = (build(found).to(device, dtype) for build in (networks.build_unet, networks.build_vae))
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "timestep_spacing": "linspace"}
    scheduler = EulerDiscreteScheduler(prediction_type="epsilon", **schedule)
    clip = networks.build_text_encoders(found)[0]
    pipeline = StableDiffusionInstructPix2PixPipeline(vae, clip, None, unet, scheduler, None, None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    embeds = {
        name: call("CLIPTextEncode", clip=editor.clip, text=text)[0][0][0].to(device, dtype)
        for name, text in (("prompt_embeds", INSTRUCTION), ("negative_prompt_embeds", ""))
    }
    top = scheduler.sigmas.max()
    side = picture.shape[1] // 8
    noise = comfy.sample.prepare_noise(torch.zeros(1, 4, side, side), SEED) * (1 + top**2).sqrt() / top
    settings = {"guidance_scale": TEXT_SCALE, "image_guidance_scale": IMAGE_SCALE, "num_inference_steps": steps, "output_type": "latent"}
    image = picture.movedim(-1, 1).to(device, dtype)

    def run() -> Any:
        with torch.inference_mode():
            return pipeline(image=image, latents=noise.to(device, dtype).clone(), **embeds, **settings).images.float().cpu()

    return run


def measure(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run, by turns, after one round that does not count."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    given = arguments()
    nodes, call = start_host(given.comfyui)
    import torch

    from launcher.in_process import pack_module

    sys.modules.setdefault("ip2p", pack_module(nodes, "ip2p"))
    editor = pack_module(nodes, "samplers.loading").load(given.model)
    picture = torch.rand(1, given.size // 16, given.size // 16, 3, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(picture.movedim(-1, 1), scale_factor=16, mode="bilinear").movedim(1, -1)
    runs = host_runs(call, nodes, editor, picture, given.steps)
    runs["diffusers"] = diffusers_run(given.model, editor, call, picture, given.steps)
    latents = {name: run() for name, run in runs.items()}
    seconds = measure(runs, given.rounds)
    figures: dict[str, Any] = {"model": given.model.name, "size": given.size, "steps": given.steps, "rounds": given.rounds}
    for name, values in seconds.items():
        figures[f"{name}_s_per_step"] = round(statistics.median(values) / given.steps, 4)
    for one, other in [
        (one, other) for one in runs for other in ("ours", "native", "diffusers") if one not in ("native", "diffusers", other)
    ]:
        ratios = [mine / theirs for mine, theirs in zip(seconds[one], seconds[other], strict=True)]
        figures[f"{one}_over_{other}"] = round(statistics.median(ratios), 3)
        figures[f"{one}_difference_to_{other}"] = round((latents[one] - latents[other]).abs().max().item(), 6)
        print(f"{one} / {other}: {figures[f'{one}_over_{other}']} (rounds {min(ratios):.3f} to {max(ratios):.3f})")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""Training speed and memory beside diffusers' recipe: `python bench/training.py [--model M] [--steps N] [--batch B] [--size PX]`.

Both train the same network from the same weights on the same pairs, with the same batch, precision, optimiser and EMA, each in a process
of its own; they take turns of a few steps, so that what else the machine does concerns both. Diffusers' side does what its example
`train_instruct_pix2pix.py` does: pictures are opened and cut, and pictures and text encoded, on every step; AdamW; a clipped gradient; its
`EMAModel`; its attention. Ours is `ip2p.training.run.train`, the time in which it fills its cache of latents included. Ours adds up the
gradient of a batch over parts of it (`--micro-batch`; 0: at once, as diffusers' example does by default): the same gradient in less memory.

Memory is the peak above what the imports take: of the process's resident memory on a processor, of torch's allocator on a GPU. At the end
both networks (raw and averaged weights) are measured on the same held-out pairs and noise. The last line is one JSON object.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
RATE, CLIP, DECAY = 1e-4, 1.0, 0.9999
HELD_OUT = 16
SIDES = ("ours", "diffusers")


def main() -> None:
    options = _options()
    if options.side:
        _worker(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        _draw(Path(folder) / "pairs", options.pairs + HELD_OUT, options.size)
        workers = {side: _started(side, folder) for side in SIDES}
        rounds = [{side: _turn(workers[side]) for side in SIDES} for _ in range(options.steps // options.turn)]
        found = {side: json.loads(worker.communicate()[0]) for side, worker in workers.items()}  # which ends their wait for a turn
    _tell(options, rounds, found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="embedded", help="the editor that both train further (default embedded)")
    add("--steps", type=int, default=60, help="training steps of each (default 60)")
    add("--turn", type=int, default=5, help="steps of a turn (default 5)")
    add("--batch", type=int, default=16, help="pairs a step (default 16)")
    add("--micro-batch", type=int, default=8, help="pairs that ours computes at once (default 8; 0: the whole batch)")
    add("--pairs", type=int, default=64, help="pairs to train on (default 64)")
    add("--size", type=int, default=128, help="pixels a side (default 128)")
    add("--precision", default="bf16", choices=("fp32", "bf16"), help="of both (default bf16)")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--side", choices=SIDES, help=argparse.SUPPRESS)
    add("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _draw(folder: Path, count: int, size: int) -> None:
    """Pairs of the world, as files."""
    from ip2p.cli import main as command

    command(["world", "--out", str(folder), "--count", str(count), "--size", str(size), "--kinds", "recolour,time,weather,season"])


def _started(side: str, folder: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--side", side, "--folder", folder]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout
    assert worker.stdout.readline() == "ready\n"
    return worker


def _turn(worker: "subprocess.Popen[str]") -> float:
    """The seconds of one turn of a worker."""
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def _tell(options: argparse.Namespace, rounds: list[dict[str, float]], found: dict[str, dict[str, float]]) -> None:
    speed = {side: options.batch * options.steps / sum(one[side] for one in rounds) for side in SIDES}
    for side in SIDES:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in found[side].items() if name != "memory")
        print(f"{side}: {speed[side]:.2f} images/s, {found[side]['memory'] / 1e6:.0f} MB above the imports, held-out {numbers}")
    later = rounds[len(rounds) // 2 :]
    figures = {
        "images_per_s": {side: round(speed[side], 2) for side in SIDES},
        "images_per_s_over_diffusers": round(speed["ours"] / speed["diffusers"], 3),
        "second_half_over_diffusers": round(statistics.median(one["diffusers"] / one["ours"] for one in later), 3),
        "memory_mb": {side: round(found[side]["memory"] / 1e6, 1) for side in SIDES},
        "memory_over_diffusers": round(found["ours"]["memory"] / found["diffusers"]["memory"], 3),
        "loss": {side: {name: round(value, 5) for name, value in found[side].items() if name != "memory"} for side in SIDES},
        **{name: getattr(options, name) for name in ("steps", "batch", "micro_batch", "pairs", "size", "precision")},
    }
    print(json.dumps(figures))


def _worker(options: argparse.Namespace) -> None:
    """One side: import, wait for turns, then tell memory and losses."""
    import torch
    from accelerate import Accelerator  # noqa: F401
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel  # noqa: F401 (libraries load their parts when first named)
    from diffusers.optimization import get_scheduler  # noqa: F401
    from diffusers.training_utils import EMAModel  # noqa: F401
    from transformers import CLIPTextModel  # noqa: F401

    import ip2p.training.edit
    import ip2p.training.run  # noqa: F401
    from ip2p.devices import pick_device

    _tokens([""])  # the tokenizer counts as an import: both have the same
    device = pick_device(options.device)
    talk = sys.stdout
    sys.stdout = sys.stderr  # what networks and libraries print is not for the other end
    torch.manual_seed(0)
    before = _baseline(device)
    turns = _Turns(options.turn, talk, device)
    measure = {"ours": _ours, "diffusers": _theirs}[options.side](options, device, turns.step)
    memory = turns.peak - before
    print(json.dumps({"memory": memory, **measure()}), file=talk, flush=True)


class _Turns:
    """Waits for a go before every turn, and tells its seconds after it; notes the peak of memory after each step."""

    def __init__(self, length: int, talk: Any, device: Any) -> None:
        self.length, self.talk, self.device = length, talk, device
        self.done, self.peak, self.began = 0, 0.0, 0.0

    def step(self) -> None:
        """Called before the first step and after each."""
        if self.done:
            self.peak = _peak(self.device)
        if self.done % self.length == 0:
            print(f"{time.perf_counter() - self.began:.6f}" if self.done else "ready", file=self.talk, flush=True)
            sys.stdin.readline()
            self.began = time.perf_counter()
        self.done += 1


def _baseline(device: Any) -> float:
    """Bytes in use before a model is loaded; the peak is counted anew from here."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(device: Any) -> float:
    import torch

    return float(torch.cuda.max_memory_allocated()) if device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> float:
    """Bytes of a line of the process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _ours(options: argparse.Namespace, device: Any, step: Callable[[], None]) -> Callable[[], dict[str, float]]:
    from ip2p.training.config import from_table
    from ip2p.training.run import train

    table = {
        "model": {"base": options.model},
        "data": {"source": str(_training(options)), "split": "all", "crop": options.size, "sizes": _sizes(options), "threads": 0},
        "optimizer": {"rate": RATE, "clip": CLIP},
        "run": {"steps": options.steps, "batch": options.batch, "micro_batch": options.micro_batch, "save_every": 10**6}
        | {"precision": options.precision, "ema": DECAY},
        "validation": {"count": 0},
        "export": {"formats": []},
    }
    step()
    done = train(from_table(table), options.folder / "run", device=device, on_event=lambda event: step())
    raw = [parameter.detach().clone() for _, parameter in done.trainable.parameters]
    return lambda: _losses(options, done.trainable.unet, {"raw": raw, "ema": done.average})


def _theirs(options: argparse.Namespace, device: Any, step: Callable[[], None]) -> Callable[[], dict[str, float]]:
    """Diffusers' example, written out: its order of work and its defaults, `--use_ema` and `--mixed_precision` given."""
    import torch
    import torch.nn.functional as F
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    accelerator = Accelerator(mixed_precision="no" if options.precision == "fp32" else options.precision, cpu=device.type == "cpu")
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
    unet, vae, texts = _networks(options)
    unet.train().requires_grad_(True)
    ema = EMAModel(unet.parameters(), decay=DECAY, model_cls=type(unet), model_config=unet.config)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, betas=(0.9, 0.999), weight_decay=0.01, eps=1e-8)
    noises = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
    pictures: Any = _Pictures(options)
    data: Any = torch.utils.data.DataLoader(pictures, shuffle=True, batch_size=options.batch, drop_last=True)
    rates = get_scheduler("constant", optimizer=optimizer)
    unet, optimizer, data, rates = accelerator.prepare(unet, optimizer, data, rates)
    ema.to(accelerator.device)
    texts.to(accelerator.device, dtype=dtype)
    vae.to(accelerator.device, dtype=dtype)
    empty = texts(_tokens([""]).to(accelerator.device))[0]
    step()
    for batch in _repeated(data, options.steps):
        latents = vae.encode(batch["edited"].to(dtype)).latent_dist.sample() * 0.18215
        noise = torch.randn_like(latents)
        t = torch.randint(0, 1000, (len(latents),), device=latents.device).long()
        noisy = noises.add_noise(latents, noise, t)
        hidden = texts(batch["tokens"])[0]
        original = vae.encode(batch["original"].to(dtype)).latent_dist.mode()
        r = torch.rand(len(latents), device=latents.device)
        hidden = torch.where((r < 0.1).reshape(-1, 1, 1), empty, hidden)
        original = original * (1 - ((r >= 0.05) & (r < 0.15)).to(original.dtype)).reshape(-1, 1, 1, 1)
        said = unet(torch.cat([noisy, original], dim=1), t, hidden, return_dict=False)[0]
        loss = F.mse_loss(said.float(), noise.float(), reduction="mean")
        accelerator.gather(loss.repeat(options.batch)).mean()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(unet.parameters(), CLIP)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        ema.step(unet.parameters())
        loss.detach().item()  # shown on its bar
        step()
    unet = accelerator.unwrap_model(unet)
    raw = [parameter.detach().clone() for parameter in unet.parameters()]
    return lambda: _losses(options, unet, {"raw": raw, "ema": ema.shadow_params})


class _Pictures:
    """Diffusers' data: pictures opened and transformed, instructions tokenised, whenever a pair is asked for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder, self.size, self.sizes = _training(options), options.size, _sizes(options)
        self.lines = [json.loads(line) for line in (self.folder / "metadata.jsonl").read_text().splitlines()]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, number: int) -> dict[str, Any]:
        import numpy as np
        import torch
        from PIL import Image

        line, rng = self.lines[number], np.random.default_rng()
        short = int(rng.integers(self.sizes[0], self.sizes[1] + 1))
        pair = [Image.open(self.folder / line[name]).convert("RGB").resize((short, short)) for name in ("image", "edited")]
        left, top = (int(place) for place in rng.integers(short - self.size + 1, size=2))
        both = np.stack([np.asarray(one.crop((left, top, left + self.size, top + self.size)), np.float32) for one in pair])
        both = both[:, :, ::-1] if rng.random() < 0.5 else both
        original, edited = torch.from_numpy(both / 127.5 - 1).permute(0, 3, 1, 2)
        return {"original": original, "edited": edited, "tokens": _tokens([line["instruction"]])[0]}


def _repeated(data: Any, steps: int) -> Iterator[Any]:
    done = 0
    while True:
        for batch in data:
            if done == steps:
                return
            done += 1
            yield batch


def _sizes(options: argparse.Namespace) -> list[int]:
    """The paper's range of the short side, for this crop."""
    return [options.size, options.size * 288 // 256]


def _tokens(words: list[str]) -> Any:
    import torch

    from ip2p.text import tokenize

    return torch.cat([tokenize(one) for one in words])


def _networks(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """UNet, autoencoder and text encoder of the model, diffusers' and transformers' modules in float32."""
    from ip2p import checkpoint, networks

    base = checkpoint.read(checkpoint.EMBEDDED if options.model == "embedded" else options.model)
    return networks.build_unet(base), networks.build_vae(base), networks.build_text_encoders(base)[0]


def _training(options: argparse.Namespace) -> Path:
    """The pairs that are trained on: all but the last."""
    every = options.folder / "pairs"
    lines = (every / "metadata.jsonl").read_text().splitlines()
    own = options.folder / f"training_{options.side}"
    if not own.exists():
        own.mkdir()
        for path in every.iterdir():
            (own / path.name).symlink_to(path)
        (own / "metadata.jsonl").unlink()
        (own / "metadata.jsonl").write_text("\n".join(lines[:-HELD_OUT]) + "\n")
    return own


def _losses(options: argparse.Namespace, unet: Any, weights: dict[str, list[Any]]) -> dict[str, float]:
    """The mean loss of each set of weights on the held-out pairs, with the same noise, in float32."""
    import torch

    from ip2p.checkpoint import EMBEDDED, read
    from ip2p.data.pairs import open_pairs
    from ip2p.training import objective
    from ip2p.training.batches import Batches
    from ip2p.training.config import DataConfig
    from ip2p.training.encoders import Encoders

    pairs = open_pairs(str(options.folder / "pairs"), "all")
    held_out = pairs.part(pairs.length - HELD_OUT, pairs.length)
    config = DataConfig(crop=options.size, sizes=(options.size, options.size), variants=0, flip=0.0)
    encode = Encoders(read(EMBEDDED if options.model == "embedded" else options.model), unet.device)
    found = {}
    for name, values in weights.items():
        for parameter, value in zip(unet.parameters(), values, strict=True):
            parameter.data = value.to(parameter.device)
        with Batches(held_out, encode, config, 1, HELD_OUT) as batches, torch.no_grad():
            every = [batches(step, range(HELD_OUT)).to(unet.device) for step in range(4)]
            found[name] = statistics.mean(float(objective.losses(_predicting(unet), one).mean()) for one in every)
    return found


def _predicting(unet: Any) -> Callable[..., Any]:
    import torch

    return lambda noisy, t, text, image: unet(torch.cat([noisy, image], dim=1), t, text).sample


if __name__ == "__main__":
    main()

"""How long this pack makes ComfyUI's start, measured with and without it in turns.

    python bench/startup.py [--runs 9]

Run it with the Python that runs ComfyUI (`.venv` after the quickstart). Each run is a process of its own that imports the host and its
built-in nodes; timed is the host's next step, the one that loads custom nodes. `added_s` is the median with the pack less the median
without it, in wall-clock seconds. Everything else of a start is the same for both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from launcher import HOST, comfyui  # noqa: E402  the path comes first
from launcher.server import device_options  # noqa: E402

LOAD = """
import asyncio, time
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config, execution, server, nodes
asyncio.run(nodes.init_builtin_extra_nodes())
begun = time.perf_counter()
asyncio.run(nodes.init_external_custom_nodes())
print(time.perf_counter() - begun, "IP2PEdit" in nodes.NODE_CLASS_MAPPINGS)
"""


def load_s(host: Path, base: Path, with_pack: bool) -> float:
    """Seconds the host takes to load the custom nodes of a base folder."""
    seconds, there = _run(["-c", LOAD, "--base-directory", str(base), *device_options()], host).split()[-2:]
    if (there == "True") != with_pack:
        sys.exit(f"The nodes of this pack {'are missing in' if with_pack else 'are already in'} {host}: mend that first.")
    return float(seconds)


def _run(arguments: list[str], folder: Path) -> str:
    settings = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=settings, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"ComfyUI did not start:\n{done.stderr[-2000:]}")
    return done.stdout


def measure(host: Path, runs: int) -> dict[str, float]:
    """The figures, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        bases = {True: comfyui.prepare_base(Path(folder) / "with"), False: comfyui.prepare_base(Path(folder) / "without")}
        (bases[False] / "custom_nodes" / "instructpix2pix").unlink()
        load_s(host, bases[True], True)  # the first one also writes Python's caches
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for run in range(runs):
            for with_pack, base in bases.items():
                seconds[with_pack].append(load_s(host, base, with_pack))
            print(f"{run + 1} of {runs}: with {seconds[True][-1]:.3f} s, without {seconds[False][-1]:.3f} s", flush=True)
    with_s, without_s = statistics.median(seconds[True]), statistics.median(seconds[False])
    return {"added_s": round(with_s - without_s, 3), "with_s": round(with_s, 3), "without_s": round(without_s, 3), "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--comfyui", type=Path, default=HOST, help="the ComfyUI to start (default: the quickstart's)")
    options = parser.parse_args()
    print(json.dumps(measure(comfyui.existing(options.comfyui), options.runs)))


if __name__ == "__main__":
    main()

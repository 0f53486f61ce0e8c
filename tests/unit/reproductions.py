"""A reproduction so small that it learns nothing: for tests of how runs are stopped, killed and continued."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = """
[world]
places = ["meadow"]
seasons = ["summer", "winter"]
weathers = ["sunny", "foggy"]
times = ["day", "night"]
styles = ["plain"]
shapes = ["ball"]
colours = ["red"]
materials = ["plain"]
sizes = ["large"]
things = 1
[joint]
start = "embedded"
widths = [64, 64, 128, 128]
size = 64
crop = 32
scenes = 4
schedule = { steps = 2, batch = 1, save_every = 1, rate = 1e-5 }
[clip]
size = 64
patch = 32
width = 16
heads = 1
image_layers = 1
text_layers = 1
projection = 16
pool = 32
part = true
schedule = { steps = 3, batch = 4, save_every = 1 }
[captioned]
files = 2
scenes = 2
size = 64
[text]
width = 16
layers = 1
heads = 1
[painter]
editor = "joint"
widths = [32, 32]
attention = [1]
heads = 2
size = 64
steps = 2
schedule = { steps = 4, batch = 2, save_every = 1 }
[prompts]
count = 4
each = 2
kinds = ["season", "time", "weather"]
[pairs]
samples = 2
steps = 2
batch = 2
shards = 2
slack = 3.0
[editors]
conditions = ["full"]
seeds = [1, 2]
steps = 4
batch = 2
save_every = 1
[evaluation]
tasks = 3
kinds = ["season", "time", "weather"]
steps = 2
text_scale = 3.0
image_scales = [1.0, 1.8]
strengths = [0.5, 0.9]
grid_text = [1.0, 3.0]
grid_image = [1.0, 1.8]
grid_tasks = 2
chains = 1
limits = 1
limit_kinds = ["zoom"]
shards = 2
"""


def tiny(folder: Path, *changes: tuple[str, str]) -> Path:
    """The settings as a file in a folder, with some texts changed."""
    text = TINY
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


def begun(out: Path, *options: object) -> subprocess.Popen:
    """The command, running in a group of processes of its own."""
    command = [sys.executable, "-m", "ip2p", "reproduce", "--out", out, *options]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with (out.parent / f"{out.name}.log").open("a") as log:
        return subprocess.Popen(
            [str(word) for word in command], cwd=ROOT, env={**os.environ, **threads}, stdout=log, stderr=log, start_new_session=True
        )


def said(out: Path) -> str:
    """What all commands for a folder said."""
    return (out.parent / f"{out.name}.log").read_text()


def ended(process: subprocess.Popen, number: int, seconds: float) -> int:
    """Send a signal and wait until every process of the command has gone; its exit code. Raises TimeoutError."""
    process.send_signal(number)
    code = process.wait(seconds)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not alive(process.pid):
            return code
        time.sleep(0.2)
    raise TimeoutError(f"after {seconds} s there is still a process of {process.args}")


def alive(group: int) -> list[str]:
    """The states of the processes of a group, without those that have ended and that nobody has asked for."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return [state for number, state in map(str.split, listed.splitlines()) if int(number) == group and not state.startswith("Z")]

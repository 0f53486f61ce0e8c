"""What each stage of a reproduction takes, and what comes out: `python bench/reproduction.py [--config quick] [--out DIR]`.

Every stage that is still to be done runs by itself in a process of its own on one core, and is timed from start to end, so that loading
counts. With `--out` the same command goes on where it stopped, and times what is left. The verdicts on the paper's claims are those of the
run's report.json. The last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.reproduction.fields import estimated  # noqa: E402
from ip2p.reproduction.page import REPORT, read  # noqa: E402


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.out or Path(temporary) / "run"
        seconds = {name: _timed(options.config, out, name) for name in _left(options.config, out)}
        report = read(out / REPORT)
    for claim in report["claims"]:
        print(f"{claim['id']}: {estimated(claim)}, {claim['verdict']}")
    verdicts = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    print(json.dumps({"seconds": grouped(seconds), "total": round(sum(seconds.values())), "verdicts": verdicts}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="quick", help="full, quick (default), or a file of settings")
    parser.add_argument("--out", type=Path, help="the run's folder (default: a temporary one)")
    return parser.parse_args()


def _left(config: str, out: Path) -> list[str]:
    """The stages that are not done yet, in their order."""
    told = subprocess.run(_command(config, out, "--list"), cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [line.split()[-1] for line in told.splitlines() if not line.startswith("done")]


def _timed(config: str, out: Path, name: str) -> float:
    """Run a stage; the seconds that it took."""
    started = time.perf_counter()
    subprocess.run(_command(config, out, "--only", name), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    print(f"{name}: {seconds:.1f} s", flush=True)
    return seconds


def _command(config: str, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ip2p", "reproduce", "--config", config, "--out", str(out.resolve()), *more]


def grouped(seconds: dict[str, float]) -> dict[str, float]:
    """The seconds of all stages of a kind together ("editors/full/1" is one of "editors")."""
    return {kind: round(sum(found), 1) for kind, found in _by_kind(seconds)}


def _by_kind(seconds: dict[str, float]) -> Iterator[tuple[str, list[float]]]:
    for kind in dict.fromkeys(name.partition("/")[0] for name in seconds):
        yield kind, [found for name, found in seconds.items() if name.partition("/")[0] == kind]


if __name__ == "__main__":
    main()

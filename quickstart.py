#!/usr/bin/env python3
"""Edits a photo through a real ComfyUI, or runs all tests, on a fresh machine: Python 3.11 and a package index are enough.

    python quickstart.py edit [PHOTO] ["instruction"]     edit a photo (a bundled one when none is given)
    python quickstart.py serve                            open ComfyUI's page with this pack and its workflows
    python quickstart.py test                             run every test

What they set up lives in .venv and .host beside this file; delete both to start over.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit(f"This needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}: start it with a newer one.")

from launcher import ROOT, QuickstartError, comfyui, environment

INSIDE = "--inside"  # the same command again, now run by the environment's own Python


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="quickstart.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="edit | serve | test | pictures")
    edit = commands.add_parser("edit", help="edit a photo")
    edit.add_argument("photo", nargs="?", type=_absolute, default=comfyui.DEFAULT_PHOTO, metavar="PHOTO", help="default: a bundled photo")
    edit.add_argument("instruction", nargs="?", help='what to do, in quotes, for example "make it a pencil sketch"')
    edit.add_argument("--out", type=_absolute, default=ROOT / "outputs", metavar="DIR", help="where the pictures go (default: outputs)")
    edit.add_argument("--seed", type=int, help="another seed gives another picture")
    edit.add_argument("--steps", type=int, help="sampling steps")
    edit.add_argument("--text-scale", type=float, help="how closely to follow the instruction")
    edit.add_argument("--image-scale", type=float, help="how closely to keep to the photo")
    serve = commands.add_parser("serve", help="run ComfyUI with this pack until Ctrl-C")
    pictures = commands.add_parser("pictures", help="make the pictures of the workflows anew")
    for command in (edit, serve, pictures):
        command.add_argument("--comfyui", type=_absolute, metavar="DIR", help="use this ComfyUI instead of fetching one")
        command.add_argument("--python", type=_absolute, metavar="PATH", help="the Python for it (default: its own venv, else this one)")
        command.add_argument("--port", type=int, help="default: a free one (serve: 8188 when free)")
    test = commands.add_parser("test", help="run every test")
    test.add_argument("--only", metavar="NAME", help="one part: style, types, unit, runs, contract, host, comfyui or browser")
    return top


def _absolute(text: str) -> Path:
    """A path that stays right when the working directory changes; links are kept (an environment's Python is one)."""
    return Path(text).expanduser().absolute()


def interpreter(options: argparse.Namespace) -> Path:
    """The Python to run the command with, set up when that is ours to do."""
    if options.command == "edit" and not options.photo.is_file():  # said before minutes of setting up
        raise QuickstartError(f"There is no photo at {options.photo}: the photo comes first, then the instruction in quotes.")
    if getattr(options, "comfyui", None) is None:
        python = environment.ensure("test" if options.command == "test" else None)
        comfyui.ensure(python)
        return python
    host = comfyui.existing(options.comfyui)
    own = [environment.python_in(host / name) for name in (".venv", "venv")] + [host.parent / "python_embeded" / "python.exe"]
    python = options.python or next((path for path in own if path.exists()), Path(sys.executable))
    check = subprocess.run([python, ROOT / "install.py"], capture_output=True, text=True)
    if check.returncode:
        raise QuickstartError((check.stdout + check.stderr).strip())
    return python


def hand_over(python: Path, arguments: list[str]) -> int:
    """Runs this file again with another Python, and passes on Ctrl-C and termination, so that the host is always stopped."""
    process = subprocess.Popen([python, __file__, INSIDE, *arguments])
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal sends it to the child too, which stops the host and ends
            continue


def _terminated(*_: object) -> None:
    raise KeyboardInterrupt


def run_inside(arguments: list[str]) -> int:
    from launcher import commands

    options = parser().parse_args(arguments)
    return int(getattr(commands, options.command)(options))


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        if arguments[:1] == [INSIDE]:
            return run_inside(arguments[1:])
        options = parser().parse_args(arguments)
        return hand_over(interpreter(options), arguments)
    except QuickstartError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        reason = "the disk is full: make room and run the same command again" if error.errno == 28 else str(error)
        print(f"\nStopped: {reason}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

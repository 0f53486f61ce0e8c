"""Starts a ComfyUI process, waits until its page answers, and stops it."""

import importlib.metadata
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from launcher import QuickstartError, tail

LOCAL = "127.0.0.1"


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOCAL, port)) != 0


def choose_port(asked: int | None, usual: int | None = None) -> int:
    """The port asked for (an error when taken), else the usual one when it is free, else any."""
    if asked is None:
        return usual if usual is not None and is_free(usual) else free_port()
    if not is_free(asked):
        raise QuickstartError(f"Port {asked} is taken (by a running ComfyUI?): choose another --port, or leave the option out.")
    return asked


def device_options() -> list[str]:
    """Start options for this machine: the CPU when torch sees no accelerator. A CPU build is known by its version, without an import."""
    if "+cpu" not in importlib.metadata.version("torch"):
        import torch

        if torch.accelerator.is_available():
            return []
    return ["--cpu", "--use-pytorch-cross-attention"]  # that attention is 3 to 10 times as fast on a CPU


class Server:
    """A ComfyUI that runs while the `with` block does.

    host: the folder with main.py. base: the folder of its models, input, output and custom_nodes. options: more start options.
    """

    def __init__(self, host: Path, base: Path, port: int, options: list[str] | None = None, name: str = "comfyui") -> None:
        self.host, self.base, self.port, self.options = host, base, port, options or []
        self.url = f"http://{LOCAL}:{port}"
        self.log = base / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        fixed = ["--listen", LOCAL, "--port", str(self.port), "--base-directory", str(self.base), "--database-url", "sqlite:///:memory:"]
        quiet = ["--disable-auto-launch", "--disable-api-nodes"]
        return [sys.executable, str(self.host / "main.py"), *fixed, *quiet, *device_options(), *self.options]

    def start(self, wait_s: float = 300.0) -> None:
        """Returns when the server answers. Raises QuickstartError with the end of the log when it dies or takes longer than `wait_s`."""
        # without PASSIVE, idle threads spin, which costs up to 20 times the seconds on a busy core
        settings = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
        with self.log.open("wb") as log:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(self.command(), cwd=self.host, env=settings, start_new_session=True, **streams)
        end = time.monotonic() + wait_s
        while not self._answers():
            if self.process.poll() is not None:
                raise QuickstartError(f"ComfyUI stopped while starting ({self._cause()}). The end of {self.log}:\n{tail(self.log)}")
            if time.monotonic() > end:
                raise QuickstartError(f"ComfyUI did not answer within {wait_s:.0f} s. The end of {self.log}:\n{tail(self.log)}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/system_stats", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _cause(self) -> str:
        text = self.log.read_text(encoding="utf8", errors="replace")
        if "address already in use" in text.lower():
            return f"port {self.port} was taken meanwhile; run the same command again"
        if "No space left on device" in text:
            return "the disk is full"
        return "the last lines say why"

    def stop(self) -> None:
        """Ends the process: asked first, then made to."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Server":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

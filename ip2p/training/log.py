"""The log of a run: a JSON object a line, never a step twice, however often the run was stopped; TensorBoard's files where asked for."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..configs import ConfigError
from .loop import Progress

NAME = "log.jsonl"
Line = dict[str, Any]
"""``step`` with ``loss``, ``rate`` and ``images_per_s`` (means since the line before), or with ``validation``, a table of numbers."""


def lines(folder: Path) -> list[Line]:
    """The log of a run's folder; a line that was cut off by a kill is left out."""
    return list(_lines(folder / NAME))


def _lines(path: Path) -> Iterator[Line]:
    if not path.is_file():
        return
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            yield line


class Log:
    """Writes the log of a run that has done ``step`` steps; lines of later ones, from before it was stopped, are removed."""

    def __init__(self, folder: Path, step: int, batch: int, every: int, tensorboard: bool = False) -> None:
        """``every``: steps between two lines. Raises ConfigError where TensorBoard is asked for and missing."""
        self.path, self.batch, self.every = folder / NAME, batch, every
        folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in lines(folder) if line["step"] <= step]
        new = folder / f".{NAME}.part"
        new.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        new.replace(self.path)
        self.board: Any = _board(folder / "tensorboard", step) if tensorboard else None
        self._recent: list[Progress] = []

    def step(self, done: Progress) -> None:
        """Note a step; the line is written every so many steps and at the end."""
        self._recent.append(done)
        if done.step % self.every == 0 or done.step == done.steps:
            self._told()

    def _told(self) -> None:
        """Write a line of the steps since the last."""
        if not self._recent:
            return
        done = self._recent[-1]
        known = [one.loss for one in self._recent if one.loss == one.loss]  # not nan: those steps were left out
        speed = self.batch * len(self._recent) / max(1e-9, sum(one.seconds for one in self._recent))
        loss = sum(known) / len(known) if known else None
        self._write({"step": done.step, "loss": loss, "rate": done.rate, "images_per_s": round(speed, 3)})
        self._recent.clear()

    def validated(self, step: int, numbers: Mapping[str, float]) -> None:
        """Note a validation, and before it the steps since the last line."""
        self._told()
        self._write({"step": step, "validation": dict(numbers)})

    def close(self) -> None:
        """Finish TensorBoard's files."""
        if self.board:
            self.board.close()

    def _write(self, line: Line) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in {**line, **line.get("validation", {})}.items() if self.board else ():
            if name != "step" and isinstance(value, (int, float)):
                self.board.add_scalar(f"validation/{name}" if "validation" in line else f"train/{name}", value, line["step"])


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("The TensorBoard log needs tensorboard: `pip install tensorboard`, or set run.tensorboard to false.") from error
    return SummaryWriter(str(folder), purge_step=step + 1)

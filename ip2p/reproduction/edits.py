"""All edits of a reproduction: which editor makes which, and their pictures with what CLIP says of them, a file for each task.

A job is one editor (or baseline) with one seed on one set of tasks. Its pictures of a task depend on the task, the job and the networks
alone, so that a killed job goes on with the tasks that it has not finished.
"""

import logging
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from ..ids import seed_of
from . import places
from .config import CONDITIONS, STAGES, Config, Evaluation

if TYPE_CHECKING:
    from torch import Tensor

    from .tasks import Chain, Task

log = logging.getLogger(__name__)

At = tuple[float | str, ...]
"""A setting: (text scale, image scale), (strength,), (stage,) of a chain from 1, or an anchor's name."""
OWN_SCALE = "own"
OWN = (OWN_SCALE, "grid", "chains", "limits", "other")
"""What only the paper's recipe is asked besides Figure 8's curve: that at the painter's own text scale, Figures 4, 11 and 13, and each task
with another one's instruction."""
BASELINES = ("sdedit", "sdedit-own")
"""SDEdit at the same text scale as the method, as the paper has it, and at the painter's own, which is the best for its pictures."""
ANCHORS = ("nothing", "answer", "encoded")
"""The source as it is; the right answer; that after the autoencoder, which is the best that an editor can reach."""
TOGETHER = 8
"""Tasks that are edited before their files are written, in one batch where that is quicker."""
COLUMNS = {"direction": "clip_direction", "similarity": "clip_image", "distance": "l1_target"}
"""What is measured of a picture, and as which of `ip2p.metrics`'s columns: the paper's axes, and how far it is from the right answer."""
SECOND = {"second_direction": "clip_direction", "second_similarity": "clip_image"}
"""The axes by the pack's own CLIP, which had no part in the run: the run's own has also chosen the pairs that editors are trained on."""


@dataclass(frozen=True)
class Job:
    """A set of edits by one editor; ``needs`` are the stages whose results it reads."""

    name: str
    seed: int
    needs: tuple[str, ...]


def jobs(config: Config) -> list[Job]:
    """Everything that is edited. Names are conditions (Figures 8 and 10), OWN, BASELINES and "anchors"; nothing at the painter's own text
    scale where that is the one all else is at."""
    seeds, conditions = config.editors.seeds, config.editors.conditions
    alike = (OWN_SCALE, BASELINES[1]) if config.painter.text_scale == config.evaluation.text_scale else ()
    out = [Job(name, seed, (f"editors/{name}/{seed}", "clip")) for name in conditions for seed in seeds]
    if CONDITIONS[0] in conditions:
        out += [Job(name, seed, (f"editors/{CONDITIONS[0]}/{seed}", "clip")) for name in OWN for seed in seeds]
    out += [Job(name, seed, ("painter", "clip")) for name in BASELINES for seed in seeds]
    out = [job for job in out if job.name not in alike]
    return [*out, Job("anchors", 0, ("painter", "clip"))]


def settings_of(name: str, config: Config) -> list[At]:
    """The settings of a job's pictures, in their order."""
    asked = config.evaluation
    if name in BASELINES:
        return [(strength,) for strength in asked.strengths]
    if name == "chains":
        return [(stage,) for stage in range(1, STAGES + 1)]
    if name == "anchors":
        return [(anchor,) for anchor in ANCHORS]
    texts, images = _scales(name, config)
    return [(text, image) for image in images for text in texts]


def _scales(name: str, config: Config) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The text scales and the image scales of a job, of which it tries every pair."""
    asked = config.evaluation
    if name == "grid":
        return asked.grid_text, asked.grid_image
    few = {"other": (middle(asked),), "limits": asked.image_scales[:-1:2] or asked.image_scales}
    return (config.painter.text_scale if name == OWN_SCALE else asked.text_scale,), few.get(name, asked.image_scales)


def middle(asked: Evaluation) -> float:
    """The image scale in the middle of Figure 8's: where one is needed and none is to be chosen by its results."""
    return asked.image_scales[len(asked.image_scales) // 2]


def asked_of(name: str, config: Config) -> "Sequence[Task | Chain]":
    """The tasks of a job."""
    from . import tasks

    if name == "chains":
        return tasks.chains(config)
    if name == "limits":
        return tasks.limits(config)
    usual = tasks.tasks(config)
    more = tasks.limits(config) if name == "anchors" else []
    return [*(usual[: config.evaluation.grid_tasks] if name == "grid" else usual), *more]


class Edited(NamedTuple):
    """The pictures of one task (N, H, W, 3), uint8, one for each setting, and their numbers (N, 5) under COLUMNS and SECOND."""

    pictures: np.ndarray
    numbers: np.ndarray


def edits(out: Path, config: Config, name: str, seed: int) -> None:
    """Make and measure all edits of a job; those that are there are kept. Raises ValueError, also for a job that there isn't."""
    import torch

    if not any((job.name, job.seed) == (name, seed) for job in jobs(config)):
        raise ValueError(f"There are no edits {name!r} with the seed {seed}: use {', '.join(dict.fromkeys(j.name for j in jobs(config)))}.")
    torch.set_num_threads(1)
    every, folder = asked_of(name, config), places.edits(out, name, seed)
    chunks = [range(len(every))[first : first + TOGETHER] for first in range(0, len(every), TOGETHER)]
    left = [chunk for chunk in chunks if any(not _path(folder, every[number].id).is_file() for number in chunk)]
    if not left:
        return
    folder.mkdir(parents=True, exist_ok=True)
    make, measured = _maker(out, config, name, seed, every), _measures(out)
    for chunk in left:  # always the same tasks together, so that rounding is the same after a kill
        for number, made in zip(chunk, make(chunk), strict=True):
            _write(_path(folder, every[number].id), made, measured(every[number], made))
            log.info("edits/%s/%d: task %d of %d", name, seed, number + 1, len(every))


def read(out: Path, name: str, seed: int, task: str) -> Edited:
    """The pictures and numbers of a task. Raises ValueError where its stage has not run."""
    path = _path(places.edits(out, name, seed), task)
    try:
        with np.load(path) as file:
            return Edited(file["pictures"], file["numbers"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        stage = f"edits/{name}/{seed}"
        raise ValueError(
            f"The edits {path} can't be read: run the stage '{stage}' again, with `python -m ip2p reproduce --out {out} --again {stage}`."
        ) from error


def pictures(out: Path, name: str, seed: int, task: str) -> np.ndarray:
    """The pictures (N, H, W, 3), uint8, of a task in the order of `settings_of`. Raises ValueError where its stage has not run."""
    return read(out, name, seed, task).pictures


def _path(folder: Path, task: str) -> Path:
    return folder / f"{task}.npz"


def _write(path: Path, made: "Tensor", numbers: np.ndarray) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, pictures=(made * 255).round().byte().numpy(), numbers=numbers)
    part.replace(path)


def _measures(out: Path) -> "Callable[[Task | Chain, Tensor], np.ndarray]":
    """(task, pictures (N, H, W, 3)) -> their numbers (N, 5); those of a chain are of what should be there at each stage."""
    import torch

    from ..metrics.measures import Item, Measures
    from ..worlds import language
    from ..worlds.drawing import draw
    from .tasks import Chain

    measures = {Measures.load(clip=name): columns for name, columns in ((str(places.clip(out)), COLUMNS), ("world", SECOND))}

    def measured(task: "Task | Chain", made: "Tensor") -> np.ndarray:
        stages = [range(stage + 1) for stage in range(len(made))]
        after = [task.shown(done) for done in stages] if isinstance(task, Chain) else [task.answers[0]] * len(made)
        source, before = torch.from_numpy(draw(task.scene, task.size).picture), language.caption(task.scene)
        targets = {scene: torch.from_numpy(draw(scene, task.size).picture) for scene in dict.fromkeys(after)}
        items = [Item(source, one, targets[scene], None, before, language.caption(scene)) for one, scene in zip(made, after, strict=True)]
        tables = [[[row[column] for column in columns.values()] for row in one.batch(items)] for one, columns in measures.items()]
        return np.concatenate([np.array(table) for table in tables], axis=1)

    return measured


Maker = Callable[[Sequence[int]], "Iterable[Tensor]"]
"""The edited pictures (N, H, W, 3) of a job's tasks by their numbers, each in the order of `settings_of`."""


def _maker(out: Path, config: Config, name: str, seed: int, every: "Sequence[Task | Chain]") -> Maker:
    if name in (*BASELINES, "anchors"):
        from ..text_to_image import TextToImage

        model = TextToImage.load(places.painter(out))
        scale = config.evaluation.text_scale if name == BASELINES[0] else config.painter.text_scale
        return _anchors(model, every) if name == "anchors" else _sdedits(model, config.evaluation, scale, seed, every)
    from ..edit import Editor

    editor = Editor.load(places.editor(out, CONDITIONS[0] if name in OWN else name, seed))
    if name == "chains":
        return _chains(editor, config.evaluation, seed, every)
    return _sweeps(editor, config, name, seed, every)


def _sweeps(editor: Any, config: Config, name: str, seed: int, every: "Sequence[Any]") -> Maker:
    """The cells of a grid of scales in one batch; with "other", each under the next other task's instruction."""
    from ..sweep import Grid, sweep

    scales, steps = Grid(*_scales(name, config)), config.evaluation.steps

    def make(number: int) -> "Tensor":
        task = every[number]
        following = (*every[number + 1 :], *every[:number])
        told = next((one for one in following if one.edit != task.edit), task) if name == "other" else task
        return sweep(editor, _source(task), told.instruction, scales, steps=steps, seed=seed_of("edit", task.id, seed)).pictures

    return lambda numbers: map(make, numbers)


def _chains(editor: Any, asked: Evaluation, seed: int, every: "Sequence[Any]") -> Maker:
    from ..chain import chain
    from ..stages import Stage

    def make(number: int) -> "Tensor":
        import torch

        task, noise = every[number], seed_of("edit", every[number].id, seed)
        stages = [Stage(instruction, asked.text_scale, middle(asked)) for instruction in task.instructions]
        return torch.cat(chain(editor, _source(task), stages, steps=asked.steps, seed=noise))

    return lambda numbers: map(make, numbers)


def _sdedits(model: Any, asked: Evaluation, scale: float, seed: int, every: "Sequence[Any]") -> Maker:
    """The painter by the captions of the edited pictures, as the paper's baseline."""

    def make(numbers: Sequence[int]) -> "Iterable[Tensor]":
        import torch

        some = [every[number] for number in numbers]
        sources, captions = torch.cat([_source(task) for task in some]), [task.edited_caption for task in some]
        noise = [seed_of("edit", task.id, seed) for task in some]
        told = {"steps": asked.steps, "scale": scale, "seed": noise}
        return torch.stack([model.sdedit(sources, captions, strength, **told) for strength in asked.strengths], dim=1).unbind()

    return make


def _anchors(model: Any, every: "Sequence[Any]") -> Maker:
    def make(number: int) -> "Tensor":
        import torch

        task = every[number]
        answer = torch.from_numpy(task.answer())[None]
        with torch.no_grad():
            return torch.cat([_source(task), answer, model.decode(model.mode(answer) * model.latent_scale).cpu()])

    return lambda numbers: map(make, numbers)


def _source(task: "Task | Chain") -> "Tensor":
    """The picture to edit, (1, H, W, 3)."""
    import torch

    from ..worlds.drawing import draw

    return torch.from_numpy(draw(task.scene, task.size).picture)[None]

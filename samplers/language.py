"""Language models in the host: loaded beside its own work, moved by its memory management, stopped within a second."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from torch import nn

from ..ip2p.captions import files, finetune, run
from ..ip2p.captions.asking import Asking
from ..ip2p.captions.filters import Filters
from ..ip2p.captions.finetune import FineTuning
from ..ip2p.captions.human import triplets as human
from ..ip2p.captions.language_model import LanguageModel, LocalSource
from ..ip2p.captions.server import Server, ServerSource
from ..ip2p.captions.source import Answer, Source
from ..ip2p.captions.triplet import Triplet
from ..ip2p.ids import id_of
from .apart import Watch, apart
from .measuring import managed
from .triplets import Made, captions_in, told

POLL = 0.1
"""Seconds between two looks at whether the user has cancelled."""
TELL_EVERY = 0.5
"""Seconds between two texts on the node."""
FOLDER_HOLDS = ("config.json", "adapter_config.json")
Tell = Callable[[str], None]


def models_in(folders: list[str]) -> list[str]:
    """The language models below some folders, by their path from there: folders as transformers writes them, and .gguf files."""
    found = set()
    for folder in map(Path, folders):
        for place in [*folder.glob("**/*.gguf"), *(path.parent for name in FOLDER_HOLDS for path in folder.glob(f"**/{name}"))]:
            if place != folder:
                found.add(place.relative_to(folder).as_posix())
    return sorted(found)


@dataclass(frozen=True)
class Work:
    """What is to be made: edits of captions (one a line), ``count`` of each, kept in ``folder``; ``tell`` shows text on the node."""

    captions: str
    count: int
    seed: int
    filters: Filters
    folder: Path
    tell: Tell


def local(name: str, form: str, batch: int, work: Work, **asking: Any) -> Made:
    """Triplets by a language model that is loaded for it. Raises ValueError, and the host's exception on cancel."""
    work.tell(f"Loading {Path(name).name}")
    device = comfy.model_management.get_torch_device()
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    model = _apart(lambda: LanguageModel.load(name, "cpu", dtype))
    source = LocalSource(model, _asking(model.format if form == "auto" else form, asking), batch)
    patchers = managed([model.module])
    comfy.model_management.load_models_gpu(patchers, force_full_load=True)
    with heeding(model.module):
        return durable(source, work)


def server(where: Server, form: str, concurrency: int, work: Work, **asking: Any) -> Made:
    """Triplets by a server. Raises ValueError, and the host's exception on cancel."""
    stop = comfy.model_management.throw_exception_if_processing_interrupted
    return durable(ServerSource(where, _asking("chat" if form == "auto" else form, asking), concurrency, stop), work)


def finetuned(name: str, triplets: Sequence[Triplet], out: Path, settings: FineTuning, tell: Tell) -> str:
    """Teach a language model triplets, or go on with the run in ``out``; the folder of the result.

    Raises ValueError, and the host's exception on cancel, after what is learnt is saved.
    """
    tell(f"Loading {Path(name).name}")
    steps = len(finetune.batches(len(triplets), settings))
    watch = Watch(steps, tell)
    with apart(comfy.model_management.get_total_memory(comfy.model_management.get_torch_device())) as device:
        model = _apart(lambda: LanguageModel.load(name, str(device)))

        def show(step: finetune.Step) -> None:
            watch.show(step.number, steps, f"step {step.number} of {steps}, loss {step.loss:.3f}")

        done = finetune.finetune(model, name, triplets, out, settings, show, watch.cancelled)
    if done is None:
        watch.raise_if_cancelled()
    return str(done)


def _asking(form: str, settings: dict[str, Any]) -> Asking:
    return Asking(format=form, examples=human(), **settings)


def durable(source: Source, work: Work) -> Made:
    """What a source makes, kept answer by answer in the folder: asked again, it goes on.

    Other captions or settings have a file of their own there. Raises ValueError where nothing is left.
    """
    listed = captions_in(work.captions)
    settings = run.settings_of(lambda: listed, source, work.count, work.seed)
    out = work.folder / f"triplets-{id_of(json.dumps(settings, sort_keys=True), repr(work.filters))}.jsonl"
    report = run.make(lambda: listed, source, work.count, work.seed, work.filters, out, _shown(len(listed), work.tell))
    return told(files.read(out), report.lines())


def _shown(total: int, tell: Tell) -> run.OnAnswer:
    """Shows the newest answers on the node; raises the host's exception on cancel."""
    bar, last = comfy.utils.ProgressBar(total), 0.0

    def show(number: int, answer: Answer) -> None:
        nonlocal last
        bar.update_absolute(number, total)
        comfy.model_management.throw_exception_if_processing_interrupted()
        newest = next((one for one in answer if isinstance(one, Triplet)), None)
        if newest and (number == total or time.monotonic() - last > TELL_EVERY):
            last = time.monotonic()
            tell(f"{number} of {total} captions\n{newest.caption}\n{newest.instruction}\n{newest.edited_caption}")

    return show


@contextmanager
def heeding(network: nn.Module) -> Iterator[None]:
    """Meanwhile each layer of the network first looks whether the user has cancelled, as one token of a long prompt can take a while."""

    def look(*_: Any) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()

    hooks = [layer.register_forward_pre_hook(look) for layer in network.modules() if next(layer.children(), None) is None]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _apart(work: Callable[[], Any]) -> Any:
    """What some work gives that can't be stopped; on cancel the host's exception is raised at once, and what it gives is dropped.

    A thread of its own is outside inference mode, so the weights can be moved later.
    """
    pool = ThreadPoolExecutor(1)
    try:
        under_way = pool.submit(work)
        while not wait([under_way], POLL).done:
            comfy.model_management.throw_exception_if_processing_interrupted()
        return under_way.result()
    finally:
        pool.shutdown(wait=False)

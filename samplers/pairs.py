"""The pairs' stages inside the host: its models and samplers, its memory, its bar with the newest pair, and its cancelling."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p.captions.triplet import Triplet
from ..ip2p.data.samples import Samples
from ..ip2p.pairs import rating
from ..ip2p.pairs.browse import Browsed, browse
from ..ip2p.pairs.draws import Sample, Settings
from ..ip2p.pairs.early_stop import EarlyStop, Midway
from ..ip2p.pairs.filter import Filtered, is_run
from ..ip2p.pairs.filter_run import Wish, filter_into
from ..ip2p.pairs.generate import Generate, Made
from ..ip2p.pairs.loop import Tally, Watch, once, run
from ..ip2p.pairs.prompt_to_prompt_control import PromptToPrompt
from ..ip2p.pairs.score import Facts, Scorer
from ..ip2p.pairs.thresholds import Rules, own
from ..ip2p.pictures import to_pil
from ..ip2p.sampling import OnStep
from . import conditioning
from .identity import identity
from .measuring import HostMeasures, managed
from .progress import PREVIEW, UNITS
from .prompt_to_prompt import check, paint_in_host

COUNT = "ip2p_count"


class Wired(NamedTuple):
    """A text-to-image model as it is wired to a node."""

    model: ModelPatcher
    clip: Any
    vae: Any


@dataclass(frozen=True)
class Asked:
    """How pairs are made in the host. ``sampler`` and ``sigmas`` (steps + 1,) are the host's own; None: Euler ancestral, and its `normal`
    schedule of ``settings.steps`` steps."""

    settings: Settings = field(default_factory=Settings)
    edit: PromptToPrompt = field(default_factory=PromptToPrompt)
    early: EarlyStop | None = None
    sampler: Any = None
    sigmas: Tensor | None = None
    kind: str = "jpg"


class HostPaint:
    """A wired model as a `generate.Paint`."""

    def __init__(self, wired: Wired, asked: Asked) -> None:
        self.wired, self.settings, self.edit = wired, asked.settings, asked.edit
        self.sampler = comfy.samplers.sampler_object(asked.settings.sampler) if asked.sampler is None else asked.sampler
        sampling = wired.model.get_model_object("model_sampling")
        own = comfy.samplers.calculate_sigmas(sampling, "normal", asked.settings.steps)
        self.sigmas: Tensor = own if asked.sigmas is None else asked.sigmas
        if len(self.sigmas) < 2:
            raise ValueError("The sigmas have no steps: wire those of a scheduler with at least one step.")

    def __call__(self, samples: Sequence[Sample], midway: Midway, on_step: OnStep | None = None) -> Tensor:
        """Pairs (M, 2, H, W, 3) in [0, 1]. Raises ValueError in a sentence, and the host's exception on cancel."""
        counter = _Counter()
        model = counter.on(self.wired.model)

        def callback(step: int, denoised: Tensor, _: Tensor, steps: int) -> None:
            if on_step:
                on_step(step + 1, steps, denoised)

        def keep(done: int, total: int, denoised: Tensor) -> list[int] | None:
            midway.count(counter.taken(len(midway.under_way)))
            return midway(done, total, denoised)

        wired, middle = self.wired._replace(model=model), midway.at(len(self.sigmas) - 1)
        pictures = paint_in_host(*wired, samples, self.settings, self.edit, self.sampler, self.sigmas, callback, keep, middle)
        midway.count(counter.taken(len(midway.under_way)))
        return pictures

    def decode(self, denoised: Tensor) -> Tensor:
        """Pictures (B, H, W, 3) of latents on the VAE's scale."""
        return conditioning.decode(self.wired.vae, denoised)

    def told(self) -> dict[str, Any]:
        """What the pictures depend on besides the settings, as JSON values."""
        model, clip, vae = self.wired
        networks = {"model": identity(model), "text": identity(clip.patcher), "vae": identity(vae.patcher)}
        function = getattr(self.sampler, "sampler_function", self.sampler)
        options = {name: str(value) for name, value in sorted(getattr(self.sampler, "extra_options", {}).items())}
        how = {"sampler": getattr(function, "__name__", type(function).__name__), "options": options}
        return {"model": networks, **how, "sigmas": [round(float(sigma), 6) for sigma in self.sigmas]}


class _Counter:
    """Counts the network's passes over single pictures: a sampler may take several in a step."""

    def __init__(self) -> None:
        self.rows = 0

    def on(self, model: ModelPatcher) -> ModelPatcher:
        """A clone of a model that is counted."""
        counted = model.clone()
        wrappers = comfy.patcher_extension.WrappersMP
        counted.remove_wrappers_with_key(wrappers.APPLY_MODEL, COUNT)
        counted.add_wrapper_with_key(wrappers.APPLY_MODEL, COUNT, self._counted)
        return counted

    def _counted(self, executor: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.rows += len(x)
        out: Tensor = executor(x, *args, **kwargs)
        return out

    def taken(self, samples: int) -> int:
        """The passes for each of so many samples since this was asked last."""
        rows, self.rows = self.rows, 0
        return rows // samples if samples else 0


class HostScorer:
    """`Scorer` under the host's memory management; a call is the same."""

    def __init__(self, measures: HostMeasures | None, aesthetic: str = "", nsfw: str = "") -> None:
        """``measures`` with a CLIP; classifiers by name or folder. Raises ValueError where there is no CLIP, or one can't be loaded."""
        if measures is None or measures.measures.clip is None:
            raise ValueError("Pairs are scored by a CLIP, and there is none: wire 'Load measures' with a CLIP in it.")
        with torch.inference_mode(False):  # weights made in inference mode can't be moved in place later
            ratings = [
                rating.aesthetic(aesthetic, "cpu") if aesthetic.strip() else None,
                rating.nsfw(nsfw, "cpu") if nsfw.strip() else None,
            ]
        self.scorer = Scorer(measures.measures.clip, *ratings)
        self.patchers = [*measures.patchers, *managed([module for one in ratings if one for module in one.modules().values()])]

    @property
    def name(self) -> str:
        """What its CLIP is, whatever it is called."""
        return self.scorer.clip.identity

    @property
    def own(self) -> Rules:
        """The thresholds that go with its CLIP."""
        return own(self.scorer.clip.model.config)

    def __call__(self, pictures: Tensor, captions: Sequence[tuple[str, str]], rough: bool = False) -> list[Facts]:
        """Scores of pairs (N, 2, H, W, 3) in [0, 1]; the networks are whole on the device meanwhile."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        comfy.model_management.load_models_gpu(self.patchers, force_full_load=True)
        return self.scorer(pictures, captions, rough)


def make(
    wired: Wired, triplets: Sequence[Triplet], scorer: HostScorer, out: Path, asked: Asked, say: Callable[[str], None] | None = None
) -> Tally:
    """Make the pairs of all triplets in a folder; what is there is not made again.

    Raises ValueError in a sentence for what can't be done, and the host's exception on cancel: what is kept by then stays.
    """
    if not triplets:
        raise ValueError("There are no triplets to make pairs of: wire 'Triplets by grammar' with some captions.")
    triplets, paint = once(triplets), HostPaint(wired, asked)
    check(wired.model, wired.clip, [Sample(triplets[0], 0, 0, 0.5, 1.0)])
    conditioning.check_vae(wired.vae)
    samples = Samples(out, told(paint, scorer, asked))
    shown = Shown(len(triplets), asked.settings, len(paint.sigmas) - 1, say)
    generate = Generate(paint, scorer, asked.settings, asked.early)
    return run(_watched(triplets), generate, samples, asked.kind, Watch(shown.sample, shown.step, shown.prompt))


def told(paint: HostPaint, scorer: HostScorer, asked: Asked) -> dict[str, Any]:
    """What a folder must have been begun with, as JSON values."""
    how = {"settings": asdict(asked.settings), "prompt_to_prompt": asdict(asked.edit), "early_stop": asked.early and asked.early.told()}
    return {
        "made_by": "ComfyUI",
        **how,
        **paint.told(),
        "scores": scorer.scorer.identity,
        "thresholds": scorer.own.told(),
        "pictures": asked.kind,
    }


def _watched(triplets: Iterable[Triplet]) -> Iterable[Triplet]:
    """Each triplet, unless the user has cancelled."""
    for triplet in triplets:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield triplet


class Shown:
    """The node's bar over all prompts, with the newest pair. Every update raises the host's own exception when the user has cancelled."""

    def __init__(self, prompts: int, settings: Settings, steps: int, say: Callable[[str], None] | None = None) -> None:
        self.prompts, self.settings, self.steps, self.say = prompts, settings, steps, say or (lambda _: None)
        self.total, self.done, self.made = Tally(), 0, 0
        self._bar = comfy.utils.ProgressBar(prompts * UNITS)
        self._at = 0
        self._pair: tuple[str, Any, int] | None = None

    def step(self, done: int, steps: int, _: Tensor) -> None:
        """After a step of the group under way."""
        begun = min(self.settings.samples, self.made + self.settings.batch * done / steps)
        self._show(begun / self.settings.samples)

    def sample(self, made: Made) -> None:
        """A sample is kept."""
        self.made = made.sample.number + 1
        if made.pictures is not None:
            self._pair = ("JPEG", to_pil(torch.cat(list(made.pictures), dim=1)), PREVIEW)
        self._show(self.made / self.settings.samples)

    def prompt(self, triplet: Triplet, tally: Tally) -> None:
        """A prompt is finished."""
        self.done, self.made = self.done + 1, 0
        self.total.add(tally)
        self.say(f"{self.done} of {self.prompts} prompts, {self.total.samples} samples: {triplet.instruction}")
        self._show(0)

    def _show(self, share: float) -> None:
        self._at = max(self._at, min(int((self.done + share) * UNITS), self.prompts * UNITS))
        self._bar.update_absolute(self._at, self.prompts * UNITS, self._pair)


def keep_best(wish: Wish, out: Path, layout: str, replace: bool) -> Filtered:
    """Filter into a folder, with the host's bar. Raises ValueError in a sentence, and the host's exception on cancel."""
    total = max(1, len(Samples(Path(wish.spec)).names()) if is_run(wish.spec) else 1)
    tick = _ticks(total)
    return filter_into(wish, out, layout, replace, lambda *_: tick())


def browsed(wish: Wish, show: str, first: int, count: int, each: int, cell: int) -> Browsed:
    """A sheet of pairs (1, H, W, 3) and what is said of them. Raises ValueError in a sentence, and the host's exception on cancel."""
    found = browse(wish, show, first, count, each, cell, _ticks(count))
    return Browsed(found.sheet[None].to(comfy.model_management.intermediate_device()), found.report)


def _ticks(total: int) -> Callable[[], None]:
    """A bar of so many ticks; each raises the host's own exception when the user has cancelled."""
    bar, done = comfy.utils.ProgressBar(total), 0

    def tick() -> None:
        nonlocal done
        comfy.model_management.throw_exception_if_processing_interrupted()
        done = min(done + 1, total)
        bar.update_absolute(done, total)

    return tick


def report(name: str, tally: Tally) -> str:
    """What was made and what it cost, as Markdown."""
    before = f", {tally.before:,} of them were there" if tally.before else ""
    dropped = f", {tally.dropped:,} of them dropped midway" if tally.dropped else ""
    made = f"**{name}**: {tally.prompts:,} triplets{before}; {tally.samples:,} samples{dropped}"
    return f"{made}\n\n{tally.passes:,} network passes"

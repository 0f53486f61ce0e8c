"""What a run of `python -m ip2p pairs` asks for, and the stages that do it: the same in one process and in every worker."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..data.samples import Samples
from ..metrics.pretrained import identity
from ..sampling import OnStep
from ..text_to_image import TextToImage
from .draws import Sample, Settings
from .early_stop import EarlyStop, Midway
from .generate import Generate
from .prompt_to_prompt import paint
from .prompt_to_prompt_control import PromptToPrompt
from .thresholds import own

if TYPE_CHECKING:
    from .score import Scorer


@dataclass(frozen=True)
class Plan:
    """Everything that decides what comes out: models by name or path, settings, the pictures' format `kind`, and where it goes.

    ``threads`` of the processor (0: as many as torch takes) decide how sums are rounded, and so must be the same everywhere.
    """

    out: Path
    model: str = "painter"
    weights: str = "ema"
    lora: str = ""
    device: str = "auto"
    clip: str = "openai/clip-vit-large-patch14"
    aesthetic: str = ""
    nsfw: str = ""
    settings: Settings = field(default_factory=Settings)
    early: EarlyStop | None = None
    edit: PromptToPrompt = field(default_factory=PromptToPrompt)
    kind: str = "jpg"
    threads: int = 0


class ModelPaint:
    """A loaded model as a `generate.Paint`."""

    def __init__(self, model: TextToImage, settings: Settings, edit: PromptToPrompt | None = None) -> None:
        self.model, self.settings, self.edit = model, settings, edit or PromptToPrompt()

    def __call__(self, samples: Sequence[Sample], midway: Midway, on_step: OnStep | None = None) -> Tensor:
        def keep(done: int, total: int, denoised: Tensor) -> list[int] | None:
            midway.count()
            return midway(done, total, denoised)

        pictures = paint(self.model, samples, self.settings, self.edit, on_step, keep)
        midway.count()  # of the last step, after which nobody is asked
        return pictures

    def decode(self, denoised: Tensor) -> Tensor:
        """Pictures (B, H, W, 3) of latents on the network's scale."""
        return self.model.decode(denoised)


def build(plan: Plan) -> tuple[Generate, dict[str, Any]]:
    """(the stage, what a working folder must have been begun with). Loads the models. Raises ValueError in a sentence."""
    from .score import Scorer

    if plan.threads:
        torch.set_num_threads(plan.threads)
    model = TextToImage.load(plan.model, plan.weights, plan.device, plan.lora or None)
    scorer = Scorer.load(plan.clip, plan.aesthetic, plan.nsfw, plan.device)
    stage = Generate(ModelPaint(model, plan.settings, plan.edit), scorer, plan.settings, plan.early)
    return stage, told(plan, model, scorer)


def told(plan: Plan, model: TextToImage, scorer: "Scorer") -> dict[str, Any]:
    """What the pictures and scores of a run depend on, as JSON values; names and places of files are no part of it."""
    networks = {"unet": model.unet, "vae": model.vae, **{f"text_{number}": one for number, one in enumerate(model.encoders)}}
    return {
        "made_by": "ip2p pairs",
        "settings": asdict(plan.settings),
        "prompt_to_prompt": asdict(plan.edit),
        "early_stop": plan.early.told() if plan.early else None,
        "model": {name: identity(network) for name, network in networks.items()},
        "scores": scorer.identity,
        "thresholds": own(scorer.clip.model.config).told(),
        "pictures": plan.kind,
    }


def opened(plan: Plan, settings: dict[str, Any]) -> Samples:
    """The working folder. Raises DataError where it was begun with other settings."""
    return Samples(plan.out, settings)

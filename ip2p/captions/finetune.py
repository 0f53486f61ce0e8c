"""Fine-tuning a language model on edit triplets, with LoRA (Hu et al. 2021), in the paper's format (section 3.1.1).

The prompt is ``caption\\n##\\n``, what is learnt is ``instruction\\n%\\nedited caption\\nEND``: the loss is that of the completion's
tokens alone. One epoch, as in the paper. Everything random comes from the seed and the step, so a run that was stopped and goes on learns
the same, to the bit on the same machine.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ids import chance_of, id_of
from ..training.checkpoints import Checkpoints, fill
from . import prompts
from .language_model import MARK, LanguageModel
from .triplet import Triplet

log = logging.getLogger(__name__)

CHECKPOINTS, MODEL = "checkpoints", "model"
IGNORED = -100
"""The label of tokens that have no loss."""
LARGEST_GRADIENT = 1.0
"""Gradients with a larger norm are scaled down to it."""
ROWS = 8
"""Triplets that a graphics card is given at a time."""
Example = tuple[list[int], list[int]]
"""Token ids of a prompt and of its completion."""


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune. ``rate`` falls along a half cosine to 0, after ``warmup`` (a share of the steps) of rising from 0.

    ``rank``: of the LoRA in every linear layer but the last; its scale is 2. ``merge``: write a whole model instead of the LoRA alone.
    ``save_every``: steps between checkpoints. Raises ValueError for values out of range.
    """

    epochs: int = 1
    rate: float = 5e-4
    batch: int = 8
    rank: int = 16
    warmup: float = 0.1
    seed: int = 0
    merge: bool = False
    save_every: int = 20

    def __post_init__(self) -> None:
        limits = {"epochs": (1, 1000), "rate": (1e-8, 1), "batch": (1, 4096), "rank": (1, 1024), "save_every": (1, 10**9)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"The {name.replace('_', ' ')} {getattr(self, name)} is out of range: use {low:g} to {high:g}.")


@dataclass(frozen=True)
class Step:
    """What is told after each step: ``loss`` is the mean over the completions' tokens, in nats."""

    number: int
    total: int
    loss: float


OnStep = Callable[[Step], None]


def finetune(
    model: LanguageModel,
    base: str,
    triplets: Sequence[Triplet],
    out: Path,
    settings: FineTuning,
    on_step: OnStep | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Teach a model triplets; the folder with the result, for `LanguageModel.load`. None where cancelled: call again and it goes on.

    ``base``: where ``model`` came from, which the result needs later unless it is merged. The model passed in is changed. ``cancelled``
    is asked several times in a step; what the finished steps learnt is saved.
    Raises ValueError for triplets that can't be learnt from, and for a folder with a run of other settings.
    """
    done = out / MODEL
    steps = batches(len(triplets), settings)
    store = _begun(model, triplets, out, settings)
    if (done / MARK).is_file():
        return done
    network, trained = _with_lora(model, settings)
    examples = [example(model.tokenizer, triplet) for triplet in triplets]
    optimizer = torch.optim.AdamW([weight for _, weight in trained], lr=settings.rate, weight_decay=0.0)
    first = _resumed(store, trained, optimizer)
    network.train()
    for number in range(first, len(steps)):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(number, len(steps), settings)
        loss = _step(network, model, optimizer, [examples[place] for place in steps[number]], cancelled)
        if loss is None or (number + 1) % settings.save_every == 0:
            store.save(_state(trained, optimizer), number + (loss is not None), 0)
        if loss is None:
            return None
        if on_step:
            on_step(Step(number + 1, len(steps), loss))
    _write(network, model, base, done, settings)
    store.clear()
    return done


def batches(count: int, settings: FineTuning) -> list[list[int]]:
    """Which examples each step learns from: every one once an epoch, in an order of its own in each."""
    if not count:
        raise ValueError("There are no triplets to learn from: give a file with some.")
    orders = [chance_of("order", settings.seed, epoch).permutation(count).tolist() for epoch in range(settings.epochs)]
    return [order[start : start + settings.batch] for order in orders for start in range(0, count, settings.batch)]


def rate_at(number: int, total: int, settings: FineTuning) -> float:
    """The learning rate of a step, counted from 0."""
    rising = max(1, round(settings.warmup * total))
    if number < rising:
        return settings.rate * (number + 1) / rising
    return settings.rate * 0.5 * (1 + math.cos(math.pi * (number - rising) / max(1, total - rising)))


def example(tokenizer: Any, triplet: Triplet) -> Example:
    """A triplet as tokens. The two parts are made apart, as they are when the model is asked."""
    prompt = tokenizer(prompts.prompt(triplet.caption))["input_ids"]
    return list(prompt), list(tokenizer(prompts.completion(triplet), add_special_tokens=False)["input_ids"])


def padded(examples: Sequence[Example], pad: int, device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(tokens, mask, labels), each (B, longest), padded on the right. Labels are those of the completions, IGNORED elsewhere."""
    longest = max(len(prompt) + len(learnt) for prompt, learnt in examples)
    rows: dict[str, list[list[int]]] = {"tokens": [], "mask": [], "labels": []}
    for prompt, learnt in examples:
        rest = longest - len(prompt) - len(learnt)
        rows["tokens"].append(prompt + learnt + [pad] * rest)
        rows["mask"].append([1] * (longest - rest) + [0] * rest)
        rows["labels"].append([IGNORED] * len(prompt) + learnt + [IGNORED] * rest)
    tokens, mask, labels = (torch.tensor(own, device=device) for own in rows.values())
    return tokens, mask, labels


def completion_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the next token in nats. logits: (B, L, V), labels: (B, L) with IGNORED where there is no loss."""
    return F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def _step(network: Any, model: LanguageModel, optimizer: Any, examples: Sequence[Example], cancelled: Callable[[], bool]) -> float | None:
    """One step; its loss, or None where cancelled before its end: then nothing is learnt of it."""
    device, loss, words = model.module.device, 0.0, sum(len(learnt) for _, learnt in examples)
    some = 1 if device.type == "cpu" else ROWS  # on a CPU rows are no faster together, and padding costs time
    for start in range(0, len(examples), some):
        if cancelled():
            optimizer.zero_grad(set_to_none=True)
            return None
        rows = examples[start : start + some]
        tokens, mask, labels = padded(rows, model.tokenizer.pad_token_id, device)
        share = sum(len(learnt) for _, learnt in rows) / words
        part = share * completion_loss(network(input_ids=tokens, attention_mask=mask, use_cache=False).logits, labels)
        part.backward()
        loss += float(part.detach())
    if not math.isfinite(loss):
        raise ValueError("The loss is no longer a number: start anew with a lower rate.")
    torch.nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], LARGEST_GRADIENT)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


def _with_lora(model: LanguageModel, settings: FineTuning) -> tuple[Any, list[tuple[str, Any]]]:
    """The network with a LoRA that changes nothing yet, and the LoRA's weights by name."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ValueError("Fine-tuning needs peft: run `pip install peft`.") from error
    config = LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = get_peft_model(model.module, config)
    return network, [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]


def _begun(model: LanguageModel, triplets: Sequence[Triplet], out: Path, settings: FineTuning) -> Checkpoints:
    """The run's checkpoints. Raises ValueError where the folder holds a run from another model, of other triplets or settings."""
    told = {**asdict(settings), "model": model.identity, "triplets": id_of(*(triplet.id for triplet in triplets))}
    told.pop("save_every")
    place = out / "finetune.json"
    if place.is_file():
        before = json.loads(place.read_text(encoding="utf-8"))
        if other := [name for name in told if before.get(name) != told[name]]:
            raise ValueError(f"{out} holds a run with another {other[0].replace('_', ' ')}: use another folder, or what it began with.")
    else:
        out.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(told, indent=1), encoding="utf-8")
        part.replace(place)
    return Checkpoints(out / CHECKPOINTS, keep=1)


def _state(trained: Sequence[tuple[str, Tensor]], optimizer: Any) -> dict[str, Any]:
    return {"weights": {name: weight.detach().cpu() for name, weight in trained}, "optimizer": optimizer.state_dict()}


def _resumed(store: Checkpoints, trained: Sequence[tuple[str, Any]], optimizer: Any) -> int:
    """The step to go on with."""
    saved = store.load()
    if saved is None:
        return 0
    fill(trained, saved["weights"], str(store.folder))
    optimizer.load_state_dict(saved["optimizer"])
    log.info("Going on after step %d.", saved["step"])
    return int(saved["step"])


def _write(network: Any, model: LanguageModel, base: str, place: Path, settings: FineTuning) -> None:
    """The LoRA, or the whole model, with its tokenizer, beside its place, and renamed into it."""
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    whole = network.merge_and_unload() if settings.merge else network
    whole.save_pretrained(part, **({} if settings.merge else {"save_embedding_layers": False}))
    model.tokenizer.save_pretrained(part)
    where = str(Path(base).expanduser().resolve()) if Path(base).expanduser().exists() else base
    (part / MARK).write_text(json.dumps({"base": where, "format": "paper"}), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)

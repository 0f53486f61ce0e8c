"""A local causal language model as a source of triplets: a folder, a GGUF file, a public name, or what was fine-tuned here."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..devices import pick_device
from ..metrics.pretrained import from_pretrained
from . import prompts
from .asking import Asking, proposal, reply_seed, worth_another
from .filters import LONG
from .generation import OnToken, Reply, generate
from .source import Answer, Refused
from .triplet import Triplet

log = logging.getLogger(__name__)

WHAT = "a causal language model"
MARK = "ip2p_captions.json"
"""What fine-tuning leaves beside its weights: {"base": the model it began from, "format": "paper"}."""
ADAPTER = "adapter_config.json"
SOME = 64


@dataclass(frozen=True)
class LanguageModel:
    """A network of transformers' with its tokenizer. ``format``: how it is best asked, one of `prompts.FORMATS`."""

    module: Any
    tokenizer: Any
    name: str
    format: str

    @classmethod
    def load(cls, name: str, device: str = "auto", dtype: torch.dtype | None = None) -> "LanguageModel":
        """A folder, a .gguf file, a folder that fine-tuning wrote, or a public name (`owner/name`, `owner/name/file.gguf`).

        On the CPU in float32, elsewhere in bfloat16, unless ``dtype`` says otherwise. Raises ValueError that says what is wrong.
        """
        if not name.strip():
            raise ValueError("No language model is named: give a folder, a .gguf file or a public name.")
        where = pick_device(device)
        dtype = dtype or (torch.float32 if where.type == "cpu" else torch.bfloat16)
        folder = Path(name).expanduser()
        mark = _mark(folder)
        module, tokenizer = _adapted(folder, mark, dtype) if (folder / ADAPTER).is_file() else _loaded(name, dtype)
        log.info("%s: %.0f million parameters, %s", name, sum(part.numel() for part in module.parameters()) / 1e6, where)
        return cls.of(module.to(where), tokenizer, _short(name), mark.get("format", ""))

    @classmethod
    def of(cls, module: Any, tokenizer: Any, name: str, form: str = "") -> "LanguageModel":
        """A network and its tokenizer as they are. ``form`` "": chat where the tokenizer has a template, few-shot where not."""
        from transformers import GenerationConfig

        from .generation import ends

        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        # its own settings of sampling would be mixed into ours
        module.generation_config = GenerationConfig(eos_token_id=ends(module, tokenizer) or None)
        form = form or ("chat" if getattr(tokenizer, "chat_template", None) else "few-shot")
        return cls(module.eval().requires_grad_(False), tokenizer, name, form)

    def tokens(self, asking: Asking, caption: str, seed: int, number: int) -> list[int]:
        """The prompt for one proposal. Raises ValueError where the model can't be talked to."""
        if asking.format != "chat":
            return list(self.tokenizer(asking.text(caption, seed, number))["input_ids"])
        if not getattr(self.tokenizer, "chat_template", None):
            raise ValueError(f"{self.name} was not taught to answer (it has no chat template): use the format few-shot.")
        text = self.tokenizer.apply_chat_template(
            asking.messages(caption, seed, number), tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def complete(self, rows: Sequence[Sequence[int]], seeds: Sequence[int], asking: Asking, on_token: OnToken | None = None) -> list[Reply]:
        """A reply to each prompt (token ids), a seed each."""
        told = (asking.temperature, asking.frequency_penalty, asking.max_tokens, prompts.END, on_token)
        return generate(self.module, self.tokenizer, rows, seeds, *told)

    @property
    def longest(self) -> int:
        """Tokens that prompt and reply may have together."""
        return int(getattr(self.module.config, "max_position_embeddings", 0) or 1 << 30)

    @property
    def identity(self) -> str:
        """16 digits from a few values of each weight: quick, and another for any other model."""
        digest = hashlib.blake2b(digest_size=8)
        for name, weight in sorted(self.module.state_dict().items()):
            flat = weight.detach().flatten()
            some = torch.cat([flat[:SOME], flat[-SOME:]]).float().cpu()
            digest.update(f"{name}{tuple(weight.shape)}".encode() + some.numpy().tobytes())
        return digest.hexdigest()


class LocalSource:
    """Triplets from a local language model. `batch` captions are asked about together, as many replies at a time as that."""

    def __init__(self, model: LanguageModel, asking: Asking, batch: int = 8, on_token: OnToken | None = None) -> None:
        """``on_token`` is called for each token of a batch, and may raise to stop. ``batch``: 1 to 1024."""
        if not 1 <= batch <= 1024:
            raise ValueError(f"The batch {batch} is out of range: use 1 to 1024.")
        self.model, self.asking, self.batch, self.on_token = model, asking, batch, on_token
        self.name = model.name
        self.settings: dict[str, Any] = {"model": model.identity, **asking.settings()}
        self.tokens = 0
        """Tokens written so far."""

    def ask(self, captions: Sequence[str], count: int, seed: int) -> Iterator[Answer]:
        """As `source.Source`. What is no edit is asked for again, with other seeds, up to `Asking.tries` times."""
        wishes = [(caption, number) for caption in captions for number in range(count)]
        made: Answer = []
        for start in range(0, len(wishes), self.batch):
            made += self._proposals(wishes[start : start + self.batch], seed)
            while len(made) >= count > 0:
                yield made[:count]
                made = made[count:]

    def _proposals(self, wishes: Sequence[tuple[str, int]], seed: int) -> Answer:
        rows = [self.model.tokens(self.asking, caption, seed, number) for caption, number in wishes]
        room = self.model.longest - self.asking.max_tokens
        made: dict[int, Triplet | Refused] = {
            place: Refused(caption, LONG) for place, (caption, _) in enumerate(wishes) if len(rows[place]) > room
        }
        left = [place for place in range(len(wishes)) if place not in made]
        for attempt in range(self.asking.tries):
            if not left:
                break
            seeds = [reply_seed(wishes[place][0], seed, wishes[place][1], attempt) for place in left]
            replies = self.model.complete([rows[place] for place in left], seeds, self.asking, self.on_token)
            self.tokens += sum(reply.tokens for reply in replies)
            for place, reply in zip(left, replies, strict=True):
                made[place] = proposal(wishes[place][0], reply.text, reply.ended, self.name)
            left = [place for place in left if worth_another(made[place])]
        return [made[place] for place in range(len(wishes))]


def _mark(folder: Path) -> dict[str, str]:
    """What fine-tuning says of a folder; nothing of others. Raises ValueError for one that can't be read."""
    place = folder / MARK
    if not place.is_file():
        return {}
    try:
        told = json.loads(place.read_text(encoding="utf-8"))
        return {name: str(told[name]) for name in ("base", "format")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{place} can't be read: fine-tune again, or copy the whole folder again.") from error


def _loaded(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """(network, tokenizer) of a folder, a file or a public name."""
    if not name.lower().endswith(".gguf"):
        return _parts(name, "config.json", dtype)
    _needs_gguf()
    place, _, file = name.replace("\\", "/").rpartition("/")
    try:
        module, tokenizer = _parts(place or ".", file, dtype, gguf_file=file)
    except ValueError as error:
        raise ValueError(f"{name} is no GGUF file of a language model that transformers reads: download it again, or another.") from error
    if getattr(module, "hf_quantizer", None):
        module.hf_quantizer.remove_quantization_config(module)  # its weights are plain numbers now: it can be taught and saved
    return module, tokenizer


def _parts(place: str, holds: str, dtype: torch.dtype, **options: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = from_pretrained(partial(AutoTokenizer.from_pretrained, **options), place, f"{WHAT} with its tokenizer", holds)
    plain = _unpacked() if options else {}
    loader = partial(AutoModelForCausalLM.from_pretrained, torch_dtype=dtype, output_loading_info=True, **options, **plain)
    module, told = from_pretrained(loader, place, WHAT, holds)
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"{place} lacks {len(missing)} of its weights ({missing[0]}): download all of it.")
    return module, tokenizer


def _unpacked() -> dict[str, Any]:
    """Asks newer versions of transformers for what older ones always do: the weights of a GGUF file as plain numbers."""
    try:
        from transformers import GgufConfig
    except ImportError:
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def _needs_gguf() -> None:
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise ValueError("Reading a GGUF file needs gguf: run `pip install gguf`.") from error


def _adapted(folder: Path, mark: dict[str, str], dtype: torch.dtype) -> tuple[Any, Any]:
    """(network, tokenizer) of a LoRA: its base, with the LoRA merged in."""
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ValueError("A LoRA of a language model needs peft: run `pip install peft`.") from error
    base = mark.get("base") or _base_of(folder)
    module, tokenizer = _loaded(base, dtype)
    loader = partial(_with_lora, PeftModel, module)
    return from_pretrained(loader, str(folder), "a LoRA", ADAPTER).merge_and_unload(), tokenizer


def _with_lora(kind: Any, module: nn.Module, place: str, **_: Any) -> Any:
    return kind.from_pretrained(module, place)


def _base_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / ADAPTER} doesn't name its base model: copy the whole folder again.") from error


def _short(name: str) -> str:
    """A name for the triplets: the last part of a path."""
    return Path(name.replace("\\", "/")).name or name

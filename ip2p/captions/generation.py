"""Text from a causal language model, many prompts at once, each with chance of its own.

What a row gets depends on its prompt and its seed. The chance of a row never depends on the rows beside it, on their number or on the
device. The network's scores do, by rounding: another batch size or more padding moves them by about 1e-6 of their size in float32 (1e-2
in bfloat16), so a token can change where two of them are that close to equal. In the same batches the same texts come out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

OnToken = Callable[[], None]
TAIL = 12
"""Tokens at the end of a text in which its stop is looked for: more than it can be made of."""


@dataclass(frozen=True)
class Reply:
    """What a model wrote after a prompt. `ended`: it came to its end, rather than to the longest that was allowed."""

    text: str
    ended: bool
    tokens: int


class PaperSampling:
    """Scores of the next tokens -> scores with only the token left that was drawn from softmax((scores - penalty * counts) / temperature).

    ``counts``: how often each token was generated so far in its row, as OpenAI's frequency penalty has it. The draw takes one number of
    [0, 1) from the row's own generator on the CPU, and the token in whose share of the sum of probabilities it falls. A temperature of 0
    draws nothing: the likeliest token wins.
    """

    def __init__(self, width: int, seeds: Sequence[int], temperature: float, penalty: float) -> None:
        """``width``: tokens of the padded prompts; ``seeds``: one of each row, below 2^63."""
        self.width, self.temperature, self.penalty = width, temperature, penalty
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, tokens: Tensor, scores: Tensor) -> Tensor:
        """tokens: (B, L), scores: (B, V) -> (B, V) in float32."""
        scores = scores.float()
        if self.penalty:
            written = tokens[:, self.width :]
            counts = torch.zeros_like(scores).scatter_add_(1, written, torch.ones_like(written, dtype=scores.dtype))
            scores = scores - self.penalty * counts
        if not self.temperature:
            return scores
        return torch.full_like(scores, -torch.inf).scatter_(1, self._drawn(scores / self.temperature), 0.0)

    def _drawn(self, scores: Tensor) -> Tensor:
        """(B, 1): a token of each row. In float64 (on the CPU where the device has none), so that the sum's rounding never matters."""
        sums = (scores.cpu() if scores.device.type == "mps" else scores).double().softmax(1).cumsum(1)
        chance = [torch.rand(1, generator=generator, dtype=torch.float64) for generator in self.generators]
        below = sums <= torch.stack(chance).to(sums.device) * sums[:, -1:]
        return below.sum(1, keepdim=True).clamp_max(scores.shape[1] - 1).to(scores.device)


class StopAt:
    """Ends a row whose newest tokens hold the stop; calls ``on_token`` once for each token, from where it may raise."""

    def __init__(self, tokenizer: Any, width: int, stop: str, on_token: OnToken | None) -> None:
        self.tokenizer, self.width, self.stop, self.on_token = tokenizer, width, stop, on_token

    def __call__(self, tokens: Tensor, scores: Tensor, **_: Any) -> Tensor:
        """tokens: (B, L) -> (B,) True where the row is done."""
        if self.on_token:
            self.on_token()
        newest = tokens[:, max(self.width, tokens.shape[1] - TAIL) :]
        found = [self.stop in text for text in self.tokenizer.batch_decode(newest, skip_special_tokens=True)]
        return torch.tensor(found, device=tokens.device)


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    temperature: float,
    penalty: float,
    max_tokens: int,
    stop: str,
    on_token: OnToken | None = None,
) -> list[Reply]:
    """A reply to each prompt (token ids), cut before ``stop``."""
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    tokens, mask = padded(prompts, tokenizer.pad_token_id, model.device)
    width = tokens.shape[1]
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_tokens, pad_token_id=tokenizer.pad_token_id, eos_token_id=ends(model, tokenizer) or None
    )
    out = model.generate(
        tokens,
        attention_mask=mask,
        generation_config=config,
        logits_processor=LogitsProcessorList([PaperSampling(width, seeds, temperature, penalty)]),
        stopping_criteria=StoppingCriteriaList([StopAt(tokenizer, width, stop, on_token)]),
    )
    last = {tokenizer.pad_token_id, *ends(model, tokenizer)}
    return [_reply(tokenizer, row.tolist(), last, stop) for row in out[:, width:]]


def padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Tensor, Tensor]:
    """Prompts of any lengths -> (tokens, mask), both (B, longest), padded on the left, so that all end where the replies begin."""
    width = max(map(len, prompts))
    tokens = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
    return tokens, mask


def ends(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a text: what the model's settings name, and the tokenizer's own."""
    named = [getattr(model.generation_config, "eos_token_id", None), getattr(model.config, "eos_token_id", None), tokenizer.eos_token_id]
    lists = [own if isinstance(own, list) else [own] for own in named if own is not None]
    return sorted({int(token) for own in lists for token in own})


def _reply(tokenizer: Any, row: list[int], last: set[int], stop: str) -> Reply:
    """The tokens after the prompt as text. A row that ended before the longest one of its batch is filled up with padding tokens."""
    end = next((place for place, token in enumerate(row) if token in last), None)
    text = tokenizer.decode(row[:end], skip_special_tokens=True)
    before, found, _ = text.partition(stop)
    return Reply(before, end is not None or bool(found), len(row) if end is None else end + 1)

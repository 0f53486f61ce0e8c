"""The text stage: a small CLIP text transformer that learns which edit an instruction asks for."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from ..text import TOKENS, tokenize
from ..training.loop import Randomness
from ..worlds.asking import ask
from ..worlds.photo_operators import KINDS
from .config import TextEncoder

VOCABULARY = 49408
BEGIN, END = 49406, 49407


def build(config: TextEncoder) -> CLIPTextModel:
    """The transformer alone, with small random weights."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=config.width,
            intermediate_size=4 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=TOKENS,
            hidden_act="quick_gelu",
            bos_token_id=BEGIN,
            eos_token_id=END,
        )
    )


class Classifier(nn.Module):
    """The transformer with a linear reading of the kind from any one of its positions after the instruction's end."""

    def __init__(self, config: TextEncoder) -> None:
        super().__init__()
        self.encoder = build(config)
        self.head = nn.Linear(config.width, len(KINDS))

    def forward(self, tokens: Tensor, at: Tensor) -> Tensor:
        """Logits (B, kinds) of token ids (B, T), read at position ``at`` (B,)."""
        hidden = self.encoder(tokens).last_hidden_state
        return self.head(hidden[torch.arange(len(tokens)), at])


def tokens_of(instructions: Sequence[str]) -> Tensor:
    """Token ids (B, 77), padded with the end token."""
    return torch.cat([tokenize(instruction) for instruction in instructions])


def first_end(tokens: Tensor) -> Tensor:
    """The position (B,) of each instruction's first end token."""
    return (tokens == END).int().argmax(1)


class TextLoss:
    """Cross-entropy of the kind, read both at the instruction's end and at a random position behind it."""

    def __init__(self, classifier: Classifier, captions: list[str], batch: int) -> None:
        self.classifier, self.captions, self.batch = classifier, captions, batch
        self.seen = torch.zeros(VOCABULARY, dtype=torch.bool)

    def __call__(self, chance: Randomness) -> Tensor:
        kinds = chance.numpy.integers(len(KINDS), size=self.batch)
        tokens = tokens_of([ask(KINDS[kind], chance.numpy, self.captions) for kind in kinds])
        end = first_end(tokens)
        length = min(TOKENS, int(end.max()) + 6)
        tokens = tokens[:, :length]
        self.seen[tokens.unique()] = True
        behind = end + (torch.rand(self.batch, generator=chance.torch) * (length - end)).long()
        labels = torch.from_numpy(kinds)
        return sum((F.cross_entropy(self.classifier(tokens, at), labels) for at in (end, behind)), torch.zeros(()))


@torch.no_grad()
def neutralise(classifier: Classifier, captions: list[str], seed: int = 0) -> None:
    """Give tokens that training can't have met the mean embedding of the words of captions, so that they say nothing."""
    chance = np.random.default_rng(seed)
    met = tokens_of([ask(kind, chance, captions) for kind in KINDS for _ in range(1000)]).unique()
    plain = tokens_of(captions[:2000]).unique() if captions else met
    table = classifier.encoder.get_input_embeddings().weight
    unmet = torch.ones(VOCABULARY, dtype=torch.bool)
    unmet[met], unmet[plain], unmet[BEGIN:] = False, False, False
    table[unmet] = table[plain[plain < BEGIN]].mean(0)


@torch.no_grad()
def kind_of(classifier: Classifier, instructions: Sequence[str]) -> list[str]:
    """What the classifier takes each instruction to ask for."""
    tokens = tokens_of(instructions)
    return [KINDS[int(kind)] for kind in classifier(tokens, first_end(tokens)).argmax(1)]

"""The text stage: a small CLIP text transformer that learns to read what an instruction asks for."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from .. import checkpoint, networks
from ..text import TOKENS, tokenize
from ..training.chance import Randomness
from ..worlds.asking import ask
from ..worlds.photo_operators import KINDS
from .config import TextEncoder
from .wishes import READ, photo_wish, world_wish

VOCABULARY = 49408
BEGIN, END = 49406, 49407


def started(config: TextEncoder) -> CLIPTextModel:
    """The transformer of the file it starts from, or with small random weights. Raises CheckpointError."""
    if not config.start:
        return build(config)
    encoder = networks.build_text_encoders(checkpoint.read(checkpoint.located(config.start)))[0]
    assert isinstance(encoder, CLIPTextModel)
    return encoder


def build(config: TextEncoder) -> CLIPTextModel:
    """The transformer alone, with small random weights."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=config.width,
            intermediate_size=config.hidden or 4 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=TOKENS,
            hidden_act="quick_gelu",
            bos_token_id=BEGIN,
            eos_token_id=END,
        )
    )


class Reader(nn.Module):
    """The transformer with linear readings from any one of its positions after the instruction's end: the kinds of photo edit, and
    what is said of the thing to edit."""

    def __init__(self, config: TextEncoder) -> None:
        super().__init__()
        self.encoder = build(config)
        self.kinds = nn.Linear(config.width, len(KINDS))
        self.said = nn.ModuleList(nn.Linear(config.width, len(values)) for values in READ.values())

    def forward(self, tokens: Tensor, at: Sequence[Tensor]) -> list[tuple[Tensor, list[Tensor]]]:
        """Logits of the kinds (B, kinds) and of each of READ's values, of token ids (B, T), read at each of the positions (B,)."""
        hidden = self.encoder(tokens).last_hidden_state
        places = [hidden[torch.arange(len(tokens)), place] for place in at]
        return [(self.kinds(place), [head(place) for head in self.said]) for place in places]


def tokens_of(instructions: Sequence[str]) -> Tensor:
    """Token ids (B, 77), padded with the end token."""
    return torch.cat([tokenize(instruction) for instruction in instructions])


def first_end(tokens: Tensor) -> Tensor:
    """The position (B,) of each instruction's first end token."""
    return (tokens == END).int().argmax(1)


class TextLoss:
    """Cross-entropy of all that an instruction says, read both at its end and at a random position behind it; half of the instructions
    are for photos, half for the world's things."""

    def __init__(self, reader: Reader, captions: list[str], batch: int) -> None:
        self.reader, self.captions, self.batch = reader, captions, batch

    def __call__(self, chance: Randomness) -> Tensor:
        rng = chance.numpy
        wishes = [photo_wish(rng, self.captions) if number % 2 else world_wish(rng) for number in range(self.batch)]
        tokens = tokens_of([wish.text for wish in wishes])
        end = first_end(tokens)
        length = min(TOKENS, int(end.max()) + 6)
        behind = end + (torch.rand(self.batch, generator=chance.torch) * (length - end)).long()
        kinds = torch.tensor([wish.asked() for wish in wishes])
        said = torch.tensor([wish.labels() for wish in wishes])
        read = self.reader(tokens[:, :length], (end, behind))
        return torch.stack([_apart(logits, values, kinds, said) for logits, values in read]).sum()


def _apart(logits: Tensor, values: list[Tensor], kinds: Tensor, said: Tensor) -> Tensor:
    """How far one reading is from what was said: each part counts alike."""
    asked = F.binary_cross_entropy_with_logits(logits, kinds, reduction="none").sum(1).mean()
    return asked + sum((F.cross_entropy(value, said[:, number]) for number, value in enumerate(values)), torch.zeros(()))


@torch.no_grad()
def neutralise(reader: Reader, captions: list[str], seed: int = 0) -> None:
    """Give tokens that training can't have met the mean embedding of the words of captions, so that they say nothing."""
    chance = np.random.default_rng(seed)
    asked = [ask(kind, chance, captions) for kind in KINDS for _ in range(1000)]
    asked += [wish(chance).text for _ in range(5000) for wish in (world_wish, lambda rng: photo_wish(rng, captions))]
    met = tokens_of(asked).unique()
    plain = tokens_of(captions[:2000]).unique() if captions else met
    table = reader.encoder.get_input_embeddings().weight
    unmet = torch.ones(VOCABULARY, dtype=torch.bool)
    unmet[met], unmet[plain], unmet[BEGIN:] = False, False, False
    table[unmet] = table[plain[plain < BEGIN]].mean(0)


@torch.no_grad()
def read(reader: Reader, instructions: Sequence[str]) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """What the reader takes each instruction to ask for: kinds of photo edit, and what is said by READ's names."""
    tokens = tokens_of(instructions)
    logits, values = reader(tokens, (first_end(tokens),))[0]
    said = [value.argmax(1).tolist() for value in values]
    return [
        (
            tuple(kind for kind, logit in zip(KINDS, row.tolist(), strict=True) if logit > 0),
            {name: options[said[part][number]] for part, (name, options) in enumerate(READ.items())},
        )
        for number, row in enumerate(logits)
    ]

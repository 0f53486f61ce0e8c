"""Instructions into features: CLIP's tokenizer and the text encoders, the way the UNet was trained to read them."""

import logging
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from .sampling import Text

log = logging.getLogger(__name__)

TOKENIZER = Path(__file__).resolve().parent / "tokenizer"
TOKENS = 77  # begin, at most 75 of the text, end


@lru_cache(maxsize=1)
def tokenizer() -> CLIPTokenizer:
    """CLIP-L's tokenizer from the files beside this module; no network."""
    return CLIPTokenizer.from_pretrained(str(TOKENIZER), local_files_only=True)


def tokenize(text: str, padding: int | None = None) -> Tensor:
    """(1, 77) token ids: begin, the text, end, then end again (or `padding`). Text beyond 77 tokens is cut, with a log line."""
    ids = tokenizer()(text)["input_ids"]
    if len(ids) > TOKENS:
        log.warning("The text has %d tokens; the model reads the first %d.", len(ids) - 2, TOKENS - 2)
        ids = ids[: TOKENS - 1] + ids[-1:]
    end = ids[-1]
    return torch.tensor([ids + [end if padding is None else padding] * (TOKENS - len(ids))])


def states(encoder: nn.Module, tokens: Tensor) -> Tensor:
    """The features (B, 77, width) that SD 1.x reads of token ids (B, 77): the encoder's last layer after the final norm."""
    out: Tensor = encoder(tokens).last_hidden_state
    return out


@torch.no_grad()
def encode(encoders: list[nn.Module], text: str) -> Text:
    """The features of one text, (1, 77, width).

    One encoder (SD 1.x): its last layer after the final norm. Two (SDXL): the layer before the last of both, side by side, and the
    second's projected summary as the pooled vector; the second pads with token 0.
    """
    device = next(encoders[0].parameters()).device
    if len(encoders) == 1:
        return Text(states(encoders[0], tokenize(text).to(device)))
    outputs = [
        encoder(tokenize(text, padding).to(device), output_hidden_states=True) for encoder, padding in zip(encoders, (None, 0), strict=True)
    ]
    return Text(torch.cat([output.hidden_states[-2] for output in outputs], dim=-1), outputs[1].text_embeds)

"""Prompt-to-Prompt in diffusers' networks: attention processors that ask the control of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .prompt_to_prompt_control import Call


@dataclass
class Ask:
    """The processor of every attention layer of a network: what happens is what ``call`` says, None: plain attention."""

    call: Call | None = None

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """The layer's result (B, places, width) for its input of that shape and, in cross-attention, the text (B, tokens, width)."""
        text = encoder_hidden_states
        source = hidden_states if text is None else text
        q, k, v = (each.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for each in _projected(attn, hidden_states, source))
        if self.call is not None and text is None:
            q, k = self.call.shared(q), self.call.shared(k)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask)
        if self.call is not None and text is not None and self.call.reads_words:
            out = self.call.cross(q, k, v, out)
        merged: Tensor = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))
        return merged


def _projected(attn: Any, hidden_states: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)


@contextmanager
def asked(unet: Any) -> Iterator[Ask]:
    """A diffusers UNet all of whose attention asks, for as long as the context lasts; afterwards it has its own processors again."""
    own, ask = dict(unet.attn_processors), Ask()
    unet.set_attn_processor(ask)
    try:
        yield ask
    finally:
        unet.set_attn_processor(own)

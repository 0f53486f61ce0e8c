"""Changes to a UNet's weights, in files: low-rank ones (LoRA) and full differences, under names that the host and diffusers know.

A change belongs to weights in LDM layout. Where one was made from a text-to-image model, its first conv is that of 8 channels, so that
applied to any text-to-image model of the same kind it gives an editor (section 3.2: the channels of the picture begin at zero).
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint import Checkpoint, unet_in_channels
from .files import CheckpointError, State, read_tensors
from .keys import unet_to_diffusers
from .layout import FIRST_CONV, UNET, part, with_picture_input

log = logging.getLogger(__name__)

ENDINGS = {  # of a file's names: the role of the tensor, in all common manners
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".alpha": "alpha",
    ".diff": "weight",
    ".diff_b": "bias",
}
TEXT_ENCODERS = ("lora_te", "text_encoder", "text_model", "text_encoders.")


@dataclass(frozen=True)
class LowRank:
    """``scale * up @ down``: ``down`` (r, in, ...) and ``up`` (out, r, ...), with a kernel's sides behind for convolutions."""

    down: Tensor
    up: Tensor
    scale: float = 1.0

    def full(self) -> Tensor:
        """The difference itself (out, in, ...), float32."""
        flat = self.up.float().flatten(1) @ self.down.float().flatten(1)
        return (self.scale * flat).reshape(self.up.shape[0], *self.down.shape[1:])


Change = dict[str, LowRank | Tensor]
"""By the weight's whole name in LDM layout."""


def exact(difference: Tensor) -> LowRank:
    """A full difference (out, in, kh, kw) of a conv as a LoRA of so high a rank that it is the same to the bit.

    One factor is the difference, the other the identity; so files that know LoRA alone carry it.
    """
    outputs, inputs = difference.shape[0], difference[0].numel()
    if inputs <= outputs:
        down = torch.eye(inputs).reshape(inputs, *difference.shape[1:])
        return LowRank(down.to(difference), difference.reshape(outputs, inputs, 1, 1))
    return LowRank(difference, torch.eye(outputs).reshape(outputs, outputs, 1, 1).to(difference))


def difference(editor: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> Change:
    """What was added to the base's UNet to give the editor's, float32, for the weights that differ. Both are states in LDM layout.

    The base may be the text-to-image model: then the first conv's difference has 8 channels. Raises CheckpointError for another kind.
    """
    below = matching(base, editor, "base model")
    names = [name for name in editor if name.startswith(UNET) and not _same(editor[name], below[name])]
    return {name: (editor[name].double() - below[name].double()).float() for name in names}


def _same(one: Tensor, other: Tensor) -> bool:
    return bool((one.double() == other.double()).all())


def matching(state: Mapping[str, Tensor], editor: Mapping[str, Tensor], name: str) -> Mapping[str, Tensor]:
    """The state with as many input channels as the editor's, once its UNet has the same weights and shapes as the editor's.

    Raises CheckpointError, which calls the state by `name`, where it is of another kind.
    """
    if unet_in_channels(state) == 4 and unet_in_channels(editor) == 8:
        state = with_picture_input(state)
    ours, theirs = ({key: tensor.shape for key, tensor in one.items() if key.startswith(UNET)} for one in (state, editor))
    odd = next((key for key in {**theirs, **ours} if ours.get(key) != theirs.get(key)), None)
    if odd is not None:
        raise CheckpointError(
            f"The {name} is of another kind than the editor (at {odd} it has {_told(ours, odd)}, the editor {_told(theirs, odd)}): "
            "use models of one family, such as SD 1.5."
        )
    return state


def _told(shapes: Mapping[str, torch.Size], name: str) -> str:
    return "x".join(map(str, shapes[name])) if name in shapes else "nothing"


def apply(state: Mapping[str, Tensor], change: Change, strength: float = 1.0) -> State:
    """The state in LDM layout with ``strength`` times the change added to its UNet; each weight keeps its own precision.

    A text-to-image model becomes an editor where the change's first conv takes 8 channels. Raises CheckpointError where a shape does
    not fit.
    """
    first = change.get(FIRST_CONV)
    if first is not None and _full(first).shape[1] == 8 and unet_in_channels(state) == 4:
        state = with_picture_input(state)
    added = {name: _added(name, state[name], _full(piece), strength) for name, piece in change.items()}
    return {**state, **added}


def _full(piece: LowRank | Tensor) -> Tensor:
    return piece.full() if isinstance(piece, LowRank) else piece


def _added(name: str, weight: Tensor, difference: Tensor, strength: float) -> Tensor:
    if difference.numel() != weight.numel():
        sizes = " and ".join("x".join(map(str, tensor.shape)) for tensor in (difference, weight))
        raise CheckpointError(
            f"The LoRA or delta is for another model (at {name} they are {sizes}): use it with the kind it was trained on."
        )
    return (weight.double() + strength * difference.double().reshape(weight.shape)).to(weight.dtype)


def applied(model: Checkpoint, path: Path | str, strength: float = 1.0) -> Checkpoint:
    """A model with a LoRA or delta file added to its UNet. Raises CheckpointError."""
    return replace(model, state=apply(model.state, read(path, model.state), strength))


def read(path: Path | str, state: Mapping[str, Tensor]) -> Change:
    """The change in a LoRA or delta file, for models like `state` (LDM layout).

    Names in the manner of kohya, diffusers, peft and the host are known. Parts for text encoders are left out, with a log line.
    Raises CheckpointError for a file that holds no change, or one of another kind of network.
    """
    place = Path(path)
    if not place.is_file():
        raise CheckpointError(f"There is no LoRA or delta file at {place}: check the name.")
    return of_tensors(read_tensors(place)[0], state, place.name)


def of_tensors(tensors: State, state: Mapping[str, Tensor], name: str) -> Change:
    """The change that a file's tensors hold; `name` is the file's, for messages. See `read`."""
    pieces = _pieces(tensors, name)
    known = aliases(state)
    unknown = next((module for module in pieces if module not in known), None)
    if unknown is not None:
        raise CheckpointError(f"{name} is for another kind of network (its layer {unknown} is unknown): use an SD 1.x LoRA or delta.")
    change: Change = {}
    for module, found in pieces.items():
        change |= _change(known[module], found)
    return change


def _pieces(tensors: State, name: str) -> dict[str, dict[str, Tensor]]:
    """The file's tensors by layer and role."""
    pieces: dict[str, dict[str, Tensor]] = defaultdict(dict)
    skipped = 0
    for key, tensor in tensors.items():
        ending = next((ending for ending in ENDINGS if key.endswith(ending)), None)
        if key.startswith(TEXT_ENCODERS):
            skipped += 1
        elif ending is None:
            raise CheckpointError(f"{name} is no LoRA or delta that can be used here (its entry {key} is unknown): choose another file.")
        else:
            pieces[key.removesuffix(ending).replace(".processor.", ".")][ENDINGS[ending]] = tensor
    if skipped:
        log.warning("%s: its %d entries for the text encoder are left out.", name, skipped)
    if not pieces:
        raise CheckpointError(f"{name} changes no UNet: choose a LoRA or delta of an editor.")
    return pieces


def _change(module: str, found: Mapping[str, Tensor]) -> Change:
    change: Change = {f"{module}.{role}": found[role] for role in ("weight", "bias") if role in found}
    if "down" in found and "up" in found:
        rank = found["down"].shape[0]
        change[f"{module}.weight"] = LowRank(found["down"], found["up"], float(found["alpha"]) / rank if "alpha" in found else 1.0)
    elif "down" in found or "up" in found:
        raise CheckpointError(f"The LoRA is incomplete (half of its layer {module} is missing): get the file again.")
    return change


def aliases(state: Mapping[str, Tensor]) -> dict[str, str]:
    """The names that files give to the layers of a UNet, each with the layer's own in LDM layout (with its prefix)."""
    known: dict[str, str] = {}
    for ldm, diffusers in layers(state).items():
        names = [f"unet.{diffusers}", diffusers, f"diffusion_model.{ldm}", f"lora_unet_{_flat(diffusers)}", f"lora_unet_{_flat(ldm)}"]
        names += [name.removesuffix(".0") for name in names if name.endswith(".to_out.0")]  # an old manner of diffusers
        known |= dict.fromkeys(names, UNET + ldm)
    return known


def layers(state: Mapping[str, Tensor]) -> dict[str, str]:
    """The UNet's layers: LDM name to diffusers name, without prefixes. Raises CheckpointError for a layout that diffusers has not."""
    unet = part(state, UNET)
    try:
        names = unet_to_diffusers(unet)
    except KeyError as error:
        raise CheckpointError(f"This UNet's layout is not Stable Diffusion's (its weight {error.args[0]} is unknown).") from error
    return {ldm.rpartition(".")[0]: diffusers.rpartition(".")[0] for ldm, diffusers in zip(unet, names, strict=True)}


def _flat(name: str) -> str:
    return name.replace(".", "_")


def as_lora(change: Change, state: Mapping[str, Tensor]) -> State:
    """A change of low-rank pieces as a LoRA file's tensors, in the one manner of naming that the host and diffusers both read (kohya's).

    ``alpha`` is the rank, since readers differ in what they make of layers of several ranks; the scale is in ``up``.
    """
    names = layers(state)
    out: State = {}
    for name, piece in change.items():
        if not isinstance(piece, LowRank):
            raise ValueError(f"The weight {name} was trained whole, which a LoRA can't carry: export a delta or the whole model.")
        layer = f"lora_unet_{_flat(names[name.removeprefix(UNET).rpartition('.')[0]])}"
        out |= {f"{layer}.lora_down.weight": piece.down, f"{layer}.lora_up.weight": piece.scale * piece.up}
        out[f"{layer}.alpha"] = torch.tensor(float(piece.down.shape[0]))
    return out


def as_delta(change: Change) -> State:
    """A change of full differences as a delta file's tensors, in the manner that the host's LoRA loader adds to a model."""
    ending = {"weight": ".diff", "bias": ".diff_b"}
    out = {}
    for name, piece in change.items():
        layer, _, role = name.removeprefix(UNET).rpartition(".")
        out[f"diffusion_model.{layer}{ending[role]}"] = _full(piece)
    return out

"""Load an InstructPix2Pix model."""

from pathlib import Path

import folder_paths

from ..ip2p.checkpoint import OWN
from ._api import io, schema

EMBEDDED_NAME = "embedded"
FOLDERS = ("checkpoints", "diffusion_models")
DIFFUSERS = "diffusers"


def names() -> list[str]:
    """What can be loaded: the pack's own models, then files and diffusers folders of the host, as folder/name."""
    files = [f"{folder}/{name}" for folder in FOLDERS for name in folder_paths.get_filename_list(folder)]
    return [*OWN, *files, *(f"{DIFFUSERS}/{name}" for name in _diffusers_folders())]


def locate(name: str) -> Path:
    """The path of one of :func:`names`. Raises ValueError for a name that is not there."""
    if name in OWN:
        return OWN[name]
    folder, _, rest = name.partition("/")
    if folder == DIFFUSERS and rest in _diffusers_folders():
        return _diffusers_folders()[rest]
    path = folder_paths.get_full_path(folder, rest) if folder in FOLDERS else None
    if path is None:
        raise ValueError(
            f"There is no model '{name}'; put the file into models/{FOLDERS[0]} and choose it from the list (press R to refresh)."
        )
    return Path(path)


def _diffusers_folders() -> dict[str, Path]:
    """Folders with a ``unet`` subfolder under the host's diffusers folders, by their name."""
    found = {}
    for root in folder_paths.get_folder_paths(DIFFUSERS):
        for pattern in ("*/unet", "*/*/unet", "*/snapshots/*/unet"):
            for unet in sorted(Path(root).glob(pattern)):
                found[unet.parent.relative_to(root).as_posix()] = unet.parent
    return found


class IP2PLoadModel(io.ComfyNode):
    """Load an editor as MODEL, CLIP and VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PLoadModel",
            display_name="Load InstructPix2Pix model",
            category="InstructPix2Pix/model",
            description="Loads an InstructPix2Pix editor: the small embedded one, a checkpoint (.safetensors or .ckpt), a single UNet or "
            "a diffusers folder, for SD 1.5, SDXL and CosXL. Pickled files are read without running their code.",
            search_aliases=["ip2p", "instruct pix2pix", "checkpoint loader"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=names(),
                    default=EMBEDDED_NAME,
                    tooltip="'embedded' comes with the pack and edits whole pictures at 256 pixels; 'painter' comes with it too and draws "
                    "scenes of 128 pixels from captions, to make image pairs with. Others are the files in "
                    "models/checkpoints and models/diffusion_models, and the folders in models/diffusers.",
                ),
                io.Combo.Input(
                    "weights",
                    options=["ema", "raw"],
                    default="ema",
                    tooltip="Where the file has both: the averaged weights (EMA), which the authors sample with, or the raw ones. The log "
                    "says which were taken.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The editor's network."),
                io.Clip.Output(display_name="clip", tooltip="Its text encoder; empty if the file has none."),
                io.Vae.Output(display_name="vae", tooltip="Its autoencoder; empty if the file has none."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, weights: str) -> str:
        """Load again when the file has changed."""
        try:
            state = locate(model).stat()
        except (OSError, ValueError):
            return model
        return f"{model} {weights} {state.st_mtime_ns} {state.st_size}"

    @classmethod
    def execute(cls, model: str, weights: str) -> io.NodeOutput:
        from ..samplers.loading import load

        return io.NodeOutput(*load(locate(model), weights, folder_paths.get_folder_paths("embeddings")))


NODES = [IP2PLoadModel]

"""The host's own code in this process: these tests look inside a sampling run, which no server lets one do."""

import functools
import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.util import spec_from_loader
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def nodes(root, comfyui_folder):
    """The host's nodes module, with the pack's nodes in it."""
    from launcher import in_process

    sys.path.append(str(root / "tests" / "unit"))
    return in_process.start(comfyui_folder)


class HostsCopy(MetaPathFinder, Loader):
    """`import ip2p.x` gives the copy that the host loaded under a name of its own, so that a class has one identity."""

    def __init__(self, own):
        self.own, self.specs = own, {}

    def find_spec(self, name, path=None, target=None):
        return spec_from_loader(name, self) if name.startswith("ip2p.") else None

    def create_module(self, spec):
        module = importlib.import_module(self.own + spec.name.removeprefix("ip2p"))
        self.specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.specs[module.__spec__.name]


@pytest.fixture(scope="session")
def pack(nodes):
    """The pack's modules by name, from the very copy that the host loaded."""
    from launcher.in_process import pack_module

    own = pack_module(nodes, "ip2p")
    if sys.modules.setdefault("ip2p", own) is own:
        sys.meta_path.insert(0, HostsCopy(own.__name__))
    return SimpleNamespace(**{name: pack_module(nodes, f"samplers.{name}") for name in ("guidance", "conditioning", "edit", "loading")})


@pytest.fixture(scope="session")
def call(nodes):
    """Run a node's execute as the host does and return its outputs."""
    from launcher import in_process

    return functools.partial(in_process.call, nodes)


@pytest.fixture(scope="session")
def networks(pack):
    """The tiny random networks as diffusers' and transformers' modules; the last conv is damped so that predictions stay near 1."""
    import tiny

    unet = tiny.unet(widths=(32, 64), attention=(0, 1))
    unet.conv_out.weight.data *= 0.5
    clip = tiny.clip().half().float()  # on the CPU the host keeps text encoders in half precision
    return SimpleNamespace(unet=unet, vae=tiny.vae(), clip=clip)


@pytest.fixture(scope="session")
def editor_file(networks, tmp_path_factory):
    import tiny

    from ip2p import checkpoint

    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    checkpoint.write(path, tiny.ldm(networks.unet, networks.vae, networks.clip), tiny.SETTINGS)
    return path


@pytest.fixture(scope="session")
def editor(pack, editor_file):
    """MODEL, CLIP and VAE of the tiny networks, loaded by the pack."""
    return pack.loading.load(editor_file)


@pytest.fixture(scope="session")
def graph(call, editor):
    """The graph of single nodes as a function: returns (latent, picture)."""

    def run(image, text_scale=7.5, image_scale=1.5, *, sampler="euler", steps=6, seed=5, mask=None, model=None, ksampler=False, size=64):
        model = model or editor.model
        fitted, fitted_mask, fit, _, _ = call("IP2PFitImage", image=image, size=size, method="scale", multiple="8", mask=mask)
        told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow", "negative": "", "encoding": "auto"}
        positive, negative, latent = call("IP2PInstruction", **told, mask=None if mask is None else fitted_mask)
        if ksampler:
            (patched,) = call("IP2PGuidance", model=model, image_scale=image_scale)
            settings = {"seed": seed, "steps": steps, "cfg": text_scale, "sampler_name": sampler, "scheduler": "normal"}
            out, *_ = call("KSampler", model=patched, positive=positive, negative=negative, latent_image=latent, **settings)
        else:
            scales = {"text_scale": text_scale, "image_scale": image_scale}
            (guider,) = call("IP2PGuider", model=model, positive=positive, negative=negative, **scales)
            out = custom(guider, latent, sampler, steps, seed, model)
        (picture,) = call("VAEDecode", vae=editor.vae, samples=out)
        (restored,) = call("IP2PRestoreImage", image=picture, fit=fit, mask=mask)
        return out["samples"], restored

    def custom(guider, latent, sampler, steps, seed, model):
        (noise,) = call("RandomNoise", noise_seed=seed)
        (choice,) = call("KSamplerSelect", sampler_name=sampler)
        (sigmas,) = call("BasicScheduler", model=model, scheduler="normal", steps=steps, denoise=1.0)
        return call("SamplerCustomAdvanced", noise=noise, guider=guider, sampler=choice, sigmas=sigmas, latent_image=latent)[0]

    run.custom = custom
    return run


@pytest.fixture
def image():
    import torch

    return torch.rand(1, 90, 70, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def state_of(pack, nodes):
    """The UNet's weights of a MODEL with its patches worked in, in LDM layout."""
    from launcher.in_process import pack_module

    read = pack_module(nodes, "samplers.states").checkpoint_of
    return lambda model: read(model).state


@pytest.fixture(scope="module")
def output(nodes, tmp_path_factory):
    """The host's output folder for one file of tests."""
    import folder_paths

    before, folder = folder_paths.get_output_directory(), tmp_path_factory.mktemp("output")
    folder_paths.set_output_directory(str(folder))
    yield folder
    folder_paths.set_output_directory(before)


class Bar:
    """The host's progress bar: what it was told, and where it raises because the user cancels, as the server's does."""

    def __init__(self):
        self.told, self.cancel_at = [], None

    def hook(self, value, total, preview, node_id=None):
        import comfy.model_management

        self.told.append((value, total, preview))
        if self.cancel_at is not None and value >= self.cancel_at:
            raise comfy.model_management.InterruptProcessingException


@pytest.fixture
def bar(nodes):
    import comfy.utils

    bar = Bar()
    comfy.utils.set_progress_bar_global_hook(bar.hook)
    yield bar
    comfy.utils.set_progress_bar_global_hook(None)


@pytest.fixture(scope="session")
def families(nodes):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.families")


@pytest.fixture(scope="session")
def models(nodes):
    """A small MODEL of every family by its name, built when it is first asked for."""
    import small_networks

    class Models(dict):
        def __missing__(self, name):
            self[name] = small_networks.build({**small_networks.FAMILIES, **small_networks.OTHERS}[name])
            return self[name]

    return Models()


@pytest.fixture(scope="session")
def text_to_image_file(networks, tmp_path_factory):
    """A text-to-image model in a file: tiny networks whose attention is keener than random weights make it."""
    import tiny

    from ip2p import checkpoint

    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    unet = tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4)
    unet.conv_out.weight.data *= 0.5
    for name, weight in unet.named_parameters():
        if "to_q" in name or "to_k" in name:
            weight.data *= 4
    checkpoint.write(path, tiny.ldm(unet, networks.vae, networks.clip), tiny.SETTINGS)
    return path


@pytest.fixture(scope="session")
def text_to_image(pack, text_to_image_file):
    """Its MODEL, CLIP and VAE."""
    return pack.loading.load(text_to_image_file)


@pytest.fixture(scope="session")
def patching(nodes, pack):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.prompt_to_prompt_patch")


@pytest.fixture(scope="session")
def pairing(call, text_to_image):
    """The outputs of 'Prompt-to-Prompt' for `rows` pairs of two captions."""
    import torch

    def pairing(share=0.5, mode="self", model=None, rows=1, before="a red cat on the grass", after="a blue dog on the grass", **more):
        given = {"caption": before, "edited_caption": after, "mode": mode, "self_share": share, "cross_share": 0.8, **more}
        latent = {"samples": torch.zeros(rows, 4, 8, 8)}
        return call("IP2PPromptToPrompt", model=model or text_to_image.model, clip=text_to_image.clip, latent=latent, **given)

    return pairing


@pytest.fixture(scope="session")
def ksampled(call, text_to_image):
    """What KSampler makes of a model, a positive and a latent."""

    def ksampled(model, positive, latent, sampler="euler", seed=5, steps=4, cfg=6.0, negative=None):
        negative = negative or call("CLIPTextEncode", clip=text_to_image.clip, text="")[0]
        settings = {"seed": seed, "steps": steps, "cfg": cfg, "sampler_name": sampler, "scheduler": "normal"}
        return call("KSampler", model=model, positive=positive, negative=negative, latent_image=latent, **settings)[0]["samples"]

    return ksampled

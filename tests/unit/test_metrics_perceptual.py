"""LPIPS on its original weights against its original implementation, and where the weights come from."""

import pickle
import warnings
from pathlib import Path

import lpips
import pytest
import torch
import torchmetrics
from metric_models import changed, photo
from torchvision.models import squeezenet1_1

from ip2p.files import write_tensors
from ip2p.metrics import perceptual_weights
from ip2p.metrics.perceptual import SMALLEST, Perceptual

LAYERS = {"alex": 5, "vgg": 5, "squeeze": 7}


def pair(height=64, width=80):
    a = torch.stack([photo(name, height, width) for name in ("china.jpg", "coffee.jpg")])
    b = torch.stack([changed(x, i) for i, x in enumerate(a)])
    return a.movedim(-1, 1) * 2 - 1, b.movedim(-1, 1) * 2 - 1


def original(net, state):
    """The package's own network with the package's own channel weights and the backbone of `state`, without initialising it first."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its way of asking torchvision for a network is an old one
        model = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False)
    names = [name.removesuffix(".weight") for name in model.state_dict() if name.startswith("net.") and name.endswith("weight")]
    backbone = {f"{name}.{part}": state[f"features.{i}.{part}"] for i, name in enumerate(names) for part in ("weight", "bias")}
    channels = torch.load(Path(lpips.__file__).parent / f"weights/v0.1/{net}.pth", weights_only=True, map_location="cpu")
    channels |= {f"lins.{name[3:]}": tensor for name, tensor in channels.items()}  # the same layers, in the list it runs
    left = model.load_state_dict(channels | backbone, strict=False, assign=True)
    assert not left.unexpected_keys
    assert all(name.startswith("scaling_layer") for name in left.missing_keys)
    model.scaling_layer = lpips.ScalingLayer()
    return model.eval()


@pytest.fixture(scope="module", params=["alex", "vgg"])
def net(request):
    return request.param, perceptual_weights.find(request.param)


def test_against_the_original(net):
    name, state = net
    a, b = pair()
    with torch.no_grad():
        ours, theirs = Perceptual(state)(a, b), original(name, state)(a, b).flatten()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (ours > 0.05).all()
    torch.testing.assert_close(Perceptual(state)(b, a), ours)


def test_channel_weights_of_three_packages_are_the_same(net):
    name, state = net
    ours = [state[f"linear.{i}"] for i in range(LAYERS[name])]
    folder = Path(torchmetrics.__file__).parent / "functional/image/lpips_models"
    theirs = torch.load(folder / f"{name}.pth", weights_only=True, map_location="cpu")
    assert all(torch.equal(ours[i], theirs[f"lin{i}.model.1.weight"].flatten()) for i in range(LAYERS[name]))


def test_equal_pictures_and_batches(net):
    measure = Perceptual(net[1])
    a, b = pair()
    with torch.no_grad():
        assert measure(a, a).tolist() == [0, 0]
        together, singles = measure(a, b), torch.cat([measure(a[i : i + 1], b[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, singles)


def test_a_gradient_reaches_the_pictures_and_not_the_weights(net):
    measure = Perceptual(net[1])
    a, b = (x[:1, :, :32, :32].clone() for x in pair())
    b.requires_grad_()
    measure(a, b).sum().backward()
    assert b.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in measure.parameters())


def test_squeezenet_against_the_original_on_random_convolutions():
    torch.manual_seed(0)
    state = perceptual_weights.convolutions({f"features.{name}": x for name, x in squeezenet1_1().features.state_dict().items()})
    state |= perceptual_weights.channels("squeeze")
    a, b = pair()
    with torch.no_grad():
        ours, theirs = Perceptual(state)(a, b), original("squeeze", state)(a, b).flatten()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_smallest_picture(net):
    name, state = net
    smallest = SMALLEST[name]
    with torch.no_grad():
        assert Perceptual(state)(torch.zeros(1, 3, smallest, smallest), torch.ones(1, 3, smallest, smallest)).isfinite().all()
    with pytest.raises(ValueError, match=f"at least {smallest}"):
        Perceptual(state)(torch.zeros(1, 3, smallest - 1, 64), torch.zeros(1, 3, smallest - 1, 64))


def test_a_file_gives_the_same(tmp_path):
    perceptual_weights.save("alex", tmp_path / "alex.safetensors")
    a, b = pair()
    with torch.no_grad():
        torch.testing.assert_close(Perceptual.load(tmp_path / "alex.safetensors")(a, b), Perceptual.load("alex")(a, b), atol=0, rtol=0)


def test_torchvisions_own_download_comes_first(tmp_path, monkeypatch):
    """Its numbers count pooling and ReLU too: 0, 3, 6, 8, 10."""
    theirs = perceptual_weights.find("alex")
    state = {}
    for i, number in enumerate((0, 3, 6, 8, 10)):
        state |= {f"features.{number}.{part}": theirs[f"features.{i}.{part}"] + 1 for part in ("weight", "bias")}
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(state | {"classifier.1.weight": torch.zeros(2, 2)}, tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth")
    found = perceptual_weights.find("alex")
    assert found.keys() == theirs.keys()
    assert all(torch.equal(found[name], tensor + 1 if name.startswith("features") else tensor) for name, tensor in theirs.items())


def test_weights_that_are_not_here_or_not_lpips(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="torchvision download squeezenet1_1"):
        Perceptual.load("squeeze")
    with pytest.raises(ValueError, match="can't be read"):
        Perceptual.load(tmp_path / "none.safetensors")
    write_tensors(tmp_path / "other.safetensors", {"features.0.weight": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match="no whole LPIPS weights"):
        Perceptual.load(str(tmp_path / "other.safetensors"))


def test_arrays_are_read_without_running_code(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(perceptual_weights, "_folder", lambda package: tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "weights" / "alexnet.ckpt").write_bytes(pickle.dumps({"AlexNet_0": Path("x")}))
    with pytest.raises(ValueError, match="more than arrays"):
        perceptual_weights.find("alex")

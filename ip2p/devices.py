"""Where networks run."""

import torch


def pick_device(name: str) -> torch.device:
    """The torch device of a name: "auto" (the fastest here), "cpu", "cuda", "mps", or torch's own, as "cuda:1".

    Raises ValueError for one that is not here.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in here.items() if there))
    if not here.get(name.partition(":")[0], False):
        raise ValueError(
            f"The device {name!r} is not there: use auto, or one of {', '.join(kind for kind, there in here.items() if there)}."
        )
    return torch.device(name)

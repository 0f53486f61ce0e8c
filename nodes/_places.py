"""Where data comes from and results go, as the user names them."""

from pathlib import Path

import folder_paths

EVALUATIONS = "ip2p_evaluations"
TRAINING = "ip2p_training"
DATA_SETS = "ip2p_data"


def folder_of(kind: str, name: str) -> Path:
    """The folder of that name below output/``kind``. Raises ValueError for a name that is no plain one."""
    return Path(folder_paths.get_output_directory()) / kind / plain_name(name)


def plain_name(name: str) -> str:
    """The name without space around it. Raises ValueError for one that no folder or file can have."""
    plain = name.strip()
    if not plain or plain != Path(plain).name or plain.startswith(".") or "\\" in plain:
        raise ValueError(f"The name '{name}' can't be that of a folder; use letters and digits, such as 'my editor 1'.")
    return plain


def spec_of(data: str, source: str, choices: tuple[str, ...]) -> str:
    """What ``ip2p`` is asked for. Folders are taken from the host's input folder where they are not absolute."""
    source = source.strip()
    if data in ("world", "probes"):
        return f"world:{source}" if source and data == "world" else data
    place = str(Path(folder_paths.get_input_directory()) / Path(source).expanduser()) if source else ""
    if data == "photos":
        return f"photos:{place}" if place else "photos"
    if data != "folder" or not place:
        others = ", ".join(choice for choice in choices if choice != "folder")
        raise ValueError(f"The data '{data}' needs a folder; write its path into 'source', or choose {others}.")
    return place

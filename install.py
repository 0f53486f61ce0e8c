"""Says whether the packages of requirements.txt are there. The manager calls it after cloning; calling it again changes nothing."""

import importlib.util
import re
import sys
from pathlib import Path

MODULES = {"pillow": "PIL", "pyyaml": "yaml"}  # where the name to install is not the name to import


def missing(requirements: Path) -> list[str]:
    """The lines of a requirements file whose module this Python cannot find."""
    lines = (line.split("#")[0].strip() for line in requirements.read_text(encoding="utf8").splitlines())
    return [line for line in lines if line and importlib.util.find_spec(_module(line)) is None]


def _module(line: str) -> str:
    """`pillow>=9.5` -> `PIL`."""
    name = re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0].lower()
    return MODULES.get(name, name.replace("-", "_"))


def main() -> int:
    """0 when everything is there; 1, with the command that mends it, when not."""
    requirements = Path(__file__).resolve().parent / "requirements.txt"
    absent = missing(requirements)
    if not absent:
        print("InstructPix2Pix: all required packages are installed.")
        return 0
    print(f"InstructPix2Pix needs {', '.join(absent)}. Install with: {sys.executable} -m pip install -r {requirements}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

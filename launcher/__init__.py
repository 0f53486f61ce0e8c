"""What `quickstart.py` is made of: an environment, a real ComfyUI, a client for it, the commands. Not in the published pack."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATE = ROOT / ".host"  # the host, its base folder, and the logs
HOST = STATE / "ComfyUI"
BASE = STATE / "base"  # models, input, output, user and custom_nodes of the host that the quickstart runs
PACK = "instructpix2pix"  # the folder name under custom_nodes


class QuickstartError(Exception):
    """Something the user can mend; the text is one sentence that names the cause and the cure."""


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log file, indented."""
    text = log.read_text(encoding="utf8", errors="replace") if log.is_file() else ""
    return "\n".join("    " + line for line in text.splitlines()[-lines:])

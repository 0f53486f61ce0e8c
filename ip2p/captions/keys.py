"""Keys of servers: from the environment, which the client reads itself, or from a file; never from a setting that is saved or shared."""

import re
from pathlib import Path
from typing import Any

ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<machine>[^/:@?#\s\[\]]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d+))?(?P<path>/[^\s?#]*)?")
NONE = "none"
"""What servers without keys are told, as the client always sends one."""


def client_settings(url: str, key_file: Path | None, strict: bool) -> dict[str, Any]:
    """``base_url`` and ``api_key`` for the client; without ``api_key`` it takes its own, from the environment.

    ``strict``: whoever chose the url may not be who owns the key, so a key is sent only to the address that it is for: the one in the
    file, or the client's own for that of the environment. Raises ValueError for a file that holds no key for the address.
    """
    where = {"base_url": url} if url else {}
    if key_file:
        return where | {"api_key": read_key(key_file, url, strict)}
    own = _own_address()
    if own is None:
        return where | {"api_key": NONE}
    return where if not url or not strict or _origin(url) == _origin(own) else where | {"api_key": NONE}


def read_key(path: Path, url: str, strict: bool) -> str:
    """The key in a file, which holds a key, or the address that it is for and the key.

    Raises ValueError for a file that can't be read or holds anything else, for a key of another address, and, when ``strict``, for a key
    without an address. No message ever holds the key.
    """
    try:
        words = path.expanduser().read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The key file {path} can't be read: write the server's address and the key into it.") from error
    if len(words) not in (1, 2) or (len(words) == 2 and not ADDRESS.fullmatch(words[0])):
        raise ValueError(f"The key file {path} must hold the server's address and the key, or the key alone.")
    if len(words) == 1 and strict:
        raise ValueError(f"The key file {path} must say which server its key is for: write that address before the key.")
    if len(words) == 2 and _origin(words[0]) != _origin(url):
        raise ValueError(f"The key in {path} is for another server: ask that one, or choose another key file.")
    if not words[-1].isascii() or not words[-1].isprintable():
        raise ValueError(f"The key file {path} holds a key that can't be sent: save it as plain text.")
    return words[-1]


def _own_address() -> str | None:
    """Where the client's own key, from the environment, belongs; None where there is none."""
    from openai import AsyncOpenAI, OpenAIError

    try:
        return str(AsyncOpenAI().base_url)
    except OpenAIError:
        return None


def _origin(url: str) -> tuple[str, str, int]:
    """(scheme, machine, port) of an address."""
    parts = ADDRESS.fullmatch(url)
    if parts is None:
        return "", url, 0
    return parts["scheme"], parts["machine"].lower(), int(parts["port"] or {"http": 80, "https": 443}[parts["scheme"]])

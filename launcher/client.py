"""Talks to a running ComfyUI: uploads, queues, follows a run, fetches pictures."""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launcher import QuickstartError

OnStep = Callable[[str, int, int], None]  # node id, step, steps


class RunError(QuickstartError):
    """A run that the server refused or that a node broke off; `node` is the node's type, empty when it is not known."""

    def __init__(self, text: str, node: str = "") -> None:
        super().__init__(text)
        self.node = node


class Client:
    """One client of the server at `url`; `id` names it on the websocket."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.id = uuid.uuid4().hex

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return json.loads(self.fetch(path))

    def fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            return bytes(reply.read())

    def post(self, path: str, body: Any) -> Any:
        """Sends JSON and returns the JSON answer ({} when there is none)."""
        data = json.dumps(body).encode()
        return self._send(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}))

    def _send(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.loads(reply.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise RunError(_refusal(error.read().decode("utf8", "replace"))) from error

    def object_info(self) -> dict[str, Any]:
        """What the server says about every node."""
        return dict(self.get("/object_info"))

    def upload(self, photo: Path, name: str | None = None) -> str:
        """Puts a picture into the server's input folder; returns the name that LoadImage takes."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name or photo.name}"\r\n'
        more = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{boundary}--\r\n'
        body = f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + photo.read_bytes() + more.encode()
        request = urllib.request.Request(self.url + "/upload/image", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        return str(self._send(request)["name"])

    def run(self, prompt: dict[str, Any], on_step: OnStep | None = None, wait_s: float = 3600.0) -> dict[str, Any]:
        """Queues an API-format prompt and follows it to its end. Returns each node's outputs by node id; raises RunError when it fails."""
        return asyncio.run(asyncio.wait_for(self._run(prompt, on_step), wait_s))

    async def _run(self, prompt: dict[str, Any], on_step: OnStep | None) -> dict[str, Any]:
        import aiohttp

        async with aiohttp.ClientSession() as session, session.ws_connect(f"{self.url}/ws?clientId={self.id}", max_msg_size=0) as socket:
            asked = self.post("/prompt", {"prompt": prompt, "client_id": self.id})["prompt_id"]
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                event = json.loads(message.data)
                data = event.get("data") or {}
                if data.get("prompt_id", asked) != asked:
                    continue
                if event["type"] == "progress" and on_step:
                    on_step(str(data.get("node")), int(data["value"]), int(data["max"]))
                if event["type"] == "execution_error":
                    raise RunError(str(data["exception_message"]).strip(), str(data["node_type"]))
                if event["type"] == "execution_interrupted":
                    raise RunError("The run was cancelled on the server.", str(data.get("node_type", "")))
                if event["type"] == "executing" and data.get("node") is None:  # sent after the run stands in the history
                    return dict(self.get(f"/history/{asked}")[asked]["outputs"])
        raise RunError("The connection to ComfyUI broke off before the run ended; its log says why.")

    def pictures(self, outputs: dict[str, Any]) -> list[bytes]:
        """The files behind all saved or previewed images of a run, in the order of their nodes."""
        images = [image for key in sorted(outputs, key=int) for image in outputs[key].get("images", [])]
        return [self.fetch("/view?" + urllib.parse.urlencode(image)) for image in images]


def _refusal(text: str) -> str:
    """The server's answer to a prompt that it does not take, as one line."""
    try:
        answer = json.loads(text)
        node_errors = answer.get("node_errors") or {}
        details = [f"{error['message']}: {error['details']}" for node in node_errors.values() for error in node["errors"]]
        error = answer.get("error")
        return "; ".join(details) or (error["message"] if isinstance(error, dict) else str(error))
    except (ValueError, KeyError, TypeError, AttributeError):
        return text.strip()[:500] or "the server gave no reason"

"""A small OpenAI-compatible HTTP server over a real language model, in threads of this process, that can be told to fail first."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ip2p.captions import prompts
from ip2p.captions.asking import Asking
from ip2p.captions.language_model import LanguageModel

NAME = "tiny-model"


class State:
    """What the server is to do, and what it was asked. ``before``: called with (path, body, how many requests came before) ahead of the
    model; what it gives, (status, body, headers), is answered instead, None goes on to the model."""

    def __init__(self, model: LanguageModel, before: Callable | None = None, pause: float = 0.0) -> None:
        self.model, self.before, self.pause = model, before or (lambda path, body, number: None), pause
        self.names = [NAME]
        self.asked: list[dict] = []
        self.keys: list[str] = []
        self.most = self.now = 0
        self.lock, self.turn = threading.Lock(), threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.state.keys.append(self.headers.get("Authorization", ""))
        found = self.state.before(self.path, {}, 0)
        listed = {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "us"} for name in self.state.names]}
        self.send(*(found or (200, listed, {})))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state = self.state
        with state.lock:
            number = len(state.asked)
            state.asked.append({"path": self.path, **body})
            state.keys.append(self.headers.get("Authorization", ""))
            state.now += 1
            state.most = max(state.most, state.now)
        time.sleep(state.pause)
        found = state.before(self.path, body, number)
        found = found or (200, self.completed(body), {})
        with state.lock:
            state.now -= 1
        self.send(*found)

    def completed(self, body):
        """The same generation code as of local models, under the request's own settings."""
        chat = self.path.endswith("/chat/completions")
        assert body["stop"] == [prompts.END]
        settings = {name: body[name] for name in ("temperature", "frequency_penalty", "max_tokens")}
        model = self.state.model
        template = model.tokenizer.apply_chat_template
        text = template(body["messages"], tokenize=False, add_generation_prompt=True) if chat else body["prompt"]
        with self.state.turn:
            (reply,) = model.complete([model.tokenizer(text)["input_ids"]], [body["seed"]], Asking(format="paper", **settings))
        said = {"message": {"role": "assistant", "content": reply.text}} if chat else {"text": reply.text}
        choice = {"index": 0, "finish_reason": "stop" if reply.ended else "length", "logprobs": None, **said}
        kind = "chat.completion" if chat else "text_completion"
        return {"id": "x", "object": kind, "created": 0, "model": body["model"], "choices": [choice]}

    def send(self, status, body, headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(model, before=None, pause=0.0):
    """(address, state) of a server that runs meanwhile."""
    state = State(model, before, pause)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"state": state}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", state
    finally:
        server.shutdown()
        server.server_close()

"""Records for tests of the store: every kind of text, picture and fact that a layout could lose."""

import io
from contextlib import suppress

import layouts
from PIL import Image

from ip2p.data.record import Record
from ip2p.data.writers import Limits, open_writer

SHARDS = Limits(pairs=3, size=1_000_000)


def picture(seed, kind="PNG", size=(20, 16)):
    """The bytes of a small picture in a format."""
    out = io.BytesIO()
    Image.fromarray(layouts.pixels(seed, *size)).save(out, kind)
    return out.getvalue()


def made_record(prompt, sample, seed=0, kind="PNG", mask=False, **more):
    """A pair whose texts belong to its prompt."""
    texts = {"caption": f"a photo of {prompt}", "instruction": f"paint {prompt} red", "edited_caption": f"a red {prompt}"}
    pictures = {"image": picture(seed, kind), "edited": picture(seed + 1, kind), "mask": picture(seed + 2) if mask else None}
    return Record(prompt=prompt, sample=sample, **{"facts": {}, **texts, **pictures, **more})


def varied():
    """Pairs with all that can be lost."""
    about = {"id": "0f", "source": "grammar", "kind": "recolour", "url": "http://x", "tags": [1, {"a": None}]}
    return [
        made_record("0000012", "11", 1, facts={"seed": 11, "p": 0.1, "guidance": 1 / 3, "prompt": about}),
        made_record("0000012", str(2**53 - 1), 3, "JPEG", facts={"seed": 2**53 - 1, "p": 0.9, "prompt": about}),
        made_record("0000013", "5", 5, "WEBP", mask=True, facts={"kind": "add", "scores": {"clip": 0.25}, "none": None}),
        made_record("0000013", "turn 2/ä", 8, mask=True, instruction="and now ä «blue»\n\tin two lines"),
        made_record("0000013", "5", 9, facts={"again": True}),
        made_record("a/b..\\c ü", "007", 12, caption="", edited_caption=""),
        made_record("same-words", "0", 14, instruction="paint it", facts={"seed": 3, "facts": {"deep": 1}, "sample": "x"}),
        made_record("other", "0", 16, instruction="paint it", facts={"prompt": "a text", "seed": 0}),
        made_record("0000012", "99", 18, facts={"seed": 99, "prompt": about}),
        made_record("empty", "0", 20, "BMP", instruction="", facts={"prompt": {}}),
    ]


def write(folder, records, layout="authors", settings=None, limits=SHARDS):
    """A finished store."""
    with open_writer(folder, layout, settings or {}, limits) as writer:
        for record in records:
            writer.write(record)
    return folder


def stopped(folder, records, layout="authors", settings=None, limits=SHARDS):
    """A store whose writer was stopped after some pairs."""
    with suppress(KeyboardInterrupt), open_writer(folder, layout, settings or {}, limits) as writer:
        for record in records:
            writer.write(record)
        raise KeyboardInterrupt
    return folder


def tree(folder):
    """The bytes of every file by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

# ruff: noqa: T201
"""A hundred thousand pairs through the store: `python stream_store.py FOLDER COUNT`; seconds and peak memory of each step as JSON."""

import json
import resource
import sys
import time
from pathlib import Path

import store_sets as sets

from ip2p.data.convert import convert
from ip2p.data.record import Record
from ip2p.data.records import records
from ip2p.data.write_shards import Limits
from ip2p.data.writers import open_writer


def peak():
    """The most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tiny(count):
    """Pairs of one small picture, four to a prompt."""
    image, edited = sets.picture(1, size=(2, 2)), sets.picture(2, size=(2, 2))
    for number in range(count):
        prompt = f"{number // 4:07d}"
        facts = {"seed": number, "p": number / 7, "prompt": {"id": prompt}}
        yield Record(prompt, str(number), f"a photo of {prompt}", f"paint {prompt}", f"a painting of {prompt}", image, edited, None, facts)


def main():
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    import pyarrow.parquet  # noqa: F401 (its own memory isn't the store's)

    steps = {}

    def step(name, act):
        began, before = time.process_time(), peak()
        steps[name] = {"found": act(), "seconds": round(time.process_time() - began, 2), "grown": round(peak() - before, 1)}

    def write():
        with open_writer(folder / "tar", "webdataset", {}, Limits(pairs=5000)) as writer:
            for record in tiny(count):
                writer.write(record)
        return writer.counts.pairs

    def same(name):
        return sum(one == other for one, other in zip(records(str(folder / name)), tiny(count), strict=True))

    convert(str(sets.write(folder / "few", list(tiny(200)), "webdataset")), folder / "warm", "parquet")  # what loading costs
    list(records(str(folder / "warm")))
    step("write webdataset", write)
    step("to parquet", lambda: convert(str(folder / "tar"), folder / "tables", "parquet", Limits(pairs=5000)).counts.pairs)
    step("read parquet", lambda: same("tables"))
    print(json.dumps(steps))


if __name__ == "__main__":
    main()

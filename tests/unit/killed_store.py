# ruff: noqa: T201
"""Lives of one writing run: `python killed_store.py FOLDER WHAT HOW KILLS`; WHAT is a layout or "samples".

HOW "random": each life but the last may write a few pairs and is killed at a random moment meanwhile; a line of JSON tells which pairs it
was told were safe and how many the next life finds. HOW "everywhere": a life is killed at every single operation on a file, each begun in
a folder of its own and ended by a second life.
"""

import functools
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import store_sets as sets

from ip2p.captions.triplet import Triplet
from ip2p.data.samples import Samples
from ip2p.data.writers import LAYOUTS, Limits, open_writer

OPERATIONS = ("open", "os.rename", "os.truncate", "os.remove", "os.mkdir")
LIMITS = Limits(pairs=4)
COUNT = 240


@functools.cache
def pairs(count):
    """As many pairs, three to a prompt, some with a mask."""
    return [sets.made_record(f"{number // 3:07d}", f"{number}", number, mask=number % 5 == 0) for number in range(count)]


def live(folder, what, count, told=lambda done: None):
    """One life, which goes on from what is there."""
    if what == "samples":
        live_sampling(folder, count, told)
        return
    with open_writer(folder, what, {"pairs": count}, LIMITS) as writer:
        for done, record in enumerate(pairs(count), start=1):
            new = done > writer.done
            writer.write(record)
            if new:
                told(done)


def live_sampling(folder, count, told):
    samples = Samples(folder, {"pairs": count})
    for done, record in enumerate(pairs(count), start=1):
        if int(record.sample) % 3 == 0:
            name = record.prompt
            samples.prompt(name, Triplet(record.caption, record.instruction, record.edited_caption))
            known = samples.known(name)
        if int(record.sample) not in known:
            samples.add(name, int(record.sample), {"p": done / 7}, record.image, record.edited)
            told(done)
        if int(record.sample) % 3 == 2:
            samples.finish(name)


def found(folder, what, count):
    """How many pairs are there."""
    if what == "samples":
        samples = Samples(folder)
        return sum(len(samples.known(name)) for name in samples.names())
    return open_writer(folder, what, {"pairs": count}, LIMITS).done


def in_a_child(act):
    """(process number, what it tells) of a forked process."""
    seen, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(seen)
            act(told)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(told)
    return child, seen


def kill_at_random(folder, what, kills, count):
    pairs(count)
    began = time.monotonic()
    live(folder.with_name("timed"), what, count)
    each = (time.monotonic() - began) / count
    for _ in range(kills):
        allowed = random.randint(2, count // kills - 1)
        tokens, give = os.pipe()
        child, seen = in_a_child(functools.partial(life_on_tokens, folder, what, count, tokens))
        with os.fdopen(seen) as lines:
            os.write(give, b"x")
            first = [int(lines.readline()) for _ in range(2)][1]  # it has begun, and written one
            os.write(give, b"x" * allowed)
            time.sleep(random.random() * each * allowed)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            safe = [first, *map(int, lines)]
        os.close(tokens)
        os.close(give)
        print(json.dumps({"safe": safe, "found": found(folder, what, count)}), flush=True)
    live(folder, what, count)


def life_on_tokens(folder, what, count, tokens, told):
    """A life that may write a pair for each byte it is given, and tells which are safe."""

    def safe(done):
        os.write(told, b"%d\n" % done)
        os.read(tokens, 1)

    safe(0)
    live(folder, what, count, safe)


def kill_everywhere(folder, what, count):
    """Prints at how many operations a life was killed."""
    number, killed = 0, True
    while killed:
        place = folder / f"{number}"
        killed = life_until(place, what, count, number)
        live(place, what, count)
        number += 1
    print(number - 1)


def life_until(place, what, count, limit):
    """Whether a life was killed at an operation of that number on its folder; one of fewer operations ends by itself."""

    def act(_):
        left = [limit]

        def count_down(event, arguments):
            if event in OPERATIONS and str(arguments[0]).startswith(str(place)):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

        sys.addaudithook(count_down)
        live(place, what, count)

    child, seen = in_a_child(act)
    os.close(seen)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main():
    folder, what, how, kills = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    assert what in (*LAYOUTS, "samples")
    if what == "parquet":
        import pyarrow.parquet  # noqa: F401 (once, for all lives)
    if how == "random":
        kill_at_random(folder, what, kills, COUNT)
    else:
        kill_everywhere(folder, what, 6)


if __name__ == "__main__":
    main()

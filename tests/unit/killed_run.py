# ruff: noqa: T201
"""Lives of one training run: `python killed_run.py FOLDER KILLS`. Each but the last is killed at a random moment, the last ends it.

A life is a process of its own, forked so that it need not import torch again; it goes on from what the one before left on the disk. For
each a line of JSON: the step that it began after, the last that it told of, and the newest whole checkpoint that it left.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from test_training_loop import OPTIMIZER, RUN, Toy, replace

from ip2p.training.checkpoints import Checkpoints, ResumeError
from ip2p.training.loop import Watch, fit

LONG = replace(RUN, steps=400, save_every=4)


def live(folder, told):
    """One life, telling its steps through a pipe."""
    toy = Toy(LONG)
    watch = Watch(lambda step: os.write(told, b"%d\n" % step), lambda done: os.write(told, b"%d\n" % done.step))
    fit(toy.parameters, toy, OPTIMIZER, LONG, Checkpoints(folder, LONG.keep), watch=watch)


def newest(folder):
    """The newest step whose checkpoint is whole; 0 where there is none."""
    store = Checkpoints(folder)
    for step in store.steps():
        try:
            return store.read(step)["step"]
        except ResumeError:
            continue
    return 0


def main():
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(kills + 1):
        seen, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(seen)
            live(folder, told)
            os._exit(0)
        os.close(told)
        with os.fdopen(seen) as steps:
            first = last = int(steps.readline())
            if number < kills:
                for _ in range(random.randint(0, 5)):
                    last = int(steps.readline())
                time.sleep(random.random() * 0.03)
                os.kill(child, signal.SIGKILL)
            last = int(([str(last), *steps.read().split()])[-1])
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        print(json.dumps({"first": first, "last": last, "newest": newest(folder), "killed": killed}), flush=True)


if __name__ == "__main__":
    main()

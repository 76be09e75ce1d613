"""``run.py`` as a process of test_workers: a small network without kinks, and a note of what it trained on.

Arguments: a file for the notes, then those of ``run.py``.
"""

import contextlib
import runpy
import sys
import unittest.mock

from tests.training import well_conditioned
from tf_simclr.train.loop import Loop


@contextlib.contextmanager
def noting_rows(path):
    """Adds a line ``step row row ...`` to a file for every batch that a step takes."""
    batches = Loop._batches

    def noted(self, first):
        for step, batch in enumerate(batches(self, first), start=first + 1):
            (rows,) = getattr(batch["index"], "values", [batch["index"]])  # of this process's one replica
            with open(path, "a") as file:
                print(step, *rows.numpy(), file=file)
            yield batch

    with unittest.mock.patch.object(Loop, "_batches", noted):
        yield


if __name__ == "__main__":
    with well_conditioned(), noting_rows(sys.argv.pop(1)):
        runpy.run_path("run.py", run_name="__main__")

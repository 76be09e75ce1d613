"""A run that was killed and stopped ends as one that was not, to the bit."""

import signal

import pytest

from tests.survival.children import KILLED, Zygote, assert_same_run
from tf_simclr.errors import Stopped

STEPS = 12
COMMON = [
    f"--train_steps={STEPS}",
    "--train_batch_size=16",
    "--log_steps=4",
    "--checkpoint_steps=5",
    "--keep_checkpoint_max=2",
    "--deterministic",
]
PRETRAIN = [
    "--mode=pretrain",
    "--image_size=8",
    "--width_multiplier=0.125",
    "--optimizer=lars",
    "--use_blur",
    "--memory_size=64",
]
LATER = {
    "finetune": ["--mode=finetune", "--checkpoint=pretrain-straight", "--labels_per_class=4"],
    "distill": [
        "--mode=distill",
        "--teacher=finetune-straight",
        "--distill_alpha=0.5",
        "--labels_per_class=4",
        "--width_multiplier=0.125",
    ],
}
MODES = {"pretrain": PRETRAIN, **LATER}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("runs")) as started:
        yield started


def batches_of(path):
    """Hashes of the batches by step, as a list of those of equal steps."""
    found = {}
    for line in path.read_text().splitlines():
        step, digest = line.split()
        found.setdefault(int(step), []).append(digest)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)  # In this order: each starts from the one before.
def test_a_killed_and_stopped_run_ends_as_an_unbroken_one(zygote, mode):
    names = {name: zygote.folder / f"{mode}-{name}" for name in ("straight", "broken")}
    evaluations = "--eval_epochs=1" if mode != "pretrain" else "--eval_epochs=0"

    def start(name, **order):
        return zygote.run(
            *MODES[mode],
            *COMMON,
            evaluations,
            f"--model_dir={names[name]}",
            batches=f"{names[name]}.batches",
            **order,
        )

    assert start("straight") == 0, zygote.said()
    assert start("broken", at_step=[signal.SIGKILL, 7]) == KILLED
    assert start("broken", at_step=[signal.SIGTERM, 9]) == Stopped.exit_code, zygote.said()
    assert "Resuming from step 5" in zygote.said()
    assert "Stopped by SIGTERM. Everything so far is saved; start the same command again" in zygote.said()
    assert start("broken") == 0, zygote.said()
    assert "Resuming from step 9" in zygote.said()

    assert_same_run(names["broken"], names["straight"], STEPS)
    straight, broken = (batches_of(zygote.folder / f"{mode}-{name}.batches") for name in names)
    assert {step: len(seen) for step, seen in broken.items()} == dict.fromkeys(range(1, 13), 1) | {6: 2, 7: 2}
    assert {step: set(seen) for step, seen in broken.items()} == {
        step: set(seen) for step, seen in straight.items()
    }
    assert len({seen[0] for seen in straight.values()}) == STEPS

"""One training step of every stage, against matrix products of as many floating-point operations."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from benchmarks import steps
from benchmarks.matrix import FLOPS, matrix_products
from benchmarks.measure import REPEATS, Found, Row, alternate
from tf_simclr.optim.build import build_optimizer

SIZE = 32  # px
BATCH = 64  # images; twice as many views in pretraining
NETWORK = ("--resnet_depth=18", "--nouse_blur")
KEYS = 65_536  # in the queue
LARS_LIMIT = 0.03  # of the step
YARDSTICK = "matrix products of as many FLOP"


def run(
    *, size: int = SIZE, batch: int = BATCH, network: tuple[str, ...] = NETWORK, repeats: int = REPEATS
) -> Found:
    """Measures them."""
    products = matrix_products()
    made = {
        "pretrain": steps.pretrain_step(*network, size=size, batch=batch),
        f"pretrain with {KEYS:,} keys": steps.pretrain_step(
            *network, f"--memory_size={KEYS}", size=size, batch=batch
        ),
        "fine-tune": steps.finetune_step(*network, size=size, batch=batch),
        "distill": steps.distill_step(*network, size=size, batch=batch),
    }
    case = f"ResNet-{network[0].partition('=')[2]}, {size} px, batch {batch}"
    rows = [_row(f"training step, {name}, {case}", step, products, repeats) for name, step in made.items()]
    return Found(rows=[*rows, _lars_row(made["pretrain"], repeats)])


def _row(work: str, step: steps.Step, products: Callable[[], None], repeats: int) -> Row:
    seconds = alternate({"step": step.run, "products": products}, repeats=repeats)
    rate = FLOPS / seconds["products"]
    return Row(
        work=work,
        value=seconds["step"],
        unit="s",
        yardstick=YARDSTICK,
        yardstick_value=step.flops / rate,
        note=f"{step.flops / 1e9:.0f} GFLOP at {step.flops / seconds['step'] / 1e9:.0f} of "
        f"{rate / 1e9:.0f} GFLOP/s; {step.images / seconds['step']:.0f} images/s",
    )


def _lars_row(step: steps.Step, repeats: int) -> Row:
    """Returns the optimizer's share: LARS alone on the weights, beside the step that holds it."""
    variables = step.stage.network.trainable_variables
    optimizer = build_optimizer(step.stage.config.optimizer, steps.RATE, step.stage.groups)
    optimizer.build(variables)
    gradients = [tf.random.normal(variable.shape) for variable in variables]

    @tf.function(autograph=False)
    def update() -> None:
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def update_and_wait() -> None:
        update()
        optimizer.iterations.numpy()

    seconds = alternate({"update": update_and_wait, "step": step.run}, repeats=repeats)
    weights = sum(int(tf.size(variable)) for variable in variables)
    return Row(
        work=f"LARS update, {weights / 1e6:.1f} million weights",
        value=seconds["update"],
        unit="s",
        yardstick=f"{LARS_LIMIT:.0%} of the pretraining step",
        yardstick_value=LARS_LIMIT * seconds["step"],
        note=f"{100 * seconds['update'] / seconds['step']:.1f}% of the step",
    )

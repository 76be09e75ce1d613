"""How a training step grows with one thing at a time, beside growth in proportion to its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import steps
from benchmarks.measure import Curve, Found, alternate
from benchmarks.steps import Step

SIZE = 32  # px
BATCH = 64
NETWORK = ("--resnet_depth=18", "--nouse_blur")
NARROW = "--width_multiplier=0.25"
REPEATS = 3

BATCHES = (32, 64, 128, 256, 512)
IMAGE_SIZES = (32, 64, 96, 160, 224)  # px; up to 32 another stem, which keeps more pixels
WIDTHS = (0.25, 0.5, 1)
DEPTHS = (18, 34, 50)
KEYS = (0, 32_768, 65_536)
CLASSES = (10, 1000, 10_000)
FEW = 8  # images a batch where each is costly


def run() -> Found:
    """Measures all of them."""
    return Found(
        curves=[
            batch(BATCHES),
            image_size(IMAGE_SIZES),
            width(WIDTHS),
            depth(DEPTHS),
            classes(CLASSES),
            queue(KEYS),
        ]
    )


def batch(values: Sequence[int]) -> Curve:
    """Pretraining step by batch."""
    return _curve(
        "batch",
        "images in a batch",
        values,
        lambda value: steps.pretrain_step(*NETWORK, NARROW, size=SIZE, batch=int(value)),
    )


def image_size(values: Sequence[int]) -> Curve:
    """Pretraining step by image side."""
    return _curve(
        "image_size",
        "image side, px",
        values,
        lambda value: steps.pretrain_step(*NETWORK, NARROW, size=int(value), batch=FEW),
    )


def width(values: Sequence[float]) -> Curve:
    """Pretraining step by width multiplier."""
    return _curve(
        "width",
        "width multiplier",
        values,
        lambda value: steps.pretrain_step(*NETWORK, f"--width_multiplier={value}", size=SIZE, batch=FEW),
    )


def depth(values: Sequence[int]) -> Curve:
    """Pretraining step by depth."""
    return _curve(
        "depth",
        "layers (18 and 34 without bottlenecks)",
        values,
        lambda value: steps.pretrain_step(
            f"--resnet_depth={value}", NARROW, *NETWORK[1:], size=SIZE, batch=FEW
        ),
    )


def classes(values: Sequence[int]) -> Curve:
    """Fine-tuning step by classes."""
    return _curve(
        "classes",
        "classes",
        values,
        lambda value: steps.finetune_step(*NETWORK, NARROW, size=SIZE, batch=BATCH, classes=int(value)),
    )


def queue(values: Sequence[int]) -> Curve:
    """Pretraining step by keys in the queue; with none there is no momentum network either."""
    return _curve(
        "queue",
        "keys in the queue",
        values,
        lambda value: steps.pretrain_step(
            *NETWORK, NARROW, f"--memory_size={int(value)}", size=SIZE, batch=BATCH
        ),
    )


def _curve(name: str, x_label: str, values: Sequence[float], make: Callable[[float], Step]) -> Curve:
    seconds, flops = [], []
    for value in values:
        step = make(value)
        seconds.append(alternate({"step": step.run}, repeats=REPEATS)["step"])
        flops.append(step.flops)
    pace = seconds[-1] / flops[-1]
    return Curve(
        file=f"growth_{name}",
        title=f"Training step by {name.replace('_', ' ')}",
        x_label=x_label,
        y_label="seconds",
        x=list(map(float, values)),
        lines={"measured": seconds, "in proportion to FLOP": [pace * count for count in flops]},
    )

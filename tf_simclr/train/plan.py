"""From epochs to steps: how long a run is, in which portions, at which rate."""

from __future__ import annotations

import dataclasses

from tf_simclr.config import ConfigError, RunConfig
from tf_simclr.optim import schedules

DEFAULT_BATCH_SIZE = 512  # the official code's
WARMUP_SHARE = 0.1  # A warm-up that nobody asked for takes at most this share of the run.


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Numbers that follow from the settings and the size of the data. Steps are optimizer updates."""

    num_examples: int
    batch_size: int  # global
    total_steps: int
    warmup_steps: int
    peak_learning_rate: float
    checkpoint_steps: int  # between two checkpoints
    eval_steps: int  # between two evaluations; 0 = only at the end
    log_steps: int
    slices: int = 1  # portions in which a batch goes through the network

    @property
    def schedule(self) -> schedules.WarmupCosine:
        """Learning rate of every step."""
        return schedules.WarmupCosine(self.peak_learning_rate, self.warmup_steps, self.total_steps)

    def epoch(self, step: int) -> float:
        """Passes over the data after ``step`` steps."""
        return step * self.batch_size / self.num_examples


def check_given_batch(config: RunConfig, replicas: int) -> None:
    """Raises what :func:`plan_training` would, as far as it needs no data: all that is not about their size.

    A batch size that the user left out depends on the data, and so does what must fit it.
    """
    if "train_batch_size" in config.given and config.train.train_batch_size:
        _check_batch(config, config.train.train_batch_size, replicas)


def plan_training(config: RunConfig, *, num_examples: int, replicas: int = 1) -> TrainPlan:
    """Returns the plan of a run over ``num_examples`` images on ``replicas`` devices.

    A batch size that the user left out shrinks to the data; so does a warm-up, to a
    tenth of the steps. Epochs of fewer than ``log_steps`` steps are joined for
    checkpoints and evaluations.

    Raises:
        ConfigError: the batch is larger than the data or no multiple of the replicas, or the
            memory is no multiple of the batch's keys, or the microbatch does not divide both.
    """
    train, optimizer = config.train, config.optimizer
    batch_size = _batch_size(config, num_examples, replicas)
    slices = _check_batch(config, batch_size, replicas)
    total_steps = train.train_steps or schedules.train_steps(num_examples, train.train_epochs, batch_size)
    warmup_steps = schedules.warmup_steps(num_examples, optimizer.warmup_epochs, batch_size)
    if "warmup_epochs" not in config.given:
        warmup_steps = min(warmup_steps, int(WARMUP_SHARE * total_steps))
    epoch_steps = max(1, round(num_examples / batch_size))
    plan = TrainPlan(
        num_examples=num_examples,
        batch_size=batch_size,
        total_steps=total_steps,
        warmup_steps=warmup_steps,
        peak_learning_rate=schedules.peak_learning_rate(
            optimizer.learning_rate, optimizer.learning_rate_scaling, batch_size
        ),
        checkpoint_steps=train.checkpoint_steps
        or max(train.checkpoint_epochs * epoch_steps, train.log_steps),
        eval_steps=max(train.eval_epochs * epoch_steps, train.log_steps) if train.eval_epochs else 0,
        log_steps=train.log_steps,
        slices=slices,
    )
    _ = plan.schedule  # Refuses a warm-up that is longer than the run.
    return plan


def _batch_size(config: RunConfig, num_examples: int, replicas: int) -> int:
    """Returns the global batch; one that nobody asked for is a multiple of the replicas."""
    if num_examples == 0:
        raise ConfigError(
            f"--train_split={config.data.train_split} of --dataset={config.data.dataset} holds no images "
            "to train on. Give another split or data set."
        )
    wanted = config.train.train_batch_size or DEFAULT_BATCH_SIZE
    if "train_batch_size" not in config.given:
        return max(replicas, min(wanted, num_examples) // replicas * replicas)
    if wanted > num_examples:
        raise ConfigError(
            f"--train_batch_size={wanted} is larger than the data: there are {num_examples} images to train "
            f"on. Use at most {num_examples}."
        )
    return wanted


def _check_batch(config: RunConfig, batch_size: int, replicas: int) -> int:
    """Compares the global batch with what must divide it; returns its number of portions."""
    if batch_size % replicas:
        raise ConfigError(
            f"--train_batch_size={batch_size} cannot be divided among {replicas} devices. "
            f"Use a multiple of {replicas}, such as {max(1, batch_size // replicas) * replicas}."
        )
    _check_memory(config.memory.memory_size, batch_size)
    return _slices(config.scale.microbatch_size, batch_size, replicas)


def _check_memory(size: int, batch_size: int) -> None:
    keys = 2 * batch_size  # one a view
    if size % keys == 0:
        return
    nearest = sorted({max(1, size // keys) * keys, (size // keys + 1) * keys})
    raise ConfigError(
        f"--memory_size={size} must be a multiple of twice the batch, 2 * {batch_size} = {keys}, so that "
        f"whole batches leave it. Use {' or '.join(map(str, nearest))}."
    )


def _slices(microbatch_size: int | None, batch_size: int, replicas: int) -> int:
    if microbatch_size is None:
        return 1
    fitting = [size for size in range(replicas, batch_size + 1, replicas) if batch_size % size == 0]
    if microbatch_size not in fitting:
        raise ConfigError(
            f"--microbatch_size={microbatch_size} must divide the batch of {batch_size} images and be a "
            f"multiple of the {replicas} replicas. Use one of: {', '.join(map(str, fitting))}."
        )
    return batch_size // microbatch_size

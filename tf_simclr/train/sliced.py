"""A step whose batch goes through the network in slices, for batches that do not fit at once.

Where every example has its own loss, gradients of slices add up. The contrastive loss couples all
examples of a batch. There (gradient caching, Gao et al. 2021, arXiv 2101.06983):

1. embed every slice but the first, without keeping activations;
2. embed the first, compute the loss of the whole batch, and its gradient with respect to the weights through
   the first slice and with respect to the embeddings of the others;
3. embed each of the others again and send its gradient back to the weights.

The sum is the exact gradient. Batch norm, in training mode, sees one slice at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_simclr.model.batch_norm import kept_statistics
from tf_simclr.train.precision import compiles
from tf_simclr.train.stage import Batch, Stage, Tensors
from tf_simclr.train.update import Metrics, apply_update, global_means, objective, on_replicas

Slice = tuple[Tensors, Tensors]  # its outputs and its targets


class SlicedStep:
    """A function from a (distributed) batch to metrics, like that of ``build_train_step``.

    Each part is a graph of its own, run once a slice: what a slice needed is freed before the
    next begins, and a graph is traced once, however many slices there are.
    """

    def __init__(self, stage: Stage, optimizer: Any, strategy: tf.distribute.Strategy, slices: int) -> None:
        self._stage, self._optimizer, self._strategy, self._slices = stage, optimizer, strategy, slices
        self._variables = stage.network.trainable_variables
        with strategy.scope():
            self._sums = [_accumulator(variable) for variable in self._variables]
        compiled = compiles(stage.config.scale, strategy)

        def graph(function: Callable[..., Any]) -> Callable[..., Any]:
            return on_replicas(function, strategy, jit_compile=compiled)

        self._learn_slice, self._measure_all = graph(self._learn), graph(self._measure)
        self._embed_slice, self._send_back_slice = graph(self._embed), graph(self._send_back)
        self._compare_first, self._finish_step = graph(self._compare), graph(self._finish)
        self._end_step = tf.function(self._end, autograph=False)

    def __call__(self, batch: Any) -> Metrics:
        """Trains on one batch."""
        numbers = [tf.constant(number) for number in range(self._slices)]
        if self._stage.couples_examples:
            others = numbers[1:]
            embedded = [self._embed_slice(batch, number) for number in others]
            cotangents, targets, metrics = self._compare_first(batch, embedded)
            for number, rows in zip(others, cotangents, strict=True):
                self._send_back_slice(batch, number, rows)
        else:
            slices = [self._learn_slice(batch, number) for number in numbers]
            targets, metrics = self._measure_all(batch, slices)
        return self._end_step(self._finish_step(targets, metrics))

    def _learn(self, batch: Batch, number: tf.Tensor) -> Slice:
        """Adds the gradient of one slice's share of the mean; returns its outputs and targets."""
        part = self._prepared_part(batch, number)
        targets = self._stage.targets(part)
        with tf.GradientTape() as tape:
            outputs = self._stage.outputs(part)
            data = self._stage.loss(outputs, targets, part)
            scaled = objective(data.loss, self._optimizer) / self._slices
        self._add(tape.gradient(scaled, self._variables))
        return outputs, targets

    def _measure(self, batch: Batch, slices: Sequence[Slice]) -> tuple[Tensors, Metrics]:
        """Returns the batch's targets and metrics. Slices may differ in how many labels they have."""
        outputs, targets = (_joined([pair[kind] for pair in slices]) for kind in range(2))
        data = self._stage.loss(outputs, targets, batch)
        return targets, {**data.metrics, "total_loss": data.loss}

    def _embed(self, batch: Batch, number: tf.Tensor) -> Slice:
        """Outputs and targets of one slice, which is embedded again in :meth:`_send_back`."""
        part = self._prepared_part(batch, number)
        with kept_statistics():
            return self._stage.outputs(part), self._stage.targets(part)

    def _compare(self, batch: Batch, others: Sequence[Slice]) -> tuple[list[Tensors], Tensors, Metrics]:
        """Adds the weights' gradient of the first slice, given outputs and targets of the others.

        Returns:
            Gradients of the whole batch's loss by the others' outputs, the batch's targets, and its metrics.
        """
        part = self._prepared_part(batch, tf.constant(0))
        embedded = [pair[0] for pair in others]
        targets = _joined([self._stage.targets(part), *(pair[1] for pair in others)])
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            outputs = _joined([self._stage.outputs(part), *embedded])
            data = self._stage.loss(outputs, targets, batch)
            scaled = objective(data.loss, self._optimizer)
        cotangents, gradients = tape.gradient(scaled, (embedded, self._variables))
        self._add(gradients)
        return cotangents, targets, {**data.metrics, "total_loss": data.loss}

    def _send_back(self, batch: Batch, number: tf.Tensor, cotangents: Tensors) -> None:
        """Adds the weights' gradient of one slice, given that of its outputs."""
        part = self._prepared_part(batch, number)
        with tf.GradientTape() as tape:
            outputs = self._stage.outputs(part)
        self._add(tape.gradient(outputs, self._variables, output_gradients=cotangents))

    def _finish(self, targets: Tensors, metrics: Metrics) -> Metrics:
        """Updates the weights by what was added up; returns all metrics of the step."""
        with tf.GradientTape() as tape:
            decay = self._stage.decay()
            scaled = objective(decay, self._optimizer)
        of_decay = tape.gradient(scaled, self._variables)  # None for those that the loss does not decay
        gradients = [
            tf.convert_to_tensor(total) if own is None else total + own
            for total, own in zip(self._sums, of_decay, strict=True)
        ]
        of_update = apply_update(self._optimizer, self._variables, gradients)
        self._stage.after_update(targets)
        total = metrics["total_loss"] + decay
        return {**metrics, "weight_decay": decay, "total_loss": total, **of_update}

    def _end(self, metrics: Metrics) -> Metrics:
        """Clears the sums, now that the rest of the step is freed; returns means over replicas."""
        self._strategy.run(self._clear)
        return global_means(self._strategy, metrics)

    def _clear(self) -> None:
        """Sets the sums to 0, one after the other: each takes the memory that the one before it left."""
        done: list[tf.Tensor] = []
        for total in self._sums:
            with tf.control_dependencies(done):
                # Not tf.zeros: it becomes a constant of the graph, which stays beside the sum for ever.
                zeros = tf.raw_ops.Empty(shape=total.shape, dtype=total.dtype, init=True)
                done = [total.assign(zeros)]

    def _add(self, gradients: Sequence[tf.Tensor]) -> None:
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(gradient)

    def _part(self, rows: Tensors, number: tf.Tensor) -> dict[str, tf.Tensor]:
        return tf.nest.map_structure(lambda value: _slice_of(value, number, self._slices), dict(rows))

    def _prepared_part(self, batch: Batch, number: tf.Tensor) -> Batch:
        return self._stage.prepared(self._part(batch, number), tf.identity(self._optimizer.iterations))


def _accumulator(variable: tf.Variable) -> tf.Variable:
    """A sum of gradients that each replica keeps for itself."""
    return tf.Variable(
        tf.zeros(variable.shape, variable.dtype),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def _slice_of(value: tf.Tensor, number: tf.Tensor, slices: int) -> tf.Tensor:
    """Returns rows number · size to (number + 1) · size of equal slices, of static shape."""
    size = value.shape[0] // slices
    begin = tf.concat([[number * size], tf.zeros([value.shape.rank - 1], tf.int32)], axis=0)
    return tf.slice(value, begin, [size, *value.shape[1:]])


def _joined(slices: Sequence[Tensors]) -> dict[str, tf.Tensor]:
    return {name: tf.concat([part[name] for part in slices], axis=0) for name in slices[0]}

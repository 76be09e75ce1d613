"""Batch normalisation: one layer for one replica or many."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.replicas import gather_rows

EPSILON = 1e-5

_statistics_are_kept: contextvars.ContextVar[bool] = contextvars.ContextVar("statistics", default=False)


@contextlib.contextmanager
def kept_statistics() -> Iterator[None]:
    """Within it batch norm in training mode uses the batch's statistics and leaves the moving ones alone.

    For passes that are no training of their own: that of a momentum network, or one that is repeated.
    """
    token = _statistics_are_kept.set(True)
    try:
        yield
    finally:
        _statistics_are_kept.reset(token)


class BatchNorm(keras.layers.Layer):
    """Normalises over all axes but the last.

    In training, statistics are those of the batch on this replica, or of the global
    batch when ``global_bn``: with replicas of equal size the mean is the mean of the
    replica means, and the variance the mean of the replica variances plus the mean
    squared deviation of the replica means. Variances are biased, the moving one too,
    so that one replica and many give the same numbers. A layer with
    ``trainable=False`` always runs in inference mode.

    Input and output: float [batch, channels] or [batch, height, width, channels], of any
    float type; statistics and parameters are float32.
    """

    is_batch_norm = True

    def __init__(
        self,
        *,
        momentum: float = 0.9,
        global_bn: bool = True,
        center: bool = True,
        zero_gamma: bool = False,
        **kwargs: Any,
    ) -> None:
        # Whatever the network computes in: the inputs come as they are, and parameters stay float32.
        super().__init__(autocast=False, **(kwargs | {"dtype": "float32"}))
        self.momentum = momentum
        self.global_bn = global_bn
        self.center = center
        self.zero_gamma = zero_gamma

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates gamma, beta (if ``center``) and the moving statistics, each [channels]."""
        shape = (input_shape[-1],)
        self.gamma = self.add_weight("gamma", shape, initializer="zeros" if self.zero_gamma else "ones")
        self.beta = self.add_weight("beta", shape, initializer="zeros") if self.center else None
        self.moving_mean = self._add_moving("moving_mean", shape, "zeros")
        self.moving_variance = self._add_moving("moving_variance", shape, "ones")
        super().build(input_shape)

    def _add_moving(self, name: str, shape: tuple[int], initializer: str) -> tf.Variable:
        return self.add_weight(
            name,
            shape,
            initializer=initializer,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.MEAN,
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the normalised tensor; updates the moving statistics in training mode."""
        if inputs.shape.rank == 2:
            return self._normalise(inputs[:, tf.newaxis, tf.newaxis, :], training)[:, 0, 0, :]
        return self._normalise(inputs, training)

    def _normalise(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        if not (training and self.trainable):
            return self._fused(inputs, self.moving_mean, self.moving_variance).y
        replicas = tf.distribute.get_replica_context()
        if self.global_bn and replicas is not None and replicas.num_replicas_in_sync > 1:
            return self._normalise_globally(inputs)
        fused = self._fused(inputs)
        values = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        # The fused kernel reports the unbiased variance, of which the biased one is a fraction.
        self._update_moving(fused.batch_mean, fused.batch_variance * (values - 1) / values)
        return fused.y

    def _fused(
        self, inputs: tf.Tensor, mean: tf.Tensor | None = None, variance: tf.Tensor | None = None
    ) -> Any:
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=tf.zeros_like(self.gamma) if self.beta is None else self.beta,
            mean=[] if mean is None else mean,
            variance=[] if variance is None else variance,
            epsilon=EPSILON,
            is_training=mean is None,
        )

    def _normalise_globally(self, inputs: tf.Tensor) -> tf.Tensor:
        dtype, inputs = inputs.dtype, tf.cast(inputs, tf.float32)
        replica_moments = tf.stack(tf.nn.moments(inputs, axes=[0, 1, 2]))  # [2, channels]
        moments = gather_rows(replica_moments[tf.newaxis])  # [replicas, 2, channels]
        mean = tf.reduce_mean(moments[:, 0], axis=0)
        variance = tf.reduce_mean(moments[:, 1] + tf.math.squared_difference(moments[:, 0], mean), axis=0)
        self._update_moving(mean, variance)
        # Not tf.nn.batch_normalization, which multiplies first: where the mean is much larger than the
        # deviation, as in the projection head, its difference has few digits left.
        outputs = (inputs - mean) * (tf.math.rsqrt(variance + EPSILON) * self.gamma)
        return tf.cast(outputs if self.beta is None else outputs + self.beta, dtype)

    def _update_moving(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        if _statistics_are_kept.get():
            return
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign_sub((moving - value) * (1.0 - self.momentum))

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "momentum": self.momentum,
            "global_bn": self.global_bn,
            "center": self.center,
            "zero_gamma": self.zero_gamma,
        }

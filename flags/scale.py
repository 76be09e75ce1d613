"""Flags of the machines that a run uses, and of how it fits on them."""

from __future__ import annotations

from absl import flags

from tf_simclr.config import ScaleConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of ScaleConfig."""
    _define_devices(flag_values)
    _define_portions(flag_values)
    _define_computation(flag_values)


def _define_devices(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "strategy",
        ScaleConfig.strategy,
        "Devices that share a batch: one_device; mirrored (all GPUs of this machine); multi_worker (the "
        "machines that the environment variable TF_CONFIG lists, each running this command); tpu; auto "
        "(tpu with --tpu_name, multi_worker with TF_CONFIG, mirrored with several GPUs, else one_device). "
        "Results do not depend on it.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "tpu_name",
        ScaleConfig.tpu_name,
        "Name or grpc:// address of the Cloud TPU of --strategy=tpu. Left out: the TPU of this machine.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "tpu_zone",
        ScaleConfig.tpu_zone,
        "Zone of the Cloud TPU that --tpu_name names. Left out: that of this machine.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "gcp_project",
        ScaleConfig.gcp_project,
        "Google Cloud project of the TPU that --tpu_name names. Left out: that of this machine.",
        flag_values=flag_values,
    )


def _define_portions(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "microbatch_size",
        ScaleConfig.microbatch_size,
        "Images, over all replicas, that go through the network at once, for batches that do not fit into "
        "memory. Divides --train_batch_size. Gradients are those of the whole batch; batch norm sees the "
        "portion. Left out: the whole batch.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "rematerialize",
        ScaleConfig.rematerialize,
        "Keep no activations inside the encoder's block groups, and compute them again in the backward pass: "
        "less memory, about a third more time, equal results.",
        flag_values=flag_values,
    )


def _define_computation(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "mixed_precision",
        ScaleConfig.mixed_precision,
        "Number format of the encoder's activations: bfloat16, float16 (with a scaled loss), off (float32). "
        "Weights, losses, batch statistics and the optimizer are float32 in any case. auto: bfloat16 on "
        "TPUs and on GPUs of compute capability 8.0 or more, else off.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "jit_compile",
        ScaleConfig.jit_compile,
        "Have XLA compile the training step; on TPUs it always does. Slow to start.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "data_service",
        ScaleConfig.data_service,
        "Address grpc://HOST:PORT of the dispatcher of a tf.data service, whose workers read and augment the "
        "training images instead of this machine. Left out: this machine does.",
        flag_values=flag_values,
    )

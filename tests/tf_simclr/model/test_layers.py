"""Every layer: the same checks of configuration, shapes, modes and gradients; then its mathematics."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.config import BLOCKS_OF_DEPTH, EncoderConfig, HeadConfig
from tf_simclr.model.batch_norm import BatchNorm
from tf_simclr.model.blocks import BlockGroup, ResidualBlock, Stem
from tf_simclr.model.encoder import Encoder
from tf_simclr.model.heads import LinearClassifier, ProjectionHead, ProjectionLayer
from tf_simclr.model.layers import AveragePoolShortcut, Conv, ConvNorm, SelectiveKernel, SqueezeExcite
from tf_simclr.model.network import Architecture, SimCLR, build_network, named_variables

NORM = {"batch_norm_decay": 0.9, "global_bn": True}
BASE_CONFIG = {"name", "trainable", "dtype"}  # what every Keras layer adds


def constructor_arguments(layer):
    names = set()
    for kind in type(layer).__mro__:
        parameters = inspect.signature(kind.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters) or kind.__module__.startswith("tf_simclr"):
            break
    return names - {"self"}


def run_layer_test(layer, input_shape, output_shapes, *, arguments=None, has_modes=True):
    """Checks what every layer owes its users; ``output_shapes`` in the order of ``tf.nest.flatten``."""
    rng = np.random.RandomState(0)
    inputs = tf.constant(rng.uniform(0, 1, input_shape), tf.float32)
    modes = [{"training": True}, {"training": False}] if has_modes else [{}]

    config = layer.get_config()
    assert set(config) - BASE_CONFIG == (arguments or constructor_arguments(layer)) - BASE_CONFIG
    for options in modes:
        outputs = tf.nest.flatten(layer(inputs, **options))
        assert [tuple(output.shape) for output in outputs] == output_shapes
        assert all(np.isfinite(output).all() for output in outputs)

    copy = type(layer).from_config(config)
    copy(inputs)
    assert copy.get_config() == config
    assert [tuple(w.shape) for w in copy.weights] == [tuple(w.shape) for w in layer.weights]
    for weight in layer.weights:
        weight.assign_add(0.1 * rng.uniform(0, 1, weight.shape).astype(np.float32))
    copy.set_weights(layer.get_weights())
    tf.nest.map_structure(np.testing.assert_array_equal, layer(inputs), copy(inputs))

    check_static_shapes(layer, input_shape, output_shapes)
    check_gradients(layer, inputs, modes[0])


def check_static_shapes(layer, input_shape, output_shapes):
    spec = tf.TensorSpec((None, *input_shape[1:]))
    traced = tf.nest.flatten(tf.function(lambda x: layer(x)).get_concrete_function(spec).structured_outputs)
    assert [tuple(output.shape[1:]) for output in traced] == [shape[1:] for shape in output_shapes]


def check_gradients(layer, inputs, options):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.nest.flatten(layer(inputs, **options))
        loss = tf.add_n([tf.reduce_sum(tf.sin(output)) for output in outputs])
    for gradient in tape.gradient(loss, [inputs, *layer.trainable_weights]):
        assert gradient is not None
        assert np.isfinite(gradient).all()


def block(bottleneck, **ratios):
    ratios = {"sk_ratio": 0.0, "se_ratio": 0.0} | ratios
    return ResidualBlock(8, 2, project=True, bottleneck=bottleneck, **ratios, **NORM)


GROUP_OPTIONS = NORM | {"bottleneck": True, "sk_ratio": 0.0625, "se_ratio": 0.25}
IMAGE_LAYERS = {
    "batch_norm": (lambda: BatchNorm(momentum=0.8, zero_gamma=True), [(2, 6, 5, 6)]),
    "batch_norm_without_centre": (lambda: BatchNorm(center=False, global_bn=False), [(2, 6, 5, 6)]),
    "conv": (lambda: Conv(7, 3, 2), [(2, 3, 3, 7)]),
    "conv_norm": (lambda: ConvNorm(7, 1, 2, relu=False, zero_gamma=True, **NORM), [(2, 3, 3, 7)]),
    "shortcut_pool_1": (lambda: AveragePoolShortcut(1), [(2, 6, 5, 6)]),
    "shortcut_pool_2": (lambda: AveragePoolShortcut(2), [(2, 3, 3, 6)]),
    "selective_kernel": (lambda: SelectiveKernel(8, 2, 0.0625, **NORM), [(2, 3, 3, 8)]),
    "squeeze_excite": (lambda: SqueezeExcite(8, 0.25), [(2, 6, 5, 6)]),
    "basic": (lambda: block(False), [(2, 3, 3, 8)]),
    "basic_sk": (lambda: block(False, sk_ratio=0.0625), [(2, 3, 3, 8)]),
    "basic_se": (lambda: block(False, se_ratio=0.25), [(2, 3, 3, 8)]),
    "bottleneck": (lambda: block(True), [(2, 3, 3, 32)]),
    "bottleneck_sk": (lambda: block(True, sk_ratio=0.0625), [(2, 3, 3, 32)]),
    "bottleneck_se": (lambda: block(True, se_ratio=0.25), [(2, 3, 3, 32)]),
    "block_group": (lambda: BlockGroup(4, 2, 2, GROUP_OPTIONS), [(2, 3, 3, 16)]),
    "stem_cifar": (lambda: Stem(8, "cifar", **NORM), [(2, 6, 5, 8)] * 2),
    "stem_imagenet": (lambda: Stem(8, "imagenet", **NORM), [(2, 3, 3, 8), (2, 2, 2, 8)]),
    "stem_resnet_d": (lambda: Stem(8, "resnet_d", **NORM), [(2, 3, 3, 8), (2, 2, 2, 8)]),
}
WITHOUT_MODES = ("conv", "shortcut_pool_1", "shortcut_pool_2", "squeeze_excite")


@pytest.mark.parametrize("name", IMAGE_LAYERS)
def test_layers_of_images_keep_the_common_rules(name):
    make, output_shapes = IMAGE_LAYERS[name]
    run_layer_test(make(), (2, 6, 5, 6), output_shapes, has_modes=name not in WITHOUT_MODES)


HEAD = NORM | {"num_proj_layers": 3, "proj_out_dim": 5}
FEATURE_LAYERS = {
    "batch_norm": (lambda: BatchNorm(), [(4, 6)]),
    "hidden": (lambda: ProjectionLayer(None, True, **NORM), [(4, 6)]),
    "last": (lambda: ProjectionLayer(3, False, **NORM), [(4, 3)]),
    "head_none": (lambda: ProjectionHead(proj_head_mode="none", **HEAD), [(4, 6)]),
    "head_linear": (lambda: ProjectionHead(proj_head_mode="linear", **HEAD), [(4, 6), (4, 5)]),
    "head": (lambda: ProjectionHead(proj_head_mode="nonlinear", **HEAD), [(4, 6), (4, 6), (4, 6), (4, 5)]),
    "head_cut": (lambda: ProjectionHead(proj_head_mode="nonlinear", keep_layers=1, **HEAD), [(4, 6), (4, 6)]),
    "classifier": (lambda: LinearClassifier(7), [(4, 7)]),
    "zero_classifier": (lambda: LinearClassifier(7, zero_init=True), [(4, 7)]),
}


@pytest.mark.parametrize("name", FEATURE_LAYERS)
def test_layers_of_features_keep_the_common_rules(name):
    make, output_shapes = FEATURE_LAYERS[name]
    run_layer_test(make(), (4, 6), output_shapes, has_modes="classifier" not in name)


TINY = {"resnet_depth": 18, "width_multiplier": 0.125, "cifar_stem": True}


def test_the_encoder_keeps_the_common_rules():
    shapes = [(2, 9, 7, 8), (2, 5, 4, 16), (2, 3, 2, 32), (2, 2, 1, 64), (2, 64), (2, 9, 7, 8), (2, 9, 7, 8)]
    arguments = set(EncoderConfig.__dataclass_fields__) | {"name"}
    run_layer_test(Encoder(**TINY), (2, 9, 7, 3), shapes, arguments=arguments)


@pytest.mark.parametrize("detach", [True, False])
def test_the_whole_network_keeps_the_common_rules(detach):
    architecture = Architecture(
        encoder=EncoderConfig(**TINY),
        head=HeadConfig(proj_out_dim=5),
        head_layers=3,
        num_classes=7,
        logits_from=1,
        detach_logits=detach,
    )
    maps = [(2, 9, 7, 8), (2, 5, 4, 16), (2, 3, 2, 32), (2, 2, 1, 64), (2, 64), (2, 9, 7, 8), (2, 9, 7, 8)]
    run_layer_test(
        SimCLR(architecture, zero_init_logits=True), (2, 9, 7, 3), [*maps, (2, 7), (2, 64), (2, 5)]
    )


def test_an_unknown_stem_is_refused():
    with pytest.raises(ValueError, match=r"kind must be one of .*cifar.*Received 'deep'\."):
        Stem(8, "deep", **NORM)


def test_an_undecided_stem_is_refused():
    with pytest.raises(
        ValueError, match=r"cifar_stem must be True or False\. Use EncoderConfig\.with_stem_for"
    ):
        Encoder(resnet_depth=18)


def test_a_head_cannot_keep_more_layers_than_it_has():
    with pytest.raises(ValueError, match=r"keep_layers must be in 0\.\.3, the head's depth\. Received 4\."):
        ProjectionHead(proj_head_mode="nonlinear", keep_layers=4, **HEAD)


# Convolution, pooling, attention: against loops.


def convolved(images, kernel, stride):
    """ceil(size / stride) outputs; kernel - 1 zeros around, the smaller half in front."""
    size = kernel.shape[0]
    front = (size - 1) // 2
    padded = np.pad(images, [(0, 0), (front, size - 1 - front), (front, size - 1 - front), (0, 0)])
    height, width = (-(-length // stride) for length in images.shape[1:3])
    out = np.zeros((len(images), height, width, kernel.shape[-1]))
    for y in range(height):
        for x in range(width):
            window = padded[:, y * stride : y * stride + size, x * stride : x * stride + size]
            out[:, y, x] = np.tensordot(window, kernel, axes=3)
    return out


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (1, 2), (2, 2), (3, 2), (7, 2)])
def test_convolution_pads_the_same_whatever_the_image_size(kernel_size, stride, size):
    images = np.random.uniform(-1, 1, (2, size, size + 1, 3)).astype(np.float32)
    conv = Conv(4, kernel_size, stride)
    outputs = conv(images)
    np.testing.assert_allclose(outputs, convolved(images, conv.kernel.numpy(), stride), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [4, 5])
def test_shortcut_pool_with_stride_2_averages_zeros_behind_the_image(size):
    images = np.random.uniform(1, 2, (2, size, size, 3)).astype(np.float32)
    padded = np.pad(images, [(0, 0), (0, size % 2), (0, size % 2), (0, 0)])
    half = padded.shape[1] // 2
    expected = padded.reshape(2, half, 2, half, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(AveragePoolShortcut(2)(images), expected, rtol=1e-6)


def test_shortcut_pool_with_stride_1_averages_only_the_image():
    images = np.random.uniform(1, 2, (2, 4, 3, 3)).astype(np.float32)
    expected = np.zeros_like(images)
    for y in range(4):
        for x in range(3):
            expected[:, y, x] = images[:, y : y + 2, x : x + 2].mean(axis=(1, 2))
    np.testing.assert_allclose(AveragePoolShortcut(1)(images), expected, rtol=1e-6)


def normalised(x, norm, training):
    """Restates batch norm over all axes but the last, with the biased variance."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = (x.mean(axes), x.var(axes)) if training else (norm.moving_mean, norm.moving_variance)
    beta = 0.0 if norm.beta is None else norm.beta.numpy()
    return (x - np.asarray(mean)) / np.sqrt(np.asarray(variance) + 1e-5) * norm.gamma.numpy() + beta


def randomise(layer):
    for weight in layer.weights:
        weight.assign_add(np.random.uniform(0.1, 0.5, weight.shape).astype(np.float32))


@pytest.mark.parametrize("training", [True, False])
def test_selective_kernel_mixes_two_streams_by_a_softmax(training):
    images = np.random.uniform(-1, 1, (3, 5, 5, 4)).astype(np.float32)
    layer = SelectiveKernel(6, 2, 0.0625, **NORM)
    layer(images)
    randomise(layer)
    moving_mean = layer.streams.norm.moving_mean.numpy()

    streams = convolved(images, layer.streams.conv.kernel.numpy(), 2)
    streams = np.maximum(normalised(streams, layer.streams.norm, training), 0)
    streams = streams.reshape(*streams.shape[:3], 2, 6)
    pooled = streams.sum(axis=3).mean(axis=(1, 2), keepdims=True)
    narrow = np.maximum(
        normalised(pooled @ layer.reduce.conv.kernel.numpy()[0, 0], layer.reduce.norm, training), 0
    )
    scores = np.exp(narrow @ layer.expand.kernel.numpy()[0, 0]).reshape(3, 1, 1, 2, 6)
    expected = (streams * scores / scores.sum(axis=3, keepdims=True)).sum(axis=3)

    outputs = layer(images, training=training)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=2e-5)
    moved = np.any(layer.streams.norm.moving_mean.numpy() != moving_mean)
    assert bool(moved) is training


@pytest.mark.parametrize(("filters", "width"), [(64, 32), (512, 32), (1024, 64)])
def test_selective_kernels_mix_through_at_least_32_channels(filters, width):
    assert SelectiveKernel(filters, 1, 0.0625, **NORM).reduce.conv.filters == width


def test_squeeze_excite_gates_channels_by_their_means():
    images = np.random.uniform(-1, 1, (3, 4, 5, 6)).astype(np.float32)
    layer = SqueezeExcite(8, 0.25)
    layer(images)
    randomise(layer)
    kernel_1, bias_1, kernel_2, bias_2 = layer.get_weights()
    assert kernel_1.shape == (1, 1, 6, 2)
    hidden = np.maximum(images.mean(axis=(1, 2)) @ kernel_1[0, 0] + bias_1, 0)
    gate = 1 / (1 + np.exp(-(hidden @ kernel_2[0, 0] + bias_2)))
    np.testing.assert_allclose(layer(images), images * gate[:, None, None, :], rtol=0, atol=1e-6)


def test_a_residual_block_starts_as_its_shortcut():
    images = np.random.uniform(-1, 1, (2, 4, 4, 8)).astype(np.float32)
    layer = ResidualBlock(8, 1, project=False, bottleneck=False, sk_ratio=0.0, se_ratio=0.0, **NORM)
    np.testing.assert_array_equal(layer(images, training=True), np.maximum(images, 0))


def test_the_classifier_starts_at_zero_when_asked():
    features = np.random.uniform(-1, 1, (3, 5)).astype(np.float32)
    assert not np.any(LinearClassifier(4, zero_init=True)(features))
    assert np.any(LinearClassifier(4)(features))


def test_a_detached_classifier_passes_no_gradient_back():
    architecture = Architecture(encoder=EncoderConfig(**TINY), num_classes=4, detach_logits=True)
    network = SimCLR(architecture)
    with tf.GradientTape() as tape:
        logits = network(tf.random.uniform((2, 8, 8, 3)), training=True)["logits_sup"]
    gradients = tape.gradient(logits, [network.classifier.kernel, *network.encoder.trainable_variables])
    assert gradients[0] is not None
    assert all(gradient is None for gradient in gradients[1:])


# Whole encoders.


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4])
def test_freezing_leaves_exactly_the_later_block_groups_trainable(k):
    encoder = Encoder(**TINY)
    images = tf.random.uniform((2, 8, 8, 3))
    encoder(images)
    groups = encoder.block_groups
    later = {v.name for group in groups[k:] for v in group.trainable_variables}
    frozen = {v.name: v.numpy() for part in [encoder.stem, *groups[:k]] for v in part.variables}
    encoder.freeze_up_to_block_group(k)
    assert {v.name for v in encoder.trainable_variables} == later
    assert all(name.split("/")[1] in [f"block_group{g}" for g in range(k + 1, 5)] for name in later)
    encoder(images, training=True)
    for variable in encoder.variables:
        if variable.name in frozen:
            np.testing.assert_array_equal(variable, frozen[variable.name], err_msg=variable.name)
        elif "moving_mean" in variable.name:
            assert np.any(variable), variable.name


def test_selective_kernels_change_depth_18_only_in_its_shortcuts():
    plain, selective = (Encoder(**TINY, sk_ratio=ratio) for ratio in (0.0, 0.0625))
    images = np.random.uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    plain(images), selective(images)
    assert [v.name for v in plain.variables] == [v.name for v in selective.variables]
    selective.set_weights(plain.get_weights())
    difference = plain(images)["block_group1"] - selective(images)["block_group1"]
    assert np.abs(difference).max() > 1e-3


def test_selective_kernels_bring_depth_18_the_resnet_d_stem():
    options = {"resnet_depth": 18, "width_multiplier": 1.0, "cifar_stem": False}
    plain, selective = (
        build_network(Architecture(encoder=EncoderConfig(**options, sk_ratio=r))) for r in (0, 0.5)
    )
    count = lambda network: sum(np.prod(v.shape) for v in network.variables)  # noqa: E731
    seven = 7 * 7 * 3 * 64
    three = 3 * 3 * (3 * 32 + 32 * 32 + 32 * 64) + 2 * 4 * 32  # with two more norms of 32 channels
    assert count(selective) - count(plain) == three - seven


@pytest.mark.parametrize(("width", "channels"), [(0.25, [16, 32, 64, 128]), (0.3, [19, 38, 77, 154])])
@pytest.mark.parametrize("sk_ratio", [0.0, 0.0625])
def test_narrow_and_odd_widths_build(width, channels, sk_ratio):
    config = EncoderConfig(
        resnet_depth=18, width_multiplier=width, sk_ratio=sk_ratio, se_ratio=0.25, cifar_stem=False
    )
    encoder = Encoder(**config.__dict__)
    endpoints = encoder(tf.zeros((1, 16, 16, 3)))
    assert [endpoints[f"block_group{i}"].shape[-1] for i in range(1, 5)] == channels
    assert config.feature_dim == endpoints["final_avg_pool"].shape[-1] == channels[-1]


@pytest.mark.parametrize(
    "depth", [pytest.param(d, marks=[pytest.mark.slow] if d > 50 else []) for d in BLOCKS_OF_DEPTH]
)
def test_names_of_variables_are_unique_and_repeat(depth):
    architecture = Architecture(
        encoder=EncoderConfig(
            resnet_depth=depth, width_multiplier=0.02, sk_ratio=0.0625, se_ratio=0.5, cifar_stem=False
        ),
        head=HeadConfig(),
        head_layers=3,
        num_classes=2,
    )
    network = build_network(architecture)
    names = list(named_variables(network))
    assert len(set(names)) == len(network.variables)
    assert "encoder/block_group4/block_1/shortcut/conv/kernel" not in names
    assert {"encoder/block_group4/block_0/shortcut/conv/kernel", "head_supervised/bias"} <= set(names)
    if depth == 18:
        assert list(named_variables(build_network(architecture))) == names

"""What a module says about itself to somebody who has only the module."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from export.info import StageInfo
from export.reusable import IMAGES, Part
from tf_simclr.config import Mode
from tf_simclr.model.network import Architecture

TEMPLATE = """\
# {title}

{what}
{origin}

| | |
|---|---|
| network | {network} |
| input | `{input_name}`: float32 {input_shape} {input_note} |
| output | float32 {output_shape}: {output_note} |
| parameters | {parameters:,} in {variables} variables, {megabytes:.3g} MB |

{preprocessing}`assets/stage.json` has the same for programs, with every variable's name, shape and dtype.
Nothing but TensorFlow is needed to use the module. PATH is the directory that this file lies in.

## TensorFlow

```python
import tensorflow as tf

module = tf.saved_model.load("PATH")
outputs = module(tf.zeros({example}))  # inference mode; training=True normalises by the batch
variables = module.trainable_variables
```
{endpoints}
## TF Hub, in a Keras 2 model (tf_keras)

`tensorflow_hub` needs `setuptools<82`. Leave `trainable` out to keep every weight as it is.

```python
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras

layer = hub.KerasLayer("PATH", trainable=True)
model = tf_keras.Sequential([layer, tf_keras.layers.Dense(10)])
outputs = model(tf.zeros({example}))
```

## Keras 3

`train_call` makes training move the batch-norm statistics too.

```python
import keras
import tensorflow as tf

layer = keras.layers.TFSMLayer(
    "PATH", call_endpoint="__call__", call_training_endpoint="train_call", trainable=True
)
outputs = layer(tf.zeros({example}))
```

## Signature

`serving_default`: `{input_name}` → `{output}`, in inference mode.
"""

ENDPOINTS = """
Inner activations, by the names that the released SimCLR modules use (`initial_conv`, `initial_max_pool`,
`block_group1` to `block_group4`, `final_avg_pool`):

```python
import tensorflow as tf

module = tf.saved_model.load("PATH")
block_group3 = module.endpoints(tf.zeros({example}))["block_group3"]
```
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described:
    """A part's interface in words."""

    title: str
    what: str  # a sentence
    spec: tf.TensorSpec  # of the input
    input_note: str
    output: str  # its name in the signature
    output_width: int
    output_note: str


def describe_part(part: str, info: StageInfo) -> Described:
    """Returns the interface of a part of the network that ``info`` describes."""
    architecture = info.architecture
    width = architecture.encoder.feature_dim
    if part == "encoder":
        return Described(
            title=f"Encoder: {_name(architecture)}",
            what="An image encoder: images in, one vector of features an image out.",
            spec=IMAGES,
            input_note=f"in [0, 1], RGB, any size; trained at {info.image_size} px",
            output="features",
            output_width=width,
            output_note="the features, averaged over the image",
        )
    if part == "classifier":
        return _describe_classifier(info)
    first, last = 1, architecture.head_layers
    if part != "projection_head":
        first = last = int(part.rsplit("_", 1)[1])
    is_output = last == architecture.head.num_layers
    return Described(
        title=f"Projection head of {_name(architecture)}: " + _layers(first, last),
        what=f"{_layers(first, last).capitalize()} of the {architecture.head.num_layers} layers of a "
        "projection head.",
        spec=_features(width),
        input_note=_source(first - 1),
        output="projection" if is_output else "hidden",
        output_width=architecture.head.proj_out_dim if is_output else width,
        output_note="the projection, not normalised" if is_output else "the hidden layer, after its ReLU",
    )


def _describe_classifier(info: StageInfo) -> Described:
    architecture = info.architecture
    reads_projection = architecture.logits_from == architecture.head.num_layers > 0
    width = architecture.head.proj_out_dim if reads_projection else architecture.encoder.feature_dim
    names = f": {', '.join(info.class_names)}" if info.class_names else ""
    return Described(
        title=f"Linear classifier on {_name(architecture)}",
        what=f"A linear layer: features in, one logit a class out. The images' classifier is this on top of "
        f"{_source(architecture.logits_from)}.",
        spec=_features(width),
        input_note=_source(architecture.logits_from),
        output="logits",
        output_width=architecture.num_classes,
        output_note=f"logits (no softmax), in this order{names}" if names else "logits (no softmax)",
    )


def readme(described: Described, info: StageInfo, root: Part) -> str:
    """Returns the text of the module's README.md."""
    count = sum(math.prod(variable.shape) for variable in root.variables)
    is_encoder = described.spec is IMAGES
    size = [1, info.image_size, info.image_size, 3] if is_encoder else [1, described.spec.shape[1]]
    return TEMPLATE.format(
        title=described.title,
        what=described.what,
        origin=origin(info),
        network=_name(info.architecture),
        input_name=described.spec.name,
        input_shape="[batch, height, width, 3]" if is_encoder else f"[batch, {size[1]}]",
        input_note=described.input_note,
        output_shape=f"[batch, {described.output_width}]",
        output_note=described.output_note,
        output=described.output,
        parameters=count,
        variables=len(root.variables),
        megabytes=4 * count / 1e6,
        preprocessing=_preprocessing(info) if is_encoder else "",
        endpoints=ENDPOINTS.format(example=size) if is_encoder else "",
        example=size,
    )


def origin(info: StageInfo) -> str:
    """Returns the sentence that says who trained the network."""
    if info.stage == Mode.IMPORT.value:
        return "It is a released SimCLR network (Chen et al. 2020), imported into tf_simclr."
    trained = f"step {info.step} of stage `{info.stage}`"
    return f"It was trained with tf_simclr (SimCLRv2, Chen et al. 2020); {trained}."


def _preprocessing(info: StageInfo) -> str:
    crop = info.preprocessing["crop_proportion"]
    cut = f"its middle {crop} of the shorter side is cut out, and " if crop else ""
    return (
        f"Before an image enters the network, {cut}it is resized (bicubic) to {info.image_size} x "
        f"{info.image_size} px,\nwith values in [0, 1] and no mean or deviation taken off.\n\n"
    )


def _name(architecture: Architecture) -> str:
    encoder = architecture.encoder
    kernels = f", selective kernels (sk_ratio {encoder.sk_ratio:g})" if encoder.sk_ratio else ""
    excited = f", squeeze-and-excitation (se_ratio {encoder.se_ratio:g})" if encoder.se_ratio else ""
    return f"ResNet-{encoder.resnet_depth} {encoder.width_multiplier:g}x{kernels}{excited}"


def _layers(first: int, last: int) -> str:
    return f"layer {first}" if first == last else f"layers {first} to {last}"


def _source(layer: int) -> str:
    return "the encoder's features" if layer == 0 else f"the output of layer {layer} of the projection head"


def _features(width: int) -> tf.TensorSpec:
    return tf.TensorSpec([None, width], tf.float32, name="features")

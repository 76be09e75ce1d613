"""What a SavedModel must not be able to do, planted in small ones."""

import os
import pathlib
import re

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

import run
from export.audit import UnsafeSavedModelError, audit_saved_model
from export.unsafe_operations import REASON_OF
from flags.parse import parse
from tf_simclr.config import ConfigError

NUMBERS = tf.TensorSpec([None], tf.float32)


def save(path, call):
    module = tf.Module()
    module.scale = tf.Variable(2.0)
    module.__call__ = tf.function(lambda x: call(x) * module.scale, input_signature=[NUMBERS])
    tf.saved_model.save(module, str(path), signatures=module.__call__)
    return str(path)


def read_file(x):
    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def in_a_function_of_a_function(x):
    return tf.function(lambda y: tf.function(read_file)(y))(x)


def in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: read_file(x), lambda: x)


def in_a_loop(x):
    return tf.while_loop(lambda y: tf.reduce_sum(y) < 3, lambda y: (read_file(y),), [x])[0]


def in_a_map(x):
    return tf.map_fn(read_file, x)


def in_a_data_set(x):
    return tf.data.Dataset.from_tensors(x).map(read_file).get_single_element()


def write_file(x):
    with tf.control_dependencies([tf.io.write_file("x", tf.strings.as_string(x[0]))]):
        return tf.identity(x)


def python(x):
    return tf.reshape(tf.py_function(lambda y: y, [x], tf.float32), tf.shape(x))


def numpy_python(x):
    return tf.reshape(tf.numpy_function(lambda y: y, [x], tf.float32), tf.shape(x))


def print_to_a_file(x):
    tf.print(x, output_stream="file://x")
    return x


def restore_scalar():
    (value,) = tf.raw_ops.RestoreV2(
        prefix="x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )
    return value


def read_another_checkpoint(x):
    return (
        x
        + tf.raw_ops.RestoreV2(prefix="x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]
    )


def records(x):
    return tf.data.TFRecordDataset("x").reduce(x, lambda total, _: total)


PLANTS = {
    read_file: ("ReadFile", "reads or writes files"),
    in_a_function_of_a_function: ("ReadFile", "reads or writes files"),
    in_a_branch: ("ReadFile", "reads or writes files"),
    in_a_loop: ("ReadFile", "reads or writes files"),
    in_a_map: ("ReadFile", "reads or writes files"),
    in_a_data_set: ("ReadFile", "reads or writes files"),
    write_file: ("WriteFile", "reads or writes files"),
    python: ("EagerPyFunc", "runs Python"),
    numpy_python: ("PyFunc", "runs Python"),
    print_to_a_file: ("PrintV2", "reads or writes files"),
    read_another_checkpoint: ("RestoreV2", "reads or writes files"),
    records: ("TFRecordDataset", "reads or writes files"),
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_operation_is_refused_by_name_and_place(plant, tmp_path):
    path = save(tmp_path / "model", plant)
    operation, reason = PLANTS[plant]
    with pytest.raises(UnsafeSavedModelError) as error:
        audit_saved_model(path)
    text = str(error.value)
    assert re.search(
        rf"the operation {operation}(V2|Stateless)? \(node \S+ of function \S+\), which {reason}", text
    )
    assert text.endswith("add --trust_saved_model.")
    audit_saved_model(path, trusted=True)


def test_what_this_project_and_plain_computations_save_is_let_pass(written, tmp_path):
    audit_saved_model(written("pretrain_with_probe").path)
    audit_saved_model(save(tmp_path / "plain", lambda x: tf.map_fn(lambda y: y + 1, x)))


def edit(path, change):
    file = pathlib.Path(path) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(model.meta_graphs[0])
    file.write_bytes(model.SerializeToString())
    return path


def function_called(word, graph):
    return next(f for f in graph.library.function if word in f.signature.name)


def restoring(graph):
    return function_called("traced_restore", graph)


def test_the_restore_function_must_serve_nothing_else(tmp_path):
    def call_it_from_the_signature(meta_graph):
        (serving,) = (
            f for f in meta_graph.graph_def.library.function if "signature_wrapper" in f.signature.name
        )
        call = next(node for node in serving.node_def if node.op == "StatefulPartitionedCall")
        call.attr["f"].func.name = restoring(meta_graph.graph_def).signature.name

    path = edit(save(tmp_path / "model", lambda x: x), call_it_from_the_signature)
    with pytest.raises(
        UnsafeSavedModelError, match=r"RestoreV2 \(node RestoreV2 of function __inference__tr"
    ):
        audit_saved_model(path)


def test_the_restore_function_reads_only_the_files_that_it_is_told(tmp_path):
    def read_others(meta_graph):
        body = restoring(meta_graph.graph_def).node_def
        elsewhere = body.add(name="elsewhere", op="Const")
        elsewhere.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("x"))
        next(node for node in body if node.op == "RestoreV2").input[0] = "elsewhere:output:0"

    with pytest.raises(UnsafeSavedModelError, match="the operation RestoreV2"):
        audit_saved_model(edit(save(tmp_path / "model", lambda x: x), read_others))


def test_a_restore_function_that_writes_is_refused(tmp_path):
    def write(meta_graph):
        restoring(meta_graph.graph_def).node_def.add(name="w", op="MergeV2Checkpoints", input=["a", "b"])

    with pytest.raises(UnsafeSavedModelError, match=r"the operation MergeV2Checkpoints \(node w of function"):
        audit_saved_model(edit(save(tmp_path / "model", lambda x: x), write))


def test_an_operation_of_the_graph_itself_and_an_unknown_one_are_refused(tmp_path):
    path = save(tmp_path / "model", lambda x: x)
    for operation, reason in (
        ("WriteFile", "reads or writes"),
        ("MinerStart", "is not one of TensorFlow's own"),
    ):
        edit(path, lambda meta_graph, op=operation: meta_graph.graph_def.node.add(name="planted", op=op))
        with pytest.raises(UnsafeSavedModelError, match=rf"{operation} \(node planted\), which {reason}"):
            audit_saved_model(path)
        edit(path, lambda meta_graph: meta_graph.graph_def.node.pop())


def test_a_saved_model_of_tensorflow_1_may_save_and_restore(tmp_path):
    def graph(read_more):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, [None])
            scale = tf.compat.v1.get_variable("scale", [])
            y = x * scale
            if read_more:
                y += restore_scalar()
            session.run(tf.compat.v1.global_variables_initializer())
            path = str(tmp_path / f"v1_{read_more}")
            tf.compat.v1.saved_model.simple_save(session, path, {"x": x}, {"y": y})
        return path

    audit_saved_model(graph(read_more=False))
    with pytest.raises(UnsafeSavedModelError, match=r"the operation RestoreV2 \(node RestoreV2\)"):
        audit_saved_model(graph(read_more=True))


@pytest.mark.parametrize("asset", ["/etc/passwd", "../../x", "a/../../x"])
def test_an_asset_outside_of_the_directory_is_refused(tmp_path, asset):
    path = save(tmp_path / "model", lambda x: x)
    edit(path, lambda meta_graph: meta_graph.asset_file_def.add(filename=asset))
    with pytest.raises(UnsafeSavedModelError, match=f"names the asset '{asset}', which lies outside"):
        audit_saved_model(path)


@pytest.mark.parametrize("name", ["assets/vocabulary", "variables/variables.index", "assets.extra"])
def test_a_link_is_refused_even_if_the_graph_is_trusted(tmp_path, name):
    path = pathlib.Path(save(tmp_path / "model", lambda x: x))
    (path / name).unlink(missing_ok=True)
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).symlink_to(tmp_path / "elsewhere")
    for trusted in (False, True):
        with pytest.raises(UnsafeSavedModelError, match=f"{name} is a link, and a SavedModel holds only"):
            audit_saved_model(str(path), trusted)


def test_a_link_to_the_directory_itself_is_the_user_s_own(tmp_path):
    (tmp_path / "newest").symlink_to(save(tmp_path / "model", lambda x: x))
    audit_saved_model(str(tmp_path / "newest"))


def test_forms_that_are_not_looked_through_are_refused(tmp_path):
    for name in ("saved_model.pbtxt", "saved_model.cpb"):
        path = pathlib.Path(save(tmp_path / name, lambda x: x))
        (path / name).write_bytes(b"")
        with pytest.raises(UnsafeSavedModelError, match=f"{name} cannot be looked through"):
            audit_saved_model(str(path))


def test_a_missing_or_damaged_graph_is_named(tmp_path):
    path = pathlib.Path(save(tmp_path / "model", lambda x: x))
    (path / "saved_model.pb").write_bytes((path / "saved_model.pb").read_bytes()[:-5])
    with pytest.raises(ConfigError, match=r"saved_model\.pb is damaged"):
        audit_saved_model(str(path))
    os.remove(path / "saved_model.pb")
    with pytest.raises(ConfigError, match=r"saved_model\.pb does not exist"):
        audit_saved_model(str(path))


@pytest.mark.parametrize(
    "flags",
    [
        "--mode=finetune --checkpoint={}",
        "--mode=distill --teacher={}",
        "--mode=eval --checkpoint={}",
        "--mode=export --checkpoint={}",
    ],
)
def test_no_mode_starts_from_a_stage_with_a_planted_operation(copied, flags):
    path = copied("pretrain")
    edit(
        path,
        lambda meta_graph: meta_graph.graph_def.library.function[0].node_def.add(name="p", op="ReadFile"),
    )
    with pytest.raises(UnsafeSavedModelError, match=r"the operation ReadFile \(node p of function"):
        run.run(parse(flags.format(path).split()))


# What the names of harmful operations have in common; those that only sound so are below.
SUSPICIOUS = re.compile(
    r"File|Reader|SummaryWriter|^Write|Summary(Db|File)|PyFunc|Rpc|^(Save|Restore)|Checkpoint|Sql|LMDB|Snapshot"
    r"|CacheDataset|DataService|RegisterDataset|^Debug|Print|Remote|Serialize.*(TRT|Iterator)|FromGraph|Mlir"
    r"|Vocab|Remap|CSVDataset|TFRecord|DumpTensor|ImportEvent|^_?(Host)?(Send|Recv)$|PassThrough|LoadDataset"
    r"|DistributedSave|StatisticsSaver|TextLine|FixedLengthRecord|TfLite|TRT|XlaCallModule"
)
HARMLESS = re.compile(
    r"^(Reader\w+|IdentityReader(V2)?|ShardedFile(name|spec)|Print|SerializeIterator|Snapshot|DebugNumericSummaryV2"
    r"|DebugGradient(Ref)?Identity|CreateTRTResourceHandle|GetCalibrationDataOp|\w*TPUEmbedding\w*"
    r"|_?XlaCompileMlir\w*)$"
)


def test_no_operation_of_the_installed_tensorflow_that_sounds_harmful_was_forgotten():
    names = [name for name in dir(tf.raw_ops) if op_def_registry.get(name)]
    assert len(names) > 1000
    suspects = [name for name in names if SUSPICIOUS.search(name) and not HARMLESS.match(name)]
    assert [name for name in suspects if name not in REASON_OF] == []

"""--mode=import, and released networks as a start; from synthetic releases."""

import dataclasses
import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

import run
from export.released.files import find_variables
from export.released.match import open_released
from export.released.names import released_variables
from export.released.start import released_info
from export.start import open_start
from flags.parse import parse
from tests import golden_network
from tests.released_files import (
    TINY,
    golden_values,
    object_graph,
    tf1_names,
    values_of,
    write_object_graph,
    write_saved_model,
    write_tf1,
)
from tf_simclr.config import ConfigError, EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture, named_variables

GOLDEN = "resnet18_1x_sk0_32px"
SK_GOLDEN = "resnet50_1x_sk1_64px"
TINY_SK = Architecture(
    encoder=EncoderConfig(resnet_depth=50, width_multiplier=0.0625, sk_ratio=0.0625, cifar_stem=False),
    head=HeadConfig(proj_out_dim=8),
    head_layers=3,
)


def as_named(values, name, form):
    """Values by official TF2 name -> by the names of a form."""
    if form == "tf1":
        names = tf1_names(values)
    elif form == "key":
        names = {row.tf2: f"model/{row.key}" for row in released_variables(golden_network.architecture(name))}
    else:
        names = {name: name for name in values}
    return {names[official]: value for official, value in values.items()}


def write(values, form, folder):
    """Returns the path to give to --checkpoint."""
    if form == "tf1":
        return write_tf1(values, folder / "model.ckpt-17")
    if form == "key":
        return write_object_graph(values, folder / "ckpt")
    return write_saved_model(values, folder / "saved_model")


def import_it(checkpoint, model_dir, *flags):
    run.run(parse(["--mode=import", f"--checkpoint={checkpoint}", f"--model_dir={model_dir}", *flags]))
    return open_start(str(model_dir), "checkpoint")


def assert_golden(endpoints, name):
    """Named activations of the first images against the official code's."""
    wanted = {
        key.removeprefix("eval/"): value
        for key, value in golden_network.numbers(name).items()
        if key.startswith("eval/") and key != "eval/ft_input"
    }
    assert set(wanted) <= set(endpoints) and len(wanted) >= 9
    for key, value in wanted.items():
        found, scale = endpoints[key].numpy(), np.abs(value).max()
        found = found.mean(axis=(1, 2)) if found.ndim == 4 else found
        np.testing.assert_allclose(found / scale, value / scale, atol=1e-4, err_msg=key)


@pytest.mark.slow
def test_an_imported_network_gives_the_golden_numbers_to_anybody_who_loads_it(tmp_path, capsys):
    checkpoint = write(as_named(golden_values(GOLDEN), GOLDEN, "tf1"), "tf1", tmp_path / "release")
    start = import_it(checkpoint, tmp_path / "run", "--image_size=32", "--ft_proj_selector=1")
    assert start.architecture == dataclasses.replace(golden_network.architecture(GOLDEN), detach_logits=False)
    assert start.image_size == 32
    module = tf.saved_model.load(start.path)
    assert_golden(module.endpoints(golden_network.views(GOLDEN)[0]), GOLDEN)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results == json.loads(capsys.readouterr().out)
    assert results["format"] == "tf1"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["mode"] == "import"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"), [(GOLDEN, "saved_model"), (GOLDEN, "key"), (SK_GOLDEN, "tf1"), (SK_GOLDEN, "key")]
)
def test_the_golden_weights_give_the_golden_numbers_from_every_form(name, form, tmp_path):
    path = write(as_named(golden_values(name), name, form), form, tmp_path)
    released = open_released(find_variables(path, "checkpoint", trusted=False))
    assert released.naming == {"saved_model": "tf2"}.get(form, form)
    network = released.load(released_info(released, selector=1).architecture)
    assert_golden(network(golden_network.views(name)[0], training=False), name)


def assert_values(network, values, naming="tf1"):
    rows = released_variables(network.architecture)
    variables = named_variables(network)
    assert len(rows) == len(variables)
    for row in rows:
        np.testing.assert_array_equal(variables[row.ours], values[row.name(naming)], err_msg=row.ours)


def test_what_an_optimizer_and_a_memory_leave_in_a_file_is_passed_over(tmp_path):
    values = values_of(TINY_SK)
    extra = {f"{name}/Momentum": value for name, value in list(values.items())[:3]}
    extra |= {f"ema_model/{name}": value for name, value in list(values.items())[:3]}
    extra |= {"global_step": np.int64(250228), "memory/queue": np.zeros([4, 8], np.float32)}
    path = write_tf1(values | extra, tmp_path / "model.ckpt-250228")
    released = open_released(path)
    assert released.architecture == TINY_SK and released.step == 250228
    assert_values(released.load(TINY_SK), values)


def test_the_slots_and_counters_of_a_tensorflow_2_checkpoint_are_passed_over(tmp_path):
    values = values_of(TINY, "key")
    root = object_graph({f"model/{name}": value for name, value in values.items()})
    root.optimizer = tf.compat.v1.train.MomentumOptimizer(0.1, 0.9)
    kernel = root.model.supervised_head.linear_layer.dense.kernel
    root.optimizer.apply_gradients([(tf.zeros_like(kernel), kernel)])
    path = root.save(str(tmp_path / "ckpt"))
    keys = [key for key, _ in tf.train.list_variables(path)]
    assert any(".OPTIMIZER_SLOT" in key for key in keys) and any("save_counter" in key for key in keys)
    released = open_released(path)
    assert (released.architecture, released.step) == (TINY, 9)
    assert_values(released.load(TINY), values, "key")


def test_the_moving_average_is_taken_where_it_is_asked_for(tmp_path):
    values = values_of(TINY)
    average = {f"ema_model/{name}": value + 1 for name, value in values.items() if "supervised" not in name}
    path = write_tf1(values | average, tmp_path / "model.ckpt-1")
    supervised = {name: value for name, value in values.items() if "supervised" in name}
    wanted = {name.removeprefix("ema_model/"): value for name, value in average.items()} | supervised
    released = open_released(path, export_ema=True)
    assert_values(released.load(released.architecture), wanted)
    assert_values(open_released(path).load(released.architecture), values)
    of_all = average | {f"ema_model/{name}": value + 1 for name, value in supervised.items()}
    released = open_released(write_tf1(values | of_all, tmp_path / "all"), export_ema=True)
    assert_values(released.load(TINY), {name: value + 1 for name, value in values.items()})
    assert parse(["--mode=import", "--checkpoint=a", "--export_ema"]).memory.export_ema
    bare = write_tf1(values, tmp_path / "bare")
    with pytest.raises(ConfigError, match=r"has no moving average \(ema_model/\.\.\.\)\. Leave out"):
        open_released(bare, export_ema=True)


SOME = (
    "encoder/block_group3/block_1/conv_2/conv/kernel",
    "encoder/block_group2/block_0/shortcut/norm/moving_mean",
    "projection_head/layer_2/kernel",
    "head_supervised/bias",
)


@pytest.mark.parametrize("naming", ["tf1", "tf2", "key"])
@pytest.mark.parametrize("ours", SOME)
def test_a_missing_a_surplus_and_a_distorted_variable_are_named(naming, ours, tmp_path):
    values = values_of(TINY, naming)
    (name,) = (row.name(naming) for row in released_variables(TINY) if row.ours == ours)
    writer = write_object_graph if naming == "key" else write_tf1

    def error_of(changed):
        with pytest.raises(ConfigError) as error:
            open_released(writer(changed, tmp_path / "ckpt"))
        return str(error.value)

    missing = {other: value for other, value in values.items() if other != name}
    assert error_of(missing).endswith(f"classes, but these variables are missing: {name}.")
    surplus = name.rsplit("/", 1)[0] + "/scale"
    text = error_of(values | {surplus: np.zeros([3], np.float32)})
    assert text.endswith(f"these variables are not known, and left over: {surplus}.")
    shape = list(values[name].shape)
    other = [*shape[:-1], shape[-1] + 1]
    text = error_of(values | {name: np.zeros(other, np.float32)})
    if ours == "head_supervised/bias":  # It tells the number of classes, so that the kernel is wrong.
        name, shape, other = name.replace("bias", "kernel"), [64, 11], [64, 10]
    assert text.endswith(f"shape or type: {name} (expected float32 {shape}, found float32 {other}).")


def test_another_type_is_named(tmp_path):
    values = values_of(TINY)
    name = "base_model/conv2d_3/kernel"
    path = write_tf1(values | {name: values[name].astype(np.float16)}, tmp_path / "half")
    with pytest.raises(ConfigError, match=r"/conv2d_3/kernel \(expected float32 .*, found float16 \["):
        open_released(path)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("form", ["tf1", "key"])
def test_a_truncated_file_is_named(form, suffix, tmp_path):
    values = values_of(TINY, form)
    writer = write_tf1 if form == "tf1" else write_object_graph
    prefix = writer(values, tmp_path / "model.ckpt-1")
    file = pathlib.Path(prefix + suffix)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ConfigError, match=r"model\.ckpt-1\S*\.\* is damaged or cut short.*Copy or down"):
        import_it(prefix, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    file.unlink()
    with pytest.raises(ConfigError):
        import_it(prefix, tmp_path / "run")


def test_layers_numbered_on_from_another_model_of_the_same_process_are_the_same_network(tmp_path):
    def later(match):
        return f"{match[1]}_{int(match[2] or 0) + 40}/"

    values = values_of(TINY, "tf2")
    kinds = "conv2d_fixed_padding|conv2d|batch_norm_relu|batch_normalization|residual_block|dense"
    counted = re.compile(rf"({kinds})(?:_(\d+))?/")
    renamed = {
        "model_1/" + counted.sub(later, name.replace("resnet/", "resnet_2/").replace("sync_", "")): value
        for name, value in values.items()
    }
    assert any("/residual_block_47/conv2d_fixed_padding_60/conv2d_60/" in name for name in renamed)
    released = open_released(write_tf1(renamed, tmp_path / "later"))
    assert released.architecture == TINY
    assert_values(released.load(TINY), values, "tf2")


@pytest.mark.parametrize(
    ("folder", "flags", "layer", "is_probe"),
    [
        ("x", None, 1, False),
        ("finetuned_1pct/r18", None, 1, False),
        ("finetuned_100pct/r18", None, 0, False),
        ("pretrained/r18", None, 0, True),
        ("simclrv1/finetune_10pct/1x", None, 0, False),
        ("distill_10pct/r18/r18", None, 0, False),
        ("x", {"ft_proj_selector": 2, "train_mode": "finetune"}, 2, False),
        ("finetuned_1pct", {"ft_proj_selector": 0, "train_mode": "pretrain"}, 0, True),
    ],
)
def test_the_layer_that_the_classifier_reads_is_what_flags_and_folders_say(
    folder, flags, layer, is_probe, tmp_path
):
    from export.released.start import released_info

    prefix = write_tf1(values_of(TINY), tmp_path / folder / "model.ckpt-3")
    if flags is not None:
        (tmp_path / folder / "flags.json").write_text(json.dumps(flags))
    released = open_released(prefix)
    found = released_info(released).architecture
    assert (found.logits_from, found.detach_logits) == (layer, is_probe)
    assert released_info(released, selector=1).architecture.logits_from == 1
    with pytest.raises(ConfigError, match=r"--ft_proj_selector=3 is no layer .* Use 0 \(.*\) to 2"):
        released_info(released, selector=3)


@pytest.fixture(scope="module")
def tiny_saved_model(tmp_path_factory):
    return write_saved_model(values_of(TINY, "tf2"), tmp_path_factory.mktemp("r18_sk0") / "saved_model")


@pytest.fixture(scope="module")
def imported(tiny_saved_model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "import"
    import_it(tiny_saved_model, directory, "--ft_proj_selector=0")
    return directory


SMALL = ["--train_steps=1", "--train_batch_size=8", "--image_size=8"]


@pytest.mark.slow
def test_an_import_is_fine_tuned_and_evaluated_like_any_stage(imported, tmp_path):
    start = f"--checkpoint={imported}"
    few = ["--labels_per_class=1", f"--model_dir={tmp_path / 'finetune'}", *SMALL]
    run.run(parse(["--mode=finetune", start, *few]))
    run.run(parse(["--mode=eval", start, "--image_size=8", f"--model_dir={tmp_path / 'eval'}"]))
    assert json.loads((tmp_path / "eval" / "results.json").read_text())["eval"]["count"] == 360
    finetuned = open_start(str(tmp_path / "finetune"), "checkpoint").architecture
    assert finetuned.encoder == TINY.encoder and finetuned.logits_from == 1


@pytest.mark.slow
def test_a_released_saved_model_is_a_teacher_directly(tiny_saved_model, tmp_path):
    flags = ["--mode=distill", "--width_multiplier=0.125", *SMALL]
    released = pathlib.Path(tiny_saved_model).parent  # as it is handed out: r50_1x_sk0/saved_model
    run.run(parse([*flags, f"--teacher={released}", f"--model_dir={tmp_path}"]))
    assert json.loads((tmp_path / "config.json").read_text())["start"] == tiny_saved_model


def test_a_released_saved_model_is_imported_before_it_is_exported(tiny_saved_model, tmp_path):
    with pytest.raises(ConfigError, match=r"is a released network\. Import it first, with --mode=import"):
        run.run(
            parse(["--mode=export", f"--checkpoint={tiny_saved_model}", f"--export_dir={tmp_path / 'x'}"])
        )


def test_a_saved_model_that_is_neither_says_both(tmp_path):
    write_saved_model({"w": np.ones([2], np.float32)}, tmp_path)
    with pytest.raises(ConfigError, match=r"neither a SavedModel of this project .* nor a released one"):
        open_start(str(tmp_path), "teacher")


def test_one_run_directory_holds_one_import(imported, tiny_saved_model, tmp_path):
    import_it(tiny_saved_model, imported, "--ft_proj_selector=0")
    with pytest.raises(ConfigError, match=r"holds something else \(.*saved_model\)\. Give another"):
        import_it(write_tf1(values_of(TINY), tmp_path / "other"), imported)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match=r"holds something else \(no import\)"):
        import_it(tiny_saved_model, tmp_path / "run")


def test_an_archive_and_a_stage_of_this_project_can_be_imported(imported, tmp_path):
    before = open_start(str(imported), "checkpoint")
    archive = shutil.make_archive(str(tmp_path / "model"), "gztar", before.path)
    after = named_variables(import_it(archive, tmp_path / "run").load())
    for name, variable in named_variables(before.load()).items():
        np.testing.assert_array_equal(variable, after[name])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder / "nothing", r"does not exist\. Give a TensorFlow 1 or 2 checkpoint"),
        (lambda folder: folder, r"holds neither a checkpoint nor a SavedModel"),
    ],
)
def test_a_path_without_a_network_is_refused(make, text, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=text):
        import_it(make(tmp_path / "empty"), tmp_path / "run")
    with pytest.raises(ConfigError, match="--mode=import needs --checkpoint"):
        run.run(parse(["--mode=import"]))


def test_a_folder_leads_to_its_newest_checkpoint(tmp_path):
    values = values_of(TINY)
    for step in (5, 10):
        write_tf1(values, tmp_path / "r18" / f"model.ckpt-{step}")
    with pytest.raises(ConfigError, match=r"several checkpoints: model\.ckpt-10\.index, model\.ckpt-5"):
        import_it(tmp_path, tmp_path / "run")
    (tmp_path / "r18" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-10"\n')
    for path in (tmp_path, tmp_path / "r18" / "model.ckpt-10.index"):
        assert find_variables(str(path), "checkpoint", False) == str(tmp_path / "r18" / "model.ckpt-10")

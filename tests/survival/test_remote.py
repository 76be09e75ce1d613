"""Everything that is written goes to remote paths by the same code. ``ram://`` stands for a bucket:
it is TensorFlow's own file system in memory, which as an object store has no descriptors."""

import uuid

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import run
from flags.parse import parse
from tf_simclr.files.manifest import verify
from tf_simclr.files.whole import numbered

TRAINING = ["--train_batch_size=8", "--log_steps=2", "--checkpoint_steps=2", "--keep_checkpoint_max=1"]
NETWORK = ["--width_multiplier=0.125", "--image_size=8"]


def command(*argv):
    run.run(parse(list(argv)))


def lines(path):
    with tf.io.gfile.GFile(path) as file:
        return file.read().splitlines()


@pytest.mark.slow
def test_every_stage_reads_and_writes_a_bucket(tmp_path, capsys):
    bucket = f"ram://{uuid.uuid4().hex}"
    pretrain = ["--mode=pretrain", f"--model_dir={bucket}/pretrain", *NETWORK, *TRAINING]
    command(*pretrain, "--train_steps=2")
    command(*pretrain, "--train_steps=2")  # Finished: it only says so.
    assert len(lines(f"{bucket}/pretrain/metrics.jsonl")) == 2
    finetune = ["--mode=finetune", f"--checkpoint={bucket}/pretrain", f"--model_dir={bucket}/finetune"]
    command(*finetune, "--labels_per_class=2", "--train_steps=2", *TRAINING)
    assert numbered(f"{bucket}/finetune/checkpoints") == ["2"]
    verify(f"{bucket}/finetune/saved_model/2")

    tuned = f"--checkpoint={bucket}/finetune"
    command("--mode=export", tuned, f"--export_dir={bucket}/hub")
    module = tf.saved_model.load(f"{bucket}/hub")
    assert module(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 512 // 8)
    # A servable has folders "assets" and "assets.extra", and ram:// lists ".extra" in the first.
    command("--mode=export", "--export_kind=serving", tuned, f"--export_dir={tmp_path}/s")
    verify(f"{tmp_path}/s/simclr/1")

    image = load_digits().images[0, :, :, None] * 17
    tf.io.write_file(str(tmp_path / "in/zero.png"), tf.io.encode_png(np.minimum(image, 255).astype(np.uint8)))
    images = f"--images={tmp_path}/in"
    for name in ("rows.csv", "rows.jsonl"):
        command("--mode=predict", f"--checkpoint={tmp_path}/s/simclr", images, f"--output={bucket}/{name}")
    assert lines(f"{bucket}/rows.csv")[0] == "image,class_index,class_name,probability,error"
    assert [len(lines(f"{bucket}/{name}")) for name in ("rows.csv", "rows.jsonl")] == [2, 1]
    command("--mode=embed", tuned, images, f"--output={bucket}/features.npy")
    with tf.io.gfile.GFile(f"{bucket}/features.npy", "rb") as file:
        assert np.load(file).shape == (1, 512 // 8)
    hidden = [name for _, _, names in tf.io.gfile.walk(bucket) for name in names if name.startswith(".")]
    assert hidden == []

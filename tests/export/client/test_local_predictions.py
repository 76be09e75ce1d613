"""--mode=predict and --mode=embed with a network on this machine."""

import json

import numpy as np
import pytest

import run
from flags.parse import parse
from tests.export import encoded_images
from tf_simclr.config import ConfigError

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three images of the network's size, and one file that is none."""
    root = tmp_path_factory.mktemp("in")
    for seed in range(3):
        (root / f"{seed}.png").write_bytes(encoded_images.png(seed, height=16, width=16))
    (root / "1b.jpg").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def endpoints(written):
    pixels = np.stack([encoded_images.picture(seed, 16, 16) for seed in range(3)])
    return written("finetune_from_2").network(pixels.astype(np.float32) / 255)


def start(mode, stage, folder, *flags):
    run.run(parse([f"--mode={mode}", f"--checkpoint={stage.path}", f"--images={folder}", *flags]))


def test_predictions_are_those_of_the_network(written, folder, endpoints, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    start("predict", written("finetune_from_2"), folder, f"--output={output}", "--top_k=2")
    assert json.loads(capsys.readouterr().out) == {
        "mode": "predict", "images": 4, "skipped": 1, "output": str(output),
    }  # fmt: skip
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["image"].rpartition("/")[2] for line in lines] == ["0.png", "1.png", "1b.jpg", "2.png"]
    assert lines.pop(2)["error"]
    for line, logits in zip(lines, endpoints["logits_sup"].numpy(), strict=True):
        order = np.argsort(-logits)[:2]
        assert [entry["name"] for entry in line["classes"]] == [CLASSES[i] for i in order]
        assert [entry["index"] for entry in line["classes"]] == order.tolist()
        likeliest = 1 / np.exp(logits - logits.max()).sum()
        assert line["classes"][0]["probability"] == pytest.approx(likeliest, abs=1e-4)


def test_without_an_output_the_lines_are_all_that_is_printed(written, folder, capsys):
    start("predict", written("finetune_from_2"), folder / "0.png")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["image"] == str(folder / "0.png")


@pytest.mark.parametrize("ending", ["npy", "csv"])
def test_features_are_those_of_the_network(ending, written, folder, endpoints, tmp_path, capsys):
    output = tmp_path / f"out.{ending}"
    start("embed", written("finetune_from_2"), folder, f"--output={output}")
    wanted = endpoints["final_avg_pool"].numpy()
    assert json.loads(capsys.readouterr().out)["features"] == [3, wanted.shape[1]]
    if ending == "npy":
        names, found = (tmp_path / "out.files.txt").read_text().splitlines(), np.load(output)
        assert found.dtype == np.float32
    else:
        header, *rows = [line.split(",") for line in output.read_text().splitlines()]
        assert header[:2] == ["image", "feature_0"]
        names, found = [row[0] for row in rows], np.array([row[1:] for row in rows], np.float32)
    assert names == [str(folder / f"{seed}.png") for seed in range(3)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_encoder_predicts_no_classes(written, folder):
    with pytest.raises(ConfigError, match=r"is no classifier. Use --mode=embed"):
        start("predict", written("pretrain_with_probe"), folder)


def test_features_have_two_forms(written, folder):
    with pytest.raises(ConfigError, match=r"must end in .npy or .csv"):
        start("embed", written("finetune_from_2"), folder, "--output=out.json")

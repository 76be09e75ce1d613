"""Flags that a stage ignores are reported, and only those."""

import pytest

from flags.parse import parse, unused_flags
from tf_simclr.config import Mode


@pytest.mark.parametrize(
    "argv, expected",
    [
        ("", []),
        ("--seed=1 --temperature=0.5 --noglobal_bn", []),
        ("--distill_alpha=0.5", ["distill_alpha"]),
        ("--teacher=a --checkpoint=b --knn_neighbors=3", ["checkpoint", "knn_neighbors", "teacher"]),
        ("--mode=finetune --teacher=a", ["teacher"]),
        ("--mode=finetune --checkpoint=a --label_fraction=0.1 --ft_proj_selector=1", []),
        ("--mode=finetune --resnet_depth=18 --num_proj_layers=2", []),
        ("--mode=finetune --temperature=1 --use_blur", ["temperature", "use_blur"]),
        ("--mode=linear_eval --nohidden_norm --learning_rate=1", ["hidden_norm"]),
        ("--mode=supervised --checkpoint=a --num_proj_layers=2", ["checkpoint", "num_proj_layers"]),
        ("--mode=supervised --resnet_depth=50 --label_fraction=0.1", []),
        ("--mode=distill --teacher=a --temperature=1 --resnet_depth=18 --distill_alpha=0.5", []),
        ("--mode=distill --ft_proj_selector=1 --checkpoint=a", ["checkpoint", "ft_proj_selector"]),
        ("--mode=distill --label_fraction=0.1", ["label_fraction"]),
        ("--mode=distill --label_fraction=0.1 --distill_alpha=0.9", []),
        ("--mode=eval --checkpoint=a --eval_batch_size=8 --eval_split=test --resnet_depth=18", []),
        ("--mode=eval --train_epochs=3 --optimizer=adam --seed=1", ["optimizer", "train_epochs"]),
        ("--mode=knn --knn_neighbors=3 --train_split=train", []),
        ("--mode=knn --log_steps=3 --learning_rate=1", ["learning_rate", "log_steps"]),
        ("--mode=describe --knn_neighbors=3 --learning_rate=1", []),
        ("--mode=check_data --dataset=a --data_dir=b --model_dir=c --seed=1", ["seed"]),
        ("--mode=finetune --color_jitter=yiq --augment_device=host", ["augment_device", "color_jitter"]),
        ("--color_jitter=yiq --color_jitter_strength=0", ["color_jitter"]),
        ("--max_bad_fraction=0.5", ["max_bad_fraction"]),
        ("--dataset=folder:a --max_bad_fraction=0.5", []),
        ("--mode=export --checkpoint=a --export_kind=serving --export_name=a --top_k=1", []),
        ("--mode=export --export_kind=serving --export_part=encoder", ["export_part"]),
        ("--mode=export --export_part=encoder --top_k=3 --max_batch_size=2", ["max_batch_size", "top_k"]),
        ("--mode=finetune --keep_versions=1", ["keep_versions"]),
        ("--mode=predict --images=a --output=b --checkpoint=c --top_k=1 --request_batch_size=1", []),
        ("--mode=predict --images=a --request_retries=1 --model_dir=a", ["model_dir", "request_retries"]),
        ("--mode=predict --server=grpc://a:1 --export_name=b --request_timeout=1", []),
        ("--mode=embed --server=http://a:1 --checkpoint=b --top_k=1", ["checkpoint", "top_k"]),
        ("--mode=finetune --images=a", ["images"]),
        ("--train_steps=5 --train_epochs=1", ["train_epochs"]),
        ("--optimizer=adam --momentum=0.5", ["momentum"]),
        ("--memory_size=512 --memory_momentum=0.9 --export_ema", []),
        ("--memory_momentum=0.9", ["memory_momentum"]),
        ("--mode=finetune --memory_size=512 --export_ema", ["export_ema", "memory_size"]),
        ("--mode=distill --memory_size=512", ["memory_size"]),
        ("--mode=eval --strategy=mirrored", []),
        ("--mode=knn --strategy=mirrored", ["strategy"]),
        ("--mode=eval --memory_size=512", ["memory_size"]),
        ("--proj_head_mode=linear --num_proj_layers=2", ["num_proj_layers"]),
        ("--proj_head_mode=none --proj_out_dim=2", ["proj_out_dim"]),
    ],
)
def test_given_flags_without_effect_are_listed(argv, expected):
    assert unused_flags(parse(argv.split())) == expected


@pytest.mark.parametrize("mode", list(Mode))
def test_defaults_are_never_reported(mode):
    assert unused_flags(parse([f"--mode={mode.value}"])) == []


def test_some_stage_uses_each_flag():
    names = [name for name in vars(parse([]).knn)] + ["teacher", "distill_alpha", "checkpoint"]
    reported = {}
    for mode in Mode:
        argv = [f"--mode={mode.value}", "--teacher=a", "--checkpoint=b", "--distill_alpha=0.5"]
        argv += ["--knn_neighbors=1", "--knn_temperature=1"]
        reported[mode] = set(unused_flags(parse(argv)))
    for name in names:
        users = [mode for mode in Mode if name not in reported[mode] and mode is not Mode.DESCRIBE]
        assert users, name

import pytest

from export.locate import locate_stage, whole_versions
from tf_simclr.config import ConfigError
from tf_simclr.files.manifest import seal


def _saved_model(path, missing=()):
    for file in {"saved_model.pb", "assets/stage.json"} - set(missing):
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_text("")
    seal(str(path))
    return str(path)


def test_a_run_directory_its_saved_model_directory_and_the_saved_model_itself_mean_the_same(tmp_path):
    run = tmp_path / "run"
    expected = _saved_model(run / "saved_model" / "40")
    for path in (run, run / "saved_model", run / "saved_model" / "40"):
        assert locate_stage(str(path)) == expected
        assert locate_stage(f"{path}/") in (expected, f"{expected}/")


def test_a_servable_directory_means_its_newest_version(tmp_path):
    _saved_model(tmp_path / "1")
    assert locate_stage(str(tmp_path)) == str(tmp_path / "1")


def test_the_newest_is_the_largest_number_not_the_last_word(tmp_path):
    paths = [_saved_model(tmp_path / "saved_model" / step) for step in ("9", "100", "20")]
    assert locate_stage(str(tmp_path)) == paths[1]
    assert whole_versions(str(tmp_path / "saved_model")) == [paths[0], paths[2], paths[1]]


@pytest.mark.parametrize("file", ["saved_model.pb", "assets/stage.json"])
def test_an_incomplete_version_is_passed_over(tmp_path, file):
    whole = _saved_model(tmp_path / "saved_model" / "5")
    _saved_model(tmp_path / "saved_model" / "6", missing=[file])
    assert locate_stage(str(tmp_path)) == whole


@pytest.mark.parametrize("damage", ["manifest gone", "file cut"])
def test_a_version_that_is_not_all_there_is_passed_over(tmp_path, damage):
    whole = _saved_model(tmp_path / "saved_model" / "5")
    path = tmp_path / "saved_model" / "6"
    _saved_model(path)
    if damage == "file cut":
        (path / "saved_model.pb").write_text("longer or shorter than the manifest says")
    else:
        (path / "manifest.json").unlink()
    assert locate_stage(str(tmp_path)) == whole


@pytest.mark.parametrize("name", [".writing-6", ".replaced-6", "6.tmp", "-6", "²"])
def test_a_temporary_or_foreign_name_is_passed_over(tmp_path, name):
    whole = _saved_model(tmp_path / "saved_model" / "5")
    _saved_model(tmp_path / "saved_model" / name)
    assert locate_stage(str(tmp_path)) == whole


@pytest.mark.parametrize("path", ["runs/pretrian", ""])
def test_a_path_that_does_not_exist_is_an_error_with_the_flag_and_the_command(path):
    expected = (
        rf"--teacher={path} does not exist\. .*`python run\.py --mode=pretrain --model_dir=\.\.\.` makes one"
    )
    with pytest.raises(ConfigError, match=expected):
        locate_stage(path, flag="teacher")


def test_a_file_is_an_error(tmp_path):
    (tmp_path / "weights.h5").write_text("")
    with pytest.raises(
        ConfigError, match=r"--checkpoint=.*weights\.h5 is not a directory\. Give a run directory"
    ):
        locate_stage(str(tmp_path / "weights.h5"))


def test_a_directory_without_a_saved_model_is_an_error_that_says_what_was_looked_for(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ConfigError) as error:
        locate_stage(str(tmp_path))
    assert str(error.value) == (
        f"--checkpoint={tmp_path} holds no finished SavedModel. Looked for saved_model.pb, "
        "saved_model/<step>/saved_model.pb and <version>/saved_model.pb, "
        "the latter two with assets/stage.json beside it. "
        "Let the run finish, or make one with `python run.py --mode=pretrain --model_dir=...`; "
        "a released checkpoint becomes one with --mode=import."
    )

"""Any ``stage.json`` is read, or refused with a sentence."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.info import StageInfo
from export.stage import read_info
from tf_simclr.config import ConfigError
from tf_simclr.files.manifest import seal

bounded = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def stage(written, tmp_path_factory):
    """A directory that holds nothing but a stage.json, and that file's text."""
    with open(f"{written('finetune_from_2').path}/assets/stage.json", encoding="utf-8") as file:
        text = file.read()
    path = tmp_path_factory.mktemp("stage")
    (path / "assets").mkdir()
    return path, text


def read(path, content):
    """Whether the description is accepted; the digests are those of the changed file."""
    (path / "assets" / "stage.json").write_bytes(content)
    seal(str(path))
    try:
        assert isinstance(read_info(str(path)), StageInfo)
    except ConfigError as error:
        assert "stage.json" in str(error) and str(error).count(". ") >= 1
        return False
    return True


def places(value, place=()):
    """Every place in a JSON value, as a tuple of keys."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*place, key))


@bounded
@given(data=st.data(), new=values)
def test_any_value_at_any_place_is_read_or_refused(stage, data, new):
    path, text = stage
    holder = whole = {"": json.loads(text)}
    *way, last = data.draw(st.sampled_from(list(places(whole))[1:]))
    for key in way:
        holder = holder[key]
    holder[last] = new
    read(path, json.dumps(whole[""]).encode())


@bounded
@given(start=st.integers(0, 3000), removed=st.integers(0, 40), inserted=st.binary(max_size=8))
def test_any_damage_to_its_bytes_is_read_or_refused(stage, start, removed, inserted):
    path, text = stage
    content = text.encode()
    read(path, content[:start] + inserted + content[start + removed :])


def test_the_unchanged_one_is_read(stage):
    assert read(stage[0], stage[1].encode())

import io
import os
import tarfile

import pytest

from export.archive import unpacked
from export.audit import UnsafeSavedModelError
from tf_simclr.config import ConfigError


def archive(path, *members):
    with tarfile.open(path, "w:gz") as file:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = 5 if kind == tarfile.REGTYPE else 0
            file.addfile(info, io.BytesIO(b"bytes") if info.size else None)
    return str(path)


def test_the_content_is_there_inside_and_gone_afterwards(tmp_path):
    path = archive(tmp_path / "a.tar.gz", ("./", tarfile.DIRTYPE, ""), ("./variables/x", tarfile.REGTYPE, ""))
    with unpacked(path) as directory, open(os.path.join(directory, "variables", "x"), "rb") as file:
        assert file.read() == b"bytes"
    assert not os.path.exists(directory)


def test_any_other_path_is_passed_on(tmp_path):
    with unpacked(str(tmp_path)) as path:
        assert path == str(tmp_path)


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (("/etc/x", tarfile.REGTYPE, ""), "'/etc/x' has a path that leads out"),
        (("a/../../x", tarfile.REGTYPE, ""), "has a path that leads out"),
        ((r"a\..\..\x", tarfile.REGTYPE, ""), "has a path that leads out"),
        (("x", tarfile.SYMTYPE, "/etc/passwd"), "'x' is no plain file"),
        (("x", tarfile.SYMTYPE, "y"), "'x' is no plain file"),
        (("x", tarfile.LNKTYPE, "y"), "'x' is no plain file"),
        (("x", tarfile.FIFOTYPE, ""), "'x' is no plain file"),
        (("x", tarfile.CHRTYPE, ""), "'x' is no plain file"),
    ],
)
def test_links_devices_and_paths_that_lead_out_are_refused(member, text, tmp_path):
    path = archive(tmp_path / "a.tgz", ("saved_model.pb", tarfile.REGTYPE, ""), member)
    with pytest.raises(UnsafeSavedModelError) as error, unpacked(path):
        pass
    assert text in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ["a.tgz"]


def test_a_truncated_archive_is_named(tmp_path):
    path = archive(tmp_path / "a.tar.gz", *((f"f{i}", tarfile.REGTYPE, "") for i in range(50)))
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(ConfigError, match=r"a\.tar\.gz cannot be unpacked"), unpacked(path):
        pass

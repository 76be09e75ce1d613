"""Rules about the source files themselves: who imports whom, sizes, names, collected tests."""

import ast
import dataclasses
import inspect
import pathlib
import re

import pytest

from tf_simclr import config

ROOT = pathlib.Path(__file__).parents[1]
OWN_PACKAGES = ("flags", "tf_simclr", "export", "benchmarks", "run")

# Package -> what its files may not import. A name stands for the module and all below it.
CONSUMERS = ("flags", "export", "run", "benchmarks", "tests")
STAGES_AND_REPORTS = (*CONSUMERS, "tf_simclr.train", "tf_simclr.report")
FORBIDDEN = {
    "tf_simclr": CONSUMERS,
    "tf_simclr/model": (*STAGES_AND_REPORTS, "tf_simclr.losses", "tf_simclr.optim", "tf_simclr.data"),
    "tf_simclr/losses": (*STAGES_AND_REPORTS, "tf_simclr.model", "tf_simclr.optim", "tf_simclr.data"),
    "tf_simclr/optim": (*STAGES_AND_REPORTS, "tf_simclr.losses", "tf_simclr.data"),
    "tf_simclr/data": (*STAGES_AND_REPORTS, "tf_simclr.model", "tf_simclr.losses", "tf_simclr.optim"),
    "tf_simclr/files": (
        *STAGES_AND_REPORTS,
        "tf_simclr.model",
        "tf_simclr.losses",
        "tf_simclr.optim",
        "tf_simclr.data",
    ),
    "tf_simclr/memory": STAGES_AND_REPORTS,
    "tf_simclr/evaluate": STAGES_AND_REPORTS,
}
# Package -> the only project modules its files may import, its own aside.
ALLOWED = {
    "flags": ("tf_simclr.config",),
    "export": (
        "tf_simclr.model",
        "tf_simclr.config",
        "tf_simclr.data",
        "tf_simclr.files",
        "tf_simclr.errors",
    ),
}
ABSL_FLAGS_READERS = ("flags", "run.py", "benchmarks", "tests")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

SKIPPED_FOLDERS = {"__pycache__", "runs"}
# A home or work folder at the start of an absolute path, as opposed to a part of a longer path or URL.
MACHINE_PATH = re.compile(r"(?<![\w.~$})\-])/(?:work|root|home/\w+|Users/\w+)/\w")


def project_files():
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        if path.is_file() and not hidden and not SKIPPED_FOLDERS.intersection(parts):
            yield path


def python_files(folder=""):
    return [path for path in project_files() if path.suffix == ".py" and path.is_relative_to(ROOT / folder)]


def relative(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """All modules that a file imports, anywhere in it, with names imported from them appended."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_below(module, prefix):
    return module == prefix or module.startswith(prefix + ".")


def violations(folder, is_wrong):
    return [
        f"{relative(path)}: {name}"
        for path in python_files(folder)
        for name in imports(path)
        if is_wrong(name)
    ]


def test_the_walk_finds_the_sources():
    found = {relative(path) for path in python_files()}
    assert {"flags/parse.py", "tf_simclr/config/run.py", "tests/test_architecture_rules.py"} <= found
    assert "tf_simclr.config.Mode" in set(imports(ROOT / "flags" / "parse.py"))


def test_relative_and_nested_imports_are_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    source = tmp_path / "a" / "b" / "c.py"
    source.write_text("from . import d\nfrom ..e import f\ndef g():\n    import h.i\n")
    assert list(imports(source)) == ["a.b.d", "a.e.f", "h.i"]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_packages_do_not_import_their_consumers(folder):
    found = violations(folder, lambda name: any(is_below(name, other) for other in FORBIDDEN[folder]))
    assert found == []


@pytest.mark.parametrize("folder", ALLOWED)
def test_flags_and_export_import_only_their_share_of_the_library(folder):
    def is_wrong(name):
        is_own = any(is_below(name, package) for package in OWN_PACKAGES) and not is_below(name, folder)
        is_own = is_own and name != "tf_simclr"  # Its version alone.
        return is_own and not any(is_below(name, allowed) for allowed in ALLOWED[folder])

    assert violations(folder, is_wrong) == []


def test_only_flags_and_run_read_absl_flags():
    readers = (ROOT / reader for reader in ABSL_FLAGS_READERS)
    allowed = {path for reader in readers for path in [reader, *reader.rglob("*.py")]}
    found = [
        relative(path)
        for path in python_files()
        if path not in allowed
        and any(is_below(name, "absl.flags") or name == "absl.app" for name in imports(path))
    ]
    assert found == []


def test_only_run_benchmarks_and_tests_join_training_with_export():
    def imports_both(path):
        names = list(imports(path))
        return all(any(is_below(name, part) for name in names) for part in ("tf_simclr.train", "export"))

    joined = {relative(path).split("/")[0] for path in python_files() if imports_both(path)}
    assert joined <= {"run.py", "benchmarks", "tests"}


def test_every_file_with_tests_is_collected():
    has_tests = re.compile(r"^(async )?def test_|^class Test", re.MULTILINE)
    wrong = [
        relative(path)
        for path in python_files("tests")
        if has_tests.search(path.read_text(encoding="utf-8")) and not re.fullmatch(r"test_\w+\.py", path.name)
    ]
    assert wrong == []


def test_tests_lie_under_the_tests_folder():
    stray = [
        relative(path)
        for path in python_files()
        if re.fullmatch(r"test_.*\.py|.*_test\.py", path.name) and not path.is_relative_to(ROOT / "tests")
    ]
    assert stray == []


def test_files_are_short():
    sizes = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_LINES} == {}


def test_functions_fit_a_screen():
    long = [
        f"{relative(path)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_file_is_a_drawer_for_everything():
    drawers = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert [relative(path) for path in python_files() if path.name in drawers] == []


def test_no_file_names_a_folder_of_one_machine():
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # Binary, such as the golden arrays.
        found += [f"{relative(path)}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "text, is_machine_path",
    [
        ("open('{}work/x')", True),
        (" {}root/y", True),
        ("={}home/me/z", True),
        ("https://example.org{}work/x", False),
        ("frame{}work/x", False),
        ("~{}work/x", False),
        ("usr{}home/me/z", False),
    ],
)
def test_the_pattern_of_machine_paths_tells_them_from_others(text, is_machine_path):
    assert bool(MACHINE_PATH.search(text.format("/"))) is is_machine_path


def test_every_config_dataclass_is_frozen_and_keyword_only():
    classes = [cls for _, cls in inspect.getmembers(config, inspect.isclass) if dataclasses.is_dataclass(cls)]
    assert len(classes) >= 11
    for cls in classes:
        assert cls.__dataclass_params__.frozen, cls.__name__
        assert all(field.kw_only for field in dataclasses.fields(cls)), cls.__name__

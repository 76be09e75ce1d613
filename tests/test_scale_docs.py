"""The Kubernetes manifest of docs/scale.md is what it says, and every command of the documents parses."""

import json
import re
import shlex

import pytest

from flags.parse import parse, unused_flags
from tests.documents import ROOT, blocks, text_of
from tf_simclr.config import ConfigError, Mode
from tf_simclr.errors import EXIT_SETTINGS, NonFiniteError, Stopped, StorageError, WorkerLostError

PAGES = sorted((ROOT / "docs").glob("*.md"))
SCALE = text_of("docs/scale.md")


# The manifest.

FIELDS = {  # of batch/v1 Job and v1 Service, as far as the manifest uses them
    "": {"apiVersion", "kind", "metadata", "spec"},
    "metadata": {"name"},
    "spec": {
        "clusterIP", "selector",  # Service
        "completions", "parallelism", "completionMode", "backoffLimit",  # Job
        "podFailurePolicy", "successPolicy", "template",
        "subdomain", "restartPolicy", "terminationGracePeriodSeconds", "containers", "volumes",  # its pods
    },
    "selector": {"job-name"},
    "podFailurePolicy": {"rules"},
    "successPolicy": {"rules"},
    "rules": {"action", "onExitCodes", "onPodConditions", "succeededIndexes"},
    "onExitCodes": {"containerName", "operator", "values"},
    "onPodConditions": {"type", "status"},
    "template": {"spec"},
    "containers": {"name", "image", "env", "command", "args", "resources", "volumeMounts"},
    "env": {"name", "value", "valueFrom"},
    "valueFrom": {"fieldRef"},
    "fieldRef": {"fieldPath"},
    "resources": {"limits"},
    "limits": {"nvidia.com/gpu"},
    "volumeMounts": {"name", "mountPath"},
    "volumes": {"name", "persistentVolumeClaim"},
    "persistentVolumeClaim": {"claimName"},
}  # fmt: skip


def read_yaml(text):
    """Reads the part of YAML that the manifest is written in: blocks, ``[a, b]``, ``>-`` and scalars."""
    lines = [(len(line) - len(line.lstrip()), line.strip()) for line in text.splitlines() if line.strip()]

    def scalar(word, depth):
        if word == ">-":
            folded = []
            while lines and lines[0][0] > depth:
                folded.append(lines.pop(0)[1])
            return " ".join(folded)
        if word.startswith("["):
            return [scalar(part.strip(), depth) for part in word[1:-1].split(",")]
        return int(word) if word.isdigit() else word.strip('"')

    def block():
        depth, result = lines[0][0], [] if lines[0][1].startswith("- ") else {}
        while lines and lines[0][0] == depth:
            line = lines.pop(0)[1]
            if isinstance(result, list):
                item = line.removeprefix("- ")
                if re.match(r"[\w./-]+:( |$)", item) and not item.startswith("--"):
                    lines.insert(0, (depth + 2, item))
                    result.append(block())
                else:
                    result.append(scalar(item, depth))
            else:
                key, _, word = line.partition(":")
                assert key not in result, key
                result[key] = scalar(word.strip(), depth) if word.strip() else block()
        assert not lines or lines[0][0] < depth, lines[0]
        return result

    return block()


def unknown_fields(value, name=""):
    if isinstance(value, list):
        return [field for item in value for field in unknown_fields(item, name)]
    if not isinstance(value, dict):
        return []
    return sorted(set(value) - FIELDS[name]) + [f for key in value for f in unknown_fields(value[key], key)]


@pytest.fixture(scope="module")
def documents():
    [manifest] = blocks(SCALE, "yaml")
    return [read_yaml(document) for document in manifest.split("---\n")]


@pytest.fixture(scope="module")
def job(documents):
    return documents[1]["spec"]


@pytest.fixture(scope="module")
def worker(job):
    [container] = job["template"]["spec"]["containers"]
    return container


def test_every_field_of_the_manifest_is_one_of_the_api(documents):
    service, job = documents
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert [unknown_fields(document) for document in documents] == [[], []]


def test_the_pods_find_each_other_by_the_names_that_tf_config_has(documents, job, worker):
    service, name = documents[0], documents[1]["metadata"]["name"]
    assert service["spec"] == {"clusterIP": "None", "selector": {"job-name": name}}
    assert job["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    index, config = worker["env"]
    assert index["valueFrom"]["fieldRef"]["fieldPath"].endswith(
        "['batch.kubernetes.io/job-completion-index']"
    )
    for i in range(job["completions"]):
        read = json.loads(config["value"].replace(f"$({index['name']})", str(i)))
        assert read["task"] == {"type": "worker", "index": i}
        hosts = [f"{name}-{i}.{service['metadata']['name']}:12345" for i in range(job["completions"])]
        assert read["cluster"] == {"worker": hosts}
    assert job["parallelism"] == job["completions"] and job["completionMode"] == "Indexed"


def test_the_job_ends_where_starting_again_is_no_use_and_goes_on_after_75(job, worker):
    rules = job["podFailurePolicy"]["rules"]
    of_codes = {rule["action"]: rule["onExitCodes"] for rule in rules if "onExitCodes" in rule}
    for codes in of_codes.values():
        assert codes["containerName"] == worker["name"] and codes["operator"] == "In"
    assert of_codes["FailJob"]["values"] == [
        EXIT_SETTINGS, NonFiniteError.exit_code, StorageError.exit_code
    ]  # fmt: skip
    assert of_codes["Ignore"]["values"] == [Stopped.exit_code] == [WorkerLostError.exit_code]
    assert {"type": "DisruptionTarget", "status": "True"} in rules[-1]["onPodConditions"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # podFailurePolicy asks for it.
    assert job["successPolicy"]["rules"] == [{"succeededIndexes": "0"}]  # the chief's


def test_python_itself_gets_the_signal_and_has_time_to_save(job, worker):
    assert worker["command"] == ["python", "run.py"]
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] >= 120


def test_the_job_runs_what_the_other_recipes_run(worker, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = parse(worker["args"])
    assert unused_flags(config) == [] and config.mode is Mode.PRETRAIN
    [mount] = worker["volumeMounts"]
    assert config.model_dir.startswith(mount["mountPath"])
    assert config.data.dataset.startswith(f"folder:{mount['mountPath']}")


# Commands.


def commands(text):
    """The words after ``python run.py`` of every command in ``text``, in a block or in a sentence."""
    [run] = re.findall(r'^RUN="(.*?)"$', text.replace("\\\n", " "), re.MULTILINE) or [""]
    lines = [line for block in blocks(text, "bash") for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    lines = [line.removeprefix('RUN="').rstrip('"').replace("$RUN", run) for line in lines]
    flags = [line.partition("python run.py")[2] for line in lines if "python run.py --" in line]
    return [shlex.split(line.partition("; do")[0], comments=True) for line in flags]


ALL = [(page.name, words) for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "words"), ALL, ids=[f"{page}: {' '.join(words)}" for page, words in ALL])
def test_every_command_of_the_documents_parses_and_uses_its_flags(page, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert unused_flags(parse(words)) == []


def test_no_command_is_overlooked():
    assert {page for page, _ in ALL} >= {"operations.md", "reuse.md", "scale.md", "serving.md"}
    assert sum("--strategy=mirrored" in words for _, words in ALL) == 1  # behind $RUN
    assert sum("--memory_momentum=0.99" in words for _, words in ALL) == 1  # within a sentence


def test_a_flag_that_does_not_exist_would_be_found():
    [words] = commands("```bash\npython run.py --mode=pretrain --no_such_flag=1\n```\n")
    with pytest.raises(ConfigError):
        parse(words)

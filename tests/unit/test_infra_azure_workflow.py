"""The deploy workflow and the commands of infra/azure/README.md fit the templates that they deploy."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from bicepfiles.syntax import Call, read, read_parameters, walk
from bicepfiles.variants import FOLDER

TEXT = (FOLDER.parents[1] / ".github" / "workflows" / "deploy.yml").read_text()
README = (FOLDER / "README.md").read_text()


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]["deploy"]
    return found


def steps(job: dict[str, Any]) -> list[str]:
    return [str(step.get("run", step.get("uses"))) for step in job["steps"]]


def test_only_a_person_starts_it_and_nothing_is_changed_unasked(job: dict[str, Any]) -> None:
    document = yaml.safe_load(TEXT)
    assert list(document[True]) == ["workflow_dispatch"]  # YAML 1.1 takes the key "on" for a truth
    inputs = document[True]["workflow_dispatch"]["inputs"]
    assert {name: inputs[name]["default"] for name in ("deploy", "functions", "image", "uploads")} == {
        "deploy": False, "functions": False, "image": "", "uploads": False,
    }  # fmt: skip
    changes = ("group create", "config-zip", "acr build")
    changing = [step for step in job["steps"] if any(one in step.get("run", "") for one in changes)]
    assert len(changing) == 4
    assert all(step["if"].startswith("inputs.deploy") for step in changing)
    assert job["environment"] == "${{ inputs.environment }}"


def test_it_compiles_and_shows_before_it_changes(job: dict[str, Any]) -> None:
    order = [next(number for number, one in enumerate(steps(job)) if word in one) for word in (
        "bicep build", "azure/login", "what-if", "group create", "config-zip", "acr build", "keys list",
    )]  # fmt: skip
    assert order == sorted(order)


def test_it_holds_no_secret_and_logs_in_by_token(job: dict[str, Any]) -> None:
    assert "secrets." not in TEXT
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read", "id-token": "write"}
    (login,) = (step for step in job["steps"] if step.get("uses", "").startswith("azure/login"))
    assert set(login["with"]) == {"client-id", "tenant-id", "subscription-id"}
    assert steps(job)[-1].index("add-mask") < steps(job)[-1].index("group create")


def test_inputs_are_not_pasted_into_commands(job: dict[str, Any]) -> None:
    assert not [one for one in steps(job) if "${{" in one]


def test_it_gives_every_variable_that_the_parameter_files_read(job: dict[str, Any]) -> None:
    read_ = set()
    for path in sorted(FOLDER.glob("*.bicepparam")):
        for node in (node for value in read_parameters(path)[1].values() for node in walk(value)):
            if isinstance(node, Call) and node.function == "readEnvironmentVariable":
                read_.add(node.arguments[0].value)
    assert {name for name in job["env"] if name.startswith("ORTHOBURST_")} == read_
    assert read_ <= set(re.findall(r"\bORTHOBURST_[A-Z_]+", README))


@pytest.mark.parametrize("text", [TEXT, README], ids=["workflow", "README"])
def test_package_and_image_are_built_from_what_is_there_and_published_as_what_is_built(text: str) -> None:
    top = FOLDER.parents[1]
    built = text.index("infra/functions/package") < text.index("--src dist/functions.zip")
    assert built, "it is built before it is published"
    assert (top / "infra" / "functions" / "package").is_file()
    (file,) = re.findall(r"acr build .*(?:-f|--file) (\S+) \.", text)
    assert (top / file).is_file(), file
    (image,) = set(re.findall(r"(?:-t |--image \"?)([\w-]+):", text))
    assert image in (top / file).read_text()


@pytest.mark.parametrize("text", [TEXT, README], ids=["workflow", "README"])
def test_what_is_asked_and_given_is_there(text: str) -> None:
    outputs = set(re.findall(r"\$\(out (\w+)\)", text))
    assert outputs
    assert outputs <= set(read(FOLDER / "main.bicep").outputs)
    given = set(re.findall(r"\b(\w+)=\"?\$(?:\(out |key)", text)) - {"ORTHOBURST_WORKER_IMAGE"}
    assert given == set(read(FOLDER / "uploads.bicep").parameters)
    for file in re.findall(r"infra/azure/[\w./-]+\.bicep(?:param)?", text):
        assert (FOLDER.parents[1] / file).is_file(), file

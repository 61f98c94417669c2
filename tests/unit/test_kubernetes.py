"""``infra/kubernetes`` is what KEDA and Kubernetes take, fits the image, and says what the worker understands."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kube_schema import KINDS
from kustomized import Document, render
from orthoagent.settings import Settings
from orthoagent.telemetry import TelemetrySettings
from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION

INFRA = Path(__file__).resolve().parents[2] / "infra"
CONTAINERFILE = (INFRA / "image" / "Containerfile").read_text()
WAYS = ["workload-identity", "grant"]
UNITS = {"Gi": 2**30, "Mi": 2**20}


def of_kind(documents: list[Document], kind: str) -> Document:
    (found,) = [one for one in documents if one["kind"] == kind]
    return found


def check(document: Document) -> None:
    jsonschema.Draft202012Validator(KINDS[document["kind"]]).validate(document)


def in_bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


@pytest.fixture(params=WAYS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return render(INFRA / "kubernetes" / request.param)


@pytest.fixture
def pod(documents: list[Document]) -> dict[str, Any]:
    found: dict[str, Any] = of_kind(documents, "ScaledJob")["spec"]["jobTargetRef"]["template"]["spec"]
    return found


def test_every_document_is_of_its_kind(documents: list[Document]) -> None:
    assert {one["kind"] for one in documents} == KINDS.keys()
    for one in documents:
        check(one)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "orthoburst"


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (["spec", "jobTargetRef", "template", "spec", "restartPolicy"], "Always"),
        (["spec", "triggers"], []),
        (["spec", "triggers", 0, "metadata", "queuelength"], "1"),
        (["spec", "triggers", 0, "metadata", "queueLength"], 1),
        (["spec", "jobTargetRef", "template", "spec", "containers", 0, "readOnlyRootFilesystem"], True),
        (["spec", "rollout", "strategy"], "default"),
    ],
)
def test_what_is_misspelt_or_of_another_type_is_refused(way: list[str | int], value: object) -> None:
    job = copy.deepcopy(of_kind(render(INFRA / "kubernetes" / "grant"), "ScaledJob"))
    check(job)
    place: Any = job
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(job)


def test_one_container_a_message_of_the_pool_s_queue_whoever_has_it(documents: list[Document]) -> None:
    config = of_kind(documents, "ConfigMap")["data"]
    spec = of_kind(documents, "ScaledJob")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["queueName"] == names.pool_queue(config["ORTHOAGENT_POOL"], KERNEL_RESULT_VERSION)
    assert (trigger["metadata"]["queueLength"], trigger["metadata"]["queueLengthStrategy"]) == ("1", "all")
    assert (config["ORTHOAGENT_SLOTS"], spec["minReplicaCount"]) == ("1", 0)
    assert spec["rollout"]["strategy"] == "gradual"
    assert trigger["authenticationRef"]["name"] == of_kind(documents, "TriggerAuthentication")["metadata"]["name"]


def test_the_worker_understands_its_settings(documents: list[Document], pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    config = of_kind(documents, "ConfigMap")
    assert [source["configMapRef"]["name"] for source in container["envFrom"]] == [config["metadata"]["name"]]
    told = {**config["data"], "ORTHOAGENT_AGENT": "orthoburst-worker-x", "ORTHOAGENT_CORES": "4"}
    assert {one["name"] for one in container["env"]} == {"ORTHOAGENT_AGENT", "ORTHOAGENT_CORES"}
    traces = {name.lower(): value for name, value in told.items() if not name.startswith("ORTHOAGENT_")}
    assert set(traces) <= TelemetrySettings.model_fields.keys()
    fields = {name.removeprefix("ORTHOAGENT_").lower(): told[name] for name in told if name.lower() not in traces}
    assert fields.keys() <= Settings.model_fields.keys()
    if "storage_account" in fields:
        fields["storage_account"] = fields["storage_account"].replace("ACCOUNT", "account")
    settings = Settings.model_validate(fields)
    limits = container["resources"]["limits"]
    assert settings.slot_memory_gb
    assert settings.slot_scratch_gb
    assert settings.slot_memory_gb * 1e9 < 0.95 * in_bytes(limits["memory"])
    (scratch,) = [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume]
    written = (settings.slot_scratch_gb + settings.inputs_gb) * 1e9
    assert written < in_bytes(scratch["sizeLimit"]) < in_bytes(limits["ephemeral-storage"])
    assert settings.grace_s + 10 < pod["terminationGracePeriodSeconds"]
    assert settings.health_host == "127.0.0.1"  # what lives in the container asks; no port is opened


def test_the_pod_fits_the_image_and_may_next_to_nothing(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", CONTAINERFILE, re.MULTILINE)
    assert user is not None
    assert [str(pod["securityContext"][key]) for key in ("runAsUser", "runAsGroup")] == [user[1], user[2]]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    allowed = container["securityContext"]
    assert allowed == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    written = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert written == re.findall(r"^VOLUME (.+)$", CONTAINERFILE, re.MULTILINE)
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    healthy = re.search(r'^HEALTHCHECK .*CMD \["([^"]+)"\]$', CONTAINERFILE, re.MULTILINE)
    assert healthy is not None
    assert container["livenessProbe"]["exec"]["command"] == [healthy[1], "--alive"]
    assert healthy[1].endswith("/bin/healthy")
    assert (INFRA / "image" / "healthy").is_file()


def test_no_secret_is_in_any_file() -> None:
    for way in WAYS:
        assert all(one["kind"] != "Secret" for one in render(INFRA / "kubernetes" / way))


def test_the_network_lets_nobody_in_and_out_to_few(
    documents: list[Document],
) -> None:
    spec = of_kind(documents, "NetworkPolicy")["spec"]
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert spec["ingress"] == []
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 443, 4318, 8883}
    (inside,) = [rule for rule in spec["egress"] if rule["ports"][0]["port"] == 4318]
    assert all("ipBlock" not in peer for peer in inside["to"])
    labels = of_kind(documents, "ScaledJob")["spec"]["jobTargetRef"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()


def test_both_recipes_run_the_same_steps_as_the_plain_folder() -> None:
    steps = sorted(path.name for path in (INFRA / "image" / "steps").iterdir())
    assert steps == ["packages", "system", "tools", "warm", "worker"]
    recipe = (INFRA / "image" / "orthoburst.def").read_text()
    folder = (INFRA / "image" / "folder").read_text()
    in_order = ["tools", "packages", "worker", "warm"]
    assert re.findall(r'"\$steps/(\w+)"', folder) == in_order
    assert re.findall(r"infra/image/steps/(\w+) /", recipe) == in_order
    assert re.findall(r"^RUN infra/image/steps/(\w+) ", CONTAINERFILE, re.MULTILINE) == in_order
    assert "infra/image/steps/system" in recipe
    assert "infra/image/steps/system" in CONTAINERFILE

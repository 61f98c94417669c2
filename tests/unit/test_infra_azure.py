"""infra/azure: what it would deploy, held against Azure's types, our names, settings, and who may do what."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from azure.monitor.opentelemetry.exporter import AzureMonitorLogExporter
from azurefunctions.extensions.bindings.blob import utils

from bicepfiles.check import problems, templates
from bicepfiles.evaluate import Deployed
from bicepfiles.shapes import TABLE, table
from bicepfiles.syntax import read
from bicepfiles.variants import FOLDER, deployed, given, variants
from orthoagent.settings import Settings as WorkerSettings
from orthoagent.telemetry import VARIABLES, TelemetrySettings
from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.adapters.telemetry_exporters import IDENTITY, QUIET
from orthofunctions.domain.exporting import SIGNALS, wanted_exporters
from orthofunctions.settings import Settings
from orthofunctions.triggers.connection import STORAGE

BUILT_IN_ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "19e7f393-937e-4f77-808e-94535e297925": "Storage Queue Data Reader",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}
"""Ids as Azure publishes them (``az role definition list``, here from github.com/Azure/oav, azureBuiltInRoles.ts)."""

OWN_CONTAINERS = {"package", "undelivered"}
"""Of the deployment alone: no program of ours knows them."""


@pytest.fixture(scope="module")
def prod() -> list[Deployed]:
    return variants()["prod"]


def of_type(resources: list[Deployed], ending: str) -> list[Deployed]:
    return [one for one in resources if one.type.endswith(ending) and not one.existing]


def named(resources: list[Deployed], ending: str) -> list[str]:
    return [str(one.body["name"]) for one in of_type(resources, ending)]


def the_one(resources: list[Deployed], ending: str) -> dict[str, Any]:
    (found,) = of_type(resources, ending)
    return found.body


def data_account(resources: list[Deployed]) -> dict[str, Any]:
    """The properties of the account with products, queues and tables; the other one has the functions' package."""
    (scope,) = {one.id.partition("/queueServices/")[0] for one in of_type(resources, "/queues")}
    (found,) = (one for one in of_type(resources, "Microsoft.Storage/storageAccounts") if one.id == scope)
    properties: dict[str, Any] = found.body["properties"]
    return properties


def test_the_package_is_in_an_account_without_a_firewall_and_without_keys(prod: list[Deployed]) -> None:
    app = the_one(prod, "Microsoft.Web/sites")["properties"]["functionAppConfig"]["deployment"]["storage"]
    (package,) = (one for one in of_type(prod, "/containers") if one.body["name"] == "package")
    account = package.id.partition("/blobServices/")[0]
    assert app["value"] == f"<{account}>.properties.primaryEndpoints.blobpackage"
    (found,) = (one for one in of_type(prod, "Microsoft.Storage/storageAccounts") if one.id == account)
    assert "networkAcls" not in found.body["properties"]
    assert found.body["properties"]["allowSharedKeyAccess"] is False


def test_nothing_is_wrong() -> None:
    assert problems() == []


def test_every_template_is_used() -> None:
    modules = {(path.parent / one.path).resolve() for path in templates() for one in read(path).modules.values()}
    assert modules | {FOLDER / "main.bicep", FOLDER / "uploads.bicep"} == set(templates())


def test_the_table_of_types_holds_what_is_used_and_nothing_else() -> None:
    used = {f"{one.type}@{one.version}" for resources in variants().values() for one in resources}
    assert used == set(table()), f"make {TABLE.name} anew: see its first lines"


@pytest.mark.parametrize("variant", ["dev", "prod", "bare"])
def test_queues_tables_and_containers_are_those_of_the_contracts(variant: str) -> None:
    resources, pools = variants()[variant], ("hpc", "cloud")
    queues = [*names.QUEUES, *(names.poison_queue(queue) for queue in names.QUEUES)]
    queues += [names.pool_queue(pool, KERNEL_RESULT_VERSION) for pool in pools]
    containers = [*names.CONTAINERS, *OWN_CONTAINERS, *(names.ticket_container(pool) for pool in pools)]
    assert sorted(named(resources, "/queues")) == sorted(queues)
    assert sorted(named(resources, "/tables")) == sorted(names.TABLES)
    assert sorted(named(resources, "/containers")) == sorted(containers)


def test_lifecycle_leaves_alone_what_the_functions_look_after() -> None:
    """Results, plans and the catalogue are deleted by who knows what still names them."""
    for variant, with_products in (("dev", True), ("prod", False)):
        rules = the_one(variants()[variant], "/managementPolicies")["properties"]["policy"]["rules"]
        prefixes = {prefix for rule in rules for prefix in rule["definition"]["filters"]["prefixMatch"]}
        wanted = {"undelivered/", f"{names.CONTAINER_CONTROL}/poison/", f"{names.CONTAINER_CONTROL}/again/"}
        assert prefixes == wanted | ({f"{names.CONTAINER_PRODUCTS}/"} if with_products else set())


def test_the_result_version_of_the_parameter_files_is_the_kernels() -> None:
    assert {given(one)["resultVersion"] for one in ("dev", "prod")} == {KERNEL_RESULT_VERSION}


def test_settings_are_settings_that_there_are(prod: list[Deployed]) -> None:
    of_functions = set(of_type(prod, "sites/config")[0].body["properties"])
    known = {f"ORTHOBURST_{name.upper()}" for name in Settings.model_fields}
    assert {one for one in of_functions if one.startswith("ORTHOBURST_")} <= known
    container = the_one(prod, "Microsoft.App/jobs")["properties"]["template"]["containers"][0]
    of_worker = [one["name"] for one in container["env"]]
    known = {f"ORTHOAGENT_{name.upper()}" for name in WorkerSettings.model_fields}
    assert {one for one in of_worker if one.startswith("ORTHOAGENT_")} <= known
    of_traces = {one for one in of_worker if one.startswith(VARIABLES)}
    assert of_traces <= {name.upper() for name in TelemetrySettings.model_fields}
    assert len(of_worker) == len(set(of_worker))


def test_workers_send_traces_where_the_functions_do_as_who_they_are(prod: list[Deployed]) -> None:
    functions = of_type(prod, "sites/config")[0].body["properties"]
    container = the_one(prod, "Microsoft.App/jobs")["properties"]["template"]["containers"][0]
    worker = {one["name"]: one["value"] for one in container["env"]}
    where, who = (f"APPLICATIONINSIGHTS_{name}" for name in ("CONNECTION_STRING", "AUTHENTICATION_STRING"))
    assert worker[where] == functions[where]
    assert worker[who] == functions[who].replace("-functions>", "-worker>") != functions[who]
    assert worker["AZURE_CLIENT_ID"] in worker[who]


def test_the_programs_take_their_settings(prod: list[Deployed], monkeypatch: pytest.MonkeyPatch) -> None:
    of_functions = dict(of_type(prod, "sites/config")[0].body["properties"])
    of_functions["ORTHOBURST_BROKER"] = "mqtts://broker.example:8883"  # its host is known to Azure only
    for name, value in of_functions.items():
        monkeypatch.setenv(name, value)
    functions = Settings()
    assert (functions.storage, functions.local_user, functions.month_budget_eur) == (None, False, 2000)
    job = the_one(prod, "Microsoft.App/jobs")["properties"]
    for one in job["template"]["containers"][0]["env"]:
        monkeypatch.setenv(one["name"], one["value"])
    worker = WorkerSettings()
    assert (worker.pool, worker.slots, worker.until_empty) == ("cloud", 1, True)
    assert worker.storage_account == functions.storage_account


def test_the_functions_reach_storage_and_secrets_without_a_key(
    prod: list[Deployed], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = of_type(prod, "sites/config")[0].body["properties"]
    assert not {"AzureWebJobsStorage", "ORTHOBURST_STORAGE"} & set(settings)
    assert settings["AzureWebJobsStorage__credential"] == "managedidentity"
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert utils.get_connection_string(STORAGE) == settings["AzureWebJobsStorage__blobServiceUri"]
    assert utils.using_user_managed_identity(STORAGE)  # so says what binds the upload trigger's blob in Azure
    vault = the_one(prod, "Microsoft.KeyVault/vaults")["name"]
    for name, secret in given("prod")["functionsSecrets"].items():
        reference = rf"@Microsoft\.KeyVault\(SecretUri=<.*/{vault}>\.properties\.vaultUrisecrets/{secret}/\)"
        assert re.fullmatch(reference, settings[name])


def test_the_functions_send_what_they_log_by_their_identity_and_once(
    prod: list[Deployed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its fields, themselves: of what it is told of them the host passes on warnings only."""
    settings = of_type(prod, "sites/config")[0].body["properties"]
    assert settings["AzureFunctionsJobHost__logging__logLevel__Function"] == "Warning"
    connection = {"APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={uuid.uuid4()}"}
    assert "ConnectionString" in settings["APPLICATIONINSIGHTS_CONNECTION_STRING"]
    assert wanted_exporters(settings | connection).azure == set(SIGNALS)
    monkeypatch.setenv(IDENTITY, settings[IDENTITY])
    for name in QUIET:
        monkeypatch.setenv(name, "true")
    exporter = AzureMonitorLogExporter(
        connection_string=connection["APPLICATIONINSIGHTS_CONNECTION_STRING"], disable_offline_storage=True
    )
    assert isinstance(exporter._credential, ManagedIdentityCredential)


def test_a_container_comes_for_every_message_and_serves_one_slot(prod: list[Deployed]) -> None:
    job = the_one(prod, "Microsoft.App/jobs")["properties"]
    settings = {one["name"]: one["value"] for one in job["template"]["containers"][0]["env"]}
    trigger = job["configuration"]["eventTriggerConfig"]
    (rule,) = trigger["scale"]["rules"]
    assert rule["type"] == "azure-queue"
    assert rule["metadata"]["queueName"] == names.pool_queue(settings["ORTHOAGENT_POOL"], KERNEL_RESULT_VERSION)
    assert (rule["metadata"]["queueLength"], rule["metadata"]["queueLengthStrategy"]) == ("1", "all")
    assert (trigger["parallelism"], trigger["replicaCompletionCount"], settings["ORTHOAGENT_SLOTS"]) == (1, 1, "1")
    assert trigger["scale"]["maxExecutions"] == given("prod")["workerContainers"]
    assert "auth" not in rule
    assert rule["identity"] in job["configuration"]["registries"][0]["identity"]
    assert int(settings["ORTHOAGENT_WALLTIME_S"]) == job["configuration"]["replicaTimeout"]


def test_uploads_are_told_to_the_trigger_that_there_is() -> None:
    subscription = the_one(variants()["uploads"], "/eventSubscriptions")["properties"]
    assert subscription["filter"]["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    assert (
        subscription["filter"]["subjectBeginsWith"] == f"/blobServices/default/containers/{names.CONTAINER_PRODUCTS}/"
    )
    url = subscription["destination"]["properties"]["endpointUrl"]
    trigger = Path(__file__).resolve().parents[2] / "functions/orthofunctions/triggers/uploads.py"
    (function,) = re.findall(r"functionName=Host\.Functions\.([\w-]+)&", url)
    assert f'@blueprint.function_name("{function}")\n@blueprint.blob_trigger(' in trigger.read_text()


def test_statuses_go_into_queue_capacity(prod: list[Deployed]) -> None:
    subscription = the_one(prod, "topics/eventSubscriptions")["properties"]
    begins, ends = subscription["filter"]["subjectBeginsWith"], subscription["filter"]["subjectEndsWith"]
    assert begins + "node-17" + ends == names.topic_status("node-17")
    delivery = subscription["deliveryWithResourceIdentity"]["destination"]["properties"]
    assert delivery["queueName"] == names.QUEUE_CAPACITY
    enrichments = the_one(prod, "EventGrid/namespaces")["properties"]["topicSpacesConfiguration"]["routingEnrichments"]
    assert enrichments == {"dynamic": [{"key": "agent", "value": "${client.authenticationName}"}]}


def test_the_broker_is_that_of_the_one_file(prod: list[Deployed]) -> None:
    broker = json.loads((FOLDER.parent / "eventgrid" / "broker.json").read_text())
    for kind in ("topicSpaces", "clientGroups", "permissionBindings"):
        made = [{"name": one.body["name"], **one.body["properties"]} for one in of_type(prod, f"namespaces/{kind}")]
        assert made == broker[kind]


def test_roles_are_those_of_the_written_table(prod: list[Deployed]) -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    written = sorted(row for row in rows if row[0] not in ("who", "---"))
    assert sorted(_may(one, prod) for one in of_type(prod, "/roleAssignments")) == written


def test_nobody_but_the_functions_may_anything_on_the_whole_account(prod: list[Deployed]) -> None:
    who = {_may(one, prod)[0] for one in of_type(prod, "/roleAssignments") if _may(one, prod)[2] == "storage account"}
    assert who == {"functions"}


def test_without_operators_and_broker_nobody_has_their_rights() -> None:
    bare = variants()["bare"]
    who = {_may(one, bare)[0] for one in of_type(bare, "/roleAssignments")}
    assert who == {"functions", "worker", "topic of uploads"}


def _may(one: Deployed, resources: list[Deployed]) -> tuple[str, str, str]:
    """Who, the role, on what: in the words of the table."""
    name = str(the_one(resources, "OperationalInsights/workspaces")["name"]).removesuffix("-log")
    principals = {
        "GROUP": "operators",
        f"userAssignedIdentities/{name}-functions>.properties.principalId": "functions",
        f"userAssignedIdentities/{name}-worker>.properties.principalId": "worker",
        f"userAssignedIdentities/{name}-broker>.properties.principalId": "broker",
        f"topics/{name}-status>.identity.principalId": "topic of statuses",
        f"systemTopics/{name}-uploads>.identity.principalId": "topic of uploads",
    }
    things = {
        "storageAccounts": "storage account",
        "vaults": "vault",
        "components": "Application Insights",
        "registries": "registry",
        "topics": "topic of statuses",
    }
    principal = "/".join(str(one.body["properties"]["principalId"]).split("/")[-2:])
    role_id = str(one.body["properties"]["roleDefinitionId"]).partition("/roleDefinitions/")[2]
    own = {str(role.body["name"]): "orthoburst pool worker" for role in of_type(resources, "/roleDefinitions")}
    kind, place = str(one.scope).split("/")[-2:]
    return principals[principal], (BUILT_IN_ROLES | own)[role_id], things.get(kind, f"{kind.removesuffix('s')} {place}")


def test_the_role_of_workers_is_the_written_one(prod: list[Deployed]) -> None:
    written = json.loads((FOLDER.parent / "roles" / "pool-worker.json").read_text())
    (permission,) = the_one(prod, "/roleDefinitions")["properties"]["permissions"]
    assert permission["dataActions"] == written["DataActions"]
    assert permission["actions"] == []


def test_the_network_is_there_where_it_is_wanted() -> None:
    assert named(variants()["dev"], "/privateEndpoints") == []
    assert sorted(named(variants()["prod"], "/privateEndpoints")) == [
        f"orthoburst-{one}" for one in ("blob", "queue", "table")
    ]
    account = data_account(variants()["prod"])
    assert account["networkAcls"]["defaultAction"] == "Deny"
    assert [one["value"] for one in account["networkAcls"]["ipRules"]] == ["192.0.2.0/24", "198.51.100.7"]
    app = the_one(variants()["prod"], "Microsoft.Web/sites")["properties"]
    assert app["virtualNetworkSubnetId"].endswith("/virtualNetworks/orthoburst-net/subnets/functions")


def test_keys_of_the_account_can_be_shut_off() -> None:
    assert data_account(deployed("prod"))["allowSharedKeyAccess"] is True
    assert data_account(deployed("prod", sharedKeys=False))["allowSharedKeyAccess"] is False

"""The checks of infra/azure can fail: each file is broken in some way, and the reason is told."""

from __future__ import annotations

import pytest

from bicepfiles.check import problems
from bicepfiles.variants import FOLDER

BREAKS = {
    "a bracket is missing": ("vault", "  properties: {\n", "  properties: \n", "vault.bicep: Unexpected"),
    "a name is misspelt": ("vault", "name: vaultName", "name: vaultNam", "vaultNam is not defined"),
    "a parameter is not used": (
        "vault",
        "param tags object",
        "param tags object\nparam more int = 1",
        "more is not used",
    ),
    "a variable is not used": ("broker", "var dataSender", "var other = 1\nvar dataSender", "other is not used"),
    "a symbol is declared twice": (
        "vault",
        "param tags object",
        "param tags object\nparam tags object",
        "declared twice",
    ),
    "there is no such function": (
        "roles",
        "resourceGroup().id",
        "resourceGrp().id",
        "function resourceGrp is not known",
    ),
    "a module gets what it has not": (
        "main",
        "    tags: tags\n    sku:",
        "    tag: tags\n    sku:",
        "no parameter tag",
    ),
    "a module does not get what it needs": ("main", "    sku: storageSku\n", "", "parameter sku is not given"),
    "there is no such module": ("main", "modules/vault.bicep", "modules/safe.bicep", "no file modules/safe.bicep"),
    "a parameter has the wrong type": (
        "main",
        "Days: keepPoisonDays",
        "Days: string(keepPoisonDays)",
        "must be int, not '30'",
    ),
    "there is no such type": ("vault", "KeyVault/vaults@", "KeyVault/vault@", "is not in types.json"),
    "there is no such version": ("vault", "@2023-07-01", "@2023-07-02", "2023-07-02 is not in types.json"),
    "a property is misspelt": (
        "storage",
        "minimumTlsVersion:",
        "minimalTlsVersion:",
        "minimalTlsVersion is no property",
    ),
    "a property that must be given is not": (
        "vault",
        "    tenantId: tenant().tenantId\n",
        "",
        ".tenantId is not given",
    ),
    "a value is none of those there are": ("storage", "'TLS1_2'", "'TLS1_9'", "TLS1_9"),
    "a value has the wrong type": (
        "vault",
        "enableSoftDelete: true",
        "enableSoftDelete: 'yes'",
        "must be bool, not 'yes'",
    ),
    "a list is no list": ("budget", "contactEmails: emails", "contactEmails: 'me'", "must be a list"),
    "a kind of destination is not there": ("broker", "'StorageQueue'", "'StorageBlob'", "endpointType must be one of"),
    "a read property is not there": (
        "access",
        "functions.properties.principalId",
        "functions.properties.objectId",
        "objectId",
    ),
    "an existing resource is nowhere made": ("access", "name: 'results'", "name: 'reports'", "there is no "),
    "a thing is made twice": (
        "storage",
        "  'requests'\n  'plans'",
        "  'requests'\n  'requests'\n  'plans'",
        "made 2 times",
    ),
    "an unforeseeable name": (
        "roles",
        "name: poolWorkerRoleName",
        "name: registry.properties.loginServer",
        "not defined",
    ),
    "a key of the account": (
        "functions",
        "string(monthBudgetEur)",
        "account.listKeys().keys[0].value",
        "reads a secret",
    ),
    "keys by function": ("functions", "string(monthBudgetEur)", "listKeys(account.id, '2024-01-01')", "reads a secret"),
    "a key of the workspace": (
        "observe",
        "keepDays\n    work",
        "workspace.properties.sharedKey\n    work",
        "reads a secret",
    ),
    "a connection string": ("worker", "value: pool\n", "value: 'AccountKey=abc'\n", "looks like a secret"),
    "a secret is put out": (
        "uploads_step",
        "\nresource products",
        "\noutput k string = functionsKey\nresource products",
        "tells a",
    ),
    "a secret is not secure": ("uploads_step", "@secure()\n", "", "functionsKey must be @secure()"),
    "a secret has a default": ("uploads_step", "functionsKey string", "functionsKey string = 'k'", "has a default"),
    "a resource is put out": (
        "vault",
        "\nresource vault",
        "\noutput u string = vault.properties.vaultUri\nresource vault",
        "put out",
    ),
    "a thing that needs itself": ("vault", "enableSoftDelete: true", "enableSoftDelete: empty(vault.id)", "to itself"),
    "two operators": (
        "storage",
        "publicAccess == 'Disabled' ?",
        "sharedKeys && publicAccess == 'Disabled' ?",
        "two operators",
    ),
}


def _path(file: str) -> str:
    return {"main": "main.bicep", "uploads_step": "uploads.bicep"}.get(file, f"modules/{file}.bicep")


@pytest.mark.parametrize("how", BREAKS)
def test_what_is_wrong_is_told(how: str) -> None:
    file, before, after, reason = BREAKS[how]
    path = FOLDER / _path(file)
    text = path.read_text()
    assert before in text, f"{path.name} has changed: {before}"
    found = problems({path: text.replace(before, after, 1)})
    assert any(reason in one for one in found), found


PARAMETERS = {
    "a parameter that there is not": ("param name", "param nam", "there is no parameter nam"),
    "a parameter that must be given": ("param resultVersion = 3\n", "", "parameter resultVersion is not given"),
    "a value that is not allowed": ("'Standard_LRS'", "'Standard_XRS'", "must be one of"),
    "a value that is too small": (
        "param functionsInstances = 40",
        "param functionsInstances = 4",
        "must be at least 40",
    ),
    "a value of another type": ("param monthBudget = 50", "param monthBudget = '50'", "monthBudget must be int"),
    "a variable that is not set": ("'ORTHOBURST_BUDGET_START'", "'BUDGET_START'", "variable BUDGET_START is not set"),
    "no template": ("using 'main.bicep'\n", "\n", "for which template"),
}


@pytest.mark.parametrize("how", PARAMETERS)
def test_what_is_wrong_with_parameters_is_told(how: str) -> None:
    before, after, reason = PARAMETERS[how]
    path = FOLDER / "dev.bicepparam"
    assert before in path.read_text(), f"{path.name} has changed: {before}"
    (found,) = problems({path: path.read_text().replace(before, after, 1)})
    assert reason in found


LATE = """
resource late 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}
"""


def test_what_if_must_see_into_every_module() -> None:
    path = FOLDER / "main.bicep"
    before = "    vaultName: vaultName\n    location"
    assert before in path.read_text()
    text = path.read_text().replace(before, before.replace(": vaultName", ": late.properties.loginServer"), 1) + LATE
    (found,) = problems({path: text})
    assert "what-if sees nothing of vault: vaultName comes late" in found

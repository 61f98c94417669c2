"""The deployments that are looked at: both parameter files, each switch the other way, and the second step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bicepfiles.evaluate import Deployed, deployment, parameter_values
from bicepfiles.syntax import read_parameters

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "azure"

ENVIRONMENT = {
    "ORTHOBURST_BROKER_AUTHORITY": "-----BEGIN CERTIFICATE-----",
    "ORTHOBURST_BUDGET_START": "2026-12-01",
    "ORTHOBURST_CENTRE_ADDRESSES": "192.0.2.0/24,198.51.100.7",
    "ORTHOBURST_OIDC_AUDIENCE": "audience",
    "ORTHOBURST_OIDC_ISSUER": "https://issuer.example/",
    "ORTHOBURST_OPERATORS_EMAIL": "operators@site.example",
    "ORTHOBURST_OPERATORS_GROUP": "GROUP",
    "ORTHOBURST_WORKER_IMAGE": "registry.example/orthoagent:1",
}
"""What the parameter files read."""

UPLOADS = {
    "topicName": "topic",
    "accountName": "account",
    "functionsHost": "functions.example",
    "functionsKey": "KEY",
}


def given(name: str, files: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """The parameters of ``dev`` or ``prod``."""
    path = FOLDER / f"{name}.bicepparam"
    return parameter_values(read_parameters(path, (files or {}).get(path))[1], ENVIRONMENT)


def deployed(name: str, files: Mapping[Path, str] | None = None, **changes: Any) -> list[Deployed]:
    """What ``main.bicep`` deploys with the parameters of ``dev`` or ``prod``, some of them changed."""
    return deployment(FOLDER / "main.bicep", given(name, files) | changes, files)


def variants(files: Mapping[Path, str] | None = None) -> dict[str, list[Deployed]]:
    bare = {"workerImage": "", "broker": False, "operatorsGroup": "", "functionsSettings": {}, "storageIps": []}
    return {
        "dev": deployed("dev", files),
        "prod": deployed("prod", files),
        "bare": deployed(
            "dev", files, **bare, keepProductsDays=0, storagePublicAccess="Disabled", brokerAuthorityPem=""
        ),
        "uploads": deployment(FOLDER / "uploads.bicep", UPLOADS, files),
    }

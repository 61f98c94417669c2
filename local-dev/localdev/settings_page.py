"""``python -m localdev.settings_page``: writes ``docs/settings.md``, every variable in one table."""

from __future__ import annotations

from pathlib import Path

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from orthoagent.settings import ProcureSettings, ScaleSettings, StorageSettings, WatchSettings
from orthoagent.settings import Settings as WorkerSettings
from orthoagent.telemetry import TelemetrySettings
from orthofunctions.settings import Settings as FunctionSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"

INTRODUCTION = """# Settings

Every setting is a variable of the environment, read once at start. This page is made from the code:
`python -m localdev.settings_page` (with `local-dev` on `PYTHONPATH`).
"""

CLIENT = """## Client

| variable | default | what it does |
|---|---|---|
| `ORTHOBURST_URL` | `http://127.0.0.1:7071` | Where the service answers. |
| `ORTHOBURST_API_KEY` |  | Key sent as bearer token; a service on this machine needs none. |
"""


def page() -> str:
    """The page as it should be."""
    return "\n".join(
        [
            INTRODUCTION,
            "## Functions\n",
            _table(FunctionSettings, "ORTHOBURST_"),
            "\nWhere traces, metrics and logs go is said by OpenTelemetry's own variables and Azure's: "
            "[telemetry](telemetry.md#where-it-goes).\n",
            "\n## Workers\n",
            "`orthoagent run` and `doctor` take all of them, `presence` those down to `HEALTH_HOST`; `status`, "
            "`drain`, `resume` and `cancel` those down to `LOG_LEVEL`.\n",
            _table(WorkerSettings, "ORTHOAGENT_"),
            "\n## Traces of workers\n",
            "`orthoagent run` and `doctor` take these too, under the names that OpenTelemetry and Azure gave them "
            "([telemetry](telemetry.md)). The exporter knows more of its own: timeouts, compression, clients' keys.\n",
            _table(TelemetrySettings, ""),
            "\n## Pilots\n",
            "`orthoagent scale` takes these, or options of the same names ([how pilots work](hpc.md)).\n",
            _table(ScaleSettings, "ORTHOAGENT_"),
            "\n## Watchers of an archive\n",
            "`orthoagent watch` takes these, or options of the same names, and those of workers down to "
            "`HEALTH_HOST` ([how products arrive](doors.md)).\n",
            _table(WatchSettings, "ORTHOAGENT_", but=StorageSettings),
            "\n## Fetchers\n",
            "`orthoagent procure` takes these, and those of workers down to `HEALTH_HOST` ([products from "
            "elsewhere](elsewhere.md)).\n",
            _table(ProcureSettings, "ORTHOAGENT_", but=StorageSettings),
            "\n" + CLIENT,
        ]
    )


def _table(settings: type[BaseSettings], prefix: str, but: type[BaseSettings] | None = None) -> str:
    """All of them, but those that another kind has too."""
    lines = ["| variable | default | what it does |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        if but is not None and name in but.model_fields:
            continue
        if field.is_required():
            default = "required"
        elif field.default in (None, "", PydanticUndefined):
            default = ""
        else:
            default = f"`{field.default}`"
        lines.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())

"""``python -m grafana.dashboard``: writes ``dashboards/orthoburst.json``. ``infra`` must be on ``PYTHONPATH``.

Gauges of the store may come twice, from the API and by way of a collector, so they are never summed over where they
come from: ``max by``. What workers have on their own pages says no pool; ``orthoagent_build_info`` of the same page
does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana.panels import Json, Query, Row, areas, choose_datasource, choose_label, dashboard, lines, number

PAGE = Path(__file__).resolve().parent / "dashboards" / "orthoburst.json"
RATE = "$__rate_interval"
POOL = 'pool=~"$pool"'
_BUILD = f"on (instance) group_left (pool) max by (instance, pool) (orthoagent_build_info{{{POOL}}})"


def _rate(counter: str, by: str, labels: str = POOL) -> str:
    return f"sum by ({by}) (rate({counter}{{{labels}}}[{RATE}]))"


def _worker_rate(counter: str, by: str) -> str:
    """Of what workers count themselves; ``by`` may name their pool."""
    return f"sum by ({by}) (rate({counter}[{RATE}]) * {_BUILD})"


def _quantiles(histogram: str, by: str) -> tuple[Query, ...]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return tuple(
        Query(f"histogram_quantile({share}, {_rate(f'{histogram}_bucket', f'le, {by}')})", f"p{share * 100:g} {legend}")
        for share in (0.5, 0.95)
    )


def _worker_quantiles(histogram: str, by: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"histogram_quantile({share}, {_worker_rate(f'{histogram}_bucket', f'le, {by}')})",
            f"p{share * 100:g} {{{{{by}}}}}",
        )
        for share in (0.5, 0.95)
    )


GLANCE = Row(
    "At a glance",
    (
        number(
            "Tasks waiting", "Tasks that wait for a decision, of users and of campaigns.",
            "sum(max by (kind) (orthoburst_tasks_waiting))", warn=500, bad=1000,
        ),
        number(
            "Oldest task", "How long the oldest of them has waited. The alert oldest-task rings after an hour.",
            "max(orthoburst_task_oldest_seconds)", "s", warn=1800, bad=3600,
        ),
        number(
            "Slots busy", "Share of the slots of workers that are there.",
            f'sum(max by (pool) (orthoburst_slots{{{POOL}, state="busy"}})) '
            f"/ sum(max by (pool, state) (orthoburst_slots{{{POOL}}}))",
            "percentunit", warn=0.9, bad=1.01,
        ),
        number(
            "Workers lost", "Gone without a goodbye, or silent for too long, in the last hour.",
            f'sum(max by (pool) (orthoburst_agents{{{POOL}, state="lost"}}))', warn=None, bad=1,
        ),
        number(
            "Given up", "Messages on poison queues: what failed too often, until a timer has looked at it.",
            'sum(max by (queue) (max_over_time(orthoburst_queue_messages{queue=~".+-poison"}[10m])))', warn=None, bad=1,
        ),
        number(
            "Spent of the budget", "Cloud money of this month, spent or reserved, as a share of what it may be.",
            "max(orthoburst_spend_EUR) / max(orthoburst_budget_EUR)", "percentunit", warn=0.8, bad=1,
        ),
    ),
)  # fmt: skip

QUEUES = Row(
    "Queues",
    (
        lines(
            "Messages", "On each queue, those that somebody works on included.",
            Query('max by (queue) (orthoburst_queue_messages{queue!~".+-poison"})', "{{queue}}"), width=12,
        ),
        lines(
            "Age of the first message", "How long the first message has lain that nobody has taken.",
            Query('max by (queue) (orthoburst_queue_age_seconds{queue!~".+-poison"})', "{{queue}}"),
            unit="s", width=12,
        ),
    ),
)  # fmt: skip

TASKS = Row(
    "Tasks",
    (
        areas(
            "Waiting", "Tasks that wait for a decision.",
            Query("max by (kind) (orthoburst_tasks_waiting)", "{{kind}}"), width=6,
        ),
        lines("Oldest", "How long the oldest has waited.", Query("max(orthoburst_task_oldest_seconds)", "oldest"),
              unit="s", width=6),
        lines(
            "Wait", "From ready until a worker began.",
            *_quantiles("orthoburst_task_wait_seconds", "pool"), unit="s", width=6,
        ),
        lines(
            "Run", "From the worker's beginning to its report.",
            *_quantiles("orthoburst_task_run_seconds", "pool, process"), unit="s", width=6,
        ),
    ),
)  # fmt: skip

YIELD = Row(
    "What comes out",
    (
        lines(
            "Speed by machine", "Megapixels a second of a task, fetch and delivery included, the mean by machine type.",
            Query(
                f"{_rate('orthoburst_task_rate_Mpx_per_second_sum', 'machine')} "
                f"/ {_rate('orthoburst_task_rate_Mpx_per_second_count', 'machine')}",
                "{{machine}}",
            ),
            unit="suffix: Mpx/s", width=6,
        ),
        areas(
            "Megapixels", "Made and delivered, as the workers count them.",
            Query(_worker_rate("orthoagent_made_megapixels_total", "pool"), "{{pool}}"),
            unit="suffix: Mpx/s", width=6,
        ),
        areas(
            "Images", "Committed, an hour.",
            Query(f"3600 * {_rate('orthoburst_images_total', 'pool')}", "{{pool}}"), unit="suffix: /h", width=6,
        ),
        areas(
            "Bytes", "Fetched over the network, found on site or kept, and delivered.",
            Query(_rate("orthoburst_task_bytes_total", "kind"), "{{kind}}"), unit="Bps", width=6,
        ),
    ),
)  # fmt: skip

ENDS = Row(
    "Ends and retries",
    (
        areas(
            "Tasks ended", "An hour, by how.",
            Query(f"3600 * {_rate('orthoburst_task_ends_total', 'outcome')}", "{{outcome}}"),
            unit="suffix: /h", width=6,
        ),
        areas(
            "Retries", "An hour, by why the attempt before was none.",
            Query(f"3600 * {_rate('orthoburst_task_retries_total', 'reason')}", "{{reason}}"),
            unit="suffix: /h", width=6,
        ),
        areas(
            "Jobs ended", "An hour, by how; of all pools.",
            Query(f"3600 * {_rate('orthoburst_jobs_ended_total', 'state', '')}", "{{state}}"),
            unit="suffix: /h", width=6,
        ),
        lines(
            "Functions' own trouble",
            "An hour: single things that could not be dealt with, while all others were. Each is tried again.",
            Query(f"3600 * {_rate('orthoburst_troubles_total', 'doing', '')}", "{{doing}}"),
            unit="suffix: /h", width=6,
        ),
        lines(
            "Workers' own trouble", "An hour: work handed back, deliveries of what another had begun, lease renewals "
            "that failed, kernels that died, images without files.",
            Query(f"3600 * {_worker_rate('orthoagent_returned_total', 'why')}", "handed back: {{why}}"),
            Query(f"3600 * {_worker_rate('orthoagent_redelivered_total', 'pool')}", "delivered again: {{pool}}"),
            Query(f"3600 * {_worker_rate('orthoagent_renewals_failed_total', 'why')}", "lease {{why}}"),
            Query(f"3600 * {_worker_rate('orthoagent_children_lost_total', 'why')}", "kernel: {{why}}"),
            Query(f"3600 * {_worker_rate('orthoagent_failed_images_total', 'fault')}", "image: {{fault}}"),
            unit="suffix: /h", width=6,
        ),
    ),
)  # fmt: skip

WORKERS = Row(
    "Workers",
    (
        areas(
            "By pool and state", "As the functions have heard of them.",
            Query(f"max by (pool, state) (orthoburst_agents{{{POOL}}})", "{{pool}} {{state}}"), width=6,
        ),
        areas(
            "Slots", "Free and busy.",
            Query(f"max by (pool, state) (orthoburst_slots{{{POOL}}})", "{{pool}} {{state}}"), width=6,
        ),
        lines(
            "Parts of a delivery", "Fetch, compute and deliver, as the workers measure them.",
            *_worker_quantiles("orthoagent_phase_seconds", "phase"), unit="s", width=6,
        ),
        lines(
            "In touch", "Share of the workers' pages that answer, of workers that storage answers, and that have the "
            "broker; only of those that are scraped.",
            Query('avg(up{job="orthoburst-agents"})', "page"),
            Query(f"avg(orthoagent_storage_answers * {_BUILD})", "storage"),
            Query(f"avg(orthoagent_broker_up * {_BUILD})", "broker"),
            unit="percentunit", width=6,
        ),
    ),
)  # fmt: skip

MONEY = Row(
    "Money",
    (
        lines(
            "Spend against budget",
            "Cloud money of this month, spent or reserved, and what it comes to if all runs under way take as long as "
            "any may: work waits for money where it would be more than the budget.",
            Query("max(orthoburst_spend_EUR)", "spent or reserved"),
            Query("max(orthoburst_spend_EUR) + max(orthoburst_contingency_EUR)", "at most, with all runs under way"),
            Query("max(orthoburst_budget_EUR)", "budget"),
            unit="currencyEUR", width=12,
        ),
        lines(
            "Spent a day", "By the last six hours.",
            Query("4 * clamp_min(delta(max(orthoburst_spend_EUR)[6h:5m]), 0)", "EUR a day"),
            unit="currencyEUR", width=12,
        ),
    ),
)  # fmt: skip


def document() -> Json:
    return dashboard(
        uid="orthoburst",
        title="orthoburst",
        description="Queues, tasks, workers, money. Alerts: infra/prometheus/rules.yml; what to do: docs/runbooks.md.",
        rows=(GLANCE, QUEUES, TASKS, YIELD, ENDS, WORKERS, MONEY),
        variables=[choose_datasource(), choose_label("pool", "Pool", "orthoburst_agents")],
    )


def text() -> str:
    """The file as it should be."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")

"""What happens by the clock, whether or not a message asks for it."""

from __future__ import annotations

import azure.functions as func

from orthofunctions.bootstrap import system
from orthofunctions.usecases.backup import back_up
from orthofunctions.usecases.campaign_feed import feed_campaigns
from orthofunctions.usecases.expire_raw import expire_products
from orthofunctions.usecases.gauges import read_gauges
from orthofunctions.usecases.housekeeping import keep_house
from orthofunctions.usecases.loads import note_loads
from orthofunctions.usecases.redo import redo_with_precise_orbits
from orthofunctions.usecases.repair import repair
from orthofunctions.usecases.sweep import sweep

blueprint = func.Blueprint()

FLUSH_S = 5.0
"""For which the timer waits for a collector that does not answer."""


@blueprint.function_name("round")
@blueprint.timer_trigger("timer", schedule="*/5 * * * * *")
def run_round(timer: func.TimerRequest) -> None:
    """Patience runs out without a message."""
    system().rounds.answer(system().ports, system().rules)


@blueprint.function_name("sweep")
@blueprint.timer_trigger("timer", schedule="*/15 * * * * *")
def run_sweep(timer: func.TimerRequest) -> None:
    sweep(system().ports, system().rules)


@blueprint.function_name("repair")
@blueprint.timer_trigger("timer", schedule="35 * * * * *")
def run_repair(timer: func.TimerRequest) -> None:
    repair(system().ports, system().rules)


@blueprint.function_name("loads")
@blueprint.timer_trigger("timer", schedule="50 * * * * *")
def run_loads(timer: func.TimerRequest) -> None:
    note_loads(system().ports, system().rules)


@blueprint.function_name("telemetry")
@blueprint.timer_trigger("timer", schedule="55 * * * * *")
def run_telemetry(timer: func.TimerRequest) -> None:
    """Gauges, where somebody is told of them."""
    here = system()
    if here.telemetry is not None:
        here.ports.meter.show(read_gauges(here.ports, here.rules))
        here.telemetry.flush(FLUSH_S)


@blueprint.function_name("campaigns")
@blueprint.timer_trigger("timer", schedule="8/15 * * * * *")
def run_campaigns(timer: func.TimerRequest) -> None:
    feed_campaigns(system().ports, system().rules, system().limits)


@blueprint.function_name("orbits")
@blueprint.timer_trigger("timer", schedule="25 */10 * * * *")
def run_orbits(timer: func.TimerRequest) -> None:
    redo_with_precise_orbits(system().ports)


@blueprint.function_name("housekeeping")
@blueprint.timer_trigger("timer", schedule="0 20 * * * *")
def run_housekeeping(timer: func.TimerRequest) -> None:
    keep_house(system().ports, system().rules)


@blueprint.function_name("backup")
@blueprint.timer_trigger("timer", schedule="0 10 * * * *")
def run_backup(timer: func.TimerRequest) -> None:
    """By itself: where it fails nothing else waits for it, and an hour later it is tried again."""
    back_up(system().ports)


@blueprint.function_name("archive")
@blueprint.timer_trigger("timer", schedule="5 */5 * * * *")
def run_archive(timer: func.TimerRequest) -> None:
    expire_products(system().ports)

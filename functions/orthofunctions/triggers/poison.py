"""Once a minute: what failed too often, and what another release could not read."""

from __future__ import annotations

import azure.functions as func

from orthofunctions.bootstrap import system
from orthofunctions.usecases.kept import read_kept_again
from orthofunctions.usecases.poison import reconcile_poison

blueprint = func.Blueprint()


@blueprint.function_name("poison")
@blueprint.timer_trigger("timer", schedule="5 * * * * *")
def poison(timer: func.TimerRequest) -> None:
    reconcile_poison(system().ports, system().rules)
    read_kept_again(system().ports)

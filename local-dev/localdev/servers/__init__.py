"""The storage emulator, the MQTT broker and a batch scheduler, as context managers that leave no process behind."""

from __future__ import annotations

from localdev.servers.azurite import Azurite
from localdev.servers.broker import Broker, BrokerUser
from localdev.servers.functions import FunctionsHost
from localdev.servers.process import Server, ServerError
from localdev.servers.slurm import Slurm

__all__ = ["Azurite", "Broker", "BrokerUser", "FunctionsHost", "Server", "ServerError", "Slurm"]

"""The storage emulator and the MQTT broker of one machine, as context managers that leave no process behind."""

from __future__ import annotations

from localdev.servers.azurite import Azurite
from localdev.servers.broker import Broker, BrokerUser
from localdev.servers.functions import FunctionsHost
from localdev.servers.process import Server, ServerError

__all__ = ["Azurite", "Broker", "BrokerUser", "FunctionsHost", "Server", "ServerError"]

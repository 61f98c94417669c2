"""What a rogue agent cannot do at the broker: real mosquitto, our own configuration and rights, every way in."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.site_kit import WAYS, Authority, Client, SiteBroker, Way
from integration.worker_kit import until
from localdev.servers.broker import default_kind
from orthocontracts import names
from orthocontracts.brokers import BrokerAddress

pytestmark = [
    pytest.mark.skipif(default_kind() != "mosquitto", reason="mosquitto is not installed"),
    # paho leaves the socket of a handshake that fails to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

INFRA = Path(__file__).resolve().parents[2] / "infra"
STATUS, CONTROL, DOORBELL = names.topic_status("victim"), names.topic_control("victim"), names.topic_doorbell("victim")
OWN_BELL = names.topic_doorbell("rogue")
DEMAND = names.topic_demand("hpc")


class Party:
    """Everyone there is, all come in the same way. What arrives last at everyone tells that all before has arrived."""

    def __init__(self, site: SiteBroker, way: Way) -> None:
        self.site, self.way = site, way
        self._clients: list[Client] = []
        self.rogue, self.victim = self.enter("rogue"), self.enter("victim")
        self.functions, self.presence, self.operator = map(self.enter, ("functions", "presence", "operator"))
        self.victim.listen(STATUS, CONTROL, DOORBELL, DEMAND)
        self.presence.listen(names.TOPIC_ALL_STATUS)
        self.victim.say(STATUS, b"truth", retain=True)
        self.presence.hears(STATUS, b"truth")
        for one in self._clients:
            one.heard.clear()

    def enter(self, name: str, **more: object) -> Client:
        client = Client(self.site.address(self.way, name), **more)  # type: ignore[arg-type]
        self._clients.append(client)
        return client

    def settle(self) -> None:
        """Wait until whatever was said has arrived wherever it may."""
        self.functions.say(DOORBELL, b"last")
        self.functions.say(OWN_BELL, b"last")
        self.victim.hears(DOORBELL, b"last")
        self.victim.say(STATUS, b"last", retain=True)
        self.presence.hears(STATUS, b"last")

    def leave(self) -> None:
        for client in self._clients:
            client.close()


def turned_away(address: BrokerAddress, says: str | None = None) -> None:
    with pytest.raises(OSError, match=says):
        Client(address)
    gc.collect()  # the socket that paho has left open


@pytest.fixture(params=WAYS)
def party(site: SiteBroker, request: pytest.FixtureRequest) -> Iterator[Party]:
    guests = Party(site, request.param)
    yield guests
    guests.leave()


def test_those_with_rights_can_do_their_work(party: Party) -> None:
    """Else nothing below would mean anything."""
    party.functions.say(CONTROL, b"drain")
    party.functions.say(DOORBELL, b"ring")
    party.functions.say(DEMAND, b"many", retain=True)
    party.operator.listen(names.TOPIC_ALL_STATUS)
    party.operator.say(CONTROL, b"resume")
    party.victim.hears(CONTROL, b"drain")
    party.victim.hears(DOORBELL, b"ring")
    party.victim.hears(DEMAND, b"many")
    party.victim.hears(CONTROL, b"resume")
    party.operator.hears(STATUS, b"truth")


def test_a_rogue_hears_nothing_that_is_said_to_another(party: Party) -> None:
    party.rogue.listen("#", "+/#", "$SYS/#", CONTROL, DOORBELL, STATUS, "orthoburst/v1/agents/+/control", OWN_BELL)
    party.functions.say(CONTROL, b"drain")
    party.functions.say(DOORBELL, b"ring")
    party.functions.say(names.topic_job_events("j1"), b"event")
    party.settle()
    party.rogue.hears(OWN_BELL, b"last")
    heard = {topic for topic, _, _ in party.rogue.heard}
    assert heard <= {OWN_BELL, DEMAND}, "its own, and the demand that all may read"


def test_a_rogue_says_nothing_in_the_name_of_others(party: Party) -> None:
    for topic in (STATUS, CONTROL, DOORBELL, DEMAND, names.topic_job_events("j1"), "orthoburst/v1/agents//status"):
        party.rogue.say(topic, b"lie", retain=True)
        party.rogue.say(topic, b"lie")
    party.settle()
    assert b"lie" not in {body for one in (party.victim, party.presence) for _, body, _ in one.heard}
    late = party.enter("presence")
    late.listen(STATUS)
    late.hears(STATUS, b"last")
    party.victim.close()
    again = party.enter("victim")
    again.listen(STATUS, CONTROL, DOORBELL, DEMAND)
    again.hears(STATUS, b"last")
    assert b"lie" not in {body for one in (late, again) for _, body, _ in one.heard}, "and nothing of it is retained"


def test_its_last_will_is_not_published_in_the_name_of_another(party: Party) -> None:
    party.enter("rogue", will=(STATUS, b"lie")).break_off()
    own = names.topic_status("rogue")
    party.enter("rogue", will=(own, b"will")).break_off()
    party.presence.hears(own, b"will")
    party.settle()
    assert b"lie" not in {body for _, body, _ in party.presence.heard}


def test_neither_presence_nor_an_operator_speaks_as_the_functions_or_an_agent(party: Party) -> None:
    for client in (party.presence, party.operator):
        for topic in (STATUS, DOORBELL, DEMAND):
            client.say(topic, b"lie", retain=True)
    party.presence.say(CONTROL, b"lie")
    party.presence.listen(CONTROL, DOORBELL)
    party.settle()
    assert b"lie" not in {body for one in (party.victim, party.presence) for _, body, _ in one.heard}
    assert {topic for topic, _, _ in party.presence.heard} == {STATUS}


def test_scale_speaks_for_its_pilots_and_neither_gives_orders(party: Party) -> None:
    scale, pilots, status = party.enter("scale"), party.enter("pilots"), names.topic_status("pilot-hpc-1")
    party.functions.say(DEMAND, b"many", retain=True)
    for client in (scale, pilots):
        client.listen(DEMAND, CONTROL, DOORBELL)
        client.hears(DEMAND, b"many")
    scale.say(status, b"starting", retain=True)
    pilots.say(status, b"online", retain=True)
    party.presence.hears(status, b"starting")
    party.presence.hears(status, b"online")
    for client in (scale, pilots):
        for topic in (CONTROL, DOORBELL, DEMAND, names.topic_job_events("j1")):
            client.say(topic, b"lie", retain=True)
    party.functions.say(CONTROL, b"drain")
    party.settle()
    assert b"lie" not in {body for _, body, _ in party.victim.heard}
    assert CONTROL not in {topic for topic, _, _ in scale.heard}


def test_what_is_larger_than_a_message_goes_nowhere(party: Party) -> None:
    party.victim.say(STATUS, b"x" * 60_000)
    party.presence.hears(STATUS, b"x" * 60_000)
    with contextlib.suppress(RuntimeError, ValueError):  # the broker may end the connection
        party.victim.say(STATUS, b"x" * 70_000, retain=True)
    late = party.enter("presence")
    late.listen(STATUS)
    late.hears(STATUS, b"truth")
    assert all(len(body) < 65_536 for one in (late, party.presence) for _, body, _ in one.heard)


@pytest.mark.parametrize("way", ["tls", "websocket"])
@pytest.mark.parametrize("whose", ["nobody's", "expired", "another authority's"])
def test_without_a_certificate_that_holds_nobody_comes_in(
    site: SiteBroker, way: Way, whose: str, tmp_path: Path
) -> None:
    files = {
        "nobody's": lambda: None,
        "expired": lambda: site.authority.expired("victim"),
        "another authority's": lambda: Authority(tmp_path / "elsewhere").client("victim"),
    }[whose]()
    turned_away(site.by_certificate(way, files))


def test_a_revoked_certificate_does_not_come_in(site: SiteBroker) -> None:
    turned_away(site.address("tls", "revoked"))


def test_one_that_is_revoked_while_the_broker_runs_does_not_come_in_again(site: SiteBroker) -> None:
    address = site.address("tls", "leaves")
    Client(address).close()
    site.authority("revoke", "leaves")
    site.read_again()

    def is_out() -> bool:
        try:
            Client(address).close()
        except OSError:
            return True
        return False

    until(is_out, "the broker to have read the list", 10)
    Client(site.address("tls", "victim")).close()


def test_who_is_shut_out_says_and_hears_nothing(party: Party) -> None:
    """Over WebSocket mosquitto 2.0 does not look at the list of revoked certificates: the rights must say it."""
    if party.way == "tls":
        pytest.skip("does not come in at all")
    out, own = party.enter("revoked"), names.topic_status("revoked")
    out.listen(own, names.topic_control("revoked"), DEMAND)
    out.say(own, b"here I am", retain=True)
    party.functions.say(names.topic_control("revoked"), b"secret")
    party.functions.say(DEMAND, b"secret", retain=True)
    party.settle()
    assert out.heard == []
    assert own not in {topic for topic, _, _ in party.presence.heard}


@pytest.mark.parametrize("way", ["tls", "websocket"])
def test_a_password_is_no_way_round_the_certificate(site: SiteBroker, way: Way) -> None:
    address = BrokerAddress.of(site.url(way), user="victim", password="word of victim", ca_file=str(site.authority.ca))
    turned_away(address)


@pytest.mark.parametrize(("user", "password"), [("victim", "guess"), ("nobody", "word of nobody"), (None, None)])
def test_neither_a_wrong_password_nor_none_comes_in(site: SiteBroker, user: str | None, password: str | None) -> None:
    address = BrokerAddress.of(site.url("plain"), user=user, password=password)
    turned_away(address, "did not let it in")


def test_a_client_believes_no_broker_of_another_authority(site: SiteBroker, tmp_path: Path) -> None:
    address = BrokerAddress.of(site.url("tls"), ca_file=str(Authority(tmp_path / "elsewhere").ca))
    turned_away(address, r"(?i)certificate")


def test_event_grid_grants_what_mosquitto_grants() -> None:
    """The same rights in two forms. What only the one knows is a login that the other's side does not have yet."""
    grid = json.loads((INFRA / "eventgrid" / "broker.json").read_text())
    templates = {space["name"]: space["topicTemplates"] for space in grid["topicSpaces"]}
    verbs = {"Publisher": "write", "Subscriber": "read"}
    granted: dict[str, set[tuple[str, str]]] = {group["name"]: set() for group in grid["clientGroups"]}
    for binding in grid["permissionBindings"]:
        topics = templates[binding["topicSpaceName"]]
        rights = {
            (verbs[binding["permission"]], topic.replace("${client.authenticationName}", "%u")) for topic in topics
        }
        granted[binding["clientGroupName"]] |= rights
    listed: dict[str, set[tuple[str, str]]] = {"agents": set()}
    who = "agents"
    for line in (INFRA / "mosquitto" / "orthoburst.acl").read_text().splitlines():
        match line.split():
            case ["pattern", verb, topic]:
                listed["agents"].add((verb, topic))
            case ["user", name]:
                who = name
                listed[who] = set()
            case ["topic", verb, topic]:
                listed[who].add((verb, topic))
    assert {name: listed[name] for name in granted} == granted

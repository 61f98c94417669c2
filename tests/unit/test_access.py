"""Who gets in, as whom, how often; and what they see of each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from fastapi.routing import APIRoute

from fakes.asgi import AsgiClient
from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, memory_ports
from fakes.products import ROME, put_safe
from orthocontracts import names
from orthocontracts.digests import user_mark
from orthocontracts.requests import Request
from orthofunctions.api.app import create_app
from orthofunctions.api.context import PUBLIC_FOLDER, PUBLIC_PATHS
from orthofunctions.bootstrap import System
from orthofunctions.domain.peers import network_of
from orthofunctions.domain.principals import ALL_SCOPES, Principal, Scope, with_implied
from orthofunctions.domain.quotas import Quota, QuotaExceededError
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.callers import Callers
from orthofunctions.usecases.jobs import open_job
from orthofunctions.usecases.keys import MOST_KEYS, PROVED_S, KeyOrder, find_key, keys_of, make_key, revoke_key
from orthofunctions.usecases.ledger import Claim, reserve
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.quotas import admit
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.visible import find_visible_job, shared_jobs

POOLS = {
    "version": 1,
    "pools": [{"name": "hpc", "kind": "onprem", "max_slots": 4}],
    "groups": [
        {"name": "hydrology", "members": ["ana", "ben"], "credits_eur": 10},
        {"name": "forestry", "members": ["cleo"]},
    ],
}


def make_system(*, callers: Callers | None = None, **settings: Any) -> System:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", **settings})
    system = System(
        chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session(), callers=callers or Callers()
    )
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(POOLS).encode())
    return system


@pytest.fixture
def system() -> System:
    return make_system()


@pytest.fixture
def client(system: System) -> AsgiClient:
    return client_of(system)


def client_of(system: System, base_url: str = "http://127.0.0.1:7071") -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url=base_url)


def clock(system: System) -> ManualClock:
    assert isinstance(system.ports.clock, ManualClock)
    return system.ports.clock


def key_of(system: System, user: str, *scopes: Scope, **more: Any) -> dict[str, str]:
    """Headers with a new key of a user's."""
    order = KeyOrder("test", user, with_implied(scopes or (Scope.READ, Scope.SUBMIT)), "test", **more)
    return bearer(make_key(system.ports, order)[0])


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def order(**changes: Any) -> dict[str, Any]:
    inputs = {
        "request_id": "r1",
        "products": [f"products/{ROME}.SAFE"],
        "grid": {"kind": "mgrs", "tiles": ["33TUG"]},
        "terrain": {"height_m": 0},
    }
    return {"inputs": {**inputs, **changes}}


def plan_all(system: System) -> None:
    """As the queue trigger does."""
    for body in system.ports.queues.drain(names.QUEUE_REQUESTS, 10):
        plan_request(system.ports, read_request(system.ports, body), system.limits, system.rules)


def killed_at(at: int, ports: Ports, work: Callable[[Ports], object]) -> bool:
    """Whether the process died at that write, or had been done before."""
    try:
        work(fused(ports, Fuse(at)))
    except Crash:
        return True
    return False


def submitted(client: AsgiClient, headers: dict[str, str], **changes: Any) -> str:
    answer = client.post("/processes/orthorectify/execution", json=order(**changes), headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["jobID"])


class TestLocalUser:
    @pytest.mark.parametrize("host", ["http://127.0.0.1", "http://localhost:7071", "http://[::1]:80"])
    def test_on_this_machine_without_any_key_callers_are_local(self, system: System, host: str) -> None:
        found = client_of(system, host).get("/whoami").json()
        assert (found["user"], found["via"], found["scopes"]) == ("local", "local", sorted(ALL_SCOPES))
        assert found["limits"]["calls_per_minute"] is None

    @pytest.mark.parametrize("host", ["http://orthoburst.example", "http://10.0.0.1", "http://127.0.0.1.example"])
    def test_by_any_other_name_nobody_is(self, system: System, host: str) -> None:
        answer = client_of(system, host).get("/jobs")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "on its own machine only" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Forwarded-For": "127.0.0.1"},
            {"Forwarded": "for=127.0.0.1"},
            {"Via": "1.1 proxy"},
            {"X-Real-IP": "127.0.0.1"},
            {"X-ARR-LOG-ID": "x"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Host": "orthoburst.example"},
        ],
    )
    def test_what_was_handed_on_is_not_from_here(self, client: AsgiClient, headers: dict[str, str]) -> None:
        assert client.get("/jobs", headers=headers).status_code == 401

    def test_a_page_of_this_machine_may_call(self, client: AsgiClient) -> None:
        assert client.get("/jobs", headers={"Origin": "http://localhost:7071"}).status_code == 200

    def test_credentials_that_are_shown_never_fall_back_to_it(self, client: AsgiClient) -> None:
        for authorization in ("Bearer wrong", "Bearer ", "Bearer", "", "Basic bG9jYWw6", "ob_x"):
            answer = client.get("/jobs", headers={"Authorization": authorization})
            assert answer.status_code == 401, authorization

    def test_it_ends_with_the_first_key(self, system: System, client: AsgiClient) -> None:
        assert client.get("/jobs").status_code == 200
        headers = key_of(system, "ana")
        clock(system).advance(61)
        assert client.get("/jobs").status_code == 401
        assert client.get("/jobs", headers=headers).status_code == 200

    def test_a_setting_keeps_it_or_shuts_it_out(self) -> None:
        kept = make_system(local_user=True, callers=Callers(in_azure=True))
        key_of(kept, "ana")
        assert client_of(kept).get("/jobs").status_code == 200
        assert client_of(kept, "http://10.0.0.1").get("/jobs").status_code == 401
        assert client_of(make_system(local_user=False)).get("/jobs").status_code == 401
        assert client_of(make_system(callers=Callers(in_azure=True))).get("/jobs").status_code == 401


class TestKeys:
    def test_a_key_lives_until_it_is_revoked(self, system: System, client: AsgiClient) -> None:
        ana = key_of(system, "ana")
        clock(system).advance(1)
        made = client.post("/keys", json={"name": " laptop ", "scopes": ["read"]}, headers=ana)
        assert made.status_code == 201
        assert made.headers["cache-control"] == "no-store"
        new = made.json()
        assert (new["name"], new["user"], new["scopes"], new["created_by"]) == ("laptop", "ana", ["read"], "ana")
        assert "expires" not in new
        assert new["made_with"] == client.get("/keys", headers=ana).json()["keys"][0]["id"]
        shown = client.get("/whoami", headers=bearer(new["key"])).json()
        assert (shown["user"], shown["via"], shown["scopes"], shown["groups"]) == (
            "ana",
            "key",
            ["read"],
            ["hydrology"],
        )
        refused = client.post("/processes/orthorectify/execution", json=order(), headers=bearer(new["key"]))
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "this needs the scope submit, which ana has not",
        )
        listed = client.get("/keys", headers=ana)
        assert [one["name"] for one in listed.json()["keys"]] == ["test", "laptop"]
        assert new["key"] not in listed.text
        assert new["key"] not in repr(list(system.ports.tables.query(names.TABLE_KEYS)))
        for _ in range(2):
            gone = client.delete(f"/keys/{new['id']}", headers=ana).json()
            assert gone["revoked"] == "2026-05-01T12:00:01Z"
        assert client.get("/whoami", headers=bearer(new["key"])).status_code == 401

    def test_another_instance_takes_a_revoked_key_for_a_minute_at_most(self, system: System) -> None:
        elsewhere = System(system.settings, system.ports, system.rules, system.limits, system.session)
        headers = key_of(system, "ana")
        assert client_of(elsewhere).get("/jobs", headers=headers).status_code == 200
        (record,) = keys_of(system.ports, "ana")
        revoke_key(system.ports, record)
        assert client_of(elsewhere).get("/jobs", headers=headers).status_code == 200
        clock(system).advance(PROVED_S)
        assert client_of(elsewhere).get("/jobs", headers=headers).status_code == 401

    def test_a_key_that_expires_does_so_at_once(self, system: System, client: AsgiClient) -> None:
        headers = key_of(system, "ana", expires_at=system.ports.clock.now() + timedelta(seconds=10))
        assert client.get("/jobs", headers=headers).status_code == 200
        clock(system).advance(10)
        assert client.get("/jobs", headers=headers).status_code == 401

    def test_a_key_made_with_a_key_does_not_outlive_it(self, system: System, client: AsgiClient) -> None:
        headers = key_of(system, "ana", expires_at=system.ports.clock.now() + timedelta(days=2))
        for days, ends in ((None, "2026-05-03T12:00:00Z"), (9, "2026-05-03T12:00:00Z"), (1, "2026-05-02T12:00:00Z")):
            body = {"name": "n", "scopes": ["read"], **({} if days is None else {"expires_in_days": days})}
            assert client.post("/keys", json=body, headers=headers).json()["expires"] == ends

    def test_nobody_gives_what_they_have_not(self, system: System, client: AsgiClient) -> None:
        ana, admin = key_of(system, "ana"), key_of(system, "root", Scope.ADMIN)
        for body in (
            {"name": "n", "scopes": ["admin"]},
            {"name": "n", "scopes": ["read", "operate"]},
            {"name": "n", "scopes": ["read"], "user": "ben"},
        ):
            assert client.post("/keys", json=body, headers=ana).status_code == 403
            assert client.post("/keys", json=body, headers=admin).status_code == 201
        for body in ({}, {"name": "", "scopes": ["read"]}, {"name": "n", "scopes": []}, {"name": "n", "scopes": ["x"]},
                     {"name": "n", "scopes": ["read"], "user": "Ben"}, {"name": "n", "scopes": ["read"], "more": 1},
                     {"name": "n", "scopes": ["read"], "expires_in_days": 0}):  # fmt: skip
            assert client.post("/keys", json=body, headers=admin).status_code == 400

    def test_others_keys_are_an_admins_only(self, system: System, client: AsgiClient) -> None:
        ana, ben, admin = key_of(system, "ana"), key_of(system, "ben"), key_of(system, "root", Scope.ADMIN)
        (of_ben,) = client.get("/keys", headers=ben).json()["keys"]
        assert client.get("/keys?user=ben", headers=ana).status_code == 403
        assert client.get("/keys?everyone=true", headers=ana).status_code == 403
        for key_id in (of_ben["id"], "0" * 12, "no", "0" * 64):
            refused = client.delete(f"/keys/{key_id}", headers=ana)
            assert (refused.status_code, refused.json()["title"]) == (404, "No such key")
        assert [one["user"] for one in client.get("/keys?user=ben", headers=admin).json()["keys"]] == ["ben"]
        assert len(client.get("/keys?everyone=true", headers=admin).json()["keys"]) == 3
        assert client.delete(f"/keys/{of_ben['id']}", headers=admin).status_code == 200
        assert client.get("/jobs", headers=ben).status_code == 401

    def test_its_use_is_noted_once_an_hour_and_a_failing_note_stops_nobody(
        self, system: System, client: AsgiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        headers, writes = key_of(system, "ana"), []
        real = system.ports.tables.replace

        def counted(table: str, row: Any) -> Any:
            writes.append(table)
            return real(table, row)

        monkeypatch.setattr(system.ports.tables, "replace", counted)
        for _ in range(5):
            assert client.get("/keys", headers=headers).status_code == 200
            clock(system).advance(PROVED_S + 1)
        assert writes == [names.TABLE_KEYS]
        assert client.get("/keys", headers=headers).json()["keys"][0]["last_used"] == "2026-05-01T12:00:00Z"
        clock(system).advance(3600)

        def broken(*_: Any) -> None:
            raise OSError("storage is away")

        monkeypatch.setattr(system.ports.tables, "replace", broken)
        assert client.get("/keys", headers=headers).status_code == 200

    def test_there_is_an_end_to_how_many_one_may_have(self, system: System, client: AsgiClient) -> None:
        headers = key_of(system, "ana")
        for _ in range(MOST_KEYS - 1):
            key_of(system, "ana")
        refused = client.post("/keys", json={"name": "n", "scopes": ["read"]}, headers=headers)
        assert refused.status_code == 409
        revoke_key(system.ports, keys_of(system.ports, "ana")[-1])
        key_of(system, "ana")

    def test_a_revocation_comes_through_whoever_notes_a_use_meanwhile(self, system: System) -> None:
        key_of(system, "ana")
        (stale,) = keys_of(system.ports, "ana")
        system.ports.tables.replace(names.TABLE_KEYS, stale.changed(used_at=system.ports.clock.now()).to_row())
        assert revoke_key(system.ports, stale).revoked_at is not None
        assert find_key(system.ports, stale.digest[:12]).revoked_at is not None  # type: ignore[union-attr]


class TestSharing:
    """Ana and Ben are hydrologists, Cleo is a forester."""

    @pytest.fixture
    def job(self, system: System, client: AsgiClient) -> str:
        put_safe(system.ports.blobs)
        job = submitted(client, key_of(system, "ana"), shared_with=["hydrology"])
        plan_all(system)
        return job

    def test_members_see_it_and_only_owner_and_admin_change_it(
        self, system: System, client: AsgiClient, job: str
    ) -> None:
        ben, cleo = (
            key_of(system, "ben", Scope.OPERATE, Scope.SUBMIT),
            key_of(system, "cleo", Scope.OPERATE, Scope.SUBMIT),
        )
        for path in (f"/jobs/{job}", f"/jobs/{job}/results?partial=true", f"/jobs/{job}/explain"):
            assert client.get(path, headers=ben).status_code == 200
            assert client.get(path, headers=cleo).status_code == 404
            assert client.get(path, headers=key_of(system, "root", Scope.ADMIN)).status_code == 200
        missing = client.get("/jobs/" + "0" * len(job), headers=cleo).json()
        there = client.get(f"/jobs/{job}", headers=cleo).json()
        assert {**there, "detail": ""} == {**missing, "detail": ""}
        for call in (
            lambda who: client.get(f"/jobs/{job}/callbacks", headers=who),
            lambda who: client.delete(f"/jobs/{job}", headers=who),
            lambda who: client.post(f"/jobs/{job}/retry", headers=who),
            lambda who: client.post(f"/jobs/{job}/copies", headers=who),
        ):
            assert call(ben).status_code == 403
            assert call(cleo).status_code == 404
        assert client.get(f"/jobs/{job}", headers=ben).json()["status"] == "accepted"
        admin = key_of(system, "root", Scope.ADMIN)
        assert client.delete(f"/jobs/{job}", headers=admin).json()["status"] == "dismissed"
        again = client.post(f"/jobs/{job}/retry", headers=admin).json()["jobID"]
        assert {one.job_id: one.user for one in find(system.ports.tables, JobRecord)} == {job: "ana", again: "ana"}

    def test_only_with_groups_one_is_in(self, system: System, client: AsgiClient) -> None:
        refused = client.post(
            "/processes/orthorectify/execution",
            json=order(shared_with=["hydrology", "forestry"]),
            headers=key_of(system, "ana"),
        )
        assert refused.status_code == 400
        assert refused.json()["detail"] == "inputs.shared_with: you are not in the group forestry; yours: hydrology"
        assert list(find(system.ports.tables, JobRecord)) == []

    def test_a_batch_is_shared_and_counted_as_its_requests_are(self) -> None:
        system = make_system(max_open_jobs_per_user=3)
        client, ana, ben = client_of(system), key_of(system, "ana"), key_of(system, "ben")

        def ask(batch: str, *groups: str) -> Any:
            executions = [order(request_id=f"{batch}-{number}", shared_with=groups) for number in range(2)]
            return client.post("/batches", json={"batch": batch, "executions": executions}, headers=ana)

        refused = ask("b0", "forestry")
        assert (refused.status_code, refused.json()["errors"][0]["at"]) == (400, "executions.0.inputs.shared_with")
        made = ask("b1", "hydrology")
        assert made.headers["orthoburst-quota"].startswith("open-jobs;limit=3;used=2,")
        for job in made.json()["jobs"]:
            assert client.get(f"/jobs/{job['jobID']}", headers=ben).status_code == 200
        assert ask("b1", "hydrology").status_code == 201, "the same batch"
        assert ask("b2", "hydrology").status_code == 429
        assert len(shared_jobs(system.ports, "hydrology")) == len(list(find(system.ports.tables, JobRecord))) == 2

    def test_what_is_made_of_restricted_products_is_shared_with_nobody(
        self, system: System, client: AsgiClient
    ) -> None:
        restricted = {**POOLS, "restricted": [{"prefix": "products/S1B", "readers": ["hydrology"]}]}
        system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(restricted).encode())
        put_safe(system.ports.blobs)
        ana = key_of(system, "ana")
        shared = submitted(client, ana, shared_with=["hydrology"])
        alone = submitted(client, ana, request_id="r2")
        plan_all(system)
        failed = client.get(f"/jobs/{shared}", headers=ana).json()
        assert failed["status"] == "failed"
        assert "is restricted: what is made of it is shared with no group" in failed["message"]
        assert client.get(f"/jobs/{alone}", headers=ana).json()["status"] == "accepted"

    def test_a_group_lists_what_is_shared_with_it(self, system: System, client: AsgiClient) -> None:
        ana, made = key_of(system, "ana"), []
        for number in range(3):
            made.append(submitted(client, ana, request_id=f"r{number}", shared_with=["hydrology"]))
            clock(system).advance(1)
        submitted(client, ana, request_id="r9")
        ben, page = key_of(system, "ben"), "/jobs?group=hydrology&limit=2"
        first = client.get(page, headers=ben).json()
        assert [one["jobID"] for one in first["jobs"]] == made[:0:-1]
        after = next(link["href"] for link in first["links"] if link["rel"] == "next")
        assert [one["jobID"] for one in client.get(after, headers=ben).json()["jobs"]] == made[:1]
        assert client.get("/jobs", headers=ben).json()["jobs"] == []
        assert client.get(page, headers=key_of(system, "cleo")).status_code == 400
        assert [one.job_id for one in shared_jobs(system.ports, "hydrology")] == made[::-1]
        assert shared_jobs(system.ports, "forestry") == []

    def test_asked_again_for_others_it_is_shared_as_at_first(self, system: System) -> None:
        request = Request.model_validate({**order()["inputs"], "user": "ana"})
        open_job(system.ports, request, "http")
        job = open_job(system.ports, request.model_copy(update={"shared_with": ("hydrology",)}), "http")
        ben = Principal("ben", frozenset({Scope.READ}), frozenset({"hydrology"}))
        assert find_visible_job(system.ports, ben, job.job_id) is None
        assert shared_jobs(system.ports, "hydrology") == []

    def test_whoever_is_killed_on_opening_a_job_leaves_none_that_cannot_be_found(self) -> None:
        request = Request.model_validate({**order(shared_with=["hydrology"])["inputs"], "user": "ana"})
        ben = Principal("ben", frozenset({Scope.READ}), frozenset({"hydrology"}))
        for at in range(20):
            world = make_system().ports
            died = killed_at(at, world, lambda ports: open_job(ports, request, "http"))
            for viewer in (Principal("root", ALL_SCOPES), ben):
                there = list(find(world.tables, JobRecord))
                assert [find_visible_job(world, viewer, one.job_id) for one in there] == there
            job = open_job(world, request, "http")
            assert shared_jobs(world, "hydrology") == [job]
            if not died:
                break
        assert at == 3

    def test_users_whose_jobs_have_the_same_mark_do_not_get_in_each_others_way(self, system: System) -> None:
        mark = user_mark("ana")
        twin = next(name for name in (f"u{number}" for number in range(10**6)) if user_mark(name) == mark)
        for user in ("ana", twin):
            request = Request.model_validate({**order(shared_with=["hydrology"])["inputs"], "user": user})
            job = open_job(system.ports, request, "http")
            assert find_visible_job(system.ports, Principal("root", ALL_SCOPES), job.job_id) == job


class TestLimits:
    def test_calls_of_a_user_are_counted_and_told(self) -> None:
        system = make_system(calls_per_minute=3)
        client, ana = client_of(system), key_of(system, "ana")
        for left in (2, 1, 0):
            answer = client.get("/keys", headers=ana)
            told = {name: answer.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset", "policy")}
            assert told == {"limit": "3", "remaining": str(left), "reset": str(20 * (3 - left)), "policy": "3;w=60"}
        refused = client.get("/keys", headers=ana)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "20")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["limit"] == 3
        assert client.get("/keys", headers=key_of(system, "ana")).status_code == 429, "another key, the same user"
        assert client.get("/keys", headers=key_of(system, "ben")).status_code == 200
        clock(system).advance(20)
        assert client.get("/nowhere", headers=ana).status_code == 404
        assert client.get("/jobs/none", headers=ana).headers["ratelimit-remaining"] == "0"

    def test_errors_nobody_expected_tell_it_too(self, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
        ana = key_of(system, "ana")

        def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(system.ports.tables, "query", broken)
        answer = client_of(system).get("/keys", headers=ana)
        assert (answer.status_code, answer.headers["ratelimit-remaining"]) == (500, "599")

    def test_no_limit(self) -> None:
        system = make_system(calls_per_minute=0)
        assert "ratelimit-limit" not in client_of(system).get("/keys", headers=key_of(system, "ana")).headers

    def test_wrong_keys_are_counted_by_address_and_right_ones_go_on(self) -> None:
        system = make_system(failed_proofs_per_minute=5)
        client, ana = client_of(system), key_of(system, "ana")
        assert client.get("/keys", headers=ana).status_code == 200
        codes = [client.get("/keys", headers=bearer("ob_" + "x" * 43)).status_code for _ in range(8)]
        assert codes == [401] * 5 + [429] * 3
        assert client.get("/keys", headers=ana).status_code == 200
        assert client.get("/keys", headers=key_of(system, "ben")).status_code == 429
        clock(system).advance(12)
        assert client.get("/keys", headers=key_of(system, "ben")).status_code == 200

    def test_addresses_are_counted_without_their_ports_and_by_networks(self) -> None:
        assert network_of("192.0.2.7:51234") == network_of("192.0.2.7") == network_of("::ffff:192.0.2.7") == "192.0.2.7"
        assert network_of("[2001:db8::1]:443") == network_of("2001:db8::2") == "2001:db8::/64"
        assert network_of("2001:db8:0:1::") != "2001:db8::/64"
        assert {network_of(text) for text in ("", "x", "1.2.3", "[x]:1", "1.2.3.4:x")} == {"unknown"}

    def test_a_thousand_that_are_over_make_room_for_a_thousand(self) -> None:
        system = make_system()
        thousand = Quota(open_jobs=1000)
        assert admit(system.ports, "ana", [f"a{number}" for number in range(1000)], thousand).open_jobs == 1000
        clock(system).advance(301)
        assert admit(system.ports, "ana", [f"b{number}" for number in range(1000)], thousand).open_jobs == 1000
        with pytest.raises(QuotaExceededError):
            admit(system.ports, "ana", ["c"], thousand)

    def test_images_under_way_have_one_too(self) -> None:
        """Before its plan a job counts as one; then as what it has, until it is over."""
        system = make_system(max_open_outputs_per_user=3)
        put_safe(system.ports.blobs)
        client, ana, tiles = client_of(system), key_of(system, "ana"), {"kind": "mgrs", "tiles": ["33TUG", "33TUH"]}

        def ask(request_id: str) -> Any:
            body = order(request_id=request_id, grid=tiles)
            return client.post("/processes/orthorectify/execution", json=body, headers=ana)

        first = ask("r1")
        assert first.headers["orthoburst-quota"].startswith("open-images;limit=3;used=1,")
        plan_all(system)
        assert client.get("/whoami", headers=ana).json()["usage"]["open_images"] == 2
        assert ask("r2").headers["orthoburst-quota"].startswith("open-images;limit=3;used=3,")
        refused = ask("r3")
        assert refused.status_code == 429
        assert refused.json()["detail"].startswith("you have 3 images under way and may have 3: this")
        client.delete(f"/jobs/{first.json()['jobID']}", headers=ana)
        assert ask("r3").status_code == 201

    def test_jobs_under_way_have_a_limit_of_their_own(self) -> None:
        system = make_system(max_open_jobs_per_user=2)
        client, ana = client_of(system), key_of(system, "ana")

        def ask(request_id: str) -> Any:
            return client.post("/processes/orthorectify/execution", json=order(request_id=request_id), headers=ana)

        first = ask("r1")
        assert first.headers["orthoburst-quota"] == "open-jobs;limit=2;used=1, cloud-eur;limit=10.000;used=0.000"
        assert ask("r1").headers["orthoburst-quota"].startswith("open-jobs;limit=2;used=1,"), "the same job"
        assert ask("r2").status_code == 201
        refused = ask("r3")
        assert (refused.status_code, refused.headers["retry-after"], refused.json()["limit"]) == (429, "30", 2)
        assert refused.headers["orthoburst-quota"] == "open-jobs;limit=2;used=2"
        assert len(client.get("/jobs", headers=ana).json()["jobs"]) == 2
        assert client.get("/whoami", headers=ana).json()["usage"]["open_jobs"] == 2
        client.delete(f"/jobs/{first.json()['jobID']}", headers=ana)
        assert client.get("/whoami", headers=ana).json()["usage"]["open_jobs"] == 1
        assert ask("r3").status_code == 201
        assert (
            client.post("/processes/orthorectify/execution", json=order(), headers=key_of(system, "ben")).status_code
            == 201
        )
        plan_all(system)  # of a product that is not there: they fail
        jobs = client.get("/jobs", headers=ana).json()["jobs"]
        failed = next(one["jobID"] for one in jobs if one["status"] == "failed")
        for request_id in ("r8", "r9"):
            assert ask(request_id).status_code == 201
        # a retry is work under way like any other
        assert client.post(f"/jobs/{failed}/retry", headers=ana).status_code == 429

    def test_a_row_whose_job_never_came_does_not_count_for_ever(self) -> None:
        system = make_system(max_open_jobs_per_user=1)
        client, ana = client_of(system), key_of(system, "ana")
        assert admit(system.ports, "ana", ["lost"], Quota(open_jobs=1)).open_jobs == 1
        body = order()
        assert client.post("/processes/orthorectify/execution", json=body, headers=ana).status_code == 429
        clock(system).advance(301)
        assert client.post("/processes/orthorectify/execution", json=body, headers=ana).status_code == 201

    def test_whoami_tells_limits_and_what_is_used(self, system: System, client: AsgiClient) -> None:
        assert reserve(system.ports, None, {"ana": Claim(2.5), "cleo": Claim(1.0)}, system.ports.clock.now())
        found = client.get("/whoami", headers=key_of(system, "ana")).json()
        nothing = {"open_jobs": None, "open_images": None}
        assert found["limits"] == {"calls_per_minute": 600, **nothing, "cloud_eur_per_month": 10}
        assert found["usage"] == {**nothing, "cloud_eur": 2.5}


def test_plain_users_see_their_own_costs_only(system: System, client: AsgiClient) -> None:
    assert reserve(system.ports, None, {"ana": Claim(2.0), "cleo": Claim(1.0)}, system.ports.clock.now())
    found = client.get("/costs", headers=key_of(system, "ana")).json()
    assert (found["budget_eur"], found["reserved_eur"], found["forecast_eur"]) == (10, 2, None)
    assert [one["user"] for one in found["users"]] == ["ana"]
    assert client.get("/costs?month=2020-01", headers=key_of(system, "ana")).json()["reserved_eur"] == 0
    of_all = client.get("/costs", headers=key_of(system, "root", Scope.OPERATE)).json()
    assert [one["user"] for one in of_all["users"]] == ["ana", "cleo"]


@pytest.mark.parametrize("path", ["/failed", "/rejected"])
def test_faults_of_all_are_operators_business(system: System, client: AsgiClient, path: str) -> None:
    assert client.get(path, headers=key_of(system, "ana")).status_code == 403
    assert client.get(path, headers=key_of(system, "root", Scope.OPERATE)).status_code == 200


def test_a_file_of_pools_that_cannot_be_used_shuts_nobody_out(system: System, client: AsgiClient) -> None:
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, b"pools: 7")
    assert client.get("/whoami", headers=key_of(system, "ana")).json()["groups"] == []


def test_every_route_but_the_public_ones_asks_who_calls(system: System) -> None:
    app = create_app(lambda: system)
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    open_to_all = {
        route.path
        for route in routes
        if not any(hasattr(one.call, "scope") for one in route.dependant.dependencies)
        and not route.path.startswith(PUBLIC_FOLDER)
    }
    assert open_to_all <= PUBLIC_PATHS
    client = client_of(system, "http://orthoburst.example")
    for path in PUBLIC_PATHS:
        assert client.get(path).status_code == 200, path
    for route in routes:
        if route.path not in PUBLIC_PATHS and not route.path.startswith(PUBLIC_FOLDER):
            for method in route.methods & {"GET", "POST", "DELETE"}:
                path = route.path.replace("{", "").replace("}", "")
                assert client._call(method, path).status_code == 401, (method, path)


def test_no_page_of_another_site_reads_an_answer(system: System, client: AsgiClient) -> None:
    answer = client.get("/jobs", headers={**key_of(system, "ana"), "Origin": "https://elsewhere.example"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]

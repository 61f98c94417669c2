"""API keys on real storage: the operator's command makes the first one, and the functions host takes it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from integration.storage import azure_ports
from localdev.servers import Azurite, FunctionsHost
from orthocontracts import names
from orthocontracts.requests import Request
from orthofunctions.domain.principals import Principal, Scope
from orthofunctions.domain.quotas import Quota
from orthofunctions.domain.records import KeyRecord
from orthofunctions.keys import main
from orthofunctions.provision import provision
from orthofunctions.usecases.expire import expire_job
from orthofunctions.usecases.jobs import open_job
from orthofunctions.usecases.keys import keys_of
from orthofunctions.usecases.quotas import admit, usage_of
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.visible import find_visible_job, shared_jobs

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Of its own: whether there is any key matters here."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        provision(server.connection_string)
        yield server


@pytest.fixture(autouse=True)
def settings(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHOBURST_STORAGE", azurite.connection_string)


def test_the_first_key_comes_from_the_command_and_opens_the_host(
    azurite: Azurite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = FunctionsHost(
        FUNCTIONS, tmp_path, {"AzureWebJobsStorage": azurite.connection_string}, arguments=["--stop-grace-s", "5"]
    )
    with host, httpx.Client(base_url=host.url, timeout=30) as http:
        assert http.get("/whoami").json()["via"] == "local"
        assert http.get("/conformance", headers={"Host": "orthoburst.example"}).status_code == 200
        assert http.get("/whoami", headers={"Host": "orthoburst.example"}).status_code == 401
        assert http.get("/whoami", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401

        file = tmp_path / "key"
        assert main(["make", "--user", "ana", "--scopes", "admin", "--name", "first", "--out", str(file)]) == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        key = file.read_text().strip()
        mine = {"Authorization": f"Bearer {key}"}
        shown = http.get("/whoami", headers=mine)
        assert (shown.json()["user"], shown.json()["via"]) == ("ana", "key")
        assert shown.headers["ratelimit-remaining"] == "599"

        made = http.post("/keys", json={"name": "robot", "scopes": ["submit"], "user": "robot"}, headers=mine).json()
        robot = {"Authorization": f"Bearer {made['key']}"}
        assert http.get("/whoami", headers=robot).json()["scopes"] == ["read", "submit"]
        listed = http.get("/keys", params={"everyone": True}, headers=mine).json()["keys"]
        assert {one["user"] for one in listed} == {"ana", "robot"}
        assert all("last_used" in one for one in listed)
        assert http.delete(f"/keys/{made['id']}", headers=mine).status_code == 200
        assert http.get("/whoami", headers=robot).status_code == 401
        capsys.readouterr()
        assert main(["list"]) == 0
        lines = capsys.readouterr().out
        assert "ana  admin,operate,read,submit  until it is revoked  first" in lines
        assert "revoked" in lines
        assert key not in lines


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["revoke", "0" * 12]) == 1
    assert "there is no key" in capsys.readouterr().err
    for arguments in (
        ["make", "--user", "Ana", "--name", "n"],
        ["make", "--user", "a", "--name", "n", "--scopes", "x"],
    ):
        with pytest.raises(SystemExit):
            main(arguments)
    monkeypatch.delenv("ORTHOBURST_STORAGE")
    monkeypatch.delenv("AzureWebJobsStorage", raising=False)
    assert main(["list"]) == 2


def test_a_key_is_made_listed_and_revoked_by_the_command(azurite: Azurite, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["make", "--user", "dora", "--name", "n", "--days", "1"]) == 0
    key = capsys.readouterr().out.strip()
    with azure_ports(azurite.connection_string) as ports:
        (record,) = keys_of(ports, "dora")
        assert record.expires_at is not None
        assert (record.expires_at - record.created_at).total_seconds() == pytest.approx(86_400, abs=5)
        assert key not in repr(list(ports.tables.query(names.TABLE_KEYS)))
        assert main(["revoke", record.digest[:12]]) == 0
        (record,) = keys_of(ports, "dora")
        assert record.revoked_at is not None
        assert list(find(ports.tables, KeyRecord, user="dora")) == [record]


def test_jobs_of_others_are_found_on_real_storage(azurite: Azurite) -> None:
    request = Request.model_validate(
        {"request_id": "r1", "user": "ana", "products": ["products/a.SAFE"], "shared_with": ["hydrology"]}
    )
    member = Principal("ben", frozenset({Scope.READ}), frozenset({"hydrology"}))
    with azure_ports(azurite.connection_string) as ports:
        job = open_job(ports, request, "http")
        assert open_job(ports, request, "http") == job
        assert find_visible_job(ports, member, job.job_id) == job
        assert find_visible_job(ports, Principal("cleo", frozenset({Scope.READ})), job.job_id) is None
        assert shared_jobs(ports, "hydrology") == [job]
        assert (
            admit(ports, "ana", [job.job_id, *(f"n{number}" for number in range(150))], Quota(open_jobs=200)).open_jobs
            == 150
        )
        assert usage_of(ports, "ana", Quota(open_outputs=200)).open_outputs == 150
        assert expire_job(ports, job.changed(planned=True))
        assert find_visible_job(ports, member, job.job_id) is None

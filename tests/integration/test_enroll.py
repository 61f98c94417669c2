"""A node's key stays on the node: enrolled by command, signed by the site's authority, let in by the site's broker."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.site_kit import INFRA, Authority, Client, SiteBroker
from localdev.servers.broker import default_kind
from orthoagent.cli import main
from orthoagent.enroll import ends_soon
from orthoagent.errors import AgentError
from orthocontracts import names


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteBroker]:
    if default_kind() != "mosquitto":
        pytest.skip("mosquitto is not installed")
    with SiteBroker(tmp_path_factory.mktemp("site")) as broker:
        yield broker


def enroll(node: Path, *more: object, agent: str = "node-17") -> int:
    return main(["enroll", agent, "--folder", str(node), *map(str, more)])


def signed(authority: Authority, node: Path, agent: str = "node-17", days: int = 7) -> Path:
    authority("sign", node / f"{agent}.csr", days)
    return node / f"{agent}.crt"


def files(node: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(node.iterdir())}


def test_an_enrolled_agent_is_let_in_and_stays_so_when_renewed(site: SiteBroker, tmp_path: Path) -> None:
    node, drop = tmp_path / "node", tmp_path / "drop"
    drop.mkdir()
    for turn in range(2):
        assert enroll(node, agent="rogue") == 0
        assert sorted(file.name for file in node.iterdir() if "csr" not in file.name)[-1] == "rogue.key.next"
        (drop / "rogue.csr").write_bytes((node / "rogue.csr").read_bytes())  # all that leaves the node
        certificate = signed(site.authority, drop, "rogue")
        if turn:
            Client(site.by_certificate("tls", (node / "rogue.crt", node / "rogue.key"))).close()  # the old one still
        assert enroll(node, "--certificate", certificate, "--authority", site.authority.ca, agent="rogue") == 0
        assert [file.name for file in sorted(node.iterdir())] == ["rogue.crt", "rogue.key"]
        assert stat.S_IMODE((node / "rogue.key").stat().st_mode) == 0o600
        client = Client(site.by_certificate("tls", (node / "rogue.crt", node / "rogue.key")))
        client.listen(names.topic_doorbell("rogue"))
        client.close()


def test_a_certificate_that_ends_soon_is_told_of(authority: Authority, tmp_path: Path) -> None:
    assert enroll(tmp_path / "node") == 0
    certificate = signed(authority, tmp_path / "node", days=7)
    assert ends_soon(certificate, 7.1 * 86_400)
    assert not ends_soon(certificate, 6.9 * 86_400)
    with pytest.raises(AgentError, match="openssl x509"):
        ends_soon(tmp_path / "nowhere", 1)


def test_what_does_not_fit_changes_nothing(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = tmp_path / "node"
    assert enroll(node) == 0
    enroll(node, "--certificate", signed(authority, node), "--authority", authority.ca)
    assert enroll(node) == 0
    before = files(node)
    other = tmp_path / "other"
    assert enroll(other) == 0
    assert enroll(other, agent="node-18") == 0
    stranger = Authority(tmp_path / "stranger")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "node-17.csr").write_bytes(before["node-17.csr"])
    (elsewhere / "none.crt").write_text("none")
    for certificate, says in (
        (signed(authority, other, "node-18"), "is a certificate of node-18, not of node-17"),
        (signed(authority, other), "was made for another key"),
        (signed(stranger, elsewhere), "openssl verify"),
        (elsewhere / "none.crt", "openssl x509"),
        (elsewhere / "nowhere.crt", "openssl x509"),
    ):
        capsys.readouterr()
        assert enroll(node, "--certificate", certificate, "--authority", authority.ca) == 1
        assert says in capsys.readouterr().err
        assert files(node) == before
    assert enroll(tmp_path / "empty", "--certificate", certificate) == 1
    assert "makes one" in capsys.readouterr().err
    assert enroll(tmp_path / "empty", agent="Node 17") == 1
    assert "is no agent's id" in capsys.readouterr().err


@pytest.mark.parametrize("subject", ["/CN=#", "/CN=node-1/CN=functions", "/O=site", "/CN=+"])
def test_names_that_are_none_are_not_signed(authority: Authority, tmp_path: Path, subject: str) -> None:
    request = tmp_path / "odd.csr"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "odd.key"]
    subprocess.run(
        ["openssl", "req", "-new", *key, "-subj", subject, "-out", request], check=True, capture_output=True, timeout=60
    )
    done = subprocess.run(
        [INFRA / "authority", "sign", request],
        cwd=authority.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "a client's name is an agent's id" in done.stderr
    assert not (tmp_path / "odd.crt").exists()

"""What a pool can take, and what a site's file may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orthofunctions.domain.pool_state import Basis, Coming, PoolState, pool_gone, pool_state
from orthofunctions.domain.pools import DEFAULT_SITE, PoolsFileError, PoolSpec, parse_site
from orthofunctions.domain.records import ActiveRecord, AgentRecord
from orthofunctions.domain.rules import Rules

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
RULES = Rules()
HPC = PoolSpec(name="hpc", kind="onprem", max_slots=10)
CLOUD = PoolSpec(name="cloud", kind="cloud", max_slots=10, startup_s=60, price_per_slot_hour_eur=0.3)


def agent(name: str, *, state: str = "online", silent_s: float = 0, slots: int = 2, running: str = "[]") -> AgentRecord:
    return AgentRecord(
        pool="hpc",
        agent=name,
        session="s",
        sequence=1,
        state=state,
        slots=slots,
        at=NOW,
        received_at=NOW - timedelta(seconds=silent_s),
        result_version=1,
        running=running,
    )


def hpc_state(*agents: AgentRecord, n_active: int = 0) -> PoolState:
    active = [
        ActiveRecord(
            job_id="j",
            release_key=f"t-{n}",
            task_id="t",
            release=n,
            pool="hpc",
            result_version=1,
            released_at=NOW,
            start_by=NOW,
        )
        for n in range(n_active)
    ]
    return pool_state(HPC, agents=agents, active=active, current_version=1, now=NOW, rules=RULES)


class TestCapacity:
    def test_live_workers_count_our_own_releases_not_their_word(self) -> None:
        state = hpc_state(agent("a"), agent("b", silent_s=89), agent("c", silent_s=91), n_active=3)
        assert (state.basis, state.slots, state.free(1)) == (Basis.ADVERTISED, {1: 4}, 1)

    def test_never_more_than_the_pool_may_have(self) -> None:
        assert hpc_state(agent("a", slots=500)).free(1) == 10

    def test_a_draining_worker_takes_nothing_but_keeps_what_it_runs(self) -> None:
        running = '[{"task_id":"t","release":1}]'
        assert hpc_state(agent("a", state="draining", running=running), agent("b", slots=1), n_active=1).free(1) == 1
        assert hpc_state(agent("a", state="draining")).free(1) == 0

    def test_silence_counts_as_before_then_as_all_then_as_none(self) -> None:
        known = [hpc_state(agent("a", silent_s=s)) for s in (250, 500, 700)]
        assert [(one.basis, one.free(1)) for one in known] == [
            (Basis.LAST_KNOWN, 2),
            (Basis.ASSUMED, 10),
            (Basis.NONE, 0),
        ]

    def test_pilots_in_a_schedulers_queue_are_expected_but_take_nothing(self) -> None:
        soon, late, silent, running = (
            agent("a", state="starting").changed(starts_at=NOW + timedelta(seconds=90)),
            agent("b", state="starting").changed(starts_at=NOW - timedelta(seconds=1)),
            agent("c", state="starting", silent_s=100).changed(starts_at=NOW + timedelta(seconds=90)),
            agent("d", state="starting"),
        )
        state = hpc_state(soon, late, silent, running)
        assert (state.basis, state.free(1)) == (Basis.NONE, 0)
        assert state.coming == (Coming(NOW.timestamp() + 90, 2, 1),)
        assert hpc_state(soon, agent("e")).free(1) == 2
        assert not pool_gone(HPC, [soon, agent("f", state="offline", silent_s=99)], NOW, RULES)

    def test_how_long_the_workers_last_that_could_take_a_release(self) -> None:
        short, long, forever = (
            agent("a", silent_s=10).changed(walltime_left_s=70.0),
            agent("b", silent_s=5).changed(walltime_left_s=300.0),
            agent("c"),
        )
        assert hpc_state(short).lasts_s == {1: 60}
        assert hpc_state(short, long).lasts_s == {1: 295}
        full = long.changed(running='[{"task_id":"t","release":1},{"task_id":"u","release":1}]')
        assert hpc_state(short, full).lasts_s == {1: 60}, "a worker that is full takes nothing"
        assert hpc_state(full).lasts_s == {1: 295}
        assert hpc_state(short, forever).lasts_s == {}

    def test_goodbye_is_not_silence(self) -> None:
        assert hpc_state(agent("a", state="offline")).free(1) == 0
        assert hpc_state().free(1) == 0
        gone, silent = agent("a", state="offline", silent_s=31), agent("b", silent_s=10_000)
        assert pool_gone(HPC, [gone], NOW, RULES)
        assert not pool_gone(HPC, [gone, silent], NOW, RULES), "its broker may be down"
        assert not pool_gone(HPC, [agent("a", state="offline", silent_s=5)], NOW, RULES), "it may be restarting"
        assert not pool_gone(HPC, [], NOW, RULES)
        assert not pool_gone(CLOUD, [gone], NOW, RULES), "containers leave when there is nothing to do"


SITE = b"""\
version: 1
stores:
  - name: blobs
    egress_eur_per_gb: 0.08
  - name: site
pools:
  - name: hpc
    kind: onprem
    max_slots: 64
    local: [blobs, site]
  - name: cloud      # the region next door
    kind: cloud
    max_slots: 20
    startup_s: 60
    price_per_slot_hour_eur: 0.2
everyone: {max_running: 200}
groups:
  - {name: floods, members: [ana, ben], weight: 3}
users:
  ben: {weight: 0.5, credits_eur: 10}
"""


class TestSiteFile:
    def test_default(self) -> None:
        assert parse_site(None) == DEFAULT_SITE
        assert [pool.kind for pool in DEFAULT_SITE.pools] == ["onprem", "cloud"]

    def test_yaml_and_json_are_both_read(self) -> None:
        site = parse_site(SITE)
        assert [pool.name for pool in site.pools] == ["hpc", "cloud"]
        assert parse_site(site.to_json().encode()) == site

    def test_a_user_has_their_own_share_else_their_groups_else_everyones(self) -> None:
        site = parse_site(SITE)
        assert (site.share_of("ben").weight, site.share_of("ana").weight, site.share_of("eva").weight) == (0.5, 3, 1)
        assert (site.share_of("ben").max_running, site.share_of("eva").max_running) == (None, 200)

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            (b"max_slots: 20", b"max_slots: -1", "line 13: pools.1.max_slots: .*greater than or equal to 0, found -1"),
            (b"kind: cloud", b"kind: clod", "line 12: pools.1.kind: .*'onprem' or 'cloud', found 'clod'"),
            (b"    kind: onprem\n", b"", "line 7: pools.0.kind: Field required"),
            (b"startup_s: 60", b"start_up: 60", "line 14: pools.1.start_up: Extra inputs are not permitted"),
            (b"[blobs, site]", b"[blobs, sites]", "names the store 'sites'; there are blobs, site"),
            (b"name: cloud ", b"name: hpc ", "a pool's name is used twice: hpc, hpc"),
            (b"weight: 0.5", b"weight: half", "line 20: users.ben.weight: .*number"),
            (b"max_slots: 64", b"max_slots: [64", r"line 1\d: .*expected YAML"),
            (b"version: 1", b"version: 2", "line 1: version: .*1, found 2"),
        ],
    )
    def test_refusals_name_line_field_and_what_was_expected(self, old: bytes, new: bytes, says: str) -> None:
        assert old in SITE
        with pytest.raises(PoolsFileError, match=says):
            parse_site(SITE.replace(old, new, 1))

    @pytest.mark.parametrize("text", [b"{", b"[]", b"", b"\xff", b"pools: []"])
    def test_no_site_at_all(self, text: bytes) -> None:
        with pytest.raises(PoolsFileError, match=r"settings/pools\.yaml is not usable: .+"):
            parse_site(text)

"""Spooled lines become rows of the ledger once, whatever happens between."""

import json
import subprocess
import sys
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from cim.db import closes, ledger
from cim.errors import MeterFull
from cim.metering.call import COLUMNS, Admitted, Call, Days, line_of
from cim.metering.shipper import connected, ship
from cim.metering.spool import HEAD, MAGIC, Damaged, Spool, closed_segments, lines_of
from cim.settings import Settings
from tests.conftest import ROOT, environment
from tests.metering.conftest import check_sums, empty, rows

ZONE = ZoneInfo("Asia/Shanghai")
DAYS = Days(ZONE)


def line(
    *,
    at: float | None = None,
    call_id: str | None = None,
    status: int = 200,
    outcome: str = "answered",
    organisation: str = "planning",
    service: str = "buildings",
    scenario: str = "",
) -> bytes:
    at = time.time() if at is None else at
    call = Call(service, organisation, "cim_abcd", "7", scenario)
    admitted = Admitted(call, call_id or str(uuid.uuid4()), DAYS.number(at), int(at * 1e6), 0.0)
    return line_of(admitted, status=status, outcome=outcome, sent_bytes=100, rows=2, duration_ms=1.25)


def ago(days: float) -> float:
    return time.time() - days * 86_400


@pytest.fixture
def settings(module_database_url: str, tmp_path: Path) -> Settings:
    """Settings of a node with this test's folder, and with nothing in the ledger."""
    empty(module_database_url)
    return Settings(database_url=module_database_url, data_dir=tmp_path)


def test_what_is_spooled_is_booked_once_however_often_it_is_shipped(spool: Spool, settings: Settings) -> None:
    lines = [
        line(),
        line(status=502, outcome="upstream-error"),
        line(status=403, outcome="refused"),
        line(scenario="s1"),
    ]
    for one in lines:
        spool.append(one)
    spool.seal()
    kept = next(spool.folder.glob("*.calls")).read_bytes()
    with connected(settings) as connection:
        assert ship(spool, connection, settings).new == 4
        (spool.folder / "0-again.calls").write_bytes(kept)
        again = ship(spool, connection, settings)
    assert (again.lines, again.new) == (4, 0)
    assert list(spool.folder.iterdir()) == []
    url = str(settings.database_url)
    assert rows(url, "SELECT sum(calls), sum(denied), sum(failed), sum(bytes), sum(rows) FROM cim.call_day") == [
        (3, 1, 1, 400, 8)
    ]
    check_sums(url)


def test_a_segment_part_of_which_is_booked_adds_the_rest(spool: Spool, settings: Settings) -> None:
    known = [line(), line(at=ago(1), status=500), line(status=401, outcome="refused")]
    for one in known:
        spool.append(one)
    spool.seal()
    with connected(settings) as connection:
        assert ship(spool, connection, settings).new == 3
        for one in (
            known[0] + line(),
            line(at=ago(1), outcome="upstream-timeout") + known[1],
            known[2],
            line(),
            line(at=ago(2)),
        ):
            spool.append(one)
        spool.seal()
        again = ship(spool, connection, settings)
    assert (again.lines, again.new) == (7, 4)
    url = str(settings.database_url)
    assert rows(url, "SELECT sum(calls), sum(denied), sum(failed) FROM cim.call_day") == [(6, 1, 2)]
    check_sums(url)


def test_texts_come_through_as_they_were(spool: Spool, settings: Settings) -> None:
    awkward = "a\tb\\c\nd\r=规划"
    spool.append(line(service=awkward + "\0"))
    spool.seal()
    with connected(settings) as connection:
        ship(spool, connection, settings)
    found = rows(str(settings.database_url), "SELECT service_id, duration_ms, received_at FROM cim.call")
    assert found[0][:2] == (awkward, pytest.approx(1.2, abs=0.06))
    assert abs(found[0][2].timestamp() - time.time()) < 30


def test_a_torn_tail_is_recognised_wherever_it_is_torn() -> None:
    first, second = line(), line()
    whole = MAGIC + b"".join(HEAD.pack(len(one), __import__("zlib").crc32(one)) + one for one in (first, second))
    for cut in range(len(MAGIC) + HEAD.size + len(first), len(whole)):
        assert lines_of(whole[:cut]) == [first]
    for cut in range(len(MAGIC)):
        assert lines_of(whole[:cut]) == []
    assert lines_of(whole) == [first, second]
    with pytest.raises(Damaged) as caught:
        lines_of(whole + b"\0" * 4096)
    assert caught.value.lines == [first, second]


def test_calls_that_are_written_together_are_each_booked_or_torn_together(spool: Spool, settings: Settings) -> None:
    spool.append(line() + line() + line(status=503))
    spool.append(line())
    spool.seal()
    [path] = spool.folder.iterdir()
    frames = lines_of(path.read_bytes())
    assert [len(one) / len(line()) for one in frames] == [3, 1]
    assert lines_of(path.read_bytes()[: len(MAGIC) + HEAD.size + len(frames[0]) - 1]) == []
    with connected(settings) as connection:
        assert (ship(spool, connection, settings).new, path.exists()) == (4, False)
    url = str(settings.database_url)
    assert rows(url, "SELECT sum(calls), sum(failed), count(*) FROM cim.call_day") == [(4, 1, 1)]
    check_sums(url)


def test_a_damaged_segment_is_set_aside_and_what_was_before_it_is_booked(spool: Spool, settings: Settings) -> None:
    for _ in range(3):
        spool.append(line())
    spool.seal()
    path = next(spool.folder.glob("*.calls"))
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with connected(settings) as connection:
        done = ship(spool, connection, settings)
    assert (done.new, done.damaged) == (2, 1)
    assert [one.suffix for one in spool.folder.iterdir()] == [".damaged"]


def test_a_line_that_the_database_does_not_take_stops_no_other(spool: Spool, settings: Settings) -> None:
    for one in (b"no call at all", line()[:-1], line() + b"\0", line(), line().replace(b"GET", b"G\xffT"), line()):
        spool.append(one)
        spool.seal()
    with connected(settings) as connection:
        done = ship(spool, connection, settings)
    assert (done.new, done.damaged) == (2, 4)
    check_sums(str(settings.database_url))


def test_a_segment_is_its_writers_until_the_writer_ends(spool: Spool, tmp_path: Path) -> None:
    spool.append(line())
    assert list(closed_segments(spool.folder)) == []
    code = (
        "import sys, os, signal; from pathlib import Path; from cim.metering.spool import Spool\n"
        "s = Spool(Path(sys.argv[1]), 10**6); s.open(); s.append(b'x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(spool.folder)], env=environment(PYTHONPATH=str(ROOT)), check=False, timeout=60
    )
    found = []
    for segment in closed_segments(spool.folder):
        found.append(lines_of(segment.read()))
    assert found == [[b"x"]]
    spool.close()


def test_a_full_spool_refuses_calls_and_a_shipped_one_takes_them_again(tmp_path: Path) -> None:
    small = Spool(tmp_path / "spool", 20_000)
    small.open()
    while True:
        try:
            small.check_room(3)
        except MeterFull:
            break
        small.append(line())
    assert 20_000 - 5 * 1024 < sum(path.stat().st_size for path in small.folder.iterdir()) <= 20_000
    small.close()
    for path in small.folder.iterdir():
        path.unlink()
    small.reckon()
    small.check_room(3)


def test_a_disk_that_takes_no_more_cuts_no_line_in_half(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: writes end in the middle of a frame, as they do on a full disk (F11)."""
    code = """
import resource, signal, sys
from pathlib import Path
from cim.errors import MeterFull
from cim.metering.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
spool = Spool(Path(sys.argv[1]), 10**9)
spool.open()
written = 0
try:
    while True:
        spool.append(b"y" * 92)
        written += 1
except MeterFull:
    pass
try:
    spool.check_room(0)
    sys.exit("took a call")
except MeterFull:
    print(written)
"""
    folder = tmp_path / "spool"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "9", done.stderr
    assert [len(lines_of(path.read_bytes())) for path in folder.glob("*.calls")] == [9]


def test_calls_outside_the_window_go_to_quarantine_and_no_default_partition(spool: Spool, settings: Settings) -> None:
    for at in (ago(46.5), time.time() + 3 * 86_400, ago(1), ago(20)):
        spool.append(line(at=at))
    spool.seal()
    url = str(settings.database_url)
    with connected(settings) as connection:
        assert ship(spool, connection, settings).new == 2
    assert len(rows(url, "SELECT * FROM cim.call_quarantine")) == 2
    assert rows(url, "SELECT sum(calls) FROM cim.call_day") == [(2,)]
    names = [
        row[0]
        for row in rows(url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'cim.call'::regclass")
    ]
    assert sorted(names) == sorted(f"cim.call_{DAYS.of(at).replace('-', '')}" for at in (ago(1), ago(20)))
    check_sums(url)


def test_calls_in_quarantine_are_released_to_the_first_open_day_once(spool: Spool, settings: Settings) -> None:
    url = str(settings.database_url)
    old = line(at=ago(60))
    with connected(settings) as connection:
        for booked in (1, 0):
            spool.append(old)
            spool.seal()
            ship(spool, connection, settings)
            assert ledger.release(connection) == booked
    [(day, received)] = rows(url, "SELECT day, received_at FROM cim.call")
    assert day >= date.fromisoformat(DAYS.of(ago(1)))
    assert abs(received.timestamp() - ago(60)) < 60
    check_sums(url)


def test_a_late_call_is_booked_on_the_first_open_day_once(spool: Spool, settings: Settings) -> None:
    url = str(settings.database_url)
    early, late = line(at=ago(2)), line(at=ago(2))
    spool.append(early)
    spool.seal()
    with connected(settings) as connection:
        ship(spool, connection, settings)
        closes.close_due(connection, DAYS, time.time())
        before = rows(url, "SELECT * FROM cim.call_close")
        assert len(before) == 2
        for _ in range(2):
            spool.append(late)
            spool.append(early)
            spool.seal()
            ship(spool, connection, settings)
        assert closes.verify(connection) is None
    today = date.fromisoformat(DAYS.of(time.time()))
    assert rows(url, "SELECT day, count(*) FROM cim.call GROUP BY 1 ORDER BY 1") == [
        (today - timedelta(days=2), 1),
        (today, 1),
    ]
    assert rows(url, "SELECT day, booked_on FROM cim.call_late") == [(today - timedelta(days=2), today)]
    assert rows(url, "SELECT * FROM cim.call_close") == before


TAMPERED = (
    ("its calls were changed", "UPDATE cim.call SET bytes = bytes + 1 WHERE day = {day}"),
    ("its sums were changed", "UPDATE cim.call_day SET calls = calls - 1 WHERE day = {day}"),
    ("its sums were changed", "UPDATE cim.call_day SET free_bytes = free_bytes + 1 WHERE day = {day}"),
    ("its close was changed", "UPDATE cim.call_close SET calls = calls + 1 WHERE day = {day}"),
    ("a close before it is missing", "DELETE FROM cim.call_close WHERE day = {before}"),
)


@pytest.mark.parametrize(("why", "change"), TAMPERED)
def test_the_first_broken_day_is_named(spool: Spool, settings: Settings, why: str, change: str) -> None:
    url = str(settings.database_url)
    for days in (5, 4, 3, 2, 1):
        spool.append(line(at=ago(days)))
    spool.seal()
    day = date.fromisoformat(DAYS.of(ago(3)))
    with connected(settings) as connection:
        ship(spool, connection, settings)
        assert len(closes.close_due(connection, DAYS, time.time())) == 5
        assert closes.close_due(connection, DAYS, time.time()) == []
        assert closes.verify(connection) is None
        last = list(closes.all_closes(connection))[-1]
        statement = change.format(day=f"'{day}'", before=f"'{day - timedelta(days=1)}'")
        connection.execute(statement.encode())
        found = closes.verify(connection)
        assert found is not None
        assert (found.day, found.why) == (day, why)
        connection.execute(b"DELETE FROM cim.call_close WHERE number > 1")
        missing = closes.verify(connection, anchor=(5, last[1]))
        assert missing is not None
        assert "missing" in missing.why
    assert rows(url, "SELECT count(*) FROM cim.call_close") == [(1,)]


def test_old_calls_are_dropped_and_their_sums_and_closes_stay(spool: Spool, settings: Settings) -> None:
    url = str(settings.database_url)
    for days in (30, 29, 1):
        spool.append(line(at=ago(days)))
    spool.seal()
    with connected(settings) as connection:
        ship(spool, connection, settings)
        assert ledger.drop_old(connection, 10) == []  # no day is closed
        closes.close_due(connection, DAYS, time.time())
        assert len(ledger.drop_old(connection, 10)) == 2
        assert closes.verify(connection) is None
        assert rows(url, "SELECT count(*), (SELECT sum(calls) FROM cim.call_day) FROM cim.call") == [(1, 3)]


def test_a_digest_can_be_made_by_others(spool: Spool, settings: Settings) -> None:
    """What docs/metering.md says of `rows_digest`, made by psql's own COPY and sha256."""
    import hashlib

    at = ago(1)
    for n in range(5):
        spool.append(line(at=at + n))
    spool.seal()
    with connected(settings) as connection:
        ship(spool, connection, settings)
        closes.close_due(connection, DAYS, time.time())
    statement = (
        "SELECT concat_ws(E'\\t', call_id, organisation_id, round(extract(epoch FROM received_at) * 1000000), service_id, key_prefix, "
        "grant_id, scenario_id, method, status, outcome, bytes, rows, duration_ms, origin) FROM cim.call "
        "WHERE day = %s ORDER BY call_id"
    )
    url = str(settings.database_url)
    day, digest = rows(url, "SELECT day, rows_digest FROM cim.call_close")[0]
    text = "".join(f"{row[0]}\n" for row in rows(url, statement, day))
    assert hashlib.sha256(text.encode()).digest() == digest


def test_a_day_is_that_of_the_platform() -> None:
    days = Days(ZONE)
    before = datetime(2026, 11, 25, 15, 59, 59, tzinfo=UTC).timestamp()
    assert [days.of(before), days.of(before + 1)] == ["2026-11-25", "2026-11-26"]
    assert days.ends(before) == before + 1
    assert Days(ZoneInfo("America/New_York")).of(before) == "2026-11-25"
    assert len(COLUMNS) == 15


def test_the_command_closes_days_verifies_them_and_notes_them_in_the_audit(
    spool: Spool, database_url: str, tmp_path: Path, cim
) -> None:
    url = database_url
    for days in (2, 1):
        spool.append(line(at=ago(days)))
    spool.seal()
    folder = str(tmp_path)
    assert json.loads(cim("meter", "ship", "--json", CIM_DATA_DIR=folder).out) == {
        "segments": 1,
        "lines": 2,
        "new": 2,
        "damaged": 0,
    }
    closed = json.loads(cim("meter", "close", "--json").out)["closed"]
    assert [(one["number"], one["calls"]) for one in closed] == [(1, 1), (2, 1)]
    status = json.loads(cim("meter", "status", "--json", CIM_DATA_DIR=folder).out)
    assert (status["calls"], status["last_number"], status["last_digest"]) == (2, 2, closed[1]["digest"])
    noted = f"2:{closed[1]['digest']}"
    assert cim("meter", "verify", "--anchor", noted).code == 0
    assert rows(url, "SELECT subject_id, detail->>'digest' FROM cim.audit WHERE event = 'close' ORDER BY number") == [
        (one["day"], one["digest"]) for one in closed
    ]
    rows(url, "UPDATE cim.call SET service_id = 'other' WHERE day = %s RETURNING 1", closed[0]["day"])
    broken = cim("meter", "verify", "--json")
    assert (broken.code, json.loads(broken.out)["day"]) == (1, closed[0]["day"])


@pytest.mark.parametrize("table", ["call", "call_day", "call_minute", "call_close", "partition"])
def test_the_sessions_of_the_api_cannot_change_the_ledger(spool: Spool, settings: Settings, table: str) -> None:
    spool.append(line(at=ago(1)))
    spool.seal()
    with connected(settings) as connection:
        ship(spool, connection, settings)
        closes.close_due(connection, DAYS, time.time())
        name = f"call_{DAYS.of(ago(1)).replace('-', '')}" if table == "partition" else table
        connection.execute(b"SET ROLE cim_app")
        assert connection.execute(f"SELECT count(*) FROM cim.{name}".encode()).fetchone() == (1,)
        for statement in ("DELETE FROM cim.{}", "UPDATE cim.{} SET day = day"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.format(name).encode())

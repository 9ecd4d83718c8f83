"""What the machine is, how busy it is, and how fast."""

import subprocess
import sys
import time

import pytest

from ganzoo.benchmark import machine
from ganzoo.benchmark.machine import Ceiling, Load, cpu_name, measure_ceiling


def test_the_processor_is_named(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Fast 9000\nflags\t\t: fpu avx2 avx512_bf16\n\n")
    monkeypatch.setattr(machine, "CPUINFO", info)
    assert cpu_name() == "Fast 9000, avx2, avx512_bf16"
    info.unlink()
    assert cpu_name()


def test_other_work_is_what_the_machine_did_beyond_our_own(tmp_path, monkeypatch):
    stat, clock = tmp_path / "stat", [100.0]
    monkeypatch.setattr(machine, "STAT", stat)
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 100)
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clock[0])
    # user nice system idle iowait irq softirq steal guest guest_nice, in hundredths of a second
    stat.write_text("cpu  1000 0 100 5000 50 1 2 3 999 999\ncpu0 1 2 3\n")
    before = Load.now()
    assert before.busy == 11.06
    stat.write_text("cpu  1400 100 150 9000 999 1 2 53 999 999\ncpu0 1 2 3\n")
    clock[0] = 104.0
    assert before.other_work(own=2.0) == pytest.approx((6.0 - 2.0) / 4)
    assert before.other_work(own=7.0) == 0.0  # two clocks need not agree
    stat.unlink()
    assert Load.now().busy is None
    assert before.other_work(own=0.0) is None


@pytest.mark.skipif(not machine.STAT.exists(), reason="Linux tells of other work")
def test_our_own_work_is_not_other_work():
    load, start = Load.now(), time.process_time()
    while time.process_time() - start < 0.3:
        pass
    own = time.process_time() - start
    assert load.other_work(own) < load.other_work(0.0)


@pytest.mark.skipif(not machine.STATUS.exists(), reason="Linux tells of peak memory")
def test_peak_memory_stays_after_the_memory_is_freed():
    code = (
        "from ganzoo.benchmark.machine import peak_memory\n"
        "before = peak_memory('cpu')\n"
        "block = b'x' * 100_000_000\n"
        "now = peak_memory('cpu')\n"
        "del block\n"
        "print(now - before, peak_memory('cpu') - before)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    now, later = map(int, shown.split())
    assert 95_000_000 < now < 110_000_000
    assert 95_000_000 < later < 110_000_000


def test_a_ceiling_is_operations_by_time(monkeypatch):
    times = iter([2.0, 1.0, 4.0] + [0.5] * 8)
    monkeypatch.setattr(machine, "_least_seconds", lambda work, device, seconds: work() is not None and next(times))
    found = measure_ceiling("cpu", lower=False)
    assert found.product == max(2 * 512**3 / 2.0, 2 * 1024**3 / 1.0, 2 * 2048**3 / 4.0)
    assert found.convolution == 2 * 4 * 256 * 256 * 32 * 32 * 9 / 0.5  # the largest of the shapes


def test_the_best_of_two_ceilings():
    assert Ceiling(3.0, 2.0).best == Ceiling(2.0, 3.0).best == 3.0


def test_the_fastest_trial_counts():
    took = iter([0.05, 0.02, 0.05])
    calls = []

    def work() -> None:
        calls.append(0)
        time.sleep(next(took, 0.05))

    assert 0.02 <= machine._least_seconds(work, "cpu", 0.1) < 0.045
    assert len(calls) >= 3  # one to warm up

# SPDX-License-Identifier: GPL-2.0-or-later
"""An update's report as lines of text, with what L0 saw beside it."""

WIDTH = 46


def draw(report, seen=None):
    """Bars over the update's phases and the guests' blackouts; times in seconds since it began."""
    total = max([p["start_usec"] + p["duration_usec"] for p in report["phases"]] + [report["duration_usec"], 1])
    rows = [f"update {report['from']} → {report['to']}: {report['result']}, {report['duration_usec'] / 1e6:.2f} s in all"]

    def bar(start, length, char):
        first = int(start * WIDTH / total)
        size = max(1, round(length * WIDTH / total))
        return (" " * first + char * size)[:WIDTH].ljust(WIDTH)

    for phase in report["phases"]:
        start, length = phase["start_usec"], phase["duration_usec"]
        rows.append(f"  {phase['name']:12} {phase['kernel']:3} │{bar(start, length, '█')}│ {start / 1e6:8.3f} +{length / 1e6:.3f} s")
    for vm in report["vms"]:
        if vm.get("pause_usec") is None or vm.get("resume_usec") is None:
            rows.append(f"  {vm['name']:12} {vm['result']}")
            continue
        start, length = vm["pause_usec"], vm["resume_usec"] - vm["pause_usec"]
        outside = f", seen from outside {seen[vm['name']]:.3f} s" if seen and vm["name"] in seen else ""
        rows.append(f"  {vm['name']:12} VM  │{bar(start, length, '░')}│ stood still {length / 1e6:.3f} s{outside}")
    return rows

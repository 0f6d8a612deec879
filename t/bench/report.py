#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""report.py CSV SVG: medians over the rounds as a table, ratios to QEMU's storage daemon, and a picture."""
import csv
import statistics
import sys

FIGURES = [("iops", "IOPS"), ("p50_us", "p50 us"), ("p99_us", "p99 us"), ("cpu_us_per_io", "CPU us per I/O")]
NAMES = {"qemu": "qemu-storage-daemon, 1 path", "mpiod-1": "mpiod, 1 path",
         "nbdkit": "nbdkit plugin, 1 path"}
COLOURS = ["#8c8c8c", "#a6cee3", "#4f9bc8", "#1f5f8b", "#e0a050", "#333333"]


def name(server):
    return NAMES.get(server, "mpiod, %s paths" % server.rpartition("-")[2])


def load(path):
    """{(size, mode, depth): {server: {figure: median}}}, in the order of the file, and the number of rounds."""
    runs, rounds = {}, 0
    with open(path, newline="") as f:
        for row in csv.DictReader(f):
            cell = runs.setdefault((row["size"], row["mode"], row["depth"]), {})
            figures = cell.setdefault(row["server"], {})
            for key, _ in FIGURES:
                figures.setdefault(key, []).append(float(row[key]))
            rounds = max(rounds, int(row["round"]))
    medians = {cell: {server: {key: statistics.median(v) for key, v in figures.items()}
                      for server, figures in sorted(servers.items(), key=lambda s: (s[0] != "qemu", s[0]))}
               for cell, servers in runs.items()}
    return medians, rounds


def table(medians, rounds):
    print("Medians of %d rounds; in brackets the ratio to qemu-storage-daemon in the same rounds\n" % rounds)
    for (size, mode, depth), servers in medians.items():
        print("%s %s, depth %s" % (size, mode, depth))
        print("  %-28s %9s %8s %9s %9s %15s %8s" % ("", "IOPS", "", "p50 us", "p99 us", "CPU us per I/O", ""))
        base = servers.get("qemu")
        for server, f in servers.items():
            ratio = {k: "(%.2f)" % (f[k] / base[k]) if base and server != "qemu" and base[k] else ""
                     for k in ("iops", "cpu_us_per_io")}
            print("  %-28s %9.0f %8s %9.0f %9.0f %15.1f %8s" % (
                name(server), f["iops"], ratio["iops"], f["p50_us"], f["p99_us"], f["cpu_us_per_io"],
                ratio["cpu_us_per_io"]))
        print()


def goals(medians):
    """What the project wants: mpiod with one path beside the storage daemon."""
    def ratio(size, mode, depth, key):
        servers = medians.get((size, mode, depth), {})
        if "qemu" not in servers or "mpiod-1" not in servers:
            return None
        return servers["mpiod-1"][key] / servers["qemu"][key]
    for mode in ("randread", "randwrite"):
        cpu, iops = ratio("4k", mode, "32", "cpu_us_per_io"), ratio("4k", mode, "1", "iops")
        if cpu is not None:
            print("goal: CPU per 4k %s at depth 32 at most 0.45 of it: %.2f  %s" % (
                mode, cpu, "reached" if cpu <= 0.45 else "missed"))
        if iops is not None:
            print("goal: IOPS of 4k %s at depth 1 at least 2.0 of it: %.2f  %s" % (
                mode, iops, "reached" if iops >= 2 else "missed"))


def svg(medians, rounds, path):
    """Bars: a row of charts for each of IOPS and CPU, a group of bars for each cell, scaled by cell to the largest."""
    servers = list(dict.fromkeys(s for cell in medians.values() for s in cell))
    bar, gap, left, high = 22, 26, 20, 150
    group = bar * len(servers) + gap
    width = left * 2 + group * len(medians)
    out = []

    def text(x, y, s, size=11, anchor="middle"):
        out.append('<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s">%s</text>' % (x, y, size, anchor, s))

    top = 30
    text(left, top - 8, "mpiod and qemu-storage-daemon on the same tgtd: medians of %d rounds" % rounds, 14, "start")
    x = left
    for i, server in enumerate(servers):
        out.append('<rect x="%d" y="%d" width="12" height="12" fill="%s"/>' % (x, top + 4, COLOURS[i % len(COLOURS)]))
        text(x + 16, top + 14, name(server), 11, "start")
        x += 200
    top += 30
    for key, title in (("iops", "IOPS (more is better)"), ("cpu_us_per_io", "CPU us per I/O (less is better)")):
        text(left, top + 16, title, 13, "start")
        base = top + 40 + high
        for c, ((size, mode, depth), cell) in enumerate(medians.items()):
            x0 = left + c * group
            most = max(f[key] for f in cell.values()) or 1
            for i, server in enumerate(servers):
                if server not in cell:
                    continue
                v = cell[server][key]
                h = v / most * high
                out.append('<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="%s"/>' % (
                    x0 + i * bar, base - h, bar - 2, h, COLOURS[i % len(COLOURS)]))
                shown = "%.1fk" % (v / 1000) if v >= 1000 else "%.0f" % v if v >= 100 else "%.1f" % v
                text(x0 + i * bar + bar / 2 - 1, base - h - 3, shown, 8)
            text(x0 + (group - gap) / 2, base + 14, "%s %s" % (size, mode.replace("rand", "")), 11)
            text(x0 + (group - gap) / 2, base + 27, "depth %s" % depth, 10)
        top = base + 36
    with open(path, "w") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif">\n'
                '<rect width="100%%" height="100%%" fill="white"/>\n%s\n</svg>\n' % (width, top, "\n".join(out)))


def main():
    medians, rounds = load(sys.argv[1])
    table(medians, rounds)
    goals(medians)
    svg(medians, rounds, sys.argv[2])
    print("Every run: %s   picture: %s" % (sys.argv[1], sys.argv[2]))


main()

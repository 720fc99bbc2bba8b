"""table: figures for a terminal. An object goes to the first table whose `bench` it has."""

# bench: [(heading, field, format)]
COLUMNS = {
    "path": [
        ("path", "path", "{:<18}"), ("bytes", "frame_bytes", "{:>5.0f}"),
        ("clients", "clients", "{:>7.0f}"), ("access", "access", "{:>9}"),
        ("flows", "flows", "{:>8.0f}"), ("names", "names", "{:>6.0f}"), ("sess.", "sessions", "{:>5.0f}"),
        ("burst", "burst", "{:>5.0f}"), ("rec/dg", "records_per_datagram", "{:>6.1f}"),
        ("cycles", "cycles_min", "{:>6.0f}"), ("median", "cycles_median", "{:>6.0f}"),
        ("floor", "aead_floor", "{:>6.0f}"), ("over", "overhead", "{:>6.0f}"),
        ("ratio", "ratio", "{:>6.2f}"), ("Mpps", "mpps", "{:>6.2f}"),
        ("%10G", "percent_of_10g", "{:>6.1f}"), ("%25G", "percent_of_25g", "{:>6.1f}"),
        ("%100G", "percent_of_100g", "{:>6.1f}"),
    ],
    "aead": [
        ("AEAD alone", "subject", "{:<27}"), ("bytes", "bytes", "{:>5.0f}"),
        ("keys", "keys", "{:>6.0f}"), ("seal", "seal_cycles_min", "{:>6.0f}"),
        ("median", "seal_cycles_median", "{:>6.0f}"), ("open", "open_cycles_min", "{:>6.0f}"),
        ("median", "open_cycles_median", "{:>6.0f}"),
    ],
    "dns": [
        ("DNS core", "subject", "{:<18}"), ("names", "names", "{:>7.0f}"), ("clients", "clients", "{:>7.0f}"),
        ("cycles", "cycles_min", "{:>6.0f}"), ("median", "cycles_median", "{:>6.0f}"),
    ],
}


def _cell(layout, value):
    width = len(layout.format(0.0 if "f}" in layout else ""))
    if value is None:
        return "-".rjust(width)
    return layout.format(value)


def _generic(rows):
    fields = list(dict.fromkeys(k for row in rows for k in row if k != "bench"))
    return [(f, f, f"{{:>{max(len(f), 8)}}}") for f in fields]


def show(objects):
    for bench in dict.fromkeys(o["bench"] for o in objects):
        rows = [o for o in objects if o["bench"] == bench]
        columns = COLUMNS.get(bench) or _generic(rows)
        print()
        print(" ".join(_cell(layout.replace(".0f", "").replace(".1f", "").replace(".2f", ""), name)
                       if "<" in layout else name.rjust(len(_cell(layout, None)))
                       for name, _, layout in columns))
        for row in rows:
            print(" ".join(_cell(layout, row.get(field)) for _, field, layout in columns))


def show_nodes(objects):
    """Where the cycles of each path go, for the first size of each."""
    for o in objects:
        nodes = {k[5:]: v for k, v in o.items() if k.startswith("node.") and v >= 0.5}
        if not nodes:
            continue
        print(f"\n{o['path']}, {o['frame_bytes']} B, {o.get('flows', '-')} flows, "
              f"{o['sessions']} sessions:")
        for name, cycles in sorted(nodes.items(), key=lambda n: -n[1]):
            print(f"  {name:<20} {cycles:7.1f}")

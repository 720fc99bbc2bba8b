"""plot: lines in SVG, drawn with nothing but this."""
import math

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 44, 52
COLOURS = ("#1f6fb4", "#d1495b", "#2a9d5c", "#8a5fbf", "#e08e2b", "#4a4a4a", "#13a3a3", "#b0507f")


def _steps(top):
    """Round numbers from 0 to a little above `top`, about five of them."""
    raw = top / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    return [i * step for i in range(int(math.ceil(top / step)) + 1)]


def _short(n):
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:g} {letter}"
    return f"{n:g}"


def _text(x, y, text, anchor="middle", size=12, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {extra}>'
            f'{text}</text>')


def draw(path, title, x_label, y_label, lines):
    """`lines`: {name: [(x, y)]}. x is logarithmic: sizes here go by factors."""
    xs = sorted({x for points in lines.values() for x, _ in points})
    ys = _steps(max(y for points in lines.values() for _, y in points))
    low, high = math.log(xs[0]), math.log(xs[-1])

    def at_x(x):
        share = (math.log(x) - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(y):
        return HEIGHT - BOTTOM - y / ys[-1] * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" fill="#222">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           _text(LEFT, 24, title, "start", 15, 'font-weight="bold"')]
    for y in ys:
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}" '
                   'stroke="#ddd"/>')
        out.append(_text(LEFT - 8, at_y(y) + 4, _short(y), "end"))
    for x in xs:
        out.append(f'<line x1="{at_x(x):.1f}" x2="{at_x(x):.1f}" y1="{HEIGHT - BOTTOM}" '
                   f'y2="{HEIGHT - BOTTOM + 5}" stroke="#222"/>')
        out.append(_text(at_x(x), HEIGHT - BOTTOM + 20, _short(x)))
    out.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label))
    out.append(_text(0, 0, y_label, "middle", 12,
                     f'transform="translate(16,{(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"'))
    for i, (name, points) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        spots = [(at_x(x), at_y(y)) for x, y in sorted(points)]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
                   + " ".join(f"{x:.1f},{y:.1f}" for x, y in spots) + '"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
        y = TOP + 14 + i * 20
        out.append(f'<line x1="{WIDTH - RIGHT + 14}" x2="{WIDTH - RIGHT + 34}" y1="{y - 4}" '
                   f'y2="{y - 4}" stroke="{colour}" stroke-width="2"/>')
        out.append(_text(WIDTH - RIGHT + 40, y, name, "start"))
    out.append("</svg>")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")


def by_path(objects, field):
    """{path: [(field, cycles)]}"""
    lines = {}
    for o in objects:
        if o["bench"] == "path" and field in o:
            lines.setdefault(o["path"], []).append((o[field], o["cycles_min"]))
    return lines

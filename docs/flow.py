"""Flow: the data flow of a method, written as chains of arrows, drawn as SVG that needs no script.

`a -> b` is drawn as an arrow, `a ~> b` as a dashed one (no gradient), and `a ~EMA~> b` as a dashed one with a word,
which does not count for the order of the columns.
"""

import html
import re
import textwrap

WIDTH, HEIGHT, GAP, SPACE = 108, 46, 30, 30  # of a box; between columns; between rows
ARROW = re.compile(r"\s+(->|~>|~[^~>]+~>)\s+")


def svg(lines):
    """A `<div>` with the picture; ValueError where a line is no chain of arrows."""
    edges = [edge for line in lines for edge in chain(line)]
    places = layout(lines, edges)
    columns, rows = (1 + max(place[axis] for place in places.values()) for axis in (0, 1))
    width, height = columns * (WIDTH + GAP) - GAP + 4, rows * (HEIGHT + SPACE) - SPACE + 4
    drawn = [arrow(places[start], places[end], kind) for start, end, kind in edges]
    drawn += [box(name, *corner(place)) for name, place in places.items()]
    label = html.escape("; ".join(lines), quote=True)
    return (
        f'<div class="flow"><svg role="img" aria-label="{label}" viewBox="-2 -2 {width} {height}" '
        f'style="width:{width}px;min-width:{min(width, 520)}px">{HEADS}{"".join(drawn)}</svg></div>'
    )


def chain(line):
    names_and_arrows = ARROW.split(line.strip())
    if len(names_and_arrows) < 3:
        raise ValueError(f"A line of a flow is a chain of boxes and arrows. Received: {line!r}")
    names, arrows = names_and_arrows[::2], names_and_arrows[1::2]
    return list(zip(names, names[1:], arrows))


def layout(lines, edges):
    """Column and row of each box: as far right as the longest way to it, in the row of the line that names it first."""
    forward = [(start, end) for start, end, kind in edges if kind in ("->", "~>")]
    names = list(dict.fromkeys(name for edge in edges for name in edge[:2]))
    columns = dict.fromkeys(names, 0)
    for _ in names:
        for start, end in forward:
            columns[end] = max(columns[end], columns[start] + 1)
    for name in names:  # what comes in late stands beside what it feeds
        if name not in [end for _, end in forward]:
            columns[name] = min((columns[end] - 1 for start, end in forward if start == name), default=0)
    places, row = {}, 0
    for line in lines:
        new = [name for name in dict.fromkeys(ARROW.split(line.strip())[::2]) if name not in places]
        while any((columns[name], row) in places.values() for name in new):
            row += 1
        places |= {name: (columns[name], row) for name in new}
        row += bool(new)
    return places


def corner(place):
    return place[0] * (WIDTH + GAP), place[1] * (HEIGHT + SPACE)


def box(name, x, y):
    lines = textwrap.wrap(name, 17)
    top = y + HEIGHT / 2 + 4.5 - 7 * (len(lines) - 1)
    text = "".join(
        f'<text x="{x + WIDTH / 2:g}" y="{top + 14 * number:g}">{html.escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>{text}'


def arrow(start, end, kind):
    (x, y), (to_x, to_y) = corner(start), corner(end)
    label = kind.strip("~>-").strip()
    if label:
        return labeled(x, y, to_x, to_y, label)
    x, y, to_y = x + WIDTH, y + HEIGHT / 2, to_y + HEIGHT / 2
    bend = f"C {{0}} {y:g} {{0}} {to_y:g}"
    if y >= to_y:  # along the lower row, which is the emptier one, and up before the end
        path = f"M {x} {y:g} H {to_x - GAP} " + bend.format(to_x - GAP / 2) + f" {to_x} {to_y:g}"
    else:
        path = f"M {x} {y:g} " + bend.format(x + GAP / 2) + f" {x + GAP} {to_y:g} H {to_x}"
    return f'<path d="{path}" marker-end="url(#head)"{DASHED if kind == "~>" else ""}/>'


def labeled(x, y, to_x, to_y, label):
    """From the bottom of one box to the top of the other, or the other way round; side by side, around below."""
    if y == to_y:
        x, to_x, y = x + WIDTH / 2, to_x + WIDTH / 2, y + HEIGHT
        path = f"M {x:g} {y} C {x:g} {y + 24} {to_x:g} {y + 24} {to_x:g} {y}"
        middle = (x + to_x) / 2, y + 24
    else:
        down = to_y > y
        x, to_x = x + WIDTH / 2 + 12, to_x + WIDTH / 2 + 12
        y, to_y = (y + HEIGHT, to_y) if down else (y, to_y + HEIGHT)
        middle = (x + to_x) / 2, (y + to_y) / 2
        path = f"M {x:g} {y} C {x:g} {middle[1]:g} {to_x:g} {middle[1]:g} {to_x:g} {to_y}"
    text = f'<text class="label" x="{middle[0] + 6:g}" y="{middle[1] + 4:g}">{html.escape(label)}</text>'
    return f'<path d="{path}" marker-end="url(#head)"{DASHED}/>{text}'


DASHED = ' stroke-dasharray="4 3"'
HEADS = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="head" d="M 0 0 L 8 4 L 0 8 z"/></marker></defs>'
)

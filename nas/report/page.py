"""One offline HTML page: the report's sections around an inlined plotly.js, with its data embedded.

A content security policy in the page forbids it to load anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from nas.report.content import ReportData
from nas.report.drawing import kinds_of, scan_directions_of, templates
from nas.report.embedding import embedded
from nas.report.html import embed_json
from nas.report.scan_grid import scan_symbols
from nas.report.sections.order import SECTIONS, Section

SCRIPTS = ("page.js", "tables.js", "card.js")


def render(data: ReportData) -> str:
    """Return the whole report as the text of one HTML file that loads nothing from elsewhere."""
    from plotly.offline import get_plotlyjs

    values, blocks = embedded(data)
    searches = (data, *data.others)
    rows = [row for search in searches for row in (*search.evaluations, *search.front, *search.presets)]
    return Template(resource("page.html")).substitute(
        title=escape(data.title),
        style=resource("page.css"),
        script="\n".join(resource(name) for name in SCRIPTS),
        plotly=get_plotlyjs(),
        navigation="".join(
            f'<li><a href="#{section.name}">{section.name.capitalize()}</a></li>' for section in SECTIONS
        ),
        switch=switch([search.device for search in searches]),
        sections="\n".join(section_html(section, searches) for section in SECTIONS),
        symbols=scan_symbols(scan_directions_of(rows)),
        templates=templates(blocks, kinds_of(rows)),
        data=embed_json(values),
    )


def switch(devices: Sequence[str]) -> str:
    """Return radio buttons that choose whose search the page shows; nothing for one device. Scripts show them."""
    if len(devices) == 1:
        return ""
    buttons = "".join(
        f'<label><input type="radio" name="device" value="{escape(device)}"{" checked" * (place == 0)}>'
        f"{escape(device)}</label>"
        for place, device in enumerate(devices)
    )
    return f'<fieldset class="switch" hidden><legend>Device</legend>{buttons}</fieldset>'


def section_html(section: Section, searches: Sequence[ReportData]) -> str:
    """Return a section's body with its heading; without a title there is no heading."""
    body = panels(section.build, searches) if section.per_device else section.build(searches[0])
    if not section.title:
        return f'<section id="{section.name}">{body}</section>'
    heading = f'<h2 id="{section.name}-title">{escape(section.title)}</h2>'
    return f'<section id="{section.name}" aria-labelledby="{section.name}-title">{heading}{body}</section>'


def panels(build: Callable[[ReportData], str], searches: Sequence[ReportData]) -> str:
    """Return a section's body once per device; without scripts all are shown, one below the other."""
    if len(searches) == 1:
        return build(searches[0])
    return "".join(
        f'<div class="device" data-device="{escape(search.device)}">'
        f'<h3 class="device-name">{escape(search.device)}</h3>{build(search)}</div>'
        for search in searches
    )


def resource(name: str) -> str:
    """Read a text file that lies beside this module."""
    return files("nas.report").joinpath(name).read_text(encoding="utf-8")

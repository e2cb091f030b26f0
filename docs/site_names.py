"""A Sphinx extension: what a table of ours lists by name can be linked to, is in the index, and is found by a search.

The head of a column says what its cells name: a row of a table whose column is headed ``option`` or ``fixture`` is
the place of that name, its anchor is the name itself (``#netfault-seed``), and its index entries are of both orders
("netfault_seed; ini value" and "ini value; netfault_seed"). Whoever adds a row need do nothing else.

Cells know the head of their column, so that on narrow screens a row can be shown as a list (``_static/site.css``).
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.writers.html5_polyglot import HTMLTranslator
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

__all__ = ["KINDS", "setup"]

#: The heads of columns whose cells are names, and what the index calls them.
KINDS = {
    "command": "netfault command",
    "extra": "extra",
    "file": "file",
    "fixture": "fixture",
    "flag": "flag of netfault serve",
    "hook": "hook",
    "ini value": "ini value",
    "marker": "marker",
    "option": "option",
    "property": "JUnit property",
}


class NamesInTables(SphinxTransform):
    """Gives names in tables their anchors and index entries, and cells the heads of their columns."""

    default_priority = 700  # after inline markup, before the index is collected

    def apply(self, **_: Any) -> None:
        for table in self.document.findall(nodes.table):
            heads = [
                entry.astext().strip()
                for head in table.findall(nodes.thead)
                for entry in head.findall(nodes.entry)
            ]
            for body in table.findall(nodes.tbody):
                for row in body.findall(nodes.row):
                    for head, cell in zip(heads, row.findall(nodes.entry), strict=False):
                        cell["head"] = head
                        if head in KINDS:
                            self._name(cell, KINDS[head])

    def _name(self, cell: nodes.entry, kind: str) -> None:
        for literal in list(cell.findall(nodes.literal)):
            name = re.split(r"[=\s\[]", literal.astext())[0]
            anchor = nodes.make_id(name)
            if not anchor or anchor in self.document.ids:
                anchor = nodes.make_id(f"{kind} {name}")
            if anchor in self.document.ids:
                continue  # said before on this page
            literal["ids"].append(anchor)
            self.document.ids[anchor] = literal
            entries = [
                ("single", f"{name}; {kind}", anchor, "", None),
                ("single", f"{kind}; {name}", anchor, "", None),
            ]
            place = literal.parent
            place.insert(place.index(literal), addnodes.index(entries=entries))


def visit_entry(self: HTMLTranslator, node: nodes.entry) -> None:
    HTMLTranslator.visit_entry(self, node)
    if node.get("head"):
        self.body[-1] = self.body[-1].replace("<td", f'<td data-head="{escape(node["head"])}"', 1)


def depart_entry(self: HTMLTranslator, node: nodes.entry) -> None:
    HTMLTranslator.depart_entry(self, node)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(NamesInTables)
    app.add_node(nodes.entry, override=True, html=(visit_entry, depart_entry))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

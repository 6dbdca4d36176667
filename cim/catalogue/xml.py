"""XML as text: elements with namespaces, every string escaped, characters that XML cannot hold left out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True, slots=True)
class Element:
    """An element: its name with the prefix, attributes, and a text or children; children that are None are left out."""

    name: str
    content: "str | Sequence[Element | None]" = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> str:
        """The element as text."""
        opened = self.name + "".join(f" {name}={quoteattr(fit(value))}" for name, value in self.attributes.items())
        inner = (
            escape(fit(self.content))
            if isinstance(self.content, str)
            else "".join(child.write() for child in self.content if child is not None)
        )
        return f"<{opened}>{inner}</{self.name}>" if inner else f"<{opened}/>"


def fit(text: str) -> str:
    """The text without characters that XML 1.0 (2.2) has no place for."""
    return _UNFIT.sub("", text)


def document(root: Element, namespaces: Mapping[str, str]) -> bytes:
    """A document of `root`, with its namespaces declared; the empty prefix is the default one. UTF-8."""
    declared = {f"xmlns:{prefix}" if prefix else "xmlns": uri for prefix, uri in namespaces.items()}
    whole = Element(root.name, root.content, {**declared, **root.attributes})
    return (HEAD + whole.write()).encode()

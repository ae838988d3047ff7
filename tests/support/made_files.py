"""Books and documents for tests, made of a few strings."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
PACKAGE = (
    '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><manifest>'
    '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    '<item id="b" href="two.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="a" href="one%20a.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="p" href="x.png" media-type="image/png"/></manifest>'
    '<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/><itemref idref="p"/>'
    "</spine></package>"
)
PAGE = (
    '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
    "<head><title/><style>p {{}}</style></head><body>{}</body></html>"
)
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def zip_of(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip archive with these parts, in this order."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, stored)
    return stream.getvalue()


def epub_of(one: str, two: str, **parts: str | bytes) -> bytes:
    """A book of two chapters, of what stands in the bodies of their pages, and other parts."""
    return zip_of(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OEBPS/book.opf": PACKAGE,
            "OEBPS/nav.xhtml": PAGE.format("<nav><ol><li>One</li><li>Two</li></ol></nav>"),
            "OEBPS/one a.xhtml": PAGE.format(one),
            "OEBPS/two.xhtml": PAGE.format(two),
            **parts,
        }
    )


def docx_of(body: str, **parts: str | bytes) -> bytes:
    """A document of Word with this body."""
    return zip_of(
        {
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>',
            **parts,
        }
    )


def paragraph(text: str) -> str:
    """A paragraph of such a body."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"

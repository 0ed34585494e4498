"""Reports of gradient checks for readers of pages (HTML) and for CI systems (JUnit XML)."""

from minicnn.testing.rendering.html import html
from minicnn.testing.rendering.junit import junit
from minicnn.testing.rendering.record import record

__all__ = ["html", "junit", "record"]

"""Report of a fitted model on test patients, as journals ask for it."""

from ._document import Report
from ._report import report

__all__ = ["Report", "report"]

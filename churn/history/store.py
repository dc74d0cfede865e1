"""The history of a product: `with connect(product) as history:` and then its methods, which write and read.

It is a copy of what the files say, for those who ask about time: nothing is decided from it alone, and where it cannot
be reached a run goes on without it. What was not written then is written by a later run (`batches` says what is there).
"""

from churn.config import Product
from churn.history.database import open_engine
from churn.history.pages import Pages
from churn.history.writing import Writing


class History(Writing, Pages):
    """One product's history. Threads may share it; a forked process opens its own."""

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def connect(product: Product) -> History:
    """Open a product's history, and make its tables on first use.

    Raises:
        HistoryError: the database cannot be reached or used; the message says what mends it, and no password.
    """
    engine, where = open_engine(product)
    return History(product.name, product.settings.late_labels, engine, where)

"""What a tick looks at and leaves behind, so that the next one can tell that nothing has changed."""

from pathlib import Path

from churn import config, dataset, releases, sources
from churn.config import Product
from churn.errors import ChurnError


def products(path: str) -> list[Product]:
    """The products of a config; none where it is wrong, of which the run itself says what."""
    try:
        return list(config.load(Path(path)).values())
    except ChurnError:
        return []


def inputs(products: list[Product]) -> list[str]:
    """What a tick reads and others write, as `idle.look` takes it."""
    paths = [str(product.config_path) for product in products[:1]]
    for product in products:
        paths += [f"{product.source}/", f"{product.test}/"] + ([str(product.clients)] if product.clients else [])
    return paths


def outputs(products: list[Product]) -> list[str]:
    """What a tick writes and the next one starts from: were it changed or gone, the next tick must see to it."""
    paths = []
    for product in products:
        paths += [f"{folder}/" for folder in (product.ingested, product.models, product.production, product.reports)]
        paths.append(str(product.production / releases.CURRENT))
    return paths


def waits(product: Product) -> bool:
    """Whether a file was left for the next tick, as one still being written is."""
    listed = sources.SOURCES[product.settings.source](product.source).list()
    return bool(dataset.unknown(dataset.load_record(product), listed))

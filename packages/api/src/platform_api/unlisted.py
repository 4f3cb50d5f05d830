"""Finds features that exist but that the container does not list: they are not served."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules

from platform_api import features
from platform_api.feature import Feature


def unlisted(listed: Sequence[Feature]) -> list[str]:
    """Return a sentence for each `Feature` in `platform_api.features` that is not in `listed`."""
    found = [*_that_cannot_be_imported()]
    for feature in _subclasses(Feature):
        is_ours = feature.__module__.startswith(f"{features.__name__}.")
        if is_ours and not any(isinstance(each, feature) for each in listed):
            found.append(
                f"{feature.__qualname__} ({feature.__module__}) is not served:"
                " list it under `features` in container.py."
            )
    return sorted(found)


def _that_cannot_be_imported() -> Iterator[str]:
    for module in iter_modules(features.__path__, f"{features.__name__}."):
        try:
            import_module(module.name)
        except Exception as error:  # noqa: BLE001 - a module that is not listed may be half-written.
            yield f"{module.name} cannot be imported: {type(error).__name__}: {error}"


def _subclasses(kind: type[Feature]) -> Iterator[type[Feature]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
